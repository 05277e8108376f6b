/* SPDX-License-Identifier: MIT */
#include "shardd/store_internal.h"

#include "io/clock.h"

/*
 * Operations of a range that is being handed over (RULES V4): they wait, in their order, until what may be done there
 * has changed durably; then they are carried out, or answered that it is another's.
 *
 *     store_run ─ EXECUTE_HELD ─> first_held -> ... ─ store_run_held ─┬─> outcome
 *                                     ^                               └─ still held ─┐
 *                                     └──────────────────────────────────────────────┘
 */

/* Who gives no deadline waits so long. */
#define HELD_US UINT64_C(5000000)

/* Bytes of all that is held: a part of the memory, but this at most; one may wait in any case. */
#define HELD_LEN_MAX  (UINT64_C(64) << 20)
#define HELD_LEN_PART 8

bool store_can_hold(const struct store *store, const struct op *op)
{
    uint64_t len_max = store->config.memory_limit / HELD_LEN_PART;
    len_max = len_max < HELD_LEN_MAX ? len_max : HELD_LEN_MAX;
    return !store->first_held || store->held_len + op_len(op) <= len_max;
}

void store_hold(struct store *store, struct op *op)
{
    if (op->deadline_us == 0) {
        op->deadline_us = clock_mono_us() + HELD_US;
    }
    op->next = NULL;
    *store->held_end = op;
    store->held_end = &op->next;
    store->held_len += op_len(op);
}

static struct op *take_all(struct store *store)
{
    struct op *first = store->first_held;
    store->first_held = NULL;
    store->held_end = &store->first_held;
    store->held_len = 0;
    return first;
}

void store_run_held(struct store *store)
{
    if (!store->first_held || store->is_stopped) {
        return;
    }
    store_begin_turn(store);
    uint64_t now_us = clock_mono_us();
    struct op *op = take_all(store);
    while (op) {
        struct op *next = op->next;
        store_run_waiter(store, op, NULL, OP_REASON_HELD_TOO_LONG, now_us);
        op = next;
    }
}

void store_forget_held(struct store *store, uint64_t first, uint64_t last)
{
    struct op *op = take_all(store);
    while (op) {
        struct op *next = op->next;
        if (op->kind == OP_SCAN || op->point < first || op->point > last) {
            store_hold(store, op); /* scans stay: store_refuse_within answers none */
        }
        op = next;
    }
}
