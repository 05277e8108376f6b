/* SPDX-License-Identifier: MIT */
#include "shardd/store_internal.h"

#include "proto/point.h"

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

/* Room is made ahead of those who need it, and for those who wait as much as they want. */
static bool is_nearly_full(const struct account *account, uint64_t leaving_len)
{
    uint64_t limit = account->range.limit;
    uint64_t room = limit / EVICT_AHEAD_PART;
    room = account->wanted > room ? account->wanted : room;
    uint64_t least = room < limit ? limit - room : 0;
    return account->range.when_full == WHEN_FULL_EVICT && account->used > least &&
           account->used - least > leaving_len;
}

/* What is hot is for the table's own clock to choose. True: it begins to leave. */
static bool may_leave(struct store *store, const struct account *account,
                      const struct patrol_found *found)
{
    if (hot_peek(store->hot, found->point, found->table, found->key)) {
        return false;
    }
    store->has_found_cold = true;
    if (!is_nearly_full(account, store->leaving_len)) {
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
    const struct account *account = accounts_find(&store->accounts, found->point);
    if (store->is_stopped || !account || !account->is_open) { /* RULES V4 */
        return;
    }
    store_begin_turn(store);
    if (store_has_room(store, op_len(&op)) && (found->is_due || may_leave(store, account, found))) {
        store_run(store, &op);
    }
}

/* What the last piece for room has shown, once it is back. */
static void note_piece(struct store *store)
{
    if (!store->is_for_room || patrol_is_busy(store->patrol)) {
        return;
    }
    struct account *account = accounts_find(&store->accounts, store->patrolled_point);
    store->is_for_room = false;
    if (account) {
        account->cold = store->has_found_cold ? ACCOUNT_COLD_SOME : ACCOUNT_COLD_NONE;
        account->patrol_point = patrol_point(store->patrol);
    }
}

/* In turn: one that is never done must not keep the patrol from the others. NULL: none is in need. */
static struct account *find_nearly_full(struct store *store)
{
    uint32_t count = store->accounts.count;
    for (uint32_t i = 1; i <= count; i++) {
        uint32_t index = (store->patrolled + i) % count;
        struct account *account = &store->accounts.items[index];
        if (account->cold != ACCOUNT_COLD_NONE && is_nearly_full(account, store->leaving_len)) {
            store->patrolled = index;
            return account;
        }
    }
    return NULL;
}

static void patrol_for_room(struct store *store, const struct account *account)
{
    store->is_for_room = patrol_start(store->patrol, &account->range, account->patrol_point,
                                      store->execution.now_ms);
    store->has_found_cold = false;
    store->patrolled_point = point_of_bound(account->range.start);
}

/* Where all was hot, something may have cooled down. */
static void forget_what_was_hot(struct store *store)
{
    for (uint32_t i = 0; i < store->accounts.count; i++) {
        struct account *account = &store->accounts.items[i];
        account->cold = account->cold == ACCOUNT_COLD_NONE ? ACCOUNT_COLD_UNKNOWN : account->cold;
    }
}

/* By turns, where both are to be done: a full shard in which all is hot must not keep what is due elsewhere. */
void store_patrol(struct store *store)
{
    if (sweep_wrote_expiring(store->sweep)) {
        patrol_note(store->patrol);
    }
    if (patrol_is_busy(store->patrol)) {
        return;
    }
    note_piece(store);
    forget_what_was_hot(store);
    bool is_for_due = store->was_for_room && !patrol_is_needless(store->patrol);
    const struct account *account = is_for_due ? NULL : find_nearly_full(store);
    store->was_for_room = account != NULL;
    if (account) {
        patrol_for_room(store, account);
    } else if (!patrol_is_needless(store->patrol)) {
        (void)patrol_start(store->patrol, NULL, 0, store->execution.now_ms);
    }
}

/*
 * At once, and again while what was found is leaving: who writes fast must not find the shard full while there
 * is anything that is not hot.
 */
void store_evict_ahead(struct store *store)
{
    bool has_changed = log_last(store->log) != store->changed_stamp;
    if ((!has_changed && !store->first_wanting) || patrol_is_busy(store->patrol)) {
        return;
    }
    note_piece(store);
    const struct account *account =
        store->leaving_count > PATROL_FOUND_MAX ? NULL : find_nearly_full(store);
    if (account) {
        patrol_for_room(store, account);
    }
}
