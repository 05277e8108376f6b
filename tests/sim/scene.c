/* SPDX-License-Identifier: MIT */
#include "tests/sim/scene.h"

#include "bootstrapd/ledger.h"
#include "proto/id.h"
#include "proto/point.h"
#include "tests/sim/history.h"

#include <stdio.h>
#include <stdlib.h>

#define BOOTSTRAPD_PORT 5040
#define SERVER_PORT     5050

/* Long, so that the stored map takes several sectors and can be torn. */
static void print_shard_name(uint32_t shard, char text[NAME_LEN_MAX + 1])
{
    (void)snprintf(text, NAME_LEN_MAX + 1, "shard%u-%s", shard,
                   "with-a-name-that-is-as-long-as-a-name-may-be");
}

/* Sixteenths of the circle where a shard may end: coarse, so that a person could have written it. */
static void draw_shards(struct scene *scene)
{
    uint64_t sixteenth = BOUND_END / 16;
    uint64_t start = 0;
    scene->shard_count = 0;
    while (start < BOUND_END) {
        uint64_t len = world_between(1, 8) * sixteenth;
        uint64_t end = start + len < BOUND_END ? start + len : BOUND_END;
        bool is_last = scene->shard_count + 1 == SCENE_FOUNDED_MAX;
        struct scene_shard *shard = &scene->shards[scene->shard_count++];
        *shard = (struct scene_shard){
            .start = start,
            .end = is_last ? BOUND_END : end,
            .owner = world_below(2) ? DAEMON_SERVER_1 : DAEMON_SERVER_2,
        };
        start = shard->end;
    }
    for (uint32_t i = 0; i < scene->shard_count; i++) {
        print_shard_name(i, scene->shards[i].name);
        scene->shards[i].does_evict = world_swarm()->has_evicting && world_below(2);
    }
    /* Both own something: the circle has more than one shard, for none is longer than half of it. */
    scene->shards[0].owner = DAEMON_SERVER_1;
    scene->shards[1].owner = DAEMON_SERVER_2;
}

/* Of a slice's width, the narrowest part that moves: 2^-9, in which few ids have their points. */
enum { PART_WIDTH_BITS_MIN = 10, PART_WIDTH_BITS_MAX = 18 };

static uint32_t slice_of_bound(uint64_t bound)
{
    return (uint32_t)(bound / id_shard_bound(1));
}

/* Behind the first one, in the same slice: where that is possible. */
static void draw_narrow(struct scene *scene, uint32_t shard)
{
    uint64_t *cuts = scene->cuts[shard];
    uint64_t bits = world_between(PART_WIDTH_BITS_MIN, PART_WIDTH_BITS_MAX);
    uint64_t other = cuts[0] + (UINT64_C(1) << bits);
    if (slice_of_bound(other) == slice_of_bound(cuts[0])) {
        cuts[1] = other;
    }
}

static void draw_cuts(struct scene *scene)
{
    scene->founded_count = scene->shard_count;
    for (uint32_t i = 0; i < scene->founded_count; i++) {
        for (uint32_t j = 0; j < SCENE_CUTS_MAX; j++) {
            scene->cuts[i][j] = world_between(scene->shards[i].start + 1, scene->shards[i].end - 1);
        }
        if (world_below(2)) {
            draw_narrow(scene, i);
        }
    }
}

/* Mostly where parts begin. */
static void draw_slices(struct scene *scene)
{
    scene->slice_count = world_swarm()->slice_count;
    for (uint32_t i = 0; i < scene->slice_count; i++) {
        bool is_cut = scene->founded_count && world_below(8);
        scene->slices[i] =
            is_cut
                ? slice_of_bound(
                      scene->cuts[world_below(scene->founded_count)][world_below(SCENE_CUTS_MAX)])
                : (uint32_t)world_below(ID_SHARD_COUNT);
    }
}

void scene_print_map(const struct scene *scene, uint32_t shard_size, char text[SCENE_MAP_LEN])
{
    size_t len = (size_t)snprintf(text, SCENE_MAP_LEN, "{\"shards\": [");
    for (uint32_t i = 0; i < scene->shard_count; i++) {
        const struct scene_shard *shard = &scene->shards[i];
        char start[BOUND_TEXT_LEN];
        char end[BOUND_TEXT_LEN];
        bound_print(shard->start, start);
        bound_print(shard->end, end);
        len += (size_t)snprintf(text + len, SCENE_MAP_LEN - len,
                                "%s\n{\"name\": \"%s\", \"start\": %s, \"end\": %s, "
                                "\"size\": \"%u\", \"when_full\": \"%s\", "
                                "\"host\": \"127.0.0.1\", \"port\": %u}",
                                i ? "," : "", shard->name, start, end, shard_size,
                                shard->does_evict ? "evict" : "reject",
                                SERVER_PORT + shard->owner - DAEMON_SERVER_1);
    }
    (void)snprintf(text + len, SCENE_MAP_LEN - len, "]}\n");
}

static const struct scene_shard *shard_of(const struct scene *scene, uint64_t point)
{
    uint32_t i = 0;
    while (!point_in(point, scene->shards[i].start, scene->shards[i].end)) {
        i++;
    }
    return &scene->shards[i];
}

void scene_place_key(const struct scene *scene, uint32_t key, uint64_t point)
{
    const struct scene_shard *shard = shard_of(scene, point);
    const struct node *server = daemon_node(scene->daemons[shard->owner]);
    history_place(key, world_swarm()->move_mean_ms ? NULL : server, shard->does_evict);
}

static void place_keys(const struct scene *scene)
{
    for (uint32_t key = 0; key < history_key_count(); key++) {
        char text[KEY_LEN_MAX + 1];
        scene_place_key(scene, key, point_of_key(key_text(key, text)));
    }
    for (uint32_t i = DAEMON_SERVER_1; i < scene->daemon_count; i++) {
        history_add_server(daemon_node(scene->daemons[i]));
    }
}

void scene_begin(struct scene *scene)
{
    *scene = (struct scene){0};
    draw_shards(scene);
    scene->daemon_count = DAEMON_SERVER_3 + (world_swarm()->has_third_server ? 1 : 0);
    if (world_swarm()->move_mean_ms) {
        draw_cuts(scene);
    }
    draw_slices(scene);
    scene_print_map(scene, world_swarm()->shard_size, scene->map_text);
    scene->daemons[DAEMON_BOOTSTRAPD] = daemon_new("bootstrapd", BOOTSTRAPD_PORT, scene->map_text);
    scene->daemons[DAEMON_SERVER_1] = daemon_new("shardd-1", SERVER_PORT, NULL);
    scene->daemons[DAEMON_SERVER_2] = daemon_new("shardd-2", SERVER_PORT + 1, NULL);
    if (world_swarm()->has_third_server) {
        scene->daemons[DAEMON_SERVER_3] = daemon_new("shardd-3", SERVER_PORT + 2, NULL);
    }
    place_keys(scene);
}

void scene_end(struct scene *scene)
{
    for (uint32_t i = 0; i < scene->actor_count; i++) {
        actor_free(scene->actors[i]);
    }
    for (uint32_t i = 0; i < scene->daemon_count; i++) {
        daemon_free(scene->daemons[i]);
    }
}

uint32_t scene_server_at(const struct scene *scene, const struct address *address)
{
    for (uint32_t i = DAEMON_SERVER_1; i < scene->daemon_count; i++) {
        if (address_equal(&daemon_node(scene->daemons[i])->address, address)) {
            return i;
        }
    }
    return DAEMON_COUNT;
}

const struct daemon *scene_owner(const struct scene *scene, uint64_t point)
{
    const struct ledger *ledger = daemon_ledger(scene->daemons[DAEMON_BOOTSTRAPD]);
    uint32_t owner = DAEMON_COUNT;
    for (uint32_t i = 0; ledger && i < ledger->map.entry_count; i++) {
        const struct map_entry *entry = &ledger->map.entries[i];
        if (point_in(point, entry->start, entry->end)) {
            owner = scene_server_at(scene, &entry->address);
        }
    }
    return scene->daemons[owner < DAEMON_COUNT ? owner : shard_of(scene, point)->owner];
}

void scene_take_map(struct scene *scene, const struct map *map)
{
    if (map->entry_count > SCENE_SHARDS_MAX) {
        violation("the map has %u shards", map->entry_count);
    }
    scene->shard_count = map->entry_count;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        const struct map_entry *entry = &map->entries[i];
        struct scene_shard *shard = &scene->shards[i];
        *shard = (struct scene_shard){
            .start = entry->start,
            .end = entry->end,
            .owner = scene_server_at(scene, &entry->address),
            .does_evict = entry->when_full == WHEN_FULL_EVICT,
        };
        (void)snprintf(shard->name, sizeof shard->name, "%s", entry->name);
    }
}

uint32_t scene_start_count(const struct scene *scene)
{
    uint32_t result = 0;
    for (uint32_t i = 0; i < scene->daemon_count; i++) {
        result += daemon_start_count(scene->daemons[i]);
    }
    return result;
}

bool scene_is_quiet(const struct scene *scene)
{
    return !scene->carrier || actor_is_done(scene->carrier);
}

bool scene_are_others_done(const struct scene *scene, const struct actor *actor)
{
    for (uint32_t i = 0; i < scene->actor_count; i++) {
        if (scene->actors[i] != actor && !actor_is_done(scene->actors[i])) {
            return false;
        }
    }
    return true;
}

/* --- keys --- */

/* Of any allowed length; most are short. */
struct bytes key_text(uint32_t key, char text[KEY_LEN_MAX + 1])
{
    int len = snprintf(text, KEY_LEN_MAX + 1, "%u-", key);
    int padded_len = key % 8 == 5 ? KEY_LEN_MAX : len + (int)(key * 7 % 13);
    memset(text + len, 'k', (size_t)(padded_len - len));
    text[padded_len] = 0;
    return bytes_of(text, (size_t)padded_len);
}

bool key_is_counter(uint32_t key)
{
    return key % 4 == 3;
}

bool key_of_text(struct bytes text, uint32_t *key)
{
    char digits[16] = "";
    char again[KEY_LEN_MAX + 1];
    size_t len = text.len < sizeof digits - 1 ? text.len : sizeof digits - 1;
    memcpy(digits, text.data, len);
    uint32_t number = (uint32_t)strtoul(digits, NULL, 10);
    if (number >= world_swarm()->key_count || !bytes_equal(key_text(number, again), text)) {
        return false;
    }
    *key = number;
    return true;
}
