/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_HOT_H
#define SHARDD_HOT_H

/*
 * The hot table: records in memory, in hash order (RULES N4). Pure memory: no I/O, no clock.
 *
 *     sector 0 .. 4095 ── directory ── block ── bucket 0 .. n       a block covers an interval of points
 *     (point >> 52)    (grows by      │
 *                       doubling)     └ splits in two when it is full, whichever is written: a bounded step
 *
 *     bucket, one cache line    | 9 tags | 9 references of 48 bits | 1 byte |
 *     reference                 pointer to the record, low bits: dirty, in the sweep's batch, used lately
 *     what overflows a bucket   stands in an array sorted by point, table, key, and is bisected: whoever
 *                               makes many equal points (the hash is public) gains nothing
 *
 * Rules:
 *  - A dirty entry (its newest version is not in the tree) is never evicted, a deletion included (S4).
 *  - While a key is fetched from the tree its entry is pinned, and whoever wants the key waits there (S5).
 *  - What is in the sweep's batch is not written to: a change makes a new record, and the old one goes
 *    when the batch is done. So the sweep's worker reads it without a lock and without a copy.
 *  - A block knows whether the tree has any record of its interval that is not here: if not, a key that is
 *    not found here is nowhere, and the tree need not be asked.
 */

#include "proto/record.h"
#include "shardd/arena.h"

enum hot_state {
    HOT_RECORD = 0,
    HOT_DELETED = 1,  /* dirty until the tree knows it */
    HOT_ABSENT = 2,   /* clean: the tree was asked and has nothing */
    HOT_FETCHING = 3, /* pinned; has waiters */
};

/*
 * An entry's memory:
 *     version | value_len | key_len, state, flags | [expiry, ttl] | [table, kind] | key | value
 * Read it by hot_view. Its address changes when it is written.
 */
struct hot_record;

struct hot_view {
    enum hot_state state;
    bool is_dirty;
    /* Key and value point into the entry; the version is the deletion's in HOT_DELETED. */
    struct record record;
};

struct hot;

/* `is_complete`: the tree is empty. `arena` must outlive it. */
struct hot *hot_new(struct arena *arena, bool is_complete);
void hot_free(struct hot *hot); /* waiters must be gone; NULL is allowed */

/* Fetch the cache lines that hot_find will need: first the bucket, then, when it has come, the records. */
void hot_prefetch(const struct hot *hot, uint64_t point);
void hot_prefetch_records(const struct hot *hot, uint64_t point);

/* And, beside hot_prefetch, that which hot_put needs for a key that is not here. */
void hot_prefetch_room(const struct hot *hot, uint64_t point);

/* NULL: not here; then hot_is_complete tells whether it may be in the tree. Counts as a use. */
struct hot_record *hot_find(struct hot *hot, uint64_t point, uint16_t table, struct bytes key);
bool hot_is_complete(const struct hot *hot, uint64_t point);

/*
 * For the hands a record is new until it is used again: those that are asked for once go first. hot_peek looks
 * without a use; hot_forget_use takes back the use by who made the record be fetched.
 */
struct hot_record *hot_peek(const struct hot *hot, uint64_t point, uint16_t table,
                            struct bytes key);
void hot_forget_use(struct hot *hot, uint64_t point, uint16_t table, struct bytes key);

/* The bare minimum, for the hot path; hot_view for the rest. `point` as in hot_find. */
enum hot_state hot_state(const struct hot_record *entry);
uint64_t hot_version(const struct hot_record *entry);
struct bytes hot_value(const struct hot_record *entry);
void hot_view(const struct hot *hot, uint64_t point, const struct hot_record *entry,
              struct hot_view *view);

/*
 * Makes `record` (copied; all its fields but `point` may be given as zero) the entry of its key in `state`,
 * replacing what was there; `entry` is that, or NULL when hot_find found none. What `record` borrows may be
 * in `entry` itself. The value of a deletion is not kept. Returns the entry.
 */
struct hot_record *hot_put(struct hot *hot, struct hot_record *entry, const struct record *record,
                           enum hot_state state, bool is_dirty);

/*
 * Records will come into [first, last], one to `gap` points: an empty part of the table gets its size at once, as far as
 * that is one block to each 2^52 points, since growing to it would move each record twice. About HOT_ROOM_LEN bytes
 * for each; where they do not come it goes as what hot_evict passes.
 */
#define HOT_ROOM_LEN 16
void hot_expect(struct hot *hot, uint64_t first, uint64_t last, uint64_t gap);

/* RULES R4: a later expiry of the same version. Dirty from now on. Returns the entry, perhaps moved. */
struct hot_record *hot_touch(struct hot *hot, uint64_t point, struct hot_record *entry,
                             uint64_t expiry_ms);

/* Not dirty: the key is then unknown here again, and the block no longer complete if it was a HOT_RECORD. */
void hot_remove(struct hot *hot, uint64_t point, struct hot_record *entry);

/* Of an entry that is HOT_FETCHING: first in, first out, the caller's. NULL at first. */
void *hot_waiters(const struct hot_record *entry);
void hot_set_waiters(struct hot_record *entry, void *waiters);

/* --- the sweep --- */

struct hot_item {
    uint64_t point;
    struct hot_record *entry; /* not written to until hot_swept */
};

/*
 * Takes dirty entries whose version is at or below `durable` (S1), from *point on, up to and with `last`, into
 * `items` in tree order, at most `item_max`, looking at no more than `bucket_max` buckets. *point
 * moves to where to go on; *is_end: `last` was passed. Whole buckets are taken. One batch at a time.
 */
uint32_t hot_collect(struct hot *hot, uint64_t *point, uint64_t last, uint64_t durable,
                     struct hot_item *items, uint32_t item_max, uint32_t bucket_max, bool *is_end);

/* A batch is in the tree: what was not changed meanwhile is clean; deletions are gone. */
void hot_swept(struct hot *hot, const struct hot_item *items, uint32_t count);

/* A batch was not written: all of it is as before. */
void hot_not_swept(struct hot *hot, const struct hot_item *items, uint32_t count);

/* Of an item, on any thread. */
void hot_item_view(const struct hot_item *item, struct hot_view *view);

/* --- memory --- */

/*
 * Evicts clean entries that were not used since the hand last passed (second chance; HOT_ABSENT at
 * once), until hot_used is at or below `target`, or `bucket_max` buckets were looked at, or it went round twice.
 * The hand stays where it ends. Returns how many entries went. (Not hot_held: what goes in hash order leaves
 * free items in all slabs, to be used again, and few slabs empty.)
 */
uint32_t hot_evict(struct hot *hot, size_t target, uint32_t bucket_max);

/*
 * Keeps hot_held to `target`, by HOT_TRIM_SLACK more or less, whatever sizes come and go: evicts, and where
 * slabs of sizes that are no longer wanted hold more than that, moves what is left in them together. Looks at
 * no more than `bucket_max` buckets and moves no more than `move_max` entries. Entries' addresses change.
 */
#define HOT_TRIM_SLACK ((size_t)1 << 20)
void hot_trim(struct hot *hot, size_t target, uint32_t bucket_max, uint32_t move_max);

/*
 * Forgets everything in [start, last], dirty or not; what waits there must be gone. What is in the batch stays
 * readable until that is done. Then the interval is complete if `is_complete`: for that no batch may be in
 * flight, which would still bring its records to the tree (RULES V2); a block of which only a part is cleared
 * becomes incomplete at most.
 */
void hot_clear(struct hot *hot, uint64_t start, uint64_t last, bool is_complete);

/*
 * Visits entries in order from `point` on, up to and with `last`, until `visit` returns false. The table must not be
 * changed meanwhile. Clean ones only if `with_clean`. `hot_visit` may use *view during the call alone.
 */
typedef bool hot_visit(void *context, const struct hot_view *view);
void hot_walk(const struct hot *hot, uint64_t point, uint64_t last, bool with_clean,
              hot_visit *visit, void *context);

struct hot_stat {
    uint64_t entry_count; /* of all states */
    uint64_t record_count;
    uint64_t dirty_count;
    size_t dirty_len;   /* bytes of dirty entries, as the arena counts them */
    size_t table_len;   /* bytes of directories, blocks and overflow arrays */
    size_t entries_len; /* the rest of arena_held */
};

void hot_stat(const struct hot *hot, struct hot_stat *out);
size_t hot_held(const struct hot *hot); /* table_len + entries_len */
size_t hot_used(const struct hot *hot); /* the same without what is free in the arena's slabs */
size_t hot_dirty_len(const struct hot *hot);

/* Dirty entries in the arc of RULES S2 (point >> 58). */
#define HOT_ARC_COUNT 64
uint64_t hot_arc_dirty(const struct hot *hot, unsigned arc);

/*
 * The next record from *point on that was not used lately (second chance, as hot_evict), dirty or not: to be
 * deleted through the log (RULES S7). *point moves behind it: of records with one point the next lap takes
 * the next. False: none within `bucket_max`, or up to `last`; *point is where to go on, last + 1 at the end,
 * which may be 0.
 */
bool hot_next_victim(struct hot *hot, uint64_t *point, uint64_t last, uint32_t bucket_max,
                     struct hot_view *view);

#endif
