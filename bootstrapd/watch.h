/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_WATCH_H
#define BOOTSTRAPD_WATCH_H

/* The connections that asked to be told of each change of the map (`map.watch`). */

#include "io/peer.h"
#include "proto/map.h"

/* The zero value has none. */
struct watchers {
    struct peer **peers;
    uint32_t count;
    uint32_t capacity;
};

void watchers_fini(struct watchers *watchers);

/* Once is enough. The owner removes it when the connection closes. */
void watchers_add(struct watchers *watchers, struct peer *peer);
void watchers_remove(struct watchers *watchers, const struct peer *peer);

/* `map.changed` with the entries that changed after `old_revision`. */
void watchers_tell(const struct watchers *watchers, const struct map *map, uint64_t old_revision);

#endif
