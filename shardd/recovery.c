/* SPDX-License-Identifier: MIT */
#include "shardd/recovery.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/logline.h"
#include "io/memory.h"
#include "proto/endian.h"
#include "proto/point.h"
#include "proto/unpack.h"
#include "shardd/seal.h"

/* Forms of the version that had no log. */
enum { OLD_STAMP_FORMAT = 1, OLD_ACCOUNT_FORMAT = 1 };

/* A LOG_CLEAR: what it is, start, end. */
enum { CLEAR_LEN = 1 + 8 + 8 };

/* A LOG_RESERVE: what it is, milliseconds. */
enum { RESERVE_LEN = 1 + 8 };

/* An interval that was emptied: what was logged for it before is not replayed (RULES V2). */
struct emptied {
    uint64_t start, end; /* bounds */
    uint64_t stamp;
};

struct recovery {
    struct tree *tree;
    struct log *log;
    struct swept swept;
    bool is_tree_empty;
    bool is_begun_with_tree; /* the log had no control state left: RULES S11 */
    bool is_upgrade;         /* the tree has the control state, in the form of the version before */
    struct buffer control;
    uint64_t reserved_ms; /* RULES I2 */
    struct log_account *numbers;
    uint32_t number_count;
    uint32_t number_capacity;
    struct emptied *emptied;
    uint32_t emptied_count;
    uint32_t emptied_capacity;

    /* While replaying. */
    struct recovery_target target;
    char *error;
    size_t error_len;
};

static const struct bytes old_control_key = {"control", 7};
static const struct bytes old_stamp_key = {"stamp", 5};
static const struct bytes old_account_prefix = {"account", 7};

/* --- numbers of accounts --- */

static struct log_account *find_numbers(const struct recovery *recovery, uint64_t start)
{
    for (uint32_t i = 0; i < recovery->number_count; i++) {
        if (recovery->numbers[i].start == start) {
            return &recovery->numbers[i];
        }
    }
    return NULL;
}

static void add_numbers(struct recovery *recovery, const struct log_account *numbers)
{
    if (recovery->number_count == recovery->number_capacity) {
        recovery->number_capacity = recovery->number_capacity ? 2 * recovery->number_capacity : 16;
        recovery->numbers =
            memory_resize(recovery->numbers, recovery->number_capacity, sizeof(*recovery->numbers));
    }
    recovery->numbers[recovery->number_count++] = *numbers;
}

static bool take_numbers(struct recovery *recovery, struct bytes accounts, bool is_all)
{
    struct log_account numbers;
    if (is_all) {
        recovery->number_count = 0;
    }
    while (log_account_next(&accounts, &numbers)) {
        struct log_account *known = is_all ? NULL : find_numbers(recovery, numbers.start);
        if (known) {
            *known = numbers;
        } else {
            add_numbers(recovery, &numbers);
        }
    }
    return accounts.len == 0;
}

bool recovery_set_accounts(const struct recovery *recovery, struct accounts *accounts,
                           uint64_t *start)
{
    for (uint32_t i = 0; i < accounts->count; i++) {
        const struct log_account *numbers = find_numbers(recovery, accounts->items[i].range.start);
        if (numbers) {
            accounts_set(accounts, numbers);
        } else if (!recovery->is_begun_with_tree) {
            *start = accounts->items[i].range.start;
            return false;
        }
    }
    return true;
}

/* --- control records --- */

static void add_emptied(struct recovery *recovery, const struct emptied *emptied)
{
    if (recovery->emptied_count == recovery->emptied_capacity) {
        recovery->emptied_capacity =
            recovery->emptied_capacity ? 2 * recovery->emptied_capacity : 16;
        recovery->emptied = memory_resize(recovery->emptied, recovery->emptied_capacity,
                                          sizeof(*recovery->emptied));
    }
    recovery->emptied[recovery->emptied_count++] = *emptied;
}

static bool take_clear(struct recovery *recovery, uint64_t stamp, struct bytes blob)
{
    const uint8_t *bytes = blob.data;
    if (blob.len != CLEAR_LEN) {
        return false;
    }
    const struct emptied emptied = {endian_get_le64(bytes + 1), endian_get_le64(bytes + 9), stamp};
    add_emptied(recovery, &emptied);
    return true;
}

static bool take_reserve(struct recovery *recovery, struct bytes blob)
{
    if (blob.len != RESERVE_LEN) {
        return false;
    }
    uint64_t ms = endian_get_le64((const uint8_t *)blob.data + 1);
    recovery->reserved_ms = ms > recovery->reserved_ms ? ms : recovery->reserved_ms;
    return true;
}

static bool take_control(struct recovery *recovery, struct bytes accounts, struct bytes control)
{
    buffer_clear(&recovery->control);
    buffer_append_bytes(&recovery->control, control);
    memory_must(!recovery->control.failed);
    return take_numbers(recovery, accounts, true);
}

static bool on_control(void *context, const struct log_record_header *header, struct bytes accounts,
                       struct bytes blob)
{
    struct recovery *recovery = context;
    if (header->type == LOG_CHECKPOINT) {
        return take_control(recovery, accounts, blob);
    }
    if (header->type != LOG_CONTROL || blob.len == 0) {
        return header->type == LOG_MARKER;
    }
    switch (*(const uint8_t *)blob.data) {
    case LOG_STATE:
        return take_control(recovery, accounts,
                            bytes_of((const uint8_t *)blob.data + 1, blob.len - 1));
    case LOG_CLEAR:
        return take_clear(recovery, header->first, blob);
    case LOG_TICK:
        return true;
    case LOG_RESERVE:
        return take_reserve(recovery, blob);
    default:
        return false;
    }
}

static bool on_accounts(void *context, struct bytes accounts)
{
    return take_numbers(context, accounts, false);
}

/* --- the version before --- */

static bool take_old_stamp(struct recovery *recovery, struct tree_txn *txn)
{
    struct bytes stored;
    struct bytes payload;
    if (!tree_get(txn, TREE_META, old_stamp_key, &stored)) {
        return true; /* nothing was ever written */
    }
    if (seal_open(stored, old_stamp_key, OLD_STAMP_FORMAT, &payload) != SEAL_FINE) {
        return false;
    }
    struct unpack in = unpack_of(payload);
    log_raise(recovery->log, unpack_uint(&in));
    return unpack_is_fine(&in);
}

static bool is_account_key(struct bytes key)
{
    return key.len == old_account_prefix.len + 8 &&
           bytes_equal(bytes_of(key.data, old_account_prefix.len), old_account_prefix);
}

static bool take_old_account(struct recovery *recovery, struct bytes key, struct bytes stored)
{
    struct bytes payload;
    if (seal_open(stored, key, OLD_ACCOUNT_FORMAT, &payload) != SEAL_FINE) {
        return false;
    }
    struct unpack in = unpack_of(payload);
    struct log_account numbers = {
        .start = endian_get_be64((const uint8_t *)key.data + old_account_prefix.len)};
    (void)unpack_array(&in);
    (void)unpack_uint(&in); /* its end */
    numbers.used = unpack_uint(&in);
    numbers.records = unpack_uint(&in);
    add_numbers(recovery, &numbers);
    return unpack_is_fine(&in);
}

static bool take_old_accounts(struct recovery *recovery, struct tree_txn *txn)
{
    bool is_fine = true;
    struct tree_cursor *cursor = tree_cursor_open(txn, TREE_META);
    bool more = tree_cursor_seek(cursor, old_account_prefix);
    while (more && is_fine && is_account_key(tree_cursor_key(cursor))) {
        is_fine = take_old_account(recovery, tree_cursor_key(cursor), tree_cursor_value(cursor));
        more = tree_cursor_next(cursor);
    }
    tree_cursor_close(cursor);
    return is_fine;
}

static bool take_old_form(struct recovery *recovery, struct tree_txn *txn, char *error,
                          size_t error_len)
{
    struct bytes stored;
    recovery->is_upgrade = tree_get(txn, TREE_META, old_control_key, &stored);
    if (!log_is_new(recovery->log)) {
        return true; /* an upgrade that was cut off behind its log */
    }
    if (!recovery->is_upgrade) {
        if (!recovery->is_tree_empty) {
            (void)snprintf(error, error_len,
                           "tree: there are records, but no log: bring back the "
                           "log-* files that belong to it");
        }
        return recovery->is_tree_empty;
    }
    buffer_append_bytes(&recovery->control, stored);
    memory_must(!recovery->control.failed);
    if (!take_old_stamp(recovery, txn) || !take_old_accounts(recovery, txn)) {
        (void)snprintf(error, error_len,
                       "tree: the stamp or an account of the earlier version is damaged");
        return false;
    }
    return true;
}

bool recovery_finish_upgrade(struct recovery *recovery, char *error, size_t error_len)
{
    if (!recovery->is_upgrade) {
        return true;
    }
    struct tree_txn *txn = tree_begin_write(recovery->tree);
    tree_delete(txn, TREE_META, old_control_key);
    tree_delete(txn, TREE_META, old_stamp_key);
    for (uint32_t i = 0; i < recovery->number_count; i++) {
        uint8_t key[15];
        memcpy(key, old_account_prefix.data, old_account_prefix.len);
        endian_put_be64(key + old_account_prefix.len, recovery->numbers[i].start);
        tree_delete(txn, TREE_META, bytes_of(key, sizeof(key)));
    }
    bool is_done = tree_commit(txn) == TREE_FINE;
    if (!is_done) {
        (void)snprintf(error, error_len, "tree: %s", tree_fault_text(recovery->tree));
    }
    return is_done;
}

/* --- what log salvage wrote --- */

/*
 * RULES S11: no checkpoint was left. What the tree has is then all that is known of this server, and of its records all
 * up to `applied`; that something is missing above is said, as nothing else shows it.
 */
static bool take_trees_state(struct recovery *recovery, struct tree_txn *txn, char *error,
                             size_t error_len)
{
    uint64_t stamp;
    if (!bytes_equal(buffer_bytes(&recovery->control), bytes_text(LOG_STATE_IN_TREE))) {
        return true;
    }
    if (!swept_load_state(txn, &stamp, &recovery->control)) {
        (void)snprintf(
            error, error_len,
            "tree: it does not tell what this server is and owns, and log salvage found no "
            "checkpoint that does: nothing can be served from here: restore a backup");
        return false;
    }
    recovery->is_begun_with_tree = true;
    log_raise(recovery->log, stamp); /* a tree that was mended tells no other */
    logline(
        LOGLINE_WARNING,
        "log salvage found no checkpoint: this server begins with the tree: what it owns is as of "
        "stamp %" PRIu64 ", its records are all up to stamp %" PRIu64
        "; what was acknowledged after that, and was not found in the log, is lost",
        stamp, swept_applied(&recovery->swept));
    return true;
}

/* --- opening --- */

static bool has_records(struct tree_txn *txn)
{
    static const uint8_t first_key[1] = {0};
    struct tree_cursor *cursor = tree_cursor_open(txn, TREE_RECORDS);
    bool has = tree_cursor_seek(cursor, bytes_of(first_key, sizeof(first_key)));
    tree_cursor_close(cursor);
    return has;
}

static bool read_tree(struct recovery *recovery, struct tree_txn *txn,
                      const struct log_config *config, char *error, size_t error_len)
{
    if (!swept_load(txn, &recovery->swept)) {
        (void)snprintf(error, error_len,
                       "tree: how far it is swept is damaged, or was written by a "
                       "newer version of shardd");
        return false;
    }
    const struct log_visitor visitor = {
        .context = recovery,
        .on_control = on_control,
        .on_accounts = on_accounts,
    };
    recovery->is_tree_empty = !has_records(txn);
    recovery->log = log_open(config, swept_applied(&recovery->swept), recovery->swept.durable,
                             &visitor, error, error_len);
    return recovery->log && take_old_form(recovery, txn, error, error_len) &&
           take_trees_state(recovery, txn, error, error_len);
}

struct recovery *recovery_open(struct tree *tree, const struct log_config *config, char *error,
                               size_t error_len)
{
    struct recovery *recovery = memory_get(1, sizeof(*recovery));
    recovery->tree = tree;
    struct tree_txn *txn = tree_begin_read(tree);
    bool is_fine = read_tree(recovery, txn, config, error, error_len);
    if (tree_txn_fault(txn) != TREE_FINE) {
        (void)snprintf(error, error_len, "tree: %s", tree_fault_text(tree));
        is_fine = false;
    }
    tree_abort(txn);
    if (!is_fine) {
        log_close(recovery->log);
        recovery_free(recovery);
        return NULL;
    }
    return recovery;
}

void recovery_free(struct recovery *recovery)
{
    if (recovery) {
        buffer_fini(&recovery->control);
        free(recovery->numbers);
        free(recovery->emptied);
        free(recovery);
    }
}

struct log *recovery_log(const struct recovery *recovery)
{
    return recovery->log;
}

struct bytes recovery_control(const struct recovery *recovery)
{
    return buffer_bytes(&recovery->control);
}

const struct swept *recovery_swept(const struct recovery *recovery)
{
    return &recovery->swept;
}

uint64_t recovery_reserved_ms(const struct recovery *recovery)
{
    uint64_t swept_ms = recovery->swept.reserved_ms;
    return swept_ms > recovery->reserved_ms ? swept_ms : recovery->reserved_ms;
}

bool recovery_is_tree_empty(const struct recovery *recovery)
{
    return recovery->is_tree_empty;
}

/* --- operations --- */

static bool is_emptied(const struct recovery *recovery, uint64_t stamp, uint64_t point)
{
    for (uint32_t i = 0; i < recovery->emptied_count; i++) {
        const struct emptied *emptied = &recovery->emptied[i];
        if (stamp < emptied->stamp && point_in(point, emptied->start, emptied->end)) {
            return true;
        }
    }
    return false;
}

static void replay_put(struct hot *hot, uint64_t stamp, const struct log_op *op)
{
    const struct record record = {
        .point = op->point,
        .table = op->table,
        .kind = op->record_kind,
        .flags = op->is_sliding ? RECORD_SLIDING : 0,
        .version = op->version ? op->version : stamp,
        .expiry_ms = op->expiry_ms,
        .ttl_ms = op->ttl_ms,
        .key = op->key,
        .value = op->value,
    };
    struct hot_record *entry = hot_find(hot, op->point, op->table, op->key);
    hot_put(hot, entry, &record, op->kind == LOG_PUT ? HOT_RECORD : HOT_DELETED, true);
}

/* RULES R4: only of the same version, and only if it is later. */
static bool is_touched(const struct record *record, const struct log_op *op)
{
    return record->version == op->version && record->expiry_ms < op->expiry_ms;
}

/* A record whose version was swept before, and which was then touched. NULL: nothing is to be done. */
static struct hot_record *load_touched(const struct recovery *recovery, const struct log_op *op)
{
    uint8_t key_bytes[TREE_KEY_LEN_MAX];
    struct bytes stored;
    struct record record;
    struct hot_record *entry = NULL;
    struct bytes key =
        bytes_of(key_bytes, record_key_encode(op->point, op->table, op->key, key_bytes));
    struct tree_txn *txn = tree_begin_read(recovery->tree);
    if (tree_get(txn, TREE_RECORDS, key, &stored) &&
        record_decode(stored, key, &record) == RECORD_FINE && is_touched(&record, op)) {
        record.point = op->point;
        record.table = op->table;
        record.key = op->key;
        entry = hot_put(recovery->target.hot, NULL, &record, HOT_RECORD, false);
    }
    tree_abort(txn);
    return entry;
}

static void replay_touch(const struct recovery *recovery, const struct log_op *op)
{
    struct hot_view view;
    struct hot *hot = recovery->target.hot;
    struct hot_record *entry = hot_find(hot, op->point, op->table, op->key);
    entry = entry ? entry : load_touched(recovery, op);
    if (!entry) {
        return;
    }
    hot_view(hot, op->point, entry, &view);
    if (view.state == HOT_RECORD && is_touched(&view.record, op)) {
        hot_touch(hot, op->point, entry, op->expiry_ms);
    }
}

static bool make_room(const struct recovery *recovery)
{
    const struct recovery_target *target = &recovery->target;
    return target->make_room(target->context, recovery->error, recovery->error_len);
}

/* Between two calls of make_room: 32 blocks of the hot table, 256 KiB at most. */
#define EXPECT_STEP (UINT64_C(1) << 57)

static bool expect_in_range(const struct recovery *recovery, const struct range *range,
                            uint64_t count)
{
    uint64_t first = point_of_bound(range->start);
    uint64_t last = point_of_bound(range->end) - 1;
    uint64_t gap = (last - first) / (count + 1) + 1;
    bool is_fine = true;
    bool is_end = count == 0;
    while (is_fine && !is_end) {
        uint64_t end = first | (EXPECT_STEP - 1);
        is_end = end >= last;
        hot_expect(recovery->target.hot, first, is_end ? last : end, gap);
        is_fine = make_room(recovery);
        first = end + 1;
    }
    return is_fine;
}

/* Operations may be of keys that come again; records may be in the tree alone: both are bounds. */
static bool expect_records(const struct recovery *recovery)
{
    const struct accounts *accounts = recovery->target.accounts;
    uint64_t found = log_found_count(recovery->log);
    uint64_t count = found < recovery->target.expected_max ? found : recovery->target.expected_max;
    uint64_t records = 0;
    bool is_fine = true;
    for (uint32_t i = 0; accounts && i < accounts->count; i++) {
        records += accounts->items[i].records;
    }
    double share = records > count ? (double)count / (double)records : 1;
    for (uint32_t i = 0; accounts && i < accounts->count && is_fine; i++) {
        const struct account *account = &accounts->items[i];
        is_fine = expect_in_range(recovery, &account->range,
                                  (uint64_t)((double)account->records * share));
    }
    return is_fine;
}

static bool take_op(struct recovery *recovery, uint64_t stamp, const struct log_op *op)
{
    bool is_gone = is_emptied(recovery, stamp, op->point);
    switch (op->kind) {
    case LOG_RESULT:
        return is_gone || retries_replay(recovery->target.retries, stamp, op);
    case LOG_DONE:
        return retries_replay(recovery->target.retries, stamp, op);
    case LOG_TOUCH:
        if (!is_gone) {
            replay_touch(recovery, op);
        }
        return true;
    case LOG_PUT:
    case LOG_DELETE:
    case LOG_EVICT:
    case LOG_EXPIRE:
        if (!is_gone) {
            replay_put(recovery->target.hot, stamp, op);
        }
        return true;
    }
    return false;
}

/* As a turn's operations are: nothing of the hot table is in the cache when a server starts. */
static void prefetch(const struct hot *hot, const struct log_op *ops, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        hot_prefetch(hot, ops[i].point);
        hot_prefetch_room(hot, ops[i].point);
    }
    for (uint32_t i = 0; i < count; i++) {
        hot_prefetch_records(hot, ops[i].point);
    }
}

static bool on_ops(void *context, uint64_t first, const struct log_op *ops, uint32_t count)
{
    struct recovery *recovery = context;
    prefetch(recovery->target.hot, ops, count);
    for (uint32_t i = 0; i < count; i++) {
        if (!take_op(recovery, first + i, &ops[i]) || !make_room(recovery)) {
            return false;
        }
    }
    return true;
}

bool recovery_replay(struct recovery *recovery, const struct recovery_target *target, char *error,
                     size_t error_len)
{
    const struct log_visitor visitor = {.context = recovery, .on_ops = on_ops};
    recovery->target = *target;
    recovery->error = error;
    recovery->error_len = error_len;
    return expect_records(recovery) && log_replay(recovery->log, &visitor, error, error_len);
}
