/* SPDX-License-Identifier: MIT */
#include "shardd/hot_internal.h"

#include <assert.h>

/*
 * shape:  bits 0..8 length of the key | 9..10 enum hot_state | 11 has expiry and time to live
 *         | 12 has table and kind | 16..23 the record's flags
 */
#define SHAPE_KEY_LEN     511u
#define SHAPE_STATE_SHIFT 9
#define SHAPE_HAS_EXPIRY  (1u << 11)
#define SHAPE_HAS_TABLE   (1u << 12)
#define SHAPE_FLAGS_SHIFT 16

#define EXPIRY_LEN 16
#define TABLE_LEN  4

_Static_assert(KEY_LEN_MAX <= SHAPE_KEY_LEN, "a key's length fits");
_Static_assert(sizeof(struct hot_record) == 16, "a 16-byte key and 102 bytes take 136");

static size_t key_start(uint32_t shape)
{
    size_t start = (shape & SHAPE_HAS_EXPIRY) != 0 ? EXPIRY_LEN : 0;
    return start + ((shape & SHAPE_HAS_TABLE) != 0 ? TABLE_LEN : 0);
}

static size_t key_len(uint32_t shape)
{
    return shape & SHAPE_KEY_LEN;
}

static uint32_t shape_of(const struct record *record, enum hot_state state)
{
    uint32_t shape = (uint32_t)record->key.len | (uint32_t)state << SHAPE_STATE_SHIFT |
                     (uint32_t)record->flags << SHAPE_FLAGS_SHIFT;
    shape |= record->expiry_ms != 0 || record->ttl_ms != 0 ? SHAPE_HAS_EXPIRY : 0;
    shape |= record->table != 0 || record->kind != 0 ? SHAPE_HAS_TABLE : 0;
    return shape;
}

static size_t value_len_for(const struct record *record, enum hot_state state)
{
    switch (state) {
    case HOT_RECORD:
        return record->value.len;
    case HOT_FETCHING:
        return sizeof(void *);
    case HOT_DELETED:
    case HOT_ABSENT:
        break;
    }
    return 0;
}

size_t entry_len_for(const struct record *record, enum hot_state state)
{
    uint32_t shape = shape_of(record, state);
    return sizeof(struct hot_record) + key_start(shape) + key_len(shape) +
           value_len_for(record, state);
}

void entry_encode(struct hot_record *entry, const struct record *record, enum hot_state state)
{
    uint32_t shape = shape_of(record, state);
    uint8_t *next = entry->rest;
    entry->version = record->version;
    entry->value_len = (uint32_t)value_len_for(record, state);
    entry->shape = shape;
    if (shape & SHAPE_HAS_EXPIRY) {
        memcpy(next, &record->expiry_ms, sizeof(record->expiry_ms));
        memcpy(next + 8, &record->ttl_ms, sizeof(record->ttl_ms));
        next += EXPIRY_LEN;
    }
    if (shape & SHAPE_HAS_TABLE) {
        memcpy(next, &record->table, sizeof(record->table));
        memcpy(next + 2, &record->kind, sizeof(record->kind));
        next += TABLE_LEN;
    }
    memcpy(next, record->key.data, record->key.len);
    next += record->key.len;
    if (state == HOT_FETCHING) {
        memset(next, 0, entry->value_len);
    } else if (entry->value_len > 0) {
        memcpy(next, record->value.data, entry->value_len);
    }
}

size_t entry_len(const struct hot_record *entry)
{
    return sizeof(*entry) + key_start(entry->shape) + key_len(entry->shape) + entry->value_len;
}

struct bytes entry_key(const struct hot_record *entry)
{
    return bytes_of(entry->rest + key_start(entry->shape), key_len(entry->shape));
}

uint16_t entry_table(const struct hot_record *entry)
{
    uint16_t table = 0;
    if (entry->shape & SHAPE_HAS_TABLE) {
        memcpy(&table, entry->rest + key_start(entry->shape) - TABLE_LEN, sizeof(table));
    }
    return table;
}

bool entry_has_expiry(const struct hot_record *entry)
{
    return (entry->shape & SHAPE_HAS_EXPIRY) != 0;
}

void entry_set_expiry(struct hot_record *entry, uint64_t expiry_ms)
{
    assert(entry_has_expiry(entry));
    memcpy(entry->rest, &expiry_ms, sizeof(expiry_ms));
}

void entry_decode(const struct hot_record *entry, uint64_t point, struct hot_view *view)
{
    struct record *record = &view->record;
    view->state = hot_state(entry);
    *record = (struct record){.point = point,
                              .key = entry_key(entry),
                              .value = hot_value(entry),
                              .version = entry->version,
                              .table = entry_table(entry),
                              .flags = (uint8_t)(entry->shape >> SHAPE_FLAGS_SHIFT)};
    if (entry->shape & SHAPE_HAS_EXPIRY) {
        memcpy(&record->expiry_ms, entry->rest, sizeof(record->expiry_ms));
        memcpy(&record->ttl_ms, entry->rest + 8, sizeof(record->ttl_ms));
    }
    if (entry->shape & SHAPE_HAS_TABLE) {
        const uint8_t *kind = entry->rest + key_start(entry->shape) - sizeof(record->kind);
        memcpy(&record->kind, kind, sizeof(record->kind));
    }
}

int entry_order(const struct spill *a, const struct spill *b)
{
    if (a->point != b->point) {
        return a->point < b->point ? -1 : 1;
    }
    const struct hot_record *left = ref_entry(a->ref);
    const struct hot_record *right = ref_entry(b->ref);
    int tables = entry_table(left) - entry_table(right);
    return tables != 0 ? tables : bytes_compare(entry_key(left), entry_key(right));
}

/* --- what everybody may ask --- */

enum hot_state hot_state(const struct hot_record *entry)
{
    return (enum hot_state)(entry->shape >> SHAPE_STATE_SHIFT & 3);
}

uint64_t hot_version(const struct hot_record *entry)
{
    return entry->version;
}

struct bytes hot_value(const struct hot_record *entry)
{
    struct bytes key = entry_key(entry);
    bool has_value = hot_state(entry) == HOT_RECORD;
    return bytes_of((const uint8_t *)key.data + key.len, has_value ? entry->value_len : 0);
}

void *hot_waiters(const struct hot_record *entry)
{
    assert(hot_state(entry) == HOT_FETCHING);
    void *waiters;
    memcpy(&waiters, entry->rest + key_start(entry->shape) + key_len(entry->shape), sizeof(void *));
    return waiters;
}

void hot_set_waiters(struct hot_record *entry, void *waiters)
{
    assert(hot_state(entry) == HOT_FETCHING);
    memcpy(entry->rest + key_start(entry->shape) + key_len(entry->shape), &waiters, sizeof(void *));
}

void hot_item_view(const struct hot_item *item, struct hot_view *view)
{
    entry_decode(item->entry, item->point, view);
    view->is_dirty = true;
}
