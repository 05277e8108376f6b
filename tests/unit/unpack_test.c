/* SPDX-License-Identifier: MIT */
#include "proto/unpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/limits.h"

/* A string literal, zero bytes included. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* One object of each form that MessagePack has. */
static const struct object {
    struct bytes bytes;
    enum unpack_type type;
} objects[] = {
    {BYTES("\xc0"), UNPACK_NIL},
    {BYTES("\xc2"), UNPACK_BOOL},
    {BYTES("\xc3"), UNPACK_BOOL},
    {BYTES("\x00"), UNPACK_UINT},
    {BYTES("\x7f"), UNPACK_UINT},
    {BYTES("\xcc\x80"), UNPACK_UINT},
    {BYTES("\xcd\x01\x00"), UNPACK_UINT},
    {BYTES("\xce\x00\x01\x00\x00"), UNPACK_UINT},
    {BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), UNPACK_UINT},
    {BYTES("\xd0\x05"), UNPACK_UINT},
    {BYTES("\xd3\x00\x00\x00\x00\x00\x00\x00\x05"), UNPACK_UINT},
    {BYTES("\xff"), UNPACK_INT},
    {BYTES("\xe0"), UNPACK_INT},
    {BYTES("\xd0\x80"), UNPACK_INT},
    {BYTES("\xd1\x80\x00"), UNPACK_INT},
    {BYTES("\xd2\x80\x00\x00\x00"), UNPACK_INT},
    {BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), UNPACK_INT},
    {BYTES("\xca\x3f\xc0\x00\x00"), UNPACK_FLOAT},
    {BYTES("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"), UNPACK_FLOAT},
    {BYTES("\xa0"), UNPACK_STR},
    {BYTES("\xa3xyz"), UNPACK_STR},
    {BYTES("\xd9\x03xyz"), UNPACK_STR},
    {BYTES("\xda\x00\x03xyz"), UNPACK_STR},
    {BYTES("\xdb\x00\x00\x00\x03xyz"), UNPACK_STR},
    {BYTES("\xc4\x03xyz"), UNPACK_BIN},
    {BYTES("\xc5\x00\x03xyz"), UNPACK_BIN},
    {BYTES("\xc6\x00\x00\x00\x03xyz"), UNPACK_BIN},
    {BYTES("\xd4\x07x"), UNPACK_EXT},
    {BYTES("\xd5\x07xx"), UNPACK_EXT},
    {BYTES("\xd6\x07xxxx"), UNPACK_EXT},
    {BYTES("\xd7\x07xxxxxxxx"), UNPACK_EXT},
    {BYTES("\xd8\x07xxxxxxxxxxxxxxxx"), UNPACK_EXT},
    {BYTES("\xc7\x00\x07"), UNPACK_EXT},
    {BYTES("\xc7\x03\x07xyz"), UNPACK_EXT},
    {BYTES("\xc8\x00\x03\x07xyz"), UNPACK_EXT},
    {BYTES("\xc9\x00\x00\x00\x03\x07xyz"), UNPACK_EXT},
    {BYTES("\x90"), UNPACK_ARRAY},
    {BYTES("\x92\x01\x92\xc0\xa1x"), UNPACK_ARRAY},
    {BYTES("\xdc\x00\x02\xc0\xc0"), UNPACK_ARRAY},
    {BYTES("\xdd\x00\x00\x00\x02\xc0\xc0"), UNPACK_ARRAY},
    {BYTES("\x80"), UNPACK_MAP},
    {BYTES("\x82\x01\x02\xa1k\x81\x90\x90"), UNPACK_MAP},
    {BYTES("\xde\x00\x01\xc0\xc0"), UNPACK_MAP},
    {BYTES("\xdf\x00\x00\x00\x01\xc0\xc0"), UNPACK_MAP},
};

/* Reads one object with the reader for `type`, payload and all, children not. */
static void read_as(struct unpack *in, enum unpack_type type)
{
    int8_t ext_type;
    switch (type) {
    case UNPACK_NIL:
        unpack_nil(in);
        break;
    case UNPACK_BOOL:
        (void)unpack_bool(in);
        break;
    case UNPACK_UINT:
        (void)unpack_uint(in);
        break;
    case UNPACK_INT:
        (void)unpack_int(in);
        break;
    case UNPACK_FLOAT:
        (void)unpack_float(in);
        break;
    case UNPACK_STR:
    case UNPACK_BIN:
        (void)unpack_text(in);
        break;
    case UNPACK_ARRAY:
        (void)unpack_array(in);
        break;
    case UNPACK_MAP:
        (void)unpack_map(in);
        break;
    case UNPACK_EXT:
        (void)unpack_ext(in, &ext_type);
        break;
    case UNPACK_NONE:
        break;
    }
}

static bool is_read_by(const struct object *object, enum unpack_type reader)
{
    switch (reader) {
    case UNPACK_INT:
        return object->type == UNPACK_INT ||
               (object->type == UNPACK_UINT && ((const char *)object->bytes.data)[0] != '\xcf');
    case UNPACK_STR:
    case UNPACK_BIN:
        return object->type == UNPACK_STR || object->type == UNPACK_BIN;
    default:
        return object->type == reader;
    }
}

/* A copy of its own size, so that the sanitizer sees a read behind its end. */
static struct bytes copy_of(struct bytes bytes)
{
    void *copy = malloc(bytes.len ? bytes.len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    return bytes_of(copy, bytes.len);
}

static void free_copy(struct bytes copy)
{
    free((void *)(uintptr_t)copy.data);
}

static void each_form_is_peeked_read_and_skipped(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(objects); i++) {
        struct unpack in = unpack_of(objects[i].bytes);
        assert_int_equal(unpack_peek(&in), objects[i].type);
        struct bytes skipped = unpack_skip(&in);
        assert_true(unpack_is_done(&in));
        assert_ptr_equal(skipped.data, objects[i].bytes.data);
        assert_int_equal(skipped.len, objects[i].bytes.len);
        assert_int_equal(unpack_peek(&in), UNPACK_NONE);
    }
}

static void every_reader_takes_its_types_and_no_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(objects); i++) {
        for (enum unpack_type reader = UNPACK_NIL; reader < UNPACK_NONE; reader++) {
            struct unpack in = unpack_of(objects[i].bytes);
            read_as(&in, reader);
            bool taken = is_read_by(&objects[i], reader);
            assert_int_equal(in.fault, taken ? UNPACK_FINE : UNPACK_WRONG_TYPE);
        }
    }
}

static void every_shorter_prefix_is_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(objects); i++) {
        for (size_t len = 0; len < objects[i].bytes.len; len++) {
            struct bytes prefix = copy_of(bytes_of(objects[i].bytes.data, len));
            struct unpack in = unpack_of(prefix);
            assert_int_equal(unpack_skip(&in).len, 0);
            assert_int_equal(in.fault, UNPACK_SHORT);

            bool has_children = objects[i].type == UNPACK_ARRAY || objects[i].type == UNPACK_MAP;
            in = unpack_of(prefix);
            read_as(&in, objects[i].type);
            assert_true(in.fault == UNPACK_SHORT || (has_children && in.fault == UNPACK_FINE));
            free_copy(prefix);
        }
    }
}

/* Reads whatever is there, by its type; ends at the end or at a fault. */
static void read_all(struct unpack *in)
{
    while (unpack_is_fine(in) && in->next < in->end) {
        const uint8_t *before = in->next;
        enum unpack_type type = unpack_peek(in);
        if (type == UNPACK_NONE) {
            (void)unpack_skip(in);
            assert_false(unpack_is_fine(in));
            return;
        }
        read_as(in, type);
        assert_true(!unpack_is_fine(in) || in->next > before);
    }
}

static void any_flipped_bit_stays_within_the_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(objects); i++) {
        struct bytes copy = copy_of(objects[i].bytes);
        uint8_t *data = (uint8_t *)(uintptr_t)copy.data;
        for (size_t bit = 0; bit < 8 * copy.len; bit++) {
            data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            struct unpack in = unpack_of(copy);
            struct bytes skipped = unpack_skip(&in);
            assert_true(unpack_is_fine(&in) ? skipped.len > 0 && skipped.len <= copy.len
                                            : skipped.len == 0);
            in = unpack_of(copy);
            read_all(&in);
            assert_true(in.next <= data + copy.len);
            data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        free_copy(copy);
    }
}

static void integers_are_read_however_encoded(void **state)
{
    (void)state;
    static const struct {
        struct bytes bytes;
        int64_t value;
    } cases[] = {
        {BYTES("\x05"), 5},
        {BYTES("\xcc\x05"), 5},
        {BYTES("\xcd\x00\x05"), 5},
        {BYTES("\xce\x00\x00\x00\x05"), 5},
        {BYTES("\xcf\x00\x00\x00\x00\x00\x00\x00\x05"), 5},
        {BYTES("\xd0\x05"), 5},
        {BYTES("\xd1\x00\x05"), 5},
        {BYTES("\xd2\x00\x00\x00\x05"), 5},
        {BYTES("\xd3\x00\x00\x00\x00\x00\x00\x00\x05"), 5},
        {BYTES("\xcc\xff"), 255},
        {BYTES("\xcd\xff\xff"), 65535},
        {BYTES("\xce\xff\xff\xff\xff"), UINT32_MAX},
        {BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX},
        {BYTES("\xff"), -1},
        {BYTES("\xe0"), -32},
        {BYTES("\xd0\xff"), -1},
        {BYTES("\xd1\xff\xff"), -1},
        {BYTES("\xd2\xff\xff\xff\xff"), -1},
        {BYTES("\xd3\xff\xff\xff\xff\xff\xff\xff\xff"), -1},
        {BYTES("\xd0\x80"), INT8_MIN},
        {BYTES("\xd1\x80\x00"), INT16_MIN},
        {BYTES("\xd2\x80\x00\x00\x00"), INT32_MIN},
        {BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), INT64_MIN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct unpack in = unpack_of(cases[i].bytes);
        assert_int_equal(unpack_int(&in), cases[i].value);
        assert_true(unpack_is_done(&in));

        in = unpack_of(cases[i].bytes);
        bool fits = cases[i].value >= 0;
        assert_int_equal(unpack_uint(&in), fits ? cases[i].value : 0);
        assert_int_equal(in.fault, fits ? UNPACK_FINE : UNPACK_WRONG_TYPE);
    }
}

static void integers_out_of_range_are_of_the_wrong_type(void **state)
{
    (void)state;
    struct unpack in = unpack_of((struct bytes)BYTES("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"));
    assert_int_equal(unpack_int(&in), 0);
    assert_int_equal(in.fault, UNPACK_WRONG_TYPE);

    in = unpack_of((struct bytes)BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"));
    assert_int_equal(unpack_uint(&in), UINT64_MAX);
    assert_true(unpack_is_done(&in));

    in = unpack_of((struct bytes)BYTES("\x07\x08"));
    assert_int_equal(unpack_uint_max(&in, 7), 7);
    assert_true(unpack_is_fine(&in));
    assert_int_equal(unpack_uint_max(&in, 7), 0);
    assert_int_equal(in.fault, UNPACK_WRONG_TYPE);
}

static void floats_of_both_widths_are_read(void **state)
{
    (void)state;
    struct unpack in =
        unpack_of((struct bytes)BYTES("\xca\xbf\xc0\x00\x00\xcb\xbf\xf8\x00\x00\x00\x00\x00\x00"));
    assert_true(unpack_float(&in) == -1.5);
    assert_true(unpack_float(&in) == -1.5);
    assert_true(unpack_is_done(&in));
}

static void text_and_extensions_are_borrowed_from_the_bytes(void **state)
{
    (void)state;
    static const char encoded[] = "\xa3xyz\xc4\x02\x00\xff\xc7\x02\xfbxy\xa0";
    struct unpack in = unpack_of(bytes_of(encoded, sizeof encoded - 1));
    int8_t type;
    struct bytes text = unpack_text(&in);
    assert_ptr_equal(text.data, encoded + 1);
    assert_int_equal(text.len, 3);
    text = unpack_text(&in);
    assert_ptr_equal(text.data, encoded + 6);
    assert_int_equal(text.len, 2);
    text = unpack_ext(&in, &type);
    assert_int_equal(type, -5);
    assert_true(bytes_equal(text, bytes_text("xy")));
    assert_int_equal(unpack_text(&in).len, 0);
    assert_true(unpack_is_done(&in));
}

static void after_a_fault_every_read_is_empty_and_the_first_fault_stays(void **state)
{
    (void)state;
    struct unpack in = unpack_of((struct bytes)BYTES("\x01\xc0\xc3\x05\xa1x\x91\x05"));
    assert_int_equal(unpack_array(&in), 0);
    assert_int_equal(in.fault, UNPACK_WRONG_TYPE);
    int8_t type = 7;
    unpack_nil(&in);
    assert_false(unpack_bool(&in));
    assert_int_equal(unpack_uint(&in), 0);
    assert_int_equal(unpack_int(&in), 0);
    assert_true(unpack_float(&in) == 0.0);
    assert_int_equal(unpack_text(&in).len, 0);
    assert_int_equal(unpack_ext(&in, &type).len, 0);
    assert_int_equal(type, 0);
    assert_int_equal(unpack_array(&in), 0);
    assert_int_equal(unpack_map(&in), 0);
    assert_int_equal(unpack_skip(&in).len, 0);
    assert_int_equal(unpack_peek(&in), UNPACK_NONE);
    unpack_fail(&in, UNPACK_TOO_DEEP);
    assert_int_equal(in.fault, UNPACK_WRONG_TYPE);
    assert_false(unpack_is_done(&in));
}

static void no_bytes_at_all_are_short(void **state)
{
    (void)state;
    struct unpack in = unpack_of((struct bytes){0});
    assert_true(unpack_is_done(&in));
    assert_int_equal(unpack_peek(&in), UNPACK_NONE);
    assert_int_equal(unpack_skip(&in).len, 0);
    assert_int_equal(in.fault, UNPACK_SHORT);
}

static void depth_32_is_read_and_33_refused(void **state)
{
    (void)state;
    uint8_t arrays[DEPTH_MAX + 2];
    uint8_t maps[2 * DEPTH_MAX + 3];
    memset(arrays, 0x91, sizeof arrays);
    arrays[sizeof arrays - 1] = 0xc0;
    memset(maps, 0x81, sizeof maps);
    for (size_t i = 1; i < sizeof maps; i += 2) {
        maps[i] = 0xc0; /* the key; the value is the next map */
    }
    maps[sizeof maps - 1] = 0xc0;

    struct unpack in = unpack_of(bytes_of(arrays + 1, sizeof arrays - 1));
    assert_int_equal(unpack_skip(&in).len, sizeof arrays - 1);
    in = unpack_of(bytes_of(arrays, sizeof arrays));
    assert_int_equal(unpack_skip(&in).len, 0);
    assert_int_equal(in.fault, UNPACK_TOO_DEEP);

    in = unpack_of(bytes_of(maps + 2, sizeof maps - 2));
    assert_int_equal(unpack_skip(&in).len, sizeof maps - 2);
    in = unpack_of(bytes_of(maps, sizeof maps));
    assert_int_equal(unpack_skip(&in).len, 0);
    assert_int_equal(in.fault, UNPACK_TOO_DEEP);

    arrays[sizeof arrays - 1] = 0x90; /* an empty array is a level, too */
    in = unpack_of(bytes_of(arrays + 1, sizeof arrays - 1));
    (void)unpack_skip(&in);
    assert_int_equal(in.fault, UNPACK_TOO_DEEP);
}

static void a_count_above_the_bytes_left_is_short_at_once(void **state)
{
    (void)state;
    static const struct bytes cases[] = {
        BYTES("\xdd\xff\xff\xff\xff"), BYTES("\xdd\x0f\xff\xff\xff"),
        BYTES("\xdf\xff\xff\xff\xff"), BYTES("\xdc\x00\x03\xc0\xc0"),
        BYTES("\x82\xc0\xc0\xc0"),     BYTES("\xc6\xff\xff\xff\xff"),
        BYTES("\xdb\xff\xff\xff\xff"), BYTES("\xc9\xff\xff\xff\xff\x00"),
        BYTES("\x92\x92\xc0\xc0"), /* each would fit, both do not */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct unpack in = unpack_of(cases[i]);
        assert_int_equal(unpack_skip(&in).len, 0);
        assert_int_equal(in.fault, UNPACK_SHORT);
    }
    struct unpack in = unpack_of(cases[1]);
    assert_int_equal(unpack_array(&in), 0);
    assert_int_equal(in.fault, UNPACK_SHORT);
    in = unpack_of(cases[4]);
    assert_int_equal(unpack_map(&in), 0);
    assert_int_equal(in.fault, UNPACK_SHORT);
}

static void the_unused_byte_is_refused_at_any_depth(void **state)
{
    (void)state;
    static const struct bytes cases[] = {BYTES("\xc1"), BYTES("\x91\xc1"), BYTES("\x81\xc0\xc1")};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct unpack in = unpack_of(cases[i]);
        (void)unpack_skip(&in);
        assert_int_equal(in.fault, UNPACK_BAD_BYTE);
    }
    struct unpack in = unpack_of(cases[0]);
    assert_int_equal(unpack_peek(&in), UNPACK_NONE);
    assert_int_equal(unpack_uint(&in), 0);
    assert_int_equal(in.fault, UNPACK_BAD_BYTE);
}

static void an_id_has_its_length_and_a_string_has_an_end(void **state)
{
    (void)state;
    static const char bytes[] = "\xc4\x10"
                                "0123456789abcdef"
                                "\xa3one"
                                "\xa0"
                                "\xa4long"
                                "\xa2"
                                "a\0";
    struct unpack in = unpack_of(bytes_of(bytes, sizeof(bytes) - 1));
    uint8_t id[ID_LEN];
    char string[4] = "old";
    unpack_id(&in, id);
    assert_memory_equal(id, "0123456789abcdef", ID_LEN);
    unpack_string(&in, string, sizeof(string));
    assert_string_equal(string, "one");
    struct unpack no_id = in;
    unpack_id(&no_id, id);
    assert_int_equal(no_id.fault, UNPACK_WRONG_TYPE);
    unpack_string(&in, string, sizeof(string));
    assert_true(unpack_is_fine(&in));
    assert_string_equal(string, "");
    struct unpack too_long = in;
    unpack_string(&too_long, string, sizeof(string));
    assert_int_equal(too_long.fault, UNPACK_WRONG_TYPE);
    (void)unpack_skip(&in);
    unpack_string(&in, string, sizeof(string));
    assert_int_equal(in.fault, UNPACK_WRONG_TYPE);
    assert_string_equal(string, "");
}

static void each_fault_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (enum unpack_fault a = UNPACK_FINE; a <= UNPACK_BAD_BYTE; a++) {
        for (enum unpack_fault b = UNPACK_FINE; b < a; b++) {
            assert_string_not_equal(unpack_fault_text(a), unpack_fault_text(b));
        }
    }
    assert_string_equal(unpack_fault_text(UNPACK_TOO_DEEP), "nested deeper than 32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_peeked_read_and_skipped),
        cmocka_unit_test(every_reader_takes_its_types_and_no_others),
        cmocka_unit_test(every_shorter_prefix_is_short),
        cmocka_unit_test(any_flipped_bit_stays_within_the_bytes),
        cmocka_unit_test(integers_are_read_however_encoded),
        cmocka_unit_test(integers_out_of_range_are_of_the_wrong_type),
        cmocka_unit_test(floats_of_both_widths_are_read),
        cmocka_unit_test(text_and_extensions_are_borrowed_from_the_bytes),
        cmocka_unit_test(after_a_fault_every_read_is_empty_and_the_first_fault_stays),
        cmocka_unit_test(no_bytes_at_all_are_short),
        cmocka_unit_test(depth_32_is_read_and_33_refused),
        cmocka_unit_test(a_count_above_the_bytes_left_is_short_at_once),
        cmocka_unit_test(the_unused_byte_is_refused_at_any_depth),
        cmocka_unit_test(an_id_has_its_length_and_a_string_has_an_end),
        cmocka_unit_test(each_fault_has_a_text_of_its_own),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
