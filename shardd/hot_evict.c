/* SPDX-License-Identifier: MIT */
#include "shardd/hot_internal.h"

/* --- the hand --- */

/* What is not written back, or awaited, or was used since, stays; the use is forgotten. */
static bool may_go(const struct spot *spot)
{
    uint64_t ref = spot_ref(spot);
    if (ref & (REF_DIRTY | REF_BATCH)) {
        return false;
    }
    if (ref & REF_USED) {
        spot_set_ref(spot, ref & ~(uint64_t)REF_USED);
        return false;
    }
    return hot_state(ref_entry(ref)) != HOT_FETCHING;
}

/* Returns whether it was a record that went. */
static bool evict(struct hot *hot, uint64_t point, const struct spot *spot)
{
    uint64_t ref = spot_ref(spot);
    bool is_record = hot_state(ref_entry(ref)) == HOT_RECORD;
    hot_uncount(hot, point, ref);
    block_drop(hot, point, spot);
    hot_release(hot, ref_entry(ref));
    return is_record;
}

/* From the last to the first: what fills a gap has been looked at, or waits for the next lap. */
static uint32_t evict_spilled(struct hot *hot, const struct span *span, bool *is_record_gone)
{
    uint32_t gone = 0;
    uint32_t first;
    uint32_t end;
    block_run(span, &first, &end);
    for (uint32_t i = end; i-- > first;) {
        struct spot spot = {.span = *span, .is_spilled = true, .index = i};
        if (may_go(&spot)) {
            *is_record_gone |= evict(hot, span->first, &spot);
            gone++;
        }
    }
    return gone;
}

static uint32_t evict_bucket(struct hot *hot, const struct span *span)
{
    bool is_record_gone = false;
    uint32_t gone = evict_spilled(hot, span, &is_record_gone);
    for (uint32_t i = bucket_count(span->bucket); i-- > 0;) {
        struct spot spot = {.span = *span, .index = i};
        if (may_go(&spot)) {
            is_record_gone |= evict(hot, span->first, &spot);
            gone++;
        }
    }
    if (is_record_gone) {
        block_set_complete(hot, span->first, false);
    }
    block_settle(hot, span->first); /* also where nothing came that hot_expect made room for */
    return gone;
}

/* References the hand comes to next. */
static void prefetch_next(const struct span *span)
{
    uint32_t count = slot_bucket_count(span->slot);
    if (span->bucket + 1 < span->block->buckets + count) {
        const struct bucket *next = span->bucket + 1;
        for (uint32_t i = 0; i < bucket_count(next); i++) {
            if (!(bucket_ref(next, i) & (REF_DIRTY | REF_USED))) {
                entry_prefetch(bucket_ref(next, i));
            }
        }
    }
}

uint32_t hot_evict(struct hot *hot, size_t target, uint32_t bucket_max)
{
    uint32_t gone = 0;
    uint64_t travelled = 0;
    uint32_t laps = 0;
    for (; laps < 2 && bucket_max > 0 && hot_used(hot) > target; bucket_max--) {
        struct span span = hot_span(hot, hot->hand);
        uint64_t step = span.last + 1 - hot->hand;
        if (span.block) {
            prefetch_next(&span);
            gone += evict_bucket(hot, &span);
        }
        hot->hand += step;
        travelled += step;
        laps += travelled < step; /* 2^64 is once round */
    }
    return gone;
}

/* --- victims --- */

/* Dirty or not: it is to be deleted, through the log. */
static bool may_be_victim(const struct spot *spot)
{
    uint64_t ref = spot_ref(spot);
    spot_set_ref(spot, ref & ~(uint64_t)REF_USED);
    return hot_state(ref_entry(ref)) == HOT_RECORD && !(ref & REF_USED);
}

bool hot_next_victim(struct hot *hot, uint64_t *point, uint64_t last, uint32_t bucket_max,
                     struct hot_view *view)
{
    for (bool is_end = *point > last; !is_end && bucket_max > 0; bucket_max--) {
        struct order order;
        struct spill item;
        struct spot spot;
        order_begin(&order, hot, *point, 0);
        while (order_next(&order, &item, &spot)) {
            bool is_in = item.point >= *point && item.point <= last;
            if (is_in && may_be_victim(&spot)) {
                entry_decode(ref_entry(item.ref), item.point, view);
                view->is_dirty = (item.ref & REF_DIRTY) != 0;
                *point = item.point + 1;
                return true;
            }
        }
        is_end = order.span.last >= last;
        *point = is_end ? last + 1 : order.span.last + 1;
    }
    return false;
}

/* --- clearing --- */

/* What the sweep reads goes with its batch. */
static void forget(struct hot *hot, uint64_t point, uint64_t ref)
{
    hot_uncount(hot, point, ref);
    if (!(ref & REF_BATCH)) {
        hot_release(hot, ref_entry(ref));
    }
}

static void clear_block(struct hot *hot, uint64_t point, bool is_complete)
{
    uint64_t slot = *hot_slot(hot, point);
    const struct block *block = slot_block(slot);
    if (block) {
        for (uint32_t b = 0; b < slot_bucket_count(slot); b++) {
            const struct bucket *bucket = &block->buckets[b];
            for (uint32_t i = 0; i < bucket_count(bucket); i++) {
                forget(hot, point, bucket_ref(bucket, i));
            }
        }
        for (uint32_t i = 0; i < block->spill_count; i++) {
            forget(hot, point, block->spill[i].ref);
        }
        block_free(hot, point);
    }
    block_set_complete(hot, point, is_complete);
}

/* One entry in [start, last] of the bucket, if there is one. */
static bool clear_one(struct hot *hot, uint64_t start, uint64_t last)
{
    struct order order;
    struct spill item;
    struct spot spot;
    order_begin(&order, hot, start, 0);
    while (order_next(&order, &item, &spot)) {
        if (item.point >= start && item.point <= last) {
            block_drop(hot, item.point, &spot);
            forget(hot, item.point, item.ref);
            return true;
        }
    }
    return false;
}

static void clear_part(struct hot *hot, uint64_t start, uint64_t last)
{
    uint64_t point = start;
    bool is_end = false;
    while (!is_end) {
        uint64_t span_last = hot_span(hot, point).last;
        while (clear_one(hot, point, last)) {
        }
        is_end = span_last >= last;
        point = span_last + 1;
    }
    block_settle(hot, start);
}

static uint64_t sector_of(uint64_t point)
{
    return point >> (64 - SECTOR_BITS);
}

static bool is_whole_sector(uint64_t first, uint64_t last)
{
    return first << SECTOR_BITS == 0 && (last + 1) << SECTOR_BITS == 0;
}

void hot_clear(struct hot *hot, uint64_t start, uint64_t last, bool is_complete)
{
    bool is_end = start > last;
    uint64_t sector_first = start;
    while (!is_end) {
        uint64_t slot = *hot_slot(hot, start);
        uint64_t block_first = slot_first(slot, start);
        uint64_t block_last = slot_last(slot, start);
        if (start == block_first && block_last <= last) {
            clear_block(hot, start, is_complete);
        } else {
            clear_part(hot, start, block_last < last ? block_last : last);
            if (!is_complete) {
                block_set_complete(hot, start, false);
            }
        }
        is_end = block_last >= last;
        start = block_last + 1;
        if (is_end || sector_of(start) != sector_of(sector_first)) {
            if (block_last <= last && is_whole_sector(sector_first, block_last)) {
                block_forget_sector(hot, sector_first, is_complete);
            }
            sector_first = start;
        }
    }
}
