/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_CLUSTER_H
#define CLI_BENCH_CLUSTER_H

/* The servers under load, and which of them has a key: of a map, or one alone at an address. */

#include "proto/map.h"

struct bench_cluster {
    struct map map; /* empty for one server alone */
    struct address *servers;
    uint32_t *entry_servers; /* for each entry of the map, the index of its server */
    uint32_t server_count;
};

/* Takes the map's contents, and leaves it empty. False when out of memory. */
bool bench_cluster_init(struct bench_cluster *cluster, struct map *map);
bool bench_cluster_init_single(struct bench_cluster *cluster, const struct address *address);
void bench_cluster_fini(struct bench_cluster *cluster);

/* Index of the server that has the point. */
uint32_t bench_cluster_find(const struct bench_cluster *cluster, uint64_t point);

/*
 * The server of connection `index` of `count`: each server gets one first, the others go by the share
 * of the circle that it has. count >= server_count.
 */
uint32_t bench_cluster_server_of(const struct bench_cluster *cluster, uint32_t index,
                                 uint32_t count);

#endif
