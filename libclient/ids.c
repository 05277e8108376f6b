/* SPDX-License-Identifier: MIT */
#include "libclient/client.h"
#include "libclient/task.h"
#include "proto/endian.h"
#include "proto/id.h"
#include "proto/table.h"

_Static_assert(SKV_SHARD_COUNT == ID_SHARD_COUNT, "the header repeats it");
_Static_assert(SKV_ID_KEY_LEN == ID_KEY_LEN, "the header repeats it");

static uint64_t origin_of(uint64_t origin_ms)
{
    return origin_ms ? origin_ms : ID_ORIGIN_MS;
}

uint64_t skv_id_created_ms(uint64_t id, uint64_t origin_ms)
{
    return origin_of(origin_ms) + id_ms(id);
}

uint32_t skv_id_shard(uint64_t id)
{
    return id_shard(id);
}

uint32_t skv_id_sequence(uint64_t id)
{
    return id_sequence(id);
}

bool skv_id_compose(uint64_t created_ms, uint32_t shard, uint32_t sequence, uint64_t origin_ms,
                    uint64_t *id)
{
    origin_ms = origin_of(origin_ms);
    return created_ms >= origin_ms && id_compose(created_ms - origin_ms, shard, sequence, id);
}

uint64_t skv_origin_ms(struct skv *kv)
{
    return route_origin_ms(client_enter(kv)->route);
}

struct skv_bytes skv_key_of_id(uint64_t id, uint8_t *memory)
{
    endian_put_be64(memory, id);
    return (struct skv_bytes){memory, ID_KEY_LEN};
}

uint32_t skv_shard_of_key(struct skv_bytes key)
{
    return id_shard_of_point(skv_point(key));
}
