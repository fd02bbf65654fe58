// Runner and rig of the contract tests.
#include "tests/contract/contract.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "gateway/seam/clock.h"

enum { TEST_SECONDS_MAX = 120 };

// --- runner

static bool test_run(const struct contract_test *test) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(contract_is_long() ? TEST_SECONDS_MAX * 10 : TEST_SECONDS_MAX);
        contract_begin();
        test->run();
        exit(0); // not _exit: a leak checker looks now
    }
    int status = 0;
    bool has_ended = child > 0 && waitpid(child, &status, 0) == child;
    bool is_good = has_ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("%s %s", is_good ? "pass" : "FAIL", test->name);
    if (has_ended && WIFSIGNALED(status)) {
        printf(" (%s)", strsignal(WTERMSIG(status)));
    }
    printf("\n");
    return is_good;
}

// Lines of `NAME reason` in the file that the environment names: tests that only this kind of io
// does not run. NULL: it runs.
static const char *excuse_find(const struct contract_test *test) {
    static char line[256];
    const char *path = getenv("contract_excuses");
    FILE *file = path == NULL ? NULL : fopen(path, "r");
    const char *reason = NULL;
    while (file != NULL && reason == NULL && fgets(line, sizeof line, file) != NULL) {
        size_t length = strlen(test->name);
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, test->name, length) == 0 && line[length] == ' ') {
            reason = line + length + 1;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return reason;
}

static bool is_named(const struct contract_test *test, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], test->name) == 0) {
            return true;
        }
    }
    return argc < 2;
}

int contract_main(int argc, char **argv, const struct contract_test *tests, uint32_t count) {
    uint32_t passed = 0;
    uint32_t failed = 0;
    uint32_t excused = 0;
    for (uint32_t i = 0; i < count; i++) {
        const char *excuse = excuse_find(&tests[i]);
        if (excuse != NULL) {
            printf("not %s: %s: %s\n", contract_kind(), tests[i].name, excuse);
            excused++;
        } else if (is_named(&tests[i], argc, argv)) {
            if (test_run(&tests[i])) {
                passed++;
            } else {
                failed++;
            }
        }
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 || passed + excused == 0;
}

bool contract_is_long(void) {
    const char *tier = getenv("tier");
    return tier != NULL && strcmp(tier, "all") == 0;
}

uint64_t contract_now_us(void) {
    return clock_now_ns() / 1000;
}

// --- rig

struct io_options rig_options(uint32_t ring_max) {
    return (struct io_options){.slots = 64,
                               .submissions = 32,
                               .completions = 256,
                               .buffers = 16,
                               .buffers_max = 64,
                               .ring_max = ring_max};
}

static struct address loopback(void) {
    struct address address;
    expect(address_parse_ip(span_text("127.0.0.1"), &address), "core/base");
    return address;
}

struct rig *rig_open(const struct io_options *options) {
    struct rig *rig = calloc(1, sizeof *rig);
    int error = io_open(&rig->io, options);
    expect(error == 0, "%d: %s", error, io_open_advice(error));
    struct io_listen_options listen = {.address = loopback(), .backlog = 4096};
    rig->listener = io_listen(rig->io, &listen);
    expect(rig->listener >= 0, "%d", rig->listener);
    rig->address = io_listener_address(rig->io, rig->listener);
    return rig;
}

void rig_shut(struct rig *rig) {
    rig_turn(rig, 20);
    rig_turn(rig, 0);
    for (uint32_t i = 0; i < rig->kept_count; i++) {
        const struct io_completion *left = &rig->kept[i];
        expect(false, "left over: operation %d slot %u result %d", left->operation, left->slot,
               left->result);
    }
    io_shut(rig->io);
    free(rig);
}

uint32_t rig_turn(struct rig *rig, uint32_t wait_ms) {
    int error = io_turn(rig->io, wait_ms);
    expect(error == 0, "io_turn: %d", error);
    contract_wait(rig->io, wait_ms);
    uint32_t before = rig->kept_count;
    struct io_completion completion;
    while (io_next(rig->io, &completion)) {
        expect(rig->kept_count < RIG_KEPT_MAX, "the test keeps too much");
        rig->kept[rig->kept_count++] = completion;
    }
    return rig->kept_count - before;
}

bool rig_find(struct rig *rig, enum io_operation operation, struct io_completion *completion) {
    for (uint32_t i = 0; i < rig->kept_count; i++) {
        if (rig->kept[i].operation == operation) {
            *completion = rig->kept[i];
            rig->kept_count--;
            memmove(&rig->kept[i], &rig->kept[i + 1], (rig->kept_count - i) * sizeof rig->kept[0]);
            return true;
        }
    }
    return false;
}

struct io_completion rig_get(struct rig *rig, enum io_operation operation) {
    struct io_completion completion;
    uint64_t end = contract_now_us() + RIG_WAIT_MS * 1000;
    while (!rig_find(rig, operation, &completion)) {
        expect(contract_now_us() < end, "no completion of operation %d", operation);
        rig_turn(rig, 100);
    }
    return completion;
}

uint32_t rig_count(const struct rig *rig, enum io_operation operation) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < rig->kept_count; i++) {
        count += rig->kept[i].operation == operation;
    }
    return count;
}

void rig_expect_none(struct rig *rig, enum io_operation operation, uint32_t wait_ms) {
    uint64_t end = contract_now_us() + wait_ms * 1000;
    do {
        rig_turn(rig, wait_ms / 4);
        expect(rig_count(rig, operation) == 0, "unexpected operation %d", operation);
    } while (contract_now_us() < end);
}

// --- pairs

static void accept_end(struct rig *rig, uint8_t ring) {
    io_accept_cancel(rig->io, ring, rig->listener, 0);
    struct io_completion completion = rig_get(rig, IO_ACCEPT_CANCEL);
    expect(completion.result == 0, "%d", completion.result);
    completion = rig_get(rig, IO_ACCEPT);
    expect(completion.result < 0 && !completion.more, "%d", completion.result);
}

void rig_pairs(struct rig *rig, uint8_t ring, struct pair *pairs, uint32_t count) {
    io_accept(rig->io, ring, rig->listener, 0);
    for (uint32_t i = 0; i < count; i++) {
        pairs[i].client = client_connect(&rig->address);
        struct io_completion completion = rig_get(rig, IO_ACCEPT);
        expect(completion.result >= 0, "accept: %d", completion.result);
        expect(completion.slot == (uint32_t)rig->listener, "slot %u", completion.slot);
        pairs[i].handle = (struct io_handle){
            .slot = (uint32_t)completion.result, .generation = (uint16_t)(i + 1), .ring = ring};
        if (!completion.more) {
            io_accept(rig->io, ring, rig->listener, 0); // tiny completion queues end it
        }
    }
    accept_end(rig, ring);
}

void rig_close(struct rig *rig, struct pair *pair) {
    io_close(rig->io, pair->handle);
    struct io_completion completion = rig_get(rig, IO_CLOSE);
    expect(completion.result == 0, "%d", completion.result);
    expect(completion.slot == pair->handle.slot, "%u", completion.slot);
    client_close(pair->client);
}

void rig_close_polled(struct rig *rig, struct pair *pair) {
    io_cancel_then_close(rig->io, pair->handle);
    struct io_completion completion = rig_get(rig, IO_CANCEL);
    expect(completion.result == 0, "%d", completion.result);
    completion = rig_get(rig, IO_CLOSE);
    expect(completion.result == 0, "%d", completion.result);
    do {
        completion = rig_get(rig, IO_POLL);
        expect(completion.slot == pair->handle.slot, "%u", completion.slot);
    } while (completion.more);
    client_close(pair->client);
}

void rig_receive(struct rig *rig, const struct pair *pair, uint8_t *target, uint32_t length) {
    uint32_t count = 0;
    while (count < length) {
        io_receive(rig->io, pair->handle, (struct span_mut){.data = NULL});
        struct io_completion completion = rig_get(rig, IO_RECEIVE);
        if (completion.result == -EAGAIN) {
            if (completion.has_buffer) { // Linux 6.1 lends one with it (P4)
                io_buffer_give(rig->io, completion.ring, completion.buffer_id);
            }
            usleep(200);
            continue;
        }
        expect(completion.result > 0 && completion.has_buffer, "%d", completion.result);
        struct span_mut buffer = io_buffer(rig->io, completion.ring, completion.buffer_id);
        expect(count + (uint32_t)completion.result <= length, "too much");
        memcpy(target + count, buffer.data, (size_t)completion.result);
        count += (uint32_t)completion.result;
        io_buffer_give(rig->io, completion.ring, completion.buffer_id);
    }
}

// --- clients

void client_expect(struct client client, const void *bytes, uint32_t length) {
    uint8_t *found = malloc(length);
    uint32_t count = 0;
    while (count < length) {
        int64_t result = client_receive(client, found + count, length - count, RIG_WAIT_MS);
        expect(result > 0, "%u of %u bytes, then %lld", count, length, (long long)result);
        count += (uint32_t)result;
    }
    expect(memcmp(found, bytes, length) == 0, "other bytes");
    free(found);
}

void client_expect_end(struct client client) {
    uint8_t byte;
    int64_t result = client_receive(client, &byte, 1, RIG_WAIT_MS);
    expect(result == 0, "%lld instead of the end", (long long)result);
}

void client_expect_quiet(struct client client, uint32_t wait_ms) {
    uint8_t byte;
    int64_t result = client_receive(client, &byte, 1, wait_ms);
    expect(result == -EAGAIN, "%lld instead of nothing", (long long)result);
}
