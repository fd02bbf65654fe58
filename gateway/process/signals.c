// Handlers do two async-signal-safe things: add to a counter, write to an eventfd.
#include "gateway/process/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

// Signals have no context argument: these must be global.
static _Atomic unsigned terminate_count;
static _Atomic unsigned reload_count;
static struct io_doorbell signal_doorbell;

static void on_signal(int number) {
    atomic_fetch_add_explicit(number == SIGHUP ? &reload_count : &terminate_count, 1,
                              memory_order_release);
    io_doorbell_ring(signal_doorbell);
}

static void handle(void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigfillset(&action.sa_mask);
    static const int handled[] = {SIGTERM, SIGINT, SIGHUP};
    for (unsigned i = 0; i < sizeof handled / sizeof handled[0]; i++) {
        (void)sigaction(handled[i], &action, NULL); // constant valid arguments: it cannot fail
    }
}

void signals_open(struct io_doorbell doorbell) {
    signal_doorbell = doorbell;
    handle(on_signal);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action,
                    NULL); // as above; sends carry MSG_NOSIGNAL, the log's file may be a pipe
}

void signals_close(void) {
    handle(SIG_IGN);
}

struct signals_seen signals_take(void) {
    return (struct signals_seen){
        .terminate = atomic_exchange_explicit(&terminate_count, 0, memory_order_acquire),
        .reload = atomic_exchange_explicit(&reload_count, 0, memory_order_acquire),
    };
}

void signals_block(void) {
    sigset_t set;
    sigfillset(&set);
    sigdelset(&set, SIGABRT); // a failed check writes the flight recorder, on any thread
    sigdelset(&set, SIGSEGV);
    sigdelset(&set, SIGBUS);
    sigdelset(&set, SIGFPE);
    sigdelset(&set, SIGILL);
    (void)pthread_sigmask(SIG_SETMASK, &set, NULL); // constant valid arguments: it cannot fail
}
