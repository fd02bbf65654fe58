// What libyaml refused, said with its place and a remedy. Inside this room only.
#pragma once
#include "gateway/config/reader.h"

struct yaml_parser_s;

// Adds the one error that `parser` stopped at (or notes that memory is short).
void config_syntax_error(struct config_reader *reader, const struct yaml_parser_s *parser);
