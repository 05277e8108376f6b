/* SPDX-License-Identifier: MIT */
#include "shardd/saving.h"

#include "tests/unit/dice.h"
#include "tests/unit/store_fixture.h"

#define HALF (BOUND_END / 2)

enum { KEYS = 200 };

static const struct range halves[] = {{.end = HALF, .limit = STORE_TEST_LIMIT},
                                      {.start = HALF, .end = BOUND_END, .limit = STORE_TEST_LIMIT}};

static int setup(void **state)
{
    *state = store_fixture_open();
    return 0;
}

static int teardown(void **state)
{
    store_fixture_free(*state);
    return 0;
}

static const char *numbered(uint32_t number)
{
    static char key[16];
    (void)snprintf(key, sizeof(key), "key%u", number);
    return key;
}

static bool is_low(uint32_t number)
{
    return point_of_key(bytes_text(numbered(number))) >> 63 == 0;
}

static void write_some(struct store_fixture *f, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        struct op op = store_op(OP_WRITE, numbered(i));
        store_fixture_submit(f, &op);
    }
    store_fixture_wait(f);
}

/* Part of them cold, part dirty, part cold and replaced. */
static void write_all(struct store_fixture *f)
{
    write_some(f, 0, KEYS / 2);
    store_fixture_make_cold(f);
    write_some(f, KEYS / 4, KEYS);
}

static uint32_t count_low(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        count += is_low(i);
    }
    return count;
}

static void assert_upper_half_is_empty(struct store_fixture *f)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        struct op op = store_op(OP_READ, numbered(i));
        const struct outcome *outcome = store_fixture_do(f, &op);
        assert_int_equal(outcome->status, STATUS_OK);
        assert_int_equal(outcome->was_there, is_low(i));
    }
    struct op scan = {.kind = OP_SCAN, .limit = 1000, .keys_only = true};
    struct unpack in = unpack_of(store_fixture_do(f, &scan)->value);
    (void)unpack_array(&in);
    assert_int_equal(unpack_array(&in), count_low());
    assert_int_equal(store_account(f->store, 0)->records, count_low());
}

/* RULES V2 */
static void what_is_gained_is_empty_whatever_was_there(void **state)
{
    struct store_fixture *f = *state;
    write_all(f);
    store_fixture_own(f, halves, 1);
    struct op op = store_op(OP_READ, numbered(0));
    op.point = UINT64_MAX;
    assert_int_equal(store_fixture_do(f, &op)->status, STATUS_WRONG_SHARD);
    store_fixture_own(f, store_all, 1);
    struct store_fixture *copy = store_fixture_crash(f);
    assert_upper_half_is_empty(f);
    store_fixture_start(copy);
    assert_upper_half_is_empty(copy);
    store_fixture_free(copy);
    store_fixture_make_cold(f);
    assert_upper_half_is_empty(f);
}

static struct store_fixture *copies[64];
static uint32_t copy_count;

static bool copy_each_turn(struct store_fixture *f)
{
    if (copy_count < 64) {
        copies[copy_count++] = store_fixture_crash(f);
    }
    return f->is_over;
}

static void choose_ranges(struct store_fixture *f)
{
    struct bytes control = store_control(f->store);
    bool is_gained = bytes_equal(control, bytes_text("gained"));
    assert_true(is_gained || bytes_equal(control, bytes_text("control")));
    f->ranges = is_gained ? store_all : halves;
    f->range_count = 1;
    f->control = is_gained ? "gained" : "control";
}

static void killed_at_each_step_of_a_gain_nothing_of_before_comes_back(void **state)
{
    struct store_fixture *f = *state;
    write_all(f);
    store_fixture_own(f, halves, 1);
    f->control = "gained";
    copy_count = 0;
    store_fixture_begin_save(f, store_all, 1);
    store_fixture_run(f, copy_each_turn);
    assert_true(copy_count >= 3);
    for (uint32_t i = 0; i < copy_count; i++) {
        struct store_fixture *copy = copies[i];
        copy->on_opened = choose_ranges;
        store_fixture_start(copy);
        assert_int_equal(store_account(copy->store, 0)->records, count_low());
        if (copy->ranges == halves) {
            copy->control = "gained";
            store_fixture_own(copy, store_all, 1);
        }
        assert_upper_half_is_empty(copy);
        store_fixture_restart(copy);
        assert_upper_half_is_empty(copy);
        store_fixture_free(copy);
    }
}

static void what_is_lost_and_not_gained_again_is_kept(void **state)
{
    struct store_fixture *f = *state;
    write_all(f);
    store_fixture_own(f, halves, 1);
    assert_null(store_account(f->store, UINT64_MAX));
    assert_int_equal(store_account(f->store, 0)->records, count_low());
    store_fixture_restart(f);
    assert_int_equal(store_account(f->store, 0)->records, count_low());
}

static void a_split_counts_its_parts_and_a_join_adds_them(void **state)
{
    struct store_fixture *f = *state;
    write_all(f);
    for (uint32_t i = 0; i < KEYS; i += 5) {
        struct op op = store_op(i % 2 == 0 ? OP_POP : OP_DELETE, numbered(i));
        op.identity = (struct op_identity){.client = {1}, .seq = i + 1, .done = 1};
        assert_true(store_fixture_do(f, &op)->was_there);
    }
    uint64_t used = store_account(f->store, 0)->used;
    uint64_t records = store_account(f->store, 0)->records;
    assert_int_equal(records, KEYS - KEYS / 5);
    store_fixture_own(f, halves, 2);
    const struct account *low = store_account(f->store, 0);
    const struct account *high = store_account(f->store, UINT64_MAX);
    assert_int_equal(low->records + high->records, records);
    assert_int_equal(low->used + high->used, used);
    assert_true(low->records > KEYS / 4 && high->records > KEYS / 4);
    uint64_t low_used = low->used;
    store_fixture_restart(f);
    assert_int_equal(store_account(f->store, 0)->used, low_used);
    store_fixture_own(f, store_all, 1);
    assert_int_equal(store_account(f->store, 0)->used, used);
    assert_int_equal(store_account(f->store, 0)->records, records);
}

/* A save in the middle of a turn, and of a batch of the sweep, results in it. */
static void saves_among_writes_and_sweeps_keep_the_accounts_exact(void **state)
{
    struct store_fixture *f = *state;
    struct dice dice = dice_of(77);
    struct store_stat stat;
    uint64_t seq = 0;
    for (int round = 0; round < 40; round++) {
        store_stat(f->store, &stat);
        if (round % 10 == 0) {
            f->config.log_limit = stat.log_bytes * 5 / 4 + 2000;
            store_fixture_restart(f);
        }
        for (uint32_t i = dice_below(&dice, 60); i > 0; i--) {
            static const enum op_kind kinds[] = {OP_WRITE, OP_POP, OP_DELETE, OP_INCR};
            struct op op = store_op(kinds[dice_below(&dice, 4)], numbered(dice_below(&dice, 50)));
            seq++;
            op.identity = (struct op_identity){.client = {1}, .seq = seq, .done = seq};
            store_fixture_submit(f, &op);
        }
        uint32_t roll = dice_below(&dice, 3);
        store_fixture_begin_save(f, roll == 0 ? store_all : halves, roll == 2 ? 2 : 1);
        store_fixture_run(f, store_fixture_is_over);
        assert_true(f->is_saved);
        store_fixture_wait(f);
        struct store_fixture *copy = store_fixture_crash(f);
        copy->config.log_limit = STORE_LOG_DEFAULT;
        store_fixture_start(copy);
        for (uint32_t half = 0; half < 2; half++) {
            uint64_t point = point_of_bound(halves[half].start);
            const struct account *account = store_account(f->store, point);
            const struct account *recovered = store_account(copy->store, point);
            assert_int_equal(account == NULL, recovered == NULL);
            if (account && recovered) {
                assert_int_equal(account->used, recovered->used);
                assert_int_equal(account->records, recovered->records);
            }
        }
        store_fixture_free(copy);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_gained_is_empty_whatever_was_there),
        TEST(killed_at_each_step_of_a_gain_nothing_of_before_comes_back),
        TEST(what_is_lost_and_not_gained_again_is_kept),
        TEST(a_split_counts_its_parts_and_a_join_adds_them),
        TEST(saves_among_writes_and_sweeps_keep_the_accounts_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
