/* SPDX-License-Identifier: MIT */
#include "libclient/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct skv_value natural(uint64_t n)
{
    return (struct skv_value){.type = SKV_UINT, .natural = n};
}

static bool values_equal(struct skv_value a, struct skv_value b)
{
    if (a.type != b.type) {
        return false;
    }
    switch (a.type) {
    case SKV_NIL:
        return true;
    case SKV_BOOL:
        return a.boolean == b.boolean;
    case SKV_INT:
    case SKV_UINT:
    case SKV_FLOAT:
        return a.natural == b.natural; /* the same bits: -0.0 is not 0.0 */
    case SKV_STR:
    case SKV_BIN:
    case SKV_MSGPACK:
        break;
    }
    return bytes_equal(bytes_of(a.bytes.data, a.bytes.len), bytes_of(b.bytes.data, b.bytes.len));
}

static void every_type_comes_back_as_it_was(void **state)
{
    (void)state;
    static const uint8_t map[] = {0x81, 0xa1, 'a', 0x01};
    static const uint8_t ext[] = {0xd4, 0x05, 0xff};
    const struct skv_value values[] = {
        {.type = SKV_NIL},
        {.type = SKV_BOOL, .boolean = false},
        {.type = SKV_BOOL, .boolean = true},
        {.type = SKV_FLOAT, .real = -0.0},
        {.type = SKV_FLOAT, .real = 0.1},
        skv_int(0),
        skv_int(-1),
        skv_int(INT64_MIN),
        skv_int(INT64_MAX),
        natural((uint64_t)INT64_MAX + 1),
        natural(UINT64_MAX),
        skv_text(""),
        skv_text("hello world"),
        skv_str("a\0b", 3),
        skv_bin("\xff\x00", 2),
        skv_bin(NULL, 0),
        skv_msgpack(map, sizeof(map)),
        skv_msgpack(ext, sizeof(ext)),
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct buffer out = {.data = NULL};
        assert_true(value_encode(values[i], &out));
        assert_true(values_equal(value_decode(buffer_bytes(&out)), values[i]));
        buffer_fini(&out);
    }
}

static void a_number_that_fits_is_a_signed_one(void **state)
{
    (void)state;
    struct buffer out = {.data = NULL};
    assert_true(value_encode(natural(7), &out));
    assert_true(values_equal(value_decode(buffer_bytes(&out)), skv_int(7)));
    buffer_fini(&out);
}

static void msgpack_must_be_exactly_one_object(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"", 0},
        {"\x01\x02", 2},             /* two */
        {"\x92\x01", 2},             /* cut off */
        {"\xc1", 1},                 /* no object at all */
        {"\xdd\xff\xff\xff\xff", 5}, /* four thousand million elements */
    };
    struct buffer out = {.data = NULL};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(value_encode(skv_msgpack(bad[i].bytes, bad[i].len), &out));
    }
    uint8_t deep[40];
    memset(deep, 0x91, sizeof(deep));
    deep[33] = 0xc0;
    assert_false(value_encode(skv_msgpack(deep, 34), &out));
    deep[32] = 0xc0;
    assert_true(value_encode(skv_msgpack(deep, 33), &out));
    buffer_fini(&out);
}

static void a_fraction_is_below_one(void **state)
{
    (void)state;
    assert_true(skv_fraction(UINT64_MAX) < 1.0);
    assert_true(skv_fraction(UINT64_C(1) << 63) >= 0.5);
    assert_true(skv_fraction(0) <= 0.0);
    assert_true(skv_point(skv_key("test")) != skv_point(skv_key("test1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back_as_it_was),
        cmocka_unit_test(a_number_that_fits_is_a_signed_one),
        cmocka_unit_test(msgpack_must_be_exactly_one_object),
        cmocka_unit_test(a_fraction_is_below_one),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
