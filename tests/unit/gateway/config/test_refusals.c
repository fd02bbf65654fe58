// Every way a value of the top level can be wrong, with the exact line.
#include "tests/unit/gateway/config/harness.h"

#define COUNT_OF(rows) (sizeof(rows) / sizeof((rows)[0]))

Test(config_refusals, missing_keys) {
    static const struct refusal rows[] = {
        {LISTENER, "f.yaml:1:1: `routes` is missing; add it\n"},
        {ROUTE, "f.yaml:1:1: `listeners` is missing; add it\n"},
        {"listeners: []\n"
         "routes: []\n",
         "f.yaml:1:12: `listeners` is empty; add one such as - address: 127.0.0.1:8080\n"
         "f.yaml:2:9: `routes` is empty; add one such as - {path: /echo, echo: {}}\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, unknown_keys) {
    static const struct refusal rows[] = {
        {BASE "listner: 1\n",
         "f.yaml:3:1: unknown key `listner` at the top level; did you mean `listeners`?\n"},
        {BASE "zzz: 1\n",
         "f.yaml:3:1: unknown key `zzz` at the top level; remove it, or write one of listeners, "
         "admin, workers, limits, keepalive, backpressure, compression, drain, log, "
         "engine, trusted, upstreams, auth, routes\n"},
        {BASE "message: 1MiB\n",
         "f.yaml:3:1: `message` stands in the wrong map; write it into `limits: {...}`\n"},
        {BASE "upstream: 1\n",
         "f.yaml:3:1: unknown key `upstream` at the top level; did you mean `upstreams`?\n"},
        {BASE "level: info\n",
         "f.yaml:3:1: `level` stands in the wrong map; write it into `log: {...}`\n"},
        {BASE "log: {levle: info}\n",
         "f.yaml:3:7: unknown key `levle` in `log`; did you mean `level`?\n"},
        {BASE "limits: {mesage: 1MiB, connection: 1, x: 1}\n",
         "f.yaml:3:10: unknown key `mesage` in `limits`; did you mean `message`?\n"
         "f.yaml:3:24: unknown key `connection` in `limits`; did you mean `connections`?\n"
         "f.yaml:3:39: unknown key `x` in `limits`; remove it, or write one of connections, "
         "per_address, message, header, handshake, handshakes_per_second, handshakes_per_address, "
         "messages_per_second, bytes_per_second, channels, fragments, "
         "idle, age\n"},
        {BASE "thisnameislongerthaneverynameofours: 1\n",
         "f.yaml:3:1: unknown key `thisnameislongerthaneverynameofours` at the top level; remove "
         "it, or write one of listeners, admin, workers, limits, keepalive, backpressure, "
         "compression, drain, log, engine, trusted, upstreams, auth, routes\n"},
        {BASE "\"a\\0\\e\\x80\": 1\n",
         "f.yaml:3:1: unknown key `a\\x00\\x1b\\xc2\\x80` at the top level; remove it, or write "
         "one of listeners, admin, workers, limits, keepalive, backpressure, compression, drain, "
         "log, engine, "
         "trusted, upstreams, auth, routes\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, kinds) {
    static const struct refusal rows[] = {
        {BASE "limits: 3\n",
         "f.yaml:3:9: `limits` is a single value, not a map; write a map such as {key: value}\n"},
        {BASE "limits: []\n",
         "f.yaml:3:9: `limits` is a list, not a map; write a map such as {key: value}\n"},
        {BASE "limits:\n",
         "f.yaml:3:8: `limits` is empty, not a map; write a map such as {key: value}\n"},
        {BASE "workers: [1]\n", "f.yaml:3:10: `workers` is a list, not a single value; write one "
                                "value, and quote it if it holds `{` or `[`\n"},
        {BASE "workers: {}\n", "f.yaml:3:10: `workers` is a map, not a single value; write one "
                               "value, and quote it if it holds `{` or `[`\n"},
        {BASE "workers:\n", "f.yaml:3:9: `workers` is empty; write a value\n"},
        {BASE "trusted: {}\n",
         "f.yaml:3:10: `trusted` is a map, not a list; write a list such as [a, b]\n"},
        {BASE "trusted: 10.0.0.0/8\n",
         "f.yaml:3:10: `trusted` is a single value, not a list; write a list such as [a, b]\n"},
        {"listeners: 127.0.0.1:80\n" ROUTE,
         "f.yaml:1:12: `listeners` is a single value, not a list; write a list such as [a, b]\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, counts) {
    static const struct refusal rows[] = {
        {BASE "workers: 0\n",
         "f.yaml:3:10: `workers` is `0`, which is too small; write 1 to 64, or auto\n"},
        {BASE "workers: 65\n",
         "f.yaml:3:10: `workers` is `65`, which is too large; write 1 to 64, or auto\n"},
        {BASE "workers: -1\n",
         "f.yaml:3:10: `workers` is `-1`, not a whole number; write decimal digits such as 1000\n"},
        {BASE "workers: +1\n",
         "f.yaml:3:10: `workers` is `+1`, not a whole number; write decimal digits such as 1000\n"},
        {BASE "workers: 0x2\n", "f.yaml:3:10: `workers` is `0x2`, not a whole number; write "
                                "decimal digits such as 1000\n"},
        {BASE "workers: 010\n", "f.yaml:3:10: `workers` is `010`, not a whole number; write "
                                "decimal digits such as 1000\n"},
        {BASE "workers: 1.0\n", "f.yaml:3:10: `workers` is `1.0`, not a whole number; write "
                                "decimal digits such as 1000\n"},
        {BASE "workers: 1e1\n", "f.yaml:3:10: `workers` is `1e1`, not a whole number; write "
                                "decimal digits such as 1000\n"},
        {BASE "workers: 1_0\n", "f.yaml:3:10: `workers` is `1_0`, not a whole number; write "
                                "decimal digits such as 1000\n"},
        {BASE "workers: two\n", "f.yaml:3:10: `workers` is `two`, not a whole number; write "
                                "decimal digits such as 1000\n"},
        {BASE "workers: '1 '\n",
         "f.yaml:3:10: `workers` is `1 `, not a whole number; write decimal digits such as 1000\n"},
        {BASE "workers: 99999999999999999999999\n",
         "f.yaml:3:10: `workers` is `99999999999999999999999`, which is too large; write 1 to 64, "
         "or auto\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, sizes) {
    static const struct refusal rows[] = {
        {BASE "limits: {message: 1MB}\n",
         "f.yaml:3:19: `limits.message` is `1MB`, not a size; write a whole number with B, KiB, "
         "MiB or GiB, such as 64KiB\n"},
        {BASE "limits: {message: 1M}\n", "f.yaml:3:19: `limits.message` is `1M`, not a size; write "
                                         "a whole number with B, KiB, MiB or GiB, such as 64KiB\n"},
        {BASE "limits: {message: 1024}\n",
         "f.yaml:3:19: `limits.message` is `1024`, not a size; write a whole number with B, KiB, "
         "MiB or GiB, such as 64KiB\n"},
        {BASE "limits: {message: 1 KiB}\n",
         "f.yaml:3:19: `limits.message` is `1 KiB`, not a size; write a whole number with B, KiB, "
         "MiB or GiB, such as 64KiB\n"},
        {BASE "limits: {message: 1.5MiB}\n",
         "f.yaml:3:19: `limits.message` is `1.5MiB`, not a size; write a whole number with B, KiB, "
         "MiB or GiB, such as 64KiB\n"},
        {BASE "limits: {message: -1B}\n",
         "f.yaml:3:19: `limits.message` is `-1B`, not a size; write a whole number with B, KiB, "
         "MiB or GiB, such as 64KiB\n"},
        {BASE "limits: {message: 0B}\n",
         "f.yaml:3:19: `limits.message` is `0B`, which is too small; write 1B to 64MiB\n"},
        {BASE "limits: {message: 64MiB1}\n",
         "f.yaml:3:19: `limits.message` is `64MiB1`, not a size; write a whole number with B, KiB, "
         "MiB or GiB, such as 64KiB\n"},
        {BASE "limits: {message: 65MiB}\n",
         "f.yaml:3:19: `limits.message` is `65MiB`, which is too large; write 1B to 64MiB\n"},
        {BASE "limits: {message: KiB}\n",
         "f.yaml:3:19: `limits.message` is `KiB`, not a size; write a whole number with B, KiB, "
         "MiB or GiB, such as 64KiB\n"},
        {BASE "limits: {message: 99999999999999999999GiB}\n",
         "f.yaml:3:19: `limits.message` is `99999999999999999999GiB`, which is too large; write 1B "
         "to 64MiB\n"},
        {BASE "limits: {header: 1023B}\n",
         "f.yaml:3:18: `limits.header` is `1023B`, which is too small; write 1KiB to 64KiB\n"},
        {BASE "limits: {header: 65537B}\n",
         "f.yaml:3:18: `limits.header` is `65537B`, which is too large; write 1KiB to 64KiB\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, times) {
    static const struct refusal rows[] = {
        {BASE "drain: 30\n", "f.yaml:3:8: `drain` is `30`, not a time; write a whole number with "
                             "ms, s, m or h, such as 30s\n"},
        {BASE "drain: 1d\n", "f.yaml:3:8: `drain` is `1d`, not a time; write a whole number with "
                             "ms, s, m or h, such as 30s\n"},
        {BASE "drain: 1.5s\n", "f.yaml:3:8: `drain` is `1.5s`, not a time; write a whole number "
                               "with ms, s, m or h, such as 30s\n"},
        {BASE "drain: s\n", "f.yaml:3:8: `drain` is `s`, not a time; write a whole number with ms, "
                            "s, m or h, such as 30s\n"},
        {BASE "drain: 481h\n",
         "f.yaml:3:8: `drain` is `481h`, which is too large; write 0ms to 480h\n"},
        {BASE "drain: 1728000001ms\n",
         "f.yaml:3:8: `drain` is `1728000001ms`, which is too large; write 0ms to 480h\n"},
        {BASE "drain: -1s\n", "f.yaml:3:8: `drain` is `-1s`, not a time; write a whole number with "
                              "ms, s, m or h, such as 30s\n"},
        {BASE "drain: 1s 1s\n", "f.yaml:3:8: `drain` is `1s 1s`, not a time; write a whole number "
                                "with ms, s, m or h, such as 30s\n"},
        {BASE "limits: {idle: 9ms, age: 9ms, handshake: 9ms}\n",
         "f.yaml:3:16: `limits.idle` is `9ms`, which is too small; write 10ms to 480h, or off\n"
         "f.yaml:3:26: `limits.age` is `9ms`, which is too small; write 10ms to 480h, or off\n"
         "f.yaml:3:42: `limits.handshake` is `9ms`, which is too small; write 10ms to 480h\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, booleans) {
    static const struct refusal rows[] = {
        {BASE "engine: {zero_copy: yes}\n",
         "f.yaml:3:21: `engine.zero_copy` is `yes`, not a boolean; write true or false\n"},
        {BASE "engine: {zero_copy: no}\n",
         "f.yaml:3:21: `engine.zero_copy` is `no`, not a boolean; write true or false\n"},
        {BASE "engine: {zero_copy: on}\n",
         "f.yaml:3:21: `engine.zero_copy` is `on`, not a boolean; write true or false\n"},
        {BASE "engine: {zero_copy: off}\n",
         "f.yaml:3:21: `engine.zero_copy` is `off`, not a boolean; write true or false\n"},
        {BASE "engine: {zero_copy: True}\n",
         "f.yaml:3:21: `engine.zero_copy` is `True`, not a boolean; write true or false\n"},
        {BASE "engine: {zero_copy: TRUE}\n",
         "f.yaml:3:21: `engine.zero_copy` is `TRUE`, not a boolean; write true or false\n"},
        {BASE "engine: {zero_copy: 1}\n",
         "f.yaml:3:21: `engine.zero_copy` is `1`, not a boolean; write true or false\n"},
        {BASE "engine: {zero_copy: []}\n",
         "f.yaml:3:21: `engine.zero_copy` is a list, not a single value; write one value, and "
         "quote it if it holds `{` or `[`\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, words) {
    static const struct refusal rows[] = {
        {BASE "log: {level: loud, format: xml}\n",
         "f.yaml:3:14: `log.level` is `loud`, which is none of its words; write debug, info, warn "
         "or error\n"
         "f.yaml:3:28: `log.format` is `xml`, which is none of its words; write text or json\n"},
        {BASE "log: {level: INFO}\n", "f.yaml:3:14: `log.level` is `INFO`, which is none of its "
                                      "words; write debug, info, warn or error\n"},
        {BASE "backpressure: {policy: drop}\n",
         "f.yaml:3:24: `backpressure.policy` is `drop`, which is none of its words; write close, "
         "drop_oldest, drop_newest or conflate\n"},
        {BASE "workers: off\n", "f.yaml:3:10: `workers` is `off`, not a whole number; write "
                                "decimal digits such as 1000\n"},
        {BASE "limits: {per_address: auto}\n", "f.yaml:3:23: `limits.per_address` is `auto`, not a "
                                               "whole number; write decimal digits such as 1000\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, engine) {
    static const struct refusal rows[] = {
        {BASE "engine: {submissions: 100, completions: 15, buffers: 65536, slots: 127}\n",
         "f.yaml:3:23: `engine.submissions` is `100`, not a power of two; write a number such as "
         "256, 512 or 1024\n"
         "f.yaml:3:41: `engine.completions` is `15`, which is too small; write 16 to 65536\n"
         "f.yaml:3:54: `engine.buffers` is `65536`, which is too large; write 16 to 32768\n"
         "f.yaml:3:68: `engine.slots` is `127`, which is too small; write 128 to 65536, or auto\n"},
        {BASE "engine: {submissions: 8192}\n", "f.yaml:3:9: `engine.completions` is 4096 and less "
                                               "than `engine.submissions` of 8192; raise it\n"},
        {BASE "engine: {slots: 65537}\n", "f.yaml:3:17: `engine.slots` is `65537`, which is too "
                                          "large; write 128 to 65536, or auto\n"},
        {BASE "engine: {submissions: 3000, completions: 512}\n",
         "f.yaml:3:23: `engine.submissions` is `3000`, not a power of two; write a number such as "
         "256, 512 or 1024\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, values_that_do_not_fit_together) {
    static const struct refusal rows[] = {
        {BASE "keepalive: {ping: 5s, pong: 5s}\n", "f.yaml:3:29: `keepalive.pong` is 5s and not "
                                                   "less than `keepalive.ping` of 5s; lower it\n"},
        {BASE "keepalive: {pong: 25s}\n", "f.yaml:3:19: `keepalive.pong` is 25s and not less than "
                                          "`keepalive.ping` of 25s; lower it\n"},
        {BASE "backpressure: {worker_queue: 1MiB, queue: 1025KiB}\n",
         "f.yaml:3:43: `backpressure.queue` is 1025KiB and `backpressure.worker_queue` only 1MiB; "
         "lower the one or raise the other\n"},
        {BASE "limits: {message: 2MiB}\n"
              "backpressure: {worker_queue: 1MiB}\n",
         "f.yaml:3:19: `limits.message` is 2MiB and `backpressure.worker_queue` only 1MiB, so such "
         "a message could never be sent; lower the one or raise the other\n"},
        {BASE "backpressure: {worker_queue: 1MiB}\n"
              "limits: {message: 1048577B}\n",
         "f.yaml:4:19: `limits.message` is 1048577B and `backpressure.worker_queue` only 1MiB, so "
         "such a message could never be sent; lower the one or raise the other\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, listeners) {
    static const struct refusal rows[] = {
        {"listeners:\n"
         "  - address: localhost:80\n"
         "  - address: 127.0.0.1\n"
         "  - address: 127.0.0.1:0\n"
         "  - address: 127.0.0.1:65536\n"
         "  - address: ::1:80\n"
         "  - address: '[::1]'\n"
         "  - address: '[1.2.3.4]:8'\n"
         "  - address: '[::1]:'\n"
         "  - address: 'unix:'\n"
         "  - address: "
         "unix:/"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxx\n" ROUTE,
         "f.yaml:2:14: `listeners[].address` is `localhost:80`, which does not begin with a "
         "numeric address; write 0.0.0.0:PORT for every interface or 127.0.0.1:PORT for this "
         "machine only\n"
         "f.yaml:3:14: `listeners[].address` is `127.0.0.1`, which has no port; write host:port "
         "such as 127.0.0.1:8080, or unix:/path\n"
         "f.yaml:4:14: `listeners[].address` is `127.0.0.1:0`, which has no port of 1 to 65535; "
         "write host:port such as 127.0.0.1:8080\n"
         "f.yaml:5:14: `listeners[].address` is `127.0.0.1:65536`, which has no port of 1 to "
         "65535; write host:port such as 127.0.0.1:8080\n"
         "f.yaml:6:14: `listeners[].address` is `::1:80`, which is an IPv6 address without "
         "brackets; write it such as \"[::1]:8080\"\n"
         "f.yaml:7:14: `listeners[].address` is `[::1]`, which is not of the form [address]:port; "
         "write it such as \"[::1]:8080\"\n"
         "f.yaml:8:14: `listeners[].address` is `[1.2.3.4]:8`, which has no IPv6 address in its "
         "brackets; write it such as \"[::1]:8080\"\n"
         "f.yaml:9:14: `listeners[].address` is `[::1]:`, which has no port of 1 to 65535; write "
         "host:port such as 127.0.0.1:8080\n"
         "f.yaml:10:14: `listeners[].address` is `unix:`, which names no socket path of 1 to 107 "
         "bytes; write unix:/path\n"
         "f.yaml:11:14: `listeners[].address` is "
         "`unix:/"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "x...`, which names no socket path of 1 to 107 bytes; write unix:/path\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, listeners_without_an_address) {
    static const struct refusal rows[] = {
        {"listeners:\n"
         "  - address: ''\n"
         "  - {}\n"
         "  - 3\n"
         "  - {address: 1.2.3.4:5, adress: 1}\n" ROUTE,
         "f.yaml:2:14: `listeners[].address` is ``, which has no port; write host:port such as "
         "127.0.0.1:8080, or unix:/path\n"
         "f.yaml:3:5: `listeners[].address` is missing; add it\n"
         "f.yaml:4:5: `listeners[]` is a single value, not a map; write a map such as {key: "
         "value}\n"
         "f.yaml:5:26: unknown key `adress` in a listener; did you mean `address`?\n"},
        {"listeners:\n"
         "  - address: 127.0.0.1:81\n"
         "  - address: 127.0.0.1:82\n"
         "  - address: 127.0.0.1:83\n"
         "  - address: 127.0.0.1:84\n"
         "  - address: 127.0.0.1:85\n"
         "  - address: 127.0.0.1:86\n"
         "  - address: 127.0.0.1:87\n"
         "  - address: 127.0.0.1:88\n"
         "  - address: 127.0.0.1:89\n"
         "  - address: 127.0.0.1:90\n"
         "  - address: 127.0.0.1:91\n"
         "  - address: 127.0.0.1:92\n"
         "  - address: 127.0.0.1:93\n"
         "  - address: 127.0.0.1:94\n"
         "  - address: 127.0.0.1:95\n"
         "  - address: 127.0.0.1:96\n"
         "  - address: 127.0.0.1:97\n" ROUTE,
         "f.yaml:2:3: `listeners` has 17 entries; write at most 16\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, listeners_twice) {
    static const struct refusal rows[] = {
        {"listeners: [{address: 127.0.0.1:80}, {address: 127.0.0.1:80}]\n"
         "admin: {address: 127.0.0.1:80}\n" ROUTE,
         "f.yaml:1:23: the address `127.0.0.1:80` is also that of `admin` in line 2; change one of "
         "them\n"
         "f.yaml:1:48: the address `127.0.0.1:80` is already in line 1; remove one of them\n"
         "f.yaml:1:48: the address `127.0.0.1:80` is also that of `admin` in line 2; change one of "
         "them\n"},
        {"listeners: [{address: 'unix:/a'}, {address: 'unix:/a'}, {address: '[::1]:80'}, {address: "
         "'[0::1]:80'}]\n" ROUTE,
         "f.yaml:1:45: the address `unix:/a` is already in line 1; remove one of them\n"
         "f.yaml:1:90: the address `[0::1]:80` is already in line 1; remove one of them\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, admin) {
    static const struct refusal rows[] = {
        {BASE "admin: {address: 0.0.0.0:9090}\n",
         "f.yaml:3:18: `admin.address` is reachable from other machines and needs a token; add "
         "`token_file`, or write 127.0.0.1\n"},
        {BASE "admin: {address: '[::]:9090'}\n",
         "f.yaml:3:18: `admin.address` is reachable from other machines and needs a token; add "
         "`token_file`, or write 127.0.0.1\n"},
        {BASE "admin: {address: 127.0.0.1}\n",
         "f.yaml:3:18: `admin.address` is `127.0.0.1`, which has no port; write host:port such as "
         "127.0.0.1:8080, or unix:/path\n"},
        {BASE "admin: {address: 0.0.0.0:9090, token_file: missing.token}\n",
         "f.yaml:3:44: `admin.token_file` `missing.token` cannot be read: No such file or "
         "directory; create it, or correct the path\n"},
        {BASE "admin: {address: 127.0.0.1:9090, token_file: secret.token}\n",
         "f.yaml:3:46: `admin.token_file` `secret.token` cannot be read: Permission denied; create "
         "it, or correct the path\n"},
        {BASE "admin: {address: 0.0.0.0:9090, token_file: empty.token}\n",
         "f.yaml:3:44: `admin.token_file` `empty.token` holds no token; write one word of 1 to 256 "
         "visible ASCII characters into it\n"},
        {BASE "admin: {address: 127.0.0.1:9090, token_file: two.token}\n",
         "f.yaml:3:46: `admin.token_file` `two.token` holds no token; write one word of 1 to 256 "
         "visible ASCII characters into it\n"},
        {BASE "admin: {address: 127.0.0.1:9090, token_file: del.token}\n",
         "f.yaml:3:46: `admin.token_file` `del.token` holds no token; write one word of 1 to 256 "
         "visible ASCII characters into it\n"},
        {BASE "admin: {address: 127.0.0.1:9090, token_file: 257.token}\n",
         "f.yaml:3:46: `admin.token_file` `257.token` holds no token; write one word of 1 to 256 "
         "visible ASCII characters into it\n"},
        {BASE "admin: {address: 127.0.0.1:9090, token_file: ''}\n",
         "f.yaml:3:46: `admin.token_file` names no file; write its path\n"},
        {BASE "admin: {}\n", "f.yaml:3:8: `admin.address` is missing; add it\n"},
        {BASE "admin: {address: 127.0.0.1:9090, token: x}\n",
         "f.yaml:3:34: unknown key `token` in `admin`; remove it, or write one of address, "
         "token_file\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, trusted) {
    static const struct refusal rows[] = {
        {BASE "trusted: [10.0.0.1/8, foo, 10.0.0.0/33, 10.0.0.0/8, [a]]\n",
         "f.yaml:3:11: `trusted[]` is `10.0.0.1/8`, which is not an address range; write it such "
         "as 10.0.0.0/8 or \"fd00::/8\", without address bits behind the prefix\n"
         "f.yaml:3:23: `trusted[]` is `foo`, which is not an address range; write it such as "
         "10.0.0.0/8 or \"fd00::/8\", without address bits behind the prefix\n"
         "f.yaml:3:28: `trusted[]` is `10.0.0.0/33`, which is not an address range; write it such "
         "as 10.0.0.0/8 or \"fd00::/8\", without address bits behind the prefix\n"
         "f.yaml:3:53: `trusted[]` is a list, not a single value; write one value, and quote it if "
         "it holds `{` or `[`\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, compression) {
    static const struct refusal rows[] = {
        {BASE "compression: true\n",
         "f.yaml:3:14: `compression` is neither a map nor `false`; write {level: 1, threshold: "
         "256B}, or false\n"},
        {BASE "compression: [1]\n",
         "f.yaml:3:14: `compression` is neither a map nor `false`; write {level: 1, threshold: "
         "256B}, or false\n"},
        {BASE "compression: {levle: 1}\n",
         "f.yaml:3:15: unknown key `levle` in `compression`; did you mean `level`?\n"},
        {BASE "compression: {level: 10, takeover: client}\n",
         "f.yaml:3:22: `compression.level` is `10`, which is too large; write 1 to 9\n"
         "f.yaml:3:36: `compression.takeover` is `client`, which is none of its words; write off "
         "or server\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_refusals, proxy_protocol) {
    static const struct refusal rows[] = {
        {"listeners: [{address: 1.2.3.4:5, proxy_protocol: {}}]\n" ROUTE,
         "f.yaml:1:50: `proxy_protocol.trusted` is missing; add it\n"},
        {"listeners: [{address: 1.2.3.4:5, proxy_protocol: {trusted: []}}]\n" ROUTE,
         "f.yaml:1:60: `proxy_protocol.trusted` is empty, so that nobody could connect; write the "
         "addresses of your load balancers, such as [10.0.0.0/8]\n"},
        {"listeners: [{address: 1.2.3.4:5, proxy_protocol: {trusted: [10.0.0.1/8, a]}}]\n" ROUTE,
         "f.yaml:1:61: `proxy_protocol.trusted[]` is `10.0.0.1/8`, which is not an address range; "
         "write it such as 10.0.0.0/8 or \"fd00::/8\", without address bits behind the prefix\n"
         "f.yaml:1:73: `proxy_protocol.trusted[]` is `a`, which is not an address range; write it "
         "such as 10.0.0.0/8 or \"fd00::/8\", without address bits behind the prefix\n"},
        {BASE "limits: {bytes_per_second: 1KiB}\n",
         "f.yaml:3:28: `limits.bytes_per_second` is 1KiB and `limits.message` 1MiB, so such a "
         "message could never come in; raise the one or lower the other\n"},
        {BASE "limits: {messages_per_second: 0, handshakes_per_address: 2000000}\n",
         "f.yaml:3:31: `limits.messages_per_second` is `0`, which is too small; write 1 to "
         "1000000, "
         "or off\n"
         "f.yaml:3:58: `limits.handshakes_per_address` is `2000000`, which is too large; write 1 "
         "to "
         "1000000, or off\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
    const struct config *config = world_open(
        "listeners: [{address: 1.2.3.4:5, proxy_protocol: {trusted: [10.0.0.0/8, "
        "'fd00::/8']}}]\n" ROUTE
        "limits: {bytes_per_second: 1MiB, messages_per_second: 9, handshakes_per_address: 8}\n");
    cr_assert_eq(config->listeners[0].proxy.trusted_count, 2);
    cr_assert_eq(config->routes[0].limits.bytes_per_second, 1 << 20);
    cr_assert_eq(config->routes[0].limits.messages_per_second, 9);
    cr_assert_eq(config->admission.handshakes_per_address, 8);
    config_close(&config);
}

Test(config_refusals, parts_that_are_not_built) {
    static const struct refusal rows[] = {
        {BASE "backplane: {}\n",
         "f.yaml:3:1: `backplane` is not built yet in this version; remove it\n"},
        {BASE "upstreams: *x\n", "f.yaml:3:12: aliases are not part of this dialect; write the "
                                 "value out instead of `*x`\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

#define TLS(map) "listeners: [{address: 1.2.3.4:5, tls: " map "}]\n" ROUTE
Test(config_refusals, tls) {
    const struct refusal rows[] = {
        {TLS("{}"), "f.yaml:1:39: `tls.certificate` is missing; add it\n"
                    "f.yaml:1:39: `tls.key` is missing; add it\n"},
        {TLS("yes"), "f.yaml:1:39: `listeners[].tls` is a single value, not a map; write a map "
                     "such as {key: value}\n"},
        {TLS("{certificate: fullchain.pem, key: no.pem}"),
         "f.yaml:1:73: `tls.key` `no.pem` cannot be read: No such file or directory; create it, or "
         "correct the path\n"},
        {TLS("{certificate: fullchain.pem, key: key.pem, record_layer: kernel}"),
         "f.yaml:1:96: `tls.record_layer` is `kernel`, which is none of its words; write "
         "compact or library\n"},
        {TLS("{certificate: fullchain.pem, key: key.pem, client_certificates: optional}"),
         "f.yaml:1:103: `tls.client_certificates` needs `client_ca`: whose certificates they are; "
         "add it\n"},
        {TLS("{certificate: fullchain.pem, key: key.pem, ocsp_file: key.pem, client_ca: key.pem}"),
         "f.yaml:1:113: `tls.client_ca` does not go with `ocsp_file`: wolfSSL would believe the "
         "issuer of your own certificate about clients, too; remove one of them\n"},
        {TLS("{certificate: fullchain.pem, key: key.pem, minimum_version: 1.1}"),
         "f.yaml:1:99: `tls.minimum_version` is `1.1`, which is none of its words; write 1.2 or "
         "1.3\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}
