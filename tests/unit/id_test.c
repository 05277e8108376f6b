/* SPDX-License-Identifier: MIT */
#include "proto/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proto/endian.h"
#include "proto/point.h"
#include "proto/table.h"

/* From the repository's root, where the tests are run. */
#define PROTOCOL "proto/PROTOCOL.md"

/* `ms` is since the origin, whatever the origin is. */
static const struct vector {
    uint64_t id;
    uint64_t ms;
    uint32_t shard;
    uint32_t sequence;
} vectors[] = {
    {UINT64_C(307821103844175873), UINT64_C(36695135098), 12, 1},
    /* "Sharding & IDs at Instagram": user 31341 of 2000 shards, the 5001st id. */
    {UINT64_C(11637205501278089), 1387263000, 31341 % 2000, 5001 % 1024},
    {0, 0, 0, 0},
    {1, 0, 0, 1},
    {1023, 0, 0, 1023},
    {1024, 0, 1, 0},
    {8191u << 10, 0, 8191, 0},
    {1u << 23, 1, 0, 0},
    {UINT64_C(1) << 63, UINT64_C(1) << 40, 0, 0},
    {UINT64_MAX, ID_TIME_MAX, 8191, 1023},
};

enum { VECTOR_COUNT = sizeof vectors / sizeof vectors[0] };

static void vectors_are_composed_and_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        const struct vector *vector = &vectors[i];
        uint64_t id;
        assert_true(id_compose(vector->ms, vector->shard, vector->sequence, &id));
        assert_int_equal(id, vector->id);
        assert_int_equal(id_ms(vector->id), vector->ms);
        assert_int_equal(id_shard(vector->id), vector->shard);
        assert_int_equal(id_sequence(vector->id), vector->sequence);
    }
}

/* 2014-11-15 14:11:06.450 UTC, as the id's own documentation says. */
static void the_default_origin_dates_the_vector(void **state)
{
    (void)state;
    assert_int_equal(ID_ORIGIN_MS + id_ms(UINT64_C(307821103844175873)), UINT64_C(1416060666450));
}

static void a_field_beyond_its_last_value_is_refused(void **state)
{
    (void)state;
    uint64_t id = 7;
    assert_false(id_compose(ID_TIME_MAX + 1, 0, 0, &id));
    assert_false(id_compose(UINT64_MAX, 0, 0, &id));
    assert_false(id_compose(0, ID_SHARD_COUNT, 0, &id));
    assert_false(id_compose(0, 0, ID_SEQUENCE_COUNT, &id));
    assert_int_equal(id, 7);
}

static void the_point_lies_in_the_slice_of_the_shard(void **state)
{
    (void)state;
    for (uint32_t shard = 0; shard < ID_SHARD_COUNT; shard++) {
        uint64_t id;
        assert_true(id_compose(36695135098, shard, shard % ID_SEQUENCE_COUNT, &id));
        assert_true(point_in(id_point(id), id_shard_bound(shard), id_shard_bound(shard + 1)));
    }
    assert_int_equal(id_shard_bound(ID_SHARD_COUNT), BOUND_END);
}

static void the_point_is_spread_by_the_hash_of_eight_big_endian_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        uint8_t key[8];
        endian_put_be64(key, vectors[i].id);
        uint64_t hash = point_of_key(bytes_of(key, sizeof key));
        assert_int_equal(id_point(vectors[i].id), (uint64_t)vectors[i].shard << 51 | hash >> 13);
    }
}

/* "| 307821103844175873 | 36695135098 | 12 | 1 | 0x0061b84b54f3ef9d |": only the table of ids looks like this. */
static void ids_and_points_are_those_of_the_protocols_table(void **state)
{
    (void)state;
    FILE *file = fopen(PROTOCOL, "re");
    assert_non_null(file);
    char line[1024];
    uint32_t count = 0;
    while (fgets(line, sizeof line, file)) {
        uint64_t id, ms, point;
        uint32_t shard, sequence;
        if (sscanf(line, "| %" SCNu64 " | %" SCNu64 " | %" SCNu32 " | %" SCNu32 " | 0x%" SCNx64,
                   &id, &ms, &shard, &sequence, &point) != 5) {
            continue;
        }
        assert_int_equal(id_ms(id), ms);
        assert_int_equal(id_shard(id), shard);
        assert_int_equal(id_sequence(id), sequence);
        assert_int_equal(id_point(id), point);
        count++;
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(count, 4);
}

/* RULES N1: by the number of the table and the bytes of the key, and nothing else. */
static void a_table_tells_where_a_key_lives(void **state)
{
    (void)state;
    uint16_t table = 7;
    uint8_t key[ID_KEY_LEN];
    uint64_t id = vectors[0].id;
    endian_put_be64(key, id);
    assert_true(table_find(bytes_text("entities"), &table));
    assert_int_equal(table, TABLE_ENTITIES);
    assert_true(table_has_ids(table));
    assert_int_equal(table_point(table, bytes_of(key, sizeof(key))), id_point(id));
    assert_int_equal(table_point(TABLE_DEFAULT, bytes_of(key, sizeof(key))),
                     point_of_key(bytes_of(key, sizeof(key))));
    assert_int_equal(table_point(table, bytes_of(key, 7)), point_of_key(bytes_of(key, 7)));
    assert_string_equal(table_name(table), "entities");
    assert_true(table_find(bytes_text("default"), &table));
    assert_int_equal(table, TABLE_DEFAULT);
    assert_false(table_has_ids(table));
    assert_false(table_find(bytes_text("Default"), &table));
    assert_null(table_name(1));
    assert_string_equal(table_name_at(0), "default");
    assert_string_equal(table_name_at(1), "entities");
    assert_null(table_name_at(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_composed_and_taken_apart),
        cmocka_unit_test(the_default_origin_dates_the_vector),
        cmocka_unit_test(a_field_beyond_its_last_value_is_refused),
        cmocka_unit_test(the_point_lies_in_the_slice_of_the_shard),
        cmocka_unit_test(ids_and_points_are_those_of_the_protocols_table),
        cmocka_unit_test(a_table_tells_where_a_key_lives),
        cmocka_unit_test(the_point_is_spread_by_the_hash_of_eight_big_endian_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
