/* SPDX-License-Identifier: MIT */
#include "cli/value_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "cli/key_text.h"
#include "proto/json.h"

static void expect_type(struct bytes text, const char *description)
{
    struct buffer object = {0};
    char type[VALUE_TEXT_LEN];
    value_text_encode(text, &object);
    assert_false(object.failed);
    value_text_describe(buffer_bytes(&object), type);
    assert_string_equal(type, description);
    buffer_fini(&object);
}

static void a_word_is_json_only_if_it_prints_back_identically(void **state)
{
    static const struct {
        const char *word, *description;
    } cases[] = {
        {"hello world", "str (11 bytes)"},
        {"", "str (0 bytes)"},
        {"5", "int"},
        {"-5", "int"},
        {"05", "str (2 bytes)"},
        {"+5", "str (2 bytes)"},
        {" 5", "str (2 bytes)"},
        {"5\n", "str (2 bytes)"},
        {"18446744073709551615", "int"},
        {"-9223372036854775808", "int"},
        {"1.0", "float"},
        {"1.00", "str (4 bytes)"},
        {"1.5", "float"},
        {"1e5", "str (3 bytes)"},
        {"true", "bool"},
        {"True", "str (4 bytes)"},
        {"null", "nil"},
        {"nil", "str (3 bytes)"},
        {"\"5\"", "str (1 byte)"},
        {"{\"hello\":\"world\"}", "map (1 pair)"},
        {"{\"a\":1,\"b\":[]}", "map (2 pairs)"},
        {"{ \"a\": 1 }", "str (10 bytes)"},
        {"{\"a\":1,\"a\":2}", "str (13 bytes)"},
        {"[1,2,3]", "list (3 elements)"},
        {"[1, 2, 3]", "str (9 bytes)"},
        {"{\"$bin\":\"AAEC\"}", "bin (3 bytes)"},
        {"{\"$ext\":[5,\"AAE=\"]}", "ext (2 bytes)"},
        {"{\"$map\":[[1,2]]}", "map (1 pair)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_type(bytes_text(cases[i].word), cases[i].description);
    }
}

static void bytes_that_are_no_text_are_bin(void **state)
{
    (void)state;
    expect_type(bytes_of("\xff\x00\x01", 3), "bin (3 bytes)");
    expect_type(bytes_of("a\0b", 3), "str (3 bytes)");
}

/* Whatever is typed, a person who reads it sees what was typed. */
static void a_value_is_read_as_it_was_typed(void **state)
{
    static const char *const words[] = {"5",    "05",  "1.0",  "1.00",       "true", "\"quoted\"",
                                        "null", "NaN", "-0.0", "{\"a\": 1}", "1e300"};
    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct buffer object = {0}, json = {0}, quoted = {0};
        value_text_encode(bytes_text(words[i]), &object);
        assert_true(json_print(buffer_bytes(&object), &json));
        assert_true(json_quote(bytes_text(words[i]), &quoted));
        assert_true(bytes_equal(buffer_bytes(&json), bytes_text(words[i])) ||
                    bytes_equal(buffer_bytes(&json), buffer_bytes(&quoted)));
        buffer_fini(&quoted);
        buffer_fini(&json);
        buffer_fini(&object);
    }
}

static void expect_key(struct bytes key, const char *printed, const char *quoted)
{
    struct buffer text = {0};
    key_text_print(key, &text);
    assert_true(bytes_equal(buffer_bytes(&text), bytes_text(printed)));
    buffer_clear(&text);
    key_text_quote(key, &text);
    assert_true(bytes_equal(buffer_bytes(&text), bytes_text(quoted)));
    buffer_fini(&text);
}

static void expect_name(struct bytes key, bool is_id, const char *name)
{
    struct buffer text = {0};
    key_text_name(key, is_id, &text);
    assert_true(bytes_equal(buffer_bytes(&text), bytes_text(name)));
    buffer_fini(&text);
}

static void a_key_that_is_an_id_is_named_as_its_number(void **state)
{
    (void)state;
    expect_name(bytes_text("test"), false, "key test");
    expect_name(bytes_of("\x04\x45\x99\xa9\xbd\0\x30\x01", 8), true, "id 307821103844175873");
    expect_name(bytes_of("\xff\xff\xff\xff\xff\xff\xff\xff", 8), true, "id 18446744073709551615");
    /* Of a damaged record the key may be gone. */
    expect_name(bytes_of("", 0), true, "key ");
}

static void a_key_is_printed_so_that_a_shell_takes_it_back(void **state)
{
    (void)state;
    expect_key(bytes_text("test"), "test", "\"test\"");
    expect_key(bytes_text("b\xc3\xa4r"), "b\xc3\xa4r", "\"b\xc3\xa4r\"");
    expect_key(bytes_text("back\\slash"), "back\\slash", "\"back\\slash\"");
    expect_key(bytes_text("say \"hi\""), "say \"hi\"", "$'say \"hi\"'");
    expect_key(bytes_text("a\nb\x7f'\\"), "$'a\\nb\\x7f\\'\\\\'", "$'a\\nb\\x7f\\'\\\\'");
    expect_key(bytes_of("\xff\x00z", 3), "$'\\xff\\x00z'", "$'\\xff\\x00z'");
    expect_key(bytes_text("$'x'"), "$'$\\'x\\''", "$'$\\'x\\''");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_is_json_only_if_it_prints_back_identically),
        cmocka_unit_test(bytes_that_are_no_text_are_bin),
        cmocka_unit_test(a_value_is_read_as_it_was_typed),
        cmocka_unit_test(a_key_that_is_an_id_is_named_as_its_number),
        cmocka_unit_test(a_key_is_printed_so_that_a_shell_takes_it_back),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
