/* SPDX-License-Identifier: MIT */
#include "libclient/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/endian.h"
#include "proto/id.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/table.h"

#define FOR_EVER (-1)

static const struct result_key KEY = {{"k", 1}, TABLE_DEFAULT};

/* A field of the wrong type stands where `wrong` says; -1: all are right. */
struct shape {
    uint32_t field_count;
    int wrong;
    bool has_key; /* as in a scan, in front */
};

/* [key,] "v", 77, 9300, 66, 5, 10000, true, and further ones that nobody knows. */
static void pack_record(const struct shape *shape, struct buffer *out)
{
    pack_array(out, shape->field_count);
    uint32_t first = shape->has_key ? 0 : 1;
    for (uint32_t i = 0; i < shape->field_count; i++) {
        uint32_t field = first + i;
        if ((int)field == shape->wrong) {
            pack_float(out, 0.5);
        } else if (field == 0) {
            pack_text(out, "k");
        } else if (field == 1) {
            pack_text(out, "v");
        } else if (field == 7) {
            pack_bool(out, true);
        } else if (field > 7) {
            pack_map(out, 0);
        } else {
            static const uint64_t numbers[] = {77, 9300, 66, 5, 10000};
            pack_uint(out, numbers[field - 2]);
        }
    }
}

static enum result read_record(const struct shape *shape, struct skv_record *record)
{
    struct buffer out = {0};
    pack_record(shape, &out);
    enum result result = result_of_read(buffer_bytes(&out), &KEY, record);
    buffer_fini(&out);
    return result;
}

static void assert_common(const struct skv_record *record)
{
    assert_int_equal(record->version, 77);
    assert_int_equal(record->ttl_ms, 9300);
    assert_int_equal(record->size, 66);
    assert_int_equal(record->kind, 5);
}

static void a_read_brings_all_seven_fields_and_ignores_what_follows(void **state)
{
    (void)state;
    for (uint32_t count = 7; count < 10; count++) {
        struct skv_record record = {0};
        assert_int_equal(read_record(&(struct shape){count, -1, false}, &record), RESULT_FOUND);
        assert_common(&record);
        assert_int_equal(record.full_ttl_ms, 10000);
        assert_true(record.sliding);
        assert_int_equal(record.value.type, SKV_STR);
        skv_record_fini(&record);
    }
}

/* An older server's records do not slide. */
static void a_read_of_five_fields_is_one_too(void **state)
{
    struct skv_record record = {.full_ttl_ms = 9, .sliding = true};
    (void)state;
    assert_int_equal(read_record(&(struct shape){5, -1, false}, &record), RESULT_FOUND);
    assert_common(&record);
    assert_int_equal(record.full_ttl_ms, 0);
    assert_false(record.sliding);
    assert_int_equal(read_record(&(struct shape){6, -1, false}, &record), RESULT_FOUND);
    assert_int_equal(record.full_ttl_ms, 10000);
    assert_false(record.sliding);
    skv_record_fini(&record);
}

static void too_few_fields_or_a_wrong_type_is_malformed(void **state)
{
    struct skv_record record = {.version = 42};
    (void)state;
    for (uint32_t count = 0; count < 5; count++) {
        assert_int_equal(read_record(&(struct shape){count, -1, false}, &record), RESULT_MALFORMED);
    }
    for (int wrong = 2; wrong < 8; wrong++) {
        assert_int_equal(read_record(&(struct shape){7, wrong, false}, &record), RESULT_MALFORMED);
    }
    assert_int_equal(record.version, 42);
}

static void every_shorter_prefix_is_malformed(void **state)
{
    struct buffer out = {0};
    (void)state;
    pack_record(&(struct shape){8, -1, false}, &out);
    for (size_t len = 0; len < out.len; len++) {
        struct skv_record record = {.version = 42};
        void *prefix = malloc(len + 1);
        assert_non_null(prefix);
        memcpy(prefix, out.data, len);
        assert_int_equal(result_of_read(bytes_of(prefix, len), &KEY, &record), RESULT_MALFORMED);
        assert_int_equal(record.version, 42);
        free(prefix);
    }
    buffer_fini(&out);
}

static bool unpack_one(const struct shape *shape, struct skv_record *record)
{
    struct buffer out = {0};
    pack_record(shape, &out);
    pack_uint(&out, 99);
    struct unpack in = unpack_of(buffer_bytes(&out));
    bool is_record = result_unpack_record(&in, TABLE_DEFAULT, record);
    /* It stops where the record ends. */
    assert_true(!is_record || unpack_uint(&in) == 99);
    buffer_fini(&out);
    return is_record;
}

static void a_scans_record_has_six_eight_or_more_fields(void **state)
{
    struct skv_record record = {0};
    (void)state;
    assert_true(unpack_one(&(struct shape){6, -1, true}, &record));
    assert_common(&record);
    assert_int_equal(record.full_ttl_ms, 0);
    for (uint32_t count = 8; count < 11; count++) {
        assert_true(unpack_one(&(struct shape){count, -1, true}, &record));
        assert_common(&record);
        assert_int_equal(record.full_ttl_ms, 10000);
        assert_true(record.sliding);
    }
    for (uint32_t count = 0; count < 6; count++) {
        assert_false(unpack_one(&(struct shape){count, -1, true}, &record));
    }
    for (int wrong = 2; wrong < 8; wrong++) {
        assert_false(unpack_one(&(struct shape){8, wrong, true}, &record));
    }
    assert_false(unpack_one(&(struct shape){8, 0, true}, &record));
}

/* [version, size] does not repeat what was asked for. */
static void a_written_record_expires_as_it_was_told_to(void **state)
{
    static const struct {
        struct result_given given;
        int64_t left_ms;
    } cases[] = {
        {{0, 0, false, 0}, FOR_EVER},
        {{10000, 0, false, 0}, 10000},
        {{10000, 9300, true, 5}, 9300},
    };
    const struct bytes written = {"\x92\x4d\x42", 3};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct skv_record record = {0};
        assert_int_equal(result_of_write(written, &KEY, &cases[i].given, &record), RESULT_FOUND);
        assert_int_equal(record.version, 77);
        assert_int_equal(record.size, 66);
        assert_int_equal(record.ttl_ms, cases[i].left_ms);
        assert_int_equal(record.full_ttl_ms, cases[i].given.ttl_ms);
        assert_int_equal(record.sliding, cases[i].given.sliding);
        assert_int_equal(record.kind, cases[i].given.kind);
        skv_record_fini(&record);
    }
}

static void only_expire_may_find_nothing(void **state)
{
    const struct result_given given = {.ttl_ms = 1};
    const struct bytes nil = {"\xc0", 1};
    (void)state;
    assert_int_equal(result_of_expire(nil, &KEY, &given, NULL), RESULT_ABSENT);
    assert_int_equal(result_of_expire(bytes_of("\x92\x4d\x42", 3), &KEY, &given, NULL),
                     RESULT_FOUND);
    assert_int_equal(result_of_expire(bytes_of("\x91\x4d", 2), &KEY, &given, NULL),
                     RESULT_MALFORMED);
    assert_int_equal(result_of_expire(bytes_of(NULL, 0), &KEY, &given, NULL), RESULT_MALFORMED);
    assert_int_equal(result_of_write(nil, &KEY, &given, NULL), RESULT_MALFORMED);
}

/* --- ids --- */

#define ID UINT64_C(307821103844175873) /* shard 12, sequence 1 */

static void a_record_of_a_table_of_ids_has_its_id_and_the_ids_point(void **state)
{
    uint8_t id[ID_KEY_LEN];
    const struct result_key key = {{id, sizeof(id)}, TABLE_ENTITIES};
    const struct result_key same_bytes = {{id, sizeof(id)}, TABLE_DEFAULT};
    struct skv_record record = {0};
    struct buffer out = {0};
    (void)state;
    endian_put_be64(id, ID);
    pack_record(&(struct shape){7, -1, false}, &out);
    assert_int_equal(result_of_read(buffer_bytes(&out), &key, &record), RESULT_FOUND);
    assert_int_equal(record.id, ID);
    assert_int_equal(record.point, id_point(ID));
    assert_memory_equal(record.key.data, id, sizeof(id));
    assert_common(&record);
    assert_int_equal(result_of_read(buffer_bytes(&out), &same_bytes, &record), RESULT_FOUND);
    assert_int_equal(record.id, 0);
    assert_int_equal(record.point, point_of_key(bytes_of(id, sizeof(id))));
    skv_record_fini(&record);
    buffer_fini(&out);
}

static void a_scan_of_ids_brings_them(void **state)
{
    uint8_t id[ID_KEY_LEN];
    struct skv_record record = {0};
    struct buffer out = {0};
    (void)state;
    endian_put_be64(id, ID);
    pack_array(&out, 6);
    pack_bin(&out, bytes_of(id, sizeof(id)));
    pack_map(&out, 0);
    for (int i = 0; i < 4; i++) {
        pack_uint(&out, 3);
    }
    struct unpack in = unpack_of(buffer_bytes(&out));
    assert_true(result_unpack_record(&in, TABLE_ENTITIES, &record));
    assert_int_equal(record.id, ID);
    assert_int_equal(record.point, id_point(ID));
    assert_int_equal(record.kind, 3);
    buffer_fini(&out);
}

static enum result take_put(uint32_t field_count, struct skv_record *record)
{
    const struct result_given given = {.ttl_ms = 10000, .kind = 7};
    struct buffer out = {0};
    pack_array(&out, field_count);
    const uint64_t fields[] = {ID, 77, 66, 1};
    for (uint32_t i = 0; i < field_count; i++) {
        pack_uint(&out, fields[i]);
    }
    enum result result = result_of_put(buffer_bytes(&out), &given, record);
    buffer_fini(&out);
    return result;
}

static void a_put_brings_the_id_that_was_given(void **state)
{
    struct skv_record record = {0};
    (void)state;
    for (uint32_t count = 0; count < 3; count++) {
        assert_int_equal(take_put(count, &record), RESULT_MALFORMED);
    }
    for (uint32_t count = 3; count < 5; count++) {
        assert_int_equal(take_put(count, &record), RESULT_FOUND);
        assert_int_equal(record.id, ID);
        assert_int_equal(record.point, id_point(ID));
        assert_int_equal(record.key.len, ID_KEY_LEN);
        assert_int_equal(record.version, 77);
        assert_int_equal(record.size, 66);
        assert_int_equal(record.kind, 7);
        assert_int_equal(record.ttl_ms, 10000);
    }
    skv_record_fini(&record);
}

enum { RUNS_MAX = 4, IDS_MAX = 2048 };

struct minted {
    const char *name;
    uint32_t count; /* asked for */
    uint32_t came;  /* 0: it is malformed */
    struct {
        uint64_t id, len;
    } runs[RUNS_MAX]; /* up to one of id 0 */
};

#define FIRST (ID - 1) /* sequence 0 */
#define NEXT  (FIRST + (UINT64_C(1) << 23))

/* clang-format off */
static const struct minted MINTED[] = {
    {"one",                              1,    1,     {{ID, 1}}},
    {"a run",                            1023, 1023,  {{ID, 1023}}},
    {"a whole millisecond and the next", 1025, 1025,  {{FIRST, 1024}, {NEXT, 1}}},
    {"with a hole, as a part gives",     3,    3,     {{ID, 2}, {ID + 5, 1}}},
    {"fewer than asked for",             3,    2,     {{ID, 2}}},
    {"too many",                         1,    0,     {{ID, 2}}},
    {"none",                             1,    0,     {{0, 0}}},
    {"an empty run",                     1,    0,     {{ID, 1}, {NEXT, 0}}},
    {"over the end of the sequence",     1024, 0,     {{ID, 1024}}},
    {"the same twice",                   2,    0,     {{ID, 1}, {ID, 1}}},
    {"falling",                          2,    0,     {{NEXT, 1}, {ID, 1}}},
    {"overlapping",                      3,    0,     {{ID, 2}, {ID + 1, 1}}},
    {"of another shard",                 1,    0,     {{ID + 1024, 1}}},
};
/* clang-format on */

static enum result take_minted(const struct minted *minted, uint64_t *ids, uint32_t *count,
                               size_t cut)
{
    struct buffer out = {0};
    uint32_t run_count = 0;
    *count = minted->count;
    while (run_count < RUNS_MAX && minted->runs[run_count].id != 0) {
        run_count++;
    }
    pack_array(&out, run_count);
    for (uint32_t i = 0; i < run_count; i++) {
        pack_array(&out, 2);
        pack_uint(&out, minted->runs[i].id);
        pack_uint(&out, minted->runs[i].len);
    }
    enum result result = cut < out.len
                             ? result_of_mint(bytes_of(out.data, out.len - cut), 12, ids, count)
                             : RESULT_MALFORMED;
    buffer_fini(&out);
    return result;
}

static void minted_ids_grow_within_their_shard_and_are_no_more_than_asked_for(void **state)
{
    static uint64_t ids[IDS_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(MINTED) / sizeof(MINTED[0]); i++) {
        const struct minted *minted = &MINTED[i];
        ids[minted->count] = 4711;
        uint32_t count = 0;
        enum result result = take_minted(minted, ids, &count, 0);
        uint32_t expected = minted->came ? minted->came : minted->count;
        if (result != (minted->came ? RESULT_FOUND : RESULT_MALFORMED) || count != expected) {
            fail_msg("%s: %d, %u", minted->name, (int)result, (unsigned)count);
        }
        assert_int_equal(ids[minted->count], 4711);
        for (uint32_t j = 1; j < minted->came; j++) {
            assert_true(ids[j] > ids[j - 1] && id_shard(ids[j]) == 12);
        }
        for (size_t cut = 1; cut < 60; cut++) {
            assert_int_equal(take_minted(minted, ids, &count, cut), RESULT_MALFORMED);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_brings_all_seven_fields_and_ignores_what_follows),
        cmocka_unit_test(a_read_of_five_fields_is_one_too),
        cmocka_unit_test(too_few_fields_or_a_wrong_type_is_malformed),
        cmocka_unit_test(every_shorter_prefix_is_malformed),
        cmocka_unit_test(a_scans_record_has_six_eight_or_more_fields),
        cmocka_unit_test(a_written_record_expires_as_it_was_told_to),
        cmocka_unit_test(only_expire_may_find_nothing),
        cmocka_unit_test(a_record_of_a_table_of_ids_has_its_id_and_the_ids_point),
        cmocka_unit_test(a_scan_of_ids_brings_them),
        cmocka_unit_test(a_put_brings_the_id_that_was_given),
        cmocka_unit_test(minted_ids_grow_within_their_shard_and_are_no_more_than_asked_for),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
