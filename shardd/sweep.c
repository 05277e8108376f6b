/* SPDX-License-Identifier: MIT */
#include "shardd/sweep.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/logline.h"
#include "io/memory.h"
#include "shardd/clear.h"

#define BATCH_MAX 4096

/* Bytes of values in one transaction, or one value: pages that are written and synced at once. */
#define BATCH_LEN_MAX (16u << 20)

/* Buckets that are looked at in one turn: some tens of microseconds. */
#define BUCKETS_MAX 8192

/* On a full disk: few pages are copied at once (RULES F1), and nothing is tried again and again. */
#define FULL_BATCH_MAX 32
#define FULL_WAIT_MS   1000

/* What the worker writes in one transaction. */
struct batch {
    struct job job; /* first */
    struct sweep *sweep;
    struct hot_item items[BATCH_MAX];
    uint32_t count;
    uint64_t len; /* of their values */
    struct retry_batch *retries;
    bool is_ended[SWEPT_UNIT_COUNT]; /* the hand went through the unit with this batch */
    struct swept swept;
    struct buffer state; /* empty: it stays as it is */
    uint64_t state_stamp;
    bool has_expiring;
    enum tree_fault fault;
};

struct clearing {
    struct job job; /* first */
    struct sweep *sweep;
    uint64_t start, end;
    sweep_cleared *on_cleared; /* NULL: nothing is to be cleared */
    void *context;
    enum tree_fault fault;
};

/* Others' transactions. */
struct lending {
    struct job job; /* first */
    struct sweep *sweep;
    struct job *first; /* those that wait, linked by next */
    struct job **end;
    struct job *running; /* NULL: none */
    bool is_urgent;      /* one of those that wait */
};

/* The control state that the tree is to have. */
struct keeping {
    struct buffer state;
    uint64_t stamp;
    enum {
        KEEPING_NOTHING, /* the tree has it, or is getting it */
        KEEPING_DUE, /* once it is durable: with the next transaction, or in a while with one of its own */
        KEEPING_LATE, /* there was no room: it goes with the next transaction */
    } stage;
    uint64_t alone_ms; /* monotonic: from then on with one of its own */
};

/* Who writes to the tree, in turn. */
enum writer { WRITER_BATCH, WRITER_CLEARING, WRITER_LENT, WRITER_COUNT };

/* Where a unit is between "the hand has begun" and "applied". */
struct unit {
    uint64_t begun; /* A: the durable stamp when the hand began */
    uint64_t ended; /* E: the last stamp when its last batch had committed; 0: not yet */
};

/*
 * Since the tree found no space. Deletions go first: they make room.
 *
 *     all, in small batches ── no space ──> deletions only ── a lap that found none ──> all
 *               └── a lap in which there was space ──> over
 */
struct shortage {
    bool is_on;
    bool is_deletions_only;
    bool has_deleted;   /* in this lap */
    uint32_t batch_max; /* of deletions: these may find no space either */
    unsigned lap;       /* units passed */
    uint64_t wait_ms;   /* until then nothing is tried */
    uint64_t all_ms;    /* until then only deletions are */
};

struct sweep {
    struct sweep_config config;
    struct worker *easy;
    struct worker *full;
    bool is_busy;
    enum writer writer; /* the last one */
    struct shortage shortage;
    bool wrote_expiring;
    struct batch batch;
    struct clearing clearing;
    struct lending lending;
    struct keeping keeping;

    unsigned hand; /* the unit that it is in */
    bool is_in_unit;
    uint64_t point; /* where it goes on there */
    struct unit units[SWEPT_UNIT_COUNT];
    struct swept swept;                 /* as stored */
    uint64_t applied[SWEPT_UNIT_COUNT]; /* as it is to be stored next */
    struct sweep_stat stat;
};

static void run_batch(struct job *job);
static void batch_done(struct job *job);
static void run_clearing(struct job *job);
static void clearing_done(struct job *job);
static void run_lent(struct job *job);
static void lent_done(struct job *job);

struct sweep *sweep_new(const struct sweep_config *config, const struct swept *swept)
{
    struct sweep *sweep = memory_get(1, sizeof(*sweep));
    sweep->config = *config;
    sweep->easy = worker_new(config->loop, "sweep-easy", WORKER_LOW);
    sweep->full = worker_new(config->loop, "sweep", WORKER_NORMAL);
    sweep->batch.sweep = sweep;
    sweep->batch.job = (struct job){.run = run_batch, .done = batch_done};
    sweep->clearing.sweep = sweep;
    sweep->clearing.job = (struct job){.run = run_clearing, .done = clearing_done};
    sweep->lending.sweep = sweep;
    sweep->lending.job = (struct job){.run = run_lent, .done = lent_done};
    sweep->lending.end = &sweep->lending.first;
    sweep->swept = *swept;
    memcpy(sweep->applied, swept->applied, sizeof(sweep->applied));
    return sweep;
}

void sweep_free(struct sweep *sweep)
{
    if (!sweep) {
        return;
    }
    bool is_batch = sweep->is_busy && (sweep->batch.count > 0 || sweep->batch.retries);
    worker_free(sweep->easy);
    worker_free(sweep->full);
    if (sweep->lending.running) {
        lent_done(&sweep->lending.job);
    }
    assert(!sweep->lending.first);
    if (is_batch) {
        hot_not_swept(sweep->config.hot, sweep->batch.items, sweep->batch.count);
        if (sweep->batch.retries) {
            retries_swept(sweep->config.retries, sweep->batch.retries, false);
        }
    }
    buffer_fini(&sweep->batch.state);
    buffer_fini(&sweep->keeping.state);
    free(sweep);
}

bool sweep_is_busy(const struct sweep *sweep)
{
    return sweep->is_busy;
}

bool sweep_is_disk_full(const struct sweep *sweep)
{
    return sweep->shortage.is_on;
}

void sweep_retry(struct sweep *sweep)
{
    struct shortage *shortage = &sweep->shortage;
    if (shortage->is_deletions_only) {
        sweep->is_in_unit = false; /* what is no deletion was left out of it so far (RULES S2) */
    }
    shortage->wait_ms = shortage->all_ms = 0;
    shortage->is_deletions_only = false;
}

bool sweep_wrote_expiring(struct sweep *sweep)
{
    bool has = sweep->wrote_expiring;
    sweep->wrote_expiring = false;
    return has;
}

void sweep_note_expiring(struct sweep *sweep)
{
    sweep->wrote_expiring = true;
}

uint64_t sweep_applied(const struct sweep *sweep)
{
    return swept_applied(&sweep->swept);
}

void sweep_stat(const struct sweep *sweep, struct sweep_stat *out)
{
    *out = sweep->stat;
}

/* --- collecting --- */

static uint64_t first_point(unsigned arc)
{
    return (uint64_t)arc << 58;
}

static uint64_t last_point(unsigned arc)
{
    return first_point(arc) | ((UINT64_C(1) << 58) - 1);
}

/*
 * The unit's last round does not count before its E is durable. To begin the next would forget it, and while
 * something is always on its way to the disk no round would ever count.
 */
static bool is_round_pending(const struct sweep *sweep)
{
    return sweep->units[sweep->hand].ended != 0;
}

static void empty_batch(struct batch *batch)
{
    batch->count = 0;
    batch->len = 0;
    batch->retries = NULL;
    memset(batch->is_ended, 0, sizeof(batch->is_ended));
    buffer_clear(&batch->state);
}

static void enter_unit(struct sweep *sweep)
{
    sweep->is_in_unit = true;
    sweep->point = sweep->hand < HOT_ARC_COUNT ? first_point(sweep->hand) : 0;
    sweep->units[sweep->hand].begun = log_durable(sweep->config.log);
    sweep->units[sweep->hand].ended = 0;
}

/* Something of the unit may be left. */
static void pass_unit(struct sweep *sweep)
{
    sweep->is_in_unit = false;
    sweep->hand = (sweep->hand + 1) % SWEPT_UNIT_COUNT;
    sweep->stat.rounds += sweep->hand == 0;
    sweep->shortage.lap++;
}

static void leave_unit(struct sweep *sweep)
{
    sweep->batch.is_ended[sweep->hand] = true;
    pass_unit(sweep);
}

/* Of so many new items; those that would make the transaction too long are given back, and the hand goes on there. */
static void keep_len(struct sweep *sweep, uint32_t count, bool *is_end)
{
    struct batch *batch = &sweep->batch;
    const struct hot_item *items = batch->items + batch->count;
    for (uint32_t i = 0; i < count; i++) {
        size_t len = hot_value(items[i].entry).len;
        if (batch->count > 0 && batch->len + len > BATCH_LEN_MAX) {
            hot_not_swept(sweep->config.hot, items + i, count - i);
            sweep->point = items[i].point;
            *is_end = false;
            return;
        }
        batch->count++;
        batch->len += len;
    }
}

/* True when the unit has been gone through. */
static bool collect_from_unit(struct sweep *sweep, uint32_t batch_max)
{
    struct batch *batch = &sweep->batch;
    uint64_t durable = log_durable(sweep->config.log);
    bool is_end = false;
    if (sweep->hand == SWEPT_UNIT_RETRIES) {
        batch->retries = retries_collect(sweep->config.retries, durable, batch_max, &is_end);
        return is_end;
    }
    if (hot_arc_dirty(sweep->config.hot, sweep->hand) == 0) {
        return true;
    }
    uint32_t count =
        hot_collect(sweep->config.hot, &sweep->point, last_point(sweep->hand), durable,
                    batch->items + batch->count, batch_max - batch->count, BUCKETS_MAX, &is_end);
    keep_len(sweep, count, &is_end);
    return is_end;
}

/* Goes on until the batch is full, its time is over, or the hand is round. */
static void collect(struct sweep *sweep, uint32_t batch_max)
{
    for (unsigned i = 0; i < SWEPT_UNIT_COUNT && sweep->batch.count < batch_max; i++) {
        if (!sweep->is_in_unit && is_round_pending(sweep)) {
            return;
        }
        if (!sweep->is_in_unit) {
            enter_unit(sweep);
        }
        if (!collect_from_unit(sweep, batch_max)) {
            return;
        }
        bool was_retries = sweep->hand == SWEPT_UNIT_RETRIES;
        leave_unit(sweep);
        if (was_retries) {
            return;
        }
    }
}

/* --- collecting on a full disk --- */

static bool is_anything_dirty(const struct sweep *sweep)
{
    struct hot_stat stat;
    hot_stat(sweep->config.hot, &stat);
    return stat.dirty_count > 0 || retries_are_dirty(sweep->config.retries);
}

static bool is_lap_over(const struct shortage *shortage)
{
    return shortage->lap > SWEPT_UNIT_COUNT; /* it began in the middle of a unit */
}

static void begin_lap(struct shortage *shortage)
{
    shortage->lap = 0;
    shortage->has_deleted = false;
}

static bool is_deletion(const struct hot_item *item)
{
    struct hot_view view;
    hot_item_view(item, &view);
    return view.state == HOT_DELETED;
}

/* The others are given back; of deletions so many are kept, and the hand goes on with the next. */
static void keep_deletions(struct sweep *sweep, uint32_t count, bool *is_end)
{
    struct batch *batch = &sweep->batch;
    bool has_more = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct hot_item item = batch->items[i];
        bool is_wanted = is_deletion(&item);
        if (is_wanted && batch->count < sweep->shortage.batch_max) {
            batch->items[batch->count++] = item;
            continue;
        }
        hot_not_swept(sweep->config.hot, &item, 1);
        if (is_wanted && !has_more) {
            has_more = true;
            sweep->point = item.point;
            *is_end = false;
        }
    }
}

/* True when the unit has been gone through. */
static bool collect_deletions_of_unit(struct sweep *sweep)
{
    bool is_end = false;
    if (sweep->hand == SWEPT_UNIT_RETRIES || hot_arc_dirty(sweep->config.hot, sweep->hand) == 0) {
        return true;
    }
    uint32_t count = hot_collect(sweep->config.hot, &sweep->point, last_point(sweep->hand),
                                 log_durable(sweep->config.log), sweep->batch.items, BATCH_MAX,
                                 BUCKETS_MAX, &is_end);
    keep_deletions(sweep, count, &is_end);
    return is_end;
}

/* No unit is swept by this. */
static void collect_deletions(struct sweep *sweep)
{
    struct shortage *shortage = &sweep->shortage;
    for (unsigned i = 0; i < SWEPT_UNIT_COUNT && sweep->batch.count == 0; i++) {
        if (is_lap_over(shortage)) {
            shortage->is_deletions_only = shortage->has_deleted;
            shortage->wait_ms = shortage->has_deleted ? 0 : shortage->all_ms;
            begin_lap(shortage);
            return;
        }
        if (!sweep->is_in_unit) {
            enter_unit(sweep);
        }
        if (!collect_deletions_of_unit(sweep)) {
            return;
        }
        pass_unit(sweep);
    }
}

static void note_no_space(struct sweep *sweep)
{
    struct shortage *shortage = &sweep->shortage;
    uint64_t later_ms = clock_mono_ms() + FULL_WAIT_MS;
    if (shortage->is_on && shortage->is_deletions_only) {
        shortage->wait_ms = later_ms;
        shortage->batch_max = shortage->batch_max > 1 ? shortage->batch_max / 2 : 1;
    } else {
        shortage->all_ms = later_ms;
        shortage->batch_max = FULL_BATCH_MAX;
        pass_unit(sweep); /* what comes next may be smaller */
    }
    shortage->is_on = shortage->is_deletions_only = true;
    begin_lap(shortage);
}

static void note_space(struct shortage *shortage)
{
    shortage->has_deleted = true;
    if (shortage->batch_max < FULL_BATCH_MAX) {
        shortage->batch_max *= 2;
    }
}

/* What is left of it may be gone, or have become deletions that found their space. */
static bool is_shortage_over(const struct sweep *sweep)
{
    const struct shortage *shortage = &sweep->shortage;
    return (!shortage->is_deletions_only && is_lap_over(shortage)) || !is_anything_dirty(sweep);
}

/* True: there is nothing to be tried yet. */
static bool must_wait(struct sweep *sweep)
{
    struct shortage *shortage = &sweep->shortage;
    if (shortage->is_on && is_shortage_over(sweep)) {
        sweep_retry(sweep);
        shortage->is_on = false;
    }
    return shortage->is_on && clock_mono_ms() < shortage->wait_ms;
}

/* RULES S2: what is over and durable counts from the next transaction on. True: something does. */
static bool settle(struct sweep *sweep)
{
    bool is_any = false;
    uint64_t durable = log_durable(sweep->config.log);
    for (unsigned i = 0; i < SWEPT_UNIT_COUNT; i++) {
        struct unit *unit = &sweep->units[i];
        if (unit->ended != 0 && durable >= unit->ended) {
            unit->ended = 0;
            sweep->applied[i] = unit->begun > sweep->applied[i] ? unit->begun : sweep->applied[i];
        }
        is_any |= sweep->applied[i] > sweep->swept.applied[i];
    }
    return is_any;
}

static bool is_any_ended(const struct batch *batch)
{
    for (unsigned i = 0; i < SWEPT_UNIT_COUNT; i++) {
        if (batch->is_ended[i]) {
            return true;
        }
    }
    return false;
}

static void units_ended(struct sweep *sweep)
{
    for (unsigned i = 0; i < SWEPT_UNIT_COUNT; i++) {
        if (sweep->batch.is_ended[i]) {
            uint64_t last = log_last(sweep->config.log);
            sweep->units[i].ended = last > 0 ? last : 1;
        }
    }
}

/* With nothing dirty there is nothing to go round for: all that was given is in the tree. */
static void settle_clean(struct sweep *sweep)
{
    uint64_t durable = log_durable(sweep->config.log);
    for (unsigned i = 0; i < SWEPT_UNIT_COUNT; i++) {
        sweep->units[i] = (struct unit){0};
        sweep->applied[i] = durable;
    }
    sweep->is_in_unit = false;
}

/* --- the control state --- */

void sweep_keep_state(struct sweep *sweep, struct bytes control, uint64_t stamp, uint64_t within_ms)
{
    struct keeping *keeping = &sweep->keeping;
    buffer_clear(&keeping->state);
    buffer_append_bytes(&keeping->state, control);
    memory_must(!keeping->state.failed);
    keeping->stamp = stamp;
    if (keeping->stage != KEEPING_DUE) {
        keeping->alone_ms = clock_mono_ms() + within_ms;
    }
    keeping->stage = KEEPING_DUE;
}

/* On a full disk transactions are to be small. */
static bool can_keep_state(const struct sweep *sweep)
{
    const struct keeping *keeping = &sweep->keeping;
    return keeping->stage != KEEPING_NOTHING && !sweep->shortage.is_on &&
           log_durable(sweep->config.log) >= keeping->stamp;
}

/* A copy: the next may come while the worker writes this one. */
static void keep_state(struct sweep *sweep)
{
    struct batch *batch = &sweep->batch;
    buffer_append_bytes(&batch->state, buffer_bytes(&sweep->keeping.state));
    memory_must(!batch->state.failed);
    batch->state_stamp = sweep->keeping.stamp;
    sweep->keeping.stage = KEEPING_NOTHING;
}

static void state_not_kept(struct sweep *sweep)
{
    if (sweep->batch.state.len > 0 && sweep->keeping.stage == KEEPING_NOTHING) {
        sweep->keeping.stage = KEEPING_LATE;
    }
}

/* --- the next transaction --- */

static void submit(struct sweep *sweep, enum writer writer, struct job *job, enum pace pace)
{
    sweep->is_busy = true;
    sweep->writer = writer;
    worker_submit(pace == PACE_FULL ? sweep->full : sweep->easy, job);
}

static void submit_batch(struct sweep *sweep, enum pace pace)
{
    struct batch *batch = &sweep->batch;
    batch->swept.durable = log_durable(sweep->config.log);
    memcpy(batch->swept.applied, sweep->applied, sizeof(sweep->applied));
    batch->swept.reserved_ms = minter_reserved_ms(sweep->config.minter);
    if (can_keep_state(sweep)) {
        keep_state(sweep);
    }
    submit(sweep, WRITER_BATCH, &batch->job, pace);
}

static void begin_batch(struct sweep *sweep, const struct pressure *pressure)
{
    if (must_wait(sweep)) {
        return;
    }
    bool is_state_due = sweep->keeping.stage == KEEPING_DUE && can_keep_state(sweep) &&
                        clock_mono_ms() >= sweep->keeping.alone_ms;
    bool is_settled = settle(sweep);
    if (pressure->pace == PACE_REST && !is_settled && !is_state_due && !sweep->shortage.is_on) {
        return;
    }
    empty_batch(&sweep->batch);
    if (!is_anything_dirty(sweep)) {
        settle_clean(sweep);
        is_settled = swept_applied(&sweep->swept) < log_durable(sweep->config.log);
    } else if (sweep->shortage.is_on && sweep->shortage.is_deletions_only) {
        is_settled = false;
        collect_deletions(sweep);
    } else if (pressure->pace != PACE_REST || sweep->shortage.is_on) {
        collect(sweep, sweep->shortage.is_on ? FULL_BATCH_MAX : pressure->batch_max);
    }
    if (sweep->batch.count > 0 || sweep->batch.retries || is_settled || is_state_due) {
        submit_batch(sweep, pressure->pace);
    } else if (is_any_ended(&sweep->batch)) {
        units_ended(sweep); /* nothing of theirs was durable and dirty */
    }
}

/* --- others' transactions --- */

void sweep_lend(struct sweep *sweep, struct job *job, bool is_urgent)
{
    struct lending *lending = &sweep->lending;
    lending->is_urgent |= is_urgent;
    job->next = NULL;
    *lending->end = job;
    lending->end = &job->next;
}

bool sweep_take_back(struct sweep *sweep, struct job *job)
{
    struct lending *lending = &sweep->lending;
    struct job **link = &lending->first;
    while (*link && *link != job) {
        link = &(*link)->next;
    }
    if (!*link) {
        return false;
    }
    *link = job->next;
    if (!job->next) {
        lending->end = link;
    }
    return true;
}

static void lend(struct sweep *sweep, enum pace pace)
{
    struct lending *lending = &sweep->lending;
    struct job *job = lending->first;
    lending->running = job;
    (void)sweep_take_back(sweep, job);
    submit(sweep, WRITER_LENT, &lending->job, lending->is_urgent ? PACE_FULL : pace);
    lending->is_urgent &= lending->first != NULL;
}

/* --- whose turn it is --- */

static void begin(struct sweep *sweep, enum writer writer, const struct pressure *pressure)
{
    switch (writer) {
    case WRITER_BATCH:
        begin_batch(sweep, pressure);
        break;
    case WRITER_CLEARING:
        if (sweep->clearing.on_cleared) {
            submit(sweep, writer, &sweep->clearing.job, PACE_FULL);
        }
        break;
    case WRITER_LENT:
        if (sweep->lending.first) {
            lend(sweep, pressure->pace);
        }
        break;
    case WRITER_COUNT:
        break;
    }
}

void sweep_turn(struct sweep *sweep, const struct pressure *pressure)
{
    for (unsigned i = 1; i <= WRITER_COUNT && !sweep->is_busy; i++) {
        begin(sweep, (enum writer)((sweep->writer + i) % WRITER_COUNT), pressure);
    }
}

/* --- on the worker --- */

struct version {
    struct bytes key; /* the tree's */
    uint64_t version;
};

/* A damaged record shows any version: whoever replaced or deleted it was told that it is so. */
static bool is_version_newer(struct bytes stored, const void *context)
{
    const struct version *version = context;
    struct record record;
    return record_stored_version(stored) > version->version &&
           record_decode(stored, version->key, &record) == RECORD_FINE;
}

/* RULES S3: only if it is newer than what the tree has. */
static void write_item(struct batch *batch, struct tree_txn *txn, const struct hot_item *item)
{
    struct hot_view view;
    uint8_t key_bytes[TREE_KEY_LEN_MAX];
    hot_item_view(item, &view);
    const struct record *record = &view.record;
    size_t key_len = record_key_encode(record->point, record->table, record->key, key_bytes);
    struct bytes key = bytes_of(key_bytes, key_len);
    const struct version version = {key, record->version};
    batch->has_expiring |= record->expiry_ms != 0;
    if (view.state == HOT_RECORD) {
        uint8_t header[RECORD_HEADER_LEN];
        record_header_encode(record, key, header);
        tree_put_newer(txn, TREE_RECORDS, key, bytes_of(header, sizeof(header)), record->value,
                       is_version_newer, &version);
    } else {
        tree_delete_older(txn, TREE_RECORDS, key, is_version_newer, &version);
    }
}

static void run_batch(struct job *job)
{
    struct batch *batch = (struct batch *)job;
    struct tree_txn *txn = tree_begin_write(batch->sweep->config.tree);
    for (uint32_t i = 0; i < batch->count; i++) {
        write_item(batch, txn, &batch->items[i]);
    }
    if (batch->retries) {
        retry_batch_write(batch->retries, txn);
    }
    swept_store(txn, &batch->swept);
    if (batch->state.len > 0) {
        swept_store_state(txn, batch->state_stamp, buffer_bytes(&batch->state));
    }
    batch->fault = tree_commit(txn);
}

static void run_clearing(struct job *job)
{
    struct clearing *clearing = (struct clearing *)job;
    clearing->fault = clear_range(clearing->sweep->config.tree, clearing->start, clearing->end);
}

static void run_lent(struct job *job)
{
    struct job *running = ((struct lending *)job)->running;
    running->run(running);
}

/* --- back on the loop --- */

/* RULES L5: no retry, no reply. */
static void end_if_broken(const struct sweep *sweep, enum tree_fault fault)
{
    if (fault == TREE_BROKEN) {
        logline_die("tree: cannot commit: %s", tree_fault_text(sweep->config.tree));
    }
}

static void give_up_batch(struct sweep *sweep)
{
    struct batch *batch = &sweep->batch;
    state_not_kept(sweep);
    hot_not_swept(sweep->config.hot, batch->items, batch->count);
    if (batch->retries) {
        retries_swept(sweep->config.retries, batch->retries, false);
    }
    /* What was passed over must be met again: the lap begins anew where it is. */
    memset(sweep->units, 0, sizeof(sweep->units));
    sweep->is_in_unit = false;
    empty_batch(batch);
}

static void batch_done(struct job *job)
{
    struct batch *batch = (struct batch *)job;
    struct sweep *sweep = batch->sweep;
    end_if_broken(sweep, batch->fault);
    sweep->is_busy = false;
    if (batch->fault == TREE_NO_SPACE) {
        give_up_batch(sweep);
        note_no_space(sweep);
        return;
    }
    note_space(&sweep->shortage);
    hot_swept(sweep->config.hot, batch->items, batch->count);
    if (batch->retries) {
        retries_swept(sweep->config.retries, batch->retries, true);
    }
    sweep->swept = batch->swept;
    sweep->wrote_expiring |= batch->has_expiring;
    batch->has_expiring = false;
    sweep->stat.record_count += batch->count;
    sweep->stat.batch_count++;
    units_ended(sweep);
    empty_batch(batch);
    log_free(sweep->config.log, swept_applied(&sweep->swept));
}

bool sweep_drain(struct sweep *sweep, char *error, size_t error_len)
{
    struct batch *batch = &sweep->batch;
    bool is_end = false;
    uint64_t point = 0;
    assert(!sweep->is_busy);
    batch->swept = sweep->swept;
    while (!is_end) {
        batch->count = hot_collect(sweep->config.hot, &point, UINT64_MAX, UINT64_MAX, batch->items,
                                   BATCH_MAX, UINT32_MAX, &is_end);
        run_batch(&batch->job);
        if (batch->fault != TREE_FINE) {
            hot_not_swept(sweep->config.hot, batch->items, batch->count);
            empty_batch(batch);
            if (batch->fault == TREE_NO_SPACE) {
                note_no_space(sweep);
                return true;
            }
            (void)snprintf(error, error_len, "tree: cannot commit: %s",
                           tree_fault_text(sweep->config.tree));
            return false;
        }
        hot_swept(sweep->config.hot, batch->items, batch->count);
        sweep->wrote_expiring |= batch->has_expiring;
    }
    empty_batch(batch);
    return true;
}

static void lent_done(struct job *job)
{
    struct lending *lending = (struct lending *)job;
    struct job *running = lending->running;
    lending->sweep->is_busy = false;
    lending->running = NULL;
    running->done(running);
}

static void clearing_done(struct job *job)
{
    struct clearing *clearing = (struct clearing *)job;
    struct sweep *sweep = clearing->sweep;
    end_if_broken(sweep, clearing->fault);
    sweep->is_busy = false;
    sweep_cleared *on_cleared = clearing->on_cleared;
    clearing->on_cleared = NULL;
    on_cleared(clearing->context, clearing->fault == TREE_FINE);
}

void sweep_clear(struct sweep *sweep, uint64_t start, uint64_t end, sweep_cleared *on_cleared,
                 void *context)
{
    assert(!sweep->clearing.on_cleared);
    sweep->clearing.start = start;
    sweep->clearing.end = end;
    sweep->clearing.on_cleared = on_cleared;
    sweep->clearing.context = context;
}

bool sweep_is_clearing(const struct sweep *sweep)
{
    return sweep->clearing.on_cleared != NULL;
}
