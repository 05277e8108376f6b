/* SPDX-License-Identifier: MIT */
#include "proto/id.h"

#include "proto/endian.h"
#include "proto/hash.h"

bool id_compose(uint64_t ms, uint32_t shard, uint32_t sequence, uint64_t *id)
{
    if (ms > ID_TIME_MAX || shard >= ID_SHARD_COUNT || sequence >= ID_SEQUENCE_COUNT) {
        return false;
    }
    *id = ms << 23 | (uint64_t)shard << 10 | sequence;
    return true;
}

uint64_t id_point(uint64_t id)
{
    uint8_t key[8];
    endian_put_be64(key, id);
    return id_slice_point(id_shard(id), hash_bytes(bytes_of(key, sizeof key)));
}
