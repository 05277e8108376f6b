/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_HOT_MODEL_H
#define TESTS_UNIT_HOT_MODEL_H

/*
 * What a hot table must hold: all keys that there may be, sorted (RULES N4), each with what the table and
 * what the tree knows of it. And what a hot table must look like inside.
 */

#include <stdlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/table.h"
#include "shardd/hot_internal.h"
#include "tests/unit/dice.h"

#define MODEL_VALUE_MAX 40000

/* One version of a record; its value is made of its version. */
struct edition {
    uint64_t version;
    uint64_t expiry_ms;
    uint64_t ttl_ms;
    size_t value_len;
    uint16_t kind;
    uint8_t flags;
};

struct known {
    uint64_t point;
    uint8_t key[KEY_LEN_MAX];
    size_t key_len;
    uint16_t table;
    bool is_here;
    bool is_dirty;
    bool is_in_batch;
    enum hot_state state;
    struct edition here;
    bool is_in_tree;
    struct edition tree;
};

struct model {
    struct known *keys;
    size_t count;
    uint64_t clock;   /* the last version */
    size_t limbo_len; /* of entries that only the batch holds */
};

static inline struct bytes known_key(const struct known *known)
{
    return bytes_of(known->key, known->key_len);
}

/* For a call alone; RULES R1 does not matter to memory. */
static inline struct bytes edition_value(const struct edition *edition)
{
    static uint8_t value[MODEL_VALUE_MAX];
    memset(value, (int)(edition->version & 0xff), edition->value_len);
    return bytes_of(value, edition->value_len);
}

static inline struct record known_record(const struct known *known, const struct edition *edition)
{
    return (struct record){.point = known->point,
                           .key = known_key(known),
                           .value = edition_value(edition),
                           .version = edition->version,
                           .expiry_ms = edition->expiry_ms,
                           .ttl_ms = edition->ttl_ms,
                           .table = known->table,
                           .kind = edition->kind,
                           .flags = edition->flags};
}

static inline size_t known_class_len(const struct known *known)
{
    const struct edition *here = &known->here;
    size_t len = 16 + known->key_len;
    len += here->expiry_ms || here->ttl_ms ? 16 : 0;
    len += known->table || here->kind ? 4 : 0;
    len += known->state == HOT_RECORD ? here->value_len : 0;
    len += known->state == HOT_FETCHING ? sizeof(void *) : 0;
    return arena_class_len(len);
}

static inline int known_order(const void *left, const void *right)
{
    const struct known *a = left;
    const struct known *b = right;
    if (a->point != b->point) {
        return a->point < b->point ? -1 : 1;
    }
    int tables = (a->table > b->table) - (a->table < b->table);
    return tables ? tables : bytes_compare(known_key(a), known_key(b));
}

/* Keys of 16 bytes mostly; each hundredth as long as can be. Ids of two to a slice. */
static inline void known_init(struct known *known, struct dice *dice, uint64_t number,
                              hot_point_function *point_of)
{
    static const uint16_t tables[] = {0, 0, 1, 256, TABLE_ENTITIES};
    *known = (struct known){.table = tables[dice_below(dice, 5)]};
    known->key_len = dice_below(dice, 100) == 0 ? KEY_LEN_MAX : 8 + dice_below(dice, 12);
    memset(known->key, 'k', known->key_len);
    if (table_has_ids(known->table)) {
        known->key_len = ID_KEY_LEN;
        endian_put_be64(known->key, number << 9);
    } else {
        memcpy(known->key, &number, sizeof(number));
    }
    known->point = point_of(known->table, known_key(known));
}

/* `number` and its neighbour share a key now and then, in two tables. */
static inline void model_init(struct model *model, struct dice *dice, size_t count,
                              hot_point_function *point_of)
{
    *model = (struct model){.keys = calloc(count, sizeof(*model->keys)), .count = count};
    for (size_t i = 0; i < count; i++) {
        struct known *known = &model->keys[i];
        known_init(known, dice, i, point_of);
        if (i > 0 && dice_below(dice, 20) == 0) {
            *known = model->keys[i - 1];
            known->table = (uint16_t)(known->table + 7 + i);
            known->point = point_of(known->table, known_key(known));
        }
    }
    qsort(model->keys, count, sizeof(*model->keys), known_order);
}

static inline void model_fini(struct model *model)
{
    free(model->keys);
}

static inline void assert_edition(const struct record *record, const struct edition *edition)
{
    assert_int_equal(record->version, edition->version);
    assert_int_equal(record->expiry_ms, edition->expiry_ms);
    assert_int_equal(record->ttl_ms, edition->ttl_ms);
    assert_int_equal(record->kind, edition->kind);
    assert_int_equal(record->flags, edition->flags);
}

static inline void assert_view(const struct known *known, const struct hot_view *view)
{
    assert_true(known->is_here);
    assert_int_equal(view->state, known->state);
    assert_int_equal(view->is_dirty, known->is_dirty);
    assert_int_equal(view->record.point, known->point);
    assert_int_equal(view->record.table, known->table);
    assert_true(bytes_equal(view->record.key, known_key(known)));
    assert_edition(&view->record, &known->here);
    assert_true(bytes_equal(view->record.value, known->state == HOT_RECORD
                                                    ? edition_value(&known->here)
                                                    : bytes_of("", 0)));
}

/* --- the table from inside --- */

static inline void assert_bucket(const struct hot *hot, const struct span *span, uint32_t index)
{
    uint32_t first;
    uint32_t end;
    block_run(span, &first, &end);
    assert_int_equal(bucket_is_spilled(span->bucket), end > first);
    assert_true(end == first || bucket_count(span->bucket) == BUCKET_REFS);
    for (uint32_t i = 0; i < bucket_count(span->bucket); i++) {
        uint64_t point = entry_point(hot, ref_entry(bucket_ref(span->bucket, i)));
        assert_true(point >= span->first && point <= span->last);
        assert_int_equal(slot_bucket(span->slot, point), index);
        assert_int_equal(span->bucket->bytes[i], point & 0xff);
    }
}

static inline void assert_spill(const struct hot *hot, const struct block *block)
{
    assert_true(block->spill_count <= block->spill_capacity);
    for (uint32_t i = 0; i < block->spill_count; i++) {
        const struct spill *item = &block->spill[i];
        assert_int_equal(item->point, entry_point(hot, ref_entry(item->ref)));
        assert_true(i == 0 || entry_order(item - 1, item) < 0);
    }
}

static inline uint64_t assert_block(const struct hot *hot, uint64_t point)
{
    uint64_t slot = *hot_slot(hot, point);
    const struct block *block = slot_block(slot);
    uint32_t count = 0;
    if (!block) {
        return 0;
    }
    assert_true(block->count > 0);
    assert_spill(hot, block);
    for (uint32_t b = 0; b < slot_bucket_count(slot); b++) {
        struct span span = hot_span(hot, point);
        assert_int_equal(span.bucket - block->buckets, b);
        assert_bucket(hot, &span, b);
        count += bucket_count(span.bucket);
        point = span.last + 1;
    }
    assert_int_equal(block->count, count + block->spill_count);
    return block->count;
}

/* Blocks tile the circle; returns the entries in them. */
static inline uint64_t assert_inside(const struct hot *hot)
{
    uint64_t count = 0;
    uint64_t point = 0;
    do {
        uint64_t slot = *hot_slot(hot, point);
        assert_int_equal(slot_first(slot, point), point);
        assert_int_equal(*hot_slot(hot, slot_last(slot, point)), slot);
        count += assert_block(hot, point);
        point = slot_last(slot, point) + 1;
    } while (point != 0);
    return count;
}

static inline void assert_counters(const struct hot *hot, const struct arena *arena,
                                   const struct model *model)
{
    uint64_t dirty[HOT_ARC_COUNT] = {0};
    struct hot_stat expected = {0};
    struct hot_stat stat;
    size_t used = model->limbo_len + hot->blocks_len;
    for (size_t i = 0; i < model->count; i++) {
        const struct known *known = &model->keys[i];
        if (known->is_here) {
            dirty[known->point >> 58] += known->is_dirty;
            expected.entry_count++;
            expected.record_count += known->state == HOT_RECORD;
            expected.dirty_count += known->is_dirty;
            expected.dirty_len += known->is_dirty ? known_class_len(known) : 0;
            used += known_class_len(known);
        }
    }
    hot_stat(hot, &stat);
    assert_int_equal(stat.entry_count, expected.entry_count);
    assert_int_equal(stat.record_count, expected.record_count);
    assert_int_equal(stat.dirty_count, expected.dirty_count);
    assert_int_equal(stat.dirty_len, expected.dirty_len);
    assert_int_equal(hot_dirty_len(hot), expected.dirty_len);
    assert_int_equal(arena_used(arena), used);
    assert_int_equal(stat.entries_len, arena_held(arena) - hot->blocks_len);
    assert_int_equal(hot_held(hot), stat.table_len + stat.entries_len);
    assert_int_equal(assert_inside(hot), expected.entry_count);
    for (unsigned arc = 0; arc < HOT_ARC_COUNT; arc++) {
        assert_int_equal(hot_arc_dirty(hot, arc), dirty[arc]);
    }
}

#endif
