/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_BENCH_H
#define TESTS_UNIT_BENCH_H

/*
 * Operations against a real tree in a scratch directory, one transaction each, at a time of the
 * test's choice. The lower half of the circle is owned.
 */

#include <assert.h>

#include "proto/pack.h"
#include "proto/point.h"
#include "shardd/execute.h"
#include "shardd/retry.h"
#include "tests/unit/scratch.h"

#define BENCH_START_MS UINT64_C(1700000000000)

struct bench {
    struct scratch scratch;
    struct tree *tree;
    struct accounts accounts;
    uint64_t last_stamp;
    uint64_t now_ms;
    struct retry_hand hand;
    bool is_disk_full;
    struct op *op; /* the last one, for its outcome */
};

static inline void bench_open(struct bench *bench, uint64_t limit)
{
    char error[256];
    struct range range = {0, BOUND_END / 2, limit};
    *bench = (struct bench){.scratch = scratch_make(), .now_ms = BENCH_START_MS};
    bench->tree = tree_open(bench->scratch.path, error, sizeof(error));
    assert(bench->tree);
    struct tree_txn *txn = tree_begin_write(bench->tree);
    struct accounts none = {0};
    accounts_change(txn, &none, &range, 1, &bench->accounts);
    enum tree_fault fault = tree_commit(txn);
    assert(fault == TREE_FINE);
}

static inline void bench_close(struct bench *bench)
{
    op_free(bench->op);
    accounts_fini(&bench->accounts);
    tree_close(bench->tree);
    scratch_remove(&bench->scratch);
}

/* Runs a copy of `op` in a transaction of its own. The outcome lives until the next. */
static inline const struct outcome *bench_run(struct bench *bench, const struct op *op)
{
    struct tree_txn *txn = tree_begin_write(bench->tree);
    struct execution execution = {
        .txn = txn,
        .accounts = &bench->accounts,
        .retry = retry_new(txn, &bench->accounts, bench->now_ms),
        .now_ms = bench->now_ms,
        .last_stamp = bench->last_stamp,
        .is_disk_full = bench->is_disk_full,
    };
    op_free(bench->op);
    bench->op = op_new(op);
    execute(&execution, bench->op);
    retry_write(execution.retry, &bench->hand);
    retry_free(execution.retry);
    accounts_write(&bench->accounts, txn);
    enum tree_fault fault = tree_commit(txn);
    assert(fault == TREE_FINE);
    accounts_committed(&bench->accounts);
    bench->last_stamp = execution.last_stamp;
    return &bench->op->outcome;
}

/* In the owned half, wherever the key's own point is. */
static inline struct op bench_op(enum op_kind kind, const char *key)
{
    struct bytes bytes = bytes_text(key);
    return (struct op){
        .kind = kind,
        .key = bytes,
        .point = point_of_key(bytes) / 2,
        .limit = SCAN_RECORDS_MAX,
    };
}

/* `text` is a str of at most 31 bytes. */
static inline struct op bench_write(const char *key, const char *text)
{
    static uint8_t encoded[32];
    struct op op = bench_op(OP_WRITE, key);
    size_t len = strlen(text);
    assert(len < 32);
    encoded[0] = (uint8_t)(0xa0 | len);
    for (size_t i = 0; i < len; i++) {
        encoded[i + 1] = (uint8_t)text[i];
    }
    op.value = bytes_of(encoded, len + 1);
    return op;
}

static inline uint64_t bench_used(const struct bench *bench)
{
    return bench->accounts.items[0].used;
}

static inline uint64_t bench_records(const struct bench *bench)
{
    return bench->accounts.items[0].records;
}

#endif
