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
    movings_fini(&ownership->movings);
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
    movings_copy(&ownership->movings, &made.movings);
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

/* Another disk stands at the address where the map expects a server. */
static bool is_replaced(const struct ownership *ownership)
{
    return !id_bytes_is_zero(ownership->expected) &&
           !id_bytes_equal(ownership->expected, ownership->server);
}

static bool is_expected_here(const struct ownership *ownership, const struct map_entry *entry)
{
    return id_bytes_equal(entry->server, ownership->server) ||
           (is_replaced(ownership) && id_bytes_equal(entry->server, ownership->expected));
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
    return entry->is_new && id_bytes_equal(entry->server, ownership->server) &&
           ownership_holds(ownership, entry);
}

bool ownership_misses(const struct ownership *ownership, const struct map_entry *entry)
{
    return id_bytes_equal(entry->server, ownership->server) && !ownership_holds(ownership, entry);
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
    return a->term == b->term && id_bytes_equal(a->instance, b->instance);
}

/* --- taking a map --- */

/* Ranges as they are found, by start; those that touch within one entry become one. */
struct range_list {
    struct range *items;
    uint32_t count;
};

static int compare_ranges(const void *a, const void *b)
{
    uint64_t left = ((const struct range *)a)->start;
    uint64_t right = ((const struct range *)b)->start;
    return (left > right) - (left < right);
}

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

/* What a move brings or gives back is owned as what was owned before. */
static void take_from_moves(struct ownership *next, struct range_list *held)
{
    struct movings *movings = &next->movings;
    for (uint32_t i = 0; i < movings->count;) {
        struct moving *moving = &movings->items[i];
        const struct map_entry *entry = map_find(&next->map, point_of_bound(moving->start));
        if (!entry || moving_follow(moving, entry, next->server) == MOVING_STAYS) {
            i++;
            continue;
        }
        if (moving->state != MOVING_FROZEN) {
            held->items = memory_resize(held->items, held->count + 1, sizeof(*held->items));
            held->items[held->count++] = (struct range){.start = moving->start, .end = moving->end};
        }
        movings_drop(movings, moving);
    }
}

/* What this server has of the map's points, by start. */
static struct range_list list_held(const struct ownership *before, struct ownership *next)
{
    struct range_list held = {0};
    held.items = memory_get(before->range_count + 1, sizeof(*held.items));
    for (uint32_t i = 0; i < before->range_count; i++) {
        held.items[held.count++] = before->ranges[i];
    }
    take_from_moves(next, &held);
    qsort(held.items, held.count, sizeof(*held.items), compare_ranges);
    return held;
}

static void open_entries(const struct ownership *before, struct ownership *next)
{
    struct range_list list = {0};
    struct range_list all_held = list_held(before, next);
    const struct range *held = all_held.items;
    const struct range *held_end = held + all_held.count;
    for (uint32_t i = 0; i < next->map.entry_count; i++) {
        const struct map_entry *entry = &next->map.entries[i];
        while (held < held_end && held->end <= entry->start) {
            held++;
        }
        if (!id_bytes_equal(entry->server, next->server)) {
            continue;
        }
        if (entry->is_new) {
            add_range(&list, entry->start, entry->end, entry);
        } else {
            keep_parts(held, held_end, entry, &list);
        }
    }
    free(all_held.items);
    free(next->ranges);
    next->ranges = list.items;
    next->range_count = list.count;
}

enum ownership_took ownership_take(const struct ownership *ownership, const struct map *pushed,
                                   const struct bootstrap *from, struct ownership *next)
{
    assert(id_bytes_is_zero(ownership->cluster) ||
           id_bytes_equal(ownership->cluster, pushed->cluster));
    struct ownership changed;
    struct map_error error;
    ownership_copy(ownership, &changed);
    enum map_took took = map_take_all(&changed.map, pushed);
    bool is_whole = took != MAP_TOOK_NO_MEMORY && map_check(&changed.map, &error);
    bool is_known =
        id_bytes_equal(ownership->instance, from->instance) && ownership->term == from->term;
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

/* --- what accounts are kept of --- */

/* DELETING has none, and FROZEN is owned. */
static enum range_state state_of_moving(enum moving_state state)
{
    switch (state) {
    case MOVING_CLOSED:
        return RANGE_CLOSED;
    case MOVING_READY:
        return RANGE_READY;
    case MOVING_IMPORT:
    case MOVING_FROZEN:
    case MOVING_DELETING:
        break;
    }
    return RANGE_IMPORT;
}

static bool is_frozen(const struct ownership *ownership, const struct range *range)
{
    const struct moving *moving = movings_at(&ownership->movings, range->start);
    return moving && moving->state == MOVING_FROZEN;
}

struct range *ownership_held(const struct ownership *ownership, uint32_t *count)
{
    const struct movings *movings = &ownership->movings;
    struct range *held = memory_get(ownership->range_count + movings->count + 1, sizeof(*held));
    uint32_t held_count = 0;
    for (uint32_t i = 0; i < ownership->range_count; i++) {
        held[held_count] = ownership->ranges[i];
        held[held_count].state =
            is_frozen(ownership, &held[held_count]) ? RANGE_FROZEN : RANGE_OPEN;
        held_count++;
    }
    for (uint32_t i = 0; i < movings->count; i++) {
        const struct moving *moving = &movings->items[i];
        const struct map_entry *entry = map_find(&ownership->map, point_of_bound(moving->start));
        if (entry && moving->state != MOVING_FROZEN && moving->state != MOVING_DELETING) {
            held[held_count++] = (struct range){.start = moving->start,
                                                .end = moving->end,
                                                .limit = entry->size,
                                                .when_full = entry->when_full,
                                                .epoch = entry->epoch,
                                                .state = state_of_moving(moving->state)};
        }
    }
    qsort(held, held_count, sizeof(*held), compare_ranges);
    *count = held_count;
    return held;
}

/* --- this server's own steps --- */

const struct map_entry *ownership_find_move(const struct ownership *ownership, uint64_t id)
{
    for (uint32_t i = 0; i < ownership->map.entry_count; i++) {
        const struct map_entry *entry = &ownership->map.entries[i];
        if (entry->move.phase != MOVE_NONE && entry->move.id == id) {
            return entry;
        }
    }
    return NULL;
}

bool ownership_has_handed_over(const struct ownership *ownership, const struct map_entry *entry)
{
    return entry->move.phase != MOVE_NONE &&
           movings_find(&ownership->movings, entry->move.id, MOVING_CLOSED);
}

static const struct map_entry *find_in_phase(const struct ownership *ownership, uint64_t id,
                                             enum move_phase phase)
{
    const struct map_entry *entry = ownership_find_move(ownership, id);
    return entry && entry->move.phase == phase ? entry : NULL;
}

bool ownership_freeze(const struct ownership *ownership, uint64_t id, const struct range_sum *sum,
                      struct ownership *next)
{
    const struct map_entry *entry = find_in_phase(ownership, id, MOVE_COPY);
    if (!entry || !id_bytes_equal(entry->server, ownership->server) ||
        !ownership_holds(ownership, entry) || movings_at(&ownership->movings, entry->start) ||
        ownership->movings.count >= MOVING_MAX) {
        return false;
    }
    const struct moving frozen = {id, entry->start, entry->end, MOVING_FROZEN, *sum};
    ownership_copy(ownership, next);
    movings_add(&next->movings, &frozen);
    return true;
}

bool ownership_import(const struct ownership *ownership, uint64_t id, struct ownership *next)
{
    const struct map_entry *entry = find_in_phase(ownership, id, MOVE_COPY);
    if (!entry || !id_bytes_equal(entry->move.target, ownership->server) ||
        id_bytes_equal(entry->server, ownership->server) ||
        movings_touch(&ownership->movings, entry->start, entry->end) ||
        ownership->movings.count >= MOVING_MAX) {
        return false;
    }
    const struct moving import = {id, entry->start, entry->end, MOVING_IMPORT, {0}};
    ownership_copy(ownership, next);
    movings_add(&next->movings, &import);
    return true;
}

/* From one state to another. */
static struct moving *step(const struct ownership *ownership, uint64_t id, enum moving_state from,
                           enum moving_state to, struct ownership *next)
{
    if (!movings_find(&ownership->movings, id, from)) {
        return NULL;
    }
    ownership_copy(ownership, next);
    struct moving *moving = movings_find(&next->movings, id, from);
    assert(moving);
    moving->state = to;
    return moving;
}

bool ownership_ready(const struct ownership *ownership, uint64_t id, const struct range_sum *sum,
                     struct ownership *next)
{
    struct moving *moving = step(ownership, id, MOVING_IMPORT, MOVING_READY, next);
    if (moving) {
        moving->sum = *sum;
    }
    return moving != NULL;
}

bool ownership_delete(const struct ownership *ownership, uint64_t id, struct ownership *next)
{
    return find_in_phase(ownership, id, MOVE_OPENED) &&
           step(ownership, id, MOVING_CLOSED, MOVING_DELETING, next);
}

bool ownership_deleted(const struct ownership *ownership, uint64_t id, struct ownership *next)
{
    struct moving *moving = step(ownership, id, MOVING_DELETING, MOVING_DELETING, next);
    if (moving) {
        movings_drop(&next->movings, moving);
    }
    return moving != NULL;
}
