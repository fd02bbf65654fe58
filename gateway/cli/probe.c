// The opening handshake as a browser makes it, and what came instead.
#include "gateway/cli/probe.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/digest.h"
#include "core/http/upgrade.h"
#include "gateway/cli/internal.h"
#include "gateway/seam/clock.h"
#include "gateway/seam/entropy.h"
#include "gateway/tls/client.h"

enum { REQUEST_ROOM = 16384 };

static const char usage[] =
    "usage: holdfast probe ws[s]://HOST[:PORT][/PATH] [options]\n"
    "\n"
    "Whether the path to there speaks WebSocket: the 101 or what came instead, and pings.\n"
    "\n"
    "  --idle               how long a silence may last until somebody on the way cuts it\n"
    "  --max TIME           the longest silence that is tried (2m)\n"
    "  --timeout TIME       for each answer (10s)\n"
    "  --origin ORIGIN      as the page of a browser would have\n"
    "  --subprotocol NAMES  offered, comma-separated\n"
    "  --header 'NAME: V'   a further field; up to 16\n"
    "  --ca FILE            wss: who may have signed the certificate (PEM; Debian's list)\n"
    "  --insecure           wss: any certificate will do\n"
    "  --help               this\n"
    "\n"
    "Exit status: 0 it works, 1 it does not, 2 wrong usage.\n";

static int complain(const struct probe *probe, const char *what, const char *why) {
    (void)printf("  %-12s %s:%s: %s\n", what, probe->host, probe->port, why);
    return -1;
}

int probe_connect(struct probe *probe) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(probe->host, probe->port, &hints, &list);
    if (error != 0) {
        return complain(probe, "not found", gai_strerror(error));
    }
    uint64_t start_ns = clock_now_ns();
    struct timeval limit = {.tv_sec = (time_t)(probe->options.timeout_ms / 1000),
                            .tv_usec = (suseconds_t)(probe->options.timeout_ms % 1000 * 1000)};
    int failed = ENOENT;
    for (struct addrinfo *at = list; at != NULL && probe->file < 0; at = at->ai_next) {
        int file = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, 0);
        // It bounds connect, too (socket(7)).
        if (file < 0 || setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
            connect(file, at->ai_addr, at->ai_addrlen) != 0) {
            failed = errno == EINPROGRESS ? ETIMEDOUT : errno;
            if (file >= 0) {
                (void)close(file); // nothing was sent
            }
            continue;
        }
        probe->file = file;
        char text[NI_MAXHOST] = "";
        (void)getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, NULL, 0,
                          NI_NUMERICHOST); // shown only
        (void)printf("  connected    %s port %s in %.2f ms\n", text, probe->port,
                     (double)(clock_now_ns() - start_ns) / 1e6);
    }
    freeaddrinfo(list);
    return probe->file >= 0 ? 0 : complain(probe, "no connection", strerror(failed));
}

int probe_send(struct probe *probe, struct span bytes) {
    if (probe->tls != NULL) {
        errno = ECONNRESET;
        return tls_client_send(probe->tls, bytes) == 0 ? 0 : -1;
    }
    while (bytes.length > 0) {
        ssize_t sent = send(probe->file, bytes.data, bytes.length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return -1;
        }
        bytes = span_from(bytes, sent > 0 ? (uint32_t)sent : 0);
    }
    return 0;
}

static ssize_t bytes_take(struct probe *probe) {
    struct span_mut room = {.data = probe->buffer + probe->used,
                            .length = (uint32_t)sizeof probe->buffer - probe->used};
    if (probe->tls == NULL) {
        return recv(probe->file, room.data, room.length, 0);
    }
    int64_t count = tls_client_receive(probe->tls, room);
    errno = count == -EAGAIN ? EINTR : ECONNRESET; // a part of a record: asked again
    return (ssize_t)count;
}

enum probe_heard probe_hear(struct probe *probe, uint64_t due_ns) {
    struct pollfd wait = {.fd = probe->file, .events = POLLIN};
    uint64_t now_ns = clock_now_ns();
    bool has_bytes = probe->tls != NULL && tls_client_has_bytes(probe->tls);
    int wait_ms = due_ns > now_ns ? (int)((due_ns - now_ns) / PROBE_NS_PER_MS) + 1 : 0;
    int ready = has_bytes ? 1 : poll(&wait, 1, wait_ms);
    if (ready == 0 || probe->used == sizeof probe->buffer) {
        return PROBE_HEARD_NOTHING;
    }
    ssize_t count = ready < 0 ? -1 : bytes_take(probe);
    if (count < 0) {
        return errno == EINTR ? PROBE_HEARD_BYTES : PROBE_HEARD_RESET; // none, and asked again
    }
    probe->used += (uint32_t)count;
    probe->heard_ns = count > 0 ? clock_now_ns() : probe->heard_ns;
    return count == 0 ? PROBE_HEARD_END : PROBE_HEARD_BYTES;
}

// ws://host:port/path or wss://, [v6] in brackets. False: not that.
static bool url_split(struct probe *probe) {
    const char *at = probe->options.url;
    probe->is_tls = strncmp(at, "wss://", 6) == 0;
    if (!probe->is_tls && strncmp(at, "ws://", 5) != 0) {
        return false;
    }
    at += probe->is_tls ? 6 : 5;
    size_t length = strcspn(at, "/?#");
    probe->path = at[length] == '/' ? at + length : "/";
    if (length == 0 || length >= sizeof probe->authority || at[length] == '?' ||
        strpbrk(probe->path, "# \r\n") != NULL) {
        return false;
    }
    memcpy(probe->authority, at, length);
    const char *colon = strrchr(probe->authority, ':');
    const char *bracket = strrchr(probe->authority, ']');
    bool has_port = colon != NULL && (bracket == NULL || colon > bracket);
    size_t host = has_port ? (size_t)(colon - probe->authority) : length;
    size_t skip = probe->authority[0] == '[' && bracket != NULL;
    if (host <= 2 * skip || host >= sizeof probe->host ||
        (has_port && strlen(colon + 1) >= sizeof probe->port)) {
        return false;
    }
    memcpy(probe->host, probe->authority + skip, host - 2 * skip);
    (void)snprintf(probe->port, sizeof probe->port, "%.7s",
                   has_port        ? colon + 1
                   : probe->is_tls ? "443"
                                   : "80"); // checked above
    return true;
}

static int request_send(struct probe *probe) {
    uint8_t random[16];
    char text[REQUEST_ROOM];
    if (entropy_fill(random, sizeof random) != 0) {
        return -1;
    }
    (void)base64_encode(span_make(random, sizeof random),
                        (struct span_mut){.data = probe->key, .length = sizeof probe->key});
    int used =
        snprintf(text, sizeof text,
                 "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: %.24s\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                 "User-Agent: holdfast-probe/" HOLDFAST_VERSION "\r\n",
                 probe->path, probe->authority, (const char *)probe->key);
    const struct {
        const char *name, *value;
    } further[] = {{"Origin: ", probe->options.origin},
                   {"Sec-WebSocket-Protocol: ", probe->options.subprotocols}};
    for (uint32_t i = 0; i < 2 + probe->options.header_count; i++) {
        const char *name = i < 2 ? further[i].name : "";
        const char *value = i < 2 ? further[i].value : probe->options.headers[i - 2];
        if (value != NULL && used > 0 && (size_t)used < sizeof text) {
            used += snprintf(text + used, sizeof text - (size_t)used, "%s%s\r\n", name, value);
        }
    }
    if (used < 0 || (size_t)used + 3 > sizeof text) {
        return complain(probe, "request", "too long");
    }
    memcpy(text + used, "\r\n", 2);
    return probe_send(probe, span_make(text, (uint32_t)used + 2)) == 0
               ? 0
               : complain(probe, "request", strerror(errno));
}

static int not_http(const struct probe *probe, const struct fault *fault) {
    bool is_tls = probe->used >= 2 && probe->buffer[0] == 0x15 && probe->buffer[1] == 3;
    return complain(probe, "no HTTP", is_tls ? "TLS is spoken there" : fault->text);
}

// The head of the answer; what stands behind it stays in the buffer.
static int response_read(struct probe *probe) {
    struct http_scan scan = {0};
    const struct fault *fault = NULL;
    uint32_t head = 0;
    uint64_t due_ns = clock_now_ns() + probe->options.timeout_ms * PROBE_NS_PER_MS;
    enum http_scan_result result = HTTP_SCAN_NEED_MORE;
    while (result == HTTP_SCAN_NEED_MORE) {
        enum probe_heard heard = probe_hear(probe, due_ns);
        if (heard != PROBE_HEARD_BYTES) {
            return complain(probe, "no answer",
                            heard == PROBE_HEARD_NOTHING ? "none in time"
                            : heard == PROBE_HEARD_END   ? "the connection was closed instead"
                                                         : "the connection was reset instead");
        }
        result = http_response_scan(&scan, span_make(probe->buffer, probe->used), HEADER_BYTES_MAX,
                                    &head, &fault);
    }
    if (result != HTTP_SCAN_FAULT) {
        fault = http_response_parse(span_make(probe->buffer, head), &probe->response);
    }
    return fault != NULL ? not_http(probe, fault) : (int)head;
}

static struct span field(const struct probe *probe, const char *name) {
    const struct http_field *found = http_response_field_find(&probe->response, name, NULL);
    return found == NULL ? span_empty() : found->value;
}

static void field_print(const struct probe *probe, const char *name) {
    struct span value = field(probe, name);
    if (value.length > 0) {
        (void)printf("    %s: %.*s\n", name, (int)value.length, (const char *)value.data);
    }
}

static const char *status_hint(uint16_t status) {
    switch (status) {
    case 200:
        return "a page answered: a proxy on the way took the Upgrade away, or this path is no "
               "WebSocket";
    case 301:
    case 302:
    case 307:
    case 308:
        return "browsers do not follow a redirect here";
    case 401:
    case 403:
        return "refused: credentials, or this Origin (--origin, --header)";
    case 404:
        return "no such path";
    case 426:
        return "the server saw no Upgrade, or wants another version: a proxy on the way took it "
               "away";
    case 429:
    case 503:
        return "there is no room now";
    case 502:
    case 504:
        return "a proxy on the way did not reach the service";
    default:
        return "no WebSocket";
    }
}

// Whether a browser would accept the 101, and what was agreed on.
static bool upgrade_report(struct probe *probe) {
    uint8_t right[WEBSOCKET_ACCEPT_BYTES];
    http_upgrade_accept(span_make(probe->key, sizeof probe->key), right);
    struct span subprotocol = field(probe, "Sec-WebSocket-Protocol");
    struct span extensions = field(probe, "Sec-WebSocket-Extensions");
    bool is_accepted =
        span_equal(field(probe, "Sec-WebSocket-Accept"), span_make(right, sizeof right));
    bool is_upgrade = probe->response.has_upgrade &&
                      span_equal_nocase(field(probe, "Upgrade"), span_text("websocket"));
    (void)printf("  accept       %s\n",
                 is_accepted ? "right" : "wrong: something on the way answers by itself");
    if (!is_upgrade) {
        (void)printf("  upgrade      missing: browsers refuse this 101\n");
    }
    (void)printf("  subprotocol  %.*s\n", subprotocol.length > 0 ? (int)subprotocol.length : 4,
                 subprotocol.length > 0 ? (const char *)subprotocol.data : "none");
    (void)printf("  extensions   %.*s\n", extensions.length > 0 ? (int)extensions.length : 4,
                 extensions.length > 0 ? (const char *)extensions.data : "none");
    probe->has_compression = extensions.length > 0;
    return is_accepted && is_upgrade;
}

// False: there is no WebSocket.
static bool handshake(struct probe *probe) {
    static const char *const shown[] = {"Server",           "Via",         "Location",
                                        "WWW-Authenticate", "Retry-After", "Upgrade",
                                        "Content-Type",     "Allow",       "Sec-WebSocket-Version"};
    uint64_t start_ns = clock_now_ns();
    int head = request_send(probe) == 0 ? response_read(probe) : -1;
    if (head < 0) {
        return false;
    }
    uint16_t status = probe->response.status;
    (void)printf("  answer       %u %.*s in %.2f ms\n", status, (int)probe->response.reason.length,
                 (const char *)probe->response.reason.data,
                 (double)(clock_now_ns() - start_ns) / 1e6);
    uint32_t shown_count = status == 101 ? 2 : sizeof shown / sizeof shown[0];
    for (uint32_t i = 0; i < shown_count; i++) {
        field_print(probe, shown[i]);
    }
    if (status != 101) {
        (void)printf("  verdict      %s\n", status_hint(status));
        return false;
    }
    bool is_fine = upgrade_report(probe);
    memmove(probe->buffer, probe->buffer + head, probe->used - (uint32_t)head);
    probe->used -= (uint32_t)head; // the response's fields are gone with it
    return is_fine;
}

// Milliseconds of `10s`, `2m`; 0: not a time.
static uint64_t time_read(const char *text) {
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    char *end = NULL;
    uint64_t number = strtoull(text, &end, 10);
    for (unsigned i = 0; end != text && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) == 0 && number <= TIME_MS_MAX / units[i].ms) {
            return number * units[i].ms;
        }
    }
    return 0;
}

// False: wrong usage.
static bool option_take(struct probe_options *options, const char *name, const char *value) {
    if (strcmp(name, "--max") == 0) {
        options->idle_ms_max = time_read(value);
        return options->idle_ms_max > 0;
    }
    if (strcmp(name, "--timeout") == 0) {
        options->timeout_ms = time_read(value);
        return options->timeout_ms > 0;
    }
    // A line end in a value would be a field of its own.
    if (strpbrk(value, "\r\n") != NULL) {
        return false;
    }
    if (strcmp(name, "--origin") == 0) {
        options->origin = value;
    } else if (strcmp(name, "--ca") == 0) {
        options->ca_file = value;
    } else if (strcmp(name, "--subprotocol") == 0) {
        options->subprotocols = value;
    } else if (strcmp(name, "--header") == 0 && options->header_count < PROBE_HEADERS_MAX &&
               strchr(value, ':') != NULL) {
        options->headers[options->header_count++] = value;
    } else {
        return false;
    }
    return true;
}

static bool options_parse(struct probe_options *options, int count, char **arguments) {
    *options = (struct probe_options){.idle_ms_max = 120000,
                                      .timeout_ms = 10000,
                                      .ca_file = "/etc/ssl/certs/ca-certificates.crt"};
    for (int i = 2; i < count; i++) {
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0) {
            options->is_help = true;
            return true;
        }
        if (strcmp(arguments[i], "--idle") == 0) {
            options->is_idle = true;
        } else if (strcmp(arguments[i], "--insecure") == 0) {
            options->is_insecure = true;
        } else if (arguments[i][0] == '-') {
            if (i + 1 == count || !option_take(options, arguments[i], arguments[i + 1])) {
                return false;
            }
            i++;
        } else if (options->url == NULL) {
            options->url = arguments[i];
        } else {
            return false;
        }
    }
    return options->url != NULL;
}

int cli_probe(int count, char **arguments) {
    struct probe *probe = calloc(1, sizeof *probe);
    if (probe == NULL) {
        return 1;
    }
    probe->file = -1;
    bool is_parsed = options_parse(&probe->options, count, arguments);
    if (is_parsed && probe->options.is_help) {
        (void)fputs(usage, stdout);
        free(probe);
        return 0;
    }
    if (!is_parsed || !url_split(probe)) {
        (void)fputs(usage, stderr);
        free(probe);
        return 2;
    }
    (void)printf("%s\n", probe->options.url);
    bool is_connected = probe_connect(probe) == 0 && (!probe->is_tls || probe_secure(probe) == 0);
    bool is_open = is_connected && handshake(probe);
    bool is_fine = is_open && probe_pings(probe);
    if (is_fine && probe->options.is_idle) {
        is_fine = probe_idle(probe);
    }
    if (is_fine) {
        probe_leave(probe);
    }
    tls_client_close(probe->tls);
    if (probe->file >= 0) {
        (void)close(probe->file); // nothing more is expected of it
    }
    free(probe);
    return is_fine ? 0 : 1;
}
