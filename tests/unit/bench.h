/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_BENCH_H
#define TESTS_UNIT_BENCH_H

/*
 * Operations against a real hot table and a real log in a scratch directory, at a time of the test's choice.
 * Nothing runs the loop, so nothing becomes durable. The lower half of the circle is owned.
 */

#include <assert.h>

#include "io/clock.h"
#include "proto/endian.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/stamp.h"
#include "shardd/execute.h"
#include "tests/unit/scratch.h"

#define BENCH_SEGMENT_LEN (UINT64_C(1) << 20)

struct bench {
    struct scratch scratch;
    struct dir *dir;
    struct loop *loop;
    struct log *log;
    struct arena *arena;
    struct accounts accounts;
    struct execution execution;
    struct outcome outcome; /* of the last operation */
};

static inline void bench_on_progress(void *context)
{
    (void)context;
}

static inline uint32_t bench_put_accounts(void *context, struct buffer *out)
{
    struct bench *bench = context;
    return accounts_put_changed(&bench->accounts, out);
}

static inline void bench_put_checkpoint(void *context, struct buffer *out, uint32_t *count)
{
    struct bench *bench = context;
    *count = accounts_put_all(&bench->accounts, out);
}

static inline uint64_t bench_reserve(void *context, uint64_t ms)
{
    struct bench *bench = context;
    uint8_t blob[8];
    endian_put_le64(blob, ms);
    return log_add_control(bench->log, LOG_RESERVE, bytes_of(blob, sizeof(blob)));
}

static inline uint64_t bench_add_to_log(void *context, const struct log_op *op)
{
    struct bench *bench = context;
    return log_add(bench->log, op);
}

static inline void bench_no_split(void *context, uint64_t start, uint64_t end, uint64_t *used,
                                  uint64_t *records)
{
    (void)context, (void)start, (void)end, (void)used, (void)records;
    assert(false); /* nothing was owned before */
}

static inline void bench_start_log(struct bench *bench)
{
    static const struct log_identity identity = {.server = {1}, .incarnation = 1};
    const struct log_config config = {bench->loop, bench->dir, DURABILITY_DISK, BENCH_SEGMENT_LEN};
    const struct log_owner owner = {bench, bench_on_progress, bench_put_accounts,
                                    bench_put_checkpoint};
    char error[256];
    bench->log = log_open(&config, 0, 0, NULL, error, sizeof(error));
    assert(bench->log);
    bool is_started = log_start(bench->log, &identity, &owner, error, sizeof(error));
    assert(is_started);
}

/* A turn ends; the next begins so much later. */
static inline void bench_pass(struct bench *bench, uint64_t ms)
{
    execute_begin_turn(&bench->execution, bench->execution.now_ms + ms);
    log_turn_end(bench->log);
    log_turn_begin(bench->log, bench->execution.now_ms);
}

/* `is_complete`: the tree is empty. */
static inline void bench_open(struct bench *bench, uint64_t limit, enum when_full when_full,
                              bool is_complete)
{
    char error[256];
    const struct range range = {.end = BOUND_END / 2, .limit = limit, .when_full = when_full};
    *bench = (struct bench){.scratch = scratch_make(), .loop = loop_new(), .arena = arena_new()};
    bench->dir = dir_open(bench->scratch.path, error, sizeof(error));
    assert(bench->dir);
    accounts_replace(&bench->accounts, &range, 1, bench_no_split, NULL);
    bench->accounts.items[0].cold = ACCOUNT_COLD_NONE;
    bench_start_log(bench);
    bench->execution = (struct execution){
        .hot = hot_new(bench->arena, is_complete),
        .accounts = &bench->accounts,
        .log = bench->log,
        .retries = retries_new(&bench->accounts, bench_add_to_log, bench),
        .minter = minter_new(clock_wall_ms() - ID_ORIGIN_MS, bench_reserve, bench),
        .now_ms = clock_wall_ms(),
    };
    minter_set_origin(bench->execution.minter, ID_ORIGIN_MS);
    bench_pass(bench, 1000);
}

static inline void bench_close(struct bench *bench)
{
    log_close(bench->log);
    retries_free(bench->execution.retries);
    minter_free(bench->execution.minter);
    hot_free(bench->execution.hot);
    arena_free_all(bench->arena);
    buffer_fini(&bench->execution.scratch);
    accounts_fini(&bench->accounts);
    loop_free(bench->loop);
    dir_close(bench->dir);
    scratch_remove(&bench->scratch);
}

/* The outcome lives until the next. The tree need not be asked. */
static inline const struct outcome *bench_run(struct bench *bench, const struct op *op)
{
    enum execute_result result = execute(&bench->execution, op, NULL, &bench->outcome);
    assert(result == EXECUTE_DONE);
    return &bench->outcome;
}

/* Its own point: a key of the test's choice must be in the lower half. */
static inline struct op bench_op(enum op_kind kind, const char *key)
{
    struct bytes bytes = bytes_text(key);
    return (struct op){.kind = kind, .key = bytes, .point = point_of_key(bytes)};
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

/* The `number`-th key of those whose point is in the lower half. Static storage of the last eight. */
static inline const char *bench_key(uint32_t number)
{
    static char keys[8][16];
    static uint32_t next;
    char *key = keys[next++ % 8];
    for (uint32_t i = 0;; i++) {
        (void)snprintf(key, sizeof(keys[0]), "key%u.%u", number, i);
        if (point_of_key(bytes_text(key)) >> 63 == 0) {
            return key;
        }
    }
}

static inline struct account *bench_account(struct bench *bench)
{
    return &bench->accounts.items[0];
}

#endif
