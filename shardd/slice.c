/* SPDX-License-Identifier: MIT */
#include "shardd/slice.h"

#include <assert.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/logline.h"
#include "io/memory.h"
#include "io/worker.h"
#include "proto/pack.h"
#include "proto/point.h"

/* Dirty entries copied for one slice; where there are more, it ends behind the last of them. */
#define DIRTY_MAX 4096

/* Room for the heads of the reply's two arrays. */
#define HEAD_LEN 6

/* Memory that is kept from one slice to the next, of each buffer. */
#define BUFFER_KEEP (64u << 10)

#define SLICE_WAIT_US (UINT64_C(1000) * SLICE_WAIT_MS)

/* A dirty entry, its bytes in the slice's buffer: tree key, value. */
struct dirty {
    struct record record; /* but for key and value */
    bool is_deleted;
    size_t key_at, key_len;
    size_t value_at, value_len;
};

struct slices {
    struct job job; /* first */
    struct worker *worker;
    struct tree *tree;
    struct hot *hot;
    const struct accounts *accounts;
    slice_done *on_done;
    void *context;
    struct op *first; /* those that wait, linked by next */
    struct op **end;
    size_t waiting_len; /* their bytes */

    /* The one that runs. */
    struct op *op; /* NULL: none */
    struct outcome outcome;
    struct tree_txn *txn;
    uint64_t until_ms; /* monotonic: then the transaction must end */
    uint64_t now_ms;
    uint64_t range_end;             /* bound */
    uint8_t from[TREE_KEY_LEN_MAX]; /* the first key behind it is the first of the slice */
    size_t from_len;
    bool is_capped; /* the slice ends with the last dirty entry */
    struct dirty dirty[DIRTY_MAX];
    uint32_t dirty_count;
    struct buffer copies;
    enum tree_fault fault;

    /* What the worker makes. */
    struct buffer result; /* behind HEAD_LEN: the records, and then what follows them */
    uint32_t record_count;
    uint32_t examined_count;
    struct slice_hidden hidden[SLICE_HIDDEN_MAX];
    uint8_t hidden_keys[SLICE_HIDDEN_MAX][KEY_LEN_MAX];
    uint32_t hidden_count;
    struct buffer damaged; /* packed */
    uint32_t damaged_count;
    struct outcome damage;          /* of the last of them */
    uint8_t last[TREE_KEY_LEN_MAX]; /* examined last */
    size_t last_len;
};

static void run(struct job *job);
static void done(struct job *job);

struct slices *slices_new(struct loop *loop, struct tree *tree, struct hot *hot,
                          const struct accounts *accounts, slice_done *on_done, void *context)
{
    struct slices *slices = memory_get(1, sizeof(*slices));
    slices->job = (struct job){.run = run, .done = done};
    slices->worker = worker_new(loop, "slice", WORKER_NORMAL);
    slices->tree = tree;
    slices->hot = hot;
    slices->accounts = accounts;
    slices->on_done = on_done;
    slices->context = context;
    slices->end = &slices->first;
    return slices;
}

bool slices_is_busy(const struct slices *slices)
{
    return slices->op != NULL;
}

size_t slices_len(const struct slices *slices)
{
    return slices->op ? slices->copies.capacity + SCAN_BYTES_MAX : 0;
}

size_t slices_waiting_len(const struct slices *slices)
{
    return slices->waiting_len;
}

static struct op *pop(struct slices *slices)
{
    struct op *op = slices->first;
    slices->first = op->next;
    if (!slices->first) {
        slices->end = &slices->first;
    }
    slices->waiting_len -= op_len(op);
    return op;
}

static void refuse(struct slices *slices, struct op *op, enum status status, enum op_reason reason)
{
    struct outcome outcome = {0};
    outcome_refuse(&outcome, status, reason);
    slices->on_done(slices->context, op, &outcome, NULL, 0);
}

void slices_free(struct slices *slices)
{
    if (!slices) {
        return;
    }
    worker_free(slices->worker);
    if (slices->op) { /* its job has run, and ended the transaction */
        refuse(slices, slices->op, STATUS_SHUTTING_DOWN, OP_REASON_NONE);
    }
    while (slices->first) {
        refuse(slices, pop(slices), STATUS_SHUTTING_DOWN, OP_REASON_NONE);
    }
    buffer_fini(&slices->copies);
    buffer_fini(&slices->damaged);
    buffer_fini(&slices->result);
    free(slices);
}

void slices_add(struct slices *slices, struct op *op)
{
    if (op->deadline_us == 0) {
        op->deadline_us = clock_mono_us() + SLICE_WAIT_US;
    }
    op->next = NULL;
    *slices->end = op;
    slices->end = &op->next;
    slices->waiting_len += op_len(op);
}

/* --- the loop's part --- */

/* A scan without a key begins with the first record at its point: behind the shortest key there. */
static void set_from(struct slices *slices, const struct op *op)
{
    slices->from_len = record_key_encode(op->point, op->table, op->key, slices->from);
    if (op->key.len == 0) {
        slices->from_len = sizeof(op->point);
    }
}

static bool is_behind_from(const struct slices *slices, struct bytes key)
{
    return bytes_compare(key, bytes_of(slices->from, slices->from_len)) > 0;
}

static bool copy_dirty(void *context, const struct hot_view *view)
{
    struct slices *slices = context;
    const struct record *record = &view->record;
    uint8_t key[TREE_KEY_LEN_MAX];
    size_t key_len = record_key_encode(record->point, record->table, record->key, key);
    if ((view->state != HOT_RECORD && view->state != HOT_DELETED) ||
        !is_behind_from(slices, bytes_of(key, key_len))) {
        return true;
    }
    if (slices->dirty_count == DIRTY_MAX || slices->copies.len > SCAN_BYTES_MAX) {
        slices->is_capped = true;
        return false;
    }
    struct dirty *dirty = &slices->dirty[slices->dirty_count++];
    *dirty = (struct dirty){.record = *record, .is_deleted = view->state == HOT_DELETED};
    dirty->key_at = slices->copies.len;
    dirty->key_len = key_len;
    buffer_append(&slices->copies, key, key_len);
    dirty->value_at = slices->copies.len;
    dirty->value_len = record->value.len;
    if (!slices->op->keys_only) {
        buffer_append_bytes(&slices->copies, record->value);
    }
    memory_must(!slices->copies.failed);
    return true;
}

static void begin(struct slices *slices, struct op *op, const struct range *range)
{
    slices->op = op;
    slices->range_end = range->end;
    slices->dirty_count = 0;
    slices->is_capped = false;
    buffer_clear(&slices->copies);
    set_from(slices, op);
    hot_walk(slices->hot, op->point, point_of_bound(range->end) - 1, false, copy_dirty, slices);
    slices->txn = tree_begin_read(slices->tree);
    slices->until_ms = clock_mono_ms() + TREE_READ_MS_MAX;
    worker_submit(slices->worker, &slices->job);
}

/* Of one connection that does not read; the others do not wait for it. */
static bool has_no_reader(const struct op *op)
{
    return op->has_room && !op->has_room(op);
}

void slices_turn(struct slices *slices, uint64_t last, uint64_t now_ms, bool has_room)
{
    while (!slices->op && slices->first) {
        struct op *op = slices->first;
        const struct account *account = accounts_find(slices->accounts, op->point);
        bool is_late = op->deadline_us < clock_mono_us();
        if (!account) {
            refuse(slices, pop(slices), STATUS_WRONG_SHARD, OP_REASON_NONE);
        } else if (is_late || (op->is_awaited && !op->is_awaited(op))) {
            refuse(slices, pop(slices), STATUS_TRY_LATER, OP_REASON_WAITED_TOO_LONG);
        } else if (has_no_reader(op)) {
            refuse(slices, pop(slices), STATUS_TRY_LATER, OP_REASON_UNREAD_REPLIES);
        } else if (has_room) {
            slices->outcome = (struct outcome){.left_ms = -1, .need = last};
            slices->now_ms = now_ms;
            begin(slices, pop(slices), &account->range);
        } else {
            return;
        }
    }
}

/* --- the worker's part --- */

static void pack_one(const struct record *record, const struct op *op, uint64_t now_ms,
                     size_t value_len, struct buffer *out)
{
    pack_array(out, 8);
    pack_bin(out, record->key);
    if (op->keys_only) {
        pack_nil(out);
    } else {
        pack_encoded(out, record->value);
    }
    pack_uint(out, record->version);
    pack_int(out, record->expiry_ms ? (int64_t)(record->expiry_ms - now_ms) : -1);
    pack_uint(out, record_size(record->key.len, value_len));
    pack_uint(out, record->kind);
    pack_uint(out, record->ttl_ms);
    pack_bool(out, record->flags & RECORD_SLIDING);
}

static void hide(struct slices *slices, const struct record *record)
{
    uint8_t *key = slices->hidden_keys[slices->hidden_count];
    memcpy(key, record->key.data, record->key.len);
    slices->hidden[slices->hidden_count++] = (struct slice_hidden){
        record->point, record->version, record->table, bytes_of(key, record->key.len)};
}

static bool is_wanted(struct slices *slices, const struct record *record)
{
    const struct op *op = slices->op;
    if (record->expiry_ms != 0 && record->expiry_ms <= slices->now_ms) {
        hide(slices, record);
        return false;
    }
    return record->table == op->table && record->key.len >= op->prefix.len &&
           bytes_equal(bytes_of(record->key.data, op->prefix.len), op->prefix);
}

/* The next slice may go on behind it. */
static void pass(struct slices *slices, struct bytes key)
{
    slices->examined_count++;
    memcpy(slices->last, key.data, key.len);
    slices->last_len = key.len;
}

static bool is_slice_over(const struct slices *slices)
{
    return slices->record_count == slices->op->limit ||
           slices->examined_count >= SCAN_EXAMINED_MAX ||
           slices->hidden_count == SLICE_HIDDEN_MAX ||
           (slices->examined_count > 0 && clock_mono_ms() > slices->until_ms);
}

/* False: the slice ends before this record. */
static bool add(struct slices *slices, struct bytes key, const struct record *record,
                size_t value_len)
{
    const struct op *op = slices->op;
    size_t len = record->key.len + (op->keys_only ? 0 : value_len);
    if (is_slice_over(slices) ||
        (slices->record_count > 0 && slices->result.len + len > SCAN_BYTES_MAX)) {
        return false;
    }
    if (is_wanted(slices, record)) {
        pack_one(record, op, slices->now_ms, value_len, &slices->result);
        slices->record_count++;
    }
    pass(slices, key);
    return true;
}

/* RULES S10: `[point, key]`, and why where it is passed over. A key that is none is empty. */
static void pack_damaged(struct slices *slices, const struct record *record)
{
    struct buffer *out = &slices->damaged;
    pack_array(out, slices->op->skip_damaged ? 3 : 2);
    pack_uint(out, record->point);
    pack_bin(out, record->key);
    if (slices->op->skip_damaged) {
        pack_text(out, outcome_text(&slices->damage));
    }
    slices->damaged_count++;
}

/*
 * False: the slice ends before it. What stands before a damaged record is given first; then it is passed over, or
 * fails the scan that begins with it.
 */
static bool add_damaged(struct slices *slices, struct bytes key, enum record_fault fault)
{
    bool is_skipped = slices->op->skip_damaged;
    bool is_full = is_slice_over(slices) || slices->damaged_count == SLICE_DAMAGED_MAX;
    if (is_skipped ? is_full : slices->examined_count > 0) {
        return false;
    }
    struct record record = {.point = slices->op->point};
    bool has_key = record_key_decode(key, &record);
    outcome_refuse(&slices->damage, STATUS_DAMAGED,
                   fault == RECORD_NEWER_FORMAT ? OP_REASON_RECORD_NEWER
                                                : OP_REASON_RECORD_DAMAGED);
    pack_damaged(slices, &record);
    if (has_key) {
        pass(slices, key);
    }
    return is_skipped;
}

static bool add_stored(struct slices *slices, const struct tree_cursor *cursor)
{
    struct record record = {0};
    struct bytes key = tree_cursor_key(cursor);
    enum record_fault fault = record_decode(tree_cursor_value(cursor), key, &record);
    if (fault != RECORD_FINE || !record_key_decode(key, &record)) {
        return add_damaged(slices, key, fault);
    }
    return add(slices, key, &record, record.value.len);
}

static struct bytes dirty_key(const struct slices *slices, uint32_t i)
{
    const struct dirty *dirty = &slices->dirty[i];
    return bytes_of(slices->copies.data + dirty->key_at, dirty->key_len);
}

static bool add_dirty(struct slices *slices, uint32_t i)
{
    const struct dirty *dirty = &slices->dirty[i];
    struct record record = dirty->record;
    if (dirty->is_deleted) {
        pass(slices, dirty_key(slices, i));
        return true;
    }
    (void)record_key_decode(dirty_key(slices, i), &record);
    record.value = bytes_of(slices->copies.data + dirty->value_at, dirty->value_len);
    return add(slices, dirty_key(slices, i), &record, dirty->value_len);
}

static bool is_in_range(const struct slices *slices, const struct tree_cursor *cursor)
{
    struct record record;
    return !record_key_decode(tree_cursor_key(cursor), &record) ||
           point_bound(record.point) < slices->range_end;
}

/* True when all up to the range's end was looked at. */
static bool merge(struct slices *slices, struct tree_cursor *cursor)
{
    uint32_t i = 0;
    bool more = tree_cursor_seek(cursor, bytes_of(slices->from, slices->from_len));
    if (more && !is_behind_from(slices, tree_cursor_key(cursor))) {
        more = tree_cursor_next(cursor);
    }
    while (true) {
        more = more && is_in_range(slices, cursor);
        if (i == slices->dirty_count && (!more || slices->is_capped)) {
            return !slices->is_capped;
        }
        int order = !more ? 1
                    : i == slices->dirty_count
                        ? -1
                        : bytes_compare(tree_cursor_key(cursor), dirty_key(slices, i));
        if (!(order < 0 ? add_stored(slices, cursor) : add_dirty(slices, i))) {
            return false;
        }
        i += order >= 0;
        more = more && (order > 0 || tree_cursor_next(cursor));
    }
}

/* Right before the records, which are not copied for it. */
static struct bytes put_head(struct slices *slices)
{
    struct buffer head = {0};
    pack_array(&head, slices->op->skip_damaged ? 4 : 3);
    pack_array(&head, slices->record_count);
    memory_must(!head.failed);
    assert(head.len <= HEAD_LEN);
    uint8_t *start = slices->result.data + HEAD_LEN - head.len;
    memcpy(start, head.data, head.len);
    struct bytes whole = bytes_of(start, slices->result.len - HEAD_LEN + head.len);
    buffer_fini(&head);
    return whole;
}

static void pack_result(struct slices *slices, bool is_end)
{
    struct buffer *out = &slices->result;
    struct record last = {.point = slices->op->point};
    if (is_end) {
        pack_nil(out);
    } else {
        (void)record_key_decode(bytes_of(slices->last, slices->last_len), &last);
        pack_array(out, 2);
        pack_uint(out, last.point);
        pack_bin(out, last.key);
    }
    pack_uint(out, slices->range_end);
    if (slices->op->skip_damaged) {
        pack_array(out, slices->damaged_count);
        buffer_append_bytes(out, buffer_bytes(&slices->damaged));
    }
    memory_must(!out->failed);
    slices->outcome.value = put_head(slices);
}

static void run(struct job *job)
{
    struct slices *slices = (struct slices *)job;
    slices->record_count = slices->examined_count = 0;
    slices->hidden_count = slices->damaged_count = 0;
    slices->last_len = 0;
    buffer_clear(&slices->damaged);
    buffer_clear(&slices->result);
    memory_must(buffer_reserve(&slices->result, HEAD_LEN) != NULL);
    slices->result.len = HEAD_LEN;
    struct tree_cursor *cursor = tree_cursor_open(slices->txn, TREE_RECORDS);
    bool is_end = merge(slices, cursor);
    tree_cursor_close(cursor);
    slices->fault = tree_txn_fault(slices->txn);
    tree_abort(slices->txn);
    memory_must(!slices->damaged.failed);
    if (slices->damaged_count > 0 && !slices->op->skip_damaged) {
        outcome_refuse(&slices->outcome, slices->damage.status, slices->damage.reason);
        slices->outcome.value = buffer_bytes(&slices->damaged);
    } else {
        pack_result(slices, is_end);
    }
}

static void done(struct job *job)
{
    struct slices *slices = (struct slices *)job;
    struct op *op = slices->op;
    if (slices->fault != TREE_FINE) {
        logline_die("tree: cannot read: %s", tree_fault_text(slices->tree));
    }
    slices->op = NULL;
    slices->on_done(slices->context, op, &slices->outcome, slices->hidden, slices->hidden_count);
    buffer_shrink(&slices->copies, BUFFER_KEEP);
    buffer_shrink(&slices->result, BUFFER_KEEP);
}
