/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/budget.h"
#include "tests/unit/dice.h"

/* RULES F3: what is kept of input is bounded in sum, and somebody can always go on. */

#define KIB ((size_t)1 << 10)

enum { PART_COUNT = 10 };

struct fixture {
    struct budget budget;
    struct budget_part parts[PART_COUNT];
};

/* Who is which is told by the address alone. */
static struct conn *conn_of(struct fixture *f, unsigned i)
{
    return (struct conn *)(void *)&f->parts[i];
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    budget_init(&f->budget);
    f->budget.limit = 200 * KIB;
    for (unsigned i = 0; i < PART_COUNT; i++) {
        budget_join(&f->budget, &f->parts[i], conn_of(f, i));
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < PART_COUNT; i++) {
        budget_leave(&f->budget, &f->parts[i]);
    }
    assert_int_equal(f->budget.used, 0);
    assert_int_equal(f->budget.count, 0);
    assert_null(f->budget.favoured);
    free(f);
    return 0;
}

static size_t ask(struct fixture *f, unsigned i, size_t growth)
{
    return budget_ask(&f->budget, &f->parts[i], f->parts[i].len, growth, 64 * KIB);
}

static void keep(struct fixture *f, unsigned i, size_t len)
{
    budget_count(&f->budget, &f->parts[i], len);
}

static struct budget_part *next(struct fixture *f)
{
    size_t promised = 0;
    return budget_next(&f->budget, &promised);
}

static void without_a_limit_all_read(void **state)
{
    struct fixture *f = *state;
    f->budget.limit = 0;
    keep(f, 0, 1000 * KIB);
    assert_int_equal(ask(f, 0, 1000 * KIB), 64 * KIB);
    assert_int_equal(ask(f, 1, 0), 64 * KIB);
    assert_null(f->budget.favoured);
}

static void with_room_all_read(void **state)
{
    struct fixture *f = *state;
    keep(f, 0, 100 * KIB);
    assert_int_equal(ask(f, 0, 100 * KIB), 64 * KIB);
    assert_null(f->budget.favoured);
}

static void without_room_each_has_its_share(void **state)
{
    struct fixture *f = *state;
    keep(f, 0, 200 * KIB);
    assert_int_equal(ask(f, 1, 64 * KIB), 10 * KIB); /* half of it all, by ten */
    keep(f, 1, 4 * KIB);
    assert_int_equal(ask(f, 1, 64 * KIB), 6 * KIB);
    assert_int_equal(budget_share(0, 0), BUDGET_SHARE_MIN);
    assert_int_equal(budget_share(200 * KIB, 100000), BUDGET_SHARE_MIN);
}

static void without_room_one_goes_on_and_the_others_wait_in_their_order(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 4; i++) {
        keep(f, i, 50 * KIB);
    }
    assert_int_equal(ask(f, 2, 50 * KIB), 64 * KIB);
    assert_int_equal(ask(f, 1, 50 * KIB), 0);
    assert_int_equal(ask(f, 3, 50 * KIB), 0);
    assert_int_equal(ask(f, 3, 50 * KIB), 0);
    keep(f, 2, 1000 * KIB);
    assert_int_equal(ask(f, 2, 1000 * KIB), 64 * KIB); /* to its end */
    assert_null(next(f));
    keep(f, 2, 50 * KIB);
    budget_yield(&f->budget, &f->parts[2]);
    assert_ptr_equal(next(f), &f->parts[1]);
    assert_ptr_equal(f->budget.favoured, &f->parts[1]);
    assert_null(next(f));
    budget_leave(&f->budget, &f->parts[1]);
    assert_ptr_equal(next(f), &f->parts[3]); /* for which there is room now */
    assert_null(f->budget.favoured);
    assert_null(next(f));
}

static void room_is_promised_once(void **state)
{
    struct fixture *f = *state;
    size_t promised = 0;
    keep(f, 0, 180 * KIB);
    keep(f, 1, 20 * KIB);
    keep(f, 2, 20 * KIB);
    keep(f, 3, 20 * KIB);
    assert_int_equal(ask(f, 0, 100 * KIB), 64 * KIB);
    assert_int_equal(ask(f, 1, 60 * KIB), 0);
    assert_int_equal(ask(f, 2, 60 * KIB), 0);
    assert_int_equal(ask(f, 3, 60 * KIB), 0);
    keep(f, 0, 10 * KIB); /* there is room for two */
    assert_ptr_equal(budget_next(&f->budget, &promised), &f->parts[1]);
    assert_ptr_equal(budget_next(&f->budget, &promised), &f->parts[2]);
    assert_null(budget_next(&f->budget, &promised));
}

static void whoever_leaves_waits_no_more(void **state)
{
    struct fixture *f = *state;
    keep(f, 0, 300 * KIB);
    keep(f, 1, 20 * KIB);
    assert_int_equal(ask(f, 0, 0), 64 * KIB);
    assert_int_equal(ask(f, 1, 0), 0);
    budget_leave(&f->budget, &f->parts[1]);
    budget_leave(&f->budget, &f->parts[1]);
    assert_int_equal(f->budget.count, PART_COUNT - 1);
    budget_leave(&f->budget, &f->parts[0]);
    assert_null(next(f));
}

/* A message that is whole is given up at once. */
static void take(struct fixture *f, unsigned i, size_t len, size_t whole)
{
    keep(f, i, f->parts[i].len + len);
    if (f->parts[i].len >= whole) {
        keep(f, i, 0);
        budget_yield(&f->budget, &f->parts[i]);
    }
}

static void what_is_kept_is_bounded_and_all_come_to_an_end(void **state)
{
    struct fixture *f = *state;
    struct dice dice = dice_of(5);
    const size_t whole = 300 * KIB;
    unsigned ends[PART_COUNT] = {0};
    for (unsigned turn = 0; turn < 100000; turn++) {
        unsigned i = dice_below(&dice, PART_COUNT);
        size_t len = f->parts[i].is_waiting ? 0 : ask(f, i, 64 * KIB);
        size_t before = f->parts[i].len;
        take(f, i, len, whole);
        ends[i] += f->parts[i].len < before;
        size_t promised = 0;
        while (budget_next(&f->budget, &promised) != NULL) {
        }
        assert_true(f->budget.used <= 200 * KIB + 10 * KIB * PART_COUNT + whole + 64 * KIB);
    }
    for (unsigned i = 0; i < PART_COUNT; i++) {
        assert_true(ends[i] > 100);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        TEST(without_a_limit_all_read),
        TEST(with_room_all_read),
        TEST(without_room_each_has_its_share),
        TEST(without_room_one_goes_on_and_the_others_wait_in_their_order),
        TEST(room_is_promised_once),
        TEST(whoever_leaves_waits_no_more),
        TEST(what_is_kept_is_bounded_and_all_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
