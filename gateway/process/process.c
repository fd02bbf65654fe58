// Start, serve, end.
#include "gateway/process/process.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/process/files.h"
#include "gateway/process/signals.h"

static const struct config *config_load(const char *path) {
    struct config_errors *errors = calloc(1, sizeof *errors);
    if (errors == NULL) {
        return NULL;
    }
    const struct config *config = files_config_open(path, errors);
    for (uint32_t i = 0; i < errors->count; i++) {
        (void)fprintf(stderr, "%s\n", errors->lines[i]);
    }
    free(errors);
    return config;
}

int process_run(const struct process_options *options) {
    struct process *process = aligned_alloc(64, (sizeof *process + 63) / 64 * 64);
    if (process == NULL) {
        return 1;
    }
    memset(process, 0, sizeof *process);
    process->config_path = options->config_path;
    process->config = config_load(options->config_path);
    if (process->config == NULL) {
        free(process);
        return 1;
    }
    int status = 1;
    if (process_launch(process) == 0) {
        control_loop(process);
        status = process->state == PROCESS_STOPPED ? 0 : 1;
        if (status == 0) {
            process_join(process);
        }
        log_event(process->log, LOG_LEVEL_INFO, "stopped", log_number("status", (uint64_t)status));
    }
    process_log_flush(process);
    // The kernel takes back what a failed start or a failed worker leaves: their threads may still
    // run.
    if (status != 0) {
        exit(status);
    }
    signals_close(); // a second SIGTERM has nobody to hurry any more
    control_close(process);
    process_log_close(process);
    const struct config *config = process->config;
    site_close(&process->site);
    config_close(&config);
    free(process);
    return status;
}
