/* SPDX-License-Identifier: MIT */
#ifndef PROTO_HASH_H
#define PROTO_HASH_H

/* XXH3_64bits, default secret, seed 0: the hash of points and of checksums. */

#include "proto/bytes.h"

uint64_t hash_bytes(struct bytes bytes);

/* With a seed of its own: of the log's bytes, whose segments are salted. */
uint64_t hash_bytes_seeded(struct bytes bytes, uint64_t seed);

struct hash128 {
    uint64_t low, high;
};

/* XXH3_128bits: of what is summed up over a range. */
struct hash128 hash128_bytes(struct bytes bytes);

#endif
