/* SPDX-License-Identifier: MIT */
#include "proto/range_sum.h"

#include <assert.h>

#include "proto/hash.h"

/* Behind the stored header's own checksum. */
enum { AT_FORMAT = 4, HASHED_LEN = RECORD_HEADER_LEN - AT_FORMAT };

static struct hash128 hash_of(struct bytes tree_key, struct bytes stored)
{
    uint8_t hashed[HASHED_LEN + TREE_KEY_LEN_MAX];
    assert(tree_key.len <= TREE_KEY_LEN_MAX && stored.len >= RECORD_HEADER_LEN);
    memcpy(hashed, (const uint8_t *)stored.data + AT_FORMAT, HASHED_LEN);
    memcpy(hashed + HASHED_LEN, tree_key.data, tree_key.len);
    return hash128_bytes(bytes_of(hashed, HASHED_LEN + tree_key.len));
}

void range_sum_add(struct range_sum *sum, struct bytes tree_key, struct bytes stored)
{
    struct hash128 hash = hash_of(tree_key, stored);
    sum->records++;
    sum->bytes += record_stored_size(record_key_len(tree_key), stored);
    sum->low += hash.low;
    sum->high += hash.high + (sum->low < hash.low);
}

void range_sum_take(struct range_sum *sum, struct bytes tree_key, struct bytes stored)
{
    struct hash128 hash = hash_of(tree_key, stored);
    sum->records--;
    sum->bytes -= record_stored_size(record_key_len(tree_key), stored);
    sum->high -= hash.high + (sum->low < hash.low);
    sum->low -= hash.low;
}

void range_sum_join(struct range_sum *sum, const struct range_sum *other)
{
    sum->records += other->records;
    sum->bytes += other->bytes;
    sum->low += other->low;
    sum->high += other->high + (sum->low < other->low);
}

bool range_sum_equal(const struct range_sum *a, const struct range_sum *b)
{
    return a->records == b->records && a->bytes == b->bytes && a->low == b->low &&
           a->high == b->high;
}
