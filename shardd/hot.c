/* SPDX-License-Identifier: MIT */
#include "shardd/hot_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "io/memory.h"
#include "proto/table.h"

#define CACHE_LINE 64

/* A record of a short key and 100 bytes reaches into a third line. */
#define RECORD_LINES 3

/* --- the table --- */

struct hot *hot_new_with(struct arena *arena, bool is_complete, hot_point_function *point_of)
{
    struct hot *hot = memory_get(1, sizeof(*hot));
    hot->arena = arena;
    hot->point_of = point_of;
    for (uint64_t i = 0; i < SECTOR_COUNT; i++) {
        hot->sectors[i].slots = &hot->sectors[i].single;
        hot->sectors[i].single = is_complete ? SLOT_COMPLETE : 0;
    }
    return hot;
}

struct hot *hot_new(struct arena *arena, bool is_complete)
{
    return hot_new_with(arena, is_complete, table_point);
}

void hot_free(struct hot *hot)
{
    if (!hot) {
        return;
    }
    hot_clear(hot, 0, UINT64_MAX, false);
    free(hot);
}

/* --- finding --- */

/*
 * A function that only prefetches has no effect that the compiler sees: with link-time optimization it drops the
 * calls of those that it has not inlined. An empty statement that it must keep.
 */
#define KEEP_CALLS() __asm__ volatile("")

void hot_prefetch(const struct hot *hot, uint64_t point)
{
    KEEP_CALLS();
    uint64_t slot = *hot_slot(hot, point);
    if (slot_block(slot)) {
        __builtin_prefetch(&slot_block(slot)->buckets[slot_bucket(slot, point)]);
    }
}

void hot_prefetch_records(const struct hot *hot, uint64_t point)
{
    KEEP_CALLS();
    uint64_t slot = *hot_slot(hot, point);
    if (!slot_block(slot)) {
        return;
    }
    const struct bucket *bucket = &slot_block(slot)->buckets[slot_bucket(slot, point)];
    for (uint32_t set = bucket_candidates(bucket, point); set; set &= set - 1) {
        const void *entry = ref_entry(bucket_ref(bucket, (uint32_t)__builtin_ctz(set)));
        for (size_t line = 0; line < RECORD_LINES; line++) {
            __builtin_prefetch((const char *)entry + line * CACHE_LINE);
        }
    }
}

void hot_prefetch_room(const struct hot *hot, uint64_t point)
{
    KEEP_CALLS();
    __builtin_prefetch(slot_block(*hot_slot(hot, point)));
}

/* Always inlined: it is most of a request. */
static inline __attribute__((always_inline)) struct hot_record *
find(const struct hot *hot, uint64_t point, uint16_t table, struct bytes key, struct spot *spot)
{
    spot->is_spilled = false;
    spot->span.slot = *hot_slot(hot, point);
    spot->span.block = slot_block(spot->span.slot);
    if (!spot->span.block) {
        return NULL;
    }
    struct bucket *bucket = &spot->span.block->buckets[slot_bucket(spot->span.slot, point)];
    spot->span.bucket = bucket;
    for (uint32_t set = bucket_candidates(bucket, point); set; set &= set - 1) {
        spot->index = (uint32_t)__builtin_ctz(set);
        struct hot_record *entry = ref_entry(bucket_ref(bucket, spot->index));
        if (entry_is(entry, table, key)) {
            return entry;
        }
    }
    if (!bucket_is_spilled(bucket)) {
        return NULL;
    }
    struct span span = spot->span;
    return block_find_spilled(&span, point, table, key, spot);
}

/* What is no record is marked by nobody: asking for what is not there makes it no hotter once it comes. */
struct hot_record *hot_find(struct hot *hot, uint64_t point, uint16_t table, struct bytes key)
{
    struct spot spot;
    struct hot_record *entry = find(hot, point, table, key, &spot);
    if (entry) {
        uint64_t ref = spot_ref(&spot);
        if (!(ref & REF_USED) && hot_state(entry) == HOT_RECORD) {
            spot_set_ref(&spot, ref | REF_USED);
        }
    }
    return entry;
}

struct hot_record *hot_peek(const struct hot *hot, uint64_t point, uint16_t table, struct bytes key)
{
    struct spot spot;
    return find(hot, point, table, key, &spot);
}

void hot_forget_use(struct hot *hot, uint64_t point, uint16_t table, struct bytes key)
{
    struct spot spot;
    if (find(hot, point, table, key, &spot)) {
        spot_set_ref(&spot, spot_ref(&spot) & ~(uint64_t)REF_USED);
    }
}

bool hot_is_complete(const struct hot *hot, uint64_t point)
{
    return (*hot_slot(hot, point) & SLOT_COMPLETE) != 0;
}

void hot_view(const struct hot *hot, uint64_t point, const struct hot_record *entry,
              struct hot_view *view)
{
    struct spot spot = block_get(hot, point, entry);
    entry_decode(entry, point, view);
    view->is_dirty = (spot_ref(&spot) & REF_DIRTY) != 0;
}

/* --- counters --- */

static size_t entry_class_len(const struct hot_record *entry)
{
    return arena_class_len(entry_len(entry));
}

void hot_count(struct hot *hot, uint64_t point, uint64_t ref)
{
    const struct hot_record *entry = ref_entry(ref);
    hot->entry_count++;
    hot->record_count += hot_state(entry) == HOT_RECORD;
    if (ref & REF_DIRTY) {
        hot->arc_dirty[point >> 58]++;
        hot->sector_dirty[point >> (64 - SECTOR_BITS)]++;
        hot->dirty_len += entry_class_len(entry);
    }
}

void hot_uncount(struct hot *hot, uint64_t point, uint64_t ref)
{
    const struct hot_record *entry = ref_entry(ref);
    hot->entry_count--;
    hot->record_count -= hot_state(entry) == HOT_RECORD;
    if (ref & REF_DIRTY) {
        hot->arc_dirty[point >> 58]--;
        hot->sector_dirty[point >> (64 - SECTOR_BITS)]--;
        hot->dirty_len -= entry_class_len(entry);
    }
}

/* --- changing --- */

static struct hot_record *entry_new(struct hot *hot, const struct record *record,
                                    enum hot_state state)
{
    struct hot_record *entry = arena_get(hot->arena, entry_len_for(record, state));
    entry_encode(entry, record, state);
    return entry;
}

void hot_release(struct hot *hot, struct hot_record *entry)
{
    arena_put(hot->arena, entry, entry_len(entry));
}

static bool is_inside(const struct hot_record *entry, struct bytes bytes)
{
    uintptr_t start = (uintptr_t)entry;
    uintptr_t at = (uintptr_t)bytes.data;
    return at >= start && at < start + entry_len(entry);
}

/* Not if the sweep reads it, and not from itself. */
static bool may_overwrite(const struct hot_record *entry, uint64_t ref, const struct record *record,
                          enum hot_state state)
{
    return !(ref & REF_BATCH) &&
           entry_class_len(entry) == arena_class_len(entry_len_for(record, state)) &&
           !is_inside(entry, record->key) && !is_inside(entry, record->value);
}

static struct hot_record *replace(struct hot *hot, struct hot_record *entry,
                                  const struct record *record, enum hot_state state,
                                  uint64_t dirty_bit)
{
    struct spot spot = block_get(hot, record->point, entry);
    uint64_t ref = spot_ref(&spot);
    struct hot_record *written = entry;
    bool was_record = hot_state(entry) == HOT_RECORD;
    hot_uncount(hot, record->point, ref);
    if (may_overwrite(entry, ref, record, state)) {
        entry_encode(entry, record, state);
    } else {
        written = entry_new(hot, record, state);
        if (!(ref & REF_BATCH)) {
            hot_release(hot, entry);
        }
    }
    ref = ref_of(written, (was_record && state == HOT_RECORD ? ref & REF_USED : 0) | dirty_bit);
    spot_set_ref(&spot, ref);
    hot_count(hot, record->point, ref);
    return written;
}

struct hot_record *hot_put(struct hot *hot, struct hot_record *entry, const struct record *record,
                           enum hot_state state, bool is_dirty)
{
    uint64_t dirty_bit = is_dirty ? REF_DIRTY : 0;
    if (entry) {
        return replace(hot, entry, record, state, dirty_bit);
    }
    entry = entry_new(hot, record, state);
    block_add(hot, record->point, ref_of(entry, dirty_bit));
    hot_count(hot, record->point, ref_of(entry, dirty_bit));
    return entry;
}

struct hot_record *hot_touch(struct hot *hot, uint64_t point, struct hot_record *entry,
                             uint64_t expiry_ms)
{
    assert(hot_state(entry) == HOT_RECORD);
    struct spot spot = block_get(hot, point, entry);
    uint64_t ref = spot_ref(&spot);
    if (ref & REF_BATCH || !entry_has_expiry(entry)) {
        struct hot_view view;
        entry_decode(entry, point, &view);
        view.record.expiry_ms = expiry_ms;
        return replace(hot, entry, &view.record, HOT_RECORD, REF_DIRTY);
    }
    hot_uncount(hot, point, ref);
    entry_set_expiry(entry, expiry_ms);
    spot_set_ref(&spot, ref | REF_DIRTY);
    hot_count(hot, point, ref | REF_DIRTY);
    return entry;
}

void hot_remove(struct hot *hot, uint64_t point, struct hot_record *entry)
{
    struct spot spot = block_get(hot, point, entry);
    uint64_t ref = spot_ref(&spot);
    assert(!(ref & REF_DIRTY));
    hot_uncount(hot, point, ref);
    block_drop(hot, point, &spot);
    if (hot_state(entry) == HOT_RECORD) {
        block_set_complete(hot, point, false);
    }
    hot_release(hot, entry);
    block_settle(hot, point);
}

/* --- what it is like --- */

static size_t table_len(const struct hot *hot)
{
    return sizeof(*hot) + hot->directory_len + hot->blocks_len;
}

void hot_stat(const struct hot *hot, struct hot_stat *out)
{
    *out = (struct hot_stat){.entry_count = hot->entry_count,
                             .record_count = hot->record_count,
                             .dirty_len = hot->dirty_len,
                             .table_len = table_len(hot),
                             .entries_len = arena_held(hot->arena) - hot->blocks_len};
    for (unsigned arc = 0; arc < HOT_ARC_COUNT; arc++) {
        out->dirty_count += hot->arc_dirty[arc];
    }
}

size_t hot_held(const struct hot *hot)
{
    return sizeof(*hot) + hot->directory_len + arena_held(hot->arena);
}

size_t hot_used(const struct hot *hot)
{
    return sizeof(*hot) + hot->directory_len + arena_used(hot->arena);
}

size_t hot_dirty_len(const struct hot *hot)
{
    return hot->dirty_len;
}

uint64_t hot_arc_dirty(const struct hot *hot, unsigned arc)
{
    assert(arc < HOT_ARC_COUNT);
    return hot->arc_dirty[arc];
}

uint64_t hot_moved(const struct hot *hot)
{
    return hot->moved_count;
}
