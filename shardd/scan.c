/* SPDX-License-Identifier: MIT */
#include "shardd/scan.h"

#include "io/memory.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/record.h"

/* What one reply has so far. */
struct piece {
    struct buffer records; /* packed, without the array's head */
    uint32_t record_count;
    uint32_t examined_count;
    uint64_t point; /* of what was examined last */
    uint8_t key[KEY_LEN_MAX];
    size_t key_len;
};

static bool seek(struct tree_cursor *cursor, const struct op *op)
{
    uint8_t bytes[TREE_KEY_LEN_MAX];
    struct bytes key = bytes_of(bytes, record_key_encode(op->point, op->table, op->key, bytes));
    bool is_found = tree_cursor_seek(cursor, key);
    if (is_found && op->key.len > 0 && bytes_equal(tree_cursor_key(cursor), key)) {
        is_found = tree_cursor_next(cursor);
    }
    return is_found;
}

static bool is_wanted(const struct record *record, const struct op *op)
{
    return record->table == op->table && record->key.len >= op->prefix.len &&
           bytes_equal(bytes_of(record->key.data, op->prefix.len), op->prefix);
}

static void pack_record(const struct record *record, bool keys_only, struct buffer *out)
{
    pack_array(out, 6);
    pack_bin(out, record->key);
    if (keys_only) {
        pack_nil(out);
    } else {
        pack_encoded(out, record->value);
    }
    pack_uint(out, record->version);
    pack_int(out, -1);
    pack_uint(out, record_size(record->key.len, record->value.len));
    pack_uint(out, record->kind);
}

/* False: the piece ends before this record, being full or because the record is damaged. */
static bool add(struct piece *piece, struct record *record, const struct tree_cursor *cursor,
                struct op *op)
{
    enum record_fault fault =
        record_decode(tree_cursor_value(cursor), tree_cursor_key(cursor), record);
    if (fault != RECORD_FINE) {
        op_refuse(op, STATUS_DAMAGED,
                  fault == RECORD_NEWER_FORMAT ? OP_REASON_RECORD_NEWER : OP_REASON_RECORD_DAMAGED);
        return false;
    }
    size_t len = record->key.len + (op->keys_only ? 0 : record->value.len);
    if (piece->record_count > 0 && piece->records.len + len > SCAN_BYTES_MAX) {
        return false;
    }
    pack_record(record, op->keys_only, &piece->records);
    piece->record_count++;
    return true;
}

/* True when all up to the range's end was looked at. */
static bool gather(struct tree_cursor *cursor, const struct range *range, struct op *op,
                   struct piece *piece)
{
    for (bool more = seek(cursor, op); more; more = tree_cursor_next(cursor)) {
        struct record record = {0};
        if (!record_key_decode(tree_cursor_key(cursor), &record)) {
            op_refuse(op, STATUS_DAMAGED, OP_REASON_RECORD_DAMAGED);
            return false;
        }
        if (point_bound(record.point) >= range->end) {
            return true;
        }
        if (piece->record_count == op->limit || piece->examined_count == SCAN_EXAMINED_MAX ||
            (is_wanted(&record, op) && !add(piece, &record, cursor, op))) {
            return false;
        }
        piece->examined_count++;
        piece->point = record.point;
        piece->key_len = record.key.len;
        memcpy(piece->key, record.key.data, record.key.len);
    }
    return true;
}

static void pack_result(const struct piece *piece, bool is_end, uint64_t end, struct buffer *out)
{
    pack_array(out, 3);
    pack_array(out, piece->record_count);
    buffer_append_bytes(out, buffer_bytes(&piece->records));
    if (is_end) {
        pack_nil(out);
    } else {
        pack_array(out, 2);
        pack_uint(out, piece->point);
        pack_bin(out, bytes_of(piece->key, piece->key_len));
    }
    pack_uint(out, end);
    memory_must(!piece->records.failed && !out->failed);
}

void scan(struct tree_txn *txn, const struct range *range, struct op *op)
{
    struct piece piece = {.point = op->point};
    struct tree_cursor *cursor = tree_cursor_open(txn, TREE_RECORDS);
    bool is_end = gather(cursor, range, op, &piece);
    tree_cursor_close(cursor);
    if (op->outcome.status == STATUS_OK) {
        pack_result(&piece, is_end, range->end, &op->outcome.value);
    }
    buffer_fini(&piece.records);
}
