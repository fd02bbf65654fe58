// A small blocking HTTP client for the admin API: one request, one answer. The command line only.
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct client_options {
    char address[160]; // host:port, [v6]:port or unix:/path
    char token[512];   // empty: none
};

struct client_answer {
    int status; // HTTP status
    char *body; // owned by the caller: free; terminated
    size_t length;
};

// 0, or -1 with the reason printed on standard error.
int client_request(const struct client_options *options, const char *method, const char *target,
                   const char *body, struct client_answer *answer);
// Percent-encodes everything but unreserved characters. False: `room` is too small.
bool client_escape(const char *text, char *target, size_t room);
