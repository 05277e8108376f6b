/* SPDX-License-Identifier: MIT */
#include "shardd/ownership.h"

#include <assert.h>
#include <stdlib.h>

#include "io/memory.h"
#include "proto/point.h"

void ownership_fini(struct ownership *ownership)
{
    map_fini(&ownership->map);
    free(ownership->ranges);
    *ownership = (struct ownership){0};
}

void ownership_copy(const struct ownership *ownership, struct ownership *copy)
{
    struct ownership made = *ownership;
    memory_must(map_copy(&ownership->map, &made.map));
    made.ranges = memory_get(ownership->range_count + 1, sizeof(*made.ranges));
    for (uint32_t i = 0; i < ownership->range_count; i++) {
        made.ranges[i] = ownership->ranges[i];
    }
    *copy = made;
}

void ownership_start(struct ownership *ownership, uint64_t start)
{
    uint64_t *starts = ownership->starts;
    if (ownership->start_count == STARTS_MAX) {
        memmove(starts, starts + 1, (STARTS_MAX - 1) * sizeof(*starts));
        ownership->start_count--;
    }
    starts[ownership->start_count++] = start;
    ownership->incarnation++;
}

bool ownership_has_started(const struct ownership *ownership, uint64_t incarnation, uint64_t start)
{
    if (incarnation > ownership->incarnation) {
        return false;
    }
    uint64_t later_count = ownership->incarnation - incarnation;
    return start == 0 || (later_count < ownership->start_count &&
                          ownership->starts[ownership->start_count - 1 - later_count] == start);
}

const struct range *ownership_find(const struct ownership *ownership, uint64_t point)
{
    uint64_t bound = point_bound(point);
    uint32_t low = 0;
    uint32_t high = ownership->range_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ownership->ranges[middle].end <= bound) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_in = low < ownership->range_count && ownership->ranges[low].start <= bound;
    return is_in ? &ownership->ranges[low] : NULL;
}

uint64_t ownership_epoch(const struct ownership *ownership)
{
    uint64_t highest = 0;
    for (uint32_t i = 0; i < ownership->map.entry_count; i++) {
        uint64_t epoch = ownership->map.entries[i].epoch;
        highest = epoch > highest ? epoch : highest;
    }
    return highest;
}

static bool is_id(const uint8_t a[ID_LEN], const uint8_t b[ID_LEN])
{
    return memcmp(a, b, ID_LEN) == 0;
}

/* Another disk stands at the address where the map expects a server. */
static bool is_replaced(const struct ownership *ownership)
{
    return !id_bytes_is_zero(ownership->expected) && !is_id(ownership->expected, ownership->server);
}

static bool is_expected_here(const struct ownership *ownership, const struct map_entry *entry)
{
    return is_id(entry->server, ownership->server) ||
           (is_replaced(ownership) && is_id(entry->server, ownership->expected));
}

enum status ownership_judge(const struct ownership *ownership, uint64_t point,
                            const struct map_entry **entry)
{
    *entry = map_find(&ownership->map, point);
    if (ownership_find(ownership, point)) {
        return ownership->is_restored ? STATUS_DATA_MISSING : STATUS_OK;
    }
    if (!*entry) {
        return is_replaced(ownership) ? STATUS_DATA_MISSING : STATUS_TRY_LATER;
    }
    if (is_expected_here(ownership, *entry)) {
        return STATUS_DATA_MISSING;
    }
    return STATUS_WRONG_SHARD;
}

bool ownership_holds(const struct ownership *ownership, const struct map_entry *entry)
{
    const struct range *range = ownership_find(ownership, point_of_bound(entry->start));
    return range && range->start <= entry->start && range->end >= entry->end;
}

bool ownership_has_opened(const struct ownership *ownership, const struct map_entry *entry)
{
    return entry->is_new && is_id(entry->server, ownership->server) &&
           ownership_holds(ownership, entry);
}

bool ownership_misses(const struct ownership *ownership, const struct map_entry *entry)
{
    return is_id(entry->server, ownership->server) && !ownership_holds(ownership, entry);
}

const char *ownership_state(const struct ownership *ownership)
{
    bool is_missing = is_replaced(ownership);
    for (uint32_t i = 0; i < ownership->map.entry_count && !is_missing; i++) {
        is_missing = ownership_misses(ownership, &ownership->map.entries[i]);
    }
    if (ownership->has_stranger) {
        return "wrong cluster";
    }
    if (ownership->is_restored) {
        return "restored copy";
    }
    if (is_missing) {
        return "data missing";
    }
    return ownership->map.revision == 0 ? "no map" : "serving";
}

bool bootstrap_equal(const struct bootstrap *a, const struct bootstrap *b)
{
    return a->term == b->term && is_id(a->instance, b->instance);
}

/* --- taking a map --- */

/* Ranges as they are found, by start; those that touch within one entry become one. */
struct range_list {
    struct range *items;
    uint32_t count;
};

static void add_range(struct range_list *list, uint64_t start, uint64_t end,
                      const struct map_entry *entry)
{
    struct range *last = list->count > 0 ? &list->items[list->count - 1] : NULL;
    if (last && last->end == start && start > entry->start) {
        last->end = end;
        return;
    }
    list->items = memory_resize(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = (struct range){.start = start,
                                                .end = end,
                                                .limit = entry->size,
                                                .when_full = entry->when_full,
                                                .epoch = entry->epoch};
}

/* The parts of `entry` in held .. held_end. */
static void keep_parts(const struct range *held, const struct range *held_end,
                       const struct map_entry *entry, struct range_list *list)
{
    for (; held < held_end && held->start < entry->end; held++) {
        uint64_t start = held->start > entry->start ? held->start : entry->start;
        uint64_t end = held->end < entry->end ? held->end : entry->end;
        add_range(list, start, end, entry);
    }
}

static void open_entries(const struct ownership *before, struct ownership *next)
{
    struct range_list list = {0};
    const struct range *held = before->ranges;
    const struct range *held_end = held + before->range_count;
    for (uint32_t i = 0; i < next->map.entry_count; i++) {
        const struct map_entry *entry = &next->map.entries[i];
        while (held < held_end && held->end <= entry->start) {
            held++;
        }
        if (!is_id(entry->server, next->server)) {
            continue;
        }
        if (entry->is_new) {
            add_range(&list, entry->start, entry->end, entry);
        } else {
            keep_parts(held, held_end, entry, &list);
        }
    }
    free(next->ranges);
    next->ranges = list.items;
    next->range_count = list.count;
}

enum ownership_took ownership_take(const struct ownership *ownership, const struct map *pushed,
                                   const struct bootstrap *from, struct ownership *next)
{
    assert(id_bytes_is_zero(ownership->cluster) || is_id(ownership->cluster, pushed->cluster));
    struct ownership changed;
    struct map_error error;
    ownership_copy(ownership, &changed);
    enum map_took took = map_take_all(&changed.map, pushed);
    bool is_whole = took != MAP_TOOK_NO_MEMORY && map_check(&changed.map, &error);
    bool is_known = is_id(ownership->instance, from->instance) && ownership->term == from->term;
    if (!is_whole || (took == MAP_TOOK_NOTHING && is_known)) {
        ownership_fini(&changed);
        return is_whole ? OWNERSHIP_SAME : OWNERSHIP_CONFLICT;
    }
    memcpy(changed.cluster, pushed->cluster, ID_LEN);
    memcpy(changed.instance, from->instance, ID_LEN);
    changed.term = from->term;
    open_entries(ownership, &changed);
    *next = changed;
    return OWNERSHIP_CHANGED;
}
