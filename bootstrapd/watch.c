/* SPDX-License-Identifier: MIT */
#include "bootstrapd/watch.h"

#include <stdlib.h>

#include "io/memory.h"
#include "proto/pack.h"
#include "proto/rpc.h"

void watchers_fini(struct watchers *watchers)
{
    free(watchers->peers);
    *watchers = (struct watchers){0};
}

/* Its place, or the count. */
static uint32_t find(const struct watchers *watchers, const struct peer *peer)
{
    uint32_t i = 0;
    while (i < watchers->count && watchers->peers[i] != peer) {
        i++;
    }
    return i;
}

void watchers_add(struct watchers *watchers, struct peer *peer)
{
    if (find(watchers, peer) < watchers->count) {
        return;
    }
    if (watchers->count == watchers->capacity) {
        watchers->capacity = watchers->capacity ? 2 * watchers->capacity : 8;
        watchers->peers = memory_resize(watchers->peers, watchers->capacity, sizeof(void *));
    }
    watchers->peers[watchers->count++] = peer;
}

void watchers_remove(struct watchers *watchers, const struct peer *peer)
{
    uint32_t i = find(watchers, peer);
    if (i < watchers->count) {
        watchers->peers[i] = watchers->peers[--watchers->count];
    }
}

static void pack_changes(struct buffer *out, const struct map *map, uint64_t old_revision)
{
    uint32_t changed_count = 0;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        changed_count += map->entries[i].epoch > old_revision;
    }
    rpc_notification(out, "map.changed");
    pack_array(out, 2);
    pack_uint(out, map->revision);
    pack_array(out, changed_count);
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (map->entries[i].epoch > old_revision) {
            map_pack_entry(&map->entries[i], out);
        }
    }
}

void watchers_tell(const struct watchers *watchers, const struct map *map, uint64_t old_revision)
{
    if (watchers->count == 0) {
        return;
    }
    struct buffer notification = {0};
    pack_changes(&notification, map, old_revision);
    memory_must(!notification.failed);
    for (uint32_t i = 0; i < watchers->count; i++) {
        buffer_append_bytes(peer_output(watchers->peers[i]), buffer_bytes(&notification));
    }
    buffer_fini(&notification);
}
