/* SPDX-License-Identifier: MIT */
#ifndef PROTO_RECORD_H
#define PROTO_RECORD_H

/*
 * A record as it is stored in the tree (RULES N4, S10).
 *
 *     key     | point u64 BE | table u16 BE | key, 1 to 480 bytes |
 *
 *     value   0   u32 header checksum: XXH3_64 of bytes 4..39, then of the tree key, low half
 *             4   u8  format, 1
 *             5   u8  flags
 *             6   u16 kind
 *             8   u64 version (a stamp)
 *             16  u64 expiry, ms since 1970; 0: never
 *             24  u64 time to live as it was given, ms; 0: none
 *             32  u64 value checksum: XXH3_64 of the value
 *             40  the value: one MessagePack object
 *     all little-endian unless said
 *
 * The value's checksum is apart from the header's: a touch rewrites the header alone, and the sum
 * of a range (RULES V5) is made of it without reading values.
 */

#include "proto/bytes.h"
#include "proto/limits.h"

#define RECORD_FORMAT     1
#define RECORD_HEADER_LEN 40
#define TREE_KEY_LEN_MAX  (8 + 2 + KEY_LEN_MAX)

enum record_flag { RECORD_SLIDING = 1 };

struct record {
    uint64_t point;
    struct bytes key;
    struct bytes value;
    uint64_t version;
    uint64_t expiry_ms;
    uint64_t ttl_ms;
    uint16_t table;
    uint16_t kind;
    uint8_t flags; /* enum record_flag */
};

/* Bytes that a record counts against its shard: key + value + 64. */
static inline uint64_t record_size(size_t key_len, size_t value_len)
{
    return (uint64_t)key_len + value_len + RECORD_OVERHEAD;
}

/* The same of a stored value, of which nothing but its length is looked at. */
uint64_t record_stored_size(size_t key_len, struct bytes stored);

/* Returns the length written, at most TREE_KEY_LEN_MAX. key.len <= KEY_LEN_MAX. */
size_t record_key_encode(uint64_t point, uint16_t table, struct bytes key,
                         uint8_t out[TREE_KEY_LEN_MAX]);

/* Of the key within `tree_key`, without point and table; 0 when it is too short for these. */
static inline size_t record_key_len(struct bytes tree_key)
{
    enum { PREFIX_LEN = TREE_KEY_LEN_MAX - KEY_LEN_MAX };
    return tree_key.len < PREFIX_LEN ? 0 : tree_key.len - PREFIX_LEN;
}

/* Fills point, table and key (into `tree_key`). False when it is too short or too long. */
bool record_key_decode(struct bytes tree_key, struct record *record);

/* The header for `record`, to be followed by record->value; `tree_key` as encoded above. */
void record_header_encode(const struct record *record, struct bytes tree_key,
                          uint8_t out[RECORD_HEADER_LEN]);

/* The version in a stored record's header, of which nothing else is looked at; 0 when it is too short. */
uint64_t record_stored_version(struct bytes stored);

enum record_fault { RECORD_FINE, RECORD_SHORT, RECORD_NEWER_FORMAT, RECORD_DAMAGED };

/* Fills all but the key's fields; verifies both checksums. record->value points into `stored`. */
enum record_fault record_decode(struct bytes stored, struct bytes tree_key, struct record *record);

#endif
