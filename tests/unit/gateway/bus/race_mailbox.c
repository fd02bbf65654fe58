// Two threads and one mailbox: a million mails of all sizes, whose bytes say whose they are. Plain,
// for TSan.
#include "gateway/bus/mailbox.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAILS = 1000000, LARGE_EVERY = 4096 };

static uint32_t length_of(uint64_t number) {
    return number % LARGE_EVERY == 0 ? (uint32_t)(number % MAILBOX_PIECE_BYTES_MAX)
                                     : (uint32_t)(number * 2654435761u % 97);
}

static uint8_t content(uint64_t number, uint32_t at) {
    return (uint8_t)(number + number / 251 + at * 3);
}

static void *sender(void *context) {
    struct mailbox *mailbox = context;
    static uint8_t bytes[MAILBOX_PIECE_BYTES_MAX];
    for (uint64_t number = 1; number <= MAILS; number++) {
        uint32_t length = length_of(number);
        for (uint32_t i = 0; i < length; i++) {
            bytes[i] = content(number, i);
        }
        uint32_t first = length / 3;
        struct mail mail = {.kind = 1, .words = {number, 0, 0, 0, 0, 0, ~number}};
        while (!mailbox_put(mailbox, &mail, span_make(bytes, first),
                            span_make(bytes + first, length - first))) {
            sched_yield();
        }
    }
    return NULL;
}

static int receive(struct mailbox *mailbox) {
    for (uint64_t number = 1; number <= MAILS; number++) {
        struct mail mail;
        struct span bytes;
        while (!mailbox_peek(mailbox, &mail, &bytes)) {
            sched_yield();
        }
        if (mail.words[0] != number || mail.words[6] != ~number ||
            bytes.length != length_of(number)) {
            printf("mail %lu: words %lu, %u bytes\n", (unsigned long)number,
                   (unsigned long)mail.words[0], bytes.length);
            return 1;
        }
        for (uint32_t i = 0; i < bytes.length; i++) {
            if (bytes.data[i] != content(number, i)) {
                printf("mail %lu: byte %u is wrong\n", (unsigned long)number, i);
                return 1;
            }
        }
        mailbox_next(mailbox);
    }
    return mailbox_has_mail(mailbox) ? 1 : 0;
}

int main(void) {
    struct mailbox *mailbox = aligned_alloc(64, sizeof *mailbox);
    uint8_t *data = calloc(1, mailbox_bytes());
    pthread_t thread;
    if (mailbox == NULL || data == NULL) {
        return 1;
    }
    mailbox_init(mailbox, (struct memory){.data = data, .length = mailbox_bytes()});
    if (pthread_create(&thread, NULL, sender, mailbox) != 0) {
        return 1;
    }
    int result = receive(mailbox);
    if (result == 0) {
        pthread_join(thread, NULL);
        free(data);
        free(mailbox);
    }
    return result;
}
