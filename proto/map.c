/* SPDX-License-Identifier: MIT */
#include "proto/map.h"

#include <stdlib.h>

#include "proto/point.h"

void map_fini(struct map *map)
{
    free(map->entries);
    free(map->servers);
    *map = (struct map){0};
}

/* False when out of memory. A copy of nothing is NULL. */
static bool copy_array(const void *items, size_t size, void **copy)
{
    *copy = NULL;
    if (size == 0) {
        return true;
    }
    *copy = malloc(size);
    if (!*copy) {
        return false;
    }
    memcpy(*copy, items, size);
    return true;
}

bool map_copy(const struct map *map, struct map *copy)
{
    void *entries;
    void *servers;
    if (!copy_array(map->entries, map->entry_count * sizeof(*map->entries), &entries)) {
        return false;
    }
    if (!copy_array(map->servers, map->server_count * sizeof(*map->servers), &servers)) {
        free(entries);
        return false;
    }
    *copy = *map;
    copy->entries = entries;
    copy->servers = servers;
    return true;
}

const struct map_entry *map_find(const struct map *map, uint64_t point)
{
    uint64_t bound = point_bound(point);
    uint32_t first = 0;
    uint32_t behind = map->entry_count;
    while (first < behind) {
        uint32_t middle = first + (behind - first) / 2;
        const struct map_entry *entry = &map->entries[middle];
        if (bound < entry->start) {
            behind = middle;
        } else if (bound >= entry->end) {
            first = middle + 1;
        } else {
            return entry;
        }
    }
    return NULL;
}

const struct map_entry *map_find_name(const struct map *map, struct bytes name)
{
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (bytes_equal(bytes_text(map->entries[i].name), name)) {
            return &map->entries[i];
        }
    }
    return NULL;
}

const struct map_server *map_find_server(const struct map *map, const uint8_t id[ID_LEN])
{
    for (uint32_t i = 0; i < map->server_count; i++) {
        if (memcmp(map->servers[i].id, id, ID_LEN) == 0) {
            return &map->servers[i];
        }
    }
    return NULL;
}
