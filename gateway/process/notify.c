// sd_notify(3) by hand: one datagram. The library would be linked for this alone.
#include <sys/socket.h>
#include <sys/un.h>

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/process/process.h"
#include "gateway/seam/clock.h"

enum { WATCHDOG_MS_MIN = 100, WATCHDOG_MS_MAX = 2000 };

void notify_send(const char *text) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') ||
        strlen(path) >= sizeof address.sun_path) {
        return;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@') {
        address.sun_path[0] = 0; // abstract
    }
    int socket_file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_file < 0) {
        return; // systemd's start-up deadline will say so
    }
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    ssize_t sent =
        sendto(socket_file, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    (void)sent; // as above
    close(socket_file);
}

void notify_reloading(void) {
    char text[64];
    (void)snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                   clock_now_ns() / 1000); // it fits
    notify_send(text);
}

uint64_t notify_watchdog_ms(void) {
    const char *text = getenv("WATCHDOG_USEC");
    uint64_t third_ms = text == NULL ? WATCHDOG_MS_MAX : strtoull(text, NULL, 10) / 3000;
    return third_ms < WATCHDOG_MS_MIN   ? WATCHDOG_MS_MIN
           : third_ms > WATCHDOG_MS_MAX ? WATCHDOG_MS_MAX
                                        : third_ms;
}
