// Verbs that speak to the admin API of a running gateway.
#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/auth/json_memory.h"
#include "gateway/cli/client.h"
#include "gateway/cli/internal.h"
#include "gateway/process/files.h"

enum { WORDS_MAX = 8 };

// Options that all of these verbs take, and the words that are left.
struct request_line {
    struct client_options client;
    const char *words[WORDS_MAX];
    int word_count;
    const char *over;      // --over
    const char *code;      // --code
    const char *reason;    // --reason
    const char *filter[5]; // --state, --channel, --route, --address, --limit
    bool is_base64;
};

static const char *const filter_names[] = {"state", "channel", "route", "address", "limit"};

static void token_copy(struct client_options *client, struct span token) {
    if (token.length < sizeof client->token) {
        memcpy(client->token, token.data, token.length);
        client->token[token.length] = 0;
    }
}

static int token_read(struct client_options *client, const char *path) {
    uint8_t *bytes = NULL;
    uint32_t length = 0;
    int error = file_read(path, &bytes, &length);
    if (error != 0) {
        (void)fprintf(stderr, "holdfast: %s: %s\n", path, strerror(-error));
        return -1;
    }
    while (length > 0 &&
           (bytes[length - 1] == '\n' || bytes[length - 1] == '\r' || bytes[length - 1] == ' ')) {
        length--;
    }
    token_copy(client, span_make(bytes, length));
    free(bytes);
    return 0;
}

// Address and token as that configuration says.
static int config_read(struct client_options *client, const char *path) {
    struct config_errors *errors = calloc(1, sizeof *errors);
    if (errors == NULL) {
        return -1;
    }
    const struct config *config = files_config_open(path, errors);
    for (uint32_t i = 0; i < errors->count; i++) {
        (void)fprintf(stderr, "%s\n", errors->lines[i]);
    }
    free(errors);
    if (config == NULL) {
        (void)fprintf(stderr,
                      "holdfast: %s is refused, so it does not say where the running gateway is to "
                      "be asked; without -c: --admin ADDRESS (127.0.0.1:9090 if not given) and, "
                      "where there is one, --token-file FILE\n",
                      path);
        return -1;
    }
    int status = -1;
    if (!config->admin.is_present) {
        (void)fprintf(stderr, "holdfast: %s has no admin address; give it with --admin ADDRESS\n",
                      path);
    } else {
        (void)snprintf(client->address, sizeof client->address, "%.*s",
                       (int)config->admin.address.text.length,
                       (const char *)config->admin.address.text.data); // an address is shorter
        token_copy(client, config->admin.token);
        status = 0;
    }
    config_close(&config);
    return status;
}

// An option with a value. 1: taken, 0: not one of ours, -1: wrong.
static int option_take(struct request_line *line, const char *name, const char *value) {
    if (strcmp(name, "-c") == 0 || strcmp(name, "--config") == 0) {
        return config_read(&line->client, value) == 0 ? 1 : -1;
    }
    if (strcmp(name, "--admin") == 0) {
        (void)snprintf(line->client.address, sizeof line->client.address, "%s",
                       value); // cut: then it does not connect
        return 1;
    }
    if (strcmp(name, "--token-file") == 0) {
        return token_read(&line->client, value) == 0 ? 1 : -1;
    }
    if (strcmp(name, "--over") == 0) {
        line->over = value;
        return 1;
    }
    if (strcmp(name, "--code") == 0) {
        line->code = value;
        return 1;
    }
    if (strcmp(name, "--reason") == 0) {
        line->reason = value;
        return 1;
    }
    for (int i = 0; i < 5; i++) {
        if (strncmp(name, "--", 2) == 0 && strcmp(name + 2, filter_names[i]) == 0) {
            line->filter[i] = value;
            return 1;
        }
    }
    return 0;
}

static int line_parse(struct request_line *line, int count, char **arguments) {
    *line = (struct request_line){.client = {.address = "127.0.0.1:9090"}};
    for (int i = 2; i < count; i++) {
        if (strcmp(arguments[i], "--base64") == 0) {
            line->is_base64 = true;
        } else if (arguments[i][0] == '-' && arguments[i][1] != 0) {
            int taken = i + 1 < count ? option_take(line, arguments[i], arguments[i + 1]) : 0;
            if (taken <= 0) {
                if (taken == 0) {
                    (void)fprintf(stderr,
                                  "holdfast: unknown or incomplete option %s; see holdfast help\n",
                                  arguments[i]);
                }
                return taken == 0 ? 2 : 1; // wrong usage, or a file that is wrong and was named
            }
            i++;
        } else if (line->word_count < WORDS_MAX) {
            line->words[line->word_count++] = arguments[i];
        }
    }
    return 0;
}

// Sends, prints the answer; the exit status.
static int ask(const struct request_line *line, const char *method, const char *target,
               const char *body) {
    struct client_answer answer = {0};
    if (client_request(&line->client, method, target, body, &answer) != 0) {
        return 1;
    }
    bool is_fine = answer.status >= 200 && answer.status < 300;
    (void)fwrite(answer.body, 1, answer.length, is_fine ? stdout : stderr); // a closed pipe ends us
    free(answer.body);
    return is_fine ? 0 : 1;
}

static int words_want(const struct request_line *line, int count, const char *usage) {
    if (line->word_count == count) {
        return 0;
    }
    (void)fprintf(stderr, "usage: holdfast %s\n", usage);
    return 2;
}

int cli_publish(int count, char **arguments) {
    struct request_line line;
    int status = line_parse(&line, count, arguments);
    status = status != 0 ? status : words_want(&line, 2, "publish CHANNEL MESSAGE [--base64]");
    if (status != 0) {
        return status;
    }
    json_memory_unbound();
    json_t *object = json_pack("{s:s, s:s}", "channel", line.words[0],
                               line.is_base64 ? "base64" : "text", line.words[1]);
    char *body = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (body == NULL) {
        (void)fprintf(stderr, "holdfast: channel and message must be UTF-8\n");
        return 1;
    }
    status = ask(&line, "POST", "/publish", body);
    free(body);
    return status;
}

// Adds name=value, escaped. False: too long.
static bool query_add(char *target, size_t room, const char *name, const char *value) {
    size_t used = strlen(target);
    char escaped[1024];
    bool is_first = strchr(target, '?') == NULL;
    if (!client_escape(value, escaped, sizeof escaped)) {
        return false;
    }
    int printed =
        snprintf(target + used, room - used, "%c%s=%s", is_first ? '?' : '&', name, escaped);
    return printed > 0 && (size_t)printed < room - used;
}

int cli_connections(int count, char **arguments) {
    struct request_line line;
    int status = line_parse(&line, count, arguments);
    if (status == 0 && line.word_count > 1) {
        status = words_want(
            &line, 0,
            "connections [ID] [--state S] [--channel C] [--route R] [--address A] [--limit N]");
    }
    if (status != 0) {
        return status;
    }
    char target[2048] = "/connections";
    if (line.word_count == 1) {
        (void)snprintf(target, sizeof target, "/connections/%s",
                       line.words[0]); // cut: then there is no such connection
    }
    for (int i = 0; i < 5; i++) {
        if (line.filter[i] != NULL &&
            !query_add(target, sizeof target, filter_names[i], line.filter[i])) {
            (void)fprintf(stderr, "holdfast: filter too long\n");
            return 2;
        }
    }
    return ask(&line, "GET", target, NULL);
}

int cli_close(int count, char **arguments) {
    struct request_line line;
    int status = line_parse(&line, count, arguments);
    bool has_filter = line.filter[1] != NULL || line.filter[2] != NULL;
    if (status == 0 && !has_filter) {
        status = words_want(
            &line, 1, "close ID [--code N] [--reason TEXT] | close --channel C | close --route R");
    }
    if (status != 0) {
        return status;
    }
    char target[2048] = "/connections";
    bool is_fine = true;
    if (has_filter) {
        for (int i = 1; i < 3; i++) {
            is_fine =
                is_fine && (line.filter[i] == NULL ||
                            query_add(target, sizeof target, filter_names[i], line.filter[i]));
        }
    } else {
        (void)snprintf(target, sizeof target, "/connections/%s",
                       line.words[0]); // cut: then there is no such connection
        is_fine = (line.code == NULL || query_add(target, sizeof target, "code", line.code)) &&
                  (line.reason == NULL || query_add(target, sizeof target, "reason", line.reason));
    }
    if (!is_fine) {
        (void)fprintf(stderr, "holdfast: argument too long\n");
        return 2;
    }
    return ask(&line, "DELETE", target, NULL);
}

int cli_channels(int count, char **arguments) {
    struct request_line line;
    int status = line_parse(&line, count, arguments);
    status = status != 0 ? status : words_want(&line, 0, "channels [--limit N]");
    char target[128] = "/channels";
    if (status == 0 && line.filter[4] != NULL) {
        status = query_add(target, sizeof target, "limit", line.filter[4]) ? 0 : 2;
    }
    return status != 0 ? status : ask(&line, "GET", target, NULL);
}

int cli_drain(int count, char **arguments) {
    struct request_line line;
    int status = line_parse(&line, count, arguments);
    status = status != 0 ? status : words_want(&line, 0, "drain [--over TIME]");
    if (status != 0) {
        return status;
    }
    char body[64] = "{}";
    if (line.over != NULL) {
        int printed = snprintf(body, sizeof body, "{\"over\":\"%s\"}", line.over);
        if (printed < 0 || (size_t)printed >= sizeof body || strpbrk(line.over, "\"\\") != NULL) {
            (void)fprintf(stderr, "holdfast: --over takes a time as 30s or 1h\n");
            return 2;
        }
    }
    return ask(&line, "POST", "/drain", body);
}

int cli_reload(int count, char **arguments) {
    struct request_line line;
    int status = line_parse(&line, count, arguments);
    status = status != 0 ? status : words_want(&line, 0, "reload");
    return status != 0 ? status : ask(&line, "POST", "/reload", NULL);
}

int cli_trace(int count, char **arguments) {
    struct request_line line;
    int status = line_parse(&line, count, arguments);
    status = status != 0 ? status : words_want(&line, 0, "trace");
    return status != 0 ? status : ask(&line, "GET", "/trace", NULL);
}

int cli_metrics(int count, char **arguments) {
    struct request_line line;
    int status = line_parse(&line, count, arguments);
    status = status != 0 ? status : words_want(&line, 0, "metrics");
    return status != 0 ? status : ask(&line, "GET", "/metrics", NULL);
}
