// Every way a route can be wrong, with the exact line.
#include "tests/unit/gateway/config/harness.h"

#define COUNT_OF(rows) (sizeof(rows) / sizeof((rows)[0]))

Test(config_route_refusals, paths) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: \"chat\", echo: {}}\n"
                  "  - {path: \"\", echo: {}}\n"
                  "  - {path: \"/a//b\", echo: {}}\n"
                  "  - {path: \"//\", echo: {}}\n"
                  "  - {path: \"/a/../b\", echo: {}}\n"
                  "  - {path: \"/.\", echo: {}}\n"
                  "  - {path: \"/a/%2e\", echo: {}}\n"
                  "  - {path: \"/%2e%2E/b\", echo: {}}\n"
                  "  - {path: \"/a%2Fb\", echo: {}}\n"
                  "  - {path: \"/a%2fb\", echo: {}}\n"
                  "  - {path: \"/a%zz\", echo: {}}\n"
                  "  - {path: \"/a%2\", echo: {}}\n"
                  "  - {path: \"/a b\", echo: {}}\n",
         "f.yaml:3:12: `path` is `chat`, which does not begin with `/`; write it such as /chat\n"
         "f.yaml:4:12: `path` is ``, which does not begin with `/`; write it such as /chat\n"
         "f.yaml:5:12: `path` is `/a//b`, which has an empty segment; write one `/` instead of "
         "two\n"
         "f.yaml:6:12: `path` is `//`, which has an empty segment; write one `/` instead of two\n"
         "f.yaml:7:12: `path` is `/a/../b`, which has a `.` or `..` segment, which is refused in "
         "every request; write the path without it\n"
         "f.yaml:8:12: `path` is `/.`, which has a `.` or `..` segment, which is refused in every "
         "request; write the path without it\n"
         "f.yaml:9:12: `path` is `/a/%2e`, which has a `.` or `..` segment, which is refused in "
         "every request; write the path without it\n"
         "f.yaml:10:12: `path` is `/%2e%2E/b`, which has a `.` or `..` segment, which is refused "
         "in every request; write the path without it\n"
         "f.yaml:11:12: `path` is `/a%2Fb`, which holds %2F, which is refused in every request; "
         "write it without\n"
         "f.yaml:12:12: `path` is `/a%2fb`, which holds %2F, which is refused in every request; "
         "write it without\n"
         "f.yaml:13:12: `path` is `/a%zz`, which has a broken escape; write % and two hexadecimal "
         "digits\n"
         "f.yaml:14:12: `path` is `/a%2`, which has a broken escape; write % and two hexadecimal "
         "digits\n"
         "f.yaml:15:12: `path` is `/a b`, which holds a byte that no request path holds; "
         "percent-encode it\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, bytes_and_placeholders_of_paths) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: \"/a?b\", echo: {}}\n"
                  "  - {path: \"/a#b\", echo: {}}\n"
                  "  - {path: \"/é\", echo: {}}\n"
                  "  - {path: \"/a*\", echo: {}}\n"
                  "  - {path: \"/*/b\", echo: {}}\n"
                  "  - {path: \"/a{x}\", echo: {}}\n"
                  "  - {path: \"/{x}y\", echo: {}}\n"
                  "  - {path: \"/{x}/{x}\", echo: {}}\n"
                  "  - {path: \"/{}\", echo: {}}\n"
                  "  - {path: \"/{x-y}\", echo: {}}\n"
                  "  - {path: \"/}\", echo: {}}\n",
         "f.yaml:3:12: `path` is `/a?b`, which holds a byte that no request path holds; "
         "percent-encode it\n"
         "f.yaml:4:12: `path` is `/a#b`, which holds a byte that no request path holds; "
         "percent-encode it\n"
         "f.yaml:5:12: `path` is `/é`, which holds a byte that no request path holds; "
         "percent-encode it\n"
         "f.yaml:6:12: `path` is `/a*`, which has a `*` inside; write it only as the final `/*`\n"
         "f.yaml:7:12: `path` is `/*/b`, which has a `*` inside; write it only as the final `/*`\n"
         "f.yaml:8:12: `path` is `/a{x}`, which has a placeholder that is not a whole segment; "
         "write it such as \"/chat/{room}\"\n"
         "f.yaml:9:12: `path` is `/{x}y`, which has a placeholder that is not a whole segment; "
         "write it such as \"/chat/{room}\"\n"
         "f.yaml:10:12: `path` is `/{x}/{x}`, which has two placeholders of one name; rename one\n"
         "f.yaml:11:12: `path` is `/{}`, which has a placeholder without a proper name; write 1 to "
         "32 letters, digits and _ in the braces\n"
         "f.yaml:12:12: `path` is `/{x-y}`, which has a placeholder without a proper name; write 1 "
         "to 32 letters, digits and _ in the braces\n"
         "f.yaml:13:12: `path` is `/}`, which has a placeholder that is not a whole segment; write "
         "it such as \"/chat/{room}\"\n"},
        {LISTENER "routes:\n"
                  "  - {path: [], echo: {}}\n",
         "f.yaml:3:12: `path` is a list, not a single value; write one value, and quote it if it "
         "holds `{` or `[`\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, path_bounds) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: \"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}\", echo: {}}\n",
         "f.yaml:3:12: `path` is `/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}`, which has more than 8 "
         "placeholders; write fewer\n"},
        {LISTENER "routes:\n"
                  "  - {path: /a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/, "
                  "echo: {}}\n",
         "f.yaml:3:12: `path` is "
         "`/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/`, which has more than "
         "32 segments; write fewer\n"},
        {LISTENER "routes:\n"
                  "  - {path: \"/{xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}\", echo: {}}\n",
         "f.yaml:3:12: `path` is `/{xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}`, which has a placeholder "
         "without a proper name; write 1 to 32 letters, digits and _ in the braces\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, verbs) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: /a}\n"
                  "  - {path: /b, echo: {}, page: demo}\n"
                  "  - {path: /c, page: other}\n"
                  "  - {path: /d, echo: {x: 1}}\n"
                  "  - {path: /e, echo: true}\n"
                  "  - {echo: {}}\n"
                  "  - 5\n"
                  "  - {path: /g, channels: {}}\n"
                  "  - {path: /h, channels: []}\n"
                  "  - {path: /i, echo: }\n",
         "f.yaml:3:5: a route does nothing; add one of page, echo, channels, proxy and tunnel\n"
         "f.yaml:4:5: a route has both `page` and `echo`; write one verb per route\n"
         "f.yaml:5:22: `page` is `other`, which is none of its words; write demo\n"
         "f.yaml:6:22: `echo` has no keys; write echo: {}\n"
         "f.yaml:7:22: `echo` is a single value, not a map; write a map such as {key: value}\n"
         "f.yaml:8:5: `path` is missing; add it\n"
         "f.yaml:9:5: `routes[]` is a single value, not a map; write a map such as {key: value}\n"
         "f.yaml:10:26: `channels` names no channel; add subscribe, publish or allow\n"
         "f.yaml:11:26: `channels` is a list, not a map; write a map such as {key: value}\n"
         "f.yaml:12:22: `echo` is empty, not a map; write a map such as {key: value}\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, keys_without_meaning) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: /f, page: demo, messages: text, origins: [], origins_required: true, "
                  "subprotocols: [], keepalive: {}, backpressure: {}}\n"
                  "  - {path: /g, echo: {}, upgrade: true}\n",
         "f.yaml:3:38: `messages` has no meaning for `page`; remove it\n"
         "f.yaml:3:53: `origins` has no meaning for `page`; remove it\n"
         "f.yaml:3:75: `origins_required` has no meaning for `page`; remove it\n"
         "f.yaml:3:95: `subprotocols` has no meaning for `page`; remove it\n"
         "f.yaml:3:110: `keepalive` has no meaning for `page`; remove it\n"
         "f.yaml:3:128: `backpressure` has no meaning for `page`; remove it\n"
         "f.yaml:4:35: `upgrade` has a meaning for `proxy` only; remove it\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, parts_that_are_not_built) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: /a, proxy: {upstream: web}}\n"
                  "  - {path: /b, events: {}}\n"
                  "  - {path: /c, tunnel: {}}\n"
                  "  - {path: /e, proxy: {}, upgrade: false}\n",
         "f.yaml:3:34: there is no upstream `web`; add it to `upstreams`\n"
         "f.yaml:4:16: `events` is not built yet in this version; remove it\n"
         "f.yaml:5:24: `tunnel.upstream` is missing; add it\n"
         "f.yaml:6:23: `proxy.upstream` is missing; add it\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, takeover_and_a_policy_that_drops) {
    static const struct refusal rows[] = {
        {LISTENER "compression: {takeover: server}\n"
                  "routes:\n"
                  "  - {path: /a, echo: {}}\n"
                  "  - {path: /b, echo: {}, backpressure: {policy: drop_oldest}}\n"
                  "  - {path: /c, echo: {}, backpressure: {policy: conflate}, compression: false}\n"
                  "  - {path: /d, echo: {}, backpressure: {policy: conflate}, compression: "
                  "{takeover: off}}\n"
                  "  - {path: /e, echo: {}, backpressure: {policy: conflate}, compression: "
                  "{level: 2}}\n",
         "f.yaml:5:5: `compression.takeover` is `server` and `backpressure.policy` may drop "
         "messages; write compression: {takeover: off}, or policy: close\n"
         "f.yaml:8:73: `compression.takeover` is `server` and `backpressure.policy` may drop "
         "messages; write compression: {takeover: off}, or policy: close\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, templates) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: '/c/{room}', channels: {subscribe: ['a.{rom}', 'a b', 'x*', "
                  "'{claim.sub}', '', 'a{', 'ok.{room}', [x]], publish: 'a.*'}}\n"
                  "  - {path: '/d/{room}', channels: {allow: ['*', 'a.*', 'a*b', '**', '{claim.}', "
                  "'{claim.a-b}'], echo_self: maybe}}\n"
                  "  - {path: /e, channels: {publish: 'x/y'}}\n"
                  "  - {path: /f, channels: {subscribe: a}}\n"
                  "  - {path: /g, channels: {publish: [a]}}\n"
                  "  - {path: '/h/{a', channels: {subscribe: ['{b}']}}\n",
         "f.yaml:3:48: `channels.subscribe[]`: `{rom}` is no placeholder of the path; write one "
         "that the path has\n"
         "f.yaml:3:59: `channels.subscribe[]`: ` ` is no byte of a channel name; use A-Z a-z 0-9 _ "
         "- @ ~ . %\n"
         "f.yaml:3:66: `channels.subscribe[]`: `*` is no byte of a channel name; patterns stand in "
         "`allow` only\n"
         "f.yaml:3:72: `channels.subscribe[]`: `{claim.sub}` needs `auth` on the route; add it, or "
         "use another placeholder\n"
         "f.yaml:3:87: `channels.subscribe[]`: `` is empty; write a channel name\n"
         "f.yaml:3:91: `channels.subscribe[]`: `{` has no closing brace; write {name}\n"
         "f.yaml:3:110: `channels.subscribe[]` is a list, not a single value; write one value, and "
         "quote it if it holds `{` or `[`\n"
         "f.yaml:3:125: `channels.publish`: `*` is no byte of a channel name; patterns stand in "
         "`allow` only\n"
         "f.yaml:4:56: `channels.allow[]`: `*` stands before the end; write `*` only as the last "
         "byte\n"
         "f.yaml:4:63: `channels.allow[]`: `*` stands before the end; write `*` only as the last "
         "byte\n"
         "f.yaml:4:69: `channels.allow[]`: `{claim.}` is no claim; write {claim.NAME} with 1 to 32 "
         "letters, digits and _\n"
         "f.yaml:4:81: `channels.allow[]`: `{claim.a-b}` is no claim; write {claim.NAME} with 1 to "
         "32 letters, digits and _\n"
         "f.yaml:4:108: `channels.echo_self` is `maybe`, not a boolean; write true or false\n"
         "f.yaml:5:36: `channels.publish`: `/` is no byte of a channel name; use A-Z a-z 0-9 _ - @ "
         "~ . %\n"
         "f.yaml:6:38: `channels.subscribe` is a single value, not a list; write a list such as "
         "[a, b]\n"
         "f.yaml:7:36: `channels.publish` is a list, not a single value; write one value, and "
         "quote it if it holds `{` or `[`\n"
         "f.yaml:8:12: `path` is `/h/{a`, which has a placeholder that is not a whole segment; "
         "write it such as \"/chat/{room}\"\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, template_bounds) {
    static const struct refusal rows[] = {
        {LISTENER
         "routes:\n"
         "  - {path: /a, channels: {publish: "
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}}\n"
         "  - {path: '/b/{r}', channels: {publish: "
         "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{r}'}}\n"
         "  - {path: /c, channels: {allow: "
         "['"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx*']}}\n"
         "  - {path: '/d/{r}', channels: {publish: "
         "'{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{"
         "r}{r}{r}{r}'}}\n"
         "  - {path: '/e/{r}', channels: {publish: "
         "'{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{r}{"
         "r}{r}{r}x'}}\n",
         "f.yaml:3:36: `channels.publish`: "
         "`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxx...` is longer than a channel name; write at most 255 bytes\n"
         "f.yaml:4:42: `channels.publish`: "
         "`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxx...` is longer than a channel name; write at most 255 bytes\n"
         "f.yaml:5:35: `channels.allow[]`: "
         "`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxx...` is longer than a channel name; write at most 255 bytes\n"
         "f.yaml:6:42: `channels.publish`: `{r}` is one part too many; write fewer placeholders\n"
         "f.yaml:7:42: `channels.publish`: `x` is one part too many; write fewer placeholders\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, too_many_channels) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: /a, channels: {subscribe: [a, b, c]}, limits: {channels: 2}}\n",
         "f.yaml:3:26: `channels.subscribe` has 3 entries and `limits.channels` is 2; raise the "
         "limit, or subscribe to fewer\n"},
        {LISTENER "routes:\n"
                  "  - {path: /a, channels: {subscribe: [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, "
                  "c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, c22, c23, c24, c25, "
                  "c26, c27, c28, c29, c30, c31, c32, c33, c34, c35, c36, c37, c38, c39, c40, c41, "
                  "c42, c43, c44, c45, c46, c47, c48, c49, c50, c51, c52, c53, c54, c55, c56, c57, "
                  "c58, c59, c60, c61, c62, c63, c64]}}\n",
         "f.yaml:3:38: `channels.subscribe` has 65 entries; write at most 64\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, keys_in_the_wrong_map) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: /a, echo: {}, message: 1KiB, ping: 3s, queue: 1KiB, subscribe: [], "
                  "kernel: 1KiB, handshake: 1s}\n"
                  "  - {path: /b, echo: {}, limits: {handshake: 3s, header: 1KiB, "
                  "handshakes_per_second: 1, foo: 1}}\n"
                  "  - {path: /c, echo: {}, backpressure: {kernel: 1MiB, worker_queue: 1MiB}, "
                  "messge: text}\n",
         "f.yaml:3:26: `message` stands in the wrong map; write it into `limits: {...}`\n"
         "f.yaml:3:41: `ping` stands in the wrong map; write it into `keepalive: {...}`\n"
         "f.yaml:3:51: `queue` stands in the wrong map; write it into `backpressure: {...}`\n"
         "f.yaml:3:64: `subscribe` stands in the wrong map; write it into `channels: {...}`\n"
         "f.yaml:3:79: `kernel` stands in the wrong map; write it into `backpressure: {...}`\n"
         "f.yaml:3:93: `handshake` stands in the wrong map; write it into `limits: {...}`\n"
         "f.yaml:4:35: `handshake` is global; set it in `limits` at the top level\n"
         "f.yaml:4:50: `header` is global; set it in `limits` at the top level\n"
         "f.yaml:4:64: `handshakes_per_second` is global; set it in `limits` at the top level\n"
         "f.yaml:4:90: unknown key `foo` in a route's `limits`; remove it, or write one of "
         "connections, per_address, message, messages_per_second, bytes_per_second, channels, "
         "fragments, idle, age\n"
         "f.yaml:5:41: `kernel` is global; set it in `backpressure` at the top level\n"
         "f.yaml:5:55: `worker_queue` is global; set it in `backpressure` at the top level\n"
         "f.yaml:5:76: unknown key `messge` in a route; did you mean `messages`?\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, values_that_do_not_fit_together) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: /a, echo: {}, keepalive: {pong: 25s}}\n"
                  "  - {path: /b, echo: {}, keepalive: {ping: 10s, pong: 11s}}\n"
                  "backpressure: {worker_queue: 2MiB}\n",
         "f.yaml:3:44: `keepalive.pong` is 25s and not less than `keepalive.ping` of 25s; lower "
         "it\n"
         "f.yaml:4:55: `keepalive.pong` is 11s and not less than `keepalive.ping` of 10s; lower "
         "it\n"},
        {LISTENER "routes:\n"
                  "  - {path: /a, echo: {}, keepalive: {ping: 20s}}\n"
                  "limits: {message: 2MiB}\n"
                  "backpressure: {worker_queue: 1MiB}\n",
         "f.yaml:4:19: `limits.message` is 2MiB and `backpressure.worker_queue` only 1MiB, so such "
         "a message could never be sent; lower the one or raise the other\n"},
        {LISTENER "routes:\n"
                  "  - {path: /a, echo: {}, limits: {message: 3MiB}, backpressure: {queue: 4MiB}}\n"
                  "backpressure: {worker_queue: 2MiB}\n",
         "f.yaml:3:44: `limits.message` is 3MiB and `backpressure.worker_queue` only 2MiB, so such "
         "a message could never be sent; lower the one or raise the other\n"
         "f.yaml:3:73: `backpressure.queue` is 4MiB and `backpressure.worker_queue` only 2MiB; "
         "lower the one or raise the other\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, origins) {
    static const struct refusal rows[] = {
        {LISTENER
         "routes:\n"
         "  - {path: /a, echo: {}, origins: ['https://app.example.com/', '*', app.example.com, "
         "null, 'https://app.example.com:65536', 'https://app.example.com:0', "
         "'https://app.example.com/x', 'https://', '1s://a', 'https://*.example.com', "
         "'x+a-p.p1://local', 'x_y://local', '://local', 'https://a:b@example.com', "
         "'HTTPS://App.Example.com:443', 'http://[::1]:80', [x], '']}\n",
         "f.yaml:3:36: `origins[]` is `https://app.example.com/`, which ends in `/`, which no "
         "Origin header does; write it without\n"
         "f.yaml:3:64: `origins[]` is `*`, which is no origin; list every origin, or leave "
         "`origins` out to let all of them in\n"
         "f.yaml:3:69: `origins[]` is `app.example.com`, which is no origin; write scheme://host "
         "or scheme://host:port, such as https://app.example.com\n"
         "f.yaml:3:92: `origins[]` is `https://app.example.com:65536`, which is no origin; write "
         "scheme://host or scheme://host:port, such as https://app.example.com\n"
         "f.yaml:3:125: `origins[]` is `https://app.example.com:0`, which is no origin; write "
         "scheme://host or scheme://host:port, such as https://app.example.com\n"
         "f.yaml:3:154: `origins[]` is `https://app.example.com/x`, which is no origin; write "
         "scheme://host or scheme://host:port, such as https://app.example.com\n"
         "f.yaml:3:183: `origins[]` is `https://`, which is no origin; write scheme://host or "
         "scheme://host:port, such as https://app.example.com\n"
         "f.yaml:3:195: `origins[]` is `1s://a`, which is no origin; write scheme://host or "
         "scheme://host:port, such as https://app.example.com\n"
         "f.yaml:3:205: `origins[]` is `https://*.example.com`, which is no origin; write "
         "scheme://host or scheme://host:port, such as https://app.example.com\n"
         "f.yaml:3:250: `origins[]` is `x_y://local`, which is no origin; write scheme://host or "
         "scheme://host:port, such as https://app.example.com\n"
         "f.yaml:3:265: `origins[]` is `://local`, which is no origin; write scheme://host or "
         "scheme://host:port, such as https://app.example.com\n"
         "f.yaml:3:277: `origins[]` is `https://a:b@example.com`, which is no origin; write "
         "scheme://host or scheme://host:port, such as https://app.example.com\n"
         "f.yaml:3:354: `origins[]` is a list, not a single value; write one value, and quote it "
         "if it holds `{` or `[`\n"
         "f.yaml:3:359: `origins[]` is ``, which is no origin; write scheme://host or "
         "scheme://host:port, such as https://app.example.com\n"},
        {LISTENER
         "routes:\n"
         "  - {path: /a, echo: {}, origins: [null, null, null, null, null, null, null, null, null, "
         "null, null, null, null, null, null, null, null, null, null, null, null, null, null, "
         "null, null, null, null, null, null, null, null, null, null, null, null, null, null, "
         "null, null, null, null, null, null, null, null, null, null, null, null, null, null, "
         "null, null, null, null, null, null, null, null, null, null, null, null, null, null]}\n",
         "f.yaml:3:35: `origins` has 65 entries; write at most 64\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, subprotocols) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: /a, echo: {}, subprotocols: [a, 'b c', a, '', 'x,y', A, [x]]}\n",
         "f.yaml:3:44: `subprotocols[]` is `b c`, which is no HTTP token; write a name without "
         "spaces and separators\n"
         "f.yaml:3:51: `subprotocols[]` has `a` twice; remove one\n"
         "f.yaml:3:54: `subprotocols[]` is ``, which is no HTTP token; write a name without spaces "
         "and separators\n"
         "f.yaml:3:58: `subprotocols[]` is `x,y`, which is no HTTP token; write a name without "
         "spaces and separators\n"
         "f.yaml:3:68: `subprotocols[]` is a list, not a single value; write one value, and quote "
         "it if it holds `{` or `[`\n"},
        {LISTENER "routes:\n"
                  "  - {path: /a, echo: {}, subprotocols: [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, "
                  "s10, s11, s12, s13, s14, s15, s16]}\n",
         "f.yaml:3:40: `subprotocols` has 17 entries; write at most 16\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, hosts) {
    static const struct refusal rows[] = {
        {LISTENER
         "routes:\n"
         "  - {path: /a, echo: {}, host: 'app.example.com:80'}\n"
         "  - {path: /b, echo: {}, host: 'https://app.example.com'}\n"
         "  - {path: /c, echo: {}, host: '*.example.com'}\n"
         "  - {path: /d, echo: {}, host: ''}\n"
         "  - {path: /e, echo: {}, host: 'app.example.com.'}\n"
         "  - {path: /f, echo: {}, host: 'a b'}\n"
         "  - {path: /g, echo: {}, host: "
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}\n",
         "f.yaml:3:32: `host` is `app.example.com:80`, which holds a `:`; write the host without "
         "scheme and port\n"
         "f.yaml:4:32: `host` is `https://app.example.com`, which holds a `:`; write the host "
         "without scheme and port\n"
         "f.yaml:5:32: `host` is `*.example.com`, which holds a `*`; write whole host names, one "
         "route each\n"
         "f.yaml:6:32: `host` is ``, which is no host name of 1 to 253 bytes; write it such as "
         "app.example.com\n"
         "f.yaml:7:32: `host` is `app.example.com.`, which ends in a dot; write it without\n"
         "f.yaml:8:32: `host` is `a b`, which is no host name; write it such as app.example.com\n"
         "f.yaml:9:32: `host` is "
         "`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxx...`, which is no host name of 1 to 253 bytes; write it such as "
         "app.example.com\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, doubled_routes) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: /a, echo: {}}\n"
                  "  - {path: /a, echo: {}}\n"
                  "  - {path: '/{q}', echo: {}}\n"
                  "  - {path: '/{r}', channels: {publish: a}}\n"
                  "  - {path: '/{s}', echo: {}}\n"
                  "  - {path: /b, page: demo, host: App.example.com}\n"
                  "  - {path: '/%62', page: demo, host: app.example.com}\n",
         "f.yaml:4:5: the route `/a` is already in line 3; remove one of them\n"
         "f.yaml:7:5: the route `/{s}` is already in line 5; remove one of them\n"
         "f.yaml:9:5: the route `/%62` is already in line 8; remove one of them\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}

Test(config_route_refusals, unreachable_routes) {
    static const struct refusal rows[] = {
        {LISTENER "routes:\n"
                  "  - {path: '/x/*', echo: {}}\n"
                  "  - {path: /x/y, echo: {}}\n"
                  "  - {path: /x/, echo: {}}\n"
                  "  - {path: /x, echo: {}}\n"
                  "  - {path: /x/y, page: demo}\n"
                  "  - {path: '/x/{a}/*', echo: {}}\n"
                  "  - {path: '/*', echo: {}, host: a.example.com}\n"
                  "  - {path: /z, echo: {}, host: A.example.com}\n"
                  "  - {path: /z, echo: {}}\n",
         "f.yaml:4:5: the route `/x/y` is never reached, since the route in line 3 takes all of "
         "it; move it above that one\n"
         "f.yaml:5:5: the route `/x/` is never reached, since the route in line 3 takes all of it; "
         "move it above that one\n"
         "f.yaml:8:5: the route `/x/{a}/*` is never reached, since the route in line 3 takes all "
         "of it; move it above that one\n"
         "f.yaml:10:5: the route `/z` is never reached, since the route in line 9 takes all of it; "
         "move it above that one\n"},
    };
    world_refuses(rows, COUNT_OF(rows));
}
