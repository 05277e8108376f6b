/* SPDX-License-Identifier: MIT */
#include "proto/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/endian.h"
#include "proto/hash.h"

/* A record as it is stored. */
struct sample {
    uint8_t tree_key[TREE_KEY_LEN_MAX];
    size_t tree_key_len;
    uint8_t stored[RECORD_HEADER_LEN + 64];
    size_t stored_len;
};

static const struct record original = {
    .point = UINT64_C(0x0102030405060708),
    .table = 0x090a,
    .key = {"some key", 8},
    .flags = RECORD_SLIDING,
    .kind = 0x1234,
    .version = UINT64_C(0x1122334455667788),
    .expiry_ms = UINT64_C(1757000000123),
    .ttl_ms = 60000,
    .value = {"\xa5hello", 6},
};

static struct sample stored_sample(const struct record *record)
{
    struct sample sample;
    sample.tree_key_len =
        record_key_encode(record->point, record->table, record->key, sample.tree_key);
    record_header_encode(record, bytes_of(sample.tree_key, sample.tree_key_len), sample.stored);
    memcpy(sample.stored + RECORD_HEADER_LEN, record->value.data, record->value.len);
    sample.stored_len = RECORD_HEADER_LEN + record->value.len;
    return sample;
}

static enum record_fault decode(const struct sample *sample, struct record *record)
{
    return record_decode(bytes_of(sample->stored, sample->stored_len),
                         bytes_of(sample->tree_key, sample->tree_key_len), record);
}

static void a_record_comes_back_as_it_was(void **state)
{
    (void)state;
    struct sample sample = stored_sample(&original);
    struct record record = {0};
    assert_int_equal(decode(&sample, &record), RECORD_FINE);
    assert_true(record_key_decode(bytes_of(sample.tree_key, sample.tree_key_len), &record));
    assert_int_equal(record.point, original.point);
    assert_int_equal(record.table, original.table);
    assert_true(bytes_equal(record.key, original.key));
    assert_int_equal(record.flags, original.flags);
    assert_int_equal(record.kind, original.kind);
    assert_int_equal(record.version, original.version);
    assert_int_equal(record.expiry_ms, original.expiry_ms);
    assert_int_equal(record.ttl_ms, original.ttl_ms);
    assert_true(bytes_equal(record.value, original.value));
}

static void fields_stand_where_the_header_says(void **state)
{
    (void)state;
    static const uint8_t key[] = {1,  2,   3,   4,   5,   6,   7,   8,   9,
                                  10, 's', 'o', 'm', 'e', ' ', 'k', 'e', 'y'};
    struct sample sample = stored_sample(&original);
    assert_int_equal(sample.tree_key_len, sizeof key);
    assert_memory_equal(sample.tree_key, key, sizeof key);
    assert_int_equal(sample.stored[4], RECORD_FORMAT);
    assert_int_equal(sample.stored[5], original.flags);
    assert_int_equal(endian_get_le16(sample.stored + 6), original.kind);
    assert_int_equal(endian_get_le64(sample.stored + 8), original.version);
    assert_int_equal(endian_get_le64(sample.stored + 16), original.expiry_ms);
    assert_int_equal(endian_get_le64(sample.stored + 24), original.ttl_ms);
    assert_int_equal(endian_get_le64(sample.stored + 32), hash_bytes(original.value));

    uint8_t covered[36 + sizeof key];
    memcpy(covered, sample.stored + 4, 36);
    memcpy(covered + 36, key, sizeof key);
    assert_int_equal(endian_get_le32(sample.stored),
                     hash_bytes(bytes_of(covered, sizeof covered)) & UINT32_MAX);
}

static void any_flipped_bit_of_header_or_value_is_damage(void **state)
{
    (void)state;
    struct sample sample = stored_sample(&original);
    struct record record;
    for (size_t bit = 0; bit < 8 * sample.stored_len; bit++) {
        sample.stored[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(decode(&sample, &record), RECORD_DAMAGED);
        sample.stored[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(decode(&sample, &record), RECORD_FINE);
}

static void any_flipped_bit_of_the_tree_key_is_damage(void **state)
{
    (void)state;
    struct sample sample = stored_sample(&original);
    struct record record;
    for (size_t bit = 0; bit < 8 * sample.tree_key_len; bit++) {
        sample.tree_key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(decode(&sample, &record), RECORD_DAMAGED);
        sample.tree_key[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void a_value_cut_or_longer_is_damage_and_less_than_a_header_is_short(void **state)
{
    (void)state;
    struct sample sample = stored_sample(&original);
    struct record record = {.version = 7};
    size_t whole_len = sample.stored_len;
    for (sample.stored_len = 0; sample.stored_len < whole_len; sample.stored_len++) {
        bool is_short = sample.stored_len < RECORD_HEADER_LEN;
        assert_int_equal(decode(&sample, &record), is_short ? RECORD_SHORT : RECORD_DAMAGED);
    }
    sample.stored[whole_len] = 0;
    sample.stored_len = whole_len + 1;
    assert_int_equal(decode(&sample, &record), RECORD_DAMAGED);
    assert_int_equal(record.version, 7);
}

static void a_newer_format_is_told_from_damage(void **state)
{
    (void)state;
    struct sample sample = stored_sample(&original);
    struct record record;
    sample.stored[4] = RECORD_FORMAT + 1;

    uint8_t covered[36 + TREE_KEY_LEN_MAX];
    memcpy(covered, sample.stored + 4, 36);
    memcpy(covered + 36, sample.tree_key, sample.tree_key_len);
    uint64_t hash = hash_bytes(bytes_of(covered, 36 + sample.tree_key_len));
    endian_put_le32(sample.stored, (uint32_t)hash);
    assert_int_equal(decode(&sample, &record), RECORD_NEWER_FORMAT);
}

static void tree_keys_are_in_the_order_of_point_table_and_key(void **state)
{
    (void)state;
    static const struct record rising[] = {
        {.point = 0, .table = 0, .key = {"\0", 1}},
        {.point = 0, .table = 0, .key = {"\0\0", 2}},
        {.point = 0, .table = 0, .key = {"a", 1}},
        {.point = 0, .table = 1, .key = {"a", 1}},
        {.point = 0, .table = 256, .key = {"a", 1}},
        {.point = 1, .table = 0, .key = {"a", 1}},
        {.point = 256, .table = 0, .key = {"a", 1}},
        {.point = UINT64_MAX, .table = UINT16_MAX, .key = {"a", 1}},
        {.point = UINT64_MAX, .table = UINT16_MAX, .key = {"\xff", 1}},
    };
    uint8_t last[TREE_KEY_LEN_MAX];
    size_t last_len = 0;
    for (size_t i = 0; i < sizeof rising / sizeof rising[0]; i++) {
        uint8_t key[TREE_KEY_LEN_MAX];
        size_t len = record_key_encode(rising[i].point, rising[i].table, rising[i].key, key);
        assert_true(bytes_compare(bytes_of(last, last_len), bytes_of(key, len)) < 0);
        memcpy(last, key, len);
        last_len = len;
    }
}

static void a_tree_key_too_short_or_too_long_is_refused(void **state)
{
    (void)state;
    uint8_t tree_key[TREE_KEY_LEN_MAX + 1] = {0};
    struct record record;
    for (size_t len = 0; len <= sizeof tree_key; len++) {
        bool is_key = len >= 11 && len <= TREE_KEY_LEN_MAX;
        assert_int_equal(record_key_decode(bytes_of(tree_key, len), &record), is_key);
    }
    struct sample sample = stored_sample(&original);
    assert_int_equal(record_decode(bytes_of(sample.stored, sample.stored_len),
                                   bytes_of(tree_key, sizeof tree_key), &record),
                     RECORD_DAMAGED);
}

static void the_longest_key_fits(void **state)
{
    (void)state;
    uint8_t longest[KEY_LEN_MAX];
    memset(longest, 0xff, sizeof longest);
    struct record record = original;
    record.key = bytes_of(longest, sizeof longest);
    struct sample sample = stored_sample(&record);
    assert_int_equal(sample.tree_key_len, TREE_KEY_LEN_MAX);
    assert_int_equal(decode(&sample, &record), RECORD_FINE);
    assert_int_equal(record_size(record.key.len, record.value.len), 480 + 6 + 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back_as_it_was),
        cmocka_unit_test(fields_stand_where_the_header_says),
        cmocka_unit_test(any_flipped_bit_of_header_or_value_is_damage),
        cmocka_unit_test(any_flipped_bit_of_the_tree_key_is_damage),
        cmocka_unit_test(a_value_cut_or_longer_is_damage_and_less_than_a_header_is_short),
        cmocka_unit_test(a_newer_format_is_told_from_damage),
        cmocka_unit_test(tree_keys_are_in_the_order_of_point_table_and_key),
        cmocka_unit_test(a_tree_key_too_short_or_too_long_is_refused),
        cmocka_unit_test(the_longest_key_fits),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
