/* SPDX-License-Identifier: MIT */
#include "proto/map_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/error_text.h"
#include "proto/id.h"
#include "proto/json.h"
#include "proto/point.h"

/* "0.5 to 0.75, logical shards 4096-6144" */
#define BOUNDS_TEXT_LEN (2 * BOUND_TEXT_LEN + 64)

void map_error_set(struct map_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error_text_print(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
}

/* Printable text, so that it can stand in a log line. */
static bool check_name(const char *name, struct map_error *fault)
{
    if (!*name) {
        map_error_set(fault, "name: is empty");
        return false;
    }
    bool is_fine = utf8_is_valid(bytes_text(name));
    for (const char *c = name; *c; c++) {
        is_fine = is_fine && (unsigned char)*c >= ' ' && *c != 0x7f;
    }
    if (!is_fine) {
        map_error_set(fault, "name: has bytes that are not UTF-8, or control characters");
    }
    return is_fine;
}

/* The text of an address is what address_parse takes; listening on port 0 has no place in a map. */
static bool check_address(const struct address *address, struct map_error *fault)
{
    char text[ADDRESS_TEXT_LEN];
    struct address same;
    if (address->port == 0) {
        map_error_set(fault, "port: 0 is not between 1 and 65535");
        return false;
    }
    address_print(address, text);
    if (!address_parse(bytes_text(text), &same) || !address_equal(address, &same)) {
        map_error_set(fault, "host: \"%s\" is no host name or address", address->host);
        return false;
    }
    return true;
}

static bool check_bounds(const struct map_entry *entry, struct map_error *fault)
{
    char start[BOUND_TEXT_LEN];
    char end[BOUND_TEXT_LEN];
    if (entry->start > BOUND_END || entry->end > BOUND_END) {
        map_error_set(fault, "%s: is above 1", entry->start > BOUND_END ? "start" : "end");
        return false;
    }
    if (entry->start < entry->end) {
        return true;
    }
    bound_print(entry->start, start);
    bound_print(entry->end, end);
    map_error_set(fault, "end: %s is not above start %s", end, start);
    return false;
}

bool map_check_entry(const struct map_entry *entry, struct map_error *fault)
{
    if (!check_name(entry->name, fault) || !check_bounds(entry, fault)) {
        return false;
    }
    if (entry->size < MAP_SIZE_MIN) {
        map_error_set(fault, "size: %" PRIu64 " is below %d", entry->size, MAP_SIZE_MIN);
        return false;
    }
    if (entry->size > MAP_SIZE_MAX) {
        char most[SIZE_TEXT_LEN];
        size_print(MAP_SIZE_MAX, most);
        map_error_set(fault, "size: %" PRIu64 " is above %s", entry->size, most);
        return false;
    }
    return check_address(&entry->address, fault);
}

typedef int (*order)(const void *a, const void *b);

enum repeat { REPEAT_NONE, REPEAT_FOUND, REPEAT_NO_MEMORY };

/* Two of `count` > 0 items that compare equal; `compare` gets pointers to pointers to items. */
static enum repeat find_repeat(const void *items, uint32_t count, size_t item_size, order compare,
                               uint32_t found[2])
{
    const char **sorted = malloc(count * sizeof(*sorted));
    if (!sorted) {
        return REPEAT_NO_MEMORY;
    }
    const char *first = items;
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = first + i * item_size;
    }
    qsort(sorted, count, sizeof(*sorted), compare);
    enum repeat result = REPEAT_NONE;
    for (uint32_t i = 1; i < count && result == REPEAT_NONE; i++) {
        if (compare(&sorted[i - 1], &sorted[i]) == 0) {
            uint32_t a = (uint32_t)((size_t)(sorted[i - 1] - first) / item_size);
            uint32_t b = (uint32_t)((size_t)(sorted[i] - first) / item_size);
            found[0] = a < b ? a : b;
            found[1] = a < b ? b : a;
            result = REPEAT_FOUND;
        }
    }
    free(sorted);
    return result;
}

static int compare_names(const void *a, const void *b)
{
    const struct map_entry *const *left = a;
    const struct map_entry *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static int compare_server_ids(const void *a, const void *b)
{
    const struct map_server *const *left = a;
    const struct map_server *const *right = b;
    return memcmp((*left)->id, (*right)->id, ID_LEN);
}

bool map_check_names(const struct map *map, struct map_error *error)
{
    uint32_t found[2];
    switch (
        find_repeat(map->entries, map->entry_count, sizeof(*map->entries), compare_names, found)) {
    case REPEAT_NONE:
        return true;
    case REPEAT_FOUND:
        map_error_set(error, "shards[%" PRIu32 "] \"%s\": name: shards[%" PRIu32 "] has it, too",
                      found[1], map->entries[found[1]].name, found[0]);
        return false;
    case REPEAT_NO_MEMORY:
        break;
    }
    map_error_set(error, "out of memory");
    return false;
}

/* In fractions, and in logical shards if it is whole ones. */
static void print_bounds(uint64_t start, uint64_t end, char text[BOUNDS_TEXT_LEN])
{
    const uint64_t slice = id_shard_bound(1);
    char from[BOUND_TEXT_LEN];
    char to[BOUND_TEXT_LEN];
    bound_print(start, from);
    bound_print(end, to);
    if (start % slice == 0 && end % slice == 0) {
        (void)snprintf(text, BOUNDS_TEXT_LEN, "%s to %s, logical shards %" PRIu64 "-%" PRIu64, from,
                       to, start / slice, end / slice);
    } else {
        (void)snprintf(text, BOUNDS_TEXT_LEN, "%s to %s", from, to);
    }
}

/* Puts a further fault behind those that `error` has. */
static void add_fault(struct map_error *error, const char *fault)
{
    struct map_error before = *error;
    map_error_set(error, "%s%s%s", before.text, before.text[0] ? "; " : "", fault);
}

/* The names of the neighbours; "" where the circle begins or ends. */
static void add_gap(struct map_error *error, uint64_t start, uint64_t end, const char *before,
                    const char *behind)
{
    char bounds[BOUNDS_TEXT_LEN];
    struct map_error fault;
    print_bounds(start, end, bounds);
    if (*before && *behind) {
        map_error_set(&fault, "nothing covers %s (between \"%s\" and \"%s\")", bounds, before,
                      behind);
    } else {
        map_error_set(&fault, "nothing covers %s (%s \"%s\")", bounds, *before ? "after" : "before",
                      *before ? before : behind);
    }
    add_fault(error, fault.text);
}

static void add_overlap(struct map_error *error, const struct map_entry *a,
                        const struct map_entry *b)
{
    char bounds[BOUNDS_TEXT_LEN];
    struct map_error fault;
    print_bounds(b->start, a->end < b->end ? a->end : b->end, bounds);
    map_error_set(&fault, "\"%s\" and \"%s\" overlap from %s", a->name, b->name, bounds);
    add_fault(error, fault.text);
}

bool map_check_tiling(const struct map *map, struct map_error *error)
{
    struct map_error faults = {0};
    const struct map_entry *furthest = NULL; /* the one that reaches furthest so far */
    for (uint32_t i = 0; i < map->entry_count; i++) {
        const struct map_entry *entry = &map->entries[i];
        uint64_t reached = furthest ? furthest->end : 0;
        if (entry->start > reached) {
            add_gap(&faults, reached, entry->start, furthest ? furthest->name : "", entry->name);
        } else if (entry->start < reached) {
            add_overlap(&faults, furthest, entry);
        }
        furthest = entry->end > reached ? entry : furthest;
    }
    if (furthest && furthest->end < BOUND_END) {
        add_gap(&faults, furthest->end, BOUND_END, furthest->name, "");
    }
    if (faults.text[0]) {
        *error = faults;
        return false;
    }
    return true;
}

static bool check_entries(const struct map *map, struct map_error *error)
{
    struct map_error fault;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        const struct map_entry *entry = &map->entries[i];
        bool is_fine = map_check_entry(entry, &fault);
        if (is_fine && entry->epoch > map->revision) {
            map_error_set(&fault, "epoch: %" PRIu64 " is above the revision", entry->epoch);
            is_fine = false;
        } else if (is_fine && i > 0 && entry->start < map->entries[i - 1].start) {
            map_error_set(&fault, "start: below that of the entry before");
            is_fine = false;
        }
        if (!is_fine) {
            map_error_set(error, "shards[%" PRIu32 "] \"%s\": %s", i, entry->name, fault.text);
            return false;
        }
    }
    return true;
}

static bool check_servers(const struct map *map, struct map_error *error)
{
    struct map_error fault;
    for (uint32_t i = 0; i < map->server_count; i++) {
        if (!check_address(&map->servers[i].address, &fault)) {
            map_error_set(error, "servers[%" PRIu32 "]: %s", i, fault.text);
            return false;
        }
    }
    uint32_t found[2];
    if (map->server_count == 0) {
        return true;
    }
    switch (find_repeat(map->servers, map->server_count, sizeof(*map->servers), compare_server_ids,
                        found)) {
    case REPEAT_NONE:
        return true;
    case REPEAT_FOUND:
        map_error_set(error, "servers[%" PRIu32 "]: id: servers[%" PRIu32 "] has it, too", found[1],
                      found[0]);
        return false;
    case REPEAT_NO_MEMORY:
        break;
    }
    map_error_set(error, "out of memory");
    return false;
}

static bool check_counts(const struct map *map, struct map_error *error)
{
    if (map->entry_count == 0) {
        map_error_set(error, "shards: is empty");
        return false;
    }
    if (map->entry_count > MAP_SHARDS_MAX) {
        map_error_set(error, "shards: more than %d", MAP_SHARDS_MAX);
        return false;
    }
    if (map->server_count > MAP_SERVERS_MAX) {
        map_error_set(error, "servers: more than %d", MAP_SERVERS_MAX);
        return false;
    }
    if (map->origin_ms == 0 || map->origin_ms > ORIGIN_MS_MAX) {
        map_error_set(error, "origin_ms: %" PRIu64 " is not between 1 and %" PRIu64, map->origin_ms,
                      ORIGIN_MS_MAX);
        return false;
    }
    return true;
}

bool map_check(const struct map *map, struct map_error *error)
{
    return check_counts(map, error) && check_entries(map, error) && map_check_names(map, error) &&
           map_check_tiling(map, error) && check_servers(map, error);
}
