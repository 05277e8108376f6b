/* SPDX-License-Identifier: MIT */
#include "shardd/store_internal.h"

#include "io/clock.h"
#include "proto/point.h"

/*
 * Writes for which a full shard that evicts has no room yet, in their order, and what comes behind them.
 *
 *     store_run ─ EXECUTE_ROOM ─> first_wanting -> ... ─ a millisecond later ─> store_run_waiter ─┬─> outcome
 *                                     ^                                                           │
 *                                     └─────────────────────── still no room ────────────────────┘
 *
 * What they want stands in account->wanted, their sum, and goes by it alone: the patrol removes so much and no more,
 * and whoever comes later takes none of it. So each gets its turn, and many at once evict no more than they need.
 */

/* So many may wait, and so many bytes of them (a part of the memory); one may in any case. */
#define WANTING_MAX      256
#define WANTING_LEN_MAX  (STORE_QUEUE_LEN_MAX / 2)
#define WANTING_LEN_PART 8

/* Who gives no deadline waits so long. */
#define WANTING_US UINT64_C(5000000)

bool store_can_want(const struct store *store, const struct op *op)
{
    uint64_t len_max = store->config.memory_limit / WANTING_LEN_PART;
    len_max = len_max < WANTING_LEN_MAX ? len_max : WANTING_LEN_MAX;
    return store->wanting_count == 0 ||
           (store->wanting_count < WANTING_MAX && store->wanting_len + op_len(op) <= len_max);
}

static uint64_t point_bit(const struct op *op)
{
    return UINT64_C(1) << (op->point % 64);
}

/* The store's own may go ahead: what they do depends on the record's version. */
const struct op *store_ahead_of(const struct store *store, const struct op *op)
{
    bool is_of_client = !op_is_inner(op) && !op_mints(op) && op->kind != OP_DONE;
    if (!is_of_client || !(store->wanting_points & point_bit(op))) {
        return NULL;
    }
    for (const struct op *ahead = store->first_wanting; ahead; ahead = ahead->next) {
        if (ahead->point == op->point && ahead->reply_to == op->reply_to &&
            ahead->table == op->table && bytes_equal(ahead->key, op->key)) {
            return ahead;
        }
    }
    return NULL;
}

void store_want(struct store *store, struct op *op)
{
    if (op->deadline_us == 0) {
        op->deadline_us = clock_mono_us() + WANTING_US;
    }
    op->next = NULL;
    *store->wanting_end = op;
    store->wanting_end = &op->next;
    store->wanting_count++;
    store->wanting_len += op_len(op);
    store->wanting_points |= point_bit(op);
    if (store->wanting_count == 1) {
        timer_set(store->again, 0);
    }
}

/* Returns the first of them all. */
static struct op *take_all(struct store *store)
{
    struct op *first = store->first_wanting;
    store->first_wanting = NULL;
    store->wanting_end = &store->first_wanting;
    store->wanting_count = 0;
    store->wanting_len = 0;
    store->wanting_points = 0;
    return first;
}

/* It is added up anew by those that still wait: some may have gone, and the shards have changed. */
static void forget_wanted(struct store *store, const struct op *op)
{
    for (; op; op = op->next) {
        struct account *account = accounts_find(&store->accounts, op->point);
        if (account) {
            account->wanted = 0;
        }
    }
}

void store_run_wanting(struct store *store)
{
    if (!store->first_wanting || store->is_stopped) {
        return;
    }
    store_begin_turn(store);
    if (store->wanting_ms == store->execution.now_ms) {
        return;
    }
    store->wanting_ms = store->execution.now_ms;
    uint64_t now_us = clock_mono_us();
    struct op *op = take_all(store);
    forget_wanted(store, op);
    store->execution.has_waited = true;
    while (op) {
        struct op *next = op->next;
        store_run_waiter(store, op, NULL, op->wants, now_us);
        op = next;
    }
    store->execution.has_waited = false;
}

void store_forget_wanting(struct store *store, uint64_t first, uint64_t last)
{
    struct op *op = take_all(store);
    while (op) {
        struct op *next = op->next;
        if (op->point < first || op->point > last) {
            store_want(store, op);
        }
        op = next;
    }
}
