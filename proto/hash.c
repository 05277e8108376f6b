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
