// Blocking sockets with a time limit; the answer ends with the connection.
#include "gateway/cli/client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 256 << 20, WAIT_S = 30 };

static int complain(const char *what, const char *address, const char *why) {
    (void)fprintf(stderr, "holdfast: %s %s: %s\n", what, address, why);
    return -1;
}

static int connect_unix(const char *address) {
    struct sockaddr_un target = {.sun_family = AF_UNIX};
    const char *path = address + strlen("unix:");
    if (strlen(path) >= sizeof target.sun_path) {
        return complain("connect to", address, "path too long");
    }
    memcpy(target.sun_path, path, strlen(path));
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0 || connect(file, (struct sockaddr *)&target, sizeof target) != 0) {
        complain("connect to", address, strerror(errno));
        if (file >= 0) {
            close(file);
        }
        return -1;
    }
    return file;
}

// Splits host and port; brackets around an IPv6 host go.
static bool address_split(const char *address, char *host, size_t room, const char **port) {
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == 0 || (size_t)(colon - address) >= room) {
        return false;
    }
    bool is_bracketed = address[0] == '[' && colon[-1] == ']';
    size_t length = (size_t)(colon - address) - (is_bracketed ? 2 : 0);
    memcpy(host, address + is_bracketed, length);
    host[length] = 0;
    *port = colon + 1;
    return true;
}

static int connect_tcp(const char *address) {
    char host[160];
    const char *port;
    if (!address_split(address, host, sizeof host, &port)) {
        return complain("connect to", address, "write host:port");
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(host, port, &hints, &list);
    if (error != 0) {
        return complain("connect to", address, gai_strerror(error));
    }
    int file = -1;
    for (struct addrinfo *at = list; at != NULL && file < 0; at = at->ai_next) {
        file = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, 0);
        if (file >= 0 && connect(file, at->ai_addr, at->ai_addrlen) != 0) {
            int kept = errno;
            close(file);
            errno = kept;
            file = -1;
        }
    }
    freeaddrinfo(list);
    return file >= 0 ? file : complain("connect to", address, strerror(errno));
}

static int bytes_send(int file, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(file, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return -1;
        }
        bytes += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

static char *answer_read(int file, size_t *length) {
    size_t room = 64 << 10;
    char *data = malloc(room + 1);
    *length = 0;
    // Bounded by ANSWER_BYTES_MAX and by the socket's time limit.
    while (data != NULL) {
        if (*length == room) {
            room *= 2;
            char *larger = room > ANSWER_BYTES_MAX ? NULL : realloc(data, room + 1);
            if (larger == NULL) {
                break;
            }
            data = larger;
        }
        ssize_t count = recv(file, data + *length, room - *length, 0);
        if (count == 0) {
            data[*length] = 0;
            return data;
        }
        if (count < 0 && errno != EINTR) {
            break;
        }
        *length += count > 0 ? (size_t)count : 0;
    }
    free(data);
    return NULL;
}

static int exchange(int file, const struct client_options *options, const char *head,
                    const char *body, struct client_answer *answer) {
    struct timeval limit = {.tv_sec = WAIT_S};
    (void)setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit,
                     sizeof limit); // without it a dead server is waited for longer
    if (bytes_send(file, head, strlen(head)) != 0 ||
        (body != NULL && bytes_send(file, body, strlen(body)) != 0)) {
        return complain("send to", options->address, strerror(errno));
    }
    size_t length = 0;
    char *data = answer_read(file, &length);
    if (data == NULL) {
        return complain("answer of", options->address, strerror(errno));
    }
    char *end = strstr(data, "\r\n\r\n");
    if (end == NULL || sscanf(data, "HTTP/1.1 %d", &answer->status) != 1) {
        free(data);
        return complain("answer of", options->address, "not HTTP: is this the admin address?");
    }
    answer->length = length - (size_t)(end + 4 - data);
    answer->body = malloc(answer->length + 1);
    if (answer->body != NULL) {
        memcpy(answer->body, end + 4, answer->length + 1);
    }
    free(data);
    return answer->body == NULL ? -1 : 0;
}

int client_request(const struct client_options *options, const char *method, const char *target,
                   const char *body, struct client_answer *answer) {
    bool is_unix = strncmp(options->address, "unix:", 5) == 0;
    int file = is_unix ? connect_unix(options->address) : connect_tcp(options->address);
    if (file < 0) {
        return -1;
    }
    char head[4096];
    char authorization[600] = "";
    if (options->token[0] != 0) {
        (void)snprintf(authorization, sizeof authorization, "Authorization: Bearer %s\r\n",
                       options->token); // fits: token is shorter
    }
    char content[96] = "";
    if (body != NULL) {
        (void)snprintf(content, sizeof content,
                       "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                       strlen(body)); // fits
    }
    int printed =
        snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s\r\n",
                 method, target, is_unix ? "localhost" : options->address, authorization, content);
    int result = printed > 0 && (size_t)printed < sizeof head
                     ? exchange(file, options, head, body, answer)
                     : complain("request to", options->address, "too long");
    close(file);
    return result;
}

bool client_escape(const char *text, char *target, size_t room) {
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    size_t used = 0;
    for (; *text != 0; text++) {
        bool is_plain = strchr(plain, *text) != NULL;
        if (used + (is_plain ? 1 : 3) >= room) {
            return false;
        }
        if (is_plain) {
            target[used++] = *text;
        } else {
            used += (size_t)snprintf(target + used, room - used, "%%%02X",
                                     (unsigned char)*text); // three bytes: there is room
        }
    }
    target[used] = 0;
    return true;
}
