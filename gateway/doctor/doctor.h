// `holdfast doctor`: what this machine allows, what the configuration asks for, and the command
// that brings the two together.
#pragma once

// argv as main got it, with the verb. The exit status: 0 nothing failed (with --strict: nor is
// there a warning), 1 something did, 2 wrong usage.
int doctor_main(int argument_count, char **arguments);
