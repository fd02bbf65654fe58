#include "bench/metrics.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PAGE_MAX = 1 << 20 };

bool metrics_sum_text(const char *text, const char *name, double *sum) {
    size_t length = strlen(name);
    bool is_found = false;
    *sum = 0;
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += line != text;
        if (strncmp(line, name, length) != 0 || (line[length] != ' ' && line[length] != '{')) {
            continue;
        }
        const char *value = line + length;
        if (*value == '{') {
            value += strcspn(value, "}\n");
            value += *value == '}';
        }
        *sum += strtod(value, NULL);
        is_found = true;
    }
    return is_found;
}

static int page_connect(const char *url, const char **path) {
    char host[64];
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (strncmp(url, "http://", 7) != 0) {
        return -1;
    }
    const char *colon = strchr(url + 7, ':');
    *path = strchr(url + 7, '/');
    if (colon == NULL || *path == NULL || colon > *path) {
        return -1;
    }
    snprintf(host, sizeof host, "%.*s", (int)(colon - url - 7), url + 7);
    address.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        return -1;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 5};
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
                    connect(fd, (struct sockaddr *)&address, sizeof address) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

bool metrics_sum(const char *url, const char *name, double *sum) {
    const char *path;
    char *page = malloc(PAGE_MAX);
    int fd = page == NULL ? -1 : page_connect(url, &path);
    if (fd < 0) {
        free(page);
        return false;
    }
    char request[512];
    int length =
        snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    size_t count = 0;
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) == length) {
        ssize_t received;
        do {
            received = recv(fd, page + count, PAGE_MAX - 1 - count, 0);
            count += received > 0 ? (size_t)received : 0;
        } while (received > 0 && count < PAGE_MAX - 1);
    }
    close(fd);
    page[count] = 0;
    bool is_found = metrics_sum_text(page, name, sum);
    free(page);
    return is_found;
}
