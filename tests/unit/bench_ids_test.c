/* SPDX-License-Identifier: MIT */
#include "cli/bench_ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/id.h"
#include "proto/pack.h"

#define SHARD 12

static struct bench_ids *ids;

static int setup(void **state)
{
    (void)state;
    ids = bench_ids_new();
    assert_non_null(ids);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bench_ids_free(ids);
    return 0;
}

static uint64_t id_of(uint64_t ms, uint32_t shard, uint32_t sequence)
{
    uint64_t id;
    assert_true(id_compose(ms, shard, sequence, &id));
    return id;
}

/* --- which came before --- */

static void an_id_comes_once(void **state)
{
    (void)state;
    assert_int_equal(bench_ids_take(ids, 0, 1), 0);
    assert_int_equal(bench_ids_take(ids, 0, 1), 1);
    assert_int_equal(bench_ids_take(ids, UINT64_MAX, 1), 0);
    assert_int_equal(bench_ids_take(ids, UINT64_MAX, 1), 1);
}

static void ids_of_a_run_that_came_before_are_counted(void **state)
{
    (void)state;
    uint64_t first = id_of(1000, SHARD, 0);
    assert_int_equal(bench_ids_take(ids, first + 60, 10), 0);
    assert_int_equal(bench_ids_take(ids, first + 300, 1), 0);
    assert_int_equal(bench_ids_take(ids, first, ID_SEQUENCE_COUNT), 11);
    assert_int_equal(bench_ids_take(ids, first, ID_SEQUENCE_COUNT), ID_SEQUENCE_COUNT);
    assert_int_equal(bench_ids_take(ids, id_of(1000, SHARD + 1, 0), ID_SEQUENCE_COUNT), 0);
    assert_int_equal(bench_ids_take(ids, id_of(1001, SHARD, 0), ID_SEQUENCE_COUNT), 0);
}

/* Each in a block of its own, which is the worst. */
static void half_a_million_ids_are_remembered_while_others_are_forgotten(void **state)
{
    (void)state;
    const uint64_t count = 2500000, remembered = 500000;
    for (uint64_t ms = 0; ms < count; ms++) {
        assert_int_equal(bench_ids_take(ids, id_of(ms, SHARD, 7), 1), 0);
        if (ms >= remembered) {
            assert_int_equal(bench_ids_take(ids, id_of(ms - remembered, SHARD, 8), 1), 0);
        }
    }
    for (uint64_t ms = count - remembered / 2; ms < count; ms++) {
        assert_int_equal(bench_ids_take(ids, id_of(ms, SHARD, 7), 1), 1);
    }
}

/* --- replies --- */

struct run {
    uint64_t first;
    uint64_t count;
};

static const char *take_mint(const struct run *runs, uint32_t run_count,
                             struct bench_minted *minted)
{
    struct buffer out = {0};
    pack_array(&out, run_count);
    for (uint32_t i = 0; i < run_count; i++) {
        pack_array(&out, 2);
        pack_uint(&out, runs[i].first);
        pack_uint(&out, runs[i].count);
    }
    assert_false(out.failed);
    const char *wrong = bench_ids_take_mint(ids, buffer_bytes(&out), minted);
    buffer_fini(&out);
    return wrong;
}

/* Fewer than were asked for are a server's right. */
static void a_mint_of_runs_that_grow_is_fine(void **state)
{
    struct bench_minted minted = {.shard = SHARD, .count = 1028};
    (void)state;
    const struct run runs[] = {{id_of(5, SHARD, 1020), 4}, {id_of(6, SHARD, 0), 1024}};
    const struct run next[] = {{id_of(7, SHARD, 0), 1}};
    assert_null(take_mint(runs, 2, &minted));
    assert_int_equal(minted.last, id_of(6, SHARD, 1023));
    assert_int_equal(minted.taken, 1028);
    assert_null(take_mint(next, 1, &minted));
    assert_int_equal(minted.last, id_of(7, SHARD, 0));
    assert_int_equal(minted.taken, 1029);
}

static void what_is_wrong_with_a_mint_is_said(void **state)
{
    (void)state;
    const uint64_t id = id_of(5, SHARD, 1020);
    const struct {
        struct run runs[2];
        uint32_t run_count;
        uint64_t last;
        const char *wrong;
    } cases[] = {
        {{{id, 3}}, 1, 0, "no ids, or more than were asked for"},
        {{{id_of(8, SHARD, 0), 2}, {id_of(8, SHARD, 10), 1}},
         2,
         0,
         "no ids, or more than were asked for"},
        {{{0, 0}}, 0, 0, "no ids, or more than were asked for"},
        {{{id_of(9, SHARD, 1), 1}, {id_of(9, SHARD, 0), 1}}, 2, 0, "ids do not grow"},
        {{{id + 3, 1}, {id + 3, 1}}, 2, 0, "ids do not grow"},
        {{{id, 2}}, 1, id, "ids do not grow"},
        {{{id, 2}}, 1, 0, "an id came twice"},
        {{{id_of(6, SHARD, 1023), 2}},
         1,
         0,
         "a run of ids is empty or goes on in the next millisecond"},
        {{{id_of(6, SHARD, 1), UINT64_MAX}},
         1,
         0,
         "a run of ids is empty or goes on in the next millisecond"},
        {{{id_of(6, SHARD, 1), 0}},
         1,
         0,
         "a run of ids is empty or goes on in the next millisecond"},
        {{{id_of(6, SHARD + 1, 1), 2}}, 1, 0, "an id of another logical shard than was asked for"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench_minted minted = {.shard = SHARD, .count = 2, .last = cases[i].last};
        const char *wrong = take_mint(cases[i].runs, cases[i].run_count, &minted);
        assert_non_null(wrong);
        assert_string_equal(wrong, cases[i].wrong);
    }
}

static void a_put_has_one_id_that_is_new(void **state)
{
    struct buffer out = {0};
    (void)state;
    pack_array(&out, 3);
    pack_uint(&out, id_of(5, SHARD, 0));
    pack_uint(&out, UINT64_MAX);
    pack_uint(&out, 172);
    struct bytes result = buffer_bytes(&out);
    assert_null(bench_ids_take_put(ids, result, SHARD));
    assert_string_equal(bench_ids_take_put(ids, result, SHARD), "an id came twice");
    assert_string_equal(bench_ids_take_put(ids, result, 0),
                        "an id of another logical shard than was asked for");
    buffer_fini(&out);
}

static void what_is_no_result_is_said(void **state)
{
    static const char *const results[] = {"", "\xc0", "\x91\x01", "\x91\x91\x01", "\x91\x92\x01"};
    (void)state;
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        struct bench_minted minted = {.shard = SHARD, .count = 1};
        assert_non_null(bench_ids_take_mint(ids, bytes_text(results[i]), &minted));
        assert_non_null(bench_ids_take_put(ids, bytes_text(results[i]), SHARD));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_id_comes_once, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_of_a_run_that_came_before_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(
            half_a_million_ids_are_remembered_while_others_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mint_of_runs_that_grow_is_fine, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_with_a_mint_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_put_has_one_id_that_is_new, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_result_is_said, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
