/* SPDX-License-Identifier: MIT */
#include "proto/range_sum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/hash.h"
#include "proto/point.h"

enum { VALUE_LEN = 9 };

struct stored {
    size_t key_len;
    uint8_t key[TREE_KEY_LEN_MAX];
    uint8_t value[RECORD_HEADER_LEN + VALUE_LEN];
};

static struct stored stored_of(const char *key, uint64_t version, char first)
{
    char value[VALUE_LEN + 1] = "\xa8"
                                "01234567";
    struct stored stored = {0};
    value[1] = first;
    const struct record record = {
        .point = point_of_key(bytes_text(key)),
        .key = bytes_text(key),
        .value = bytes_of(value, VALUE_LEN),
        .version = version,
    };
    stored.key_len = record_key_encode(record.point, 0, record.key, stored.key);
    record_header_encode(&record, bytes_of(stored.key, stored.key_len), stored.value);
    memcpy(stored.value + RECORD_HEADER_LEN, value, VALUE_LEN);
    return stored;
}

static void add(struct range_sum *sum, const struct stored *stored)
{
    range_sum_add(sum, bytes_of(stored->key, stored->key_len),
                  bytes_of(stored->value, sizeof(stored->value)));
}

static void take(struct range_sum *sum, const struct stored *stored)
{
    range_sum_take(sum, bytes_of(stored->key, stored->key_len),
                   bytes_of(stored->value, sizeof(stored->value)));
}

static void the_order_of_adding_does_not_matter(void **state)
{
    (void)state;
    struct stored a = stored_of("a", 1, 'x');
    struct stored b = stored_of("b", 2, 'y');
    struct range_sum one = {0};
    struct range_sum other = {0};
    add(&one, &a);
    add(&one, &b);
    add(&other, &b);
    add(&other, &a);
    assert_true(range_sum_equal(&one, &other));
    assert_int_equal(one.records, 2);
    assert_int_equal(one.bytes, 2 * (1 + VALUE_LEN + RECORD_OVERHEAD));
}

static void what_is_taken_away_was_never_there(void **state)
{
    (void)state;
    struct range_sum sum = {0};
    struct range_sum before;
    for (uint64_t i = 0; i < 100; i++) {
        struct stored kept = stored_of("kept", i, 'k');
        struct stored gone = stored_of("gone", i, 'g');
        add(&sum, &kept);
        before = sum;
        add(&sum, &gone);
        assert_false(range_sum_equal(&sum, &before));
        take(&sum, &gone);
        assert_true(range_sum_equal(&sum, &before));
    }
}

static void another_key_version_or_value_is_another_sum(void **state)
{
    (void)state;
    struct stored different[] = {stored_of("a", 1, 'x'), stored_of("b", 1, 'x'),
                                 stored_of("a", 2, 'x'), stored_of("a", 1, 'y')};
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < i; j++) {
            struct range_sum one = {0};
            struct range_sum other = {0};
            add(&one, &different[i]);
            add(&other, &different[j]);
            assert_false(range_sum_equal(&one, &other));
        }
    }
}

static void the_sum_of_two_parts_is_that_of_the_whole(void **state)
{
    (void)state;
    struct range_sum whole = {0};
    struct range_sum parts[2] = {0};
    for (uint64_t i = 1; i <= 1000; i++) {
        struct stored stored = stored_of("key", i, 'v');
        add(&whole, &stored);
        add(&parts[i % 2], &stored);
    }
    range_sum_join(&parts[0], &parts[1]);
    assert_true(range_sum_equal(&whole, &parts[0]));
}

/* So that both ends of a move, and a later version, agree: what it was computed from stands in range_sum.h. */
static void the_hash_is_the_documented_one(void **state)
{
    (void)state;
    struct stored a = stored_of("a", 1, 'x');
    uint8_t hashed[RECORD_HEADER_LEN - 4 + TREE_KEY_LEN_MAX];
    memcpy(hashed, a.value + 4, RECORD_HEADER_LEN - 4);
    memcpy(hashed + RECORD_HEADER_LEN - 4, a.key, a.key_len);
    struct hash128 hash = hash128_bytes(bytes_of(hashed, RECORD_HEADER_LEN - 4 + a.key_len));
    struct range_sum sum = {0};
    add(&sum, &a);
    assert_true(sum.low == hash.low && sum.high == hash.high);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_adding_does_not_matter),
        cmocka_unit_test(what_is_taken_away_was_never_there),
        cmocka_unit_test(another_key_version_or_value_is_another_sum),
        cmocka_unit_test(the_sum_of_two_parts_is_that_of_the_whole),
        cmocka_unit_test(the_hash_is_the_documented_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
