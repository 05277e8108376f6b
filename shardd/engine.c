/* SPDX-License-Identifier: MIT */
#include "shardd/engine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/memory.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/unpack.h"
#include "shardd/clear.h"
#include "shardd/execute.h"
#include "shardd/retry.h"
#include "shardd/seal.h"

#define STAMP_FORMAT 1

struct engine {
    struct tree *tree;
    struct accounts accounts;
    uint64_t last_stamp;
    struct retry_hand hand;
    bool is_disk_full;
};

static const struct bytes control_key = {"control", 7};
static const struct bytes stamp_key = {"stamp", 5};

struct engine *engine_open(const char *path, char *error, size_t error_len)
{
    struct tree *tree = tree_open(path, error, error_len);
    if (!tree) {
        return NULL;
    }
    struct engine *engine = memory_get(1, sizeof(*engine));
    engine->tree = tree;
    return engine;
}

void engine_close(struct engine *engine)
{
    if (engine) {
        tree_close(engine->tree);
        accounts_fini(&engine->accounts);
        free(engine);
    }
}

bool engine_is_disk_full(const struct engine *engine)
{
    return engine->is_disk_full;
}

const char *engine_fault_text(const struct engine *engine)
{
    return tree_fault_text(engine->tree);
}

const struct accounts *engine_accounts(const struct engine *engine)
{
    return &engine->accounts;
}

uint64_t engine_last_stamp(const struct engine *engine)
{
    return engine->last_stamp;
}

/* --- starting --- */

/* Tells a directory that never had a control state from one that lost it. */
static bool has_records(struct tree_txn *txn)
{
    static const uint8_t first_key[1] = {0};
    struct tree_cursor *cursor = tree_cursor_open(txn, TREE_RECORDS);
    bool has = tree_cursor_seek(cursor, bytes_of(first_key, sizeof(first_key)));
    tree_cursor_close(cursor);
    return has;
}

bool engine_load(struct engine *engine, struct buffer *control, char *error, size_t error_len)
{
    struct bytes stored;
    struct tree_txn *txn = tree_begin_read(engine->tree);
    bool has_control = tree_get(txn, TREE_META, control_key, &stored);
    if (has_control) {
        buffer_append_bytes(control, stored);
    }
    bool is_lost = !has_control && has_records(txn);
    bool is_fine = tree_txn_fault(txn) == TREE_FINE;
    tree_abort(txn);
    if (!is_fine) {
        (void)snprintf(error, error_len, "tree: %s", engine_fault_text(engine));
    } else if (is_lost) {
        (void)snprintf(error, error_len, "tree: there are records, but no control state");
    }
    return is_fine && !is_lost;
}

static bool load_stamp(struct engine *engine, struct tree_txn *txn)
{
    struct bytes stored;
    struct bytes payload;
    if (!tree_get(txn, TREE_META, stamp_key, &stored)) {
        return true; /* nothing was ever written */
    }
    if (seal_open(stored, stamp_key, STAMP_FORMAT, &payload) != SEAL_FINE) {
        return false;
    }
    struct unpack in = unpack_of(payload);
    engine->last_stamp = unpack_uint(&in);
    return unpack_is_fine(&in);
}

bool engine_start(struct engine *engine, const struct range *ranges, uint32_t range_count,
                  char *error, size_t error_len)
{
    uint64_t start;
    struct tree_txn *txn = tree_begin_read(engine->tree);
    bool has_stamp = load_stamp(engine, txn);
    bool has_accounts =
        has_stamp && accounts_load(txn, ranges, range_count, &engine->accounts, &start);
    bool is_fine = tree_txn_fault(txn) == TREE_FINE;
    tree_abort(txn);
    if (!is_fine) {
        (void)snprintf(error, error_len, "tree: %s", engine_fault_text(engine));
    } else if (!has_stamp) {
        (void)snprintf(error, error_len, "tree: the last stamp is damaged");
    } else if (!has_accounts) {
        char bound[BOUND_TEXT_LEN];
        bound_print(start, bound);
        (void)snprintf(error, error_len,
                       "tree: the account of the range from %s is missing or damaged", bound);
    }
    return is_fine && has_accounts;
}

/* --- what is owned changes --- */

/* Empties the parts of `range` that none of held .. held_end covers. */
static enum tree_fault clear_gained(struct engine *engine, const struct account *held,
                                    const struct account *held_end, const struct range *range)
{
    enum tree_fault fault = TREE_FINE;
    uint64_t at = range->start;
    for (; held < held_end && held->range.start < range->end && fault == TREE_FINE; held++) {
        if (at < held->range.start) {
            fault = clear_range(engine->tree, at, held->range.start);
        }
        at = held->range.end;
    }
    if (at < range->end && fault == TREE_FINE) {
        fault = clear_range(engine->tree, at, range->end);
    }
    return fault;
}

static enum tree_fault clear_all_gained(struct engine *engine, const struct range *ranges,
                                        uint32_t range_count)
{
    enum tree_fault fault = TREE_FINE;
    const struct account *held = engine->accounts.items;
    const struct account *held_end = held + engine->accounts.count;
    for (uint32_t i = 0; i < range_count && fault == TREE_FINE; i++) {
        while (held < held_end && held->range.end <= ranges[i].start) {
            held++;
        }
        fault = clear_gained(engine, held, held_end, &ranges[i]);
    }
    return fault;
}

enum tree_fault engine_save(struct engine *engine, struct bytes control, const struct range *ranges,
                            uint32_t range_count)
{
    enum tree_fault fault = clear_all_gained(engine, ranges, range_count);
    if (fault != TREE_FINE) {
        return fault;
    }
    struct accounts changed;
    struct tree_txn *txn = tree_begin_write(engine->tree);
    accounts_change(txn, &engine->accounts, ranges, range_count, &changed);
    tree_put(txn, TREE_META, control_key, control, bytes_of(NULL, 0));
    fault = tree_commit(txn);
    if (fault == TREE_FINE) {
        accounts_fini(&engine->accounts);
        engine->accounts = changed;
    } else {
        accounts_fini(&changed);
    }
    return fault;
}

/* --- groups of operations --- */

struct group {
    struct engine *engine;
    struct op *const *ops;
    uint64_t now_ms;
    size_t result_len; /* bytes of the outcomes so far */
};

static bool any_changes(struct op *const *ops, uint32_t op_count)
{
    for (uint32_t i = 0; i < op_count; i++) {
        if (op_changes(ops[i])) {
            return true;
        }
    }
    return false;
}

/* Executes until the outcomes are too many bytes at once; returns how many operations it did. */
static uint32_t execute_all(struct group *group, struct execution *execution, uint32_t first,
                            uint32_t end)
{
    uint32_t i = first;
    while (i < end && tree_txn_fault(execution->txn) == TREE_FINE &&
           group->result_len < ENGINE_RESULT_LEN_MAX) {
        op_reset(group->ops[i]);
        execute(execution, group->ops[i]);
        group->result_len += group->ops[i]->outcome.value.len;
        i++;
    }
    return i - first;
}

static void write_stamp(struct tree_txn *txn, uint64_t stamp)
{
    struct buffer stored = {0};
    seal_begin(&stored, STAMP_FORMAT);
    pack_uint(&stored, stamp);
    seal_end(&stored, stamp_key);
    tree_put(txn, TREE_META, stamp_key, buffer_bytes(&stored), bytes_of(NULL, 0));
    buffer_fini(&stored);
}

static enum tree_fault read_in_one(struct group *group, uint32_t first, uint32_t end,
                                   uint32_t *run_count)
{
    struct execution execution = {
        .txn = tree_begin_read(group->engine->tree),
        .accounts = &group->engine->accounts,
        .now_ms = group->now_ms,
    };
    *run_count = execute_all(group, &execution, first, end);
    enum tree_fault fault = tree_txn_fault(execution.txn);
    tree_abort(execution.txn);
    return fault;
}

static enum tree_fault write_in_one(struct group *group, uint32_t first, uint32_t end,
                                    bool is_disk_full, uint32_t *run_count)
{
    struct engine *engine = group->engine;
    struct tree_txn *txn = tree_begin_write(engine->tree);
    struct execution execution = {
        .txn = txn,
        .accounts = &engine->accounts,
        .retry = retry_new(txn, &engine->accounts, group->now_ms),
        .now_ms = group->now_ms,
        .last_stamp = engine->last_stamp,
        .is_disk_full = is_disk_full,
    };
    struct retry_hand hand = engine->hand;
    *run_count = execute_all(group, &execution, first, end);
    retry_write(execution.retry, &hand);
    retry_free(execution.retry);
    accounts_write(&engine->accounts, txn);
    if (execution.last_stamp != engine->last_stamp) {
        write_stamp(txn, execution.last_stamp);
    }
    enum tree_fault fault = tree_commit(txn);
    if (fault == TREE_FINE) {
        accounts_committed(&engine->accounts);
        engine->last_stamp = execution.last_stamp;
        engine->hand = hand;
    } else {
        accounts_rolled_back(&engine->accounts);
    }
    return fault;
}

/* Operations in one transaction, when the first attempt and the second found no space. */
static const uint32_t piece_counts[] = {UINT32_MAX, 32, 1};
enum { PIECE_LEVELS = sizeof(piece_counts) / sizeof(piece_counts[0]) };

static enum tree_fault run_pieces(struct group *group, uint32_t first, uint32_t end, int level,
                                  uint32_t *run_count);

/* One transaction; where it finds no space, smaller ones, and at last a refusal. */
static enum tree_fault run_piece(struct group *group, uint32_t first, uint32_t end, int level,
                                 uint32_t *run_count)
{
    if (!any_changes(group->ops + first, end - first)) {
        return read_in_one(group, first, end, run_count);
    }
    size_t result_len = group->result_len;
    enum tree_fault fault = write_in_one(group, first, end, level > 0, run_count);
    group->engine->is_disk_full = level > 0 || fault == TREE_NO_SPACE;
    if (fault != TREE_NO_SPACE) {
        return fault;
    }
    group->result_len = result_len;
    if (level + 1 < PIECE_LEVELS) {
        return run_pieces(group, first, end, level + 1, run_count);
    }
    assert(end - first == 1);
    op_reset(group->ops[first]);
    op_refuse(group->ops[first], STATUS_TRY_LATER, OP_REASON_DISK_FULL);
    *run_count = 1;
    return TREE_FINE;
}

static enum tree_fault run_pieces(struct group *group, uint32_t first, uint32_t end, int level,
                                  uint32_t *run_count)
{
    enum tree_fault fault = TREE_FINE;
    uint32_t at = first;
    while (at < end && fault == TREE_FINE && group->result_len < ENGINE_RESULT_LEN_MAX) {
        uint32_t count = end - at < piece_counts[level] ? end - at : piece_counts[level];
        uint32_t piece_run_count = 0;
        fault = run_piece(group, at, at + count, level, &piece_run_count);
        at += piece_run_count;
    }
    *run_count = at - first;
    return fault;
}

enum tree_fault engine_run(struct engine *engine, struct op *const *ops, uint32_t op_count,
                           uint32_t *run_count)
{
    struct group group = {.engine = engine, .ops = ops, .now_ms = clock_wall_ms()};
    return run_pieces(&group, 0, op_count, 0, run_count);
}
