/* SPDX-License-Identifier: MIT */
#include "proto/record.h"

#include <assert.h>

#include "proto/endian.h"
#include "proto/hash.h"

/* Where the fields stand; see the picture in record.h. */
enum {
    KEY_AT_POINT = 0,
    KEY_AT_TABLE = 8,
    KEY_AT_KEY = 10,

    AT_CHECKSUM = 0,
    AT_FORMAT = 4,
    AT_FLAGS = 5,
    AT_KIND = 6,
    AT_VERSION = 8,
    AT_EXPIRY = 16,
    AT_TTL = 24,
    AT_VALUE_CHECKSUM = 32,
};

size_t record_key_encode(uint64_t point, uint16_t table, struct bytes key,
                         uint8_t out[TREE_KEY_LEN_MAX])
{
    assert(key.len <= KEY_LEN_MAX);
    endian_put_be64(out + KEY_AT_POINT, point);
    endian_put_be16(out + KEY_AT_TABLE, table);
    if (key.len > 0) {
        memcpy(out + KEY_AT_KEY, key.data, key.len);
    }
    return KEY_AT_KEY + key.len;
}

bool record_key_decode(struct bytes tree_key, struct record *record)
{
    if (tree_key.len <= KEY_AT_KEY || tree_key.len > TREE_KEY_LEN_MAX) {
        return false;
    }
    const uint8_t *in = tree_key.data;
    record->point = endian_get_be64(in + KEY_AT_POINT);
    record->table = endian_get_be16(in + KEY_AT_TABLE);
    record->key = bytes_of(in + KEY_AT_KEY, tree_key.len - KEY_AT_KEY);
    return true;
}

static uint32_t header_checksum(const uint8_t header[RECORD_HEADER_LEN], struct bytes tree_key)
{
    uint8_t covered[RECORD_HEADER_LEN - AT_FORMAT + TREE_KEY_LEN_MAX];
    size_t header_len = RECORD_HEADER_LEN - AT_FORMAT;
    assert(tree_key.len <= TREE_KEY_LEN_MAX);
    memcpy(covered, header + AT_FORMAT, header_len);
    memcpy(covered + header_len, tree_key.data, tree_key.len);
    return (uint32_t)hash_bytes(bytes_of(covered, header_len + tree_key.len));
}

void record_header_encode(const struct record *record, struct bytes tree_key,
                          uint8_t out[RECORD_HEADER_LEN])
{
    out[AT_FORMAT] = RECORD_FORMAT;
    out[AT_FLAGS] = record->flags;
    endian_put_le16(out + AT_KIND, record->kind);
    endian_put_le64(out + AT_VERSION, record->version);
    endian_put_le64(out + AT_EXPIRY, record->expiry_ms);
    endian_put_le64(out + AT_TTL, record->ttl_ms);
    endian_put_le64(out + AT_VALUE_CHECKSUM, hash_bytes(record->value));
    endian_put_le32(out + AT_CHECKSUM, header_checksum(out, tree_key));
}

uint64_t record_stored_size(size_t key_len, struct bytes stored)
{
    return record_size(key_len,
                       stored.len < RECORD_HEADER_LEN ? 0 : stored.len - RECORD_HEADER_LEN);
}

uint64_t record_stored_version(struct bytes stored)
{
    const uint8_t *header = stored.data;
    return stored.len < RECORD_HEADER_LEN ? 0 : endian_get_le64(header + 8);
}

enum record_fault record_decode(struct bytes stored, struct bytes tree_key, struct record *record)
{
    const uint8_t *in = stored.data;
    if (stored.len < RECORD_HEADER_LEN) {
        return RECORD_SHORT;
    }
    if (tree_key.len > TREE_KEY_LEN_MAX ||
        endian_get_le32(in + AT_CHECKSUM) != header_checksum(in, tree_key)) {
        return RECORD_DAMAGED;
    }
    /* After the checksum, which every format has in the same place: a flipped bit is no format. */
    if (in[AT_FORMAT] != RECORD_FORMAT) {
        return RECORD_NEWER_FORMAT;
    }
    struct bytes value = bytes_of(in + RECORD_HEADER_LEN, stored.len - RECORD_HEADER_LEN);
    if (endian_get_le64(in + AT_VALUE_CHECKSUM) != hash_bytes(value)) {
        return RECORD_DAMAGED;
    }
    record->flags = in[AT_FLAGS];
    record->kind = endian_get_le16(in + AT_KIND);
    record->version = endian_get_le64(in + AT_VERSION);
    record->expiry_ms = endian_get_le64(in + AT_EXPIRY);
    record->ttl_ms = endian_get_le64(in + AT_TTL);
    record->value = value;
    return RECORD_FINE;
}
