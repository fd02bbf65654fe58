// TLS for the clients, over wolfSSL and the socket itself. Built without it (HOLDFAST_TLS=OFF)
// wss:// is refused with the command line. One context per process, made before its first peer.
#ifndef BENCH_SECURE_H
#define BENCH_SECURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

bool secure_is_built(void);
// Whether every connection after the first begins with the session of an earlier one.
bool secure_init(bool does_resume);
// The client's side for a connected socket, or NULL. Certificates are not judged.
void *secure_open(int fd);
void secure_close(void *secure);

enum secure_result { SECURE_DONE, SECURE_WAITS, SECURE_FAILED };
// A step of the handshake (NULL fails, too); `*reason` says what failed.
enum secure_result secure_shake(void *secure, const char **reason);
// As recv() and send() say it: errno EAGAIN to wait. What was refused is offered again, unchanged.
ssize_t secure_receive(void *secure, uint8_t *bytes, size_t room);
ssize_t secure_send(void *secure, const uint8_t *bytes, size_t count);
// After something was received, once: the session is kept for connections to come.
void secure_keep(void *secure);

#endif
