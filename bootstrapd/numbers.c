/* SPDX-License-Identifier: MIT */
#include "bootstrapd/numbers.h"

#include "proto/unpack.h"

static bool is_named(struct bytes name, const char *text)
{
    return bytes_equal(name, bytes_text(text));
}

static void unpack_shard_field(struct unpack *in, struct shard_numbers *shard)
{
    struct bytes name = unpack_text(in);
    if (is_named(name, "start")) {
        shard->start = unpack_uint(in);
    } else if (is_named(name, "end")) {
        shard->end = unpack_uint(in);
    } else if (is_named(name, "epoch")) {
        shard->epoch = unpack_uint(in);
    } else if (is_named(name, "records")) {
        shard->records = unpack_uint(in);
    } else if (is_named(name, "bytes")) {
        shard->bytes = unpack_uint(in);
    } else if (is_named(name, "operations")) {
        shard->operations = unpack_uint(in);
        shard->has_operations = true;
    } else {
        unpack_skip(in);
    }
}

static void unpack_shards(struct unpack *in, numbers_take_shard *take, void *context)
{
    uint32_t count = unpack_array(in);
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        struct shard_numbers shard = {0};
        uint32_t pair_count = unpack_map(in);
        for (uint32_t j = 0; j < pair_count && unpack_is_fine(in); j++) {
            unpack_shard_field(in, &shard);
        }
        if (unpack_is_fine(in)) {
            take(context, &shard);
        }
    }
}

bool numbers_unpack(struct bytes result, struct site_numbers *numbers, numbers_take_shard *take,
                    void *context)
{
    struct unpack in = unpack_of(result);
    struct site_numbers unpacked = {.is_there = true};
    uint32_t pair_count = unpack_map(&in);
    for (uint32_t i = 0; i < pair_count && unpack_is_fine(&in); i++) {
        struct bytes name = unpack_text(&in);
        if (is_named(name, "disk_free_bytes")) {
            unpacked.disk_free_bytes = unpack_uint(&in);
        } else if (is_named(name, "tree_reusable_bytes")) {
            unpacked.tree_reusable_bytes = unpack_uint(&in);
        } else if (is_named(name, "disk_full")) {
            unpacked.is_disk_full = unpack_bool(&in);
        } else if (is_named(name, "shards")) {
            unpack_shards(&in, take, context);
        } else {
            unpack_skip(&in);
        }
    }
    if (!unpack_is_done(&in)) {
        return false;
    }
    *numbers = unpacked;
    return true;
}
