// Names without a name server: numeric ones, localhost from the hosts file, and one that no server
// is asked for.
#include "gateway/seam/resolve.h"

#include "tests/unit/expect.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>

static void wake_up(void *context) {
    sem_post(context);
}

static void wait_for(sem_t *semaphore) {
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 20;
    cr_assert(sem_timedwait(semaphore, &limit) == 0, "no answer");
}

static struct resolve_answer ask(const char *host) {
    sem_t semaphore;
    sem_init(&semaphore, 0, 0);
    struct resolver *resolver = resolve_open(wake_up, &semaphore);
    cr_assert(resolver != NULL);
    struct resolve_answer answer;
    cr_assert(!resolve_next(resolver, &answer));
    cr_assert(resolve_submit(resolver, span_text(host), 42) == 0);
    wait_for(&semaphore);
    cr_assert(resolve_next(resolver, &answer));
    cr_assert(answer.token == 42);
    cr_assert(!resolve_next(resolver, &answer));
    resolve_close(&resolver);
    cr_assert(resolver == NULL);
    resolve_close(&resolver);
    sem_destroy(&semaphore);
    return answer;
}

Test(resolve, numeric_addresses) {
    struct resolve_answer answer = ask("127.0.0.7");
    cr_assert(answer.problem == NULL && answer.count == 1);
    cr_assert(address_is_v4(&answer.addresses[0]) && answer.addresses[0].ip[15] == 7);
    cr_assert(answer.addresses[0].port == 0);
    answer = ask("::1");
    cr_assert(answer.problem == NULL && answer.count == 1);
    cr_assert(!address_is_v4(&answer.addresses[0]) && address_is_loopback(&answer.addresses[0]));
}

Test(resolve, localhost) {
    struct resolve_answer answer = ask("localhost");
    cr_assert(answer.problem == NULL && answer.count >= 1);
    for (uint32_t i = 0; i < answer.count; i++) {
        expect(address_is_loopback(&answer.addresses[i]), "address %u", i);
    }
}

Test(resolve, a_name_that_cannot_exist_has_a_problem) {
    struct resolve_answer answer =
        ask("0123456789012345678901234567890123456789012345678901234567890123"); // a label of 64
    cr_assert(answer.count == 0 && answer.problem != NULL && answer.problem[0] != 0);
}

Test(resolve, of_too_many_addresses_always_the_same_ones_stay) {
    for (uint32_t count = RESOLVE_ADDRESSES_MAX - 1; count <= RESOLVE_ADDRESSES_MAX + 1; count++) {
        for (uint32_t start = 0; start < count; start++) { // as a name server turns them
            struct resolve_answer answer = {.count = 0};
            for (uint32_t i = 0; i < 2 * count; i++) {
                struct address address = {.kind = ADDRESS_IP};
                address.ip[15] = (uint8_t)((start + i) % count);
                resolve_answer_add(&answer, &address); // each twice
            }
            cr_assert_eq(answer.count,
                         count < RESOLVE_ADDRESSES_MAX ? count : RESOLVE_ADDRESSES_MAX);
            for (uint32_t i = 0; i < answer.count; i++) {
                cr_assert_eq(answer.addresses[i].ip[15], i, "%u of %u from %u", i, count, start);
            }
        }
    }
}

Test(resolve, questions_that_are_none) {
    sem_t semaphore;
    sem_init(&semaphore, 0, 0);
    struct resolver *resolver = resolve_open(wake_up, &semaphore);
    static char host[RESOLVE_HOST_BYTES_MAX + 1];
    memset(host, 'a', sizeof(host));
    cr_assert(resolve_submit(resolver, span_make(host, sizeof(host)), 1) == -EINVAL);
    cr_assert(resolve_submit(resolver, span_empty(), 1) == -EINVAL);
    cr_assert(resolve_submit(resolver, span_make("a\0b", 3), 1) == -EINVAL);
    cr_assert(resolve_submit(resolver, span_make("\0a", 2), 1) == -EINVAL);
    // The longest name is asked; as one label it is too long for any server to be asked.
    cr_assert(resolve_submit(resolver, span_make(host, RESOLVE_HOST_BYTES_MAX), 1) == 0);
    wait_for(&semaphore);
    struct resolve_answer answer;
    cr_assert(resolve_next(resolver, &answer) && answer.problem != NULL);
    resolve_close(&resolver);
    sem_destroy(&semaphore);
}

Test(resolve, answers_keep_the_order_and_their_number_is_bounded) {
    sem_t semaphore;
    sem_init(&semaphore, 0, 0);
    struct resolver *resolver = resolve_open(wake_up, &semaphore);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < RESOLVE_PENDING_MAX; i++) {
            char host[16];
            int length = snprintf(host, sizeof(host), "127.0.0.%u", i);
            struct span name = span_make(host, (uint32_t)length);
            expect(resolve_submit(resolver, name, i) == 0, "question %u", i);
        }
        cr_assert(resolve_submit(resolver, span_text("127.0.0.1"), 99) == -EAGAIN);
        for (uint32_t i = 0; i < RESOLVE_PENDING_MAX; i++) {
            wait_for(&semaphore);
            struct resolve_answer answer;
            expect(resolve_next(resolver, &answer), "answer %u", i);
            expect(answer.token == i && answer.addresses[0].ip[15] == i, "answer %u", i);
        }
    }
    resolve_close(&resolver);
    sem_destroy(&semaphore);
}

Test(resolve, closing_does_not_wait_for_open_questions) {
    for (uint32_t round = 0; round < 200; round++) {
        sem_t semaphore;
        sem_init(&semaphore, 0, 0);
        struct resolver *resolver = resolve_open(wake_up, &semaphore);
        for (uint32_t i = 0; i < round % 5; i++) {
            cr_assert(resolve_submit(resolver, span_text("127.0.0.1"), i) == 0);
        }
        resolve_close(&resolver);
        sem_destroy(&semaphore); // no wake may come any more
    }
}
