/* SPDX-License-Identifier: MIT */
#include "proto/hash.h"

/* Compiled in, so that whoever links libshardkv needs no libxxhash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash_bytes(struct bytes bytes)
{
    return XXH3_64bits(bytes.data, bytes.len);
}

uint64_t hash_bytes_seeded(struct bytes bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.len, seed);
}

struct hash128 hash128_bytes(struct bytes bytes)
{
    XXH128_hash_t hash = XXH3_128bits(bytes.data, bytes.len);
    return (struct hash128){hash.low64, hash.high64};
}
