/* SPDX-License-Identifier: MIT */
#ifndef IO_LOOP_INTERNAL_H
#define IO_LOOP_INTERNAL_H

/* What io/loop.c offers to conn, listener and worker, which stand on the same event base. */

#include <event2/event.h>

#include "io/loop.h"

struct event_base *loop_base(struct loop *loop);

/* The next turn does not wait for events: there is something to do at its end. */
void loop_hurry(struct loop *loop);

/* In the middle of a turn's events: very much input has come. Not from a hook. */
void loop_run_hooks(struct loop *loop);

/* What conn keeps per loop; made with the first connection. */
struct loop_flusher {
    void (*flush)(void *context); /* the last part of each turn */
    void (*free)(void *context);  /* with the loop */
    void *context;                /* NULL: none is set yet */
};

struct loop_flusher *loop_flusher(struct loop *loop);

#endif
