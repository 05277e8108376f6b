/* SPDX-License-Identifier: MIT */
#include "shardd/clear.h"

#include <stdlib.h>

#include "io/memory.h"
#include "proto/endian.h"
#include "proto/point.h"
#include "proto/record.h"

/*
 * Removed in one transaction: with 256 most of the time went into its sync and the pages that each writes anew. On a
 * full disk so few (RULES F1).
 */
#define CLEAR_KEYS_MAX  4096
#define CLEAR_KEYS_FULL 32

struct found {
    uint8_t keys[CLEAR_KEYS_MAX][TREE_KEY_LEN_MAX];
    size_t key_lens[CLEAR_KEYS_MAX];
    uint32_t count;
};

/* The first keys whose points are in [start, end). They are copied: removing ends what a cursor shows. */
static void find_keys(struct tree_txn *txn, enum tree_database database, uint64_t start,
                      uint64_t end, uint32_t count_max, struct found *found)
{
    uint8_t first_key[8];
    endian_put_be64(first_key, point_of_bound(start));
    found->count = 0;
    struct tree_cursor *cursor = tree_cursor_open(txn, database);
    bool more = tree_cursor_seek(cursor, bytes_of(first_key, sizeof(first_key)));
    while (more && found->count < count_max) {
        struct bytes key = tree_cursor_key(cursor);
        if (point_bound(endian_get_be64(key.data)) >= end) {
            break;
        }
        memcpy(found->keys[found->count], key.data, key.len);
        found->key_lens[found->count++] = key.len;
        more = tree_cursor_next(cursor);
    }
    tree_cursor_close(cursor);
}

static enum tree_fault clear_database(struct tree *tree, enum tree_database database,
                                      uint64_t start, uint64_t end)
{
    enum tree_fault fault;
    uint32_t count_max = CLEAR_KEYS_MAX;
    bool is_over = false;
    struct found *found = memory_get(1, sizeof(*found));
    while (!is_over) {
        struct tree_txn *txn = tree_begin_write(tree);
        find_keys(txn, database, start, end, count_max, found);
        for (uint32_t i = 0; i < found->count; i++) {
            tree_delete(txn, database, bytes_of(found->keys[i], found->key_lens[i]));
        }
        fault = tree_commit(txn);
        bool is_to_try_less = fault == TREE_NO_SPACE && count_max > CLEAR_KEYS_FULL;
        is_over = !is_to_try_less && (fault != TREE_FINE || found->count < count_max);
        count_max = is_to_try_less ? CLEAR_KEYS_FULL : count_max;
    }
    free(found);
    return fault;
}

enum tree_fault clear_range(struct tree *tree, uint64_t start, uint64_t end)
{
    enum tree_fault fault = clear_database(tree, TREE_RECORDS, start, end);
    return fault == TREE_FINE ? clear_database(tree, TREE_RESULTS, start, end) : fault;
}
