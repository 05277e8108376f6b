/* SPDX-License-Identifier: MIT */

/*
 * A shard that evicts and is full, and a write that wants more room than is kept free: it waits until that has been
 * made, of what is not hot first, and no more is given up than is wanted.
 */

#include <inttypes.h>
#include <stdio.h>

#include "tests/unit/store_fixture.h"

#define LIMIT     (UINT64_C(1) << 20)
#define SMALL_LEN 40
#define LARGE_LEN (LIMIT / 4)
#define KEPT_FREE (LIMIT / 64)

/* What a piece of the patrol may give up too much: it knows what its records count only in all. */
#define SLACK (LIMIT / 64)

static const struct range evicting[] = {
    {.end = BOUND_END, .limit = LIMIT, .when_full = WHEN_FULL_EVICT}};
static const struct range rejecting[] = {
    {.end = BOUND_END, .limit = LIMIT, .when_full = WHEN_FULL_REJECT}};

static int setup(void **state)
{
    struct store_fixture *f = store_fixture_new(scratch_make());
    store_fixture_start(f);
    store_fixture_own(f, evicting, 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    store_fixture_free(*state);
    return 0;
}

static const struct account *account_of(const struct store_fixture *f)
{
    return store_account(f->store, 0);
}

/* A bin of so many bytes in all. */
static struct op write_of(const char *key, size_t len)
{
    static uint8_t value[LIMIT];
    size_t bin_len = len - 5;
    value[0] = 0xc6;
    for (int i = 0; i < 4; i++) {
        value[1 + i] = (uint8_t)(bin_len >> (24 - 8 * i));
    }
    struct op op = store_op(OP_WRITE, key);
    op.value = bytes_of(value, len);
    return op;
}

/* Until one more would make it give something up. */
static void fill(struct store_fixture *f)
{
    char key[16];
    uint64_t size = record_size(sizeof("small0000") - 1, SMALL_LEN);
    for (uint32_t i = 0; account_of(f)->used + KEPT_FREE + size <= LIMIT; i++) {
        (void)snprintf(key, sizeof(key), "small%04u", i);
        struct op op = write_of(key, SMALL_LEN);
        store_fixture_submit(f, &op);
        store_fixture_end_turn(f);
    }
    store_fixture_wait(f);
    assert_int_equal(account_of(f)->evicted, 0);
}

static void assert_no_more_has_gone_than_was_wanted(struct store_fixture *f)
{
    uint64_t used = account_of(f)->used;
    printf("# %" PRIu64 " of %" PRIu64 " bytes used, %" PRIu64 " evicted, of these %" PRIu64
           " cold\n",
           used, LIMIT, account_of(f)->evicted, account_of(f)->evicted_cold);
    assert_true(used <= LIMIT);
    assert_true(used >= LIMIT - KEPT_FREE - SLACK);
}

/* It was refused as FULL: what might be evicted at once was in the tree alone. */
static void a_large_write_waits_for_the_room_where_nothing_is_hot(void **state)
{
    struct store_fixture *f = *state;
    fill(f);
    store_fixture_make_cold(f);
    struct op op = write_of("large", LARGE_LEN);
    assert_int_equal(store_fixture_do(f, &op)->status, STATUS_OK);
    assert_no_more_has_gone_than_was_wanted(f);
    assert_int_equal(account_of(f)->evicted_cold, account_of(f)->evicted);
}

static void many_large_writes_at_once_give_up_no_more_than_they_want(void **state)
{
    struct store_fixture *f = *state;
    enum { COUNT = 8 };
    uint32_t numbers[COUNT];
    fill(f);
    store_fixture_make_cold(f);
    for (uint32_t i = 0; i < COUNT; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "large%u", i);
        struct op op = write_of(key, LARGE_LEN / 4);
        numbers[i] = store_fixture_submit(f, &op);
    }
    store_fixture_wait(f);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(store_fixture_answer(f, numbers[i])->status, STATUS_OK);
    }
    assert_no_more_has_gone_than_was_wanted(f);
    /* Nor did one cost what another had just written. */
    assert_int_equal(account_of(f)->evicted_cold, account_of(f)->evicted);
}

/* Of the turns of one test. */
static struct {
    uint64_t evicted;
    uint64_t evicted_max;
    uint32_t turn_count;
} turns;

static bool note_turn(struct store_fixture *f)
{
    uint64_t gone = account_of(f)->evicted - turns.evicted;
    turns.evicted = account_of(f)->evicted;
    turns.evicted_max = gone > turns.evicted_max ? gone : turns.evicted_max;
    turns.turn_count++;
    return f->answers[f->answer_count - 1].is_done;
}

/* All of it went in one turn of the loop, for which everybody waited. */
static void a_turn_evicts_so_many_hot_records_and_no_more(void **state)
{
    struct store_fixture *f = *state;
    fill(f);
    struct op op = write_of("large", LIMIT / 2);
    uint32_t number = store_fixture_submit(f, &op);
    memset(&turns, 0, sizeof(turns));
    store_fixture_run(f, note_turn);
    printf("# %" PRIu64 " evicted in %" PRIu32 " turns, at most %" PRIu64 " in one\n",
           turns.evicted, turns.turn_count, turns.evicted_max);
    assert_int_equal(store_fixture_answer(f, number)->status, STATUS_OK);
    assert_true(turns.evicted > 4000);
    assert_true(turns.evicted_max <= 1024);
    store_fixture_wait(f);
    assert_no_more_has_gone_than_was_wanted(f);
}

/* RULES R2. */
static void what_comes_behind_it_on_its_key_waits_too_and_others_do_not(void **state)
{
    struct store_fixture *f = *state;
    fill(f);
    store_fixture_make_cold(f);
    struct op op = write_of("large", LARGE_LEN);
    uint32_t large = store_fixture_submit(f, &op);
    op = store_op(OP_READ, "large");
    uint32_t read = store_fixture_submit(f, &op);
    op = store_op(OP_DELETE, "large");
    uint32_t delete = store_fixture_submit(f, &op);
    op = write_of("other", SMALL_LEN);
    uint32_t other = store_fixture_submit(f, &op);
    store_fixture_wait(f);
    assert_int_equal(store_fixture_answer(f, large)->status, STATUS_OK);
    assert_int_equal(store_fixture_answer(f, read)->value.len, LARGE_LEN);
    assert_true(store_fixture_answer(f, delete)->was_there);
    assert_int_equal(store_fixture_answer(f, other)->status, STATUS_OK);
    assert_true(f->answers[large].order < f->answers[read].order);
    assert_true(f->answers[read].order < f->answers[delete].order);
    assert_true(f->answers[other].order < f->answers[large].order);
}

static struct op with_seq(struct op op, uint64_t seq, uint64_t done)
{
    op.identity = (struct op_identity){.client = {1}, .seq = seq, .done = done};
    return op;
}

static void pop_most_of_it(struct store_fixture *f)
{
    struct op op = write_of("popped", LIMIT / 4 * 3);
    assert_int_equal(store_fixture_do(f, &op)->status, STATUS_OK);
    op = with_seq(store_op(OP_POP, "popped"), 1, 1);
    assert_int_equal(store_fixture_do(f, &op)->value.len, LIMIT / 4 * 3);
}

/* What was popped before it evicted counts until its client has it: there is nothing that may go. */
static void fill_with_what_cannot_go(struct store_fixture *f)
{
    store_fixture_own(f, rejecting, 1);
    pop_most_of_it(f);
    store_fixture_own(f, evicting, 1);
    assert_true(account_of(f)->used > LIMIT / 4 * 3);
}

/* Those of clients that had died filled the shard, and all writes waited for a quarter of an hour. */
static void what_was_popped_keeps_nobody_waiting(void **state)
{
    struct store_fixture *f = *state;
    pop_most_of_it(f);
    assert_int_equal(account_of(f)->used, 0);
    struct op op = write_of("large", LIMIT / 2);
    op.deadline_us = clock_mono_us() + 30000;
    assert_int_equal(store_fixture_do(f, &op)->status, STATUS_OK);
    /* It is there for its client all the same. */
    op = with_seq(store_op(OP_POP, "popped"), 1, 1);
    assert_int_equal(store_fixture_do(f, &op)->value.len, LIMIT / 4 * 3);
    op = with_seq(store_op(OP_DONE, ""), 0, 2);
    store_fixture_do(f, &op);
    assert_int_equal(account_of(f)->used, record_size(sizeof("large") - 1, LIMIT / 2));
}

static void what_has_waited_too_long_is_told_why_and_was_not_done(void **state)
{
    struct store_fixture *f = *state;
    fill_with_what_cannot_go(f);
    struct op op = with_seq(write_of("large", LIMIT / 2), 2, 1);
    op.deadline_us = clock_mono_us() + 30000;
    const struct outcome *outcome = store_fixture_do(f, &op);
    assert_int_equal(outcome->status, STATUS_TRY_LATER);
    assert_int_equal(outcome->reason, OP_REASON_MAKING_ROOM);
    op = store_op(OP_EXISTS, "large");
    assert_false(store_fixture_do(f, &op)->was_there);
    /* It left no result: sent again it is done. */
    op = with_seq(write_of("large", LIMIT / 2), 2, 2);
    uint32_t number = store_fixture_submit(f, &op);
    op = with_seq(store_op(OP_DONE, ""), 0, 2);
    store_fixture_submit(f, &op);
    store_fixture_wait(f);
    assert_int_equal(store_fixture_answer(f, number)->status, STATUS_OK);
}

static void what_is_larger_than_the_shard_is_refused_at_once(void **state)
{
    struct store_fixture *f = *state;
    fill(f);
    store_fixture_make_cold(f);
    struct op op = write_of("large", LIMIT - record_size(sizeof("large") - 1, 0) + 1);
    const struct outcome *outcome = store_fixture_do(f, &op);
    assert_int_equal(outcome->status, STATUS_FULL);
    assert_int_equal(outcome->limit, LIMIT);
    assert_int_equal(account_of(f)->evicted, 0);
    op = write_of("large", LIMIT - record_size(sizeof("large") - 1, 0));
    assert_int_equal(store_fixture_do(f, &op)->status, STATUS_OK);
    assert_int_equal(account_of(f)->used, LIMIT);
}

/* The first of them kept the patrol from the others. */
static void each_of_several_full_shards_gets_its_room(void **state)
{
    struct store_fixture *f = *state;
    static const struct range halves[] = {
        {.end = BOUND_END / 2, .limit = LIMIT / 2, .when_full = WHEN_FULL_EVICT},
        {.start = BOUND_END / 2,
         .end = BOUND_END,
         .limit = LIMIT / 2,
         .when_full = WHEN_FULL_EVICT}};
    fill(f);
    store_fixture_make_cold(f);
    store_fixture_own(f, halves, 2);
    uint32_t numbers[16];
    for (uint32_t i = 0; i < 16; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "large%u", i);
        struct op op = write_of(key, LIMIT / 32);
        numbers[i] = store_fixture_submit(f, &op);
    }
    store_fixture_wait(f);
    for (uint32_t i = 0; i < 16; i++) {
        assert_int_equal(store_fixture_answer(f, numbers[i])->status, STATUS_OK);
    }
    assert_true(account_of(f)->used <= LIMIT / 2);
    assert_true(store_account(f->store, UINT64_MAX)->used <= LIMIT / 2);
}

/* It waits, and its range goes and comes back empty. */
static void what_waits_for_a_range_that_goes_is_refused(void **state)
{
    struct store_fixture *f = *state;
    static const struct range none[] = {{.end = 1, .limit = LIMIT, .when_full = WHEN_FULL_EVICT}};
    fill_with_what_cannot_go(f);
    struct op op = write_of("large", LIMIT / 2);
    uint32_t number = store_fixture_submit(f, &op);
    store_fixture_end_turn(f);
    assert_false(f->answers[number].is_done);
    store_fixture_own(f, none, 1);
    store_fixture_own(f, evicting, 1);
    store_fixture_wait(f);
    enum status status = store_fixture_answer(f, number)->status;
    assert_true(status == STATUS_WRONG_SHARD || status == STATUS_TRY_LATER);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_large_write_waits_for_the_room_where_nothing_is_hot),
        TEST(many_large_writes_at_once_give_up_no_more_than_they_want),
        TEST(a_turn_evicts_so_many_hot_records_and_no_more),
        TEST(what_comes_behind_it_on_its_key_waits_too_and_others_do_not),
        TEST(what_was_popped_keeps_nobody_waiting),
        TEST(what_has_waited_too_long_is_told_why_and_was_not_done),
        TEST(what_is_larger_than_the_shard_is_refused_at_once),
        TEST(each_of_several_full_shards_gets_its_room),
        TEST(what_waits_for_a_range_that_goes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
