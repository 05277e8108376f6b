/* SPDX-License-Identifier: MIT */
#include "proto/stream.h"

#include <assert.h>

#include "proto/endian.h"

/* Where the fields stand; see the pictures in stream.h. */
enum {
    AT_ITEM = 0,

    RECORD_AT_KEY_LEN = 1,
    RECORD_AT_STORED_LEN = 3,
    RECORD_FIXED_LEN = 7,

    OPERATION_AT_LEN = 1,
    OPERATION_AT_STAMP = 5,
    OPERATION_FIXED_LEN = 13,

    LINE_AT_FLAGS = 1,
    LINE_AT_CLIENT = 2,
    LINE_AT_DONE = 18,
    LINE_AT_HIGHEST = 26,
    LINE_AT_FORGOTTEN = 34,
    LINE_AT_SEEN = 42,
    LINE_FIXED_LEN = 50,
};

/* Flags of a line. */
enum { LINE_IS_DAMAGED = 1 };

/* Point and table, and at least one byte behind them. */
enum { TREE_KEY_LEN_MIN = TREE_KEY_LEN_MAX - KEY_LEN_MAX + 1 };

static struct bytes take_bytes(struct bytes *rest, size_t len)
{
    struct bytes bytes = bytes_of(rest->data, len);
    rest->data = (const uint8_t *)rest->data + len;
    rest->len -= len;
    return bytes;
}

/* --- records --- */

void stream_record_encode(struct bytes tree_key, struct bytes stored, struct buffer *out)
{
    assert(tree_key.len >= TREE_KEY_LEN_MIN && tree_key.len <= TREE_KEY_LEN_MAX);
    assert(stored.len >= RECORD_HEADER_LEN && stored.len <= STREAM_STORED_LEN_MAX);
    size_t len = RECORD_FIXED_LEN + tree_key.len + stored.len;
    uint8_t *to = buffer_reserve(out, len);
    if (!to) {
        return;
    }
    to[AT_ITEM] = STREAM_RECORD;
    endian_put_le16(to + RECORD_AT_KEY_LEN, (uint16_t)tree_key.len);
    endian_put_le32(to + RECORD_AT_STORED_LEN, (uint32_t)stored.len);
    memcpy(to + RECORD_FIXED_LEN, tree_key.data, tree_key.len);
    memcpy(to + RECORD_FIXED_LEN + tree_key.len, stored.data, stored.len);
    out->len += len;
}

static bool take_record(struct bytes *rest, struct stream_unit *unit)
{
    const uint8_t *in = rest->data;
    if (rest->len < RECORD_FIXED_LEN) {
        return false;
    }
    size_t key_len = endian_get_le16(in + RECORD_AT_KEY_LEN);
    size_t stored_len = endian_get_le32(in + RECORD_AT_STORED_LEN);
    if (key_len < TREE_KEY_LEN_MIN || key_len > TREE_KEY_LEN_MAX ||
        stored_len < RECORD_HEADER_LEN || stored_len > STREAM_STORED_LEN_MAX ||
        rest->len - RECORD_FIXED_LEN < key_len + stored_len) {
        return false;
    }
    (void)take_bytes(rest, RECORD_FIXED_LEN);
    unit->tree_key = take_bytes(rest, key_len);
    unit->stored = take_bytes(rest, stored_len);
    return true;
}

/* --- operations --- */

/* Its length is known when it has been written. */
void stream_operation_encode(uint64_t stamp, const struct log_op *op, struct buffer *out)
{
    size_t start = out->len;
    uint8_t *to = buffer_reserve(out, OPERATION_FIXED_LEN);
    if (!to) {
        return;
    }
    to[AT_ITEM] = STREAM_OPERATION;
    endian_put_le64(to + OPERATION_AT_STAMP, stamp);
    out->len += OPERATION_FIXED_LEN;
    log_op_encode(op, out);
    if (out->failed) {
        out->len = start;
        return;
    }
    size_t len = out->len - start - OPERATION_FIXED_LEN;
    assert(len <= STREAM_OPERATION_LEN_MAX);
    endian_put_le32(out->data + start + OPERATION_AT_LEN, (uint32_t)len);
}

static bool take_operation(struct bytes *rest, struct stream_unit *unit)
{
    const uint8_t *in = rest->data;
    if (rest->len < OPERATION_FIXED_LEN) {
        return false;
    }
    size_t len = endian_get_le32(in + OPERATION_AT_LEN);
    if (len > STREAM_OPERATION_LEN_MAX || rest->len - OPERATION_FIXED_LEN < len) {
        return false;
    }
    struct bytes op = bytes_of(in + OPERATION_FIXED_LEN, len);
    if (!log_op_next(&op, &unit->op) || op.len > 0) {
        return false;
    }
    unit->stamp = endian_get_le64(in + OPERATION_AT_STAMP);
    (void)take_bytes(rest, OPERATION_FIXED_LEN + len);
    return true;
}

/* --- lines --- */

void stream_line_encode(const struct stream_line *line, struct buffer *out)
{
    uint8_t *to = buffer_reserve(out, LINE_FIXED_LEN);
    if (!to) {
        return;
    }
    to[AT_ITEM] = STREAM_LINE;
    to[LINE_AT_FLAGS] = line->is_damaged ? LINE_IS_DAMAGED : 0;
    memcpy(to + LINE_AT_CLIENT, line->client, ID_LEN);
    endian_put_le64(to + LINE_AT_DONE, line->done);
    endian_put_le64(to + LINE_AT_HIGHEST, line->highest);
    endian_put_le64(to + LINE_AT_FORGOTTEN, line->forgotten);
    endian_put_le64(to + LINE_AT_SEEN, line->seen_ms);
    out->len += LINE_FIXED_LEN;
}

static bool take_line(struct bytes *rest, struct stream_unit *unit)
{
    const uint8_t *in = rest->data;
    struct stream_line *line = &unit->line;
    if (rest->len < LINE_FIXED_LEN || (in[LINE_AT_FLAGS] & ~LINE_IS_DAMAGED) != 0) {
        return false;
    }
    line->is_damaged = (in[LINE_AT_FLAGS] & LINE_IS_DAMAGED) != 0;
    memcpy(line->client, in + LINE_AT_CLIENT, ID_LEN);
    line->done = endian_get_le64(in + LINE_AT_DONE);
    line->highest = endian_get_le64(in + LINE_AT_HIGHEST);
    line->forgotten = endian_get_le64(in + LINE_AT_FORGOTTEN);
    line->seen_ms = endian_get_le64(in + LINE_AT_SEEN);
    (void)take_bytes(rest, LINE_FIXED_LEN);
    return true;
}

bool stream_next(struct bytes *rest, struct stream_unit *unit)
{
    if (rest->len == 0) {
        return false;
    }
    uint8_t item = *(const uint8_t *)rest->data;
    unit->item = (enum stream_item)item;
    switch (item) {
    case STREAM_RECORD:
        return take_record(rest, unit);
    case STREAM_OPERATION:
        return take_operation(rest, unit);
    case STREAM_LINE:
        return take_line(rest, unit);
    default:
        return false;
    }
}
