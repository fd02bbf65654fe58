#include "bench/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/frame.h"
#include "bench/secure.h"

struct mode_row {
    const char *name;
    enum mode mode;
    const char *text;
};

static const struct mode_row MODES[] = {
    {"hold", MODE_HOLD,
     "Opens connections, holds them, answers pings. Prints bytes per connection of the server and "
     "its CPU per\n"
     "ping. Fails when a connection was closed or missed a ping. URL: any WebSocket path."},
    {"echo", MODE_ECHO,
     "Closed loop: every connection keeps --depth messages in flight and verifies every byte of "
     "every answer.\n"
     "URL: a path that echoes."},
    {"fanout", MODE_FANOUT,
     "Each publisher publishes --depth messages at once; the next burst leaves when every "
     "subscriber has all of\n"
     "them. Order and bytes of every delivery are verified. URL: a channel, e.g. "
     "ws://127.0.0.1:8080/chat/x."},
    {"slow", MODE_SLOW,
     "Phase 1: --readers on a busy channel. Phase 2: the same with --stalled more that stop "
     "reading. Then the\n"
     "stalled resume. Prints p99 of both phases, the server's greatest PSS, and per connection "
     "whether\n"
     "delivered + dropped = published. URL: a channel."},
    {"drain", MODE_DRAIN,
     "Connections on --channels channels with traffic until the server closes them (send it "
     "SIGTERM). Every\n"
     "connection must see 1012 and every message before it. URL: a channel, {n} is its number."},
    {"churn", MODE_CHURN,
     "Handshake, Close, TCP close, again: cycles per second. URL: any WebSocket path."},
    {"storm", MODE_STORM,
     "All connections are cut and come back at once, --rounds times. Who is refused with 429 or "
     "503 "
     "waits as long\n"
     "as Retry-After says and a random part more. Prints how long each was away, counted from the "
     "cut. URL: any\n"
     "WebSocket path."},
    {"mix", MODE_MIX,
     "An idle population on a channel that gets a broadcast now and then, and beside it --talkers "
     "that "
     "send --rate\n"
     "messages a second to an echo path. Prints the latency of both. URL: a channel."},
};
enum { MODE_COUNT = sizeof MODES / sizeof MODES[0] };

enum option_kind { KIND_COUNT, KIND_NUMBER, KIND_SECONDS, KIND_FLAG, KIND_TEXT };

struct option_row {
    const char *name;
    enum option_kind kind;
    size_t offset;
    unsigned modes;
    const char *text;
};

#define AT(field) offsetof(struct options, field)
static const struct option_row OPTIONS[] = {
    {"connections", KIND_COUNT, AT(connections),
     MODE_HOLD | MODE_ECHO | MODE_DRAIN | MODE_STORM | MODE_MIX,
     "connections in all; mix: those that only listen"},
    {"talkers", KIND_COUNT, AT(talkers), MODE_MIX, "connections that talk"},
    {"talk", KIND_TEXT, AT(talk), MODE_MIX, "their path on the same server: one that echoes"},
    {"broadcast-interval", KIND_SECONDS, AT(broadcast_interval), MODE_MIX,
     "seconds between two messages to all that listen"},
    {"rounds", KIND_COUNT, AT(rounds), MODE_STORM, "storms, one after the other"},
    {"subscribers", KIND_COUNT, AT(connections), MODE_FANOUT, "connections that only receive"},
    {"publishers", KIND_COUNT, AT(publishers), MODE_FANOUT, "connections that publish (1)"},
    {"readers", KIND_COUNT, AT(readers), MODE_SLOW, "subscribers that read"},
    {"stalled", KIND_COUNT, AT(stalled), MODE_SLOW, "subscribers that stop reading in phase 2"},
    {"channels", KIND_COUNT, AT(channels), MODE_DRAIN, "values of {n} in the path"},
    {"broadcasts", KIND_COUNT, AT(broadcasts), MODE_HOLD,
     "messages to all at the end of the held time; the URL must be a channel (0)"},
    {"size", KIND_COUNT, AT(size),
     MODE_HOLD | MODE_ECHO | MODE_FANOUT | MODE_SLOW | MODE_DRAIN | MODE_MIX,
     "payload bytes, at least 16; B, KiB and MiB are understood"},
    {"depth", KIND_COUNT, AT(depth), MODE_ECHO | MODE_FANOUT, "messages in flight"},
    {"rate", KIND_COUNT, AT(rate), MODE_ECHO | MODE_FANOUT | MODE_SLOW | MODE_DRAIN | MODE_MIX,
     "messages a second by the clock, each dated with when it was due (0: the next one when the "
     "last is there)"},
    {"rate", KIND_COUNT, AT(open_rate), MODE_HOLD | MODE_STORM, "connections opened a second"},
    {"open-rate", KIND_COUNT, AT(open_rate), MODE_MIX, "connections opened a second"},
    {"concurrency", KIND_COUNT, AT(concurrency), MODE_ALL,
     "handshakes in progress at once; churn: connections"},
    {"seconds", KIND_SECONDS, AT(seconds), MODE_ALL,
     "length of the measured part; drain: how long to wait for the closes"},
    {"warmup", KIND_SECONDS, AT(warmup_seconds),
     MODE_ECHO | MODE_FANOUT | MODE_CHURN | MODE_DRAIN | MODE_MIX, "seconds before it"},
    {"ping-interval", KIND_SECONDS, AT(ping_interval), MODE_HOLD, "the server's ping interval"},
    {"pings", KIND_COUNT, AT(pings), MODE_HOLD,
     "pings each connection must receive (seconds / ping-interval)"},
    {"receive-buffer", KIND_COUNT, AT(receive_buffer), MODE_SLOW,
     "SO_RCVBUF of the stalled, 0: the system's"},
    {"children", KIND_COUNT, AT(children), MODE_HOLD | MODE_ECHO | MODE_STORM | MODE_MIX,
     "client processes (as many as the descriptor limit asks for)"},
    {"code", KIND_COUNT, AT(code), MODE_DRAIN, "the close code that every connection must see"},
    {"term", KIND_FLAG, AT(has_term), MODE_DRAIN, "send SIGTERM to --pid after --warmup seconds"},
    {"metrics", KIND_TEXT, AT(metrics), MODE_SLOW,
     "URL of the server's Prometheus page: hold its count of drops against what is missing"},
    {"metric", KIND_TEXT, AT(metric), MODE_SLOW, "name of that counter; its labels are summed up"},
    {"rows", KIND_TEXT, AT(rows), MODE_SLOW, "file for one CSV line per connection"},
    {"pid", KIND_COUNT, AT(pid), MODE_ALL, "the server's process: measure its CPU and memory"},
    {"cpu", KIND_NUMBER, AT(cpu), MODE_ALL, "bind the clients to this CPU and spin (-1: neither)"},
    {"server-cpu", KIND_NUMBER, AT(server_cpu), MODE_ALL,
     "the CPU of the server's worker: measure its distance to --cpu, and its ksoftirqd"},
    {"bound-only", KIND_FLAG, AT(is_bound_only), MODE_ALL,
     "count only the server's threads that are bound to --server-cpu, and no other"},
    {"tree", KIND_FLAG, AT(is_tree), MODE_ALL, "the server is --pid and all its descendants"},
    {"nats", KIND_TEXT, AT(nats), MODE_FANOUT | MODE_HOLD,
     "the server is nats-server: speak its protocol inside the frames, on this subject"},
    {"sleep", KIND_FLAG, AT(may_sleep), MODE_ALL,
     "let the clients sleep although --cpu is given; hold always sleeps"},
    {"text", KIND_FLAG, AT(is_text), MODE_ALL, "text messages instead of binary ones"},
    {"floor", KIND_FLAG, AT(is_floor), MODE_ECHO,
     "the server is a floor program: verify sizes only, not payloads"},
    {"resume", KIND_FLAG, AT(does_resume), MODE_ALL,
     "wss: begin with the session of an earlier connection"},
    {"deflate", KIND_FLAG, AT(does_deflate), MODE_ALL,
     "compress every message, and offer permessage-deflate to the server, which must agree"},
    {"no-self", KIND_FLAG, AT(has_no_self), MODE_FANOUT | MODE_SLOW | MODE_DRAIN,
     "the server does not send a publisher its own messages"},
    {"json", KIND_FLAG, AT(is_json), MODE_ALL, "one JSON object on stdout instead of a table"},
    {"quiet", KIND_FLAG, AT(is_quiet), MODE_ALL, "no progress lines on stderr"},
};
enum { OPTION_COUNT = sizeof OPTIONS / sizeof OPTIONS[0] };

static void help_general(void) {
    printf("holdfast-bench MODE URL [options]: a load generator for WebSocket servers\n\n"
           "URL: ws://ADDRESS:PORT/PATH or wss://...\n\nModes:\n");
    for (size_t i = 0; i < MODE_COUNT; i++) {
        printf("  %-8s %.*s\n", MODES[i].name, (int)strcspn(MODES[i].text, ".\n"), MODES[i].text);
    }
    printf("\nholdfast-bench MODE --help lists a mode's options. Exit: 0 all verified, 1 not, 2 "
           "usage.\n");
}

static void help_mode(const struct mode_row *row, const struct options *defaults) {
    printf("holdfast-bench %s URL [options]\n\n%s\n\n", row->name, row->text);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = &OPTIONS[i];
        if ((option->modes & row->mode) == 0) {
            continue;
        }
        const char *field = (const char *)defaults + option->offset;
        char value[48] = "";
        if (option->kind == KIND_COUNT) {
            snprintf(value, sizeof value, "%llu", *(const unsigned long long *)(const void *)field);
        } else if (option->kind == KIND_NUMBER) {
            snprintf(value, sizeof value, "%lld", *(const long long *)(const void *)field);
        } else if (option->kind == KIND_SECONDS) {
            snprintf(value, sizeof value, "%g", *(const double *)(const void *)field);
        } else if (option->kind == KIND_TEXT) {
            snprintf(value, sizeof value, "%.40s", field);
        }
        printf("  --%-16s %-8s %s\n", option->name, value, option->text);
    }
}

static bool value_read(const struct option_row *option, const char *text, char *field) {
    char *end = NULL;
    errno = 0;
    if (option->kind == KIND_TEXT) {
        snprintf(field, option->offset == AT(metric) ? sizeof(((struct options *)0)->metric) : 256,
                 "%s", text);
        return true;
    }
    if (option->kind == KIND_SECONDS) {
        double value = strtod(text, &end);
        *(double *)(void *)field = value;
        return errno == 0 && end != text && (*end == 0 || strcmp(end, "s") == 0) && value >= 0;
    }
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text) {
        return false;
    }
    if (option->kind == KIND_NUMBER) {
        *(int64_t *)(void *)field = value;
        return *end == 0;
    }
    int shift = strcmp(end, "KiB") == 0 ? 10 : strcmp(end, "MiB") == 0 ? 20 : 0;
    *(uint64_t *)(void *)field = (uint64_t)value << shift;
    return value >= 0 && (shift != 0 || *end == 0 || strcmp(end, "B") == 0);
}

static bool url_read(struct options *options, const char *url) {
    options->is_secure = strncmp(url, "wss://", 6) == 0;
    if (!options->is_secure && strncmp(url, "ws://", 5) != 0) {
        return false;
    }
    const char *host = url + (options->is_secure ? 6 : 5);
    size_t host_length = strcspn(host, "/");
    snprintf(options->host, sizeof options->host, "%.*s", (int)host_length, host);
    snprintf(options->path, sizeof options->path, "%s",
             host[host_length] == 0 ? "/" : host + host_length);
    char name[256];
    const char *colon = strchr(options->host, ':');
    size_t name_length = colon == NULL ? strlen(options->host) : (size_t)(colon - options->host);
    snprintf(name, sizeof name, "%.*s", (int)name_length, options->host);
    long port = colon == NULL ? (options->is_secure ? 443 : 80) : strtol(colon + 1, NULL, 10);
    options->address.sin_family = AF_INET;
    options->address.sin_port = htons((uint16_t)port);
    const char *address = strcmp(name, "localhost") == 0 ? "127.0.0.1" : name;
    return port > 0 && port < 65536 && inet_pton(AF_INET, address, &options->address.sin_addr) == 1;
}

static void defaults_set(struct options *options, enum mode mode) {
    *options = (struct options){.mode = mode,
                                .seconds = 5,
                                .warmup_seconds = 1,
                                .ping_interval = 25,
                                .broadcast_interval = 1,
                                .connections = mode == MODE_ECHO                        ? 100
                                               : mode == MODE_DRAIN || mode == MODE_MIX ? 10000
                                                                                        : 1000,
                                .talkers = 100,
                                .talk = "/echo",
                                .rounds = 3,
                                .size = 20,
                                .depth = 1,
                                .concurrency = mode == MODE_CHURN   ? 64
                                               : mode == MODE_STORM ? 1000000
                                                                    : 256,
                                .publishers = 1,
                                .readers = 1000,
                                .stalled = 1000,
                                .channels = 100,
                                .receive_buffer = 4096,
                                .code = 1012,
                                .cpu = -1,
                                .server_cpu = -1};
    if (mode == MODE_HOLD || mode == MODE_STORM || mode == MODE_MIX) {
        options->open_rate = 10000;
    }
    if (mode == MODE_HOLD) {
        options->seconds = 101;
    } else if (mode == MODE_DRAIN) {
        options->seconds = 120;
        options->rate = 1000;
    } else if (mode == MODE_STORM) {
        options->seconds = 60;
    } else if (mode == MODE_MIX) {
        options->seconds = 10;
        options->rate = 1000;
    } else if (mode == MODE_SLOW) {
        options->seconds = 10;
        options->size = 1024;
        options->rate = 200;
    }
}

static const struct option_row *option_find(const char *name, size_t length, enum mode mode) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strlen(OPTIONS[i].name) == length && strncmp(OPTIONS[i].name, name, length) == 0 &&
            (OPTIONS[i].modes & mode) != 0) {
            return &OPTIONS[i];
        }
    }
    return NULL;
}

// Reads the argument at *at (and its value behind it). False: the reason is on stderr.
static bool argument_read(struct options *options, int count, char **arguments, int *at) {
    const char *name = arguments[*at] + 2;
    size_t length = strcspn(name, "=");
    const struct option_row *option = option_find(name, length, options->mode);
    if (option == NULL) {
        fprintf(stderr,
                "holdfast-bench: %s has no option --%.*s; `holdfast-bench %s --help` lists them\n",
                options_mode_name(options->mode), (int)length, name,
                options_mode_name(options->mode));
        return false;
    }
    char *field = (char *)options + option->offset;
    if (option->kind == KIND_FLAG) {
        *(bool *)field = true;
        return true;
    }
    const char *value = NULL;
    if (name[length] == '=') {
        value = name + length + 1;
    } else if (*at + 1 < count) {
        value = arguments[++*at];
    }
    if (value == NULL || !value_read(option, value, field)) {
        fprintf(stderr, "holdfast-bench: --%s needs a value, not `%s`\n", option->name,
                value == NULL ? "" : value);
        return false;
    }
    return true;
}

static bool options_check(const struct options *options, bool has_url) {
    const char *problem = NULL;
    if (options->is_secure && !secure_is_built()) {
        problem = "built without TLS: wss:// cannot be used";
    } else if (!has_url) {
        problem = "a URL is missing; write ws://127.0.0.1:8080/echo";
    } else if (options->size < PAYLOAD_MIN || options->size > PAYLOAD_MAX) {
        problem = "--size must lie between 16 and 16MiB";
    } else if (options->depth == 0 || options->depth > 1024) {
        problem = "--depth must lie between 1 and 1024";
    } else if (options->connections == 0 || options->connections > 4000000) {
        problem = "--connections must lie between 1 and 4000000";
    } else if (options->concurrency == 0 || options->channels == 0 ||
               (options->rate == 0 && (options->mode & (MODE_SLOW | MODE_DRAIN | MODE_MIX)) != 0)) {
        problem = "--rate, --concurrency and --channels must be at least 1";
    } else if (options->rate != 0 && options->depth != 1) {
        problem = "--depth is for the closed loop: leave it or --rate out";
    } else if (options->nats[strcspn(options->nats, " \r\n")] != 0 || strlen(options->nats) > 200) {
        problem = "--nats needs a subject: at most 200 bytes without spaces";
    } else if (options->does_deflate && (options->nats[0] != 0 || options->is_floor)) {
        problem = "--deflate cannot be combined with --nats or --floor";
    } else if (options->rate > 100000000) {
        problem = "--rate must be at most 100000000";
    } else if (options->talkers > 100000 || options->rounds == 0) {
        problem = "--talkers must be at most 100000, --rounds at least 1";
    } else if (options->mode == MODE_MIX && (options->talkers == 0 || options->talk[0] != '/' ||
                                             options->broadcast_interval < 0.01)) {
        problem = "--talkers must be at least 1, --talk a path, --broadcast-interval at least 0.01";
    } else if (options->publishers == 0 || options->publishers > 64) {
        problem = "--publishers must lie between 1 and 64";
    } else if (options->cpu > 1023 || options->server_cpu > 1023) {
        problem = "--cpu and --server-cpu must be CPU numbers";
    }
    if (problem != NULL) {
        fprintf(stderr, "holdfast-bench: %s\n", problem);
    }
    return problem == NULL;
}

enum options_result options_read(struct options *options, int count, char **arguments) {
    const struct mode_row *row = NULL;
    for (size_t i = 0; i < MODE_COUNT && count > 1; i++) {
        if (strcmp(MODES[i].name, arguments[1]) == 0) {
            row = &MODES[i];
        }
    }
    if (row == NULL) {
        if (count > 1 && (strcmp(arguments[1], "--help") == 0 || strcmp(arguments[1], "-h") == 0)) {
            help_general();
            return OPTIONS_HELP;
        }
        fprintf(
            stderr,
            "holdfast-bench: the first argument is a mode; `holdfast-bench --help` lists them\n");
        return OPTIONS_WRONG;
    }
    defaults_set(options, row->mode);
    bool has_url = false;
    for (int at = 2; at < count; at++) {
        if (strcmp(arguments[at], "--help") == 0 || strcmp(arguments[at], "-h") == 0) {
            help_mode(row, options);
            return OPTIONS_HELP;
        }
        if (strncmp(arguments[at], "--", 2) != 0) {
            if (has_url || !url_read(options, arguments[at])) {
                fprintf(stderr,
                        "holdfast-bench: `%s` is neither ws://ADDRESS:PORT/PATH nor wss://...\n",
                        arguments[at]);
                return OPTIONS_WRONG;
            }
            has_url = true;
        } else if (!argument_read(options, count, arguments, &at)) {
            return OPTIONS_WRONG;
        }
    }
    return options_check(options, has_url) ? OPTIONS_RUN : OPTIONS_WRONG;
}

const char *options_mode_name(enum mode mode) {
    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (MODES[i].mode == mode) {
            return MODES[i].name;
        }
    }
    return "?";
}
