/* SPDX-License-Identifier: MIT */
#include "shardd/division.h"

#include <stdlib.h>

/* Ranges by start, as accounts are kept of them. */
struct ranges {
    struct range *items;
    uint32_t count;
};

struct look {
    division_is_counted *is_counted;
    void *context;
    struct map *pushed;
    bool has_removed;
};

static struct interval overlap(const struct range *a, const struct range *b)
{
    return (struct interval){
        .start = a->start > b->start ? a->start : b->start,
        .end = a->end < b->end ? a->end : b->end,
    };
}

static uint64_t width(const struct interval *interval)
{
    return interval->end - interval->start;
}

/* Nothing of the range stays undivided. */
static void hold_back(struct look *look, const struct range *range)
{
    struct map *pushed = look->pushed;
    uint32_t kept_count = 0;
    for (uint32_t i = 0; i < pushed->entry_count; i++) {
        const struct map_entry *entry = &pushed->entries[i];
        if (entry->end <= range->start || entry->start >= range->end) {
            pushed->entries[kept_count++] = *entry;
        }
    }
    look->has_removed |= kept_count < pushed->entry_count;
    pushed->entry_count = kept_count;
}

/*
 * What of `range` the `count` ranges from `first` on have. Where that is not all of it, some is given away, which
 * waits for nothing.
 */
static void add_parts(const struct range *range, const struct range *first, uint32_t count,
                      struct division *division)
{
    struct interval largest = overlap(range, first);
    uint64_t sum = width(&largest);
    uint32_t added_count = division->count;
    if (count < 2 || division->count + count - 1 > DIVISION_PARTS_MAX) {
        return;
    }
    for (uint32_t i = 1; i < count; i++) {
        struct interval part = overlap(range, &first[i]);
        bool is_larger = width(&part) > width(&largest);
        division->parts[added_count++] = is_larger ? largest : part;
        largest = is_larger ? part : largest;
        sum += width(&part);
    }
    if (sum == range->end - range->start) {
        division->count = added_count;
    }
}

static void look_at(struct look *look, const struct ranges *before, const struct ranges *after,
                    struct division *division)
{
    uint32_t first = 0;
    *division = (struct division){0};
    for (uint32_t i = 0; i < before->count; i++) {
        const struct range *range = &before->items[i];
        while (first < after->count && after->items[first].end <= range->start) {
            first++;
        }
        uint32_t end = first;
        while (end < after->count && after->items[end].start < range->end) {
            end++;
        }
        uint32_t known_count = division->count;
        if (end > first) {
            add_parts(range, &after->items[first], end - first, division);
        }
        bool is_ready = true;
        for (uint32_t j = known_count; j < division->count; j++) {
            is_ready &= look->is_counted(look->context, &division->parts[j]);
        }
        if (!is_ready) {
            hold_back(look, range);
        }
    }
}

static void find(struct look *look, const struct ownership *ownership, const struct ownership *next,
                 struct division *division)
{
    struct ranges before;
    struct ranges after;
    before.items = ownership_held(ownership, &before.count);
    after.items = ownership_held(next, &after.count);
    look->has_removed = false;
    look_at(look, &before, &after, division);
    free(before.items);
    free(after.items);
}

enum ownership_took division_take(const struct ownership *ownership, struct map *pushed,
                                  const struct bootstrap *from, division_is_counted *is_counted,
                                  void *context, struct division *division, struct ownership *next)
{
    struct look look = {.is_counted = is_counted, .context = context, .pushed = pushed};
    struct division rest;
    *division = (struct division){0};
    enum ownership_took took = ownership_take(ownership, pushed, from, next);
    if (took != OWNERSHIP_CHANGED) {
        return took;
    }
    find(&look, ownership, next, division);
    /* What is held back may leave others divided in another way: each time there are fewer entries. */
    while (took == OWNERSHIP_CHANGED && look.has_removed) {
        ownership_fini(next);
        took = ownership_take(ownership, pushed, from, next);
        if (took == OWNERSHIP_CHANGED) {
            find(&look, ownership, next, &rest);
        }
    }
    return took;
}
