/* SPDX-License-Identifier: MIT */
#include "shardd/account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/point.h"
#include "tests/unit/dice.h"

#define LIMIT  (UINT64_C(1) << 40)
#define SHARDS 1024

static void no_split(void *context, uint64_t start, uint64_t end, uint64_t *used, uint64_t *records)
{
    (void)context, (void)start, (void)end, (void)used, (void)records;
    fail();
}

/* As many bytes as bounds, and half as many records. */
static void split_evenly(void *context, uint64_t start, uint64_t end, uint64_t *used,
                         uint64_t *records)
{
    uint32_t *count = context;
    ++*count;
    *used = end - start;
    *records = (end - start) / 2;
}

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct accounts));
    return 0;
}

static int teardown(void **state)
{
    accounts_fini(*state);
    free(*state);
    return 0;
}

static struct account *find_slowly(const struct accounts *accounts, uint64_t point)
{
    for (uint32_t i = 0; i < accounts->count; i++) {
        if (point_in(point, accounts->items[i].range.start, accounts->items[i].range.end)) {
            return &accounts->items[i];
        }
    }
    return NULL;
}

static void nothing_owned_is_nobodys(void **state)
{
    struct accounts *accounts = *state;
    assert_null(accounts_find(accounts, 0));
    accounts_replace(accounts, NULL, 0, no_split, NULL);
    assert_null(accounts_find(accounts, UINT64_MAX));
}

static void one_range_has_all_its_points_and_no_other(void **state)
{
    struct accounts *accounts = *state;
    const struct range all = {.end = BOUND_END, .limit = LIMIT};
    accounts_replace(accounts, &all, 1, no_split, NULL);
    assert_ptr_equal(accounts_find(accounts, 0), accounts->items);
    assert_ptr_equal(accounts_find(accounts, UINT64_MAX), accounts->items);
    const struct range narrow = {.start = 5, .end = 6, .limit = LIMIT};
    accounts_fini(accounts);
    accounts_replace(accounts, &narrow, 1, no_split, NULL);
    assert_null(accounts_find(accounts, point_of_bound(5) - 1));
    assert_ptr_equal(accounts_find(accounts, point_of_bound(5)), accounts->items);
    assert_ptr_equal(accounts_find(accounts, point_of_bound(6) - 1), accounts->items);
    assert_null(accounts_find(accounts, point_of_bound(6)));
}

/* Some touch, some leave gaps, some are narrower than a part of the index. */
static void every_point_near_every_bound_of_many_ranges_is_found(void **state)
{
    struct accounts *accounts = *state;
    struct dice dice = dice_of(5);
    static struct range ranges[SHARDS];
    uint64_t at = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        at += (uint64_t)dice_below(&dice, 2) * dice_below(&dice, 1u << 20);
        uint64_t len = dice_below(&dice, 4) == 0 ? 1 : 1 + dice_below(&dice, 6u << 20);
        ranges[i] = (struct range){.start = at, .end = at + len, .limit = LIMIT};
        at += len;
    }
    assert_true(at < BOUND_END);
    accounts_replace(accounts, ranges, SHARDS, no_split, NULL);
    for (uint32_t i = 0; i < SHARDS; i++) {
        const uint64_t bounds[] = {ranges[i].start, ranges[i].end};
        for (int side = 0; side < 2; side++) {
            for (uint64_t off = 0; off < 3; off++) {
                uint64_t point = point_of_bound(bounds[side]) + off - 1;
                assert_ptr_equal(accounts_find(accounts, point), find_slowly(accounts, point));
            }
        }
    }
    for (int i = 0; i < 20000; i++) {
        uint64_t point = dice_roll(&dice);
        assert_ptr_equal(accounts_find(accounts, point), find_slowly(accounts, point));
    }
}

static void only_what_changed_is_put_and_once(void **state)
{
    struct accounts *accounts = *state;
    struct buffer out = {0};
    static struct range ranges[SHARDS];
    for (uint64_t i = 0; i < SHARDS; i++) {
        ranges[i] = (struct range){.start = i << 22, .end = (i + 1) << 22, .epoch = i + 1};
    }
    accounts_replace(accounts, ranges, SHARDS, no_split, NULL);
    assert_int_equal(accounts_put_changed(accounts, &out), 0);
    account_change(accounts, &accounts->items[7], 100, 1);
    account_change(accounts, &accounts->items[7], -30, 0);
    account_change(accounts, &accounts->items[1023], 5, 1);
    assert_int_equal(accounts_put_changed(accounts, &out), 2);
    assert_int_equal(accounts_put_changed(accounts, &out), 0);
    struct bytes rest = buffer_bytes(&out);
    struct log_account numbers;
    uint64_t used = 0;
    while (log_account_next(&rest, &numbers)) {
        used += numbers.used;
        assert_int_equal(numbers.epoch, (numbers.start >> 22) + 1);
        assert_int_equal(numbers.records, 1);
    }
    assert_int_equal(used, 75);
    buffer_clear(&out);
    assert_int_equal(accounts_put_all(accounts, &out), SHARDS);
    assert_int_equal(out.len, SHARDS * LOG_ACCOUNT_LEN);
    buffer_fini(&out);
}

static void numbers_are_set_where_a_range_begins_and_nowhere_else(void **state)
{
    struct accounts *accounts = *state;
    const struct range range = {.start = 10, .end = 20};
    accounts_replace(accounts, &range, 1, no_split, NULL);
    const struct log_account elsewhere[] = {{.start = 11, .used = 1},
                                            {.start = BOUND_END, .used = 1}};
    accounts_set(accounts, &elsewhere[0]);
    accounts_set(accounts, &elsewhere[1]);
    assert_int_equal(accounts->items[0].used, 0);
    const struct log_account here = {.start = 10, .used = 3, .records = 2};
    accounts_set(accounts, &here);
    assert_int_equal(accounts->items[0].used, 3);
    assert_int_equal(accounts->items[0].records, 2);
}

static void what_is_whole_goes_along_and_only_what_is_divided_is_counted(void **state)
{
    struct accounts *accounts = *state;
    uint32_t count = 0;
    const struct range first[] = {
        {.end = 100}, {.start = 100, .end = 200}, {.start = 300, .end = 400}};
    accounts_replace(accounts, first, 3, no_split, NULL);
    for (int i = 0; i < 3; i++) {
        account_change(accounts, &accounts->items[i], 1000 << i, 1);
        accounts->items[i].evicted = 1;
    }
    /* Two joined; half of the third, and what was nobody's before it. */
    const struct range second[] = {{.end = 200}, {.start = 250, .end = 350}};
    accounts_replace(accounts, second, 2, split_evenly, &count);
    assert_int_equal(count, 1);
    assert_int_equal(accounts->items[0].used, 3000);
    assert_int_equal(accounts->items[0].records, 2);
    assert_int_equal(accounts->items[0].evicted, 2);
    assert_int_equal(accounts->items[1].used, 50);
    assert_int_equal(accounts->items[1].records, 25);
}

static void the_largest_part_has_what_the_counted_ones_have_not(void **state)
{
    struct accounts *accounts = *state;
    uint32_t count = 0;
    const struct range whole = {.end = 1000};
    accounts_replace(accounts, &whole, 1, no_split, NULL);
    account_change(accounts, &accounts->items[0], 5000, 600);
    accounts->items[0].operations = 7;
    const struct range parts[] = {
        {.end = 10}, {.start = 10, .end = 900}, {.start = 900, .end = 1000}};
    accounts_replace(accounts, parts, 3, split_evenly, &count);
    assert_int_equal(count, 2);
    assert_int_equal(accounts->items[0].used, 10);
    assert_int_equal(accounts->items[1].used, 5000 - 10 - 100);
    assert_int_equal(accounts->items[1].records, 600 - 5 - 50);
    assert_int_equal(accounts->items[1].operations, 7);
    assert_int_equal(accounts->items[2].used, 100);
    assert_int_equal(accounts->items[2].records, 50);
}

static void delays_are_counted_and_stay_with_a_range_that_stays(void **state)
{
    struct accounts *accounts = *state;
    uint32_t count = 0;
    const struct range first[] = {{.end = 100}, {.start = 100, .end = 200}};
    accounts_replace(accounts, first, 2, no_split, NULL);
    assert_int_equal(accounts->delayed_count, 0);
    accounts_set_delay(accounts, 0, 20);
    accounts_set_delay(accounts, 100, 1);
    accounts_set_delay(accounts, 100, 50);
    accounts_set_delay(accounts, 101, 50);
    assert_int_equal(accounts->delayed_count, 2);
    const struct range second[] = {
        {.end = 50}, {.start = 50, .end = 100}, {.start = 100, .end = 200}};
    accounts_replace(accounts, second, 3, split_evenly, &count);
    assert_int_equal(accounts->delayed_count, 1);
    assert_int_equal(accounts->items[2].delay_ms, 50);
    accounts_set_delay(accounts, 100, 0);
    accounts_set_delay(accounts, 100, 0);
    assert_int_equal(accounts->delayed_count, 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_owned_is_nobodys),
        TEST(one_range_has_all_its_points_and_no_other),
        TEST(every_point_near_every_bound_of_many_ranges_is_found),
        TEST(only_what_changed_is_put_and_once),
        TEST(numbers_are_set_where_a_range_begins_and_nowhere_else),
        TEST(what_is_whole_goes_along_and_only_what_is_divided_is_counted),
        TEST(the_largest_part_has_what_the_counted_ones_have_not),
        TEST(delays_are_counted_and_stay_with_a_range_that_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
