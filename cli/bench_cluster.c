/* SPDX-License-Identifier: MIT */
#include "cli/bench_cluster.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/point.h"

static uint32_t add_server(struct bench_cluster *cluster, const struct address *address)
{
    for (uint32_t i = 0; i < cluster->server_count; i++) {
        if (address_equal(&cluster->servers[i], address)) {
            return i;
        }
    }
    cluster->servers[cluster->server_count] = *address;
    return cluster->server_count++;
}

bool bench_cluster_init(struct bench_cluster *cluster, struct map *map)
{
    *cluster = (struct bench_cluster){.map = *map};
    *map = (struct map){0};
    uint32_t count = cluster->map.entry_count;
    cluster->servers = calloc(count, sizeof(*cluster->servers));
    cluster->entry_servers = calloc(count, sizeof(*cluster->entry_servers));
    if (!cluster->servers || !cluster->entry_servers) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        cluster->entry_servers[i] = add_server(cluster, &cluster->map.entries[i].address);
    }
    return true;
}

bool bench_cluster_init_single(struct bench_cluster *cluster, const struct address *address)
{
    *cluster = (struct bench_cluster){.servers = calloc(1, sizeof(*cluster->servers))};
    if (!cluster->servers) {
        return false;
    }
    (void)add_server(cluster, address);
    return true;
}

void bench_cluster_fini(struct bench_cluster *cluster)
{
    map_fini(&cluster->map);
    free(cluster->servers);
    free(cluster->entry_servers);
}

uint32_t bench_cluster_find(const struct bench_cluster *cluster, uint64_t point)
{
    if (cluster->server_count == 1) {
        return 0;
    }
    const struct map_entry *entry = map_find(&cluster->map, point);
    assert(entry); /* the map tiles the circle */
    return cluster->entry_servers[entry - cluster->map.entries];
}

uint32_t bench_cluster_server_of(const struct bench_cluster *cluster, uint32_t index,
                                 uint32_t count)
{
    assert(count >= cluster->server_count);
    if (index < cluster->server_count) {
        return index;
    }
    uint32_t behind = index - cluster->server_count;
    uint32_t shared = count - cluster->server_count;
    return bench_cluster_find(cluster, point_of_bound(behind * BOUND_END / shared));
}
