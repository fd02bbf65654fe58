// Verbs of the command line.
#include "gateway/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/cli/internal.h"
#include "gateway/process/files.h"
#include "gateway/process/process.h"

static const char usage[] =
    "usage: holdfast VERB [options]\n"
    "\n"
    "  run [-c FILE]             serve; without a file the built-in demo on 127.0.0.1:8080\n"
    "  check -c FILE             check a configuration: file:line:column: problem; remedy\n"
    "  doctor [-c FILE]          what this machine allows, the commands that fix it, and capacity "
    "(--json\n"
    "                            --fix-plan --strict --pid --root)\n"
    "  probe URL                 does the path to there speak WebSocket (--idle --max --timeout "
    "--origin\n"
    "                            --subprotocol --header --ca --insecure)\n"
    "  config                    print the demo configuration\n"
    "  version | help\n"
    "\n"
    "Of a running gateway, by its admin API (--admin ADDRESS, default 127.0.0.1:9090, --token-file "
    "FILE,\n"
    "or -c FILE: both as that configuration says):\n"
    "\n"
    "  publish CHANNEL MESSAGE   send a message to a channel's subscribers (--base64: MESSAGE is "
    "binary)\n"
    "  connections [ID]          list them, or show one (--state --channel --route --address "
    "--limit)\n"
    "  close ID                  close one (--code --reason), or all of --channel or --route\n"
    "  channels                  list channels with subscribers (--limit)\n"
    "  metrics                   counters and gauges as Prometheus text\n"
    "  drain [--over TIME]       stop accepting and close everybody with 1012, spread over TIME; "
    "then exit\n"
    "  reload                    read the configuration again\n"
    "  trace                     the flight recorder of every worker\n"
    "\n"
    "Signals: SIGTERM and SIGINT drain (a second one hurries, a third cuts), SIGHUP reloads.\n"
    "Exit status: 0 done, 1 failed (the reason is on standard error), 2 wrong usage.\n";

// The value of -c, or NULL. *is_wrong: something else was there.
static const char *config_option(int count, char **arguments, bool *is_wrong) {
    const char *path = NULL;
    *is_wrong = false;
    for (int i = 2; i < count; i++) {
        bool is_config = strcmp(arguments[i], "-c") == 0 || strcmp(arguments[i], "--config") == 0;
        if (is_config && i + 1 < count) {
            path = arguments[++i];
        } else {
            (void)fprintf(stderr, "holdfast: unknown or incomplete option %s\n\n%s", arguments[i],
                          usage);
            *is_wrong = true;
        }
    }
    return path;
}

static int verb_run(int count, char **arguments) {
    bool is_wrong;
    const char *path = config_option(count, arguments, &is_wrong);
    return is_wrong ? 2 : process_run(&(struct process_options){.config_path = path});
}

static int verb_check(int count, char **arguments) {
    bool is_wrong;
    const char *path = config_option(count, arguments, &is_wrong);
    if (is_wrong || path == NULL) {
        (void)fprintf(stderr, "usage: holdfast check -c FILE\n");
        return 2;
    }
    struct config_errors *errors = calloc(1, sizeof *errors);
    if (errors == NULL) {
        return 1;
    }
    const struct config *config = files_config_open(path, errors);
    for (uint32_t i = 0; i < errors->count; i++) {
        (void)fprintf(stderr, "%s\n", errors->lines[i]);
    }
    int status = config == NULL ? 1 : 0;
    if (status == 0) {
        (void)printf("%s: ok\n", path);
    }
    config_close(&config);
    free(errors);
    return status;
}

static int verb_config(int count, char **arguments) {
    (void)count; // takes no options
    (void)arguments;
    struct span text = config_demo_text();
    return fwrite(text.data, 1, text.length, stdout) == text.length ? 0 : 1;
}

static int verb_version(int count, char **arguments) {
    (void)count; // takes no options
    (void)arguments;
    (void)printf("holdfast %s\n", HOLDFAST_VERSION);
    return 0;
}

static int verb_help(int count, char **arguments) {
    (void)count; // takes no options
    (void)arguments;
    (void)fputs(usage, stdout);
    return 0;
}

int cli_main(int argument_count, char **arguments) {
    static const struct {
        const char *name;
        int (*run)(int count, char **arguments);
    } verbs[] = {
        {"run", verb_run},         {"check", verb_check},       {"config", verb_config},
        {"probe", cli_probe},      {"publish", cli_publish},    {"connections", cli_connections},
        {"close", cli_close},      {"channels", cli_channels},  {"metrics", cli_metrics},
        {"drain", cli_drain},      {"reload", cli_reload},      {"trace", cli_trace},
        {"version", verb_version}, {"--version", verb_version}, {"help", verb_help},
        {"--help", verb_help},     {"-h", verb_help},
    };
    const char *name = argument_count > 1 ? arguments[1] : "";
    for (unsigned i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(name, verbs[i].name) == 0) {
            return verbs[i].run(argument_count, arguments);
        }
    }
    (void)fprintf(stderr, "holdfast: unknown verb %s\n\n%s", name, usage);
    return 2;
}
