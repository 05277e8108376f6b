/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_HOT_INTERNAL_H
#define SHARDD_HOT_INTERNAL_H

/*
 * The hot table's parts: hot_entry.c (a record's memory), hot_block.c (blocks, buckets, growth),
 * hot_order.c (a bucket in tree order), hot.c (one key), hot_sweep.c and hot_evict.c (the hands), hot_trim.c
 * (keeping to a limit).
 *
 *     slot     | block, 48 bits | its depth, 5 | buckets, 7 | complete |   2^(sector depth - depth) equal ones
 *     block    | head, 64 bytes | buckets: 1, 2, 3, 5, 7, 11 .. 127 |     grows by halves, then splits
 *     bucket   | 9 tags | 9 references of 6 bytes | count, spilled |      tag: the point's low byte
 *     spill    | point | reference | ...                                  what does not fit its bucket
 *
 * Rules:
 *  - Buckets are in order of points, within a block, too; in a bucket there is none.
 *  - A bucket has spilled entries only while it is full, and says so.
 *  - An interval without entries needs no block.
 *  - The point of a record is not kept: it follows from table and key (RULES N1). A spilled one's is.
 */

#include <assert.h>

#include "proto/endian.h"
#include "shardd/hot.h"

#define SECTOR_BITS  12 /* of the point: which directory */
#define SECTOR_COUNT (1u << SECTOR_BITS)
#define BUCKET_MAX   127 /* of a block: 8 KiB with its head; it splits at 889 entries */
#define BUCKET_REFS  9
#define BUCKET_FULL  7 /* mean fill at which a block grows; one entry in twenty is spilled then */

/* Deeper blocks do not split: a directory doubles within 100 us. With SECTOR_BITS, 2^-28 of the circle. */
#define DEPTH_LIMIT 16

/* Directories are at most this and some bytes for each entry: points can be chosen (the hash is public). */
#define DIRECTORY_LEN_FREE      ((size_t)4 << 20)
#define DIRECTORY_LEN_PER_ENTRY 4

enum ref_bit {
    REF_DIRTY = 1,
    REF_BATCH = 2,
    REF_USED = 4,
    REF_BITS = 7,
};

#define ADDRESS_MASK  ((UINT64_C(1) << 48) - 1)
#define DEPTH_SHIFT   48
#define COUNT_SHIFT   53
#define SLOT_COMPLETE (UINT64_C(1) << 60)

#define META_SPILLED 0x80u
#define META_COUNT   0x0fu

struct hot_record {
    uint64_t version;
    uint32_t value_len; /* HOT_FETCHING: of a pointer to its waiters */
    uint32_t shape;     /* see hot_entry.c */
    uint8_t rest[];
};

struct bucket {
    uint8_t bytes[64];
};

struct spill {
    uint64_t point;
    uint64_t ref;
};

struct block {
    uint32_t count; /* entries, spilled ones included */
    uint32_t spill_count;
    uint32_t spill_capacity;
    uint32_t unused_0;
    struct spill *spill; /* in tree order */
    uint64_t unused_1[5];
    struct bucket buckets[];
};

_Static_assert(sizeof(struct block) == 64, "buckets are cache lines");

struct sector {
    uint64_t *slots; /* 2^depth; &single at first */
    uint64_t single;
    uint32_t depth;
};

typedef uint64_t hot_point_function(uint16_t table, struct bytes key);

struct hot {
    struct sector sectors[SECTOR_COUNT];
    hot_point_function *point_of;
    struct arena *arena;
    size_t blocks_len; /* what blocks and spills have of the arena */
    size_t directory_len;
    uint64_t entry_count;
    uint64_t record_count;
    uint64_t arc_dirty[HOT_ARC_COUNT];
    uint32_t sector_dirty[SECTOR_COUNT]; /* the same, finer: what is clean is passed over */
    size_t dirty_len;
    uint64_t hand; /* of hot_evict */
    uint64_t moved_count;
    /* More dirty entries than a batch holds were in one bucket: what is newer than this waits. */
    uint64_t crowd_point;
    uint64_t crowd_durable;
    bool is_crowded;
};

/* Tests bring points of their own. */
struct hot *hot_new_with(struct arena *arena, bool is_complete, hot_point_function *point_of);

/* References that growing and shrinking have moved so far. */
uint64_t hot_moved(const struct hot *hot);

/*
 * Moves entries of sparse slabs together, at most move_max, until hot_held is at or below `target`, or nothing more
 * can be gained. Returns how many.
 */
uint32_t hot_compact(struct hot *hot, size_t target, uint32_t move_max);

/* --- slots --- */

static inline uint64_t *hot_slot(const struct hot *hot, uint64_t point)
{
    const struct sector *sector = &hot->sectors[point >> (64 - SECTOR_BITS)];
    return &sector->slots[(point << SECTOR_BITS >> 1) >> (63 - sector->depth)];
}

static inline struct block *slot_block(uint64_t slot)
{
    return (struct block *)(uintptr_t)(slot & ADDRESS_MASK);
}

static inline uint32_t slot_depth(uint64_t slot)
{
    return (uint32_t)(slot >> DEPTH_SHIFT) & 31;
}

static inline uint32_t slot_bucket_count(uint64_t slot)
{
    return (uint32_t)(slot >> COUNT_SHIFT) & 127;
}

/* The point's place in its block, as a fraction of 2^32, times the buckets. */
static inline uint32_t slot_bucket(uint64_t slot, uint64_t point)
{
    uint64_t inside = point << (SECTOR_BITS + slot_depth(slot)) >> 32;
    return (uint32_t)(inside * slot_bucket_count(slot) >> 32);
}

/* First point of the block that has `point`. */
static inline uint64_t slot_first(uint64_t slot, uint64_t point)
{
    uint32_t shift = 64 - SECTOR_BITS - slot_depth(slot);
    return point >> shift << shift;
}

static inline uint64_t slot_last(uint64_t slot, uint64_t point)
{
    uint32_t shift = 64 - SECTOR_BITS - slot_depth(slot);
    return point | ((UINT64_C(1) << shift) - 1);
}

/* Points from `first` to `last` are in one bucket, or in one interval without a block. */
struct span {
    uint64_t first;
    uint64_t last;
    uint64_t slot;
    struct block *block; /* NULL: nothing here */
    struct bucket *bucket;
};

struct span hot_span(const struct hot *hot, uint64_t point);

/* --- references and buckets --- */

static inline struct hot_record *ref_entry(uint64_t ref)
{
    return (struct hot_record *)(uintptr_t)(ref & ~(uint64_t)REF_BITS);
}

static inline uint64_t ref_of(const struct hot_record *entry, uint64_t bits)
{
    uint64_t address = (uint64_t)(uintptr_t)entry;
    assert((address & ~(ADDRESS_MASK - REF_BITS)) == 0);
    return address | bits;
}

static inline uint32_t bucket_count(const struct bucket *bucket)
{
    return bucket->bytes[63] & META_COUNT;
}

static inline bool bucket_is_spilled(const struct bucket *bucket)
{
    return (bucket->bytes[63] & META_SPILLED) != 0;
}

/* Eight bytes that end with the reference: none of them is outside the line. */
static inline uint64_t bucket_ref(const struct bucket *bucket, uint32_t index)
{
    return endian_get_le64(bucket->bytes + BUCKET_REFS - 2 + (size_t)6 * index) >> 16;
}

static inline void bucket_set_ref(struct bucket *bucket, uint32_t index, uint64_t ref)
{
    uint8_t bytes[8];
    endian_put_le64(bytes, ref);
    memcpy(bucket->bytes + BUCKET_REFS + (size_t)6 * index, bytes, 6);
}

/* A bit for each tag that is equal, and perhaps for one above an equal one. */
static inline uint32_t bucket_candidates(const struct bucket *bucket, uint64_t point)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint8_t tag = (uint8_t)point;
    uint64_t differing = endian_get_le64(bucket->bytes) ^ tag * ones;
    uint64_t equal = (differing - ones) & ~differing & ones << 7;
    uint32_t bits = (uint32_t)((equal >> 7) * UINT64_C(0x0102040810204080) >> 56);
    bits |= (uint32_t)(bucket->bytes[8] == tag) << 8;
    return bits & ((1u << bucket_count(bucket)) - 1);
}

/* Where a reference stands. */
struct spot {
    struct span span;
    bool is_spilled;
    uint32_t index; /* in the bucket, or in block->spill */
};

static inline uint64_t spot_ref(const struct spot *spot)
{
    return spot->is_spilled ? spot->span.block->spill[spot->index].ref
                            : bucket_ref(spot->span.bucket, spot->index);
}

static inline void spot_set_ref(const struct spot *spot, uint64_t ref)
{
    if (spot->is_spilled) {
        spot->span.block->spill[spot->index].ref = ref;
    } else {
        bucket_set_ref(spot->span.bucket, spot->index, ref);
    }
}

/* --- entries --- */

size_t entry_len(const struct hot_record *entry);
uint16_t entry_table(const struct hot_record *entry);
struct bytes entry_key(const struct hot_record *entry);
size_t entry_len_for(const struct record *record, enum hot_state state);
void entry_encode(struct hot_record *entry, const struct record *record, enum hot_state state);
void entry_decode(const struct hot_record *entry, uint64_t point, struct hot_view *view);
bool entry_has_expiry(const struct hot_record *entry);
void entry_set_expiry(struct hot_record *entry, uint64_t expiry_ms);

/* All the key's bytes, of most keys. */
static inline void entry_prefetch(uint64_t ref)
{
    const char *entry = (const char *)ref_entry(ref);
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + 32);
}

static inline bool entry_is(const struct hot_record *entry, uint16_t table, struct bytes key)
{
    return bytes_equal(entry_key(entry), key) && entry_table(entry) == table;
}

/* RULES N1. */
static inline uint64_t entry_point(const struct hot *hot, const struct hot_record *entry)
{
    return hot->point_of(entry_table(entry), entry_key(entry));
}

/* RULES N4. */
int entry_order(const struct spill *a, const struct spill *b);

/* Adds the entry to all counters, or takes it from them. */
void hot_count(struct hot *hot, uint64_t point, uint64_t ref);
void hot_uncount(struct hot *hot, uint64_t point, uint64_t ref);
void hot_release(struct hot *hot, struct hot_record *entry);

/* --- blocks --- */

/* Finds room for a new reference; the table may grow by one step before. */
void block_add(struct hot *hot, uint64_t point, uint64_t ref);

/* False: the table does not refer to this entry. */
bool block_locate(const struct hot *hot, uint64_t point, const struct hot_record *entry,
                  struct spot *spot);
struct spot block_get(const struct hot *hot, uint64_t point, const struct hot_record *entry);
struct hot_record *block_find_spilled(const struct span *span, uint64_t point, uint16_t table,
                                      struct bytes key, struct spot *spot);

/* Spilled entries of the bucket: block->spill[*first] up to before [*end]. */
void block_run(const struct span *span, uint32_t *first, uint32_t *end);

/* Takes the reference out; the entry is the caller's. The last of the bucket takes its place. */
void block_drop(const struct hot *hot, uint64_t point, const struct spot *spot);

/* After references were taken out: a block that is nearly empty shrinks, an empty one goes. */
void block_settle(struct hot *hot, uint64_t point);

void block_set_complete(struct hot *hot, uint64_t point, bool is_complete);

/* The block's interval has no entries any more: frees the block, not its entries. */
void block_free(struct hot *hot, uint64_t point);

/* A sector without blocks: frees its directory. */
void block_forget_sector(struct hot *hot, uint64_t point, bool is_complete);

/* --- a bucket in tree order --- */

struct order {
    struct span span;
    struct spill own[BUCKET_REFS]; /* those of the bucket, sorted */
    uint32_t own_index[BUCKET_REFS];
    uint32_t own_count;
    uint32_t own_next;
    uint32_t run_next;
    uint32_t run_end;
    uint64_t wanted; /* only references that have these bits */
};

void order_begin(struct order *order, const struct hot *hot, uint64_t point, uint64_t wanted);

/* False: that was all. `item` may not be the same one's as before. */
bool order_next(struct order *order, struct spill *item, struct spot *spot);

#endif
