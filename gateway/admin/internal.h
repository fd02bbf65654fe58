// What the files of this room share. Not for others.
#pragma once
#include "gateway/admin/admin.h"
#include "gateway/admin/text.h"

#include <jansson.h>

enum admin_endpoint {
    ADMIN_METRICS,
    ADMIN_PUBLISH,
    ADMIN_CHANNELS,
    ADMIN_CONNECTIONS,
    ADMIN_CLOSE_MATCHING,
    ADMIN_CONNECTION_SHOW,
    ADMIN_CONNECTION_SEND,
    ADMIN_CONNECTION_CLOSE,
    ADMIN_DRAIN,
    ADMIN_RELOAD,
    ADMIN_TRACE,
};

enum { ADMIN_ITEMS_MAX = 10000, ADMIN_PAGE_DEFAULT = 100, ADMIN_PAGE_MAX = 10000 };

struct admin_id { // worker-index-generation
    uint32_t worker, index, generation;
};

struct admin_item { // of a publish
    char *channel;
    uint64_t subscribers;
};

struct admin_request {
    bool is_active;
    uint8_t endpoint;          // enum admin_endpoint
    uint32_t conn, generation; // who asked
    uint32_t serial; // in the token of its calls: late answers of an earlier request are recognised
    uint32_t waiting; // answers still to come
    uint64_t due_ms;  // 0: none (a reload or drain is the process' own)
    struct text out;
    struct admin_id id;
    struct call_query query;   // connections
    uint32_t worker;           // whose turn it is (paged lists)
    uint32_t count, count_max; // lines so far and wanted
    uint64_t cursor;
    uint64_t closed;
    struct admin_item *items;
    uint32_t item_count;
    uint32_t refused_count;       // items that a home had no memory for
    uint32_t refused_first;       // the first of them, as the body counts
    struct call_metrics *metrics; // one per worker
    bool is_gone;                 // the connection that asked has ended
};

struct admin {
    struct admin_options options;
    struct admin_request requests[ADMIN_PENDING_MAX];
    struct admin_wish wishes[ADMIN_PENDING_MAX];
    uint32_t wish_count;
    uint32_t serial;
    uint64_t now_ms;
    bool is_ready;
    bool is_draining;
    uint32_t expiry_count;
    struct admin_expiry expiries[LISTENERS_MAX];
};

// A request was routed to `endpoint`; its head is conns->request (query parameters are read here).
void admin_begin(struct admin *admin, struct admin_request *request);
// Its body is complete.
void admin_on_body(struct admin *admin, struct admin_request *request, struct span body);

uint32_t admin_slot(const struct admin *admin, const struct admin_request *request);
uint64_t admin_token(const struct admin *admin, const struct admin_request *request, uint32_t item);
void admin_call(struct admin *admin, struct admin_request *request, uint32_t worker,
                struct mail mail, struct span body);
// Answers and frees the request.
void admin_answer(struct admin *admin, struct admin_request *request, uint16_t status,
                  const char *type, struct span body);
void admin_answer_out(struct admin *admin, struct admin_request *request, uint16_t status,
                      const char *type);
void admin_error(struct admin *admin, struct admin_request *request, uint16_t status,
                 const char *text);

void admin_publish_body(struct admin *admin, struct admin_request *request, struct span body);
void admin_publish_receipt(struct admin *admin, struct admin_request *request, uint32_t item,
                           const struct mail *receipt);
void admin_metrics_begin(struct admin *admin, struct admin_request *request);
void admin_metrics_answer(struct admin *admin, struct admin_request *request,
                          const struct bus_event *event);
void admin_connections_begin(struct admin *admin, struct admin_request *request);
void admin_connections_answer(struct admin *admin, struct admin_request *request,
                              const struct bus_event *event);
void admin_connection_begin(struct admin *admin, struct admin_request *request);
void admin_connection_answer(struct admin *admin, struct admin_request *request,
                             const struct bus_event *event);
void admin_send_body(struct admin *admin, struct admin_request *request, struct span body);
void admin_close_matching_begin(struct admin *admin, struct admin_request *request);
void admin_channels_begin(struct admin *admin, struct admin_request *request);
void admin_channels_answer(struct admin *admin, struct admin_request *request,
                           const struct bus_event *event);
void admin_drain_body(struct admin *admin, struct admin_request *request, struct span body);

// "text" or "base64" of a JSON object: the decoded bytes (owned by the caller: free) and the
// opcode. NULL: *problem says what is wrong.
uint8_t *admin_content(const json_t *object, uint32_t *length, uint8_t *opcode,
                       const char **problem);
bool admin_id_parse(struct span text, struct admin_id *id);
// A decoded query parameter, at most `room` bytes. False: absent or malformed.
bool admin_parameter(struct admin *admin, const char *name, char *target, uint32_t room,
                     uint32_t *length);
