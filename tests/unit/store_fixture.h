/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

/*
 * A store in a scratch directory, with its tree, log and workers, driven by the test: started again, and
 * on a copy of its directory, which is what a killed process leaves.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/clock.h"
#include "io/memory.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/record.h"
#include "proto/unpack.h"
#include "shardd/stat.h"
#include "shardd/store.h"
#include "shardd/tree.h"
#include "tests/unit/crash.h"

#define STORE_TEST_LIMIT (UINT64_C(1) << 40)

/* What has not come by then never does: the program is ended. */
#define STORE_TEST_SECONDS 60

static const struct range store_all[] = {{.end = BOUND_END, .limit = STORE_TEST_LIMIT}};

/* What became of an operation. */
struct answer {
    bool is_done;
    uint32_t order; /* 0: the first that was done */
    struct outcome outcome;
    struct buffer value;
};

struct store_fixture {
    struct scratch scratch;
    struct dir *dir;
    struct loop *loop;
    struct store *store;
    struct store_config config;
    const struct range *ranges;
    uint32_t range_count;
    const char *control;
    void (*on_opened)(
        struct store_fixture *f); /* store_control is there, ranges are to be chosen */
    struct answer *answers;       /* by reply_id */
    uint32_t answer_count;
    uint32_t done_count;
    struct op *borrowed; /* what operations borrow, until the turn has ended */
    bool (*until)(struct store_fixture *f);
    bool is_over;
    bool is_saved;
    char error[256];
};

static inline void store_fixture_end_turn(struct store_fixture *f)
{
    store_turn_end(f->store);
    while (f->borrowed) {
        struct op *op = f->borrowed;
        f->borrowed = op->next;
        op_free(op);
    }
}

static inline void store_fixture_turn_end(void *context)
{
    struct store_fixture *f = context;
    store_fixture_end_turn(f);
    if (f->until && f->until(f)) {
        loop_stop(f->loop);
    }
}

static inline void store_fixture_run(struct store_fixture *f,
                                     bool (*until)(struct store_fixture *f))
{
    f->until = until;
    (void)alarm(STORE_TEST_SECONDS);
    store_fixture_end_turn(f);
    if (!until(f)) {
        loop_run(f->loop);
    }
    (void)alarm(0);
    f->until = NULL;
}

/* Ids of any time are in the past then: the map's origin is that of the clock. */
#define STORE_TEST_ORIGIN_MS 1

/* False, with f->error, when it is refused. */
static inline bool store_fixture_try_start(struct store_fixture *f)
{
    static const struct log_identity identity = {.server = {1}, .incarnation = 1};
    f->dir = dir_open(f->scratch.path, f->error, sizeof(f->error));
    assert_non_null(f->dir);
    f->loop = loop_new();
    f->config.loop = f->loop;
    f->config.dir = f->dir;
    f->store = store_open(&f->config, f->error, sizeof(f->error));
    loop_on_turn_end(f->loop, store_fixture_turn_end, f);
    if (f->store && f->on_opened) {
        f->on_opened(f);
    }
    const struct store_state state = {bytes_text(f->control), f->ranges, f->range_count};
    if (!f->store || !store_start(f->store, &identity, &state, f->error, sizeof(f->error))) {
        return false;
    }
    store_set_origin(f->store, STORE_TEST_ORIGIN_MS);
    return true;
}

static inline void store_fixture_start(struct store_fixture *f)
{
    if (!store_fixture_try_start(f)) {
        fail_msg("%s", f->error);
    }
}

/* As a killed process ends. */
static inline void store_fixture_kill(struct store_fixture *f)
{
    store_free(f->store);
    f->store = NULL;
    loop_free(f->loop);
    dir_close(f->dir);
}

static inline struct store_fixture *store_fixture_new(struct scratch scratch)
{
    struct store_fixture *f = memory_get(1, sizeof(*f));
    f->scratch = scratch;
    f->control = "control";
    f->config = (struct store_config){
        .memory_limit = STORE_MEMORY_DEFAULT,
        .log_limit = STORE_LOG_DEFAULT,
        .segment_len = UINT64_C(1) << 20,
    };
    return f;
}

static inline void store_fixture_free(struct store_fixture *f)
{
    store_fixture_kill(f);
    scratch_remove(&f->scratch);
    while (f->borrowed) {
        struct op *op = f->borrowed;
        f->borrowed = op->next;
        op_free(op);
    }
    for (uint32_t i = 0; i < f->answer_count; i++) {
        buffer_fini(&f->answers[i].value);
    }
    free(f->answers);
    free(f);
}

/* --- ownership --- */

static inline void store_fixture_on_saved(void *context, bool is_saved)
{
    struct store_fixture *f = context;
    f->is_saved = is_saved;
    f->is_over = true;
}

static inline bool store_fixture_is_over(struct store_fixture *f)
{
    return f->is_over;
}

static inline void store_fixture_begin_save(struct store_fixture *f, const struct range *ranges,
                                            uint32_t range_count)
{
    f->is_over = false;
    f->ranges = ranges;
    f->range_count = range_count;
    const struct store_state state = {bytes_text(f->control), ranges, range_count};
    store_save(f->store, &state, store_fixture_on_saved, f);
}

static inline void store_fixture_own(struct store_fixture *f, const struct range *ranges,
                                     uint32_t range_count)
{
    store_fixture_begin_save(f, ranges, range_count);
    store_fixture_run(f, store_fixture_is_over);
    assert_true(f->is_saved);
}

static inline struct store_fixture *store_fixture_open(void)
{
    struct store_fixture *f = store_fixture_new(scratch_make());
    store_fixture_start(f);
    store_fixture_own(f, store_all, 1);
    return f;
}

/* --- operations --- */

static inline void store_fixture_done(const struct op *op, const struct outcome *outcome)
{
    struct store_fixture *f = op->context;
    struct answer *answer = &f->answers[op->reply_id];
    assert_false(answer->is_done);
    answer->is_done = true;
    answer->order = f->done_count++;
    answer->outcome = *outcome;
    buffer_append_bytes(&answer->value, outcome->value);
    answer->outcome.value = buffer_bytes(&answer->value);
}

/* Returns the number of its answer. */
static inline uint32_t store_fixture_submit(struct store_fixture *f, const struct op *op)
{
    struct op *borrowed = op_new(op);
    struct op own = *borrowed;
    borrowed->next = f->borrowed;
    f->borrowed = borrowed;
    f->answers = memory_resize(f->answers, f->answer_count + 1, sizeof(*f->answers));
    f->answers[f->answer_count] = (struct answer){0};
    own.done = store_fixture_done;
    own.context = f;
    own.reply_id = f->answer_count++;
    store_submit(f->store, &own);
    return own.reply_id;
}

static inline bool store_fixture_is_idle(struct store_fixture *f)
{
    return store_is_idle(f->store);
}

static inline void store_fixture_wait(struct store_fixture *f)
{
    store_fixture_run(f, store_fixture_is_idle);
    assert_int_equal(f->done_count, f->answer_count);
}

static inline const struct outcome *store_fixture_answer(const struct store_fixture *f,
                                                         uint32_t number)
{
    assert_true(f->answers[number].is_done);
    return &f->answers[number].outcome;
}

/* Until the next operation. */
static inline const struct outcome *store_fixture_do(struct store_fixture *f, const struct op *op)
{
    uint32_t number = store_fixture_submit(f, op);
    store_fixture_wait(f);
    return store_fixture_answer(f, number);
}

/* A write stores the integer 1, an increment adds it. */
static inline struct op store_op(enum op_kind kind, const char *key)
{
    struct bytes bytes = bytes_text(key);
    return (struct op){
        .kind = kind,
        .key = bytes,
        .point = point_of_key(bytes),
        .value = bytes_of("\x01", kind == OP_WRITE ? 1 : 0),
        .by = 1,
        .limit = SCAN_RECORDS_MAX,
    };
}

/* --- ends and starts --- */

static inline void store_fixture_on_stopped(void *context)
{
    struct store_fixture *f = context;
    f->is_over = true;
}

static inline void store_fixture_restart(struct store_fixture *f)
{
    f->is_over = false;
    store_stop(f->store, store_fixture_on_stopped, f);
    store_fixture_run(f, store_fixture_is_over);
    store_fixture_kill(f);
    store_fixture_start(f);
}

/* What would be found if it were killed now. */
static inline struct store_fixture *store_fixture_crash(struct store_fixture *f)
{
    struct store_fixture *copy = store_fixture_new(crash_copy(&f->scratch));
    copy->config = f->config;
    copy->control = f->control;
    copy->ranges = f->ranges;
    copy->range_count = f->range_count;
    return copy;
}

static inline bool store_fixture_is_swept(struct store_fixture *f)
{
    struct store_stat stat;
    store_stat(f->store, &stat);
    return stat.dirty_records == 0 && stat.applied_stamp == stat.last_stamp;
}

/* All is in the tree, and nothing in memory after it. */
static inline void store_fixture_make_cold(struct store_fixture *f)
{
    struct store_stat stat;
    uint64_t log_limit = f->config.log_limit;
    f->config.log_limit = 1; /* the sweep is never to rest */
    store_fixture_restart(f);
    store_fixture_run(f, store_fixture_is_swept);
    f->config.log_limit = log_limit;
    store_fixture_restart(f);
    store_stat(f->store, &stat);
    assert_int_equal(stat.hot_records, 0);
}

#endif
