// The name seam: getaddrinfo in one helper thread behind an asynchronous interface, so that no
// thread of ours waits for a name server. The owner (one thread) submits and takes; the helper
// calls `wake` on its own thread when an answer has come; `wake` may ring a doorbell and must not
// call back in here.
#pragma once
#include "core/base/address.h"
#include "core/base/limits.h"
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct resolve_answer {
    uint64_t token;      // the question's
    const char *problem; // NULL, or constant text: why there is no address
    uint32_t count;
    struct address addresses[RESOLVE_ADDRESSES_MAX]; // ports are 0; in order, each once
};
// Adds an address. Of more than RESOLVE_ADDRESSES_MAX the first ones in order stay, whatever the
// order in which a name server gives them: an answer of many does not differ each time.
void resolve_answer_add(struct resolve_answer *answer, const struct address *address);

struct resolver; // opaque; see resolve.c

// Starts the helper. `wake` may be called from it until resolve_close returns. NULL: no memory or
// no thread.
struct resolver *resolve_open(void (*wake)(void *context), void *context);
// Never waits for a name server: a look-up under way ends on its own and is thrown away.
void resolve_close(struct resolver **resolver);
// 0; -EAGAIN when RESOLVE_PENDING_MAX questions are open; -EINVAL for a host that is empty, too
// long or holds a zero byte. Nothing lent is kept.
__attribute__((warn_unused_result)) int resolve_submit(struct resolver *resolver, struct span host,
                                                       uint64_t token);
// The next answer, in the order of asking. False: none yet.
bool resolve_next(struct resolver *resolver, struct resolve_answer *answer);
