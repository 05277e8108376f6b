/* SPDX-License-Identifier: MIT */
#include "proto/point.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/hash.h"
#include "tests/unit/dice.h"

/* From the repository's root, where the tests are run. */
#define PROTOCOL "proto/PROTOCOL.md"

enum { LONG_KEY_LEN = 480 };

static struct bytes long_key(void)
{
    static char key[LONG_KEY_LEN];
    memset(key, 'a', sizeof key);
    return bytes_of(key, sizeof key);
}

static void points_are_those_of_the_protocols_table(void **state)
{
    (void)state;
    const struct {
        const char *name;
        struct bytes key;
        uint64_t point;
    } vectors[] = {
        {"`test`", bytes_text("test"), UINT64_C(0x9ec9f7918d7dfc40)},
        {"`test1`", bytes_text("test1"), UINT64_C(0x8cb0703457fbdb8f)},
        {"480 times `a`", long_key(), UINT64_C(0xee553d08a1438593)},
        {"the byte 00", bytes_of("", 1), UINT64_C(0xc44bdff4074eecdb)},
    };
    char text[65536];
    FILE *file = fopen(PROTOCOL, "re");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    assert_int_equal(fclose(file), 0);
    text[len] = '\0';
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char row[128];
        (void)snprintf(row, sizeof row, "| %s | 0x%016" PRIx64 " |", vectors[i].name,
                       vectors[i].point);
        assert_non_null(strstr(text, row));
        assert_int_equal(point_of_key(vectors[i].key), vectors[i].point);
    }
}

/* The value that xxHash's own documentation of XXH3 gives for no bytes at all. */
static void the_hash_of_nothing_is_the_published_one(void **state)
{
    (void)state;
    assert_int_equal(hash_bytes(bytes_of(NULL, 0)), UINT64_C(0x2d06800538d394c2));
}

/* libxxhash0 comes with libxxhash-dev; nothing but this test uses it. */
static void every_length_of_key_hashes_as_in_the_installed_library(void **state)
{
    (void)state;
    uint64_t (*reference)(const void *data, size_t len);
    void *library = dlopen("libxxhash.so.0", RTLD_NOW);
    assert_non_null(library);
    void *symbol = dlsym(library, "XXH3_64bits");
    assert_non_null(symbol);
    memcpy(&reference, &symbol, sizeof reference);

    uint8_t key[2048];
    struct dice dice = dice_of(1);
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = (uint8_t)dice_roll(&dice);
    }
    for (size_t len = 0; len <= sizeof key; len++) {
        assert_int_equal(hash_bytes(bytes_of(key, len)), reference(key, len));
    }
    assert_int_equal(dlclose(library), 0);
}

static void a_fraction_is_never_one(void **state)
{
    (void)state;
    assert_true(point_fraction(0) == 0.0);
    assert_true(point_fraction(UINT64_C(1) << 63) == 0.5);
    assert_true(point_fraction(UINT64_MAX) < 1.0);
    assert_true(point_fraction(UINT64_MAX) > 0.9999999999999998);
}

static void a_point_is_in_a_range_by_its_upper_half(void **state)
{
    (void)state;
    assert_true(point_in(0, 0, 1));
    assert_true(point_in(UINT32_MAX, 0, 1));
    assert_false(point_in(UINT64_C(1) << 32, 0, 1));
    assert_true(point_in(UINT64_MAX, UINT32_MAX, BOUND_END));
    assert_true(point_in(UINT64_MAX, 0, BOUND_END));
    assert_false(point_in(UINT64_MAX, 0, UINT32_MAX));
    assert_true(point_in(point_of_bound(5), 5, 6));
    assert_false(point_in(point_of_bound(5) - 1, 5, 6));
}

static void a_fraction_goes_to_the_nearest_bound(void **state)
{
    (void)state;
    static const struct {
        double fraction;
        uint64_t bound;
    } cases[] = {
        {0.0, 0},
        {-0.0, 0},
        {0.5, UINT64_C(1) << 31},
        {1.0, BOUND_END},
        {0x1p-32, 1},
        {0x1p-33, 1},
        {0x0.fffffffffffffp-33, 0},
        {0x1.8p-32, 2},
        {0x1.7ffffffffffffp-32, 1},
        {1.0 / 3.0, 1431655765},
        {2.0 / 3.0, 2863311531},
        {0x0.ffffffff8p0, BOUND_END},
        {0x0.ffffffff7ffff8p0, BOUND_END - 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bound;
        assert_true(bound_of_fraction(cases[i].fraction, &bound));
        assert_int_equal(bound, cases[i].bound);
    }
}

static void what_is_not_on_the_circle_is_no_bound(void **state)
{
    (void)state;
    static const double cases[] = {
        -0x1p-1074,       1.0 + 0x1p-52,    -1.0, 2.0, 1e300, __builtin_inf(),
        -__builtin_inf(), __builtin_nan("")};
    uint64_t bound = 7;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_false(bound_of_fraction(cases[i], &bound));
    }
    assert_int_equal(bound, 7);
}

static void bounds_are_printed_with_a_point_and_no_digit_too_many(void **state)
{
    (void)state;
    static const struct {
        uint64_t bound;
        const char *text;
    } cases[] = {
        {0, "0.0"},
        {UINT64_C(1) << 31, "0.5"},
        {UINT64_C(1) << 30, "0.25"},
        {1431655765, "0.3333333333"},
        {2863311531, "0.6666666667"},
        {429496730, "0.1"},
        {3865470566, "0.9"},
        {1, "0.0000000002"},
        {BOUND_END - 1, "0.9999999998"},
        {BOUND_END, "1.0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[BOUND_TEXT_LEN];
        bound_print(cases[i].bound, text);
        assert_string_equal(text, cases[i].text);
    }
}

static bool reads_back(const char *text, uint64_t bound)
{
    uint64_t read;
    char *end;
    double fraction = strtod(text, &end);
    return *end == '\0' && bound_of_fraction(fraction, &read) && read == bound;
}

/* Reads back, and neither decimal around it with one digit less does. */
static void check_shortest(uint64_t bound)
{
    char text[BOUND_TEXT_LEN];
    bound_print(bound, text);
    assert_true(reads_back(text, bound));
    int digits = (int)strlen(strchr(text, '.') + 1);
    if (digits == 1) {
        return;
    }
    double scale = 1.0;
    for (int i = 1; i < digits; i++) {
        scale *= 10.0;
    }
    double below = (double)(uint64_t)((double)bound * 0x1p-32 * scale);
    for (int i = 0; i < 2; i++) {
        char shorter[400];
        (void)snprintf(shorter, sizeof shorter, "%.*f", digits - 1, (below + i) / scale);
        assert_false(reads_back(shorter, bound));
    }
}

static void every_bound_reads_back_from_its_shortest_decimal(void **state)
{
    (void)state;
    enum { NEAR = 3000 };
    for (uint64_t i = 0; i < NEAR; i++) {
        check_shortest(i);
        check_shortest(BOUND_END - i);
        check_shortest(BOUND_END / 3 - NEAR / 2 + i);
        check_shortest(BOUND_END / 2 - NEAR / 2 + i);
    }
    struct dice dice = dice_of(2);
    for (uint32_t i = 0; i < 10 * NEAR; i++) {
        check_shortest(dice_roll(&dice) >> 32);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_are_those_of_the_protocols_table),
        cmocka_unit_test(the_hash_of_nothing_is_the_published_one),
        cmocka_unit_test(every_length_of_key_hashes_as_in_the_installed_library),
        cmocka_unit_test(a_fraction_is_never_one),
        cmocka_unit_test(a_point_is_in_a_range_by_its_upper_half),
        cmocka_unit_test(a_fraction_goes_to_the_nearest_bound),
        cmocka_unit_test(what_is_not_on_the_circle_is_no_bound),
        cmocka_unit_test(bounds_are_printed_with_a_point_and_no_digit_too_many),
        cmocka_unit_test(every_bound_reads_back_from_its_shortest_decimal),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
