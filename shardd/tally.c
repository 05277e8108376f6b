/* SPDX-License-Identifier: MIT */
#include "shardd/tally.h"

#include "io/logline.h"
#include "proto/endian.h"
#include "proto/point.h"
#include "proto/record.h"

struct tally {
    struct tree_txn *txn;
    uint64_t first, last; /* points */
    uint64_t used;
    uint64_t records;
};

static bool tally_hot(void *context, const struct hot_view *view)
{
    struct tally *tally = context;
    const struct record *record = &view->record;
    uint8_t key[TREE_KEY_LEN_MAX];
    struct bytes stored;
    size_t key_len = record_key_encode(record->point, record->table, record->key, key);
    if (tree_get(tally->txn, TREE_RECORDS, bytes_of(key, key_len), &stored)) {
        tally->used -= record_stored_size(record->key.len, stored);
        tally->records--;
    }
    if (view->state == HOT_RECORD) {
        tally->used += record_size(record->key.len, record->value.len);
        tally->records++;
    }
    return true;
}

static void tally_tree(struct tally *tally)
{
    uint8_t first[8];
    endian_put_be64(first, tally->first);
    struct tree_cursor *cursor = tree_cursor_open(tally->txn, TREE_RECORDS);
    bool more = tree_cursor_seek(cursor, bytes_of(first, sizeof(first)));
    while (more) {
        struct record record;
        if (!record_key_decode(tree_cursor_key(cursor), &record) || record.point > tally->last) {
            break;
        }
        tally->used += record_stored_size(record.key.len, tree_cursor_value(cursor));
        tally->records++;
        more = tree_cursor_next(cursor);
    }
    tree_cursor_close(cursor);
}

void tally_interval(const struct tally_sources *sources, uint64_t start, uint64_t end,
                    uint64_t *used, uint64_t *records)
{
    struct tally tally = {
        .txn = tree_begin_read(sources->tree),
        .first = point_of_bound(start),
        .last = point_of_bound(end) - 1, /* BOUND_END: 0 - 1 is the last point */
    };
    tally_tree(&tally);
    hot_walk(sources->hot, tally.first, tally.last, false, tally_hot, &tally);
    if (tree_txn_fault(tally.txn) != TREE_FINE) {
        logline_die("tree: cannot read: %s", tree_fault_text(sources->tree));
    }
    tree_abort(tally.txn);
    *used = tally.used + retries_held(sources->retries, tally.first, tally.last);
    *records = tally.records;
}
