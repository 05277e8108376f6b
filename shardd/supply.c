/* SPDX-License-Identifier: MIT */
#include "shardd/supply.h"

#include <stdlib.h>

#include "io/memory.h"
#include "io/worker.h"

struct supply {
    struct job job; /* first */
    struct arena *arena;
    struct worker *worker;
    void *block;      /* made, and not given yet */
    size_t held_last; /* of the arena, when supply_hurry looked */
    bool is_busy;
};

static void run(struct job *job)
{
    struct supply *supply = (struct supply *)job;
    supply->block = arena_block_new();
}

static void done(struct job *job)
{
    struct supply *supply = (struct supply *)job;
    arena_give_block(supply->arena, supply->block);
    supply->block = NULL;
    supply->is_busy = false;
    supply_turn(supply);
}

struct supply *supply_new(struct loop *loop, struct arena *arena)
{
    struct supply *supply = memory_get(1, sizeof(*supply));
    supply->job = (struct job){.run = run, .done = done};
    supply->arena = arena;
    supply->worker = worker_new(loop, "supply", WORKER_NORMAL);
    return supply;
}

void supply_free(struct supply *supply)
{
    if (supply) {
        worker_free(supply->worker);
        arena_block_free(supply->block);
        free(supply);
    }
}

void supply_turn(struct supply *supply)
{
    if (!supply->is_busy && arena_wants_block(supply->arena)) {
        supply->is_busy = true;
        worker_submit(supply->worker, &supply->job);
    }
}

/* Only when a slab was taken there is anything to look for. */
void supply_hurry(struct supply *supply)
{
    if (arena_held(supply->arena) == supply->held_last) {
        return;
    }
    supply->held_last = arena_held(supply->arena);
    worker_complete(supply->worker);
    supply_turn(supply);
    if (arena_is_short(supply->arena)) {
        arena_give_block(supply->arena, arena_block_new());
    }
}
