/* SPDX-License-Identifier: MIT */
#include "cli/id_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "libclient/shardkv.h"
#include "proto/limits.h"

static void an_id_is_a_number_of_64_bits_without_a_sign(void **state)
{
    static const struct {
        const char *text;
        uint64_t id;
    } cases[] = {
        {"0", 0},
        {"307821103844175873", UINT64_C(307821103844175873)},
        {"9223372036854775808", UINT64_C(1) << 63},
        {"18446744073709551615", UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t id = 1;
        assert_true(id_text_parse(bytes_text(cases[i].text), &id));
        assert_true(id == cases[i].id);
    }
}

static void what_is_no_id_is_refused_and_changes_nothing(void **state)
{
    static const char *const texts[] = {
        "",  "-1", "+1", " 1", "1 ", "1.0", "0x1", "18446744073709551616", "99999999999999999999",
        "x",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t id = 7;
        assert_false(id_text_parse(bytes_text(texts[i]), &id));
        assert_int_equal(id, 7);
    }
}

static void a_shard_is_a_number_any_or_that_of_a_key(void **state)
{
    uint32_t shard = 1;
    (void)state;
    assert_true(id_text_parse_shard("0", &shard));
    assert_int_equal(shard, 0);
    assert_true(id_text_parse_shard("8191", &shard));
    assert_int_equal(shard, 8191);
    assert_true(id_text_parse_shard("-", &shard));
    assert_int_equal(shard, SKV_SHARD_ANY);
    assert_true(id_text_parse_shard("@user:31341", &shard));
    assert_int_equal(shard, skv_point(skv_key("user:31341")) >> 51);
    assert_true(id_text_parse_shard("@@", &shard));
    assert_int_equal(shard, skv_point(skv_key("@")) >> 51);
}

static void what_is_no_shard_is_refused(void **state)
{
    static const char *const words[] = {"8192", "-1",  "4294967295", "",   "@",
                                        "--",   "any", "1-9",        "12 "};
    char key[KEY_LEN_MAX + 3];
    uint32_t shard = 7;
    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_false(id_text_parse_shard(words[i], &shard));
    }
    memset(key, 'k', sizeof(key));
    key[0] = '@';
    key[KEY_LEN_MAX + 2] = '\0';
    assert_false(id_text_parse_shard(key, &shard));
    assert_int_equal(shard, 7);
    key[KEY_LEN_MAX + 1] = '\0';
    assert_true(id_text_parse_shard(key, &shard));
}

static void a_kind_has_16_bits(void **state)
{
    uint16_t kind = 7;
    (void)state;
    assert_false(id_text_parse_kind("65536", &kind));
    assert_false(id_text_parse_kind("-1", &kind));
    assert_false(id_text_parse_kind("", &kind));
    assert_int_equal(kind, 7);
    assert_true(id_text_parse_kind("65535", &kind));
    assert_int_equal(kind, 65535);
    assert_true(id_text_parse_kind("0", &kind));
    assert_int_equal(kind, 0);
}

/* The first two are hypervault's README and the end of its 41 bits. */
static void times_have_milliseconds(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text, *json;
    } cases[] = {
        {UINT64_C(1416060666450), "2014-11-15 14:11:06.450 UTC", "2014-11-15T14:11:06.450Z"},
        {UINT64_C(3578388786903), "2083-05-24 12:53:06.903 UTC", "2083-05-24T12:53:06.903Z"},
        {UINT64_C(1379365531352), "2013-09-16 21:05:31.352 UTC", "2013-09-16T21:05:31.352Z"},
        {0, "1970-01-01 00:00:00.000 UTC", "1970-01-01T00:00:00.000Z"},
        {9, "1970-01-01 00:00:00.009 UTC", "1970-01-01T00:00:00.009Z"},
        {(UINT64_C(1) << 48) + (UINT64_C(1) << 41), "10959-04-09 21:19:26.208 UTC",
         "10959-04-09T21:19:26.208Z"},
    };
    char text[ID_TEXT_TIME_LEN];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        id_text_print_time(cases[i].ms, false, text);
        assert_string_equal(text, cases[i].text);
        id_text_print_time(cases[i].ms, true, text);
        assert_string_equal(text, cases[i].json);
    }
}

static void what_is_no_time_is_nothing(void **state)
{
    char text[ID_TEXT_TIME_LEN] = "x";
    (void)state;
    id_text_print_time(UINT64_MAX, false, text);
    assert_true(strlen(text) < ID_TEXT_TIME_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_a_number_of_64_bits_without_a_sign),
        cmocka_unit_test(what_is_no_id_is_refused_and_changes_nothing),
        cmocka_unit_test(a_shard_is_a_number_any_or_that_of_a_key),
        cmocka_unit_test(what_is_no_shard_is_refused),
        cmocka_unit_test(a_kind_has_16_bits),
        cmocka_unit_test(times_have_milliseconds),
        cmocka_unit_test(what_is_no_time_is_nothing),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
