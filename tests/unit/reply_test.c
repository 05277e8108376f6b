/* SPDX-License-Identifier: MIT */
#include "cli/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proto/pack.h"

struct taken {
    uint64_t number;
    struct bytes text;
    struct bytes encoded;
};

static bool take(const struct buffer *reply, struct taken *taken)
{
    struct unpack in = unpack_of(buffer_bytes(reply));
    const struct reply_field fields[] = {
        {"number", REPLY_NUMBER, &taken->number},
        {"text", REPLY_TEXT, &taken->text},
        {"list", REPLY_ENCODED, &taken->encoded},
    };
    reply_take(&in, fields, sizeof(fields) / sizeof(fields[0]));
    return unpack_is_done(&in);
}

static void wanted_fields_are_taken_and_others_skipped(void **state)
{
    struct buffer reply = {0};
    struct taken taken = {0};
    (void)state;
    pack_map(&reply, 4);
    pack_text(&reply, "newer");
    pack_array(&reply, 1);
    pack_map(&reply, 0);
    pack_text(&reply, "text");
    pack_text(&reply, "serving");
    pack_text(&reply, "list");
    pack_array(&reply, 2);
    pack_uint(&reply, 1);
    pack_nil(&reply);
    pack_text(&reply, "number");
    pack_uint(&reply, UINT64_MAX);
    assert_true(take(&reply, &taken));
    assert_true(taken.number == UINT64_MAX);
    assert_true(bytes_equal(taken.text, bytes_text("serving")));
    assert_int_equal(taken.encoded.len, 3);
    buffer_fini(&reply);
}

static void a_bool_is_true_or_false_and_nothing_else(void **state)
{
    static const struct {
        const char *bytes;
        bool is_one, value;
    } cases[] = {{"\x81\xa1x\xc3", true, true},
                 {"\x81\xa1x\xc2", true, false},
                 {"\x81\xa1x\x01", false, false}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool value = false;
        struct unpack in = unpack_of(bytes_text(cases[i].bytes));
        reply_take(&in, &(struct reply_field){"x", REPLY_BOOL, &value}, 1);
        assert_int_equal(unpack_is_done(&in), cases[i].is_one);
        assert_int_equal(value, cases[i].value);
    }
}

static void a_field_that_is_missing_keeps_its_value(void **state)
{
    struct buffer reply = {0};
    struct taken taken = {.number = 7};
    (void)state;
    pack_map(&reply, 1);
    pack_text(&reply, "text");
    pack_nil(&reply);
    assert_true(take(&reply, &taken));
    assert_int_equal(taken.number, 7);
    assert_int_equal(taken.text.len, 0);
    buffer_fini(&reply);
}

static void a_wrong_type_or_a_cut_reply_is_no_reply(void **state)
{
    struct buffer reply = {0};
    struct taken taken = {0};
    (void)state;
    pack_map(&reply, 1);
    pack_text(&reply, "number");
    pack_text(&reply, "seven");
    assert_false(take(&reply, &taken));
    buffer_clear(&reply);
    pack_map(&reply, 2);
    pack_text(&reply, "number");
    pack_uint(&reply, 1);
    assert_false(take(&reply, &taken));
    buffer_clear(&reply);
    pack_array(&reply, 0);
    assert_false(take(&reply, &taken));
    buffer_fini(&reply);
}

static void copied_text_is_cut_to_its_room(void **state)
{
    char text[5];
    (void)state;
    reply_copy_text(bytes_text("abcd"), text, sizeof(text));
    assert_string_equal(text, "abcd");
    reply_copy_text(bytes_text("abcde"), text, sizeof(text));
    assert_string_equal(text, "abcd");
    reply_copy_text(bytes_of(NULL, 0), text, sizeof(text));
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wanted_fields_are_taken_and_others_skipped),
        cmocka_unit_test(a_bool_is_true_or_false_and_nothing_else),
        cmocka_unit_test(a_field_that_is_missing_keeps_its_value),
        cmocka_unit_test(a_wrong_type_or_a_cut_reply_is_no_reply),
        cmocka_unit_test(copied_text_is_cut_to_its_room),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
