/* SPDX-License-Identifier: MIT */
#ifndef SIM_SCENE_H
#define SIM_SCENE_H

/*
 * What the actors of one run have in common: the daemons, the map that founds the cluster, the keys.
 *
 *     |    shard0     | shard1 |        shard2       |     as founded; cuts: where parts begin that move
 *        ^cut  ^cut     ^  ^          ^        ^
 *
 * Both cuts of a shard may be in one slice (a logical shard): what moves is then a part of it.
 */

#include "proto/map.h"
#include "tests/sim/actor.h"
#include "tests/sim/daemon.h"

enum {
    SCENE_ACTORS_MAX = NODE_MAX - DAEMON_COUNT,
    SCENE_FOUNDED_MAX = 6,
    SCENE_CUTS_MAX = 2, /* of a shard */
    SCENE_SHARDS_MAX = SCENE_FOUNDED_MAX * (SCENE_CUTS_MAX + 1),
    SCENE_MAP_LEN = 4096,
    SCENE_SLICES_MAX = 6,
};

struct scene_shard {
    char name[NAME_LEN_MAX + 1];
    uint64_t start, end;
    uint32_t owner; /* index of the daemon */
    bool does_evict;
};

struct scene {
    struct daemon *daemons[DAEMON_COUNT];
    uint32_t daemon_count; /* that there are in this run */
    struct actor *actors[SCENE_ACTORS_MAX];
    uint32_t actor_count;
    struct actor *carrier; /* NULL: nothing moves */
    struct scene_shard shards[SCENE_SHARDS_MAX];
    uint32_t shard_count;
    uint64_t cuts[SCENE_FOUNDED_MAX][SCENE_CUTS_MAX]; /* bounds, by founded shard, in no order */
    uint32_t founded_count;
    uint32_t slices[SCENE_SLICES_MAX]; /* logical shards of which ids are asked for */
    uint32_t slice_count;
    char map_text[SCENE_MAP_LEN];
    uint32_t starts_audited; /* by the observer */
};

/* Draws the shards and makes the daemons, all down. */
void scene_begin(struct scene *scene);
void scene_end(struct scene *scene);

/* The map with another size for each shard, as a person would edit it. */
void scene_print_map(const struct scene *scene, uint32_t shard_size, char text[SCENE_MAP_LEN]);

/* Tells the history where it lives, and what may happen to it there. */
void scene_place_key(const struct scene *scene, uint32_t key, uint64_t point);

/* The shards are those of the map, which is bootstrapd's. */
void scene_take_map(struct scene *scene, const struct map *map);

/* The server that owns the point, as far as bootstrapd, when it is up, knows. */
const struct daemon *scene_owner(const struct scene *scene, uint64_t point);

/* Of those that the map may name; DAEMON_COUNT: none of ours. */
uint32_t scene_server_at(const struct scene *scene, const struct address *address);

uint32_t scene_start_count(const struct scene *scene);

/* The carrier is done: nothing moves any more. */
bool scene_is_quiet(const struct scene *scene);
bool scene_are_others_done(const struct scene *scene, const struct actor *actor);

/* --- keys: every fourth is a counter, on which `incr` works --- */

struct bytes key_text(uint32_t key, char text[KEY_LEN_MAX + 1]);
bool key_is_counter(uint32_t key);

/* False: none of ours. */
bool key_of_text(struct bytes text, uint32_t *key);

#endif
