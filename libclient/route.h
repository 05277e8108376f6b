/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_ROUTE_H
#define LIBCLIENT_ROUTE_H

/*
 * Who to ask: the map as this client knows it, and the addresses that it was given.
 *
 * Redirects patch it entry by entry, a fetched map all entries at once, each only for the points
 * where its epoch is higher (RULES M1): the map never goes back. One thread at a time fetches.
 * All functions may be called by any thread; none waits for the network.
 */

#include "proto/map.h"

struct route;

/* Not more often than this is a map fetched. */
#define ROUTE_FETCH_GAP_US UINT64_C(20000)

struct owner {
    struct address address;
    uint64_t epoch; /* of the entry that names it */
};

/* Copies `given`, of which there is at least one. NULL when out of memory. */
struct route *route_new(const struct address *given, uint32_t given_count);
void route_free(struct route *route); /* NULL is allowed */

/* In a child after fork, when no other thread runs. A map that was being changed then is given up. */
void route_after_fork(struct route *route);

/* False when no entry holds the point. */
bool route_find(struct route *route, uint64_t point, struct owner *owner);

/* Of ids, ms since 1970; 0 before the first map. */
uint64_t route_origin_ms(struct route *route);

/* Zeros before the first map. */
void route_cluster(struct route *route, uint8_t cluster[ID_LEN]);

enum map_took route_take_entry(struct route *route, const struct map_entry *entry);

enum route_took {
    ROUTE_TOOK,
    ROUTE_FOREIGN, /* a map of another cluster: not taken */
    ROUTE_NO_MEMORY,
};

enum route_took route_take_map(struct route *route, const struct map *map);

enum route_order { ROUTE_GIVEN_FIRST, ROUTE_SERVERS_FIRST };

/* Number `index` of all addresses worth asking for what anyone can answer, round and round. */
struct address route_candidate(struct route *route, enum route_order order, uint32_t index);

/*
 * True: the caller fetches the map and says when it has ended. False: somebody else does, or has
 * just done. `first` is where to begin among the candidates: one further each time.
 */
bool route_begin_fetch(struct route *route, uint64_t now_us, uint32_t *first);
void route_end_fetch(struct route *route);

#endif
