/* SPDX-License-Identifier: MIT */
#include "io/loop.h"

#include "tests/sim/turn.h"

#include <assert.h>
#include <stdlib.h>

#define HOOK_MAX 8

/* Until the turn of a process that is scheduled at once; and of one that is not, for a fault. */
#define TURN_DELAY_US 60
#define STALL_MEAN_US UINT64_C(100000)

struct hook {
    loop_callback *run;
    void *context;
};

struct loop {
    struct node *node;
    struct event turn;
    bool is_in_turn;
    bool is_woken; /* there is something for a turn */
    struct ready *first;
    struct ready *last;
    unsigned ready_count;
    struct loop_conns conns;
    struct hook hooks[HOOK_MAX];
    unsigned hook_count;
};

struct timer {
    struct loop *loop;
    struct event event;
    struct ready ready;
};

/* Input of the turn ends with its hooks. */
void loop_run_hooks(struct loop *loop)
{
    for (unsigned i = 0; i < loop->hook_count; i++) {
        loop->hooks[i].run(loop->hooks[i].context);
    }
    conn_drop_inputs(loop);
}

void loop_wake(struct loop *loop)
{
    loop->is_woken = true;
    if (loop->is_in_turn || event_is_set(&loop->turn)) {
        return;
    }
    uint64_t delay_us = world_below(TURN_DELAY_US);
    if (world_chance(world_swarm()->stall_ppm)) {
        count(COUNT_STALL);
        delay_us += world_around(STALL_MEAN_US);
    }
    event_set(&loop->turn, delay_us);
}

/* At either end: the order within a turn is nobody's promise. */
void loop_ready(struct loop *loop, struct ready *ready)
{
    if (ready->is_queued) {
        return;
    }
    ready->is_queued = true;
    loop->ready_count++;
    if (!loop->first) {
        ready->next = NULL;
        loop->first = loop->last = ready;
    } else if (world_below(2)) {
        ready->next = loop->first;
        loop->first = ready;
    } else {
        ready->next = NULL;
        loop->last->next = ready;
        loop->last = ready;
    }
    loop_wake(loop);
}

void loop_unready(struct loop *loop, struct ready *ready)
{
    if (!ready->is_queued) {
        return;
    }
    struct ready *before = NULL;
    for (struct ready *each = loop->first; each != ready; each = each->next) {
        before = each;
    }
    if (before) {
        before->next = ready->next;
    } else {
        loop->first = ready->next;
    }
    loop->last = loop->last == ready ? before : loop->last;
    loop->ready_count--;
    ready->is_queued = false;
}

/* What becomes ready meanwhile waits for the next turn, or takes the place of what was unreadied. */
static void run_ready(struct loop *loop)
{
    unsigned left = loop->ready_count;
    if (left > 1) {
        count(COUNT_TURN_BATCHED);
    }
    while (left-- && loop->first) {
        struct ready *ready = loop->first;
        loop_unready(loop, ready);
        ready->run(ready->context);
    }
}

static void run_turn(void *context)
{
    struct loop *loop = context;
    uint64_t busy_until_us = loop->node->busy_until_us;
    if (world_now_us() < busy_until_us) {
        event_set(&loop->turn, busy_until_us - world_now_us());
        return;
    }
    loop->is_in_turn = true;
    run_ready(loop);
    loop_run_hooks(loop);
    loop->is_woken = false;
    conn_flush_all(loop);
    loop->is_in_turn = false;
    if (loop->is_woken || loop->ready_count) {
        loop_wake(loop);
    }
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    assert(loop);
    loop->node = world_current();
    event_init(&loop->turn, loop->node, "turn", run_turn, loop);
    budget_init(&loop->conns.input_budget);
    return loop;
}

void loop_free(struct loop *loop)
{
    event_clear(&loop->turn);
    conn_free_all(loop);
    free(loop);
}

void loop_on_turn_end(struct loop *loop, loop_callback *callback, void *context)
{
    assert(loop->hook_count < HOOK_MAX);
    loop->hooks[loop->hook_count++] = (struct hook){callback, context};
}

struct node *loop_node(const struct loop *loop)
{
    return loop->node;
}

struct loop_conns *loop_conns(struct loop *loop)
{
    return &loop->conns;
}

/* --- timers --- */

static void on_due(void *context)
{
    struct timer *timer = context;
    loop_ready(timer->loop, &timer->ready);
}

struct timer *timer_new(struct loop *loop, loop_callback *callback, void *context)
{
    struct timer *timer = calloc(1, sizeof *timer);
    assert(timer);
    timer->loop = loop;
    timer->ready = (struct ready){.run = callback, .context = context};
    event_init(&timer->event, loop->node, "timer", on_due, timer);
    return timer;
}

void timer_set(struct timer *timer, uint64_t delay_ms)
{
    loop_unready(timer->loop, &timer->ready);
    event_set(&timer->event, delay_ms * 1000);
}

void timer_clear(struct timer *timer)
{
    loop_unready(timer->loop, &timer->ready);
    event_clear(&timer->event);
}

void timer_free(struct timer *timer)
{
    if (timer) {
        timer_clear(timer);
        free(timer);
    }
}
