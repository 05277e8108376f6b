/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "libclient/shardkv.h"

#define ORIGIN_MS UINT64_C(1379365531352) /* the default */
#define TIME_LAST ((UINT64_C(1) << 41) - 1)

/* `ms` is since the origin. */
static const struct vector {
    uint64_t id;
    uint64_t ms;
    uint32_t shard;
    uint32_t sequence;
} VECTORS[] = {
    {UINT64_C(307821103844175873), UINT64_C(36695135098), 12, 1},
    {UINT64_C(11637205501278089), 1387263000, 1341, 905},
    {0, 0, 0, 0},
    {1023, 0, 0, 1023},
    {1024, 0, 1, 0},
    {8191u << 10, 0, 8191, 0},
    {1u << 23, 1, 0, 0},
    {TIME_LAST << 23, TIME_LAST, 0, 0},
    {UINT64_MAX, TIME_LAST, 8191, 1023},
};

enum { VECTOR_COUNT = sizeof(VECTORS) / sizeof(VECTORS[0]) };

static void an_id_is_taken_apart_and_composed_with_any_origin(void **state)
{
    static const uint64_t origins[] = {0, ORIGIN_MS, 1, UINT64_C(1700000000000)};
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        const struct vector *vector = &VECTORS[i];
        assert_int_equal(skv_id_shard(vector->id), vector->shard);
        assert_int_equal(skv_id_sequence(vector->id), vector->sequence);
        for (size_t j = 0; j < sizeof(origins) / sizeof(origins[0]); j++) {
            uint64_t created_ms = (origins[j] ? origins[j] : ORIGIN_MS) + vector->ms;
            uint64_t id = 4711;
            assert_int_equal(skv_id_created_ms(vector->id, origins[j]), created_ms);
            assert_true(
                skv_id_compose(created_ms, vector->shard, vector->sequence, origins[j], &id));
            assert_int_equal(id, vector->id);
        }
    }
}

/* 2014-11-15 14:11:06.450 UTC */
static void the_known_id_was_created_when_it_was(void **state)
{
    (void)state;
    assert_int_equal(skv_id_created_ms(UINT64_C(307821103844175873), 0), UINT64_C(1416060666450));
}

static void what_does_not_fit_its_field_is_refused(void **state)
{
    uint64_t id = 4711;
    (void)state;
    assert_false(skv_id_compose(ORIGIN_MS - 1, 0, 0, 0, &id));
    assert_false(skv_id_compose(0, 0, 0, 0, &id));
    assert_false(skv_id_compose(ORIGIN_MS + TIME_LAST + 1, 0, 0, 0, &id));
    assert_false(skv_id_compose(UINT64_MAX, 0, 0, 1, &id));
    assert_false(skv_id_compose(ORIGIN_MS, SKV_SHARD_COUNT, 0, 0, &id));
    assert_false(skv_id_compose(ORIGIN_MS, SKV_SHARD_ANY, 0, 0, &id));
    assert_false(skv_id_compose(ORIGIN_MS, 0, 1024, 0, &id));
    assert_int_equal(id, 4711);
}

static void an_ids_key_is_its_eight_bytes_so_that_keys_sort_as_ids_do(void **state)
{
    uint8_t memory[SKV_ID_KEY_LEN];
    static const uint8_t expected[] = {0x04, 0x45, 0x99, 0xa9, 0xbd, 0x00, 0x30, 0x01};
    (void)state;
    struct skv_bytes key = skv_key_of_id(UINT64_C(307821103844175873), memory);
    assert_ptr_equal(key.data, memory);
    assert_int_equal(key.len, sizeof(expected));
    assert_memory_equal(key.data, expected, sizeof(expected));
}

static void a_key_hashes_to_the_slice_of_its_point(void **state)
{
    (void)state;
    assert_int_equal(skv_shard_of_key(skv_key("test")), UINT64_C(0x9ec9f7918d7dfc40) >> 51);
    bool seen[SKV_SHARD_COUNT] = {false};
    uint32_t seen_count = 0;
    for (int i = 0; i < 1000; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "key %d", i);
        uint32_t shard = skv_shard_of_key(skv_key(text));
        assert_true(shard < SKV_SHARD_COUNT);
        seen_count += !seen[shard];
        seen[shard] = true;
    }
    assert_true(seen_count > 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_taken_apart_and_composed_with_any_origin),
        cmocka_unit_test(the_known_id_was_created_when_it_was),
        cmocka_unit_test(what_does_not_fit_its_field_is_refused),
        cmocka_unit_test(an_ids_key_is_its_eight_bytes_so_that_keys_sort_as_ids_do),
        cmocka_unit_test(a_key_hashes_to_the_slice_of_its_point),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
