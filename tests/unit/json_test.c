/* SPDX-License-Identifier: MIT */
#include "proto/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/limits.h"
#include "proto/pack.h"
#include "tests/unit/dice.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A string literal with its NULs. */
#define LITERAL(text)                                                                              \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

static struct buffer json;
static struct buffer object;

static int clear(void **state)
{
    (void)state;
    buffer_fini(&json);
    buffer_fini(&object);
    return 0;
}

static void assert_prints(struct bytes bytes, struct bytes text)
{
    buffer_clear(&json);
    assert_true(json_print(bytes, &json));
    assert_false(json.failed);
    assert_int_equal(json.len, text.len);
    assert_memory_equal(json.data, text.data, text.len);
}

static void assert_parses(struct bytes text, struct bytes bytes)
{
    struct json_error error = {0};
    buffer_clear(&object);
    bool is_fine = json_parse(text, &object, &error);
    assert_string_equal(error.text, "");
    assert_true(is_fine);
    assert_int_equal(object.len, bytes.len);
    assert_memory_equal(object.data, bytes.data, bytes.len);
}

static void assert_refused(struct bytes text, uint32_t line, uint32_t column, const char *why)
{
    struct json_error error;
    buffer_clear(&object);
    buffer_append(&object, "kept", 4);
    assert_false(json_parse(text, &object, &error));
    assert_string_equal(error.text, why);
    assert_int_equal(error.line, line);
    assert_int_equal(error.column, column);
    assert_true(bytes_equal(buffer_bytes(&object), bytes_text("kept")));
}

static const struct {
    struct bytes text, bytes;
} vectors[] = {
    {LITERAL("null"), LITERAL("\xc0")},
    {LITERAL("false"), LITERAL("\xc2")},
    {LITERAL("true"), LITERAL("\xc3")},
    {LITERAL("0"), LITERAL("\0")},
    {LITERAL("127"), LITERAL("\x7f")},
    {LITERAL("128"), LITERAL("\xcc\x80")},
    {LITERAL("256"), LITERAL("\xcd\x01\0")},
    {LITERAL("65536"), LITERAL("\xce\0\x01\0\0")},
    {LITERAL("4294967296"), LITERAL("\xcf\0\0\0\x01\0\0\0\0")},
    {LITERAL("9223372036854775807"), LITERAL("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff")},
    {LITERAL("9223372036854775808"), LITERAL("\xcf\x80\0\0\0\0\0\0\0")},
    {LITERAL("18446744073709551615"), LITERAL("\xcf\xff\xff\xff\xff\xff\xff\xff\xff")},
    {LITERAL("-1"), LITERAL("\xff")},
    {LITERAL("-32"), LITERAL("\xe0")},
    {LITERAL("-33"), LITERAL("\xd0\xdf")},
    {LITERAL("-128"), LITERAL("\xd0\x80")},
    {LITERAL("-129"), LITERAL("\xd1\xff\x7f")},
    {LITERAL("-32769"), LITERAL("\xd2\xff\xff\x7f\xff")},
    {LITERAL("-2147483649"), LITERAL("\xd3\xff\xff\xff\xff\x7f\xff\xff\xff")},
    {LITERAL("-9223372036854775808"), LITERAL("\xd3\x80\0\0\0\0\0\0\0")},
    {LITERAL("0.0"), LITERAL("\xcb\0\0\0\0\0\0\0\0")},
    {LITERAL("-0.0"), LITERAL("\xcb\x80\0\0\0\0\0\0\0")},
    {LITERAL("0.1"), LITERAL("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a")},
    {LITERAL("0.30000000000000004"), LITERAL("\xcb\x3f\xd3\x33\x33\x33\x33\x33\x34")},
    {LITERAL("-1.5"), LITERAL("\xcb\xbf\xf8\0\0\0\0\0\0")},
    {LITERAL("1.0"), LITERAL("\xcb\x3f\xf0\0\0\0\0\0\0")},
    {LITERAL("12345678.9"), LITERAL("\xcb\x41\x67\x8c\x29\xdc\xcc\xcc\xcd")},
    {LITERAL("1e300"), LITERAL("\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c")},
    {LITERAL("5e-324"), LITERAL("\xcb\0\0\0\0\0\0\0\x01")},
    {LITERAL("1.7976931348623157e308"), LITERAL("\xcb\x7f\xef\xff\xff\xff\xff\xff\xff")},
    {LITERAL("\"\""), LITERAL("\xa0")},
    {LITERAL("\"hello world\""), LITERAL("\xabhello world")},
    {LITERAL("\"\\u0000\\b\\f\\n\\r\\t\\\"\\\\/\\u001f\x7f\""),
     LITERAL("\xab\0\b\f\n\r\t\"\\/\x1f\x7f")},
    {LITERAL("\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""),
     LITERAL("\xa9\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")},
    {LITERAL("[]"), LITERAL("\x90")},
    {LITERAL("[1,[2,[]],\"3\"]"), LITERAL("\x93\x01\x92\x02\x90\xa1"
                                          "3")},
    {LITERAL("{}"), LITERAL("\x80")},
    {LITERAL("{\"hello\":\"world\"}"), LITERAL("\x81\xa5hello\xa5world")},
    {LITERAL("{\"z\":1,\"a\":{\"\":null}}"), LITERAL("\x82\xa1z\x01\xa1"
                                                     "a\x81\xa0\xc0")},
    {LITERAL("{\"$bin\":\"\"}"), LITERAL("\xc4\0")},
    {LITERAL("{\"$bin\":\"AAEC\"}"), LITERAL("\xc4\x03\0\x01\x02")},
    {LITERAL("{\"$ext\":[-1,\"AAAAAA==\"]}"), LITERAL("\xd6\xff\0\0\0\0")},
    {LITERAL("{\"$ext\":[127,\"\"]}"), LITERAL("\xc7\0\x7f")},
    {LITERAL("{\"$ext\":[5,\"AAAA\"]}"), LITERAL("\xc7\x03\x05\0\0\0")},
    {LITERAL("{\"$map\":[[1,2]]}"), LITERAL("\x81\x01\x02")},
    {LITERAL("{\"$map\":[[\"a\",1],[\"a\",2]]}"), LITERAL("\x82\xa1"
                                                          "a\x01\xa1"
                                                          "a\x02")},
    {LITERAL("{\"$map\":[[\"$bin\",\"x\"]]}"), LITERAL("\x81\xa4$bin\xa1x")},
    {LITERAL("{\"$map\":[[\"\\u0000\",1]]}"), LITERAL("\x81\xa1\0\x01")},
    {LITERAL("{\"$map\":[[[],{}]]}"), LITERAL("\x81\x90\x80")},
    {LITERAL("{\"$map\":[[{\"$msgpack\":\"of8=\"},1]]}"), LITERAL("\x81\xa1\xff\x01")},
    {LITERAL("{\"$msgpack\":\"yj+AAAA=\"}"), LITERAL("\xca\x3f\x80\0\0")},
    {LITERAL("{\"$msgpack\":\"y3/4AAAAAAAA\"}"), LITERAL("\xcb\x7f\xf8\0\0\0\0\0\0")},
    {LITERAL("{\"$msgpack\":\"y3/wAAAAAAAA\"}"), LITERAL("\xcb\x7f\xf0\0\0\0\0\0\0")},
    {LITERAL("{\"$msgpack\":\"zAE=\"}"), LITERAL("\xcc\x01")},
    {LITERAL("{\"$msgpack\":\"0H8=\"}"), LITERAL("\xd0\x7f")},
    {LITERAL("{\"$msgpack\":\"0X//\"}"), LITERAL("\xd1\x7f\xff")},
    {LITERAL("{\"$msgpack\":\"0OA=\"}"), LITERAL("\xd0\xe0")},
    {LITERAL("{\"$msgpack\":\"2QFh\"}"), LITERAL("\xd9\x01"
                                                 "a")},
    {LITERAL("{\"$msgpack\":\"xwEFAA==\"}"), LITERAL("\xc7\x01\x05\0")},
    {LITERAL("[{\"$msgpack\":\"3AABkA==\"},7]"), LITERAL("\x92\xdc\0\x01\x90\x07")},
};

static void vectors_hold_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        assert_prints(vectors[i].bytes, vectors[i].text);
        assert_parses(vectors[i].text, vectors[i].bytes);
    }
}

static void other_ways_to_write_it_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct bytes bytes;
    } cases[] = {
        {" [ 1 , 2 ]\n", LITERAL("\x92\x01\x02")},
        {"-0", LITERAL("\0")},
        {"1E2", LITERAL("\xcb\x40\x59\0\0\0\0\0\0")},
        {"\"\\ud83d\\ude00\\u20ac\\/\"", LITERAL("\xa8\xf0\x9f\x98\x80\xe2\x82\xac/")},
        {"[9223372036854775808,1.5,\"18446744073709551615\",9223372036854775809,-1]",
         LITERAL("\x95\xcf\x80\0\0\0\0\0\0\0\xcb\x3f\xf8\0\0\0\0\0\0\xb4"
                 "18446744073709551615\xcf\x80\0\0\0\0\0\0\x01\xff")},
        {"{\"\\\"9\":{\"$ext\":[1,\"AA==\"]},\"b\":9223372036854775808}",
         LITERAL("\x82\xa2\"9\xd4\x01\0\xa1"
                 "b\xcf\x80\0\0\0\0\0\0\0")},
        {"9.223372036854775808", LITERAL("\xcb\x40\x22\x72\x5d\xd1\xd2\x43\xac")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_parses(bytes_text(cases[i].text), cases[i].bytes);
    }
}

static void bad_text_is_refused_with_place_and_reason(void **state)
{
    (void)state;
    static const char bin[] = "\"$bin\" must be a text in base64";
    static const char ext[] =
        "\"$ext\" must be [type, text in base64] with a type from -128 to 127";
    static const char map[] = "\"$map\" must be a list of [key, value] pairs";
    static const char msgpack[] = "\"$msgpack\" must be one MessagePack object in base64";
    static const char over[] = "integer outside -9223372036854775808 to 18446744073709551615";
    static const struct {
        const char *text;
        uint32_t line, column;
        const char *why;
    } cases[] = {
        {"", 1, 1, "unexpected token near end of file"},
        {"[1,\n 2", 2, 2, "']' expected near end of file"},
        {"1 2", 1, 3, "end of file expected near '2'"},
        {"{\"a\":1,\"a\":2}", 1, 10, "duplicate object key near '\"a\"'"},
        {"1e400", 1, 5, "real number overflow near '1e400'"},
        {"00009223372036854775808", 1, 1, "invalid token near '0'"},
        {"18446744073709551616", 1, 1, over},
        {"[\n  \"\\\"99999999999999999999\",\n  -9223372036854775809]", 3, 3, over},
        {"{\"$bin\":5}", 0, 0, bin},
        {"{\"$bin\":\"AA\"}", 0, 0, bin},
        {"{\"$ext\":{}}", 0, 0, ext},
        {"{\"$ext\":[1]}", 0, 0, ext},
        {"{\"$ext\":[128,\"\"]}", 0, 0, ext},
        {"{\"$ext\":[1.0,\"\"]}", 0, 0, ext},
        {"{\"$ext\":[18446744073709551615,\"\"]}", 0, 0, ext},
        {"{\"$ext\":[1,\"?\"]}", 0, 0, ext},
        {"{\"$map\":{}}", 0, 0, map},
        {"{\"$map\":[[1,2],[3]]}", 0, 0, map},
        {"{\"$msgpack\":\"\"}", 0, 0, msgpack},
        {"{\"$msgpack\":\"wMA=\"}", 0, 0, msgpack},
        {"{\"$msgpack\":\"wQ==\"}", 0, 0, msgpack},
        {"{\"$msgpack\":null}", 0, 0, msgpack},
        {"[{\"$set\":1}]", 0, 0,
         "\"$set\": keys that begin with $ are written {\"$map\":[[key,value],...]}; alone in an "
         "object stand $bin, $ext, $map, $msgpack"},
        {"{\"a\":1,\"$bin\":\"AAEC\"}", 0, 0,
         "\"$bin\": keys that begin with $ are written {\"$map\":[[key,value],...]}; alone in an "
         "object stand $bin, $ext, $map, $msgpack"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_refused(bytes_text(cases[i].text), cases[i].line, cases[i].column, cases[i].why);
    }
}

/* Each level of `open` and `close` around `middle`. */
static void nest(uint32_t depth, const char *open, const char *middle, const char *close)
{
    buffer_clear(&json);
    for (uint32_t i = 0; i < depth; i++) {
        buffer_append_bytes(&json, bytes_text(open));
    }
    buffer_append_bytes(&json, bytes_text(middle));
    for (uint32_t i = 0; i < depth; i++) {
        buffer_append_bytes(&json, bytes_text(close));
    }
}

static void nesting_ends_at_the_limit_however_it_is_written(void **state)
{
    (void)state;
    static const char *const forms[][3] = {
        {"[", "1", "]"},
        {"{\"a\":", "1", "}"},
        {"{\"$map\":[[1,", "1", "]]}"},
        {"[", "{\"$msgpack\":\"AQ==\"}", "]"},
    };
    struct json_error error;
    for (size_t i = 0; i < COUNT(forms); i++) {
        nest(DEPTH_MAX, forms[i][0], forms[i][1], forms[i][2]);
        buffer_clear(&object);
        assert_true(json_parse(buffer_bytes(&json), &object, &error));
        nest(DEPTH_MAX + 1, forms[i][0], forms[i][1], forms[i][2]);
        assert_refused(buffer_bytes(&json), 0, 0, "nested deeper than 32");
    }
    nest(DEPTH_MAX, "[", "{\"$msgpack\":\"kA==\"}", "]");
    assert_refused(buffer_bytes(&json), 0, 0, "nested deeper than 32");
    nest(100000, "[", "", "]");
    assert_false(json_parse(buffer_bytes(&json), &object, &error));
}

static void what_is_not_one_object_is_not_printed(void **state)
{
    (void)state;
    static const struct bytes bad[] = {
        LITERAL(""),       LITERAL("\xc1"),     LITERAL("\xc0\xc0"),
        LITERAL("\xa2x"),  LITERAL("\x92\x01"), LITERAL("\xdd\xff\xff\xff\xff"),
        LITERAL("\xcb\0"),
    };
    buffer_clear(&json);
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(json_print(bad[i], &json));
        assert_int_equal(json.len, 0);
    }
}

enum kind { NUMBER, BYTES, EXT, ARRAY, MAP };

/* Every form there is, the needlessly long ones included. */
static const struct form {
    enum kind kind;
    uint8_t first;
    uint8_t number_len; /* behind the first byte; 0: small ones are in it */
    uint8_t body_len;   /* of fixed ext, with its type */
} forms[] = {
    {NUMBER, 0x00, 0, 0}, {NUMBER, 0x7f, 0, 0}, {NUMBER, 0xe0, 0, 0}, {NUMBER, 0xff, 0, 0},
    {NUMBER, 0xc0, 0, 0}, {NUMBER, 0xc2, 0, 0}, {NUMBER, 0xc3, 0, 0}, {NUMBER, 0xca, 4, 0},
    {NUMBER, 0xcb, 8, 0}, {NUMBER, 0xcb, 8, 0}, {NUMBER, 0xcc, 1, 0}, {NUMBER, 0xcd, 2, 0},
    {NUMBER, 0xce, 4, 0}, {NUMBER, 0xcf, 8, 0}, {NUMBER, 0xd0, 1, 0}, {NUMBER, 0xd1, 2, 0},
    {NUMBER, 0xd2, 4, 0}, {NUMBER, 0xd3, 8, 0}, {BYTES, 0xa0, 0, 0},  {BYTES, 0xa0, 0, 0},
    {BYTES, 0xa0, 0, 0},  {BYTES, 0xd9, 1, 0},  {BYTES, 0xda, 2, 0},  {BYTES, 0xdb, 4, 0},
    {BYTES, 0xc4, 1, 0},  {BYTES, 0xc5, 2, 0},  {BYTES, 0xc6, 4, 0},  {EXT, 0xc7, 1, 0},
    {EXT, 0xc8, 2, 0},    {EXT, 0xc9, 4, 0},    {EXT, 0xd4, 0, 2},    {EXT, 0xd5, 0, 3},
    {EXT, 0xd6, 0, 5},    {EXT, 0xd7, 0, 9},    {EXT, 0xd8, 0, 17},   {ARRAY, 0x90, 0, 0},
    {ARRAY, 0x90, 0, 0},  {ARRAY, 0x90, 0, 0},  {ARRAY, 0xdc, 2, 0},  {ARRAY, 0xdd, 4, 0},
    {MAP, 0x80, 0, 0},    {MAP, 0x80, 0, 0},    {MAP, 0x80, 0, 0},    {MAP, 0xde, 2, 0},
    {MAP, 0xdf, 4, 0},
};

static void put_head(uint8_t first, uint64_t number, uint32_t number_len)
{
    buffer_append(&object, &first, 1);
    for (uint32_t i = number_len; i-- > 0;) {
        uint8_t byte = (uint8_t)(number >> 8 * i);
        buffer_append(&object, &byte, 1);
    }
}

/* Mostly letters; some that need an escape, and some that are no UTF-8. */
static void put_body(struct dice *dice, uint32_t len)
{
    static const uint8_t rare[] = {'$', '"', '\\', '\n', 0x00, 0x1f, 0xc3, 0xff};
    bool is_plain = dice_below(dice, 2);
    for (uint32_t i = 0; i < len; i++) {
        uint32_t pick = dice_below(dice, is_plain ? 26 : 40);
        uint8_t byte = (uint8_t)(pick < 32 ? 'a' + (int)pick : rare[pick - 32]);
        buffer_append(&object, &byte, 1);
    }
}

static void put_random_object(struct dice *dice, uint32_t depth)
{
    const struct form *form = &forms[dice_below(dice, COUNT(forms))];
    if (form->kind == NUMBER || (form->kind >= ARRAY && depth == 0)) {
        uint64_t number = dice_roll(dice) >> dice_below(dice, 64);
        bool is_nil = form->kind != NUMBER;
        put_head(is_nil ? 0xc0 : form->first, dice_below(dice, 2) ? number : ~number,
                 is_nil ? 0 : form->number_len);
        return;
    }
    bool is_long = form->kind < ARRAY && form->number_len > 0 && dice_below(dice, 8) == 0;
    uint32_t len = dice_below(dice, !is_long ? 6 : form->number_len == 1 ? 256 : 300);
    bool is_in_first = form->number_len == 0 && form->body_len == 0;
    put_head(is_in_first ? (uint8_t)(form->first | len) : form->first, len, form->number_len);
    if (form->kind == EXT) {
        put_body(dice, form->body_len ? form->body_len : len + 1);
    } else if (form->kind == BYTES) {
        put_body(dice, len);
    } else {
        for (uint32_t i = 0; i < (form->kind == MAP ? 2 * len : len); i++) {
            put_random_object(dice, depth - 1);
        }
    }
}

static void every_object_comes_back_byte_for_byte(void **state)
{
    (void)state;
    struct dice dice = dice_of(20000);
    struct buffer same = {0};
    struct json_error error;
    for (int round = 0; round < 20000; round++) {
        buffer_clear(&object);
        buffer_clear(&json);
        buffer_clear(&same);
        put_random_object(&dice, dice_below(&dice, 6));
        assert_true(json_print(buffer_bytes(&object), &json));
        assert_null(memchr(json.data, '\n', json.len));
        assert_true(utf8_is_valid(buffer_bytes(&json)));
        assert_true(json_parse(buffer_bytes(&json), &same, &error));
        assert_true(bytes_equal(buffer_bytes(&object), buffer_bytes(&same)));
    }
    buffer_fini(&same);
}

/* Digits of a printed float without zeros at either end. */
static int significant_digits(struct bytes text)
{
    const char *c = text.data;
    int count = 0;
    int zeros = 0;
    for (size_t i = 0; i < text.len && c[i] != 'e'; i++) {
        if (c[i] == '0') {
            zeros += count > 0;
        } else if (c[i] >= '1' && c[i] <= '9') {
            count += zeros + 1;
            zeros = 0;
        }
    }
    return count;
}

static void floats_come_back_and_no_shorter_text_would_do(void **state)
{
    (void)state;
    struct dice dice = dice_of(754);
    struct json_error error;
    for (int round = 0; round < 20000; round++) {
        uint64_t bits = dice_roll(&dice) >> (round % 4 ? 0 : dice_below(&dice, 64));
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value)) {
            continue;
        }
        struct buffer packed = {0};
        pack_float(&packed, value);
        buffer_clear(&json);
        assert_true(json_print(buffer_bytes(&packed), &json));
        assert_true(memchr(json.data, '.', json.len) || memchr(json.data, 'e', json.len));
        buffer_clear(&object);
        assert_true(json_parse(buffer_bytes(&json), &object, &error));
        assert_true(bytes_equal(buffer_bytes(&packed), buffer_bytes(&object)));
        int digits = significant_digits(buffer_bytes(&json));
        if (digits > 1) {
            char shorter[64];
            (void)snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, value);
            assert_true(strtod(shorter, NULL) != value);
        }
        buffer_fini(&packed);
    }
}

static void utf8_is_what_unicode_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_valid;
    } cases[] = {
        {"", true},
        {"a\x7f", true},
        {"\xc2\x80\xdf\xbf", true},
        {"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", true},
        {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true},
        {"\x80", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xc2", false},
        {"\xc2"
         "a",
         false},
        {"\xe0\x9f\xbf", false},
        {"\xed\xa0\x80", false},
        {"\xe2\x82", false},
        {"\xe2\x82"
         "a",
         false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xf0\x9f\x98", false},
        {"\xff", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(utf8_is_valid(bytes_text(cases[i].text)), cases[i].is_valid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(vectors_hold_both_ways, clear),
        cmocka_unit_test_teardown(other_ways_to_write_it_are_read, clear),
        cmocka_unit_test_teardown(bad_text_is_refused_with_place_and_reason, clear),
        cmocka_unit_test_teardown(nesting_ends_at_the_limit_however_it_is_written, clear),
        cmocka_unit_test_teardown(what_is_not_one_object_is_not_printed, clear),
        cmocka_unit_test_teardown(every_object_comes_back_byte_for_byte, clear),
        cmocka_unit_test_teardown(floats_come_back_and_no_shorter_text_would_do, clear),
        cmocka_unit_test(utf8_is_what_unicode_says),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
