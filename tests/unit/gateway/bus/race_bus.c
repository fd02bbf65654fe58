// Four threads that sleep whenever they may and are woken by doorbells: each publishes to a channel
// of every home, all subscribe, and a wake-up that is lost leaves them asleep for ever. Every
// message must reach every thread once, in one order. Plain, for TSan.
#include "gateway/bus/bus.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum {
    WORKERS = 3, // and the control thread, which only publishes
    THREADS = WORKERS + 1,
    PUBLISHED = 60000, // by each thread
    MAILS_TURN = 50,
    ARENA_BYTES = 64 << 20,
    CHANNELS = 100,
    LOST_S = 20,
};

struct io_bell {
    sem_t rings;
};

// Stands in for the real one of gateway/io.
void io_doorbell_ring(struct io_doorbell doorbell) {
    sem_post(&doorbell.bell->rings);
}

struct thread {
    pthread_t id;
    struct bus bus;
    struct arena arena;
    struct counters counters;
    struct pool homes;
    struct io_bell bell;
    uint32_t self;
    uint32_t published;
    uint32_t joined;
    uint64_t delivered;
    uint64_t receipts;
    uint64_t slept;
    uint64_t offset[WORKERS];
    uint32_t next[WORKERS][THREADS]; // number of the next message of each publisher
    char names[WORKERS][16];
    const char *wrong;
};

static struct memory reserve(uint64_t length) {
    void *data = mmap(NULL, length, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
        abort();
    }
    return (struct memory){.data = data, .length = length};
}

static void thread_init(struct thread *thread, struct bus_shared *shared, uint32_t self) {
    thread->self = self;
    arena_init(&thread->arena, reserve(ARENA_BYTES), reserve(arena_book_bytes(ARENA_BYTES)),
               ARENA_BYTES);
    pool_init(&thread->homes, 64, CHANNELS, reserve(pool_space_bytes(64, CHANNELS)),
              reserve(pool_book_bytes(64, CHANNELS)));
    struct bus_options options = {.shared = shared,
                                  .self = self,
                                  .arena = &thread->arena,
                                  .counters = &thread->counters,
                                  .homes = self == WORKERS ? NULL : &thread->homes,
                                  .buckets = reserve(table_book_bytes(CHANNELS)),
                                  .backlog_bytes_max = ARENA_BYTES / 2};
    bus_init(&thread->bus, &options);
    sem_init(&thread->bell.rings, 0, 0);
    bus_endpoint_set(&thread->bus, (struct io_doorbell){.bell = &thread->bell});
    uint32_t found = 0;
    for (uint32_t i = 0; found < WORKERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%u", i);
        if (bus_home(&thread->bus, span_text(name)) == found) {
            memcpy(thread->names[found++], name, sizeof name);
        }
    }
}

static void on_deliver(struct thread *thread, const struct bus_event *event) {
    uint32_t words[2];
    if (event->body.length != sizeof words) {
        thread->wrong = "a body of another length";
        return;
    }
    memcpy(words, event->body.data, sizeof words);
    uint32_t home = event->source;
    if (event->mail.words[3] != ++thread->offset[home]) {
        thread->wrong = "an offset out of order";
    }
    if (words[0] >= THREADS || words[1] != thread->next[home][words[0]]) {
        thread->wrong = "a publisher's message out of order";
        return;
    }
    thread->next[home][words[0]]++;
    thread->delivered++;
}

static void take_mail(struct thread *thread) {
    struct bus_event event;
    for (uint32_t i = 0; i < MAILS_TURN && bus_next(&thread->bus, &event); i++) {
        if (event.mail.kind == MAIL_DELIVER) {
            on_deliver(thread, &event);
        } else if (event.mail.kind == MAIL_JOINED) {
            thread->joined++;
        } else if (event.mail.kind == MAIL_RECEIPT) {
            thread->receipts++;
        }
    }
}

// A few messages a turn, round the homes; each asks for a receipt, so that nobody is far ahead.
static void publish_some(struct thread *thread) {
    while (thread->published < PUBLISHED && thread->published < thread->receipts + 30) {
        uint32_t home = thread->published % WORKERS;
        uint32_t words[2] = {thread->self, thread->published / WORKERS};
        struct bus_publication publication = {.name = span_text(thread->names[home]),
                                              .body = span_make(words, sizeof words),
                                              .opcode = 2,
                                              .receipt_token = 1};
        if (!bus_publish(&thread->bus, &publication)) {
            thread->wrong = "a publish was dropped";
        }
        thread->published++;
    }
}

static void rest(struct thread *thread) {
    if (bus_has_backlog(&thread->bus) || !bus_sleep(&thread->bus)) {
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LOST_S;
    while (sem_timedwait(&thread->bell.rings, &until) != 0) {
        if (errno == ETIMEDOUT) {
            thread->wrong = "a wake-up was lost";
            break;
        }
    }
    thread->slept++;
    bus_awake(&thread->bus);
}

// Serves others, too, until all threads have come so far.
static void meet(struct thread *thread, _Atomic uint32_t *arrived) {
    atomic_fetch_add(arrived, 1);
    while (atomic_load(arrived) < THREADS) {
        take_mail(thread);
        bus_flush(&thread->bus);
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

static void *run(void *context) {
    static _Atomic uint32_t subscribed;
    static _Atomic uint32_t finished;
    struct thread *thread = context;
    bool subscribes = thread->self < WORKERS;
    for (uint32_t home = 0; home < WORKERS && subscribes; home++) {
        bus_join(&thread->bus, span_text(thread->names[home]), true, 1);
    }
    while (subscribes && thread->joined < WORKERS && thread->wrong == NULL) {
        bus_flush(&thread->bus);
        take_mail(thread);
        bus_flush(&thread->bus);
        if (thread->joined < WORKERS) {
            rest(thread);
        }
    }
    meet(thread, &subscribed); // before the first message
    uint64_t wanted = subscribes ? (uint64_t)PUBLISHED * THREADS : 0;
    while (thread->wrong == NULL && (thread->delivered < wanted || thread->receipts < PUBLISHED)) {
        take_mail(thread);
        publish_some(thread);
        bus_flush(&thread->bus);
        if (thread->delivered < wanted || thread->receipts < PUBLISHED) {
            rest(thread);
        }
    }
    meet(thread, &finished);
    return NULL;
}

int main(void) {
    struct bus_shared *shared = bus_shared_init(reserve(bus_shared_bytes(WORKERS)), WORKERS);
    struct thread *threads = calloc(THREADS, sizeof *threads);
    int result = threads == NULL;
    for (uint32_t i = 0; i < THREADS; i++) {
        thread_init(&threads[i], shared, i);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        result |= pthread_create(&threads[i].id, NULL, run, &threads[i]) != 0;
    }
    uint64_t slept = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i].id, NULL);
        slept += threads[i].slept;
        if (threads[i].wrong != NULL) {
            printf("thread %u: %s\n", i, threads[i].wrong);
            result = 1;
        }
    }
    if (slept == 0) {
        printf("nobody ever slept\n");
        result = 1;
    }
    free(threads);
    return result;
}
