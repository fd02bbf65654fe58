// The admin API: requests in, answers out.
#include "gateway/admin/admin.h"

#include <stdlib.h>

struct admin {
    struct admin_options options;
    bool is_ready;
    bool is_draining;
};

struct admin *admin_open(const struct admin_options *options) {
    struct admin *admin = calloc(1, sizeof *admin);
    if (admin != NULL) {
        admin->options = *options;
    }
    return admin;
}

void admin_close(struct admin **admin) {
    free(*admin);
    *admin = NULL;
}

void admin_config_set(struct admin *admin, const struct config *config) {
    admin->options.config = config;
}

void admin_state_set(struct admin *admin, bool is_ready, bool is_draining) {
    admin->is_ready = is_ready;
    admin->is_draining = is_draining;
}

bool admin_on_open(struct admin *admin, uint32_t index) {
    (void)admin; // everybody may connect: each request is judged
    (void)index;
    return true;
}

void admin_on_ask(struct admin *admin, uint32_t index, const struct conn_event *event) {
    struct conns *conns = &admin->options.clients->conns;
    if (event->kind != CONN_EVENT_REQUEST) {
        return;
    }
    const struct http_request *request = &conns->request;
    struct http_reply reply = {
        .status = 200, .content_type = span_text("text/plain"), .body = span_text("ok\n")};
    if (span_is(request->path, "/ready") && !admin->is_ready) {
        reply.status = 503;
        reply.body = span_text("draining\n");
    } else if (!span_is(request->path, "/live") && !span_is(request->path, "/ready")) {
        reply.status = 404;
        reply.body = span_text("not found\n");
    }
    conn_reply(conns, index, &reply);
}

void admin_on_gone(struct admin *admin, uint32_t index) {
    (void)admin; // nothing is held for a connection
    (void)index;
}

bool admin_on_mail(struct admin *admin, const struct bus_event *event) {
    (void)admin; // nothing was asked
    (void)event;
    return false;
}

void admin_turn(struct admin *admin, uint64_t now_ms) {
    (void)admin; // nothing waits
    (void)now_ms;
}

bool admin_wish_next(struct admin *admin, struct admin_wish *wish) {
    (void)admin; // no orders yet
    (void)wish;
    return false;
}

void admin_wish_done(struct admin *admin, uint32_t request, bool is_done, struct span text) {
    (void)admin; // no orders yet
    (void)request;
    (void)is_done;
    (void)text;
}
