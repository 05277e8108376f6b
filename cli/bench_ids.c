/* SPDX-License-Identifier: MIT */
#include "cli/bench_ids.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/id.h"
#include "proto/unpack.h"

/* Of a table; half of them are used. 16 MiB each. */
#define PLACE_BITS 20
#define PLACES     (1u << PLACE_BITS)

#define BLOCK_BITS 6
#define BLOCK_LEN  (1u << BLOCK_BITS)

struct block {
    uint64_t name; /* one more than the ids' upper bits; 0: no block */
    uint64_t bits;
};

struct bench_ids {
    struct block *younger, *older;
    uint32_t used; /* of the younger */
};

struct bench_ids *bench_ids_new(void)
{
    struct bench_ids *ids = calloc(1, sizeof(*ids));
    if (!ids) {
        return NULL;
    }
    ids->younger = calloc(PLACES, sizeof(*ids->younger));
    ids->older = calloc(PLACES, sizeof(*ids->older));
    if (!ids->younger || !ids->older) {
        bench_ids_free(ids);
        return NULL;
    }
    return ids;
}

void bench_ids_free(struct bench_ids *ids)
{
    if (ids) {
        free(ids->younger);
        free(ids->older);
        free(ids);
    }
}

/* The block's place, or the empty one where it belongs: a table is never full. */
static struct block *find(struct block *table, uint64_t name)
{
    uint32_t place = (uint32_t)((name * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - PLACE_BITS));
    while (table[place].name != 0 && table[place].name != name) {
        place = (place + 1) & (PLACES - 1);
    }
    return &table[place];
}

static struct block *find_younger(struct bench_ids *ids, uint64_t name)
{
    struct block *block = find(ids->younger, name);
    if (block->name == name) {
        return block;
    }
    if (ids->used == PLACES / 2) {
        struct block *forgotten = ids->older;
        ids->older = ids->younger;
        ids->younger = memset(forgotten, 0, PLACES * sizeof(*forgotten));
        ids->used = 0;
        block = find(ids->younger, name);
    }
    ids->used++;
    block->name = name;
    return block;
}

static uint32_t take_block(struct bench_ids *ids, uint64_t first, uint32_t count)
{
    uint64_t name = (first >> BLOCK_BITS) + 1;
    uint64_t all = count == BLOCK_LEN ? UINT64_MAX : (UINT64_C(1) << count) - 1;
    uint64_t bits = all << (first % BLOCK_LEN);
    struct block *block = find_younger(ids, name);
    uint64_t seen = bits & (block->bits | find(ids->older, name)->bits);
    block->bits |= bits;
    return (uint32_t)__builtin_popcountll(seen);
}

uint32_t bench_ids_take(struct bench_ids *ids, uint64_t first, uint32_t count)
{
    assert(count > 0 && id_sequence(first) + count <= ID_SEQUENCE_COUNT);
    uint32_t seen = 0;
    while (count > 0) {
        uint32_t room = BLOCK_LEN - (uint32_t)(first % BLOCK_LEN);
        uint32_t part = count < room ? count : room;
        seen += take_block(ids, first, part);
        first += part;
        count -= part;
    }
    return seen;
}

/* --- replies --- */

static const char *take_run(struct bench_ids *ids, uint64_t first, uint64_t count, uint32_t shard)
{
    if (count == 0 || count > ID_SEQUENCE_COUNT - id_sequence(first)) {
        return "a run of ids is empty or goes on in the next millisecond";
    }
    if (id_shard(first) != shard) {
        return "an id of another logical shard than was asked for";
    }
    return bench_ids_take(ids, first, (uint32_t)count) > 0 ? "an id came twice" : NULL;
}

/* [[id, n], ...] */
const char *bench_ids_take_mint(struct bench_ids *ids, struct bytes result,
                                struct bench_minted *minted)
{
    struct unpack in = unpack_of(result);
    uint32_t runs = unpack_array(&in);
    uint64_t taken = 0;
    const char *wrong = NULL;
    for (uint32_t i = 0; i < runs && !wrong; i++) {
        uint32_t fields = unpack_array(&in);
        uint64_t first = unpack_uint(&in);
        uint64_t length = unpack_uint(&in);
        if (!unpack_is_fine(&in) || fields != 2) {
            return "a mint's result is no array of [id, count]";
        }
        wrong =
            first <= minted->last ? "ids do not grow" : take_run(ids, first, length, minted->shard);
        minted->last = first + length - 1;
        taken += length;
    }
    minted->taken += taken;
    if (!wrong && (taken == 0 || taken > minted->count)) {
        wrong = "no ids, or more than were asked for";
    }
    return wrong;
}

/* [id, version, size] */
const char *bench_ids_take_put(struct bench_ids *ids, struct bytes result, uint32_t shard)
{
    struct unpack in = unpack_of(result);
    uint32_t fields = unpack_array(&in);
    uint64_t id = unpack_uint(&in);
    if (!unpack_is_fine(&in) || fields < 3) {
        return "a put's result is not [id, version, size]";
    }
    return take_run(ids, id, 1, shard);
}
