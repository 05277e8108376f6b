/* SPDX-License-Identifier: MIT */
#include "shardd/import_internal.h"

#include <assert.h>

#include "io/logline.h"
#include "io/memory.h"

/* --- what the tree has of their keys --- */

static const struct log_op *record_op(const struct change *change)
{
    bool is_record =
        change->unit.item == STREAM_OPERATION && import_is_record(change->unit.op.kind);
    return is_record ? &change->unit.op : NULL;
}

static void record_of(const struct log_op *op, struct record *record)
{
    *record = (struct record){
        .point = op->point,
        .table = op->table,
        .kind = op->record_kind,
        .flags = op->is_sliding ? RECORD_SLIDING : 0,
        .version = op->version,
        .expiry_ms = op->expiry_ms,
        .ttl_ms = op->ttl_ms,
        .key = op->key,
        .value = op->value,
    };
}

static struct bytes key_of(const struct record *record, uint8_t key_bytes[TREE_KEY_LEN_MAX])
{
    return bytes_of(key_bytes,
                    record_key_encode(record->point, record->table, record->key, key_bytes));
}

/* As the tree would store it. */
static void sum_record(const struct record *record, struct range_sum *sum,
                       void (*sum_one)(struct range_sum *, struct bytes, struct bytes))
{
    uint8_t key_bytes[TREE_KEY_LEN_MAX];
    uint8_t header[RECORD_HEADER_LEN];
    struct bytes key = key_of(record, key_bytes);
    record_header_encode(record, key, header);
    sum_one(sum, key, bytes_of(header, RECORD_HEADER_LEN + record->value.len));
}

static void keep_stored(struct looking *looking, struct found *found, struct bytes stored)
{
    found->stored_at = looking->stored.len;
    found->stored_len = stored.len;
    buffer_append_bytes(&looking->stored, stored);
    memory_must(!looking->stored.failed);
}

static void look(struct looking *looking, struct change *change, const struct log_op *op)
{
    struct record record;
    struct bytes stored;
    uint8_t key_bytes[TREE_KEY_LEN_MAX];
    record_of(op, &record);
    if (op->kind == LOG_PUT) {
        sum_record(&record, &change->added, range_sum_add);
    }
    struct bytes key = key_of(&record, key_bytes);
    struct found *found = &change->found;
    if (change->was_hot || !tree_get(looking->txn, TREE_RECORDS, key, &stored) ||
        stored.len < RECORD_HEADER_LEN) {
        return;
    }
    found->is_there = true;
    found->version = record_stored_version(stored);
    range_sum_take(&found->taken, key, stored);
    if (op->kind == LOG_TOUCH) {
        keep_stored(looking, found, stored);
    }
}

static void run_looking(struct job *job)
{
    struct looking *looking = (struct looking *)job;
    for (uint32_t i = 0; i < looking->count; i++) {
        struct change *change = &looking->changes[i];
        const struct log_op *op = record_op(change);
        if (op) {
            look(looking, change, op);
        }
    }
    looking->fault = tree_txn_fault(looking->txn);
    tree_abort(looking->txn);
}

static void looking_done(struct job *job)
{
    struct looking *looking = (struct looking *)job;
    if (looking->fault != TREE_FINE) {
        logline_die("tree: cannot read: %s", tree_fault_text(looking->import->config.tree));
    }
    looking->is_busy = false;
    looking->is_done = true;
}

/* --- their place in log and hot table --- */

void import_init_looking(struct import *import)
{
    import->looking.import = import;
    import->looking.job = (struct job){.run = run_looking, .done = looking_done};
}

static struct hot_record *peek(const struct import *import, const struct log_op *op)
{
    return hot_peek(import->config.execution->hot, op->point, op->table, op->key);
}

/* Returns its length. */
static size_t add_change(struct looking *looking, struct message *message, uint32_t i)
{
    struct change *change = &looking->changes[looking->count++];
    size_t at = message->changes[i];
    struct bytes rest = bytes_of(message->items + at, message->len - at);
    *change = (struct change){.message = message};
    (void)stream_next(&rest, &change->unit);
    const struct log_op *op = record_op(change);
    if (op) {
        hot_prefetch(looking->import->config.execution->hot, op->point);
    }
    return message->len - at - rest.len;
}

/* Of messages whose records are stored. */
static void collect_changes(struct import *import)
{
    struct looking *looking = &import->looking;
    size_t len = 0;
    uint32_t i = import->made_count;
    looking->count = 0;
    struct message *message = import->first;
    while (message != import->to_store && looking->count < IMPORT_CHANGES_MAX &&
           len < IMPORT_CHANGES_LEN_MAX) {
        if (i < message->change_count) {
            len += add_change(looking, message, i++);
        } else {
            message = message->next;
            i = 0;
        }
    }
}

/* RULES F3. */
static bool has_room(const struct import *import)
{
    const struct execution *execution = import->config.execution;
    return !execution->is_memory_full && !execution->is_log_full;
}

/*
 * What the hot table has not got now, the tree shows in a transaction that begins now (RULES S6): until the changes
 * are made nobody else writes here, so what was looked up stays true.
 */
void import_begin_looking(struct import *import)
{
    struct looking *looking = &import->looking;
    if (looking->is_busy || !has_room(import)) {
        return;
    }
    collect_changes(import);
    if (looking->count == 0) {
        return;
    }
    for (uint32_t i = 0; i < looking->count; i++) {
        const struct log_op *op = record_op(&looking->changes[i]);
        looking->changes[i].was_hot = op && peek(import, op);
    }
    buffer_shrink(&looking->stored, IMPORT_CHANGES_LEN_MAX);
    buffer_clear(&looking->stored);
    looking->txn = tree_begin_read(import->config.tree);
    looking->is_busy = true;
    worker_submit(import->worker, &looking->job);
}

/* What is there of a change's key now. */
struct place {
    struct hot_record *entry; /* NULL: `found` tells */
    struct hot_view view;
    bool is_there;
    uint64_t version; /* a deletion's, too; 0: not known */
};

static void find_place(const struct import *import, const struct change *change,
                       struct place *place)
{
    const struct log_op *op = &change->unit.op;
    *place = (struct place){.entry = peek(import, op)};
    if (!place->entry) {
        place->is_there = change->found.is_there;
        place->version = change->found.version;
        return;
    }
    hot_view(import->config.execution->hot, op->point, place->entry, &place->view);
    assert(place->view.state != HOT_FETCHING); /* nobody is served from here yet */
    place->is_there = place->view.state == HOT_RECORD;
    place->version = place->view.state == HOT_ABSENT ? 0 : place->view.record.version;
}

/* What is there goes from the sum. */
static void take_present(const struct change *change, const struct place *place,
                         struct range_sum *difference)
{
    if (!place->is_there) {
        return;
    }
    if (place->entry) {
        sum_record(&place->view.record, difference, range_sum_take);
    } else {
        range_sum_join(difference, &change->found.taken);
    }
}

/* A put, or a deletion. The log's place is this server's, the version the source's. */
static void replace(struct import *import, const struct change *change)
{
    struct execution *execution = import->config.execution;
    const struct log_op *op = &change->unit.op;
    struct place place;
    struct record record;
    find_place(import, change, &place);
    if (place.version >= op->version) {
        return; /* it came with the slice, or there is a newer one */
    }
    struct range_sum difference = change->added;
    take_present(change, &place, &difference);
    record_of(op, &record);
    (void)log_add(execution->log, op);
    import_count(import, &difference);
    hot_put(execution->hot, place.entry, &record, op->kind == LOG_PUT ? HOT_RECORD : HOT_DELETED,
            true);
}

/* A record that only the tree has: a touch is of an entry. NULL: it is damaged. */
static struct hot_record *load_found(struct import *import, const struct change *change)
{
    const struct log_op *op = &change->unit.op;
    const struct found *found = &change->found;
    uint8_t key_bytes[TREE_KEY_LEN_MAX];
    struct record record = {.point = op->point, .table = op->table, .key = op->key};
    struct bytes stored =
        bytes_of(import->looking.stored.data + found->stored_at, found->stored_len);
    if (record_decode(stored, key_of(&record, key_bytes), &record) != RECORD_FINE) {
        return NULL;
    }
    return hot_put(import->config.execution->hot, NULL, &record, HOT_RECORD, false);
}

/* RULES R4: only of the same version, and only if it is later. */
static void touch(struct import *import, const struct change *change)
{
    struct execution *execution = import->config.execution;
    const struct log_op *op = &change->unit.op;
    struct place place;
    find_place(import, change, &place);
    if (!place.is_there || place.version != op->version) {
        return;
    }
    struct hot_record *entry = place.entry ? place.entry : load_found(import, change);
    struct range_sum difference = {0};
    if (!entry) {
        return;
    }
    hot_view(execution->hot, op->point, entry, &place.view);
    struct record *record = &place.view.record;
    if (record->expiry_ms >= op->expiry_ms) {
        return;
    }
    sum_record(record, &difference, range_sum_take);
    record->expiry_ms = op->expiry_ms;
    sum_record(record, &difference, range_sum_add);
    (void)log_add(execution->log, op);
    import_count(import, &difference);
    hot_touch(execution->hot, op->point, entry, op->expiry_ms);
}

static void take_client(struct import *import, enum retry_taken taken)
{
    if (taken == RETRY_NO_ROOM) {
        import_fail(import, STATUS_FULL,
                    "as many clients are remembered as fit this server's memory");
    } else if (taken == RETRY_NOT_ONE) {
        import_fail(import, STATUS_DAMAGED, "a retry result that came cannot be read");
    }
}

static void make(struct import *import, const struct change *change)
{
    struct retries *retries = import->config.execution->retries;
    if (change->unit.item == STREAM_LINE) {
        take_client(import, retries_take_line(retries, &change->unit.line));
    } else if (change->unit.op.kind == LOG_RESULT) {
        take_client(import, retries_take_result(retries, &change->unit.op));
    } else if (change->unit.op.kind == LOG_TOUCH) {
        touch(import, change);
    } else {
        replace(import, change);
    }
}

/* It was swept and evicted since it was looked up. */
static bool must_look_again(const struct import *import, const struct change *change)
{
    const struct log_op *op = record_op(change);
    return op && change->was_hot && !peek(import, op);
}

void import_make_changes(struct import *import)
{
    struct looking *looking = &import->looking;
    if (!looking->is_done) {
        return;
    }
    looking->is_done = false;
    for (uint32_t i = 0; i < looking->count && import->fault == STATUS_OK; i++) {
        const struct change *change = &looking->changes[i];
        if (must_look_again(import, change)) {
            break;
        }
        import_settle(import);
        assert(import->first == change->message);
        make(import, change);
        import->made_count++;
    }
}
