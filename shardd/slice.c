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
#include "proto/table.h"
#include "shardd/merge.h"

/* Room for the heads of the reply's two arrays. */
#define HEAD_LEN 6

/* Memory that is kept from one slice to the next, of each buffer. */
#define BUFFER_KEEP (64u << 10)

#define SLICE_WAIT_US (UINT64_C(1000) * SLICE_WAIT_MS)

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
    uint64_t range_end; /* bound */
    struct merge merge;
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
    return slices->op ? slices->merge.copies.capacity + SCAN_BYTES_MAX : 0;
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
    merge_fini(&slices->merge);
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

/*
 * A scan without a key begins with the first record of its table at its point: behind the shortest key there. What
 * else stands at that point is not met again, or a slice that ends among it would have nowhere to go on (pack_cursor).
 */
static struct bytes from_of(const struct op *op, uint8_t bytes[TREE_KEY_LEN_MAX])
{
    size_t len = record_key_encode(op->point, op->table, op->key, bytes);
    bool is_whole_point = op->key.len == 0 && op->table == TABLE_DEFAULT;
    return bytes_of(bytes, is_whole_point ? sizeof(op->point) : len);
}

static void begin(struct slices *slices, struct op *op, const struct range *range)
{
    uint8_t from[TREE_KEY_LEN_MAX];
    const struct merge_interval interval = {from_of(op, from), point_of_bound(range->end) - 1,
                                            op->keys_only};
    slices->op = op;
    slices->range_end = range->end;
    merge_copy(&slices->merge, slices->hot, &interval);
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
        if (account && account_is_held(account)) {
            slices->on_done(slices->context, pop(slices), NULL, NULL, 0);
        } else if (!account || !account->is_open) {
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

static bool is_asked_for(const struct op *op, const struct record *record)
{
    return record->table == op->table && (!op->has_kind || record->kind == op->record_kind) &&
           record->key.len >= op->prefix.len &&
           bytes_equal(bytes_of(record->key.data, op->prefix.len), op->prefix);
}

static bool is_wanted(struct slices *slices, const struct record *record)
{
    if (record->expiry_ms != 0 && record->expiry_ms <= slices->now_ms) {
        hide(slices, record);
        return false;
    }
    return is_asked_for(slices->op, record);
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
 * fails the scan that begins with it. One of another table is another scan's; what is no key may be of any.
 */
static bool add_damaged(struct slices *slices, struct bytes key, enum record_fault fault)
{
    bool is_skipped = slices->op->skip_damaged;
    bool is_full = is_slice_over(slices) || slices->damaged_count == SLICE_DAMAGED_MAX;
    struct record record = {.point = slices->op->point};
    bool has_key = record_key_decode(key, &record);
    if (has_key && record.table != slices->op->table) {
        return add(slices, key, &record, 0);
    }
    if (is_skipped ? is_full : slices->examined_count > 0) {
        return false;
    }
    outcome_refuse(&slices->damage, STATUS_DAMAGED,
                   fault == RECORD_NEWER_FORMAT ? OP_REASON_RECORD_NEWER
                                                : OP_REASON_RECORD_DAMAGED);
    pack_damaged(slices, &record);
    if (has_key) {
        pass(slices, key);
    }
    return is_skipped;
}

static bool add_stored(struct slices *slices, struct bytes key)
{
    struct record record = {0};
    enum record_fault fault = record_decode(merge_stored(&slices->merge), key, &record);
    if (fault != RECORD_FINE || !record_key_decode(key, &record)) {
        return add_damaged(slices, key, fault);
    }
    return add(slices, key, &record, record.value.len);
}

static bool add_dirty(struct slices *slices, struct bytes key)
{
    struct record record;
    size_t value_len;
    merge_record(&slices->merge, &record, &value_len);
    return add(slices, key, &record, value_len);
}

/* False: the slice ends before what stands next. */
static bool take(struct slices *slices, enum merge_kind kind)
{
    struct bytes key = merge_key(&slices->merge, kind);
    if (kind == MERGE_STORED) {
        return add_stored(slices, key);
    }
    if (kind == MERGE_RECORD) {
        return add_dirty(slices, key);
    }
    pass(slices, key);
    return true;
}

/* True when all up to the range's end was looked at. */
static bool take_all(struct slices *slices)
{
    enum merge_kind kind;
    merge_open(&slices->merge, slices->txn);
    while ((kind = merge_look(&slices->merge)) < MERGE_CAPPED && take(slices, kind)) {
        merge_pass(&slices->merge, kind);
    }
    merge_close(&slices->merge);
    return kind == MERGE_END;
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

/*
 * Behind what was examined last. Where that is of another table the cursor has no key: it is at the same point if its
 * table comes before the one that is scanned, else at the next.
 */
static void pack_cursor(const struct slices *slices, struct buffer *out)
{
    const struct op *op = slices->op;
    struct record last = {.point = op->point, .table = op->table};
    (void)record_key_decode(bytes_of(slices->last, slices->last_len), &last);
    if (last.table > op->table && last.point == slices->merge.last) {
        pack_nil(out);
        return;
    }
    pack_array(out, 2);
    pack_uint(out, last.point + (last.table > op->table));
    if (last.table == op->table) {
        pack_bin(out, last.key);
    } else {
        pack_nil(out);
    }
}

static void pack_result(struct slices *slices, bool is_end)
{
    struct buffer *out = &slices->result;
    if (is_end) {
        pack_nil(out);
    } else {
        pack_cursor(slices, out);
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
    bool is_end = take_all(slices);
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
    buffer_shrink(&slices->merge.copies, BUFFER_KEEP);
    buffer_shrink(&slices->result, BUFFER_KEEP);
}
