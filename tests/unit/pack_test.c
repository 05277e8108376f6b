/* SPDX-License-Identifier: MIT */
#include "proto/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/unpack.h"
#include "tests/unit/random_object.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A length that needs no memory: nothing is read of what cannot be packed. */
#define TOO_LONG ((size_t)UINT32_MAX + 1)

static const uint32_t lengths[] = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536, 100000};

static void unsigned_integers_take_the_shortest_form(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        size_t len;
    } cases[] = {
        {0, 1},          {127, 1},        {128, 2},
        {255, 2},        {256, 3},        {65535, 3},
        {65536, 5},      {UINT32_MAX, 5}, {UINT64_C(1) << 32, 9},
        {UINT64_MAX, 9},
    };
    struct buffer out = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        buffer_clear(&out);
        pack_uint(&out, cases[i].value);
        assert_int_equal(out.len, cases[i].len);
        struct unpack in = unpack_of(buffer_bytes(&out));
        assert_int_equal(unpack_uint(&in), cases[i].value);
        assert_true(unpack_is_done(&in));
    }
    buffer_fini(&out);
}

static void signed_integers_take_the_shortest_form(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        size_t len;
    } cases[] = {
        {0, 1},      {127, 1},       {128, 2},         {INT64_MAX, 9}, {-1, 1},
        {-32, 1},    {-33, 2},       {INT8_MIN, 2},    {-129, 3},      {INT16_MIN, 3},
        {-32769, 5}, {INT32_MIN, 5}, {-2147483649, 9}, {INT64_MIN, 9},
    };
    struct buffer out = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        buffer_clear(&out);
        pack_int(&out, cases[i].value);
        assert_int_equal(out.len, cases[i].len);
        struct unpack in = unpack_of(buffer_bytes(&out));
        assert_int_equal(unpack_peek(&in), cases[i].value < 0 ? UNPACK_INT : UNPACK_UINT);
        assert_int_equal(unpack_int(&in), cases[i].value);
        assert_true(unpack_is_done(&in));
    }
    buffer_fini(&out);
}

static void nil_bools_and_floats_come_back(void **state)
{
    (void)state;
    struct buffer out = {0};
    pack_nil(&out);
    pack_bool(&out, true);
    pack_bool(&out, false);
    pack_float(&out, -0.1);
    struct unpack in = unpack_of(buffer_bytes(&out));
    unpack_nil(&in);
    assert_true(unpack_bool(&in));
    assert_false(unpack_bool(&in));
    assert_true(unpack_float(&in) == -0.1);
    assert_true(unpack_is_done(&in));
    buffer_fini(&out);
}

static void check_body(struct unpack *in, enum unpack_type type, struct bytes body)
{
    int8_t ext_type = 0;
    assert_int_equal(unpack_peek(in), type);
    struct bytes read = type == UNPACK_EXT ? unpack_ext(in, &ext_type) : unpack_text(in);
    assert_true(unpack_is_done(in));
    assert_true(bytes_equal(read, body));
    assert_int_equal(ext_type, type == UNPACK_EXT ? -5 : 0);
}

static void text_bytes_and_extensions_of_every_form_come_back(void **state)
{
    (void)state;
    static char data[100000];
    memset(data, 'x', sizeof data);
    struct buffer out = {0};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct bytes body = bytes_of(data, lengths[i]);
        struct unpack in;
        buffer_clear(&out);
        pack_str(&out, body);
        in = unpack_of(buffer_bytes(&out));
        check_body(&in, UNPACK_STR, body);
        buffer_clear(&out);
        pack_bin(&out, body);
        in = unpack_of(buffer_bytes(&out));
        check_body(&in, UNPACK_BIN, body);
        buffer_clear(&out);
        pack_ext(&out, -5, body);
        in = unpack_of(buffer_bytes(&out));
        check_body(&in, UNPACK_EXT, body);
    }
    buffer_fini(&out);
}

static void containers_of_every_form_come_back(void **state)
{
    (void)state;
    struct buffer out = {0};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        buffer_clear(&out);
        pack_array(&out, lengths[i]);
        for (uint32_t j = 0; j < lengths[i]; j++) {
            pack_nil(&out);
        }
        struct unpack in = unpack_of(buffer_bytes(&out));
        assert_int_equal(unpack_array(&in), lengths[i]);
        in = unpack_of(buffer_bytes(&out));
        assert_int_equal(unpack_skip(&in).len, out.len);

        buffer_clear(&out);
        pack_map(&out, lengths[i]);
        for (uint32_t j = 0; j < 2 * lengths[i]; j++) {
            pack_nil(&out);
        }
        in = unpack_of(buffer_bytes(&out));
        assert_int_equal(unpack_map(&in), lengths[i]);
        in = unpack_of(buffer_bytes(&out));
        assert_int_equal(unpack_skip(&in).len, out.len);
    }
    buffer_fini(&out);
}

/* Reads one object and packs it again. */
static void copy_object(struct unpack *in, struct buffer *out)
{
    int8_t type;
    struct bytes body;
    uint32_t count;
    switch (unpack_peek(in)) {
    case UNPACK_NIL:
        unpack_nil(in);
        pack_nil(out);
        break;
    case UNPACK_BOOL:
        pack_bool(out, unpack_bool(in));
        break;
    case UNPACK_UINT:
        pack_uint(out, unpack_uint(in));
        break;
    case UNPACK_INT:
        pack_int(out, unpack_int(in));
        break;
    case UNPACK_FLOAT:
        pack_float(out, unpack_float(in));
        break;
    case UNPACK_STR:
        pack_str(out, unpack_text(in));
        break;
    case UNPACK_BIN:
        pack_bin(out, unpack_text(in));
        break;
    case UNPACK_EXT:
        body = unpack_ext(in, &type);
        pack_ext(out, type, body);
        break;
    case UNPACK_ARRAY:
        count = unpack_array(in);
        pack_array(out, count);
        for (uint32_t i = 0; i < count; i++) {
            copy_object(in, out);
        }
        break;
    case UNPACK_MAP:
        count = unpack_map(in);
        pack_map(out, count);
        for (uint32_t i = 0; i < 2 * count; i++) {
            copy_object(in, out);
        }
        break;
    case UNPACK_NONE:
        fail();
    }
}

static void random_objects_are_read_and_packed_to_the_same_bytes(void **state)
{
    (void)state;
    struct dice dice = dice_of(1);
    struct buffer object = {0};
    struct buffer copy = {0};
    for (int i = 0; i < 5000; i++) {
        buffer_clear(&object);
        buffer_clear(&copy);
        random_object(&dice, &object, 8);
        struct unpack in = unpack_of(buffer_bytes(&object));
        copy_object(&in, &copy);
        assert_true(unpack_is_done(&in));
        assert_true(bytes_equal(buffer_bytes(&copy), buffer_bytes(&object)));
    }
    buffer_fini(&object);
    buffer_fini(&copy);
}

static void an_encoded_object_is_taken_as_it_is(void **state)
{
    (void)state;
    struct buffer out = {0};
    pack_array(&out, 2);
    pack_encoded(&out, bytes_of("\xcc\x05", 2)); /* not the shortest form */
    pack_text(&out, "x");
    assert_true(bytes_equal(buffer_bytes(&out), bytes_of("\x92\xcc\x05\xa1x", 5)));
    buffer_fini(&out);
}

static void a_length_beyond_32_bits_fails_the_buffer(void **state)
{
    (void)state;
    struct buffer out = {0};
    pack_str(&out, bytes_of("", TOO_LONG));
    assert_true(out.failed);
    buffer_clear(&out);
    pack_bin(&out, bytes_of("", TOO_LONG));
    assert_true(out.failed);
    buffer_clear(&out);
    pack_ext(&out, 1, bytes_of("", TOO_LONG));
    assert_true(out.failed);
    assert_int_equal(out.len, 0);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsigned_integers_take_the_shortest_form),
        cmocka_unit_test(signed_integers_take_the_shortest_form),
        cmocka_unit_test(nil_bools_and_floats_come_back),
        cmocka_unit_test(text_bytes_and_extensions_of_every_form_come_back),
        cmocka_unit_test(containers_of_every_form_come_back),
        cmocka_unit_test(random_objects_are_read_and_packed_to_the_same_bytes),
        cmocka_unit_test(an_encoded_object_is_taken_as_it_is),
        cmocka_unit_test(a_length_beyond_32_bits_fails_the_buffer),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
