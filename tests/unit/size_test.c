/* SPDX-License-Identifier: MIT */
#include "proto/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/dice.h"

static void sizes_are_read_as_they_are_meant(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t size;
    } sizes[] = {
        {"0", 0},
        {"1024", 1024},
        {"7B", 7},
        {"1KiB", 1024},
        {"512MiB", UINT64_C(512) << 20},
        {"1GiB", UINT64_C(1) << 30},
        {"1.5GiB", UINT64_C(3) << 29},
        {"2TiB", UINT64_C(2) << 40},
        {"3PiB", UINT64_C(3) << 50},
        {"100 KB", 100000},
        {"0.5MB", 500000},
        {"1.000", 1},
        {"4GB", UINT64_C(4000000000)},
        {"18446744073709551615", UINT64_MAX},
        {"16383PiB", UINT64_C(16383) << 50},
    };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t size = 1;
        assert_true(size_parse(bytes_text(sizes[i].text), &size));
        assert_int_equal(size, sizes[i].size);
    }
}

static void what_is_no_whole_number_of_bytes_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "-1",
        "+1",
        "1 ",
        " 1",
        "GiB",
        "1gib",
        "1G",
        "1kB",
        "1GiB ",
        "1.",
        ".5KiB",
        "1..5KB",
        "0.3B",
        "1.0001KB",
        "1e3",
        "0x10",
        "1,5KB",
        "12 elephants",
        "18446744073709551616",
        "16384PiB",
        "1\tKB",
        "123456789012345678901234567890",
        "1.00000000000000000000001KB",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t size = 77;
        assert_false(size_parse(bytes_text(bad[i]), &size));
        assert_int_equal(size, 77);
    }
    uint64_t size;
    assert_false(size_parse(bytes_of("1\0KB", 4), &size));
}

static void sizes_are_printed_in_the_greatest_unit_that_is_exact(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        const char *text;
    } sizes[] = {
        {0, "0"},
        {1, "1"},
        {1000, "1000"},
        {1024, "1KiB"},
        {1025, "1025"},
        {UINT64_C(3) << 29, "1536MiB"},
        {UINT64_C(1) << 30, "1GiB"},
        {UINT64_C(1) << 50, "1PiB"},
        {UINT64_MAX, "18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char text[SIZE_TEXT_LEN];
        size_print(sizes[i].size, text);
        assert_string_equal(text, sizes[i].text);
    }
}

static void every_printed_size_reads_back(void **state)
{
    (void)state;
    struct dice dice = dice_of(1024);
    for (int round = 0; round < 10000; round++) {
        uint64_t size = dice_roll(&dice) >> dice_below(&dice, 64) << dice_below(&dice, 40);
        uint64_t same;
        char text[SIZE_TEXT_LEN];
        size_print(size, text);
        assert_true(size_parse(bytes_text(text), &same));
        assert_int_equal(same, size);
    }
}

static void ids_are_32_lower_case_digits(void **state)
{
    (void)state;
    const uint8_t id[ID_LEN] = {0x00, 0x01, 0x0f, 0x10, 0xab, 0xff};
    uint8_t same[ID_LEN];
    char text[ID_TEXT_LEN];
    id_bytes_print(id, text);
    assert_string_equal(text, "00010f10abff00000000000000000000");
    assert_true(id_bytes_parse(bytes_text(text), same));
    assert_memory_equal(same, id, ID_LEN);
    assert_false(id_bytes_is_zero(id));
    assert_true(id_bytes_is_zero((const uint8_t[ID_LEN]){0}));
}

static void no_other_text_is_an_id(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00010f10abff0000000000000000000",
        "00010f10abff000000000000000000000",
        "00010F10abff00000000000000000000",
        "00010g10abff00000000000000000000",
        "00010f10abff0000000000000000000 ",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t id[ID_LEN] = {9};
        assert_false(id_bytes_parse(bytes_text(bad[i]), id));
        assert_int_equal(id[0], 9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read_as_they_are_meant),
        cmocka_unit_test(what_is_no_whole_number_of_bytes_is_refused),
        cmocka_unit_test(sizes_are_printed_in_the_greatest_unit_that_is_exact),
        cmocka_unit_test(every_printed_size_reads_back),
        cmocka_unit_test(ids_are_32_lower_case_digits),
        cmocka_unit_test(no_other_text_is_an_id),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
