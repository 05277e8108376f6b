/* SPDX-License-Identifier: MIT */
#include "shardd/hot_internal.h"

/* The part of the target that eviction leaves free, so that the hand need not go at every put. */
#define FREE_PART 64

/* Slabs that are tried when nothing in one can be moved: all of it is in the sweep's batch. */
#define TRIES_MAX 8

/* Not what others know by its address: the sweep's worker, and whoever waits. */
static bool move_entry(void *context, void *memory)
{
    struct hot *hot = context;
    struct hot_record *entry = memory;
    struct spot spot;
    if (hot_state(entry) == HOT_FETCHING ||
        !block_locate(hot, entry_point(hot, entry), entry, &spot) ||
        (spot_ref(&spot) & REF_BATCH)) {
        return false;
    }
    struct hot_record *moved = arena_get(hot->arena, entry_len(entry));
    memcpy(moved, entry, entry_len(entry));
    spot_set_ref(&spot, ref_of(moved, spot_ref(&spot) & REF_BITS));
    hot_release(hot, entry);
    return true;
}

uint32_t hot_compact(struct hot *hot, size_t target, uint32_t move_max)
{
    uint32_t all = 0;
    uint32_t tries = 0;
    while (hot_held(hot) > target && all < move_max && tries < TRIES_MAX) {
        uint32_t moved = arena_compact(hot->arena, move_max - all, move_entry, hot);
        all += moved;
        tries = moved > 0 ? 0 : tries + 1;
    }
    return all;
}

void hot_trim(struct hot *hot, size_t target, uint32_t bucket_max, uint32_t move_max)
{
    size_t used_target = target - target / FREE_PART;
    if (hot_held(hot) <= target) {
        return;
    }
    if (hot_used(hot) > used_target) {
        hot_evict(hot, used_target, bucket_max);
    }
    size_t held = hot_held(hot);
    if (held > target + HOT_TRIM_SLACK &&
        hot_compact(hot, target + HOT_TRIM_SLACK / 2, move_max) == 0) {
        /* Of each size there is a little free: there must be less of all. */
        size_t over = held - target;
        hot_evict(hot, hot_used(hot) > over ? hot_used(hot) - over : 0, bucket_max);
    }
}
