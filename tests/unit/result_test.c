/* SPDX-License-Identifier: MIT */
#include "libclient/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/pack.h"

#define FOR_EVER (-1)

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
    enum result result = result_of_read(buffer_bytes(&out), bytes_text("k"), record);
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
        assert_int_equal(result_of_read(bytes_of(prefix, len), bytes_text("k"), &record),
                         RESULT_MALFORMED);
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
    bool is_record = result_unpack_record(&in, record);
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
        struct result_expiry expiry;
        int64_t left_ms;
    } cases[] = {
        {{0, 0, false}, FOR_EVER},
        {{10000, 0, false}, 10000},
        {{10000, 9300, true}, 9300},
    };
    const struct bytes written = {"\x92\x4d\x42", 3};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct skv_record record = {0};
        assert_int_equal(result_of_write(written, bytes_text("k"), &cases[i].expiry, &record),
                         RESULT_FOUND);
        assert_int_equal(record.version, 77);
        assert_int_equal(record.size, 66);
        assert_int_equal(record.ttl_ms, cases[i].left_ms);
        assert_int_equal(record.full_ttl_ms, cases[i].expiry.ttl_ms);
        assert_int_equal(record.sliding, cases[i].expiry.sliding);
        skv_record_fini(&record);
    }
}

static void only_expire_may_find_nothing(void **state)
{
    const struct result_expiry expiry = {.ttl_ms = 1};
    const struct bytes nil = {"\xc0", 1};
    const struct bytes key = bytes_text("k");
    (void)state;
    assert_int_equal(result_of_expire(nil, key, &expiry, NULL), RESULT_ABSENT);
    assert_int_equal(result_of_expire(bytes_of("\x92\x4d\x42", 3), key, &expiry, NULL),
                     RESULT_FOUND);
    assert_int_equal(result_of_expire(bytes_of("\x91\x4d", 2), key, &expiry, NULL),
                     RESULT_MALFORMED);
    assert_int_equal(result_of_expire(bytes_of(NULL, 0), key, &expiry, NULL), RESULT_MALFORMED);
    assert_int_equal(result_of_write(nil, key, &expiry, NULL), RESULT_MALFORMED);
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
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
