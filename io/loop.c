/* SPDX-License-Identifier: MIT */
#include "io/loop.h"

#include <assert.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/logline.h"
#include "io/loop_internal.h"
#include "io/memory.h"

#define HOOK_MAX 8

struct hook {
    loop_callback *callback;
    void *context;
};

struct signal_watch {
    struct signal_watch *next;
    struct event *event;
    struct hook hook;
};

struct loop {
    struct event_base *base;
    struct hook hooks[HOOK_MAX];
    unsigned hook_count;
    struct loop_flusher flusher;
    struct signal_watch *signals;
    bool is_hurried;
    bool is_stopped;
};

struct timer {
    struct event *event;
    struct hook hook;
    uint64_t due_us;
};

struct loop *loop_new(void)
{
    struct loop *loop = memory_get(1, sizeof(*loop));
    loop->base = event_base_new();
    if (loop->base == NULL) {
        logline_die("the kernel gives no poller");
    }
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    if (loop->flusher.context != NULL) {
        loop->flusher.free(loop->flusher.context);
    }
    while (loop->signals != NULL) {
        struct signal_watch *watch = loop->signals;
        loop->signals = watch->next;
        event_free(watch->event);
        free(watch);
    }
    event_base_free(loop->base);
    free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

void loop_hurry(struct loop *loop)
{
    loop->is_hurried = true;
}

struct loop_flusher *loop_flusher(struct loop *loop)
{
    return &loop->flusher;
}

void loop_run_hooks(struct loop *loop)
{
    for (unsigned i = 0; i < loop->hook_count; i++) {
        loop->hooks[i].callback(loop->hooks[i].context);
    }
}

static void run_turn(struct loop *loop)
{
    int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY | (loop->is_hurried ? EVLOOP_NONBLOCK : 0);
    if (event_base_loop(loop->base, flags) < 0) {
        logline_die("the kernel's poller failed");
    }
    loop_run_hooks(loop);
    /* What was asked for until here, the flush does. What its callbacks ask for is the next turn's. */
    loop->is_hurried = false;
    if (loop->flusher.context != NULL) {
        loop->flusher.flush(loop->flusher.context);
    }
}

void loop_run(struct loop *loop)
{
    while (!loop->is_stopped) {
        run_turn(loop);
    }
    loop->is_stopped = false;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
    /* It may have been called between two turns. */
    loop_hurry(loop);
}

void loop_on_turn_end(struct loop *loop, loop_callback *callback, void *context)
{
    assert(loop->hook_count < HOOK_MAX);
    loop->hooks[loop->hook_count++] = (struct hook){callback, context};
}

static void on_signal(evutil_socket_t signal_number, short what, void *context)
{
    (void)signal_number;
    (void)what;
    const struct signal_watch *watch = context;
    watch->hook.callback(watch->hook.context);
}

void loop_on_signal(struct loop *loop, int signal_number, loop_callback *callback, void *context)
{
    struct signal_watch *watch = memory_get(1, sizeof(*watch));
    watch->hook = (struct hook){callback, context};
    watch->event = evsignal_new(loop->base, signal_number, on_signal, watch);
    if (watch->event == NULL || event_add(watch->event, NULL) != 0) {
        logline_die("cannot watch for signal %d", signal_number);
    }
    watch->next = loop->signals;
    loop->signals = watch;
}

static void start_timer(struct timer *timer, uint64_t delay_us)
{
    struct timeval delay = {
        .tv_sec = (time_t)(delay_us / 1000000),
        .tv_usec = (suseconds_t)(delay_us % 1000000),
    };
    if (event_add(timer->event, &delay) != 0) {
        logline_die("out of memory");
    }
}

/*
 * libevent counts from a coarse clock, read once a turn, and so may be some milliseconds early. A
 * callback that looks at the clock must find that its time has come.
 */
static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct timer *timer = context;
    uint64_t now_us = clock_mono_us();
    if (now_us < timer->due_us) {
        start_timer(timer, timer->due_us - now_us);
        return;
    }
    timer->hook.callback(timer->hook.context);
}

struct timer *timer_new(struct loop *loop, loop_callback *callback, void *context)
{
    struct timer *timer = memory_get(1, sizeof(*timer));
    timer->hook = (struct hook){callback, context};
    timer->event = evtimer_new(loop->base, on_timer, timer);
    if (timer->event == NULL) {
        logline_die("out of memory");
    }
    return timer;
}

void timer_set(struct timer *timer, uint64_t delay_ms)
{
    timer->due_us = clock_mono_us() + delay_ms * 1000;
    start_timer(timer, delay_ms * 1000);
}

void timer_clear(struct timer *timer)
{
    event_del(timer->event);
}

void timer_free(struct timer *timer)
{
    if (timer == NULL) {
        return;
    }
    event_free(timer->event);
    free(timer);
}
