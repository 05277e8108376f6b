/* SPDX-License-Identifier: MIT */
#include "shardd/store_internal.h"

/* The last part of a shard's size that is kept free by evicting what is not hot. */
#define EVICT_AHEAD_PART 64

static void forget(const struct op *op, const struct outcome *outcome)
{
    (void)op;
    (void)outcome;
}

static void on_evicted(const struct op *op, const struct outcome *outcome)
{
    (void)outcome;
    struct store *store = op->context;
    store->leaving_len -= store->leaving_len / store->leaving_count; /* about */
    store->leaving_count--;
}

/* Room is made ahead of those who need it. */
static bool is_nearly_full(const struct account *account, uint64_t leaving_len)
{
    uint64_t limit = account->range.limit;
    uint64_t least = limit - limit / EVICT_AHEAD_PART;
    return account->range.when_full == WHEN_FULL_EVICT && account->used > least &&
           account->used - least > leaving_len;
}

/* What is hot is for the table's own clock to choose. True: it begins to leave. */
static bool may_leave(struct store *store, const struct patrol_found *found)
{
    if (hot_peek(store->hot, found->point, found->table, found->key)) {
        return false;
    }
    store->is_all_hot = false;
    const struct account *account = accounts_find(&store->accounts, found->point);
    if (!account || !is_nearly_full(account, store->leaving_len)) {
        return false;
    }
    store->leaving_count++;
    store->leaving_len += found->size;
    return true;
}

void store_on_found(void *context, const struct patrol_found *found)
{
    struct store *store = context;
    const struct op op = {
        .done = found->is_due ? forget : on_evicted,
        .context = store,
        .kind = found->is_due ? OP_REAP : OP_EVICT,
        .point = found->point,
        .table = found->table,
        .key = found->key,
        .if_version = found->is_due ? 0 : found->version, /* it may have slid in the hot table */
    };
    if (store->is_stopped) {
        return;
    }
    store_begin_turn(store);
    if (store_has_room(store, op_len(&op)) && (found->is_due || may_leave(store, found))) {
        store_run(store, &op);
    }
}

static const struct range *find_nearly_full(const struct store *store)
{
    for (uint32_t i = 0; i < store->accounts.count; i++) {
        if (is_nearly_full(&store->accounts.items[i], store->leaving_len)) {
            return &store->accounts.items[i].range;
        }
    }
    return NULL;
}

/* By turns, where both are to be done: a full shard in which all is hot must not keep what is due elsewhere. */
void store_patrol(struct store *store)
{
    if (sweep_wrote_expiring(store->sweep)) {
        patrol_note(store->patrol);
    }
    const struct range *range = find_nearly_full(store);
    if (store->was_for_room && !patrol_is_needless(store->patrol)) {
        range = NULL;
    }
    store->was_for_room = range != NULL;
    store->is_all_hot = false;
    if (range || !patrol_is_needless(store->patrol)) {
        store->is_all_hot = patrol_start(store->patrol, range, store->execution.now_ms) && range;
    }
}

/*
 * At once, and again while what was found is leaving: who writes fast must not find the shard full while there
 * is anything that is not hot.
 */
void store_evict_ahead(struct store *store)
{
    bool has_changed = log_last(store->log) != store->changed_stamp;
    if (!has_changed || store->is_all_hot || store->leaving_count > PATROL_FOUND_MAX) {
        return;
    }
    const struct range *range = find_nearly_full(store);
    if (range) {
        store->is_all_hot = patrol_start(store->patrol, range, store->execution.now_ms);
    }
}
