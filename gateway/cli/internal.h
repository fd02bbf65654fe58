// Verbs of cli_admin.c and probe.c: argv as main got it, exit status back.
#pragma once

int cli_publish(int count, char **arguments);
int cli_connections(int count, char **arguments);
int cli_close(int count, char **arguments);
int cli_channels(int count, char **arguments);
int cli_drain(int count, char **arguments);
int cli_reload(int count, char **arguments);
int cli_trace(int count, char **arguments);
int cli_metrics(int count, char **arguments);
int cli_probe(int count, char **arguments);
