// The command line: verbs, options, help.
#pragma once

// argv as main got it. Returns the exit status: 0, 1 (said why), or 2 (wrong usage).
int cli_main(int argument_count, char **arguments);
