/* SPDX-License-Identifier: MIT */
#include "shardd/merge.h"

#include "io/memory.h"
#include "proto/endian.h"

void merge_fini(struct merge *merge)
{
    buffer_fini(&merge->copies);
}

/* --- on the loop --- */

static bool is_behind_from(const struct merge *merge, struct bytes key)
{
    return bytes_compare(key, bytes_of(merge->from, merge->from_len)) > 0;
}

static void copy_one(struct merge *merge, const struct hot_view *view, struct bytes key)
{
    struct merge_dirty *dirty = &merge->dirty[merge->dirty_count++];
    *dirty = (struct merge_dirty){
        .record = view->record,
        .is_deleted = view->state == HOT_DELETED,
        .key_at = merge->copies.len,
        .key_len = key.len,
        .value_at = merge->copies.len + key.len,
        .value_len = view->record.value.len,
    };
    buffer_append_bytes(&merge->copies, key);
    if (!merge->keys_only) {
        buffer_append_bytes(&merge->copies, view->record.value);
    }
    memory_must(!merge->copies.failed);
}

static bool copy_dirty(void *context, const struct hot_view *view)
{
    struct merge *merge = context;
    const struct record *record = &view->record;
    uint8_t bytes[TREE_KEY_LEN_MAX];
    struct bytes key =
        bytes_of(bytes, record_key_encode(record->point, record->table, record->key, bytes));
    if ((view->state != HOT_RECORD && view->state != HOT_DELETED) || !is_behind_from(merge, key)) {
        return true;
    }
    if (merge->dirty_count == MERGE_DIRTY_MAX || merge->copies.len > MERGE_DIRTY_LEN_MAX) {
        merge->is_capped = true;
        return false;
    }
    copy_one(merge, view, key);
    return true;
}

void merge_copy(struct merge *merge, const struct hot *hot, const struct merge_interval *interval)
{
    memcpy(merge->from, interval->from.data, interval->from.len);
    merge->from_len = interval->from.len;
    merge->last = interval->last;
    merge->keys_only = interval->keys_only;
    merge->is_capped = false;
    merge->dirty_count = 0;
    buffer_clear(&merge->copies);
    hot_walk(hot, endian_get_be64(merge->from), merge->last, false, copy_dirty, merge);
}

/* --- on the worker --- */

/* What is no key counts as part of it, or damage would be passed over. */
static bool is_in_interval(const struct merge *merge)
{
    struct bytes key = tree_cursor_key(merge->cursor);
    return key.len < sizeof(merge->last) || endian_get_be64(key.data) <= merge->last;
}

static void note_stored(struct merge *merge, bool is_there)
{
    merge->has_stored = is_there && is_in_interval(merge);
}

void merge_open(struct merge *merge, struct tree_txn *txn)
{
    merge->next = 0;
    merge->cursor = tree_cursor_open(txn, TREE_RECORDS);
    bool is_there = tree_cursor_seek(merge->cursor, bytes_of(merge->from, merge->from_len));
    if (is_there && !is_behind_from(merge, tree_cursor_key(merge->cursor))) {
        is_there = tree_cursor_next(merge->cursor);
    }
    note_stored(merge, is_there);
}

void merge_close(struct merge *merge)
{
    tree_cursor_close(merge->cursor);
}

static struct bytes dirty_key(const struct merge *merge)
{
    const struct merge_dirty *dirty = &merge->dirty[merge->next];
    return bytes_of(merge->copies.data + dirty->key_at, dirty->key_len);
}

enum merge_kind merge_look(struct merge *merge)
{
    merge->is_hidden = false;
    if (merge->next == merge->dirty_count) {
        return merge->is_capped ? MERGE_CAPPED : merge->has_stored ? MERGE_STORED : MERGE_END;
    }
    if (merge->has_stored) {
        int order = bytes_compare(tree_cursor_key(merge->cursor), dirty_key(merge));
        if (order < 0) {
            return MERGE_STORED;
        }
        merge->is_hidden = order == 0;
    }
    return merge->dirty[merge->next].is_deleted ? MERGE_DELETED : MERGE_RECORD;
}

struct bytes merge_key(const struct merge *merge, enum merge_kind kind)
{
    return kind == MERGE_STORED ? tree_cursor_key(merge->cursor) : dirty_key(merge);
}

struct bytes merge_stored(const struct merge *merge)
{
    return tree_cursor_value(merge->cursor);
}

void merge_record(const struct merge *merge, struct record *record, size_t *value_len)
{
    const struct merge_dirty *dirty = &merge->dirty[merge->next];
    *record = dirty->record;
    (void)record_key_decode(dirty_key(merge), record);
    record->value = merge->keys_only
                        ? bytes_of(NULL, 0)
                        : bytes_of(merge->copies.data + dirty->value_at, dirty->value_len);
    *value_len = dirty->value_len;
}

void merge_pass(struct merge *merge, enum merge_kind kind)
{
    if (kind == MERGE_STORED || merge->is_hidden) {
        note_stored(merge, tree_cursor_next(merge->cursor));
    }
    merge->next += kind != MERGE_STORED;
}
