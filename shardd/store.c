/* SPDX-License-Identifier: MIT */
#include "shardd/store_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/conn.h"
#include "io/memory.h"
#include "proto/endian.h"
#include "proto/id.h"
#include "proto/point.h"
#include "shardd/hand.h"

/* Operations of a turn that has nothing but these, all changes: the loop syncs for them itself. */
#define ALONE_OPS 8

/* Turns after one whose replies were large in which operations are not gathered either. */
#define ONE_BY_ONE_TURNS 64

/* What goes on without requests: the sweep's pace, silent clients, records that are due. */
#define TICK_MS 250

/* Between two attempts of what waits for room. */
#define AGAIN_MS 1

/* Operations between fetching a put's bucket and needing it: more, and others of its slice have come before it. */
#define FORESEEN_OPS 8

/* Bytes that are fetched together: a part of the memory, within bounds. */
#define FETCH_PART    32
#define FETCH_LEN_MIN (UINT64_C(256) << 10)
#define FETCH_LEN_MAX (UINT64_C(8) << 20)

/* Of the memory, for what the hot table expects of a log that is to be replayed; half is what may be dirty. */
#define EXPECTED_PART 16

/* --- a turn --- */

/* Where a put's record goes is known when it has its id: the bucket is fetched by what that will most likely be. */
static void foresee(const struct store *store, uint32_t index, uint32_t count)
{
    if (index < count && store->batch[index].kind == OP_PUT) {
        uint64_t id = minter_guess(store->execution.minter, store->batch[index].point,
                                   store->execution.now_ms);
        hot_prefetch(store->hot, id_point(id));
    }
}

static void run_batch(struct store *store)
{
    uint32_t count = store->batch_count;
    store_begin_turn(store);
    for (uint32_t i = 0; i < count; i++) {
        hot_prefetch_records(store->hot, store->batch[i].point);
        accounts_prefetch(&store->accounts, store->batch[i].point);
    }
    for (uint32_t i = 0; i < FORESEEN_OPS; i++) {
        foresee(store, i, count);
    }
    store->batch_count = 0;
    store->turn_ops += count;
    for (uint32_t i = 0; i < count; i++) {
        foresee(store, i + FORESEEN_OPS, count);
        store->turn_changes += op_changes(&store->batch[i]);
        store_run(store, &store->batch[i]);
    }
}

bool store_has_room(const struct store *store, size_t op_len)
{
    uint64_t part = store->config.memory_limit / STORE_QUEUE_PART;
    uint64_t len_max = part + sizeof(struct op) + FRAME_LEN_MAX;
    uint64_t others = slices_waiting_len(store->slices) + store->wanting_len; /* have their own */
    uint64_t len = store->waiting_len - others + op_len;
    return len <= len_max && len <= STORE_QUEUE_LEN_MAX;
}

void store_submit(struct store *store, const struct op *op)
{
    hot_prefetch(store->hot, op->point);
    store->batch[store->batch_count++] = *op;
    if (store->batch_count == BATCH_OPS || store->one_by_one > 0 ||
        store->turn_output_len > OUTPUT_LARGE) {
        run_batch(store);
    }
}

/* --- the end of a turn --- */

static void note_output(struct store *store)
{
    if (store->turn_output_len > OUTPUT_LARGE) {
        store->one_by_one = ONE_BY_ONE_TURNS;
    } else if (store->one_by_one > 0) {
        store->one_by_one--;
    }
}

void store_execute(struct store *store)
{
    store_run_wanting(store);
    run_batch(store);
}

void store_turn_end(struct store *store)
{
    store_execute(store);
    if (store->is_stopped) {
        store->is_turn = false;
        return;
    }
    fetch_turn(store->fetch);
    slices_turn(store->slices, log_last(store->log), store->execution.now_ms,
                store_has_output_room(store));
    counting_turn(store->counting, log_last(store->log), store->execution.now_ms);
    saving_turn(store->saving);
    emptying_turn(store->emptying, store->execution.now_ms);
    if (saving_is_busy(store->saving) || emptying_is_busy(store->emptying)) {
        timer_set(store->again, AGAIN_MS); /* their steps are turns */
    }
    recount_turn(&store->recount, log_durable(store->log));
    if (store->turn_ops > 0 && store->turn_ops <= ALONE_OPS &&
        store->turn_ops == store->turn_changes) {
        log_turn_end_alone(store->log);
    } else {
        log_turn_end(store->log);
    }
    store->turn_ops = store->turn_changes = 0;
    conn_release(store->config.loop, log_released(store->log));
    if (store->weighed_ms != store->execution.now_ms) {
        store->weighed_ms = store->execution.now_ms;
        store_look_at_disk(store);
        store_evict_ahead(store);
        store_weigh(store);
        retries_tick(store->retries, store->execution.now_ms);
        store_evict(store);
    }
    sweep_turn(store->sweep, &store->pressure);
    note_output(store);
    store->is_turn = false;
}

void store_wake(struct store *store)
{
    timer_set(store->again, 0);
}

uint32_t store_writer_delay_ms(const struct store *store, uint64_t point)
{
    uint32_t delay_ms = store->pressure.writer_delay_ms;
    if (store->accounts.delayed_count == 0) {
        return delay_ms;
    }
    const struct account *account = accounts_find(&store->accounts, point);
    return account && account->delay_ms > delay_ms ? account->delay_ms : delay_ms;
}

/* And a turn, whose end looks after all else. */
static void on_tick(void *context)
{
    struct store *store = context;
    store_begin_turn(store);
    store_patrol(store);
    store_run_held(store); /* for those that have waited too long */
    timer_set(store->tick, TICK_MS);
}

/* And a turn, whose end tries again what waits for room. */
static void on_again(void *context)
{
    struct store *store = context;
    if (store->first_wanting) {
        timer_set(store->again, AGAIN_MS);
    }
}

/* --- what the log asks --- */

static void on_progress(void *context)
{
    struct store *store = context;
    conn_release(store->config.loop, log_released(store->log));
}

static uint32_t put_accounts(void *context, struct buffer *out)
{
    struct store *store = context;
    return accounts_put_changed(&store->accounts, out);
}

static void put_checkpoint(void *context, struct buffer *out, uint32_t *account_count)
{
    struct store *store = context;
    *account_count = accounts_put_all(&store->accounts, out);
    buffer_append_bytes(out, buffer_bytes(&store->control));
    memory_must(!out->failed);
}

static uint64_t reserve_ids(void *context, uint64_t ms)
{
    struct store *store = context;
    uint8_t blob[8];
    endian_put_le64(blob, ms);
    return log_add_control(store->log, LOG_RESERVE, bytes_of(blob, sizeof(blob)));
}

static uint64_t add_to_log(void *context, const struct log_op *op)
{
    struct store *store = context;
    uint64_t stamp = log_add(store->log, op);
    const struct account *account =
        op->kind == LOG_RESULT ? accounts_find(&store->accounts, op->point) : NULL;
    if (account && account->hands) {
        hands_on_result(account->hands, stamp, op);
    }
    return stamp;
}

/* --- opening --- */

struct store *store_open(const struct store_config *config, char *error, size_t error_len)
{
    struct tree *tree = tree_open(dir_path(config->dir), error, error_len);
    if (!tree) {
        return NULL;
    }
    const struct log_config log = {config->loop, config->dir, config->durability,
                                   config->segment_len};
    struct room *room = room_open(config->loop, config->dir, config->segment_len, error, error_len);
    struct recovery *recovery = room ? recovery_open(tree, &log, error, error_len) : NULL;
    if (!recovery) {
        room_free(room);
        tree_close(tree);
        return NULL;
    }
    struct store *store = memory_get(1, sizeof(*store));
    store->config = *config;
    store->tree = tree;
    store->room = room;
    store->recovery = recovery;
    store->log = recovery_log(recovery);
    buffer_append_bytes(&store->control, recovery_control(recovery));
    memory_must(!store->control.failed);
    store->arena = arena_new();
    store->hot = hot_new(store->arena, recovery_is_tree_empty(recovery));
    store->retries = retries_new(&store->accounts, add_to_log, store);
    const struct retry_limits limits = retry_limits_of(config->memory_limit);
    retries_limit(store->retries, &limits);
    return store;
}

struct bytes store_control(const struct store *store)
{
    return buffer_bytes(&store->control);
}

static void no_split(void *context, uint64_t start, uint64_t end, uint64_t *used, uint64_t *records)
{
    (void)context, (void)start, (void)end, (void)used, (void)records;
    assert(false); /* there was no account before */
}

static bool take_accounts(struct store *store, const struct store_state *state, char *error,
                          size_t error_len)
{
    uint64_t start;
    accounts_replace(&store->accounts, state->ranges, state->range_count, no_split, NULL);
    if (recovery_set_accounts(store->recovery, &store->accounts, &start)) {
        return true;
    }
    char bound[BOUND_TEXT_LEN];
    bound_print(start, bound);
    (void)snprintf(error, error_len, "log: the account of the range from %s is missing", bound);
    return false;
}

static bool load_retries(struct store *store, char *error, size_t error_len)
{
    struct tree_txn *txn = tree_begin_read(store->tree);
    bool is_loaded = retries_load(store->retries, txn, error, error_len);
    tree_abort(txn);
    return is_loaded;
}

/* More dirty records than may be are swept at once, before anything is served, and then need not stay. */
static bool make_room(void *context, char *error, size_t error_len)
{
    struct store *store = context;
    supply_hurry(store->supply);
    uint64_t half = store->config.memory_limit / 2;
    if (hot_dirty_len(store->hot) < half || sweep_is_disk_full(store->sweep)) {
        return true;
    }
    bool is_fine = sweep_drain(store->sweep, error, error_len);
    hot_evict(store->hot, half, UINT32_MAX);
    return is_fine;
}

static size_t fetch_len_max(const struct store *store)
{
    uint64_t part = store->config.memory_limit / FETCH_PART;
    uint64_t len = part < FETCH_LEN_MAX ? part : FETCH_LEN_MAX;
    return (size_t)(len > FETCH_LEN_MIN ? len : FETCH_LEN_MIN);
}

static void on_settled(void *context)
{
    store_run_held(context);
}

static void start_parts(struct store *store)
{
    struct loop *loop = store->config.loop;
    store->minter = minter_new(recovery_reserved_ms(store->recovery), reserve_ids, store);
    const struct sweep_config sweep = {loop,           store->tree, store->hot,
                                       store->retries, store->log,  store->minter};
    store->supply = supply_new(loop, store->arena);
    store->sweep = sweep_new(&sweep, recovery_swept(store->recovery));
    store->fetch = fetch_new(loop, store->tree, fetch_len_max(store), store_on_fetched, store);
    store->slices =
        slices_new(loop, store->tree, store->hot, &store->accounts, store_on_slice_done, store);
    store->measure = measure_new(loop, store->tree);
    store->patrol = patrol_new(loop, store->tree, store_on_found, store);
    const struct counting_config counting = {loop, store->tree, store->hot, store->retries,
                                             &store->accounts};
    store->counting = counting_new(&counting);
    const struct saving_config saving = {
        .hot = store->hot,
        .tree = store->tree,
        .retries = store->retries,
        .sweep = store->sweep,
        .log = store->log,
        .accounts = &store->accounts,
        .counting = store->counting,
        .control = &store->control,
        .on_clear = store_refuse_within,
        .on_settled = on_settled,
        .context = store,
    };
    store->saving = saving_new(&saving);
    const struct emptying_config emptying = {store->hot, store->retries,      store->sweep,
                                             store->log, store_refuse_within, store};
    store->emptying = emptying_new(&emptying);
    store->execution.hot = store->hot;
    store->execution.accounts = &store->accounts;
    store->execution.log = store->log;
    store->execution.retries = store->retries;
    store->execution.minter = store->minter;
    store->wanting_end = &store->first_wanting;
    store->held_end = &store->first_held;
    store->again = timer_new(loop, on_again, store);
    store->tick = timer_new(loop, on_tick, store);
    timer_set(store->tick, TICK_MS);
}

/* What log salvage left: the numbers that came with it are those of before. */
static void recount(struct store *store)
{
    if (!recount_is_due(store->config.dir)) {
        return;
    }
    const struct tally_sources sources = {store->tree, store->hot, store->retries};
    recount_accounts(&sources, &store->accounts);
    store->recount.dir = store->config.dir;
    store->recount.awaited = log_add_control(store->log, LOG_STATE, buffer_bytes(&store->control));
}

bool store_start(struct store *store, const struct log_identity *identity,
                 const struct store_state *state, char *error, size_t error_len)
{
    const struct log_owner owner = {store, on_progress, put_accounts, put_checkpoint};
    buffer_clear(&store->control);
    buffer_append_bytes(&store->control, state->control);
    memory_must(!store->control.failed);
    if (!take_accounts(store, state, error, error_len) || !load_retries(store, error, error_len) ||
        !log_start(store->log, identity, &owner, error, error_len)) {
        return false;
    }
    start_parts(store);
    sweep_keep_state(store->sweep, buffer_bytes(&store->control), log_last(store->log), 0);
    const struct recovery_target target = {
        .hot = store->hot,
        .retries = store->retries,
        .make_room = make_room,
        .context = store,
        .accounts = &store->accounts,
        .expected_max = store->config.memory_limit / EXPECTED_PART / HOT_ROOM_LEN,
    };
    bool is_fine = recovery_replay(store->recovery, &target, error, error_len) &&
                   recovery_finish_upgrade(store->recovery, error, error_len);
    if (is_fine) {
        recount(store);
    }
    recovery_free(store->recovery);
    store->recovery = NULL;
    return is_fine;
}

/* --- the end --- */

static void refuse_batch(struct store *store)
{
    for (uint32_t i = 0; i < store->batch_count; i++) {
        struct outcome outcome = {.left_ms = -1};
        outcome_refuse(&outcome, STATUS_SHUTTING_DOWN, OP_REASON_NONE);
        store->batch[i].done(&store->batch[i], &outcome);
    }
}

void store_free(struct store *store)
{
    if (!store) {
        return;
    }
    timer_free(store->tick);
    timer_free(store->again);
    fetch_free(store->fetch);
    slices_free(store->slices);
    patrol_free(store->patrol);
    sweep_free(store->sweep);
    saving_free(store->saving);
    counting_free(store->counting);
    emptying_free(store->emptying);
    measure_free(store->measure);
    room_free(store->room);
    log_close(store->log);
    recovery_free(store->recovery);
    store_refuse_waiting(store);
    refuse_batch(store);
    retries_free(store->retries);
    minter_free(store->minter);
    hot_free(store->hot);
    supply_free(store->supply);
    arena_free_all(store->arena);
    tree_close(store->tree);
    accounts_fini(&store->accounts);
    buffer_fini(&store->control);
    buffer_fini(&store->execution.scratch);
    free(store);
}

bool store_is_idle(const struct store *store)
{
    return !store->newest_waiting && store->batch_count == 0 && !saving_is_busy(store->saving) &&
           log_released(store->log) >= log_last(store->log);
}

bool store_is_stuck(const struct store *store)
{
    return log_is_stuck(store->log);
}

void store_stop(struct store *store, loop_callback *on_stopped, void *context)
{
    store->is_stopped = true;
    log_stop(store->log, on_stopped, context);
}

void store_save(struct store *store, const struct store_state *state, store_saved *on_saved,
                void *context)
{
    saving_start(store->saving, state->control, state->ranges, state->range_count, on_saved,
                 context);
}

/* --- what is shown --- */

const struct account *store_account(const struct store *store, uint64_t point)
{
    return accounts_find(&store->accounts, point);
}

uint64_t store_last_stamp(const struct store *store)
{
    return log_last(store->log);
}
