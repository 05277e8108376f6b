/* SPDX-License-Identifier: MIT */
#ifndef SIM_FIBER_H
#define SIM_FIBER_H

/*
 * A client's thread of control: code that blocks runs on a stack of its own, and waiting hands
 * over to the world until an event resumes it.
 */

#include "tests/sim/world.h"

struct fiber;

/* `body` begins with the next event of `node`. The fiber is the world's, not the node's process'. */
struct fiber *fiber_new(struct node *node, world_callback *body, void *context);

/* The one that runs; NULL outside of fibers. */
struct fiber *fiber_current(void);

/* Of the fiber that runs: until fiber_wake or `deadline_us`. False: the deadline. */
bool fiber_park(uint64_t deadline_us);
void fiber_sleep(uint64_t delay_us);

/* At the next event; does nothing to one that is not parked. */
void fiber_wake(struct fiber *fiber);

bool fiber_is_done(const struct fiber *fiber);

/* One that is not done is dropped where it stands: its node's process must be gone. NULL is allowed. */
void fiber_free(struct fiber *fiber);

#endif
