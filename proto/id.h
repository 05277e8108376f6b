/* SPDX-License-Identifier: MIT */
#ifndef PROTO_ID_H
#define PROTO_ID_H

/*
 * Ids that tell where their record lives (DESIGN §8).
 *
 *     63              23 22        10 9       0
 *     | ms since origin |  shard     | sequence |
 *         41 bits           13 bits     10 bits
 *
 * A logical shard s is the slice [s/8192, (s+1)/8192) of the circle; the point of an id lies in
 * its slice, spread by the hash of the id's 8 big-endian bytes.
 */

#include <stdbool.h>
#include <stdint.h>

/* Since 1970. The default: a cluster has its own in the map. */
#define ID_ORIGIN_MS UINT64_C(1379365531352)

#define ID_TIME_MAX       ((UINT64_C(1) << 41) - 1)
#define ID_SHARD_COUNT    8192u
#define ID_SEQUENCE_COUNT 1024u

/* ms <= ID_TIME_MAX (since the origin), shard < 8192, sequence < 1024; else false. */
bool id_compose(uint64_t ms, uint32_t shard, uint32_t sequence, uint64_t *id);

static inline uint64_t id_ms(uint64_t id)
{
    return id >> 23;
}

static inline uint32_t id_shard(uint64_t id)
{
    return (uint32_t)(id >> 10) & (ID_SHARD_COUNT - 1);
}

static inline uint32_t id_sequence(uint64_t id)
{
    return (uint32_t)id & (ID_SEQUENCE_COUNT - 1);
}

/* Bits of a point behind those of its slice. */
#define ID_SLICE_SHIFT 51

static inline uint32_t id_shard_of_point(uint64_t point)
{
    return (uint32_t)(point >> ID_SLICE_SHIFT);
}

/* The point of the slice that `spread`, a hash or a random number, tells by its upper 51 bits. */
static inline uint64_t id_slice_point(uint32_t shard, uint64_t spread)
{
    return (uint64_t)shard << ID_SLICE_SHIFT | spread >> (64 - ID_SLICE_SHIFT);
}

/* id_slice_point by XXH3_64bits of the 8 big-endian bytes. */
uint64_t id_point(uint64_t id);

/* The slice's bounds in multiples of 2^-32 (RULES N3); shard <= 8192. */
static inline uint64_t id_shard_bound(uint32_t shard)
{
    return (uint64_t)shard << 19;
}

#endif
