/* SPDX-License-Identifier: MIT */
#include "shardd/clear.h"

#include <stdlib.h>

#include "io/memory.h"
#include "proto/endian.h"
#include "proto/point.h"
#include "proto/record.h"

/* Removed in one transaction. */
#define CLEAR_KEYS_MAX 256

struct found {
    uint8_t keys[CLEAR_KEYS_MAX][TREE_KEY_LEN_MAX];
    size_t key_lens[CLEAR_KEYS_MAX];
    uint32_t count;
};

/* The first keys whose points are in [start, end). They are copied: removing ends what a cursor shows. */
static void find_keys(struct tree_txn *txn, enum tree_database database, uint64_t start,
                      uint64_t end, struct found *found)
{
    uint8_t first_key[8];
    endian_put_be64(first_key, point_of_bound(start));
    found->count = 0;
    struct tree_cursor *cursor = tree_cursor_open(txn, database);
    bool more = tree_cursor_seek(cursor, bytes_of(first_key, sizeof(first_key)));
    while (more && found->count < CLEAR_KEYS_MAX) {
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
    struct found *found = memory_get(1, sizeof(*found));
    do {
        struct tree_txn *txn = tree_begin_write(tree);
        find_keys(txn, database, start, end, found);
        for (uint32_t i = 0; i < found->count; i++) {
            tree_delete(txn, database, bytes_of(found->keys[i], found->key_lens[i]));
        }
        fault = tree_commit(txn);
    } while (fault == TREE_FINE && found->count == CLEAR_KEYS_MAX);
    free(found);
    return fault;
}

enum tree_fault clear_range(struct tree *tree, uint64_t start, uint64_t end)
{
    enum tree_fault fault = clear_database(tree, TREE_RECORDS, start, end);
    return fault == TREE_FINE ? clear_database(tree, TREE_RESULTS, start, end) : fault;
}
