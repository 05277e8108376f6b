/* SPDX-License-Identifier: MIT */
#include "tests/sim/observer.h"

#include "proto/pack.h"
#include "proto/point.h"
#include "tests/sim/client.h"
#include "tests/sim/entity.h"
#include "tests/sim/fiber.h"
#include "tests/sim/mixup.h"
#include "tests/sim/oracle.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define OBSERVER_PORT 6100

/* Longer than the slowest disk and network need together. */
#define TIMEOUT_MS 3000

/* Within which a healed cluster must do everything again: silent connections are found out, slow
 * links have delivered, waiting start-ups have been tried again. */
#define HEAL_WITHIN_US (60 * SECOND_US)

/* By then nothing that was sent before the healing is still under way. */
#define SETTLE_US (25 * SECOND_US)

enum { AUDIT_KEYS_MAX = 32 };

static struct actor *observer_of(const struct scene *scene)
{
    return scene->actors[scene->actor_count - 1];
}

/* Results of clients that are gone may take half of it, until their silence is long enough (RULES Q2). */
#define MEMORY_SMALL_KIB 1024

/* --- maps --- */

static bool get_map(struct skv *kv, const struct scene *scene, uint32_t source, struct map *map)
{
    struct skv_record record = {0};
    const struct skv_value none = {.type = SKV_NIL};
    const char *address = daemon_address(scene->daemons[source]);
    bool is_got = skv_request(kv, address, "map.get", none, TIMEOUT_MS, &record) == SKV_OK;
    if (is_got) {
        struct unpack in = unpack_of(bytes_of(record.encoded.data, record.encoded.len));
        struct map_error error;
        if (!map_unpack(&in, map, &error)) {
            violation("%s gives a map that is none: %s", address, error.text);
        }
        oracle_see_map(source, map);
    }
    skv_record_fini(&record);
    return is_got;
}

static void look_at_map(struct skv *kv, const struct scene *scene)
{
    struct map map;
    if (get_map(kv, scene, (uint32_t)world_below(scene->daemon_count), &map)) {
        map_fini(&map);
    }
}

/*
 * Another size for each shard, where none moves: the file does not know of moves (the carrier changes sizes then). The
 * file that founded the cluster is then an old one. */
static void edit_map(struct skv *kv, const struct scene *scene)
{
    struct daemon *bootstrapd = scene->daemons[DAEMON_BOOTSTRAPD];
    char text[SCENE_MAP_LEN];
    struct buffer params = {0};
    struct skv_record record = {0};
    uint32_t size = world_swarm()->shard_size;
    scene_print_map(scene, (uint32_t)world_between(size, size + size / 2), text);
    pack_array(&params, 1);
    pack_text(&params, text);
    daemon_forget_map_text(bootstrapd);
    enum skv_status status = skv_request(kv, daemon_address(bootstrapd), "map.apply",
                                         skv_msgpack(params.data, params.len), TIMEOUT_MS, &record);
    if (status == SKV_OK) {
        count(COUNT_MAP_CHANGE);
    } else if (status == SKV_INVALID) {
        violation("map.apply: %s", skv_error()->text);
    }
    buffer_fini(&params);
    skv_record_fini(&record);
}

/* --- what the servers say they hold, and what a scan finds --- */

struct sums {
    const struct scene *scene;
    uint64_t records[SCENE_SHARDS_MAX];
    uint64_t bytes[SCENE_SHARDS_MAX];
    bool is_last; /* no time is left to scan again */
};

static void add_record(void *context, const struct skv_record *record)
{
    struct sums *sums = context;
    uint32_t i = 0;
    while (!point_in(record->point, sums->scene->shards[i].start, sums->scene->shards[i].end)) {
        i++;
    }
    sums->records[i]++;
    sums->bytes[i] += record->size;
}

/* Then records may go between a scan and a count, until all that is due is gone. */
static bool do_records_go(void)
{
    return world_swarm()->ttl_ms || world_swarm()->has_evicting;
}

/*
 * A shard of a server's `stat`; popped values may count until their results go (RULES Q2). Adds to
 * *total. `sums`: NULL while they change. False: it does not agree yet.
 */
static bool check_shard(struct unpack *in, const struct sums *sums, uint64_t *total)
{
    uint64_t start = 0;
    uint64_t records = 0;
    uint64_t used = 0;
    uint32_t pair_count = unpack_map(in);
    for (uint32_t i = 0; i < pair_count; i++) {
        struct bytes name = unpack_text(in);
        if (bytes_equal(name, bytes_text("start"))) {
            start = unpack_uint(in);
        } else if (bytes_equal(name, bytes_text("records"))) {
            records = unpack_uint(in);
        } else if (bytes_equal(name, bytes_text("bytes"))) {
            used = unpack_uint(in);
        } else {
            unpack_skip(in);
        }
    }
    uint32_t i = 0;
    *total += records;
    while (sums && i < sums->scene->shard_count && sums->scene->shards[i].start != start) {
        i++;
    }
    if (sums && i == sums->scene->shard_count && !sums->is_last) {
        return false;
    }
    bool do_agree = !sums || (i < sums->scene->shard_count && records == sums->records[i] &&
                              used >= sums->bytes[i]);
    if (!do_agree && !sums->is_last && do_records_go()) {
        return false;
    }
    if (!do_agree) {
        violation("shard%u counts %" PRIu64 " records, %" PRIu64 " bytes, a scan finds %" PRIu64
                  ", %" PRIu64,
                  i, records, used, sums->records[i], sums->bytes[i]);
    }
    return true;
}

/* False: see check_shard. */
static bool check_stat(struct bytes result, const struct sums *sums, uint64_t *incarnation_out)
{
    struct unpack in = unpack_of(result);
    uint64_t incarnation = 0;
    uint64_t hot_records = UINT64_MAX;
    uint64_t records = 0;
    bool do_agree = true;
    uint32_t pair_count = unpack_map(&in);
    for (uint32_t i = 0; i < pair_count; i++) {
        struct bytes name = unpack_text(&in);
        if (bytes_equal(name, bytes_text("shards"))) {
            uint32_t shard_count = unpack_array(&in);
            for (uint32_t j = 0; j < shard_count; j++) {
                do_agree &= check_shard(&in, sums, &records);
            }
        } else if (bytes_equal(name, bytes_text("sweep_rounds"))) {
            count_if(unpack_uint(&in) > 0, COUNT_HAND_ROUND);
        } else if (bytes_equal(name, bytes_text("cold_reads"))) {
            count_if(unpack_uint(&in) > 0, COUNT_COLD_READ);
        } else if (bytes_equal(name, bytes_text("hot_records"))) {
            hot_records = unpack_uint(&in);
        } else if (bytes_equal(name, bytes_text("incarnation"))) {
            incarnation = unpack_uint(&in);
        } else {
            unpack_skip(&in);
        }
    }
    if (!unpack_is_done(&in)) {
        violation("stat's result is not what PROTOCOL.md says");
    }
    count_if(hot_records < records, COUNT_MEMORY_EVICTED);
    *incarnation_out = incarnation;
    return do_agree;
}

enum got { GOT_NOTHING, GOT_DIFFERENCE, GOT_AGREEMENT };

/* An answer that was under way at a restart says nothing of either start. */
static enum got get_stat(struct skv *kv, const struct scene *scene, uint32_t source,
                         const struct sums *sums)
{
    enum got got = GOT_NOTHING;
    struct skv_record record = {0};
    const struct skv_value none = {.type = SKV_NIL};
    const struct daemon *server = scene->daemons[source];
    uint32_t start_count = daemon_start_count(server);
    bool is_got =
        skv_request(kv, daemon_address(server), "stat", none, TIMEOUT_MS, &record) == SKV_OK;
    if (is_got) {
        struct bytes result = bytes_of(record.encoded.data, record.encoded.len);
        uint64_t incarnation;
        got = check_stat(result, sums, &incarnation) ? GOT_AGREEMENT : GOT_DIFFERENCE;
        if (daemon_start_count(server) == start_count) {
            oracle_see_incarnation(source, incarnation, start_count);
        }
    }
    skv_record_fini(&record);
    return got;
}

/* --- while the faults last --- */

/* Some keys, soon after a restart. */
static void audit(struct skv *kv)
{
    uint32_t keys[AUDIT_KEYS_MAX];
    uint32_t key_count = world_swarm()->key_count;
    uint32_t first = (uint32_t)world_below(key_count);
    uint32_t audited = key_count < AUDIT_KEYS_MAX ? key_count : AUDIT_KEYS_MAX;
    for (uint32_t i = 0; i < audited; i++) {
        keys[i] = (first + i) % key_count;
    }
    client_read_keys(kv, keys, audited);
    count(COUNT_AUDIT);
}

static void watch(struct scene *scene, struct skv *kv)
{
    uint32_t starts = scene_start_count(scene);
    look_at_map(kv, scene);
    get_stat(kv, scene, (uint32_t)world_between(DAEMON_SERVER_1, scene->daemon_count - 1), NULL);
    if (starts != scene->starts_audited) {
        scene->starts_audited = starts;
        audit(kv);
    } else if (world_below(5) == 0 && !world_swarm()->move_mean_ms) {
        edit_map(kv, scene);
    }
    fiber_sleep(world_around(SECOND_US / 2));
}

/* --- when they are over --- */

static void wait_for_others(const struct scene *scene, uint64_t deadline_us)
{
    while (!scene_are_others_done(scene, observer_of(scene))) {
        if (world_now_us() > deadline_us) {
            violation("a client does not come to its end");
        }
        fiber_sleep(SECOND_US / 4);
    }
}

static bool are_same_entries(const struct map *a, const struct map *b)
{
    bool is_same = a->entry_count == b->entry_count;
    for (uint32_t i = 0; i < a->entry_count && is_same; i++) {
        is_same = a->entries[i].start == b->entries[i].start &&
                  a->entries[i].epoch == b->entries[i].epoch && !a->entries[i].is_new;
    }
    return is_same;
}

/* Both servers have what bootstrapd has, and all is open. */
static bool do_maps_agree(struct skv *kv, const struct scene *scene)
{
    struct map maps[DAEMON_COUNT] = {0};
    uint32_t got = 0;
    while (got < scene->daemon_count && get_map(kv, scene, got, &maps[got])) {
        got++;
    }
    bool do_agree = got == scene->daemon_count;
    for (uint32_t i = DAEMON_SERVER_1; i < got; i++) {
        do_agree &= are_same_entries(&maps[DAEMON_BOOTSTRAPD], &maps[i]);
    }
    for (uint32_t i = 0; i < got; i++) {
        map_fini(&maps[i]);
    }
    return do_agree;
}

static void await_maps(struct skv *kv, const struct scene *scene, uint64_t deadline_us)
{
    while (!do_maps_agree(kv, scene)) {
        if (world_now_us() > deadline_us) {
            violation("healed, but the servers do not get bootstrapd's map: %s", skv_error()->text);
        }
        fiber_sleep(SECOND_US / 4);
    }
}

/* Each key is written to (where there is room) and read. */
static void check_key(struct skv *kv, uint32_t key, uint64_t deadline_us)
{
    char text[KEY_LEN_MAX + 1];
    struct bytes bytes = key_text(key, text);
    struct skv_bytes skv_key_bytes = {bytes.data, bytes.len};
    const struct operation operation = {.deed = DEED_INCR, .key = key, .argument = 1};
    enum skv_status status;
    do {
        int64_t sum = 0;
        uint32_t number = history_ask(&operation);
        status = skv_incr(kv, skv_key_bytes, 1, NULL, &sum);
        const struct skv_record record = {.value = skv_int(sum)};
        client_note(key, number, status, &record);
        if (world_now_us() > deadline_us) {
            violation("healed, but key %u cannot be written to: %s", key, skv_error()->text);
        }
    } while (status != SKV_OK && status != SKV_FULL);
}

static void check_keys(struct skv *kv, uint64_t deadline_us)
{
    for (uint32_t key = 0; key < world_swarm()->key_count; key++) {
        if (key_is_counter(key)) {
            check_key(kv, key, deadline_us);
        }
        while (!client_read_keys(kv, &key, 1)) {
            if (world_now_us() > deadline_us) {
                violation("healed, but key %u cannot be read: %s", key, skv_error()->text);
            }
        }
    }
}

/* Whoever asks gets ids, and entities, or is told why not. */
static void check_ids(struct skv *kv, uint64_t deadline_us)
{
    while (!entity_try_all(kv)) {
        if (world_now_us() > deadline_us) {
            violation("healed, but there are no ids: %s", skv_error()->text);
        }
    }
}

/* Shards have been split and joined. */
static void take_map(struct skv *kv, struct scene *scene, uint64_t deadline_us)
{
    struct map map;
    while (!get_map(kv, scene, DAEMON_BOOTSTRAPD, &map)) {
        if (world_now_us() > deadline_us + SETTLE_US) {
            violation("healed, but bootstrapd gives no map: %s", skv_error()->text);
        }
    }
    scene_take_map(scene, &map);
    map_fini(&map);
}

static void scan_sums(struct skv *kv, const struct scene *scene, struct sums *sums,
                      uint64_t deadline_us)
{
    do {
        *sums = (struct sums){.scene = scene, .is_last = world_now_us() > deadline_us};
        if (world_now_us() > deadline_us + SETTLE_US) {
            violation("healed, but a scan fails: %s", skv_error()->text);
        }
    } while (!client_scan(kv, add_record, sums));
}

/* False: they do not agree yet. */
static bool are_sums_equal(struct skv *kv, struct scene *scene, uint64_t deadline_us)
{
    struct sums sums;
    bool are_equal = true;
    take_map(kv, scene, deadline_us);
    scan_sums(kv, scene, &sums, deadline_us);
    for (uint32_t i = DAEMON_SERVER_1; i < scene->daemon_count; i++) {
        enum got got;
        while ((got = get_stat(kv, scene, i, &sums)) == GOT_NOTHING) {
            if (world_now_us() > deadline_us + SETTLE_US) {
                violation("healed, but %s gives no stat: %s", daemon_address(scene->daemons[i]),
                          skv_error()->text);
            }
        }
        are_equal &= got == GOT_AGREEMENT;
    }
    return are_equal;
}

static void check_sums(struct skv *kv, struct scene *scene, uint64_t deadline_us)
{
    while (!are_sums_equal(kv, scene, deadline_us)) {
        fiber_sleep(SECOND_US);
    }
}

/* That they end, and within what time, is the carrier's to say. */
static void await_moves(const struct scene *scene)
{
    while (!scene_is_quiet(scene)) {
        fiber_sleep(SECOND_US / 4);
    }
}

static void check_healed(struct scene *scene)
{
    uint64_t deadline_us = world_now_us() + HEAL_WITHIN_US;
    struct skv *kv = client_open(scene, TIMEOUT_MS, deadline_us);
    if (!kv) {
        violation("healed, but no client can open: %s", skv_error()->text);
    }
    if (world_swarm()->move_mean_ms) {
        await_moves(scene);
        deadline_us = world_now_us() + HEAL_WITHIN_US;
    }
    await_maps(kv, scene, deadline_us);
    if (world_swarm()->memory_kib <= MEMORY_SMALL_KIB) {
        fiber_sleep(SETTLE_US);
        deadline_us += SETTLE_US;
    }
    check_keys(kv, deadline_us);
    check_ids(kv, deadline_us);
    wait_for_others(scene, deadline_us);
    fiber_sleep(SETTLE_US);
    check_sums(kv, scene, deadline_us + SETTLE_US);
    mixup_run(kv, scene);
    skv_close(kv);
}

static void live(void *context)
{
    struct scene *scene = context;
    while (!world_is_calm()) {
        struct skv *kv = client_open(scene, TIMEOUT_MS, world_now_us() + 10 * SECOND_US);
        for (int i = 0; kv && i < 20 && !world_is_calm(); i++) {
            watch(scene, kv);
        }
        skv_close(kv);
    }
    check_healed(scene);
}

void observer_new(struct scene *scene)
{
    scene->actors[scene->actor_count] = actor_new("observer", OBSERVER_PORT, live, scene);
    scene->actor_count++;
}
