/* SPDX-License-Identifier: MIT */
#ifndef IO_LOOP_H
#define IO_LOOP_H

/*
 * The event loop of a daemon, and its turn:
 *
 *     ready events -> each connection read once, completions and timers run
 *     turn end     -> hooks, in the order they were added (execute what was gathered); earlier, and
 *                     then again, when very much input has come
 *     flush        -> each connection with output written once
 *     free         -> what was closed during the turn
 *
 * Batching over the turn is the largest single gain on the request path: one look-up, one log
 * record and one write for all that one turn brought. One thread; every callback runs in it.
 *
 * Two bodies: io/loop.c on libevent, tests/sim/ on virtual time.
 */

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct timer;

typedef void loop_callback(void *context);

/* Aborts with a message when the kernel gives no poller. */
struct loop *loop_new(void);

/* Whatever was made on the loop must have been freed before. */
void loop_free(struct loop *loop);

/* Runs turns until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* `callback` runs at the end of each turn, before output is written. At most 8 hooks. */
void loop_on_turn_end(struct loop *loop, loop_callback *callback, void *context);

/* `callback` runs in the loop, not in the signal handler. */
void loop_on_signal(struct loop *loop, int signal_number, loop_callback *callback, void *context);

/* A timer is made unset. Its callback may set, clear or free it. */
struct timer *timer_new(struct loop *loop, loop_callback *callback, void *context);
void timer_set(struct timer *timer, uint64_t delay_ms); /* once; replaces what was set */
void timer_clear(struct timer *timer);
void timer_free(struct timer *timer); /* NULL is allowed */

#endif
