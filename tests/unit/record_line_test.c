/* SPDX-License-Identifier: MIT */
#include "cli/record_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proto/endian.h"
#include "proto/json.h"
#include "proto/limits.h"
#include "proto/pack.h"
#include "tests/unit/random_object.h"

static struct record_line line;

static int free_line(void **state)
{
    (void)state;
    record_line_fini(&line);
    memset(&line, 0, sizeof(line));
    return 0;
}

static void expect_json(const char *json)
{
    struct buffer printed = {0};
    assert_true(json_print(buffer_bytes(&line.value), &printed));
    assert_int_equal(printed.len, strlen(json));
    assert_memory_equal(printed.data, json, printed.len);
    buffer_fini(&printed);
}

static void expect_key(struct bytes key)
{
    assert_true(bytes_equal(buffer_bytes(&line.key), key));
}

static void a_jsonl_line_has_a_key_and_a_value(void **state)
{
    (void)state;
    assert_true(
        record_line_parse(&line, RECORD_LINE_JSONL,
                          bytes_text("{\"key\":\"test\",\"value\":{\"hello\":\"world\"}}")));
    expect_key(bytes_text("test"));
    expect_json("{\"hello\":\"world\"}");
    assert_true(
        record_line_parse(&line, RECORD_LINE_JSONL,
                          bytes_text(" { \"value\" : [1 ,\"}\\\"]\"] , \"key\":\"k\" }\r")));
    expect_key(bytes_text("k"));
    expect_json("[1,\"}\\\"]\"]");
}

static void a_key_that_is_not_utf8_is_base64(void **state)
{
    (void)state;
    assert_true(record_line_parse(&line, RECORD_LINE_JSONL,
                                  bytes_text("{\"key_base64\":\"/wA=\",\"value\":null}")));
    expect_key(bytes_of("\xff\0", 2));
    expect_json("null");
}

static void what_read_prints_is_taken_and_its_other_fields_ignored(void **state)
{
    (void)state;
    assert_true(record_line_parse(
        &line, RECORD_LINE_JSONL,
        bytes_text("{\"key\":\"k\",\"value\":5,\"hash\":0.25,\"version\":\"7\",\"size\":70}")));
    expect_json("5");
}

static void a_bad_jsonl_line_is_named_by_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"nonsense", "one object"},
        {"", "one object"},
        {"[]", "one object"},
        {"{}", "column 2"},
        {"{\"key\":\"b\"}", "value is missing"},
        {"{\"value\":1}", "key is missing"},
        {"{\"key\":\"\",\"value\":1}", "key has 0 bytes"},
        {"{\"key\":5,\"value\":1}", "string is needed"},
        {"{\"key\":\"a\",\"key\":\"b\",\"value\":1}", "second key"},
        {"{\"key\":\"a\",\"key_base64\":\"YQ==\",\"value\":1}", "second key"},
        {"{\"key\":\"a\",\"value\":1,\"value\":2}", "second value"},
        {"{\"key_base64\":\"?\",\"value\":1}", "base64"},
        {"{\"key\":\"a\",\"value\":1,\"colour\":2}", "colour"},
        {"{\"key\":\"a\",\"value\":tru}", "column 22"},
        {"{\"key\":\"a\",\"value\":}", "column 20"},
        {"{\"key\":\"a\",\"value\":{\"b\":1,\"b\":2}}", "column"},
        {"{\"key\":\"a\" \"value\":1}", "column"},
        {"{\"key\" \"a\",\"value\":1}", "column"},
        {"{\"key\":\"a\",\"value\":1", "brace"},
        {"{\"key\":\"a\",\"value\":1}}", "follows"},
        {"{\"key\":\"a\",\"value\":1,}", "column"},
        {"{\"key\":\"a", "column"},
        {"{\"key\":\"a\",\"value\":1,\"ttl_ms\":-1}", "milliseconds"},
        {"{\"key\":\"a\",\"value\":1,\"ttl_ms\":1.5}", "milliseconds"},
        {"{\"key\":\"a\",\"value\":1,\"ttl_ms\":\"9\"}", "milliseconds"},
        {"{\"key\":\"a\",\"value\":1,\"ttl_ms\":70368744177665}", "2^46"},
        {"{\"key\":\"a\",\"value\":1,\"ttl_ms\":}", "column"},
        {"{\"key\":\"a\",\"value\":1,\"ttl_ms\":1,\"ttl_ms\":2}", "second ttl_ms"},
        {"{\"key\":\"a\",\"value\":1,\"ttl_ms\":1,\"full_ttl_ms\":-2}", "milliseconds"},
        {"{\"key\":\"a\",\"value\":1,\"ttl_ms\":1,\"sliding\":1}", "true or false"},
        {"{\"key\":\"a\",\"value\":1,\"sliding\":true}", "need ttl_ms"},
        {"{\"key\":\"a\",\"value\":1,\"full_ttl_ms\":5,\"ttl_ms\":null}", "need ttl_ms"},
        {"{\"id\":7,\"kind\":1,\"value\":{}}", "column 7: a string is needed"},
        {"{\"id\":\"\",\"kind\":1,\"value\":{}}", "column 7: an id is needed"},
        {"{\"id\":\"-1\",\"kind\":1,\"value\":{}}", "an id is needed"},
        {"{\"id\":\"18446744073709551616\",\"kind\":1,\"value\":{}}", "2^64-1"},
        {"{\"id\":\"1\",\"kind\":65536,\"value\":{}}", "column 18: a kind is needed"},
        {"{\"id\":\"1\",\"kind\":-1,\"value\":{}}", "0 to 65535"},
        {"{\"id\":\"1\",\"kind\":\"1\",\"value\":{}}", "a kind is needed"},
        {"{\"id\":\"1\",\"value\":{}}", "the kind is missing"},
        {"{\"kind\":1,\"value\":{}}", "key is missing"},
        {"{\"key\":\"a\",\"kind\":1,\"value\":{}}", "goes with an id"},
        {"{\"id\":\"1\",\"key\":\"a\",\"kind\":1,\"value\":{}}", "second key"},
        {"{\"id\":\"1\",\"id\":\"1\",\"kind\":1,\"value\":{}}", "second id"},
        {"{\"id\":\"1\",\"kind\":1,\"value\":[1]}", "is a map"},
        {"{\"id\":\"1\",\"kind\":1}", "value is missing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool is_parsed = record_line_parse(&line, RECORD_LINE_JSONL, bytes_text(cases[i].text));
        if (is_parsed || !strstr(line.error, cases[i].word)) {
            print_error("%s: %s\n", cases[i].text, is_parsed ? "taken" : line.error);
        }
        assert_false(is_parsed);
        assert_non_null(strstr(line.error, cases[i].word));
    }
}

static void every_shorter_prefix_of_this_is_bad(const char *text)
{
    assert_true(record_line_parse(&line, RECORD_LINE_JSONL, bytes_text(text)));
    for (size_t len = 0; len < strlen(text); len++) {
        /* Of its own memory, so that a sanitizer sees a look behind the end. */
        struct buffer prefix = {0};
        buffer_append(&prefix, text, len);
        assert_false(record_line_parse(&line, RECORD_LINE_JSONL, buffer_bytes(&prefix)));
        buffer_fini(&prefix);
    }
}

static void every_shorter_prefix_is_bad(void **state)
{
    (void)state;
    every_shorter_prefix_of_this_is_bad(
        "{\"key\":\"a\\\"\",\"value\":[{\"b\":\"}\"},2.5],\"ttl_ms\":5,"
        "\"full_ttl_ms\":10,\"sliding\":true}");
    every_shorter_prefix_of_this_is_bad(
        "{\"id\":\"11637205501278089\",\"kind\":12,\"value\":{\"a\":1}}");
}

static void pyshards_lines_are_typed_as_pyshard_types_them(void **state)
{
    static const struct {
        const char *text, *key, *json;
    } cases[] = {
        {"k|{\"a\": 1}", "k", "{\"a\":1}"},
        {"k|5", "k", "5"},
        {"k|007", "k", "7"},
        {"k|18446744073709551615", "k", "18446744073709551615"},
        {"k|1.5", "k", "1.5"},
        {"k|1.50", "k", "1.5"},
        {"k|-5", "k", "\"-5\""},
        {"k|.5", "k", "\".5\""},
        {"k|5.", "k", "\"5.\""},
        {"k|1.5.2", "k", "\"1.5.2\""},
        {"k|word", "k", "\"word\""},
        {"k|true", "k", "\"true\""},
        {"k|[1]", "k", "\"[1]\""},
        {"k|{", "k", "\"{\""},
        {"k|", "k", "\"\""},
        {"a|b|c", "a", "\"b|c\""},
        {"k|5\r", "k", "5"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(record_line_parse(&line, RECORD_LINE_LINES, bytes_text(cases[i].text)));
        expect_key(bytes_text(cases[i].key));
        expect_json(cases[i].json);
    }
}

static void a_bad_line_of_pyshard_is_named_by_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"no bar", "no |"},         {"|value", "key has 0 bytes"},
        {"k|{not json}", "column"}, {"k|18446744073709551616", "2^64-1"},
        {"k|\xff", "UTF-8"},        {"k|{\"$bin\":1}", "value: \"$bin\" must be a text"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_false(record_line_parse(&line, RECORD_LINE_LINES, bytes_text(cases[i].text)));
        assert_non_null(strstr(line.error, cases[i].word));
    }
}

static void a_key_has_its_limit(void **state)
{
    char text[KEY_LEN_MAX + 4];
    (void)state;
    memset(text, 'k', sizeof(text));
    text[KEY_LEN_MAX] = '|';
    assert_true(record_line_parse(&line, RECORD_LINE_LINES, bytes_of(text, KEY_LEN_MAX + 1)));
    text[KEY_LEN_MAX] = 'k';
    text[KEY_LEN_MAX + 1] = '|';
    assert_false(record_line_parse(&line, RECORD_LINE_LINES, bytes_of(text, KEY_LEN_MAX + 2)));
    assert_non_null(strstr(line.error, "481"));
}

/* --- print and parse --- */

static void expect_round_trip(struct bytes key, struct bytes value)
{
    const struct record_expiry never = {.left_ms = -1};
    struct buffer text = {0};
    record_line_print(key, value, &never, &text);
    assert_false(text.failed);
    assert_true(text.len <= RECORD_LINE_LEN_MAX);
    assert_int_equal(text.data[text.len - 1], '\n');
    assert_null(memchr(text.data, '\n', text.len - 1));
    assert_true(record_line_parse(&line, RECORD_LINE_JSONL, bytes_of(text.data, text.len - 1)));
    assert_true(bytes_equal(buffer_bytes(&line.key), key));
    assert_true(bytes_equal(buffer_bytes(&line.value), value));
    assert_int_equal(line.expiry.left_ms, -1);
    buffer_fini(&text);
}

static void a_line_of_an_entity_has_its_id_and_its_kind(void **state)
{
    const char *text = "{\"id\":\"307821103844175873\",\"kind\":1,\"value\":{\"beep\":\"boop\"}}";
    struct buffer printed = {0};
    (void)state;
    assert_true(record_line_parse(&line, RECORD_LINE_JSONL, bytes_text(text)));
    assert_true(line.is_entity);
    assert_int_equal(line.kind, 1);
    expect_json("{\"beep\":\"boop\"}");
    assert_int_equal(line.key.len, 8);
    assert_int_equal(endian_get_be64(line.key.data), UINT64_C(307821103844175873));
    record_line_print_entity(UINT64_C(307821103844175873), 1, buffer_bytes(&line.value),
                             &line.expiry, &printed);
    assert_true(bytes_equal(bytes_of(printed.data, printed.len - 1), bytes_text(text)));
    /* And the next line is no entity because one was. */
    assert_true(record_line_parse(&line, RECORD_LINE_LINES, bytes_text("k|5")));
    assert_false(line.is_entity);
    assert_int_equal(line.kind, 0);
    buffer_fini(&printed);
}

static void the_first_and_the_last_id_and_kind_make_the_round_trip(void **state)
{
    static const struct {
        uint64_t id;
        uint16_t kind;
    } cases[] = {{0, 0}, {1, UINT16_MAX}, {UINT64_MAX, 1}, {UINT64_C(1) << 63, 256}};
    const struct record_expiry sliding = {.left_ms = 9300, .ttl_ms = 10000, .is_sliding = true};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer text = {0};
        record_line_print_entity(cases[i].id, cases[i].kind, bytes_text("\x80"), &sliding, &text);
        assert_true(record_line_parse(&line, RECORD_LINE_JSONL, buffer_bytes(&text)));
        assert_true(endian_get_be64(line.key.data) == cases[i].id);
        assert_int_equal(line.kind, cases[i].kind);
        assert_int_equal(line.value.len, 1);
        assert_int_equal(line.expiry.left_ms, 9300);
        assert_true(line.expiry.is_sliding);
        buffer_fini(&text);
    }
}

static void expiry_makes_the_round_trip(void **state)
{
    static const struct {
        struct record_expiry expiry;
        const char *text;
    } cases[] = {
        {{-1, 0, false}, "{\"key\":\"k\",\"value\":5}\n"},
        {{0, 0, false}, "{\"key\":\"k\",\"value\":5,\"ttl_ms\":0}\n"},
        {{9300, 9300, false}, "{\"key\":\"k\",\"value\":5,\"ttl_ms\":9300}\n"},
        {{9300, 10000, true},
         "{\"key\":\"k\",\"value\":5,\"ttl_ms\":9300,\"full_ttl_ms\":10000,\"sliding\":true}\n"},
        {{(int64_t)TTL_MS_MAX, TTL_MS_MAX, true},
         "{\"key\":\"k\",\"value\":5,\"ttl_ms\":70368744177664,\"full_ttl_ms\":70368744177664,"
         "\"sliding\":true}\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer text = {0};
        record_line_print(bytes_text("k"), bytes_text("\5"), &cases[i].expiry, &text);
        assert_true(bytes_equal(buffer_bytes(&text), bytes_text(cases[i].text)));
        assert_true(record_line_parse(&line, RECORD_LINE_JSONL, buffer_bytes(&text)));
        assert_int_equal(line.expiry.left_ms, cases[i].expiry.left_ms);
        assert_int_equal(line.expiry.ttl_ms, cases[i].expiry.ttl_ms);
        assert_int_equal(line.expiry.is_sliding, cases[i].expiry.is_sliding);
        buffer_fini(&text);
    }
}

/* A clock that was set back may leave a record more than its whole time. */
static void time_left_is_never_above_the_time_to_live(void **state)
{
    (void)state;
    assert_true(record_line_parse(
        &line, RECORD_LINE_JSONL,
        bytes_text("{\"key\":\"k\",\"value\":5,\"ttl_ms\":50,\"full_ttl_ms\":40}")));
    assert_int_equal(line.expiry.left_ms, 40);
    assert_int_equal(line.expiry.ttl_ms, 40);
}

static void what_never_expires_may_say_so(void **state)
{
    (void)state;
    assert_true(record_line_parse(
        &line, RECORD_LINE_JSONL,
        bytes_text("{\"key\":\"k\",\"value\":5,\"ttl_ms\":null,\"sliding\":false}")));
    assert_int_equal(line.expiry.left_ms, -1);
    /* And what the line before said is forgotten. */
    assert_true(record_line_parse(&line, RECORD_LINE_JSONL,
                                  bytes_text("{\"key\":\"k\",\"value\":5,\"ttl_ms\":7}")));
    assert_true(record_line_parse(&line, RECORD_LINE_LINES, bytes_text("k|5")));
    assert_int_equal(line.expiry.left_ms, -1);
    assert_int_equal(line.expiry.ttl_ms, 0);
}

static void parsing_what_was_printed_is_the_identity_for_random_records(void **state)
{
    struct dice dice = dice_of(20261121);
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        struct buffer value = {0};
        uint8_t key[8];
        size_t key_len = 1 + dice_below(&dice, sizeof(key));
        uint64_t bits = dice_roll(&dice);
        uint64_t text_mask = i % 2 ? UINT64_C(0x7f7f7f7f7f7f7f7f) : UINT64_MAX;
        bits &= text_mask;
        memcpy(key, &bits, sizeof(key));
        random_object(&dice, &value, 5);
        expect_round_trip(bytes_of(key, key_len), buffer_bytes(&value));
        buffer_fini(&value);
    }
}

static void unusual_encodings_make_the_round_trip(void **state)
{
    static const struct bytes objects[] = {
        {"\xca\x3f\x80\0\0", 5},         /* float 32 */
        {"\xce\0\0\0\5", 5},             /* 5 in more bytes than it needs */
        {"\xcb\x7f\xf8\0\0\0\0\0\1", 9}, /* a NaN with a payload */
        {"\xcb\xff\xf0\0\0\0\0\0\0", 9}, /* minus infinity */
        {"\xa2\xff\xfe", 3},             /* str that is not UTF-8 */
        {"\x82\xa1"
         "a"
         "\1\xa1"
         "a"
         "\2",
         7}, /* a repeated key */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
        expect_round_trip(bytes_text("odd"), objects[i]);
    }
}

static void the_deepest_value_makes_the_round_trip(void **state)
{
    struct buffer value = {0};
    (void)state;
    for (unsigned i = 0; i + 1 < DEPTH_MAX; i++) {
        pack_array(&value, 1);
    }
    pack_map(&value, 1);
    pack_int(&value, 1);
    pack_nil(&value);
    expect_round_trip(bytes_text("deep"), buffer_bytes(&value));
    buffer_fini(&value);
}

static void a_value_whose_json_is_too_long_is_printed_as_messagepack(void **state)
{
    struct buffer value = {0};
    const uint32_t count = 3u << 20;
    (void)state;
    pack_array(&value, count);
    for (uint32_t i = 0; i < count; i++) {
        pack_bool(&value, false);
    }
    expect_round_trip(bytes_text("long"), buffer_bytes(&value));
    buffer_fini(&value);
}

static void the_largest_bin_fits_a_line(void **state)
{
    static uint8_t bytes[VALUE_LEN_MAX - 5];
    struct buffer value = {0};
    char key[KEY_LEN_MAX];
    (void)state;
    memset(key, 0xff, sizeof(key));
    pack_bin(&value, bytes_of(bytes, sizeof(bytes)));
    assert_int_equal(value.len, VALUE_LEN_MAX);
    expect_round_trip(bytes_of(key, sizeof(key)), buffer_bytes(&value));
    buffer_fini(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jsonl_line_has_a_key_and_a_value),
        cmocka_unit_test(a_key_that_is_not_utf8_is_base64),
        cmocka_unit_test(what_read_prints_is_taken_and_its_other_fields_ignored),
        cmocka_unit_test(a_bad_jsonl_line_is_named_by_what_is_wrong),
        cmocka_unit_test(every_shorter_prefix_is_bad),
        cmocka_unit_test(pyshards_lines_are_typed_as_pyshard_types_them),
        cmocka_unit_test(a_bad_line_of_pyshard_is_named_by_what_is_wrong),
        cmocka_unit_test(a_key_has_its_limit),
        cmocka_unit_test(parsing_what_was_printed_is_the_identity_for_random_records),
        cmocka_unit_test(a_line_of_an_entity_has_its_id_and_its_kind),
        cmocka_unit_test(the_first_and_the_last_id_and_kind_make_the_round_trip),
        cmocka_unit_test(expiry_makes_the_round_trip),
        cmocka_unit_test(time_left_is_never_above_the_time_to_live),
        cmocka_unit_test(what_never_expires_may_say_so),
        cmocka_unit_test(unusual_encodings_make_the_round_trip),
        cmocka_unit_test(the_deepest_value_makes_the_round_trip),
        cmocka_unit_test(a_value_whose_json_is_too_long_is_printed_as_messagepack),
        cmocka_unit_test(the_largest_bin_fits_a_line),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, free_line);
}
