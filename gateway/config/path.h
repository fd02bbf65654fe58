// A route's path and the channel names that it makes, from text. Inside this room only.
#pragma once
#include "gateway/config/tree.h"

// Fills *path. False: an error was added.
bool config_path_read(struct config_reader *reader, const struct config_node *node,
                      struct config_path *path);

struct config_claims { // that a route's templates use, each once
    struct span items[CLAIMS_MAX];
    uint32_t count;
};

struct config_template_rules {
    const struct config_path *path; // NULL: it is not known, and placeholders are not looked up
    struct config_claims *claims;   // added to; NULL: {claim.x} has no meaning without `auth`
    bool may_have_star;             // in `allow`
};

// Fills *template. `name` is the key's, for messages. False: an error was added.
bool config_template_read(struct config_reader *reader, const char *name,
                          const struct config_node *node, const struct config_template_rules *rules,
                          struct config_template *template);

// Whether every request path that `b` takes is taken by `a`.
bool config_path_covers(const struct config_path *a, const struct config_path *b);
// Whether both take the same paths, whatever their placeholders are called.
bool config_path_is_equal(const struct config_path *a, const struct config_path *b);
