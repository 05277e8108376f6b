/* SPDX-License-Identifier: MIT */
#include "tests/sim/scene.h"

#include "proto/point.h"
#include "tests/sim/history.h"

#include <stdio.h>
#include <stdlib.h>

#define BOOTSTRAPD_PORT 5040
#define SERVER_PORT     5050

/* Sixteenths of the circle where a shard may end: coarse, so that a person could have written it. */
static void draw_shards(struct scene *scene)
{
    uint64_t sixteenth = BOUND_END / 16;
    uint64_t start = 0;
    scene->shard_count = 0;
    while (start < BOUND_END) {
        uint64_t len = world_between(1, 8) * sixteenth;
        uint64_t end = start + len < BOUND_END ? start + len : BOUND_END;
        bool is_last = scene->shard_count + 1 == SCENE_SHARDS_MAX;
        struct scene_shard *shard = &scene->shards[scene->shard_count++];
        *shard = (struct scene_shard){
            .start = start,
            .end = is_last ? BOUND_END : end,
            .owner = world_below(2) ? DAEMON_SERVER_1 : DAEMON_SERVER_2,
        };
        start = shard->end;
    }
    for (uint32_t i = 0; i < scene->shard_count; i++) {
        scene->shards[i].does_evict = world_swarm()->has_evicting && world_below(2);
    }
    /* Both own something: the circle has more than one shard, for none is longer than half of it. */
    scene->shards[0].owner = DAEMON_SERVER_1;
    scene->shards[1].owner = DAEMON_SERVER_2;
}

void scene_print_shard_name(uint32_t shard, char text[NAME_LEN_MAX + 1])
{
    (void)snprintf(text, NAME_LEN_MAX + 1, "shard%u-%s", shard,
                   "with-a-name-that-is-as-long-as-a-name-may-be");
}

void scene_print_map(const struct scene *scene, uint32_t shard_size, char text[SCENE_MAP_LEN])
{
    size_t len = (size_t)snprintf(text, SCENE_MAP_LEN, "{\"shards\": [");
    for (uint32_t i = 0; i < scene->shard_count; i++) {
        const struct scene_shard *shard = &scene->shards[i];
        char start[BOUND_TEXT_LEN];
        char end[BOUND_TEXT_LEN];
        char name[NAME_LEN_MAX + 1];
        scene_print_shard_name(i, name);
        bound_print(shard->start, start);
        bound_print(shard->end, end);
        len += (size_t)snprintf(text + len, SCENE_MAP_LEN - len,
                                "%s\n{\"name\": \"%s\", \"start\": %s, \"end\": %s, "
                                "\"size\": \"%u\", \"when_full\": \"%s\", "
                                "\"host\": \"127.0.0.1\", \"port\": %u}",
                                i ? "," : "", name, start, end, shard_size,
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

static void place_keys(const struct scene *scene)
{
    for (uint32_t key = 0; key < history_key_count(); key++) {
        char text[KEY_LEN_MAX + 1];
        const struct scene_shard *shard = shard_of(scene, point_of_key(key_text(key, text)));
        history_place(key, daemon_node(scene->daemons[shard->owner]), shard->does_evict);
    }
}

void scene_begin(struct scene *scene)
{
    *scene = (struct scene){0};
    draw_shards(scene);
    scene_print_map(scene, world_swarm()->shard_size, scene->map_text);
    scene->daemons[DAEMON_BOOTSTRAPD] = daemon_new("bootstrapd", BOOTSTRAPD_PORT, scene->map_text);
    scene->daemons[DAEMON_SERVER_1] = daemon_new("shardd-1", SERVER_PORT, NULL);
    scene->daemons[DAEMON_SERVER_2] = daemon_new("shardd-2", SERVER_PORT + 1, NULL);
    place_keys(scene);
}

void scene_end(struct scene *scene)
{
    for (uint32_t i = 0; i < scene->actor_count; i++) {
        actor_free(scene->actors[i]);
    }
    for (uint32_t i = 0; i < DAEMON_COUNT; i++) {
        daemon_free(scene->daemons[i]);
    }
}

const struct daemon *scene_owner(const struct scene *scene, uint64_t point)
{
    return scene->daemons[shard_of(scene, point)->owner];
}

uint32_t scene_start_count(const struct scene *scene)
{
    uint32_t result = 0;
    for (uint32_t i = 0; i < DAEMON_COUNT; i++) {
        result += daemon_start_count(scene->daemons[i]);
    }
    return result;
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
