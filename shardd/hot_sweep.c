/* SPDX-License-Identifier: MIT */
#include "shardd/hot_internal.h"

#include <assert.h>

/* Items between the one that is done and the one whose bucket is fetched meanwhile. */
#define PREFETCH_AHEAD 8

/* --- walking --- */

/* False: `visit` wants no more. */
static bool walk_bucket(const struct hot *hot, uint64_t point, uint64_t last, uint64_t wanted,
                        hot_visit *visit, void *context)
{
    struct order order;
    struct spill item;
    struct spot spot;
    bool more = true;
    order_begin(&order, hot, point, wanted);
    while (more && order_next(&order, &item, &spot)) {
        struct hot_view view = {.is_dirty = (item.ref & REF_DIRTY) != 0};
        if (item.point >= point && item.point <= last) {
            entry_decode(ref_entry(item.ref), item.point, &view);
            more = visit(context, &view);
        }
    }
    return more;
}

/* The end of what one step looks at: a bucket, or a part of the circle in which nothing is dirty. */
static uint64_t step_last(const struct hot *hot, uint64_t point, bool *is_clean)
{
    *is_clean = true;
    if (hot->arc_dirty[point >> 58] == 0) {
        return point | UINT64_MAX >> 6;
    }
    if (hot->sector_dirty[point >> (64 - SECTOR_BITS)] == 0) {
        return point | (UINT64_MAX >> SECTOR_BITS);
    }
    *is_clean = false;
    return hot_span(hot, point).last;
}

void hot_walk(const struct hot *hot, uint64_t point, uint64_t last, bool with_clean,
              hot_visit *visit, void *context)
{
    bool is_end = point > last;
    while (!is_end) {
        bool is_clean;
        uint64_t step = step_last(hot, point, &is_clean);
        uint64_t span_last = with_clean ? hot_span(hot, point).last : step;
        bool more = (is_clean && !with_clean) ||
                    walk_bucket(hot, point, last, with_clean ? 0 : REF_DIRTY, visit, context);
        is_end = !more || span_last >= last;
        point = span_last + 1;
    }
}

/* --- collecting --- */

struct collection {
    struct hot_item *items;
    uint32_t count;
    uint32_t max;
    uint64_t last;
    uint64_t durable;
};

/* What is newer than the crowd waits, so that who writes there again and again holds up nobody. */
static void respect_crowd(struct hot *hot, uint64_t point, struct collection *into)
{
    if (hot->is_crowded && hot->crowd_point != point) {
        hot->is_crowded = false;
    }
    if (hot->is_crowded && hot->crowd_durable < into->durable) {
        into->durable = hot->crowd_durable;
    }
}

static void note_crowd(struct hot *hot, uint64_t point, const struct collection *into)
{
    hot->is_crowded = true;
    hot->crowd_point = point;
    hot->crowd_durable = into->durable;
}

static bool is_due(const struct collection *into, uint64_t point, const struct spill *item)
{
    return item->point >= point && item->point <= into->last && !(item->ref & REF_BATCH) &&
           hot_version(ref_entry(item->ref)) <= into->durable;
}

/* All from `point` on that is due, or up to the maximum: false, and *point is the next one's. */
static bool add_bucket(const struct hot *hot, uint64_t *point, struct collection *into)
{
    struct order order;
    struct spill item;
    struct spot spot;
    order_begin(&order, hot, *point, REF_DIRTY);
    while (order_next(&order, &item, &spot)) {
        if (!is_due(into, *point, &item)) {
            continue;
        }
        if (into->count == into->max) {
            *point = item.point;
            return false;
        }
        into->items[into->count++] = (struct hot_item){item.point, ref_entry(item.ref)};
    }
    return true;
}

static void mark_batch(const struct hot *hot, const struct collection *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct hot_item *item = &batch->items[i];
        struct spot spot = block_get(hot, item->point, item->entry);
        spot_set_ref(&spot, spot_ref(&spot) | REF_BATCH);
    }
}

/* NOLINTNEXTLINE(readability-function-size): from where to where, up to when, and at most what */
uint32_t hot_collect(struct hot *hot, uint64_t *point, uint64_t last, uint64_t durable,
                     struct hot_item *items, uint32_t item_max, uint32_t bucket_max, bool *is_end)
{
    struct collection into = {.items = items, .max = item_max, .last = last, .durable = durable};
    respect_crowd(hot, *point, &into);
    *is_end = *point > last;
    for (; !*is_end && bucket_max > 0; bucket_max--) {
        bool is_clean;
        uint32_t before = into.count;
        uint64_t next = *point;
        uint64_t span_last = step_last(hot, *point, &is_clean);
        if (!is_clean && !add_bucket(hot, &next, &into)) {
            if (before > 0) {
                into.count = before;
            } else {
                *point = next;
                note_crowd(hot, next, &into);
            }
            break;
        }
        *is_end = span_last >= last;
        *point = span_last + 1;
    }
    mark_batch(hot, &into);
    return into.count;
}

/* --- the end of a batch --- */

static void prefetch(const struct hot *hot, const struct hot_item *items, uint32_t i,
                     uint32_t count)
{
    if (i + PREFETCH_AHEAD < count) {
        hot_prefetch(hot, items[i + PREFETCH_AHEAD].point);
        __builtin_prefetch(items[i + PREFETCH_AHEAD].entry);
    }
}

/* False: it was replaced or cleared, and goes now. */
static bool is_unchanged(struct hot *hot, const struct hot_item *item, struct spot *spot)
{
    bool is_there = block_locate(hot, item->point, item->entry, spot);
    if (!is_there) {
        hot_release(hot, item->entry);
    }
    return is_there;
}

static void swept(struct hot *hot, const struct hot_item *item, const struct spot *spot)
{
    uint64_t ref = spot_ref(spot);
    assert(ref & REF_BATCH);
    hot_uncount(hot, item->point, ref);
    if (hot_state(item->entry) == HOT_DELETED) {
        block_drop(hot, item->point, spot);
        hot_release(hot, item->entry);
        block_settle(hot, item->point);
        return;
    }
    ref &= ~(uint64_t)(REF_DIRTY | REF_BATCH);
    spot_set_ref(spot, ref);
    hot_count(hot, item->point, ref);
}

void hot_swept(struct hot *hot, const struct hot_item *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct spot spot;
        prefetch(hot, items, i, count);
        if (is_unchanged(hot, &items[i], &spot)) {
            swept(hot, &items[i], &spot);
        }
    }
}

void hot_not_swept(struct hot *hot, const struct hot_item *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct spot spot;
        prefetch(hot, items, i, count);
        if (is_unchanged(hot, &items[i], &spot)) {
            spot_set_ref(&spot, spot_ref(&spot) & ~(uint64_t)REF_BATCH);
        }
    }
}
