/* SPDX-License-Identifier: MIT */
#include "shardd/division.h"

#include <stdlib.h>

/* Ranges by start, as accounts are kept of them. */
struct ranges {
    struct range *items;
    uint32_t count;
};

/* True: fewer are left. */
static bool hold_back(struct map *pushed, const struct range *range)
{
    uint32_t kept_count = 0;
    for (uint32_t i = 0; i < pushed->entry_count; i++) {
        const struct map_entry *entry = &pushed->entries[i];
        if (entry->end <= range->start || entry->start >= range->end) {
            pushed->entries[kept_count++] = *entry;
        }
    }
    bool has_removed = kept_count < pushed->entry_count;
    pushed->entry_count = kept_count;
    return has_removed;
}

/*
 * What of `range` the `count` ranges from `first` on have. Where that is not all of it, some is given away, which
 * waits for nothing.
 */
static void add_parts(const struct range *range, const struct range *first, uint32_t count,
                      struct division *division)
{
    struct interval largest = range_overlap(range, first);
    uint64_t sum = interval_width(&largest);
    uint32_t added_count = division->count;
    if (count < 2 || division->count + count - 1 > DIVISION_PARTS_MAX) {
        return;
    }
    for (uint32_t i = 1; i < count; i++) {
        struct interval part = range_overlap(range, &first[i]);
        bool is_larger = interval_width(&part) > interval_width(&largest);
        division->parts[added_count++] = is_larger ? largest : part;
        largest = is_larger ? part : largest;
        sum += interval_width(&part);
    }
    if (sum == range->end - range->start) {
        division->count = added_count;
    }
}

static bool is_counted_from(const struct division *division, uint32_t first)
{
    for (uint32_t i = first; i < division->count; i++) {
        if (!division->is_counted(division->context, &division->parts[i])) {
            return false;
        }
    }
    return true;
}

/* True: entries were removed, and what is left may divide others, or in another way. */
static bool look_at(const struct ranges *before, const struct ranges *after,
                    struct division *division, struct map *pushed)
{
    bool has_removed = false;
    uint32_t first = 0;
    for (uint32_t i = 0; i < before->count; i++) {
        const struct range *range = &before->items[i];
        uint32_t known_count = division->count;
        while (first < after->count && after->items[first].end <= range->start) {
            first++;
        }
        uint32_t end = first;
        while (end < after->count && after->items[end].start < range->end) {
            end++;
        }
        if (end > first) {
            add_parts(range, &after->items[first], end - first, division);
        }
        if (!is_counted_from(division, known_count)) {
            has_removed |= hold_back(pushed, range);
        }
    }
    return has_removed;
}

static bool look(const struct ownership *ownership, const struct ownership *next,
                 struct division *division, struct map *pushed)
{
    struct ranges before;
    struct ranges after;
    before.items = ownership_held(ownership, &before.count);
    after.items = ownership_held(next, &after.count);
    bool has_removed = look_at(&before, &after, division, pushed);
    free(before.items);
    free(after.items);
    return has_removed;
}

enum ownership_took division_take(const struct ownership *ownership, struct map *pushed,
                                  const struct bootstrap *from, struct division *division,
                                  struct ownership *next)
{
    division->count = 0;
    enum ownership_took took = ownership_take(ownership, pushed, from, next);
    bool is_again = took == OWNERSHIP_CHANGED && look(ownership, next, division, pushed);
    while (is_again) {
        struct division rest = {.is_counted = division->is_counted, .context = division->context};
        ownership_fini(next);
        took = ownership_take(ownership, pushed, from, next);
        is_again = took == OWNERSHIP_CHANGED && look(ownership, next, &rest, pushed);
    }
    return took;
}
