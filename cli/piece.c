/* SPDX-License-Identifier: MIT */
#include "cli/piece.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "proto/endian.h"
#include "proto/hash.h"

#define MAGIC "shardbak"

enum {
    MAGIC_LEN = 8,
    CHECKSUM_LEN = 8,
    ORIGIN_LEN = 40, /* without name and cursor */
    RECORD_LEN = 48, /* without key and value */
    END_LEN = 40,    /* without cursor */
    IS_SLIDING = 1,
};

static struct bytes part_of(struct bytes bytes, size_t offset, size_t len)
{
    return bytes_of((const uint8_t *)bytes.data + offset, len);
}

/* --- head --- */

void piece_head_encode(uint32_t number, uint8_t head[PIECE_HEAD_LEN])
{
    memcpy(head, MAGIC, MAGIC_LEN);
    endian_put_le32(head + 8, PIECE_FORMAT);
    endian_put_le32(head + 12, number);
}

enum piece_fault piece_head_decode(const uint8_t head[PIECE_HEAD_LEN], uint32_t *number)
{
    uint32_t format = endian_get_le32(head + 8);
    if (memcmp(head, MAGIC, MAGIC_LEN) != 0 || format == 0) {
        return PIECE_NO_PIECE;
    }
    if (format > PIECE_FORMAT) {
        return PIECE_NEWER_FORMAT;
    }
    *number = endian_get_le32(head + 12);
    return PIECE_FINE;
}

uint64_t piece_head_checksum(const uint8_t head[PIECE_HEAD_LEN])
{
    return hash_bytes(bytes_of(head, PIECE_HEAD_LEN));
}

/* --- blocks --- */

/* Room for `len` bytes at the end, all 0; NULL when out of memory. */
static uint8_t *append_zeros(struct buffer *block, size_t len)
{
    uint8_t *end = buffer_reserve(block, len);
    if (end) {
        memset(end, 0, len);
        block->len += len;
    }
    return end;
}

void piece_block_begin(struct buffer *block)
{
    buffer_clear(block);
    (void)append_zeros(block, PIECE_BLOCK_HEAD_LEN);
}

uint64_t piece_block_checksum(struct bytes block, uint64_t before)
{
    return hash_bytes_seeded(part_of(block, CHECKSUM_LEN, block.len - CHECKSUM_LEN), before);
}

uint64_t piece_block_seal(enum piece_type type, uint64_t before, struct buffer *block)
{
    assert(!block->failed && block->len >= PIECE_BLOCK_HEAD_LEN);
    endian_put_le32(block->data + 8, (uint32_t)(block->len - PIECE_BLOCK_HEAD_LEN));
    block->data[12] = (uint8_t)type;
    uint64_t checksum = piece_block_checksum(buffer_bytes(block), before);
    endian_put_le64(block->data, checksum);
    return checksum;
}

bool piece_block_decode(const uint8_t head[PIECE_BLOCK_HEAD_LEN], struct piece_block *block)
{
    *block = (struct piece_block){
        .checksum = endian_get_le64(head),
        .len = endian_get_le32(head + 8),
        .type = (enum piece_type)head[12],
    };
    return block->len <= PIECE_PAYLOAD_LEN_MAX && head[12] >= PIECE_ORIGIN && head[12] <= PIECE_END;
}

/* --- origin --- */

void piece_origin_encode(const struct piece_origin *origin, struct buffer *block)
{
    uint8_t *start = append_zeros(block, ORIGIN_LEN);
    if (!start) {
        return;
    }
    memcpy(start, origin->cluster, ID_LEN);
    endian_put_le64(start + 16, origin->begun_ms);
    endian_put_le64(start + 24, origin->map_revision);
    endian_put_le16(start + 32, (uint16_t)origin->table.len);
    endian_put_le16(start + 34, (uint16_t)origin->from.len);
    buffer_append_bytes(block, origin->table);
    buffer_append_bytes(block, origin->from);
}

bool piece_origin_decode(struct bytes payload, struct piece_origin *origin)
{
    const uint8_t *start = payload.data;
    if (payload.len < ORIGIN_LEN) {
        return false;
    }
    size_t table_len = endian_get_le16(start + 32);
    size_t from_len = endian_get_le16(start + 34);
    if (payload.len != ORIGIN_LEN + table_len + from_len || table_len > NAME_LEN_MAX ||
        from_len > PIECE_CURSOR_LEN_MAX) {
        return false;
    }
    memcpy(origin->cluster, start, ID_LEN);
    origin->begun_ms = endian_get_le64(start + 16);
    origin->map_revision = endian_get_le64(start + 24);
    origin->table = part_of(payload, ORIGIN_LEN, table_len);
    origin->from = part_of(payload, ORIGIN_LEN + table_len, from_len);
    return true;
}

/* --- records --- */

void piece_record_encode(const struct piece_record *record, struct buffer *block)
{
    uint8_t *start = append_zeros(block, RECORD_LEN);
    if (!start) {
        return;
    }
    endian_put_le16(start, (uint16_t)record->key.len);
    endian_put_le16(start + 2, record->kind);
    endian_put_le32(start + 4, (uint32_t)record->value.len);
    endian_put_le64(start + 8, record->point);
    endian_put_le64(start + 16, record->version);
    endian_put_le64(start + 24, record->expiry_ms);
    endian_put_le64(start + 32, record->ttl_ms);
    start[40] = record->is_sliding ? IS_SLIDING : 0;
    buffer_append_bytes(block, record->key);
    buffer_append_bytes(block, record->value);
}

bool piece_record_next(struct bytes *rest, struct piece_record *record)
{
    const uint8_t *start = rest->data;
    if (rest->len < RECORD_LEN) {
        return false;
    }
    size_t key_len = endian_get_le16(start);
    size_t value_len = endian_get_le32(start + 4);
    if (key_len == 0 || key_len > KEY_LEN_MAX || value_len > VALUE_LEN_MAX ||
        rest->len - RECORD_LEN < key_len + value_len) {
        return false;
    }
    *record = (struct piece_record){
        .kind = endian_get_le16(start + 2),
        .is_sliding = (start[40] & IS_SLIDING) != 0,
        .point = endian_get_le64(start + 8),
        .version = endian_get_le64(start + 16),
        .expiry_ms = endian_get_le64(start + 24),
        .ttl_ms = endian_get_le64(start + 32),
        .key = part_of(*rest, RECORD_LEN, key_len),
        .value = part_of(*rest, RECORD_LEN + key_len, value_len),
    };
    size_t len = RECORD_LEN + key_len + value_len;
    *rest = part_of(*rest, len, rest->len - len);
    return true;
}

/* --- end --- */

void piece_end_encode(const struct piece_end *end, struct buffer *block)
{
    uint8_t *start = append_zeros(block, END_LEN);
    if (!start) {
        return;
    }
    endian_put_le64(start, end->records);
    endian_put_le64(start + 8, end->size);
    endian_put_le64(start + 16, end->damaged);
    endian_put_le64(start + 24, end->ended_ms);
    start[32] = end->is_last;
    endian_put_le16(start + 34, (uint16_t)end->to.len);
    buffer_append_bytes(block, end->to);
}

bool piece_end_decode(struct bytes payload, struct piece_end *end)
{
    const uint8_t *start = payload.data;
    if (payload.len < END_LEN) {
        return false;
    }
    size_t to_len = endian_get_le16(start + 34);
    if (payload.len != END_LEN + to_len || to_len > PIECE_CURSOR_LEN_MAX || start[32] > 1) {
        return false;
    }
    *end = (struct piece_end){
        .records = endian_get_le64(start),
        .size = endian_get_le64(start + 8),
        .damaged = endian_get_le64(start + 16),
        .ended_ms = endian_get_le64(start + 24),
        .is_last = start[32] == 1,
        .to = part_of(payload, END_LEN, to_len),
    };
    return true;
}

/* --- names --- */

void piece_name_print(uint32_t number, bool is_part, char name[PIECE_NAME_LEN])
{
    assert(number <= PIECE_NUMBER_MAX);
    (void)snprintf(name, PIECE_NAME_LEN, PIECE_NAME_START "%06" PRIu32 "%s", number,
                   is_part ? ".part" : "");
}
