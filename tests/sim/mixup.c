/* SPDX-License-Identifier: MIT */
#include "tests/sim/mixup.h"

#include "proto/pack.h"
#include "proto/point.h"
#include "tests/sim/client.h"
#include "tests/sim/fiber.h"

/* Short: most of these reads find nobody to answer them. */
#define TIMEOUT_MS 400

/* Of a way out, until everything works again. */
#define WAY_OUT_US (30 * SECOND_US)

enum { READS_MAX = 12 };

static struct skv_bytes bytes_of_key(uint32_t key, char text[KEY_LEN_MAX + 1])
{
    struct bytes bytes = key_text(key, text);
    return (struct skv_bytes){bytes.data, bytes.len};
}

/* Into the history: whatever is answered must be right. */
static void read_some(struct skv *kv)
{
    const struct skv_call call = {.timeout_ms = TIMEOUT_MS};
    for (int i = 0; i < READS_MAX; i++) {
        char text[KEY_LEN_MAX + 1];
        struct skv_record record = {0};
        uint32_t key = (uint32_t)world_below(world_swarm()->key_count);
        uint32_t number = history_ask(&(struct operation){.deed = DEED_READ, .key = key});
        enum skv_status status = skv_read(kv, bytes_of_key(key, text), &call, &record);
        client_note(key, number, status, &record);
        skv_record_fini(&record);
        fiber_sleep(world_around(SECOND_US / 4));
    }
}

static void exchange_disks(struct skv *kv, const struct scene *scene)
{
    struct daemon *one = scene->daemons[DAEMON_SERVER_1];
    struct daemon *other = scene->daemons[DAEMON_SERVER_2];
    count(COUNT_DISKS_EXCHANGED);
    history_exchange(daemon_node(one), daemon_node(other));
    daemon_exchange_disks(one, other);
    read_some(kv);
    history_exchange(daemon_node(one), daemon_node(other));
    daemon_exchange_disks(one, other);
    uint32_t key = 0;
    uint64_t deadline_us = world_now_us() + WAY_OUT_US;
    while (!client_read_keys(kv, &key, 1)) {
        if (world_now_us() > deadline_us) {
            violation("the right disks are back, but: %s", skv_error()->text);
        }
    }
}

static bool reset_shard(struct skv *kv, const struct scene *scene, uint32_t shard)
{
    struct buffer params = {0};
    struct skv_record record = {0};
    pack_array(&params, 2);
    pack_text(&params, scene->shards[shard].name);
    pack_map(&params, 1);
    pack_text(&params, "accept_loss");
    pack_bool(&params, true);
    const char *bootstrapd = daemon_address(scene->daemons[DAEMON_BOOTSTRAPD]);
    enum skv_status status = skv_request(kv, bootstrapd, "shard.reset",
                                         skv_msgpack(params.data, params.len), 0, &record);
    buffer_fini(&params);
    skv_record_fini(&record);
    return status == SKV_OK;
}

/* Empty, and no longer in the histories: those end where the loss was accepted. */
static bool is_served_empty(struct skv *kv, const struct scene *scene, uint32_t shard)
{
    const struct scene_shard *lost = &scene->shards[shard];
    for (uint32_t key = 0; key < world_swarm()->key_count; key++) {
        char text[KEY_LEN_MAX + 1];
        struct skv_bytes bytes = bytes_of_key(key, text);
        if (!point_in(skv_point(bytes), lost->start, lost->end)) {
            continue;
        }
        enum skv_status status = skv_exists(kv, bytes, NULL);
        if (status == SKV_OK) {
            violation("shard%u was reset, and key %u is there", shard, key);
        }
        if (status != SKV_NOT_FOUND) {
            return false;
        }
    }
    return true;
}

static void empty_disk(struct skv *kv, const struct scene *scene)
{
    count(COUNT_DISK_EMPTIED);
    daemon_empty_disk(scene->daemons[DAEMON_SERVER_1]);
    read_some(kv);
    for (uint32_t i = 0; i < scene->shard_count; i++) {
        if (scene->shards[i].owner != DAEMON_SERVER_1) {
            continue;
        }
        uint64_t deadline_us = world_now_us() + WAY_OUT_US;
        bool is_reset = false;
        while (!is_reset || !is_served_empty(kv, scene, i)) {
            is_reset = is_reset || reset_shard(kv, scene, i);
            if (world_now_us() > deadline_us) {
                violation("shard%u is not served after its reset: %s", i, skv_error()->text);
            }
            fiber_sleep(SECOND_US / 4);
        }
    }
}

void mixup_run(struct skv *kv, const struct scene *scene)
{
    switch (world_below(4)) {
    case 0:
        exchange_disks(kv, scene);
        break;
    case 1:
        empty_disk(kv, scene);
        break;
    default:
        break;
    }
}
