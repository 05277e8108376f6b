/* SPDX-License-Identifier: MIT */
#ifndef SIM_SCENE_H
#define SIM_SCENE_H

/* What the actors of one run have in common: the daemons, the map that founds the cluster, the keys. */

#include "proto/map.h"
#include "tests/sim/actor.h"
#include "tests/sim/daemon.h"

enum { SCENE_ACTORS_MAX = NODE_MAX - DAEMON_COUNT, SCENE_SHARDS_MAX = 6, SCENE_MAP_LEN = 4096 };

struct scene_shard {
    uint64_t start, end;
    uint32_t owner; /* index of the daemon */
    bool does_evict;
};

struct scene {
    struct daemon *daemons[DAEMON_COUNT];
    struct actor *actors[SCENE_ACTORS_MAX];
    uint32_t actor_count;
    struct scene_shard shards[SCENE_SHARDS_MAX];
    uint32_t shard_count;
    char map_text[SCENE_MAP_LEN];
    uint32_t starts_audited; /* by the observer */
};

/* Draws the shards and makes the daemons, all down. */
void scene_begin(struct scene *scene);
void scene_end(struct scene *scene);

/* The map with another size for each shard, as a person would edit it. */
void scene_print_map(const struct scene *scene, uint32_t shard_size, char text[SCENE_MAP_LEN]);

/* Long, so that the stored map takes several sectors and can be torn. */
void scene_print_shard_name(uint32_t shard, char text[NAME_LEN_MAX + 1]);

/* The server that owns the point: nothing moves here. */
const struct daemon *scene_owner(const struct scene *scene, uint64_t point);

uint32_t scene_start_count(const struct scene *scene);
bool scene_are_others_done(const struct scene *scene, const struct actor *actor);

/* --- keys: every fourth is a counter, on which `incr` works --- */

struct bytes key_text(uint32_t key, char text[KEY_LEN_MAX + 1]);
bool key_is_counter(uint32_t key);

/* False: none of ours. */
bool key_of_text(struct bytes text, uint32_t *key);

#endif
