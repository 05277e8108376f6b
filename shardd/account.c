/* SPDX-License-Identifier: MIT */
#include "shardd/account.h"

#include <stdlib.h>

#include "io/memory.h"
#include "proto/endian.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/record.h"
#include "proto/unpack.h"
#include "shardd/result.h"

static const uint8_t key_prefix[7] = {'a', 'c', 'c', 'o', 'u', 'n', 't'};

enum { ACCOUNT_FORMAT = 1, ACCOUNT_FIELDS = 3, ACCOUNT_KEY_LEN = sizeof(key_prefix) + 8 };

static struct bytes account_key(uint64_t start, uint8_t out[ACCOUNT_KEY_LEN])
{
    memcpy(out, key_prefix, sizeof(key_prefix));
    endian_put_be64(out + sizeof(key_prefix), start);
    return bytes_of(out, ACCOUNT_KEY_LEN);
}

void accounts_fini(struct accounts *accounts)
{
    free(accounts->items);
    *accounts = (struct accounts){0};
}

struct account *accounts_find(const struct accounts *accounts, uint64_t point)
{
    uint64_t bound = point_bound(point);
    uint32_t low = 0;
    uint32_t high = accounts->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (accounts->items[middle].range.end <= bound) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_in = low < accounts->count && accounts->items[low].range.start <= bound;
    return is_in ? &accounts->items[low] : NULL;
}

static bool load_one(struct tree_txn *txn, const struct range *range, struct account *account)
{
    uint8_t key_bytes[ACCOUNT_KEY_LEN];
    struct bytes key = account_key(range->start, key_bytes);
    struct bytes stored;
    struct bytes payload;
    if (!tree_get(txn, TREE_META, key, &stored) ||
        seal_open(stored, key, ACCOUNT_FORMAT, &payload) != SEAL_FINE) {
        return false;
    }
    struct unpack in = unpack_of(payload);
    uint32_t field_count = unpack_array(&in);
    uint64_t end = unpack_uint(&in);
    *account = (struct account){.range = *range};
    account->used = account->durable_used = unpack_uint(&in);
    account->records = account->durable_records = unpack_uint(&in);
    return field_count >= ACCOUNT_FIELDS && unpack_is_fine(&in) && end == range->end;
}

bool accounts_load(struct tree_txn *txn, const struct range *ranges, uint32_t range_count,
                   struct accounts *accounts, uint64_t *start)
{
    struct accounts found = {memory_get(range_count + 1, sizeof(*found.items)), range_count};
    for (uint32_t i = 0; i < range_count; i++) {
        if (!load_one(txn, &ranges[i], &found.items[i])) {
            *start = ranges[i].start;
            accounts_fini(&found);
            return false;
        }
    }
    *accounts = found;
    return true;
}

static void write_one(const struct account *account, struct tree_txn *txn, struct buffer *stored)
{
    uint8_t key_bytes[ACCOUNT_KEY_LEN];
    struct bytes key = account_key(account->range.start, key_bytes);
    seal_begin(stored, ACCOUNT_FORMAT);
    pack_array(stored, ACCOUNT_FIELDS);
    pack_uint(stored, account->range.end);
    pack_uint(stored, account->used);
    pack_uint(stored, account->records);
    seal_end(stored, key);
    tree_put(txn, TREE_META, key, buffer_bytes(stored), bytes_of(NULL, 0));
}

void accounts_write(const struct accounts *accounts, struct tree_txn *txn)
{
    struct buffer stored = {0};
    for (uint32_t i = 0; i < accounts->count; i++) {
        const struct account *account = &accounts->items[i];
        if (account->used != account->durable_used ||
            account->records != account->durable_records) {
            write_one(account, txn, &stored);
        }
    }
    buffer_fini(&stored);
}

void accounts_committed(struct accounts *accounts)
{
    for (uint32_t i = 0; i < accounts->count; i++) {
        struct account *account = &accounts->items[i];
        account->durable_used = account->used;
        account->durable_records = account->records;
    }
}

void accounts_rolled_back(struct accounts *accounts)
{
    for (uint32_t i = 0; i < accounts->count; i++) {
        struct account *account = &accounts->items[i];
        account->used = account->durable_used;
        account->records = account->durable_records;
    }
}

/* --- when the ranges change --- */

/* First key at or behind a bound; past the end of the circle nothing follows. */
static bool seek_bound(struct tree_cursor *cursor, uint64_t bound)
{
    uint8_t key[8];
    endian_put_be64(key, point_of_bound(bound));
    return bound < BOUND_END && tree_cursor_seek(cursor, bytes_of(key, sizeof(key)));
}

static bool is_before(const struct tree_cursor *cursor, uint64_t end)
{
    return point_bound(endian_get_be64(tree_cursor_key(cursor).data)) < end;
}

static void count_records(struct tree_txn *txn, uint64_t start, uint64_t end,
                          struct account *account)
{
    struct tree_cursor *cursor = tree_cursor_open(txn, TREE_RECORDS);
    bool more = seek_bound(cursor, start);
    while (more && is_before(cursor, end)) {
        struct record record;
        struct bytes stored = tree_cursor_value(cursor);
        if (record_key_decode(tree_cursor_key(cursor), &record)) {
            account->used += account_record_size(record.key.len, stored.len);
            account->records++;
        }
        more = tree_cursor_next(cursor);
    }
    tree_cursor_close(cursor);
}

static void count_results(struct tree_txn *txn, uint64_t start, uint64_t end,
                          struct account *account)
{
    struct tree_cursor *cursor = tree_cursor_open(txn, TREE_RESULTS);
    bool more = seek_bound(cursor, start);
    while (more && is_before(cursor, end)) {
        struct result result;
        struct bytes key = tree_cursor_key(cursor);
        if (result_decode(tree_cursor_value(cursor), key, &result) == SEAL_FINE) {
            account->used += result.held;
        }
        more = tree_cursor_next(cursor);
    }
    tree_cursor_close(cursor);
}

static void take_part(struct tree_txn *txn, const struct account *old, struct account *account)
{
    const struct range *from = &old->range;
    const struct range *to = &account->range;
    if (from->start >= to->start && from->end <= to->end) {
        account->used += old->used;
        account->records += old->records;
    } else {
        uint64_t start = from->start > to->start ? from->start : to->start;
        uint64_t end = from->end < to->end ? from->end : to->end;
        count_records(txn, start, end, account);
        count_results(txn, start, end, account);
    }
}

void accounts_change(struct tree_txn *txn, const struct accounts *old, const struct range *ranges,
                     uint32_t range_count, struct accounts *accounts)
{
    struct accounts changed = {memory_get(range_count + 1, sizeof(*changed.items)), range_count};
    struct buffer stored = {0};
    uint8_t key[ACCOUNT_KEY_LEN];
    for (uint32_t i = 0; i < old->count; i++) {
        tree_delete(txn, TREE_META, account_key(old->items[i].range.start, key));
    }
    uint32_t first = 0;
    for (uint32_t i = 0; i < range_count; i++) {
        struct account *account = &changed.items[i];
        account->range = ranges[i];
        while (first < old->count && old->items[first].range.end <= ranges[i].start) {
            first++;
        }
        for (uint32_t j = first; j < old->count && old->items[j].range.start < ranges[i].end; j++) {
            take_part(txn, &old->items[j], account);
        }
        write_one(account, txn, &stored);
    }
    buffer_fini(&stored);
    *accounts = changed;
    accounts_committed(accounts);
}
