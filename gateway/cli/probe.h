// A WebSocket client that looks at the path to a server: `holdfast probe`. Blocking, one
// connection.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "core/base/span.h"
#include "core/http/response.h"

enum { PROBE_ROOM = HEADER_BYTES_MAX, PROBE_HEADERS_MAX = 16, PROBE_NS_PER_MS = 1000000 };

struct tls_client;

struct probe_options {
    const char *url;
    const char *origin;       // NULL: none is sent
    const char *subprotocols; // offered, comma-separated; NULL: none
    const char *headers[PROBE_HEADERS_MAX];
    uint32_t header_count;
    uint64_t idle_ms_max; // of one silence
    uint64_t timeout_ms;  // for each answer
    bool is_help;         // only how to use it is asked
    bool is_idle;         // find out how long a silence may last
    bool is_insecure;     // wss: any certificate will do
    const char *ca_file;  // wss: PEM of who may have signed it
};

struct probe {
    struct probe_options options;
    char host[256], port[8];
    const char *path;       // within the URL
    char authority[264];    // Host
    int file;               // -1: not connected
    bool is_tls;            // wss
    struct tls_client *tls; // once hands are shaken
    bool has_compression;   // agreed on
    uint32_t used;          // of the buffer
    uint8_t buffer[PROBE_ROOM];
    uint8_t key[24]; // Sec-WebSocket-Key
    struct http_response response;
    uint64_t heard_ns; // when the last bytes came
};

enum probe_heard {
    PROBE_HEARD_BYTES, // more is in the buffer
    PROBE_HEARD_END,   // FIN
    PROBE_HEARD_RESET, // RST, or the network is gone
    PROBE_HEARD_NOTHING,
};

// 0, or -1 with the reason printed.
int probe_connect(struct probe *probe);
// probe_tls.c: shakes hands and says with what; 0, or -1 with the reason printed.
int probe_secure(struct probe *probe);
int probe_send(struct probe *probe, struct span bytes);
// Waits for bytes until `due_ns`.
enum probe_heard probe_hear(struct probe *probe, uint64_t due_ns);

// probe_frames.c, after the 101. What came, in a word.
enum probe_frame {
    PROBE_FRAME_NONE, // nothing until then
    PROBE_FRAME_DATA,
    PROBE_FRAME_PING, // was answered
    PROBE_FRAME_PONG,
    PROBE_FRAME_CLOSE,
    PROBE_FRAME_END,
    PROBE_FRAME_RESET,
    PROBE_FRAME_BROKEN, // not WebSocket
};
// The next frame until `due_ns`; of a Close *code.
enum probe_frame probe_frame_next(struct probe *probe, uint64_t due_ns, uint16_t *code);
// The two parts of the report. False: it does not work.
bool probe_pings(struct probe *probe);
bool probe_idle(struct probe *probe);
// Says goodbye, if anybody still listens.
void probe_leave(struct probe *probe);
