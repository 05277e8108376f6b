/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SAMPLE_MAP_H
#define TESTS_UNIT_SAMPLE_MAP_H

/* Maps for tests of the shard server: entries that follow each other, owned by servers 1, 2, ... */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/map.h"
#include "proto/point.h"

#define QUARTER (BOUND_END / 4)
#define HALF    (BOUND_END / 2)

struct part {
    const char *name;
    uint64_t end;
    uint64_t epoch;
    uint8_t owner; /* all bytes of its id; 0: nobody */
    bool is_new;
    uint64_t size; /* 0: 1 MiB */
};

static inline void sample_id(uint8_t byte, uint8_t id[ID_LEN])
{
    memset(id, byte, ID_LEN);
}

/* Tiles the circle with `parts`; its cluster is c c c ... For map_fini. */
static inline struct map sample_map(uint64_t revision, const struct part *parts, uint32_t count)
{
    struct map map = {.revision = revision, .origin_ms = 1, .entry_count = count};
    map.entries = calloc(count, sizeof(*map.entries));
    assert(map.entries);
    memset(map.cluster, 'c', ID_LEN);
    memset(map.instance, 'i', ID_LEN);
    uint64_t start = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct map_entry *entry = &map.entries[i];
        (void)snprintf(entry->name, sizeof(entry->name), "%s", parts[i].name);
        (void)snprintf(entry->address.host, sizeof(entry->address.host), "127.0.0.1");
        entry->address.port = (uint16_t)(5000 + parts[i].owner);
        entry->start = start;
        entry->end = start = parts[i].end;
        entry->epoch = parts[i].epoch;
        entry->size = parts[i].size ? parts[i].size : 1 << 20;
        entry->is_new = parts[i].is_new;
        sample_id(parts[i].owner, entry->server);
    }
    return map;
}

#define SAMPLE_MAP(revision, ...)                                                                  \
    sample_map(revision, (const struct part[]){__VA_ARGS__},                                       \
               sizeof((const struct part[]){__VA_ARGS__}) / sizeof(struct part))

#endif
