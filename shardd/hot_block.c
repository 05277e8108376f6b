/* SPDX-License-Identifier: MIT */
#include "shardd/hot_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "io/memory.h"

#define SPILL_CAPACITY_MIN 4

/* References that one split moves at most: where it could not be in time, it is not any more. */
#define SPLIT_MAX (2 * BUCKET_FULL * BUCKET_MAX)

/* Buckets between the one that is moved and those whose entries are fetched meanwhile. */
#define PREFETCH_AHEAD 2

/* With the head they are 2, 3, 4, 6, 8, 12 .. 128 cache lines: each is a class of the arena. */
static const uint8_t bucket_counts[] = {1, 2, 3, 5, 7, 11, 15, 23, 31, 47, 63, 95, BUCKET_MAX};

static size_t block_len(uint32_t count)
{
    return sizeof(struct block) + count * sizeof(struct bucket);
}

static void *get(struct hot *hot, size_t len)
{
    hot->blocks_len += arena_class_len(len);
    return arena_get_fixed(hot->arena, len);
}

static void put(struct hot *hot, void *memory, size_t len)
{
    hot->blocks_len -= arena_class_len(len);
    arena_put(hot->arena, memory, len);
}

/* --- slots --- */

/* The slots of one block are equal neighbours. */
static void set_slots(struct hot *hot, uint64_t point, uint64_t slot)
{
    struct sector *sector = &hot->sectors[point >> (64 - SECTOR_BITS)];
    uint64_t *at = hot_slot(hot, slot_first(slot, point));
    uint64_t count = UINT64_C(1) << (sector->depth - slot_depth(slot));
    for (uint64_t i = 0; i < count; i++) {
        at[i] = slot;
    }
}

static uint64_t slot_of(struct block *block, uint32_t count, uint64_t like)
{
    uint64_t address = (uint64_t)(uintptr_t)block;
    assert((address & ~ADDRESS_MASK) == 0);
    return address | (uint64_t)count << COUNT_SHIFT | (uint64_t)slot_depth(like) << DEPTH_SHIFT |
           (like & SLOT_COMPLETE);
}

static uint64_t slot_deeper(uint64_t slot)
{
    return slot + (UINT64_C(1) << DEPTH_SHIFT);
}

void block_set_complete(struct hot *hot, uint64_t point, bool is_complete)
{
    uint64_t slot = *hot_slot(hot, point);
    uint64_t changed = is_complete ? slot | SLOT_COMPLETE : slot & ~SLOT_COMPLETE;
    if (changed != slot) {
        set_slots(hot, point, changed);
    }
}

struct span hot_span(const struct hot *hot, uint64_t point)
{
    struct span span = {.slot = *hot_slot(hot, point)};
    span.block = slot_block(span.slot);
    uint64_t first = slot_first(span.slot, point);
    uint64_t last = slot_last(span.slot, point);
    span.first = first;
    span.last = last;
    if (span.block) {
        uint64_t count = slot_bucket_count(span.slot);
        uint64_t index = slot_bucket(span.slot, point);
        /* From 2^-32 of the block to points. */
        uint32_t shift = 32 - SECTOR_BITS - slot_depth(span.slot);
        span.bucket = &span.block->buckets[index];
        span.first = first + (((index << 32) + count - 1) / count << shift);
        if (index + 1 < count) {
            span.last = first + ((((index + 1) << 32) + count - 1) / count << shift) - 1;
        }
    }
    return span;
}

/* --- spills --- */

/* How many spilled entries stand before `point`. */
static uint32_t spills_before(const struct block *block, uint64_t point)
{
    uint32_t low = 0;
    uint32_t high = block->spill_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (block->spill[middle].point < point) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void block_run(const struct span *span, uint32_t *first, uint32_t *end)
{
    *first = 0;
    *end = 0;
    if (span->block && bucket_is_spilled(span->bucket)) {
        *first = spills_before(span->block, span->first);
        *end = *first;
        if (span->last == UINT64_MAX) {
            *end = span->block->spill_count;
        } else {
            *end = spills_before(span->block, span->last + 1);
        }
    }
}

/* How many of them stand before the item. Appending in order is what a split does. */
static uint32_t spill_place(const struct block *block, const struct spill *item)
{
    uint32_t low = 0;
    uint32_t high = block->spill_count;
    if (high > 0 && entry_order(&block->spill[high - 1], item) < 0) {
        return high;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entry_order(&block->spill[middle], item) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void resize_spill(struct hot *hot, struct block *block, uint32_t capacity)
{
    size_t old_len = block->spill_capacity * sizeof(struct spill);
    struct spill *old = block->spill;
    struct spill *spill = NULL;
    if (capacity > 0) {
        spill = get(hot, capacity * sizeof(*spill));
    }
    if (spill && block->spill_count > 0) {
        memcpy(spill, old, block->spill_count * sizeof(*spill));
    }
    if (old) {
        put(hot, old, old_len);
    }
    block->spill = spill;
    block->spill_capacity = capacity;
}

static void spill_add(struct hot *hot, struct block *block, uint64_t point, uint64_t ref)
{
    if (block->spill_count == block->spill_capacity) {
        resize_spill(hot, block,
                     block->spill_capacity ? 2 * block->spill_capacity : SPILL_CAPACITY_MIN);
    }
    assert(block->spill && block->spill_count < block->spill_capacity);
    struct spill item = {point, ref};
    uint32_t place = spill_place(block, &item);
    struct spill *at = block->spill + place;
    memmove(at + 1, at, (block->spill_count - place) * sizeof(*at));
    *at = item;
    block->spill_count++;
}

static void spill_remove(struct block *block, uint32_t index)
{
    struct spill *at = block->spill + index;
    block->spill_count--;
    memmove(at, at + 1, (block->spill_count - index) * sizeof(*at));
}

struct hot_record *block_find_spilled(const struct span *span, uint64_t point, uint16_t table,
                                      struct bytes key, struct spot *spot)
{
    const struct block *block = span->block;
    uint32_t low = spills_before(block, point);
    uint32_t high = block->spill_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct spill *item = &block->spill[middle];
        struct hot_record *entry = ref_entry(item->ref);
        int order = item->point != point;
        if (order == 0) {
            order = entry_table(entry) - table;
        }
        if (order == 0) {
            order = bytes_compare(entry_key(entry), key);
        }
        if (order == 0) {
            *spot = (struct spot){.span = *span, .is_spilled = true, .index = middle};
            return entry;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* --- references --- */

static void bucket_append(struct bucket *bucket, uint64_t point, uint64_t ref)
{
    uint32_t count = bucket_count(bucket);
    bucket->bytes[count] = (uint8_t)point;
    bucket_set_ref(bucket, count, ref);
    bucket->bytes[63]++;
}

static void append(struct hot *hot, uint64_t slot, uint64_t point, uint64_t ref)
{
    struct block *block = slot_block(slot);
    struct bucket *bucket = &block->buckets[slot_bucket(slot, point)];
    block->count++;
    if (bucket_count(bucket) < BUCKET_REFS) {
        bucket_append(bucket, point, ref);
    } else {
        bucket->bytes[63] |= META_SPILLED;
        spill_add(hot, block, point, ref);
    }
}

static bool locate_in_bucket(const struct span *span, const struct hot_record *entry,
                             struct spot *spot)
{
    for (uint32_t i = 0; i < bucket_count(span->bucket); i++) {
        if (ref_entry(bucket_ref(span->bucket, i)) == entry) {
            *spot = (struct spot){.span = *span, .index = i};
            return true;
        }
    }
    return false;
}

bool block_locate(const struct hot *hot, uint64_t point, const struct hot_record *entry,
                  struct spot *spot)
{
    struct span span = {.slot = *hot_slot(hot, point)};
    span.block = slot_block(span.slot);
    if (!span.block) {
        return false;
    }
    span.bucket = &span.block->buckets[slot_bucket(span.slot, point)];
    if (locate_in_bucket(&span, entry, spot)) {
        return true;
    }
    return bucket_is_spilled(span.bucket) &&
           block_find_spilled(&span, point, entry_table(entry), entry_key(entry), spot) == entry;
}

struct spot block_get(const struct hot *hot, uint64_t point, const struct hot_record *entry)
{
    struct spot spot;
    bool is_there = block_locate(hot, point, entry, &spot);
    assert(is_there);
    return spot;
}

/* A spilled entry takes the free place. */
static void refill(const struct span *span, uint32_t index, uint32_t spilled)
{
    struct spill item = span->block->spill[spilled];
    spill_remove(span->block, spilled);
    span->bucket->bytes[index] = (uint8_t)item.point;
    bucket_set_ref(span->bucket, index, item.ref);
}

static void drop_of_spilled(const struct hot *hot, uint64_t point, const struct spot *spot)
{
    struct span span = hot_span(hot, point);
    uint32_t first;
    uint32_t end;
    block_run(&span, &first, &end);
    assert(first < end);
    if (spot->is_spilled) {
        spill_remove(span.block, spot->index);
    } else {
        refill(&span, spot->index, end - 1);
    }
    if (end - first == 1) {
        span.bucket->bytes[63] &= META_COUNT;
    }
}

void block_drop(const struct hot *hot, uint64_t point, const struct spot *spot)
{
    struct bucket *bucket = spot->span.bucket;
    spot->span.block->count--;
    if (bucket_is_spilled(bucket)) {
        drop_of_spilled(hot, point, spot);
    } else {
        uint32_t last = bucket_count(bucket) - 1;
        bucket->bytes[spot->index] = bucket->bytes[last];
        bucket_set_ref(bucket, spot->index, bucket_ref(bucket, last));
        bucket->bytes[63]--;
    }
}

/* --- blocks --- */

static struct block *block_new(struct hot *hot, uint32_t count)
{
    struct block *block = get(hot, block_len(count));
    memset(block, 0, block_len(count));
    return block;
}

static void block_release(struct hot *hot, uint64_t slot)
{
    struct block *block = slot_block(slot);
    block->spill_count = 0;
    resize_spill(hot, block, 0);
    put(hot, block, block_len(slot_bucket_count(slot)));
}

void block_free(struct hot *hot, uint64_t point)
{
    uint64_t slot = *hot_slot(hot, point);
    block_release(hot, slot);
    set_slots(hot, point, slot_of(NULL, 0, slot));
}

void block_forget_sector(struct hot *hot, uint64_t point, bool is_complete)
{
    struct sector *sector = &hot->sectors[point >> (64 - SECTOR_BITS)];
    if (sector->slots != &sector->single) {
        hot->directory_len -= sizeof(uint64_t) << sector->depth;
        free(sector->slots);
    }
    *sector = (struct sector){.slots = &sector->single, .single = is_complete ? SLOT_COMPLETE : 0};
}

/* A quarter more than there is now: it was growing. */
static uint32_t bucket_count_for(uint64_t entry_count)
{
    uint64_t wanted = entry_count * 5 / 4;
    uint32_t i = 0;
    while (bucket_counts[i] < BUCKET_MAX && (uint64_t)BUCKET_FULL * bucket_counts[i] < wanted) {
        i++;
    }
    return bucket_counts[i];
}

static void prefetch_entries(const struct block *block, uint32_t index, uint32_t count)
{
    if (index < count) {
        const struct bucket *bucket = &block->buckets[index];
        for (uint32_t i = 0; i < bucket_count(bucket); i++) {
            entry_prefetch(bucket_ref(bucket, i));
        }
    }
}

/* Where a block's entries go: those before `middle` to `low`. */
struct move {
    uint64_t middle;
    uint64_t low;
    uint64_t high;
};

static void move_ref(struct hot *hot, const struct move *move, uint64_t point, uint64_t ref)
{
    append(hot, point < move->middle ? move->low : move->high, point, ref);
    hot->moved_count++;
}

static void move_all(struct hot *hot, uint64_t slot, const struct move *move)
{
    const struct block *block = slot_block(slot);
    uint32_t count = slot_bucket_count(slot);
    for (uint32_t b = 0; b < PREFETCH_AHEAD; b++) {
        prefetch_entries(block, b, count);
    }
    for (uint32_t b = 0; b < count; b++) {
        const struct bucket *bucket = &block->buckets[b];
        prefetch_entries(block, b + PREFETCH_AHEAD, count);
        for (uint32_t i = 0; i < bucket_count(bucket); i++) {
            uint64_t ref = bucket_ref(bucket, i);
            move_ref(hot, move, entry_point(hot, ref_entry(ref)), ref);
        }
    }
    for (uint32_t i = 0; i < block->spill_count; i++) {
        move_ref(hot, move, block->spill[i].point, block->spill[i].ref);
    }
    block_release(hot, slot);
}

static void resize(struct hot *hot, uint64_t point, uint32_t count)
{
    uint64_t slot = *hot_slot(hot, point);
    uint64_t resized = slot_of(block_new(hot, count), count, slot);
    struct move move = {.middle = 0, .high = resized};
    move_all(hot, slot, &move);
    set_slots(hot, point, resized);
}

/* About, for the sizes of the halves: a bucket across the middle counts half. */
static uint32_t count_before(uint64_t slot, uint64_t middle)
{
    const struct block *block = slot_block(slot);
    uint32_t half = slot_bucket_count(slot) / 2;
    uint32_t count = spills_before(block, middle);
    for (uint32_t b = 0; b < half; b++) {
        count += bucket_count(&block->buckets[b]);
    }
    return count + bucket_count(&block->buckets[half]) / 2;
}

/* An empty half has no block; what comes into it begins small. */
static uint64_t drop_if_empty(struct hot *hot, uint64_t slot)
{
    if (slot_block(slot)->count > 0) {
        return slot;
    }
    block_release(hot, slot);
    return slot_of(NULL, 0, slot);
}

static void split(struct hot *hot, uint64_t point)
{
    uint64_t slot = *hot_slot(hot, point);
    uint64_t first = slot_first(slot, point);
    uint64_t middle = first + (UINT64_C(1) << (63 - SECTOR_BITS - slot_depth(slot)));
    uint32_t low_count = count_before(slot, middle);
    uint32_t low = bucket_count_for(low_count);
    uint32_t high = bucket_count_for(slot_block(slot)->count - low_count);
    struct move move = {.middle = middle,
                        .low = slot_of(block_new(hot, low), low, slot_deeper(slot)),
                        .high = slot_of(block_new(hot, high), high, slot_deeper(slot))};
    move_all(hot, slot, &move);
    set_slots(hot, first, drop_if_empty(hot, move.low));
    set_slots(hot, middle, drop_if_empty(hot, move.high));
}

static bool may_double(const struct hot *hot, const struct sector *sector)
{
    size_t added = sizeof(uint64_t) << sector->depth;
    return sector->depth < DEPTH_LIMIT &&
           hot->directory_len + added <=
               DIRECTORY_LEN_FREE + DIRECTORY_LEN_PER_ENTRY * hot->entry_count;
}

static void double_directory(struct hot *hot, struct sector *sector)
{
    uint64_t *slots = memory_resize(NULL, (size_t)2 << sector->depth, sizeof(*slots));
    for (size_t i = 0; i < (size_t)1 << sector->depth; i++) {
        slots[2 * i] = sector->slots[i];
        slots[2 * i + 1] = sector->slots[i];
    }
    if (sector->slots == &sector->single) {
        hot->directory_len += 2 * sizeof(*slots);
    } else {
        hot->directory_len += sizeof(*slots) << sector->depth;
        free(sector->slots);
    }
    sector->slots = slots;
    sector->depth++;
}

/* One step: more buckets, or a split. Where neither can be, more is spilled. */
static void grow(struct hot *hot, uint64_t point)
{
    struct sector *sector = &hot->sectors[point >> (64 - SECTOR_BITS)];
    uint64_t slot = *hot_slot(hot, point);
    if (slot_bucket_count(slot) < BUCKET_MAX) {
        resize(hot, point, bucket_count_for(slot_block(slot)->count));
        return;
    }
    if (slot_block(slot)->count > SPLIT_MAX) {
        return;
    }
    if (slot_depth(slot) == sector->depth) {
        if (!may_double(hot, sector)) {
            return;
        }
        double_directory(hot, sector);
    }
    split(hot, point);
}

void block_add(struct hot *hot, uint64_t point, uint64_t ref)
{
    uint64_t slot = *hot_slot(hot, point);
    if (!slot_block(slot)) {
        set_slots(hot, point, slot_of(block_new(hot, 1), 1, slot));
    } else if (slot_block(slot)->count >= BUCKET_FULL * slot_bucket_count(slot)) {
        grow(hot, point);
    }
    slot = *hot_slot(hot, point);
    if (!slot_block(slot)) {
        set_slots(hot, point, slot_of(block_new(hot, 1), 1, slot));
        slot = *hot_slot(hot, point);
    }
    append(hot, slot, point, ref);
}

static void expect_in_sector(struct hot *hot, uint64_t point, uint64_t count)
{
    const struct sector *sector = &hot->sectors[point >> (64 - SECTOR_BITS)];
    uint64_t slot = *hot_slot(hot, point);
    if (sector->depth == 0 && !slot_block(slot) && count > BUCKET_FULL) {
        uint32_t buckets = bucket_count_for(count);
        set_slots(hot, point, slot_of(block_new(hot, buckets), buckets, slot));
    }
}

void hot_expect(struct hot *hot, uint64_t first, uint64_t last, uint64_t gap)
{
    uint64_t end;
    do {
        end = first | (UINT64_MAX >> SECTOR_BITS);
        end = end < last ? end : last;
        expect_in_sector(hot, first, (end - first) / gap);
        first = end + 1;
    } while (end < last);
}

void block_settle(struct hot *hot, uint64_t point)
{
    uint64_t slot = *hot_slot(hot, point);
    const struct block *block = slot_block(slot);
    uint32_t count = slot_bucket_count(slot);
    if (!block) {
        return;
    }
    if (block->count == 0) {
        block_free(hot, point);
    } else if (count > 1 && 4 * block->count < BUCKET_FULL * count) {
        resize(hot, point, bucket_count_for(block->count));
    }
}
