/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_ACCOUNT_H
#define SHARDD_ACCOUNT_H

/*
 * What each range that this server owns holds: bytes and records, exactly. An account changes in
 * the transaction of the operations that change it, and is never added up anew at start.
 *
 *     TREE_META   "account" | start u64 BE  ->  sealed [end, used, records]
 *
 * In memory each account has two pairs of numbers: as they are in the running transaction, and as
 * they are durable, to go back to when the transaction fails.
 */

#include "proto/record.h"
#include "shardd/range.h"
#include "shardd/tree.h"

struct account {
    struct range range;
    uint64_t used; /* bytes: records, and popped values that are kept as results (RULES Q2) */
    uint64_t records;
    uint64_t durable_used;
    uint64_t durable_records;
};

struct accounts {
    struct account *items; /* by start, disjoint */
    uint32_t count;
};

/* What a stored record counts, of which nothing but its lengths is looked at. */
static inline uint64_t account_record_size(size_t key_len, size_t stored_len)
{
    return record_size(key_len,
                       stored_len < RECORD_HEADER_LEN ? 0 : stored_len - RECORD_HEADER_LEN);
}

void accounts_fini(struct accounts *accounts);

/* NULL when nobody's point. Valid until the accounts are replaced. */
struct account *accounts_find(const struct accounts *accounts, uint64_t point);

/* Those stored for `ranges`. False, with the start of one that is missing or damaged in *start. */
bool accounts_load(struct tree_txn *txn, const struct range *ranges, uint32_t range_count,
                   struct accounts *accounts, uint64_t *start);

/*
 * The accounts of `ranges`, when `old` were those before, and writes the difference. What no old
 * account covers is taken to be empty; where a range got a part of an old one, that part is counted.
 */
void accounts_change(struct tree_txn *txn, const struct accounts *old, const struct range *ranges,
                     uint32_t range_count, struct accounts *accounts);

/* Writes those that differ from what is durable. */
void accounts_write(const struct accounts *accounts, struct tree_txn *txn);

void accounts_committed(struct accounts *accounts);
void accounts_rolled_back(struct accounts *accounts);

#endif
