// One mutex around two small rings. The state outlives resolve_close while a look-up is under way:
// the helper then frees it, since getaddrinfo cannot be interrupted.
#include "gateway/seam/resolve.h"

#include "core/base/check.h"
#include "core/base/limits.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>

struct question {
    uint64_t token;
    char host[RESOLVE_HOST_BYTES_MAX + 1];
};

struct resolver {
    pthread_mutex_t mutex;
    pthread_cond_t is_asked;
    // All below: by whoever holds the mutex.
    void (*wake)(void *context);
    void *context;
    struct question questions[RESOLVE_PENDING_MAX];
    struct resolve_answer answers[RESOLVE_PENDING_MAX];
    uint32_t question_first, question_count;
    uint32_t answer_first, answer_count;
    uint32_t pending_count; // questions, the one under way, and answers
    uint32_t holder_count;  // owner and helper
    bool is_closing;
};

// The last one out frees. Called with the mutex held, which it gives back.
static void resolver_leave(struct resolver *resolver) {
    bool is_last = --resolver->holder_count == 0;
    pthread_mutex_unlock(&resolver->mutex);
    if (is_last) {
        pthread_cond_destroy(&resolver->is_asked);
        pthread_mutex_destroy(&resolver->mutex);
        free(resolver);
    }
}

void resolve_answer_add(struct resolve_answer *answer, const struct address *address) {
    uint32_t at = 0;
    while (at < answer->count && memcmp(answer->addresses[at].ip, address->ip, 16) < 0) {
        at++;
    }
    bool is_there = at < answer->count && address_ip_equal(&answer->addresses[at], address);
    if (is_there || at == RESOLVE_ADDRESSES_MAX) {
        return;
    }
    bool is_full = answer->count == RESOLVE_ADDRESSES_MAX;
    uint32_t moved = answer->count - at - is_full; // of a full one, the last falls out
    memmove(&answer->addresses[at + 1], &answer->addresses[at], moved * sizeof *address);
    answer->addresses[at] = *address;
    answer->count += !is_full;
}

static void answer_fill(struct resolve_answer *answer, const struct addrinfo *list) {
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
        struct address address = {.kind = ADDRESS_IP};
        if (at->ai_family == AF_INET) {
            const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)at->ai_addr;
            address.ip[10] = 0xff;
            address.ip[11] = 0xff;
            memcpy(address.ip + 12, &v4->sin_addr, 4);
            resolve_answer_add(answer, &address);
        } else if (at->ai_family == AF_INET6) {
            const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)at->ai_addr;
            memcpy(address.ip, &v6->sin6_addr, 16);
            resolve_answer_add(answer, &address);
        }
    }
}

static struct resolve_answer look_up(const struct question *question) {
    struct resolve_answer answer = {.token = question->token};
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int status = getaddrinfo(question->host, NULL, &hints, &list);
    if (status == 0) {
        answer_fill(&answer, list);
        freeaddrinfo(list);
        answer.problem = answer.count > 0 ? NULL : "no address of a known family";
    } else {
        answer.problem = gai_strerror(status); // constant text
    }
    return answer;
}

static void *helper_run(void *argument) {
    struct resolver *resolver = argument;
    pthread_mutex_lock(&resolver->mutex);
    while (!resolver->is_closing) { // ends with resolve_close
        if (resolver->question_count == 0) {
            pthread_cond_wait(&resolver->is_asked, &resolver->mutex);
            continue;
        }
        struct question question = resolver->questions[resolver->question_first];
        resolver->question_first = (resolver->question_first + 1) % RESOLVE_PENDING_MAX;
        resolver->question_count--;
        pthread_mutex_unlock(&resolver->mutex);
        struct resolve_answer answer = look_up(&question);
        pthread_mutex_lock(&resolver->mutex);
        check(resolver->answer_count < RESOLVE_PENDING_MAX);
        uint32_t at = (resolver->answer_first + resolver->answer_count) % RESOLVE_PENDING_MAX;
        resolver->answers[at] = answer;
        resolver->answer_count++;
        if (!resolver->is_closing) {
            resolver->wake(resolver->context); // under the mutex: never after resolve_close
        }
    }
    resolver_leave(resolver);
    return NULL;
}

struct resolver *resolve_open(void (*wake)(void *context), void *context) {
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    if (resolver == NULL) {
        return NULL;
    }
    resolver->wake = wake;
    resolver->context = context;
    resolver->holder_count = 2;
    pthread_mutex_init(&resolver->mutex, NULL); // cannot fail with default attributes
    pthread_cond_init(&resolver->is_asked, NULL);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t helper;
    int status = pthread_create(&helper, &attributes, helper_run, resolver);
    pthread_attr_destroy(&attributes);
    if (status != 0) {
        resolver->holder_count = 1;
        pthread_mutex_lock(&resolver->mutex);
        resolver_leave(resolver);
        return NULL;
    }
    return resolver;
}

void resolve_close(struct resolver **resolver) {
    if (*resolver != NULL) {
        pthread_mutex_lock(&(*resolver)->mutex);
        (*resolver)->is_closing = true;
        pthread_cond_signal(&(*resolver)->is_asked);
        resolver_leave(*resolver);
        *resolver = NULL;
    }
}

int resolve_submit(struct resolver *resolver, struct span host, uint64_t token) {
    if (host.length == 0 || host.length > RESOLVE_HOST_BYTES_MAX || span_find(host, 0) >= 0) {
        return -EINVAL;
    }
    pthread_mutex_lock(&resolver->mutex);
    bool has_room = resolver->pending_count < RESOLVE_PENDING_MAX;
    if (has_room) {
        uint32_t at = (resolver->question_first + resolver->question_count) % RESOLVE_PENDING_MAX;
        struct question *question = &resolver->questions[at];
        question->token = token;
        memcpy(question->host, host.data, host.length);
        question->host[host.length] = 0;
        resolver->question_count++;
        resolver->pending_count++;
        pthread_cond_signal(&resolver->is_asked);
    }
    pthread_mutex_unlock(&resolver->mutex);
    return has_room ? 0 : -EAGAIN;
}

bool resolve_next(struct resolver *resolver, struct resolve_answer *answer) {
    pthread_mutex_lock(&resolver->mutex);
    bool has_answer = resolver->answer_count > 0;
    if (has_answer) {
        *answer = resolver->answers[resolver->answer_first];
        resolver->answer_first = (resolver->answer_first + 1) % RESOLVE_PENDING_MAX;
        resolver->answer_count--;
        resolver->pending_count--;
    }
    pthread_mutex_unlock(&resolver->mutex);
    return has_answer;
}
