/* SPDX-License-Identifier: MIT */
#include "proto/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/dice.h"

static void the_vectors_of_rfc_4648_hold_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *data, *text;
    } vectors[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/"},
    };
    struct buffer text = {0};
    struct buffer data = {0};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        buffer_clear(&text);
        buffer_clear(&data);
        base64_print(bytes_text(vectors[i].data), &text);
        assert_true(bytes_equal(buffer_bytes(&text), bytes_text(vectors[i].text)));
        assert_true(base64_parse(bytes_text(vectors[i].text), &data));
        assert_true(bytes_equal(buffer_bytes(&data), bytes_text(vectors[i].data)));
    }
    buffer_fini(&text);
    buffer_fini(&data);
}

static void any_bytes_come_back(void **state)
{
    (void)state;
    struct dice dice = dice_of(64);
    struct buffer text = {0};
    struct buffer data = {0};
    uint8_t bytes[200];
    for (int round = 0; round < 2000; round++) {
        size_t len = dice_below(&dice, sizeof(bytes));
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)dice_roll(&dice);
        }
        buffer_clear(&text);
        buffer_clear(&data);
        base64_print(bytes_of(bytes, len), &text);
        assert_int_equal(text.len, (len + 2) / 3 * 4);
        assert_true(base64_parse(buffer_bytes(&text), &data));
        assert_true(bytes_equal(buffer_bytes(&data), bytes_of(bytes, len)));
    }
    buffer_fini(&text);
    buffer_fini(&data);
}

static void what_printing_never_gives_is_refused_and_nothing_is_appended(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",    "Zg",     "Zg=",  "Zm9",  "Z===",  "====",     "Zg==Zg==", "Zm=v",  "Zh==",
        "Zm9=", "Zm9v\n", "Zm9 ", "-_-_", "Zm9vZ", "Zm8=Zm9v", "=m9v",     "\"m9v", "\x80m9v",
    };
    struct buffer data = {0};
    buffer_append(&data, "before", 6);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(base64_parse(bytes_text(bad[i]), &data));
        assert_true(bytes_equal(buffer_bytes(&data), bytes_text("before")));
    }
    buffer_fini(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_4648_hold_both_ways),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(what_printing_never_gives_is_refused_and_nothing_is_appended),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
