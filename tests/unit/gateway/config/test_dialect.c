// The dialect: what YAML allows and this configuration does not, syntax errors with their remedies,
// and
// ${NAME}.
#include "tests/unit/gateway/config/harness.h"

#define COUNT_OF(rows) (sizeof(rows) / sizeof((rows)[0]))

Test(config_dialect, empty_files) {
    static const struct refusal rows[] = {
        {"", "f.yaml:1:1: the file is empty; write at least `listeners` and `routes`\n"},
        {"# only a comment\n",
         "f.yaml:1:1: the file is empty; write at least `listeners` and `routes`\n"},
        {"---\n",
         "f.yaml:2:1: the file is not a map; write keys such as `listeners:` and `routes:`\n"},
        {"- a\n",
         "f.yaml:1:1: the file is not a map; write keys such as `listeners:` and `routes:`\n"},
        {"text\n",
         "f.yaml:1:1: the file is not a map; write keys such as `listeners:` and `routes:`\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_dialect, anchors_aliases_and_tags) {
    static const struct refusal rows[] = {
        {BASE "drain: &x 1s\n",
         "f.yaml:3:8: anchors are not part of this dialect; write the value out and remove `&x`\n"},
        {BASE "drain: *x\n",
         "f.yaml:3:8: aliases are not part of this dialect; write the value out instead of `*x`\n"},
        {BASE "drain: !!str 1s\n",
         "f.yaml:3:8: tags are not part of this dialect; remove the tag `tag:yaml.org,2002:str`\n"},
        {BASE "drain: !x 1s\n",
         "f.yaml:3:8: tags are not part of this dialect; remove the tag `!x`\n"},
        {BASE "log: &x {level: debug}\n",
         "f.yaml:3:6: anchors are not part of this dialect; write the value out and remove `&x`\n"},
        {BASE "log: !!map {level: debug}\n",
         "f.yaml:3:6: tags are not part of this dialect; remove the tag `tag:yaml.org,2002:map`\n"},
        {BASE "trusted: &t []\n", "f.yaml:3:10: anchors are not part of this dialect; write the "
                                  "value out and remove `&t`\n"},
        {BASE "&k drain: 1s\n",
         "f.yaml:3:1: anchors are not part of this dialect; write the value out and remove `&k`\n"},
        {LISTENER "routes: &r\n"
                  "  - {path: /e, echo: {}}\n",
         "f.yaml:2:9: anchors are not part of this dialect; write the value out and remove `&r`\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_dialect, merge_keys) {
    static const struct refusal rows[] = {
        {BASE "<<: {drain: 1s}\n", "f.yaml:3:1: merge keys are not part of this dialect; write the "
                                   "keys out instead of `<<`\n"},
        {BASE "log: {<<: {level: debug}, level: info}\n",
         "f.yaml:3:7: merge keys are not part of this dialect; write the keys out instead of "
         "`<<`\n"},
        {BASE "\"<<\": {}\n", "f.yaml:3:1: merge keys are not part of this dialect; write the keys "
                              "out instead of `<<`\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_dialect, doubled_keys) {
    static const struct refusal rows[] = {
        {BASE "drain: 1s\n"
              "drain: 2s\n",
         "f.yaml:4:1: key `drain` is already set in line 3; remove one of them\n"},
        {BASE "log: {level: info, format: text, level: info}\n",
         "f.yaml:3:34: key `level` is already set in line 3; remove one of them\n"},
        {BASE "log: {level: info, level: info, level: info}\n",
         "f.yaml:3:20: key `level` is already set in line 3; remove one of them\n"
         "f.yaml:3:33: key `level` is already set in line 3; remove one of them\n"},
        {BASE "backplane: {a: {x: 1}, a: {x: 1}}\n",
         "f.yaml:3:1: `backplane` is not built yet in this version; remove it\n"
         "f.yaml:3:24: key `a` is already set in line 3; remove one of them\n"},
        {BASE "\"drain\": 1s\n"
              "'drain': 2s\n",
         "f.yaml:4:1: key `drain` is already set in line 3; remove one of them\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_dialect, further_documents) {
    static const struct refusal rows[] = {
        {BASE "---\n"
              "x: 1\n",
         "f.yaml:3:1: a further document begins here; keep one document in the file\n"},
        {BASE "...\n"
              "---\n"
              "listeners: [{address: 127.0.0.1:8080}]\n" ROUTE,
         "f.yaml:4:1: a further document begins here; keep one document in the file\n"},
        {BASE "zzz: 1\n"
              "---\n",
         "f.yaml:3:1: unknown key `zzz` at the top level; remove it, or write one of listeners, "
         "admin, workers, limits, keepalive, backpressure, compression, drain, log, "
         "engine, trusted, upstreams, auth, routes\n"
         "f.yaml:4:1: a further document begins here; keep one document in the file\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_dialect, directives) {
    static const struct refusal rows[] = {
        {"%YAML 1.1\n"
         "---\n"
         "listeners: [{address: 127.0.0.1:8080}]\n" ROUTE,
         "f.yaml:1:1: directives are not part of this dialect; remove the line that begins with "
         "%\n"},
        {"%TAG ! tag:example.com,2000:\n"
         "---\n"
         "listeners: [{address: 127.0.0.1:8080}]\n" ROUTE,
         "f.yaml:1:1: directives are not part of this dialect; remove the line that begins with "
         "%\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_dialect, keys_that_are_no_names) {
    static const struct refusal rows[] = {
        {BASE "? [a]\n"
              ": b\n",
         "f.yaml:3:3: a key is a list; write a name as the key\n"},
        {BASE "? {a: b}\n"
              ": c\n",
         "f.yaml:3:3: a key is a map; write a name as the key\n"},
        {BASE "{a: b}: c\n", "f.yaml:3:1: a key is a map; write a name as the key\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_dialect, an_unquoted_brace_names_its_remedy) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: /chat/{room}, echo: {}}\n",
         "f.yaml:3:18: a `{` outside of quotes; quote it: \"/chat/{room}\"\n"},
        {LISTENER "routes:\n"
                  "  - {path: /a/{b}/c/{d}, echo: {}}\n",
         "f.yaml:3:15: a `{` outside of quotes; quote it: \"/a/{b}/c/{d}\"\n"},
        {LISTENER "routes:\n"
                  "  - {path: \"/c/{r}\", channels: {subscribe: [chat.{r}]}}\n",
         "f.yaml:3:50: a `{` outside of quotes; quote it: \"chat.{r}\"\n"},
        {LISTENER "routes:\n"
                  "  - {path: \"/c/{r}\", channels: {publish: chat.{r}}}\n",
         "f.yaml:3:47: a `{` outside of quotes; quote it: \"chat.{r}\"\n"},
        {BASE "keepalive: {ping: ${DRAIN}}\n",
         "f.yaml:3:20: a `{` outside of quotes; quote it: \"${DRAIN}\"\n"},
        {LISTENER "routes:\n"
                  "  - path: {room}\n",
         "f.yaml:3:5: a route does nothing; add one of page, echo, channels, proxy and tunnel\n"
         "f.yaml:3:11: `path` is a map, not a single value; write one value, and quote it if it "
         "holds `{` or `[`\n"},
        {"é: {é: é{x}}\n", "f.yaml:1:9: a `{` outside of quotes; quote it: \"é{x}\"\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_dialect, syntax_errors) {
    static const struct refusal rows[] = {
        {"a: \"x\n", "f.yaml:1:4: not YAML: found unexpected end of stream while scanning a quoted "
                     "scalar; end the text with its quote\n"},
        {"a: 'x\n", "f.yaml:1:4: not YAML: found unexpected end of stream while scanning a quoted "
                    "scalar; end the text with its quote\n"},
        {"a: [::]:80\n", "f.yaml:1:5: not YAML: did not find expected node content while parsing a "
                         "flow node; put the text in quotes\n"},
        {"a:\n"
         "\tb: 1\n",
         "f.yaml:2:1: not YAML: found character that cannot start any token while scanning for the "
         "next token; indent with spaces instead of the tab\n"},
        {"a: b: c\n", "f.yaml:1:5: not YAML: mapping values are not allowed in this context; "
                      "indent the keys of one map alike, and quote a text that holds `: `\n"},
        {"a: {b: 1\n",
         "f.yaml:2:1: not YAML: did not find expected ',' or '}' while parsing a flow mapping, "
         "begun in line 1; separate the entries by `,` and end the map with `}`\n"},
        {"a: [1\n"
         "b: 2\n",
         "f.yaml:2:2: not YAML: did not find expected ',' or ']' while parsing a flow sequence, "
         "begun in line 1; separate the items by `,` and end the list with `]`\n"},
        {"a: 1\n"
         "b\n",
         "f.yaml:3:1: not YAML: could not find expected ':' while scanning a simple key, begun in "
         "line 2; write `key: value`\n"},
        {"a: @x\n", "f.yaml:1:4: not YAML: found character that cannot start any token while "
                    "scanning for the next token; put the text in quotes\n"},
        {"a: [*]\n", "f.yaml:1:6: not YAML: did not find expected alphabetic or numeric character "
                     "while scanning an alias; put the text in quotes\n"},
        {"a:\n"
         "  - 1\n"
         " - 2\n",
         "f.yaml:3:2: not YAML: did not find expected key while parsing a block mapping, begun in "
         "line 1; indent the keys of one map alike\n"},
        {"- a\n"
         "b: 1\n",
         "f.yaml:2:1: not YAML: did not find expected '-' indicator while parsing a block "
         "collection, begun in line 1; indent the items of one list alike\n"},
        {"a: \"\\q\"\n", "f.yaml:1:5: not YAML: found unknown escape character while parsing a "
                         "quoted scalar; write \\\\ for a backslash, or use single quotes\n"},
        {"}\n", "f.yaml:1:1: not YAML: did not find expected node content while parsing a block "
                "node; put the text in quotes\n"},
        {"%YAML 1.3\n"
         "---\n"
         "a: 1\n",
         "f.yaml:1:1: not YAML: found incompatible YAML document; correct it\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_dialect, a_syntax_error_ends_the_list) {
    static const struct refusal rows[] = {
        {BASE "zzz: 1\n"
              "log: &x {level: loud}\n"
              "a: {\n",
         "f.yaml:4:6: anchors are not part of this dialect; write the value out and remove `&x`\n"
         "f.yaml:6:1: not YAML: did not find expected node content while parsing a flow node; put "
         "the text in quotes\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_dialect, environment) {
    static const struct refusal rows[] = {
        {BASE "drain: ${NOT_SET}\n", "f.yaml:3:8: the environment variable NOT_SET is not set; set "
                                     "it, or write $${ for a literal ${\n"},
        {BASE "drain: ${1}\n", "f.yaml:3:8: `${1}` is not of the form ${NAME}; write a name of "
                               "letters, digits and _, or $${ for a literal ${\n"},
        {BASE "drain: ${A\n", "f.yaml:3:8: `${A` is not of the form ${NAME}; write a name of "
                              "letters, digits and _, or $${ for a literal ${\n"},
        {BASE "drain: ${}\n", "f.yaml:3:8: `${}` is not of the form ${NAME}; write a name of "
                              "letters, digits and _, or $${ for a literal ${\n"},
        {BASE "drain: ${0A}\n", "f.yaml:3:8: `${0A}` is not of the form ${NAME}; write a name of "
                                "letters, digits and _, or $${ for a literal ${\n"},
        {BASE "drain: 1${\n", "f.yaml:3:8: `${` is not of the form ${NAME}; write a name of "
                              "letters, digits and _, or $${ for a literal ${\n"},
        {BASE "drain: ${A-B}\n", "f.yaml:3:8: `${A-B}` is not of the form ${NAME}; write a name of "
                                 "letters, digits and _, or $${ for a literal ${\n"},
        {BASE "drain: $${A}\n", "f.yaml:3:8: `drain` is `${A}`, not a time; write a whole number "
                                "with ms, s, m or h, such as 30s\n"},
        {BASE "drain: ${LITERAL}\n", "f.yaml:3:8: `drain` is `${DRAIN}`, not a time; write a whole "
                                     "number with ms, s, m or h, such as 30s\n"},
        {BASE "drain: ${EMPTY}\n", "f.yaml:3:8: `drain` is empty; write a value\n"},
        {BASE "drain: 1${LONG}\n",
         "f.yaml:3:8: a text of more than 8192 bytes; shorten what ${...} stands for\n"},
        {BASE "${DRAIN}: 1s\n",
         "f.yaml:3:1: unknown key `${DRAIN}` at the top level; remove it, "
         "or write one of listeners, admin, workers, limits, keepalive, "
         "backpressure, compression, drain, log, engine, trusted, upstreams, auth, routes\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}
