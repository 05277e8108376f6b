/* SPDX-License-Identifier: MIT */
#include "shardd/store_internal.h"

#include <stdlib.h>

#include "io/clock.h"
#include "io/conn.h"
#include "io/memory.h"

/* The part of the memory that scans may take that wait for their turn. */
#define SCANS_PART 32

/* --- carrying out --- */

void store_begin_turn(struct store *store)
{
    if (!store->is_turn) {
        store->is_turn = true;
        execute_begin_turn(&store->execution, clock_wall_ms());
        log_turn_begin(store->log, store->execution.now_ms);
        store->output_len = conn_output_total(store->config.loop) + store->hiding_len +
                            (slices_is_busy(store->slices) ? SCAN_BYTES_MAX : 0);
        store->turn_output_len = 0;
    }
}

static void finish(struct store *store, struct op *op, const struct outcome *outcome)
{
    store->waiting_len -= op_len(op);
    if (op->newer) {
        op->newer->older = op->older;
    } else {
        store->newest_waiting = op->older;
    }
    if (op->older) {
        op->older->newer = op->newer;
    }
    op->done(op, outcome);
    op_free(op);
}

/* The newest of those that wait for a key; they are linked in a ring, so that its next is the oldest. */
static struct op *last_waiter(const struct hot_record *entry)
{
    return hot_waiters(entry);
}

/* Waits for what is fetched of its key; the first makes it be fetched. */
static void wait_for_fetch(struct store *store, struct op *op)
{
    struct hot_record *entry = hot_find(store->hot, op->point, op->table, op->key);
    if (!entry) {
        const struct record nothing = {.point = op->point, .table = op->table, .key = op->key};
        entry = hot_put(store->hot, NULL, &nothing, HOT_FETCHING, false);
        fetch_want(store->fetch, op->point, op->table, op->key);
    }
    struct op *last = last_waiter(entry);
    op->next = last ? last->next : op;
    if (last) {
        last->next = op;
    }
    hot_set_waiters(entry, op);
}

static struct op *keep(struct store *store, const struct op *op)
{
    struct op *kept = op_new(op);
    store->waiting_len += op_len(kept);
    kept->newer = NULL;
    kept->older = store->newest_waiting;
    if (kept->older) {
        kept->older->newer = kept;
    }
    store->newest_waiting = kept;
    return kept;
}

static bool is_reading(const struct op *op)
{
    return op->kind == OP_READ || (op->kind == OP_POP && op->identity.seq == 0);
}

bool store_has_output_room(const struct store *store)
{
    return store->output_len <= OUTPUT_LARGE ||
           store->output_len <= store->config.memory_limit / STORE_OUTPUT_PART;
}

/* RULES F3. A pop with an identity would not be asked again. */
static bool has_room_for_reply(const struct store *store, const struct op *op)
{
    return store->output_len <= OUTPUT_LARGE || !is_reading(op) ||
           (store_has_output_room(store) && (!op->has_room || op->has_room(op)));
}

static void count_reply(struct store *store, const struct outcome *outcome)
{
    store->output_len += outcome->value.len;
    store->turn_output_len += outcome->value.len;
}

static enum execute_result carry_out(struct store *store, const struct op *op,
                                     const struct execute_damage *damage, struct outcome *outcome)
{
    if (!has_room_for_reply(store, op)) {
        *outcome = (struct outcome){.left_ms = -1};
        outcome_refuse(outcome, STATUS_TRY_LATER, OP_REASON_UNREAD_REPLIES);
        return EXECUTE_DONE;
    }
    store->execution.can_wait = store_can_want(store, op);
    const struct op *ahead = store->first_wanting ? store_ahead_of(store, op) : NULL;
    if (ahead) {
        *outcome = (struct outcome){.left_ms = -1};
        outcome_refuse(outcome, STATUS_TRY_LATER, ahead->wants);
        return store->execution.can_wait ? EXECUTE_ROOM : EXECUTE_DONE;
    }
    enum execute_result result = execute(&store->execution, op, damage, outcome);
    if (result == EXECUTE_DONE) {
        count_reply(store, outcome);
    }
    return result;
}

/* The tree must be asked first, or there is no room yet, as the outcome says. */
static void wait(struct store *store, struct op *op, enum execute_result result,
                 const struct outcome *outcome)
{
    if (result == EXECUTE_ROOM) {
        op->wants = outcome->reason;
        store_want(store, op);
    } else if (result == EXECUTE_HELD) {
        store_hold(store, op);
    } else {
        wait_for_fetch(store, op);
    }
}

static void refuse_one_more(const struct op *op)
{
    struct outcome outcome = {.left_ms = -1};
    outcome_refuse(&outcome, STATUS_TRY_LATER, OP_REASON_TOO_MANY_WAIT);
    op->done(op, &outcome);
}

static bool is_held(const struct store *store, const struct op *op)
{
    const struct account *account = accounts_find(&store->accounts, op->point);
    return account && account_is_held(account);
}

/* Its reply has no room before its turn comes (slices_turn). */
static void run_scan(struct store *store, const struct op *op)
{
    if (is_held(store, op)) {
        if (store_can_hold(store, op)) {
            store_hold(store, keep(store, op));
        } else {
            refuse_one_more(op);
        }
        return;
    }
    size_t waiting_len = slices_waiting_len(store->slices);
    if (waiting_len > 0 && waiting_len + op_len(op) > store->config.memory_limit / SCANS_PART) {
        refuse_one_more(op);
    } else {
        slices_add(store->slices, keep(store, op));
    }
}

/* A scan's reply depends on the store's own, which are few. */
static bool may_wait(const struct store *store, const struct op *op, enum execute_result result)
{
    if (result == EXECUTE_HELD) {
        return store_can_hold(store, op);
    }
    return result == EXECUTE_ROOM || op_is_inner(op) || store_has_room(store, op_len(op));
}

void store_run(struct store *store, const struct op *op)
{
    if (op->kind == OP_SCAN) {
        run_scan(store, op);
        return;
    }
    struct outcome outcome;
    enum execute_result result = carry_out(store, op, NULL, &outcome);
    if (result == EXECUTE_DONE) {
        op->done(op, &outcome);
    } else if (may_wait(store, op, result)) {
        wait(store, keep(store, op), result, &outcome);
    } else {
        refuse_one_more(op);
    }
}

/* What waited is carried out in its order; who waited too long is told so. */
void store_run_waiter(struct store *store, struct op *op, const struct execute_damage *damage,
                      enum op_reason late, uint64_t now_us)
{
    struct outcome outcome;
    bool is_late = op->deadline_us != 0 && op->deadline_us < now_us;
    bool is_droppable = !op_changes(op) || late == OP_REASON_HELD_TOO_LONG; /* RULES V4 */
    bool is_abandoned = is_droppable && op->is_awaited && !op->is_awaited(op);
    if (is_late || is_abandoned) {
        outcome = (struct outcome){.left_ms = -1};
        outcome_refuse(&outcome, STATUS_TRY_LATER, late);
        finish(store, op, &outcome);
        return;
    }
    if (op->kind == OP_SCAN) {
        if (is_held(store, op)) {
            store_hold(store, op);
        } else {
            slices_add(store->slices, op);
        }
        return;
    }
    enum execute_result result = carry_out(store, op, damage, &outcome);
    if (result == EXECUTE_DONE) {
        finish(store, op, &outcome);
    } else {
        wait(store, op, result, &outcome); /* also for the tree again: it was evicted meanwhile */
    }
}

/* --- what was fetched --- */

/* The entry is what the tree said; or gone, where that cannot be read. */
static void settle_entry(struct store *store, struct hot_record *entry,
                         const struct fetched *fetched)
{
    switch (fetched->state) {
    case FETCHED_RECORD:
        hot_put(store->hot, entry, &fetched->record, HOT_RECORD, false);
        break;
    case FETCHED_NOTHING:
        hot_put(store->hot, entry, &fetched->record, HOT_ABSENT, false);
        break;
    case FETCHED_DAMAGED:
    case FETCHED_NEWER_FORMAT:
        hot_remove(store->hot, fetched->record.point, entry);
        break;
    }
}

/*
 * A damaged record can be replaced or deleted, its size being known; after the first who does, the
 * others find what he left.
 */
static const struct execute_damage *damage_of(struct store *store, const struct fetched *fetched,
                                              struct execute_damage *damage)
{
    const struct record *record = &fetched->record;
    if (fetched->state == FETCHED_RECORD || fetched->state == FETCHED_NOTHING ||
        hot_find(store->hot, record->point, record->table, record->key)) {
        return NULL;
    }
    *damage = (struct execute_damage){fetched->state == FETCHED_NEWER_FORMAT, fetched->size};
    return damage;
}

void store_on_fetched(void *context, const struct fetched *fetched)
{
    struct store *store = context;
    const struct record *record = &fetched->record;
    struct hot_record *entry = hot_find(store->hot, record->point, record->table, record->key);
    if (!entry || hot_state(entry) != HOT_FETCHING) {
        return; /* the interval was emptied meanwhile */
    }
    store_begin_turn(store);
    struct op *last = last_waiter(entry);
    bool is_first = true; /* it made the record come: no use yet */
    struct op *op = last->next;
    last->next = NULL;
    settle_entry(store, entry, fetched);
    uint64_t now_us = clock_mono_us();
    while (op) {
        struct op *next = op->next;
        struct execute_damage damage;
        store_run_waiter(store, op, damage_of(store, fetched, &damage), OP_REASON_WAITED_TOO_LONG,
                         now_us);
        if (is_first) {
            hot_forget_use(store->hot, record->point, record->table, record->key);
        }
        is_first = false;
        op = next;
    }
}

/* --- what a scan hid --- */

/* A scan's reply that waits until what it hid is gone. */
struct hiding {
    struct store *store;
    struct op *op;
    struct outcome outcome;
    struct buffer value;
    uint32_t left; /* records that are not gone yet, and one while they are being counted */
};

/* Its reply takes room while it waits. */
static void count_hiding(const struct hiding *hiding, bool is_waiting)
{
    size_t len = is_waiting ? hiding->value.capacity : 0 - hiding->value.capacity;
    hiding->store->hiding_len += len;
    hiding->store->output_len += len;
}

static void end_hiding(struct hiding *hiding)
{
    if (--hiding->left > 0) {
        return;
    }
    count_hiding(hiding, false);
    hiding->outcome.value = buffer_bytes(&hiding->value);
    count_reply(hiding->store, &hiding->outcome);
    finish(hiding->store, hiding->op, &hiding->outcome);
    buffer_fini(&hiding->value);
    free(hiding);
}

static void on_reaped(const struct op *op, const struct outcome *outcome)
{
    struct hiding *hiding = op->context;
    if (outcome->need > hiding->outcome.need) {
        hiding->outcome.need = outcome->need;
    }
    if (outcome->status == STATUS_SHUTTING_DOWN || outcome->status == STATUS_WRONG_SHARD) {
        outcome_refuse(&hiding->outcome, outcome->status, OP_REASON_NONE);
    }
    end_hiding(hiding);
}

/*
 * RULES R3: what a slice hid as expired must not come back on a clock that was set back. So it goes, in the
 * log, and the reply depends on that.
 */
void store_on_slice_done(void *context, struct op *op, const struct outcome *outcome,
                         const struct slice_hidden *hidden, uint32_t hidden_count)
{
    struct store *store = context;
    if (!outcome) {
        store_hold(store, op);
        return;
    }
    if (hidden_count == 0) {
        count_reply(store, outcome);
        finish(store, op, outcome);
        return;
    }
    struct hiding *hiding = memory_get(1, sizeof(*hiding));
    *hiding = (struct hiding){store, op, *outcome, {0}, hidden_count + 1};
    buffer_append_bytes(&hiding->value, outcome->value);
    memory_must(!hiding->value.failed);
    store_begin_turn(store);
    count_hiding(hiding, true);
    for (uint32_t i = 0; i < hidden_count; i++) {
        const struct op reap = {
            .done = on_reaped,
            .context = hiding,
            .kind = OP_REAP,
            .point = hidden[i].point,
            .table = hidden[i].table,
            .key = hidden[i].key,
            .if_version = hidden[i].version,
        };
        store_run(store, &reap);
    }
    end_hiding(hiding);
}

/* --- what may wait no more --- */

/* The end of a reap may be that of its scan: what is remembered meanwhile must be none. */
static struct op *next_but_scans(struct op *op)
{
    while (op && op->kind == OP_SCAN) {
        op = op->older;
    }
    return op;
}

/* It waited for a range that went and now comes back empty. */
void store_refuse_within(void *context, uint64_t first, uint64_t last)
{
    struct store *store = context;
    struct outcome outcome = {.left_ms = -1};
    outcome_refuse(&outcome, STATUS_TRY_LATER, OP_REASON_NONE);
    fetch_cancel(store->fetch, first, last);
    store_forget_wanting(store, first, last);
    store_forget_held(store, first, last);
    struct op *op = next_but_scans(store->newest_waiting);
    while (op) {
        struct op *older = next_but_scans(op->older);
        if (op->point >= first && op->point <= last) {
            finish(store, op, &outcome);
        }
        op = older;
    }
}

/* It may have been carried out: no reply may leave. */
void store_refuse_waiting(struct store *store)
{
    while (store->newest_waiting) {
        struct outcome outcome = {.left_ms = -1};
        outcome_refuse(&outcome, STATUS_SHUTTING_DOWN, OP_REASON_NONE);
        finish(store, store->newest_waiting, &outcome);
    }
}
