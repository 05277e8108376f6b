/* SPDX-License-Identifier: MIT */
#include "libclient/route.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct route {
    pthread_mutex_t lock; /* guards what follows, but the addresses given: they never change */
    struct map map;
    bool is_fetching;
    uint64_t fetched_us; /* when the last fetch began */
    uint32_t fetch_count;
    uint32_t given_count;
    struct address given[];
};

struct route *route_new(const struct address *given, uint32_t given_count)
{
    assert(given_count > 0);
    struct route *route = calloc(1, sizeof(*route) + given_count * sizeof(*given));
    if (!route) {
        return NULL;
    }
    pthread_mutex_init(&route->lock, NULL);
    memcpy(route->given, given, given_count * sizeof(*given));
    route->given_count = given_count;
    return route;
}

void route_free(struct route *route)
{
    if (route) {
        map_fini(&route->map);
        pthread_mutex_destroy(&route->lock);
        free(route);
    }
}

void route_after_fork(struct route *route)
{
    /* Held by a thread that is not here: what it was changing cannot be trusted, nor freed. */
    if (pthread_mutex_trylock(&route->lock) != 0) {
        route->map = (struct map){0};
    }
    pthread_mutex_init(&route->lock, NULL);
    route->is_fetching = false;
}

bool route_find(struct route *route, uint64_t point, struct owner *owner)
{
    pthread_mutex_lock(&route->lock);
    const struct map_entry *entry = map_find(&route->map, point);
    if (entry) {
        owner->address = entry->address;
        owner->epoch = entry->epoch;
    }
    pthread_mutex_unlock(&route->lock);
    return entry != NULL;
}

uint64_t route_origin_ms(struct route *route)
{
    pthread_mutex_lock(&route->lock);
    uint64_t origin_ms = route->map.origin_ms;
    pthread_mutex_unlock(&route->lock);
    return origin_ms;
}

void route_cluster(struct route *route, uint8_t cluster[ID_LEN])
{
    pthread_mutex_lock(&route->lock);
    memcpy(cluster, route->map.cluster, ID_LEN);
    pthread_mutex_unlock(&route->lock);
}

enum map_took route_take_entry(struct route *route, const struct map_entry *entry)
{
    pthread_mutex_lock(&route->lock);
    enum map_took took = map_take(&route->map, entry);
    pthread_mutex_unlock(&route->lock);
    return took;
}

enum route_took route_take_map(struct route *route, const struct map *map)
{
    enum route_took took = ROUTE_TOOK;
    pthread_mutex_lock(&route->lock);
    struct map *held = &route->map;
    if (!id_bytes_is_zero(held->cluster) && memcmp(held->cluster, map->cluster, ID_LEN) != 0) {
        took = ROUTE_FOREIGN;
    } else if (map_take_all(held, map) == MAP_TOOK_NO_MEMORY) {
        took = ROUTE_NO_MEMORY;
    }
    pthread_mutex_unlock(&route->lock);
    return took;
}

struct address route_candidate(struct route *route, enum route_order order, uint32_t index)
{
    pthread_mutex_lock(&route->lock);
    uint32_t server_count = route->map.server_count;
    uint32_t place = index % (route->given_count + server_count);
    if (order == ROUTE_SERVERS_FIRST) {
        place = (place + route->given_count) % (route->given_count + server_count);
    }
    struct address address = place < route->given_count
                                 ? route->given[place]
                                 : route->map.servers[place - route->given_count].address;
    pthread_mutex_unlock(&route->lock);
    return address;
}

bool route_begin_fetch(struct route *route, uint64_t now_us, uint32_t *first)
{
    pthread_mutex_lock(&route->lock);
    bool begins = !route->is_fetching &&
                  (route->fetch_count == 0 || now_us >= route->fetched_us + ROUTE_FETCH_GAP_US);
    if (begins) {
        route->is_fetching = true;
        route->fetched_us = now_us;
        *first = route->fetch_count++;
    }
    pthread_mutex_unlock(&route->lock);
    return begins;
}

void route_end_fetch(struct route *route)
{
    pthread_mutex_lock(&route->lock);
    assert(route->is_fetching);
    route->is_fetching = false;
    pthread_mutex_unlock(&route->lock);
}
