/* SPDX-License-Identifier: MIT */
#include "shardd/execute.h"

#include "io/memory.h"
#include "proto/pack.h"
#include "proto/record.h"
#include "proto/stamp.h"
#include "proto/unpack.h"
#include "shardd/scan.h"

/* Where an operation's record is, or would be. */
struct place {
    struct account *account;
    uint8_t key_bytes[TREE_KEY_LEN_MAX];
    struct bytes key;
    struct bytes stored; /* until the next write */
    bool is_there;
    uint64_t size; /* what the stored record counts; 0 without one */
};

static void find_place(struct execution *execution, const struct op *op, struct place *place)
{
    size_t key_len = record_key_encode(op->point, op->table, op->key, place->key_bytes);
    place->key = bytes_of(place->key_bytes, key_len);
    place->is_there = tree_get(execution->txn, TREE_RECORDS, place->key, &place->stored);
    place->size = place->is_there ? account_record_size(op->key.len, place->stored.len) : 0;
}

static bool decode(const struct place *place, struct op *op, struct record *record)
{
    switch (record_decode(place->stored, place->key, record)) {
    case RECORD_FINE:
        return true;
    case RECORD_NEWER_FORMAT:
        op_refuse(op, STATUS_DAMAGED, OP_REASON_RECORD_NEWER);
        return false;
    case RECORD_SHORT:
    case RECORD_DAMAGED:
        break;
    }
    op_refuse(op, STATUS_DAMAGED, OP_REASON_RECORD_DAMAGED);
    return false;
}

/* Whether the conditions hold; if not, the outcome says what is there. */
static bool meets_conditions(const struct place *place, struct op *op)
{
    struct record record = {0};
    if (!op->if_absent && op->if_version == 0) {
        return true;
    }
    if (place->is_there && !decode(place, op, &record)) {
        return false;
    }
    bool holds = op->if_absent ? !place->is_there : record.version == op->if_version;
    if (!holds) {
        op_refuse(op, STATUS_CONDITION,
                  op->if_absent ? OP_REASON_THERE_ALREADY : OP_REASON_OTHER_VERSION);
        op->outcome.version = record.version;
    }
    return holds;
}

/* RULES F1: what does not grow always has room. */
static bool has_room(const struct execution *execution, const struct place *place, struct op *op,
                     uint64_t size)
{
    const struct account *account = place->account;
    if (size <= place->size) {
        return true;
    }
    uint64_t growth = size - place->size;
    bool fits =
        account->used <= account->range.limit && growth <= account->range.limit - account->used;
    if (fits && !execution->is_disk_full) {
        return true;
    }
    op_refuse(op, STATUS_FULL, fits ? OP_REASON_DISK_FULL : OP_REASON_NONE);
    op->outcome.used = account->used;
    op->outcome.limit = account->range.limit;
    return false;
}

static void put(struct execution *execution, const struct place *place, struct op *op,
                struct bytes value)
{
    uint64_t size = record_size(op->key.len, value.len);
    if (!has_room(execution, place, op, size)) {
        return;
    }
    execution->last_stamp = stamp_next(execution->last_stamp, execution->now_ms);
    struct record record = {
        .point = op->point,
        .table = op->table,
        .key = op->key,
        .version = execution->last_stamp,
        .value = value,
    };
    uint8_t header[RECORD_HEADER_LEN];
    record_header_encode(&record, place->key, header);
    tree_put(execution->txn, TREE_RECORDS, place->key, bytes_of(header, sizeof(header)), value);
    place->account->used += size - place->size;
    place->account->records += !place->is_there;
    op->outcome.version = record.version;
    op->outcome.size = size;
}

/* Gives what the record counted back; as `held`, it goes on to count with the stored result. */
static void take_away(struct execution *execution, const struct place *place, uint64_t held)
{
    execution->last_stamp = stamp_next(execution->last_stamp, execution->now_ms);
    tree_delete(execution->txn, TREE_RECORDS, place->key);
    place->account->used -= place->size - held;
    place->account->records--;
}

/* Copies what a reader gets. */
static bool copy_record(const struct place *place, struct op *op)
{
    struct record record;
    if (!decode(place, op, &record)) {
        return false;
    }
    struct outcome *outcome = &op->outcome;
    outcome->was_there = true;
    outcome->version = record.version;
    outcome->size = place->size;
    outcome->kind = record.kind;
    buffer_append_bytes(&outcome->value, record.value);
    memory_must(!outcome->value.failed);
    return true;
}

static uint64_t run_read(struct execution *execution, const struct place *place, struct op *op)
{
    (void)execution;
    if (place->is_there) {
        copy_record(place, op);
    }
    return 0;
}

static uint64_t run_exists(struct execution *execution, const struct place *place, struct op *op)
{
    struct record record;
    (void)execution;
    op->outcome.was_there = place->is_there && decode(place, op, &record);
    return 0;
}

static uint64_t run_write(struct execution *execution, const struct place *place, struct op *op)
{
    if (meets_conditions(place, op)) {
        put(execution, place, op, op->value);
    }
    return 0;
}

static uint64_t run_pop(struct execution *execution, const struct place *place, struct op *op)
{
    if (!meets_conditions(place, op) || !place->is_there || !copy_record(place, op)) {
        return 0;
    }
    uint64_t held = op->identity.seq > 0 ? place->size : 0;
    take_away(execution, place, held);
    return held;
}

static uint64_t run_delete(struct execution *execution, const struct place *place, struct op *op)
{
    if (meets_conditions(place, op) && place->is_there) {
        take_away(execution, place, 0);
        op->outcome.was_there = true;
    }
    return 0;
}

/* Nothing there counts as 0. */
static bool read_integer(const struct place *place, struct op *op, int64_t *integer)
{
    struct record record;
    if (!place->is_there) {
        *integer = 0;
        return true;
    }
    if (!decode(place, op, &record)) {
        return false;
    }
    struct unpack in = unpack_of(record.value);
    *integer = unpack_int(&in);
    if (!unpack_is_done(&in)) {
        op_refuse(op, STATUS_INVALID, OP_REASON_NOT_AN_INTEGER);
    }
    return unpack_is_done(&in);
}

static uint64_t run_incr(struct execution *execution, const struct place *place, struct op *op)
{
    int64_t integer;
    if (!meets_conditions(place, op) || !read_integer(place, op, &integer)) {
        return 0;
    }
    if (__builtin_add_overflow(integer, op->by, &integer)) {
        op_refuse(op, STATUS_INVALID, OP_REASON_OVERFLOW);
        return 0;
    }
    struct buffer value = {0};
    pack_int(&value, integer);
    memory_must(!value.failed);
    put(execution, place, op, buffer_bytes(&value));
    buffer_fini(&value);
    op->outcome.integer = integer;
    return 0;
}

/* Returns the bytes that a popped record goes on to count. */
typedef uint64_t run_function(struct execution *execution, const struct place *place,
                              struct op *op);

static run_function *const functions[OP_KIND_COUNT] = {
    [OP_READ] = run_read, [OP_EXISTS] = run_exists, [OP_WRITE] = run_write,
    [OP_POP] = run_pop,   [OP_DELETE] = run_delete, [OP_INCR] = run_incr,
};

void execute(struct execution *execution, struct op *op)
{
    if (op->kind == OP_DONE) {
        retry_done(execution->retry, op);
        return;
    }
    struct place place = {.account = accounts_find(execution->accounts, op->point)};
    if (!place.account) {
        op_refuse(op, STATUS_WRONG_SHARD, OP_REASON_NONE);
        return;
    }
    if (op->kind == OP_SCAN) {
        scan(execution->txn, &place.account->range, op);
        return;
    }
    bool has_identity = op_changes(op) && op->identity.seq > 0;
    if (has_identity && retry_answer(execution->retry, op)) {
        return;
    }
    find_place(execution, op, &place);
    uint64_t held = functions[op->kind](execution, &place, op);
    if (has_identity) {
        retry_keep(execution->retry, op, held);
    }
}
