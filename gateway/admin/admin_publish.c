// POST /publish: one item or a list, all or nothing; the answer comes when every home has stamped
// its messages.
#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>

#include "gateway/admin/internal.h"
#include "gateway/auth/json_memory.h"
#include "gateway/route/channel_name.h"

struct publish_item {
    struct span channel; // lent from the JSON
    uint8_t *bytes;
    uint32_t length;
    uint8_t opcode;
};

static struct span string_span(const json_t *string) {
    return span_make(json_string_value(string), (uint32_t)json_string_length(string));
}

// NULL: fine.
static const char *item_read(const json_t *object, struct publish_item *item) {
    const json_t *channel = json_object_get(object, "channel");
    if (!json_is_object(object) || !json_is_string(channel)) {
        return "an item is an object with channel, and text or base64";
    }
    item->channel = string_span(channel);
    if (!channel_name_is_valid(item->channel)) {
        return "a channel name is 1 to 255 bytes of A-Z a-z 0-9 _ - @ ~ . %";
    }
    const char *problem = NULL;
    item->bytes = admin_content(object, &item->length, &item->opcode, &problem);
    if (item->bytes != NULL && item->length > MESSAGE_BYTES_MAX) {
        return "a message is at most 64 MiB";
    }
    return item->bytes == NULL ? problem : NULL;
}

static void items_free(struct publish_item *items, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        free(items[i].bytes);
    }
    free(items);
}

// Reads all items before any is published. NULL with *problem set when one is bad.
static struct publish_item *items_read(const json_t *root, uint32_t *count, char *problem,
                                       size_t room) {
    const json_t *list = json_object_get(root, "items");
    *count = list == NULL ? 1 : (uint32_t)json_array_size(list);
    bool is_list = list == NULL ? json_is_object(root) : json_is_array(list);
    if (!is_list || *count == 0 || *count > ADMIN_ITEMS_MAX) {
        (void)snprintf(problem, room,
                       "the body is one item, or {\"items\":[...]} with 1 to %d of them",
                       ADMIN_ITEMS_MAX);
        return NULL;
    }
    struct publish_item *items = calloc(*count, sizeof *items);
    for (uint32_t i = 0; items != NULL && i < *count; i++) {
        const char *wrong = item_read(list == NULL ? root : json_array_get(list, i), &items[i]);
        if (wrong != NULL) {
            (void)snprintf(problem, room, "item %u: %s", i, wrong); // cut is fine
            items_free(items, *count);
            return NULL;
        }
    }
    return items;
}

static bool items_keep_names(struct admin_request *request, const struct publish_item *items,
                             uint32_t count) {
    request->items = calloc(count, sizeof *request->items);
    if (request->items == NULL) {
        return false;
    }
    request->item_count = count;
    for (uint32_t i = 0; i < count; i++) {
        request->items[i].channel =
            strndup((const char *)items[i].channel.data, items[i].channel.length);
        if (request->items[i].channel == NULL) {
            return false;
        }
    }
    return true;
}

// All or nothing: what the backlogs cannot take is refused before the first is sent.
static bool has_room(const struct admin *admin, const struct publish_item *items, uint32_t count) {
    const struct bus *bus = admin->options.bus;
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += items[i].length + sizeof(struct bus_job) + CHANNEL_NAME_BYTES_MAX;
    }
    for (uint32_t i = 0; i < admin->options.worker_count; i++) {
        if (bus->backlogs[i].bytes + total > bus->backlog_bytes_max) {
            return false;
        }
    }
    return admin->options.arena->used_bytes + 2 * total <= admin->options.arena->limit_bytes;
}

static void item_refused(struct admin_request *request, uint32_t item) {
    bool is_first = request->refused_count == 0 || item < request->refused_first;
    request->refused_first = is_first ? item : request->refused_first;
    request->refused_count++;
}

// What was stamped cannot be taken back, so a list of which a part was refused says so.
static void refusal_answer(struct admin *admin, struct admin_request *request) {
    char problem[160];
    uint32_t published = request->item_count - request->refused_count;
    (void)snprintf(
        problem, sizeof problem,
        "overloaded: a worker had no memory for %u of %u items, the first is item %u; %s",
        request->refused_count, request->item_count, request->refused_first,
        published == 0 ? "nothing was published" : "the others were published"); // cut is fine
    admin_error(admin, request, 503, problem);
}

static void publish_answer(struct admin *admin, struct admin_request *request) {
    if (request->refused_count > 0) {
        refusal_answer(admin, request);
        return;
    }
    text_print(&request->out, "{\"items\":[");
    for (uint32_t i = 0; i < request->item_count; i++) {
        text_print(&request->out, "%s{\"channel\":", i > 0 ? "," : "");
        text_json(&request->out, span_text(request->items[i].channel));
        text_print(&request->out, ",\"subscribers\":%llu}",
                   (unsigned long long)request->items[i].subscribers);
    }
    text_print(&request->out, "]}\n");
    admin_answer_out(admin, request, 200, "application/json");
}

static void items_publish(struct admin *admin, struct admin_request *request,
                          const struct publish_item *items, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct bus_publication publication = {.name = items[i].channel,
                                              .body = span_make(items[i].bytes, items[i].length),
                                              .opcode = items[i].opcode,
                                              .receipt_token = admin_token(admin, request, i)};
        if (bus_publish(admin->options.bus, &publication)) {
            request->waiting++;
        } else {
            item_refused(request, i);
        }
    }
    if (request->waiting == 0) {
        publish_answer(admin, request);
    }
}

void admin_publish_body(struct admin *admin, struct admin_request *request, struct span body) {
    struct json_document document;
    json_document_open(&document, body, JSON_ALLOW_NUL);
    const json_t *root = document.root;
    char problem[256];
    if (root == NULL) {
        bool is_short = document.is_short;
        (void)snprintf(problem, sizeof problem, "%s%s", is_short ? "" : "not JSON: ",
                       is_short ? "out of memory" : document.error.text); // cut is fine
        json_document_close(&document);
        admin_error(admin, request, is_short ? 503 : 400, problem);
        return;
    }
    uint32_t count = 0;
    (void)snprintf(problem, sizeof problem, "out of memory");
    struct publish_item *items = items_read(root, &count, problem, sizeof problem);
    if (items == NULL) {
        admin_error(admin, request, 400, problem);
    } else if (!has_room(admin, items, count) || !items_keep_names(request, items, count)) {
        admin_error(admin, request, 503,
                    "overloaded: the workers do not keep up with what is published");
    } else {
        items_publish(admin, request, items, count);
    }
    if (items != NULL) {
        items_free(items, count);
    }
    json_document_close(&document);
}

void admin_publish_receipt(struct admin *admin, struct admin_request *request, uint32_t item,
                           const struct mail *receipt) {
    if (item < request->item_count && receipt->words[2] != 0) {
        item_refused(request, item);
    } else if (item < request->item_count) {
        request->items[item].subscribers = receipt->words[1];
    }
    if (request->waiting == 0) {
        publish_answer(admin, request);
    }
}
