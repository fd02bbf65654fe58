// Bounds of the file itself: size, depth, keys, errors, memory; and bytes that are not text.
#include "tests/unit/gateway/config/harness.h"

static char *text_take(size_t bytes) {
    char *text = malloc(bytes + 1);
    cr_assert(text != NULL);
    memset(text, '#', bytes); // a comment
    text[bytes] = 0;
    return text;
}

static void refuses(const char *text, const char *lines) {
    world_refuses_span(span_text(text), lines);
}

Test(config_bounds, file_size) {
    const size_t size = CONFIG_BYTES_MAX;
    char *text = text_take(size + 1);
    memcpy(text, BASE, strlen(BASE));
    struct config_errors *errors = errors_take();
    for (size_t length = size - 1; length <= size; length++) {
        const struct config *config = world_open_span(span_make(text, (uint32_t)length), errors);
        expect(config != NULL, "%zu bytes: %s", length, errors->lines[0]);
        config_close(&config);
    }
    refuses(text, "f.yaml:1:1: the file has 1048577 bytes; write at most 1048576\n");
    free(errors);
    free(text);
}

Test(config_bounds, depth) {
    // The root map is the first level; `backplane` is refused as one part, whatever is in it.
    refuses(BASE "backplane: [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]\n",
            "f.yaml:3:1: `backplane` is not built yet in this version; remove it\n");
    refuses(BASE "backplane: [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]\n",
            "f.yaml:3:27: more than 16 levels of maps and lists; write it flatter\n");
}

Test(config_bounds, a_hostile_depth_ends_at_once, .timeout = 60) {
    char *text = text_take(CONFIG_BYTES_MAX);
    memset(text, '[', CONFIG_BYTES_MAX);
    refuses(text, "f.yaml:1:17: more than 16 levels of maps and lists; write it flatter\n");
    memset(text, '{', CONFIG_BYTES_MAX);
    refuses(text, "f.yaml:1:2: a key is a map; write a name as the key\n"
                  "f.yaml:1:3: a key is a map; write a name as the key\n"
                  "f.yaml:1:4: a key is a map; write a name as the key\n"
                  "f.yaml:1:5: a key is a map; write a name as the key\n"
                  "f.yaml:1:6: a key is a map; write a name as the key\n"
                  "f.yaml:1:7: a key is a map; write a name as the key\n"
                  "f.yaml:1:8: a key is a map; write a name as the key\n"
                  "f.yaml:1:9: a key is a map; write a name as the key\n"
                  "f.yaml:1:10: a key is a map; write a name as the key\n"
                  "f.yaml:1:11: a key is a map; write a name as the key\n"
                  "f.yaml:1:12: a key is a map; write a name as the key\n"
                  "f.yaml:1:13: a key is a map; write a name as the key\n"
                  "f.yaml:1:14: a key is a map; write a name as the key\n"
                  "f.yaml:1:15: a key is a map; write a name as the key\n"
                  "f.yaml:1:16: a key is a map; write a name as the key\n"
                  "f.yaml:1:17: more than 16 levels of maps and lists; write it flatter\n");
    free(text);
}

Test(config_bounds, a_hostile_width_ends_soon, .timeout = 60) {
    char *text = text_take(CONFIG_BYTES_MAX);
    for (uint32_t i = 0; i < CONFIG_BYTES_MAX; i += 2) {
        memcpy(text + i, "?\n", 2); // keys and values, all empty
    }
    struct config_errors *errors = errors_take();
    cr_assert(world_open_span(span_make(text, CONFIG_BYTES_MAX), errors) == NULL);
    cr_assert_str_eq(errors->lines[0], "f.yaml:1:1: a map of 524288 keys; write at most 1024");
    cr_assert(errors->is_cut);
    free(errors);
    free(text);
}

// A map of that many different keys below `backplane`.
static char *keys_take(uint32_t count) {
    char *text = text_take(200 + (size_t)count * 16);
    int length = snprintf(text, 200, "%sbackplane:\n", BASE);
    for (uint32_t i = 0; i < count; i++) {
        length += snprintf(text + length, 16, "  k%u: 1\n", i);
    }
    return text;
}

Test(config_bounds, keys_of_a_map) {
    static const char missing[] =
        "f.yaml:3:1: `backplane` is not built yet in this version; remove it\n";
    for (uint32_t count = CONFIG_MAP_KEYS_MAX - 1; count <= CONFIG_MAP_KEYS_MAX; count++) {
        char *text = keys_take(count);
        refuses(text, missing);
        free(text);
    }
    char *text = keys_take(CONFIG_MAP_KEYS_MAX + 1);
    char lines[300];
    snprintf(lines, sizeof(lines), "%sf.yaml:4:3: a map of 1025 keys; write at most 1024\n",
             missing);
    refuses(text, lines);
    free(text);
}

Test(config_bounds, bytes_of_a_text) {
    char *text = text_take(CONFIG_TEXT_BYTES_MAX + 100);
    int at = snprintf(text, 100, "%sbackplane: ", BASE);
    memset(text + at, 'x', CONFIG_TEXT_BYTES_MAX + 2);
    static const uint32_t lengths[] = {CONFIG_TEXT_BYTES_MAX - 1, CONFIG_TEXT_BYTES_MAX};
    for (uint32_t i = 0; i < 2; i++) {
        text[at + (int)lengths[i]] = 0;
        refuses(text, "f.yaml:3:1: `backplane` is not built yet in this version; remove it\n");
        text[at + (int)lengths[i]] = 'x';
    }
    text[at + CONFIG_TEXT_BYTES_MAX + 1] = 0;
    refuses(text, "f.yaml:3:12: a text of 8193 bytes; write at most 8192\n");
    free(text);
}

Test(config_bounds, texts_together) {
    char *text = text_take(4096);
    int length = snprintf(text, 4096, "%sbackplane:\n", BASE);
    for (uint32_t i = 0; i < CONFIG_BYTES_MAX / CONFIG_TEXT_BYTES_MAX + 3; i++) {
        length += snprintf(text + length, 16, "- ${LONG}\n");
    }
    // The texts of BASE are the first, so one value fewer fits; it is said once.
    refuses(text, "f.yaml:3:1: `backplane` is not built yet in this version; remove it\n"
                  "f.yaml:131:3: the texts of the file have more than 1048576 bytes; shorten "
                  "them\n");
    free(text);
}

// A file with that many errors.
static char *errors_text_take(uint32_t count) {
    char *text = text_take(200 + (size_t)count * 16);
    int length = snprintf(text, 200, "%slimits:\n", BASE);
    for (uint32_t i = 0; i < count; i++) {
        length += snprintf(text + length, 16, "  k%u: 1\n", i);
    }
    return text;
}

Test(config_bounds, errors) {
    struct config_errors *errors = errors_take();
    static const uint32_t counts[] = {99, 100, 101, 1000};
    for (uint32_t i = 0; i < 4; i++) {
        char *text = errors_text_take(counts[i]);
        cr_assert(world_open_span(span_text(text), errors) == NULL);
        uint32_t expected = counts[i] < 100 ? counts[i] : 100;
        expect(errors->count == expected, "%u of %u", errors->count, counts[i]);
        expect(errors->is_cut == (counts[i] > 100), "%u", counts[i]);
        free(text);
    }
    free(errors);
}

Test(config_bounds, entries_of_lists) {
    struct config_errors *errors = errors_take();
    char *text = text_take(200000);
    for (uint32_t count = ROUTES_MAX - 1; count <= ROUTES_MAX + 1; count++) {
        int length = snprintf(text, 64, "%sroutes:\n", LISTENER);
        for (uint32_t i = 0; i < count; i++) {
            length += snprintf(text + length, 64, "- {path: /p%u, echo: {}}\n", i);
        }
        const struct config *config = world_open_span(span_text(text), errors);
        expect((config != NULL) == (count <= ROUTES_MAX), "%u routes: %s", count, errors->lines[0]);
        config_close(&config);
    }
    cr_assert_str_eq(errors->lines[0], "f.yaml:3:1: `routes` has 1025 entries; write at most 1024");
    for (uint32_t count = TRUSTED_MAX - 1; count <= TRUSTED_MAX + 1; count++) {
        int length = snprintf(text, 200, "%strusted:\n", BASE);
        for (uint32_t i = 0; i < count; i++) {
            length += snprintf(text + length, 64, "- 10.%u.%u.0/24\n", i / 256, i % 256);
        }
        const struct config *config = world_open_span(span_text(text), errors);
        expect((config != NULL) == (count <= TRUSTED_MAX), "%u ranges", count);
        config_close(&config);
    }
    cr_assert_str_eq(errors->lines[0], "f.yaml:4:1: `trusted` has 257 entries; write at most 256");
    free(text);
    free(errors);
}

Test(config_bounds, bytes_that_are_not_text) {
    static const char nul[] = "a: \0b\n";
    world_refuses_span(span_make(nul, sizeof(nul) - 1),
                       "f.yaml:1:4: not YAML: control characters are not allowed; remove the "
                       "control character\n");
    refuses("a: 1\nb: \x01\n", "f.yaml:2:4: not YAML: control characters are not allowed; remove "
                               "the control character\n");
    refuses("\xc3\xa9: \xff\n",
            "f.yaml:1:4: not YAML: invalid leading UTF-8 octet; save the file as UTF-8\n");
    refuses("a: \xc3(\n",
            "f.yaml:1:5: not YAML: invalid trailing UTF-8 octet; save the file as UTF-8\n");
    refuses("a: \xed\xa0\x80\n",
            "f.yaml:1:4: not YAML: invalid Unicode character; save the file as UTF-8\n");
    static const char utf16[] = "\xff\xfe"
                                "a\0:\0";
    world_refuses_span(span_make(utf16, sizeof(utf16) - 1),
                       "f.yaml:1:1: not YAML: invalid leading UTF-8 octet; save the file as "
                       "UTF-8\n");
}

Test(config_bounds, a_byte_order_mark_and_carriage_returns_are_read_over) {
    const struct config *config = world_open("\xef\xbb\xbflisteners: [{address: 1.2.3.4:5}]\r\n"
                                             "routes: [{path: /e, echo: {}}]\r\n");
    cr_assert(config->route_count == 1);
    config_close(&config);
}

// Opens with ever more memory until it is enough; returns how often it was not.
static uint32_t refuse_in_turn(const struct config_source *source, bool is_tree) {
    struct config_errors *errors = errors_take();
    uint32_t refused_count = 0;
    const struct config *config = NULL;
    for (uint64_t bytes = 0; config == NULL; bytes += 16) {
        config = config_open_within(source, errors, is_tree ? CONFIG_MEMORY_BYTES_MAX : bytes,
                                    is_tree ? bytes : CONFIG_MEMORY_BYTES_MAX);
        refused_count += config == NULL;
        expect(config != NULL || strstr(errors->lines[0], "not enough memory") != NULL, "%s",
               errors->lines[0]);
        expect(bytes < 100000, "never enough");
    }
    config_close(&config);
    free(errors);
    return refused_count;
}

// Every allocation is refused in turn, until none is.
Test(config_bounds, memory) {
    static const char text[] =
        LISTENER "trusted: [10.0.0.0/8]\n"
                 "admin: {address: 127.0.0.1:1, token_file: good.token}\n"
                 "log: {level: info}\n"
                 "routes:\n"
                 "  - {path: '/a/{b}', host: app.example.com, channels: {subscribe: ['a.{b}'], "
                 "publish: b, allow: ['*']}, origins: [null], subprotocols: [x]}\n";
    const struct config_source source = {.text = span_text(text),
                                         .file = "f.yaml",
                                         .load = world_load,
                                         .environment = world_environment};
    cr_assert(refuse_in_turn(&source, false) > 20);
    cr_assert(refuse_in_turn(&source, true) > 50);
}
