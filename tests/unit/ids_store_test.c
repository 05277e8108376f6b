/* SPDX-License-Identifier: MIT */
#include "io/clock.h"
#include "proto/endian.h"
#include "proto/table.h"
#include "shardd/minter.h"
#include "tests/unit/dice.h"
#include "tests/unit/store_fixture.h"

/* Ids and entities in a store: what is given, what is stored, and what a start finds (RULES I, Q1). */

#define SHARD 12u

static const uint8_t document[] = {0x81, 0xa1, 'a', 0x01}; /* {"a": 1} */

static void set_origin(struct store_fixture *f)
{
    store_set_origin(f->store, ID_ORIGIN_MS);
}

static uint64_t point_in_slice(void)
{
    return (uint64_t)SHARD << 51 | 4711;
}

static struct op put_op(uint64_t seq)
{
    return (struct op){
        .kind = OP_PUT,
        .table = TABLE_ENTITIES,
        .record_kind = 3,
        .point = point_in_slice(),
        .value = bytes_of(document, sizeof(document)),
        .identity = {.client = {7}, .seq = seq, .done = seq > 0},
    };
}

static uint64_t put(struct store_fixture *f, uint64_t seq)
{
    struct op op = put_op(seq);
    const struct outcome *outcome = store_fixture_do(f, &op);
    assert_int_equal(outcome->status, STATUS_OK);
    uint64_t id = (uint64_t)outcome->integer;
    assert_int_equal(id_shard(id), SHARD);
    return id;
}

static const struct outcome *run(struct store_fixture *f, enum op_kind kind, uint64_t id)
{
    uint8_t key[ID_KEY_LEN];
    endian_put_be64(key, id);
    const struct op op = {
        .kind = kind,
        .table = TABLE_ENTITIES,
        .key = bytes_of(key, sizeof(key)),
        .point = id_point(id),
        .value = bytes_of(document, kind == OP_WRITE ? sizeof(document) : 0),
    };
    return store_fixture_do(f, &op);
}

/* Above `last`; returns the last of them. */
static uint64_t mint(struct store_fixture *f, uint32_t count, uint64_t last)
{
    const struct op op = {
        .kind = OP_MINT, .table = TABLE_ENTITIES, .point = point_in_slice(), .limit = count};
    const struct outcome *outcome = store_fixture_do(f, &op);
    assert_int_equal(outcome->status, STATUS_OK);
    struct unpack in = unpack_of(outcome->value);
    uint32_t given = 0;
    for (uint32_t left = unpack_array(&in); left > 0; left--) {
        assert_int_equal(unpack_array(&in), 2);
        uint64_t first = unpack_uint(&in);
        uint64_t n = unpack_uint(&in);
        assert_true(first > last);
        last = first + n - 1;
        given += (uint32_t)n;
    }
    assert_true(unpack_is_done(&in));
    assert_in_range(given, 1, count);
    return last;
}

/* As a killed process leaves it; goes on there. */
static struct store_fixture *crashed(struct store_fixture *f)
{
    struct store_fixture *copy = store_fixture_crash(f);
    store_fixture_free(f);
    store_fixture_start(copy);
    set_origin(copy);
    return copy;
}

static void a_document_is_found_by_the_id_that_it_was_given(void **state)
{
    struct store_fixture *f = *state;
    uint64_t id = put(f, 0);
    const struct outcome *found = run(f, OP_READ, id);
    assert_true(found->was_there);
    assert_true(bytes_equal(found->value, bytes_of(document, sizeof(document))));
    assert_int_equal(found->kind, 3);
    assert_int_equal(found->size, record_size(ID_KEY_LEN, sizeof(document)));
    assert_int_equal(store_account(f->store, 0)->records, 1);
    assert_true(put(f, 0) > id);
    assert_true(run(f, OP_DELETE, id)->was_there);
    assert_false(run(f, OP_READ, id)->was_there);
}

/* RULES Q1: also by who finds the server started again. */
static void a_put_that_is_sent_again_gives_the_same_id_and_makes_one_record(void **state)
{
    struct store_fixture *f = *state;
    uint64_t id = put(f, 1);
    assert_int_equal(put(f, 1), id);
    f = *state = crashed(f);
    assert_int_equal(put(f, 1), id);
    assert_int_equal(store_account(f->store, 0)->records, 1);
    assert_true(put(f, 2) > id);
}

/* RULES I2 */
static void ids_grow_over_starts_of_every_kind(void **state)
{
    struct store_fixture *f = *state;
    struct dice dice = dice_of(9);
    uint64_t last = 0;
    print_message("# seed 9\n");
    for (uint32_t i = 0; i < 30; i++) {
        last = mint(f, 1 + (uint32_t)dice_below(&dice, 5000), last);
        if (dice_below(&dice, 3) == 0) {
            uint64_t id = put(f, 0);
            assert_true(id > last);
            last = id;
        }
        switch (dice_below(&dice, 4)) {
        case 0:
            f = *state = crashed(f);
            break;
        case 1:
            store_fixture_restart(f);
            set_origin(f);
            break;
        case 2:
            store_fixture_make_cold(f); /* the log's records of it are gone */
            set_origin(f);
            break;
        default:
            break;
        }
    }
}

static bool is_reserve_in_tree_alone(struct store_fixture *f)
{
    struct store_stat stat;
    store_stat(f->store, &stat);
    return stat.applied_stamp == stat.last_stamp;
}

/* With its record the log's segment is gone, and the tree has it (shardd/swept.h). */
static void the_reserve_outlives_the_log(void **state)
{
    struct store_fixture *f = *state;
    uint64_t last = mint(f, 1, 0);
    store_fixture_make_cold(f);
    store_fixture_run(f, is_reserve_in_tree_alone);
    f = *state = crashed(f);
    uint64_t next = mint(f, 1, last);
    assert_in_range(id_ms(next) - id_ms(last), MINTER_RESERVE_MS - MINTER_EXTEND_MS, 120000);
}

static void an_id_that_somebody_brings_along_is_not_given_again(void **state)
{
    struct store_fixture *f = *state;
    uint64_t id = mint(f, 1, 0) + 2;
    assert_int_equal(run(f, OP_WRITE, id)->status, STATUS_OK);
    assert_true(put(f, 0) > id);
    f = *state = crashed(f);
    assert_true(mint(f, 1, id) > id);
    uint64_t far;
    assert_true(id_compose(id_ms(id) + 2 * MINTER_BEHIND_MS, SHARD, 0, &far));
    assert_int_equal(run(f, OP_WRITE, far)->status, STATUS_INVALID);
    assert_false(run(f, OP_READ, far)->was_there);
}

/* With an id minutes ahead of the clock. */
static struct op far_write(struct store_fixture *f, uint8_t key[ID_KEY_LEN])
{
    uint64_t far;
    assert_true(id_compose(id_ms(mint(f, 1, 0)) + MINTER_BEHIND_MS / 2, SHARD, 0, &far));
    endian_put_be64(key, far);
    return (struct op){
        .kind = OP_WRITE,
        .table = TABLE_ENTITIES,
        .key = bytes_of(key, ID_KEY_LEN),
        .point = id_point(far),
        .value = bytes_of(document, sizeof(document)),
        .deadline_us = clock_mono_us() + 200000,
    };
}

/* Not that its shard is full: what waits for another reason waits beside it. */
static void what_waits_for_its_id_too_long_is_told_so(void **state)
{
    struct store_fixture *f = *state;
    uint8_t key[ID_KEY_LEN];
    const struct op op = far_write(f, key);
    const struct outcome *outcome = store_fixture_do(f, &op);
    assert_int_equal(outcome->status, STATUS_TRY_LATER);
    assert_int_equal(outcome->reason, OP_REASON_IDS_AHEAD);
}

static void what_waits_behind_it_is_told_the_same(void **state)
{
    struct store_fixture *f = *state;
    uint8_t key[ID_KEY_LEN];
    struct op op = far_write(f, key);
    store_fixture_submit(f, &op);
    op.kind = OP_READ;
    op.value = bytes_of(NULL, 0);
    op.deadline_us -= 150000; /* the first to be late */
    const struct outcome *outcome = store_fixture_do(f, &op);
    assert_int_equal(outcome->status, STATUS_TRY_LATER);
    assert_int_equal(outcome->reason, OP_REASON_IDS_AHEAD);
}

static const struct range narrow[] = {{.end = BOUND_END, .limit = 200}};

static void a_full_shard_takes_no_document_and_gives_no_id_for_it(void **state)
{
    struct store_fixture *f = *state;
    store_fixture_own(f, narrow, 1);
    (void)put(f, 0);
    (void)put(f, 0);
    struct op op = put_op(1);
    const struct outcome *outcome = store_fixture_do(f, &op);
    assert_int_equal(outcome->status, STATUS_FULL);
    assert_int_equal(outcome->limit, 200);
    assert_int_equal(store_account(f->store, 0)->records, 2);
}

static int setup(void **state)
{
    struct store_fixture *f = store_fixture_open();
    set_origin(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    store_fixture_free(*state);
    return 0;
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_document_is_found_by_the_id_that_it_was_given),
        TEST(a_put_that_is_sent_again_gives_the_same_id_and_makes_one_record),
        TEST(ids_grow_over_starts_of_every_kind),
        TEST(the_reserve_outlives_the_log),
        TEST(an_id_that_somebody_brings_along_is_not_given_again),
        TEST(what_waits_for_its_id_too_long_is_told_so),
        TEST(what_waits_behind_it_is_told_the_same),
        TEST(a_full_shard_takes_no_document_and_gives_no_id_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
