/* SPDX-License-Identifier: MIT */
#include "proto/extent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/random_object.h"

#define BYTES(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static enum extent_result scan_once(struct bytes data, size_t len_max, enum unpack_fault *fault)
{
    struct extent extent;
    extent_reset(&extent);
    *fault = UNPACK_FINE;
    return extent_scan(&extent, data, len_max, fault);
}

/* Gives the scanner `data` in pieces; the result must be the same as for all at once. */
static void check_in_pieces(struct bytes data, struct dice *dice, uint32_t piece_max)
{
    struct extent extent;
    enum unpack_fault fault;
    size_t len = 0;
    extent_reset(&extent);
    while (len < data.len) {
        assert_int_equal(extent_scan(&extent, bytes_of(data.data, len), FRAME_LEN_MAX, &fault),
                         EXTENT_PARTIAL);
        len += 1 + dice_below(dice, piece_max);
    }
    assert_int_equal(extent_scan(&extent, data, FRAME_LEN_MAX, &fault), EXTENT_WHOLE);
    assert_int_equal(extent.scanned, data.len);
}

static void random_objects_end_at_their_last_byte_however_they_arrive(void **state)
{
    (void)state;
    struct dice dice = dice_of(1);
    struct buffer object = {0};
    for (int i = 0; i < 2000; i++) {
        buffer_clear(&object);
        random_object(&dice, &object, 8);
        assert_false(object.failed);
        check_in_pieces(buffer_bytes(&object), &dice, 1);
        check_in_pieces(buffer_bytes(&object), &dice, 30);
    }
    buffer_fini(&object);
}

static void what_follows_the_object_is_not_looked_at(void **state)
{
    (void)state;
    static const struct bytes data = BYTES("\x92\xa1x\x01\xc1\xc1");
    struct extent extent;
    enum unpack_fault fault;
    extent_reset(&extent);
    assert_int_equal(extent_scan(&extent, data, FRAME_LEN_MAX, &fault), EXTENT_WHOLE);
    assert_int_equal(extent.scanned, 4);
}

static void no_bytes_are_partial(void **state)
{
    (void)state;
    enum unpack_fault fault;
    assert_int_equal(scan_once((struct bytes){0}, FRAME_LEN_MAX, &fault), EXTENT_PARTIAL);
}

static void a_payload_is_stepped_over_before_it_is_there(void **state)
{
    (void)state;
    uint8_t data[5 + 1000] = {0xc6, 0, 0, 1000 >> 8, 1000 & 0xff};
    struct extent extent;
    enum unpack_fault fault;
    extent_reset(&extent);
    assert_int_equal(extent_scan(&extent, bytes_of(data, 5), FRAME_LEN_MAX, &fault),
                     EXTENT_PARTIAL);
    assert_int_equal(extent.scanned, sizeof data);
    assert_int_equal(extent_scan(&extent, bytes_of(data, sizeof data - 1), FRAME_LEN_MAX, &fault),
                     EXTENT_PARTIAL);
    assert_int_equal(extent_scan(&extent, bytes_of(data, sizeof data), FRAME_LEN_MAX, &fault),
                     EXTENT_WHOLE);
}

static void lengths_and_counts_that_cannot_fit_are_bad_at_once(void **state)
{
    (void)state;
    static const struct bytes cases[] = {
        BYTES("\xdd\xff\xff\xff\xff"),
        BYTES("\xdd\x0f\xff\xff\xff"),
        BYTES("\xdf\xff\xff\xff\xff"),
        BYTES("\xdf\x00\x50\x00\x00"),
        BYTES("\xc6\xff\xff\xff\xff"),
        BYTES("\xdb\xff\xff\xff\xff"),
        BYTES("\xc9\xff\xff\xff\xff"),
        BYTES("\x94\x00\x01\xa4read\x91\xc6\x01\x00\x00\x00"),
        /* Each array would fit, all together do not. */
        BYTES("\xdd\x00\x40\x00\x00\xdd\x00\x40\x00\x00\xdd\x00\x40\x00\x00"),
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum unpack_fault fault;
        assert_int_equal(scan_once(cases[i], FRAME_LEN_MAX, &fault), EXTENT_BAD);
        assert_int_equal(fault, UNPACK_SHORT);
        struct bytes without_last = bytes_of(cases[i].data, cases[i].len - 1);
        assert_int_equal(scan_once(without_last, FRAME_LEN_MAX, &fault), EXTENT_PARTIAL);
    }
}

static void the_limit_is_the_last_length_that_is_whole(void **state)
{
    (void)state;
    static const struct bytes cases[] = {
        BYTES("\xa5hello"),
        BYTES("\x93\xc0\xc0\xc0"),
        BYTES("\x91\xcf\x00\x00\x00\x00\x00\x00\x00\x05"),
        BYTES("\x81\xc0\xd6\x07xxxx"),
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum unpack_fault fault;
        assert_int_equal(scan_once(cases[i], cases[i].len, &fault), EXTENT_WHOLE);
        assert_int_equal(scan_once(cases[i], cases[i].len - 1, &fault), EXTENT_BAD);
        assert_int_equal(fault, UNPACK_SHORT);
    }
}

/* Else a reader that takes no more than the limit would wait for ever. */
static void a_partial_object_never_fills_the_limit(void **state)
{
    (void)state;
    static const struct bytes cut = BYTES("\x91\xcf\x00\x00\x00\x00\x00");
    enum unpack_fault fault;
    for (size_t len = 0; len < cut.len; len++) {
        struct bytes data = bytes_of(cut.data, len);
        assert_int_equal(scan_once(data, 10, &fault), EXTENT_PARTIAL);
        assert_int_equal(scan_once(data, len, &fault), EXTENT_BAD);
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    uint8_t arrays[EXTENT_DEPTH_MAX + 2];
    enum unpack_fault fault;
    memset(arrays, 0x91, sizeof arrays);
    arrays[sizeof arrays - 1] = 0xc0;
    assert_int_equal(scan_once(bytes_of(arrays + 1, sizeof arrays - 1), FRAME_LEN_MAX, &fault),
                     EXTENT_WHOLE);
    assert_int_equal(scan_once(bytes_of(arrays, sizeof arrays), FRAME_LEN_MAX, &fault), EXTENT_BAD);
    assert_int_equal(fault, UNPACK_TOO_DEEP);
}

static void the_unused_byte_is_bad(void **state)
{
    (void)state;
    static const struct bytes cases[] = {BYTES("\xc1"), BYTES("\x93\x01\xc1")};
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum unpack_fault fault;
        assert_int_equal(scan_once(cases[i], FRAME_LEN_MAX, &fault), EXTENT_BAD);
        assert_int_equal(fault, UNPACK_BAD_BYTE);
    }
}

/* unpack_skip counts depth the same way, less what lies around a value. */
static void what_can_be_skipped_is_whole(void **state)
{
    (void)state;
    struct dice dice = dice_of(3);
    for (int i = 0; i < 200000; i++) {
        uint8_t data[12];
        for (size_t j = 0; j < sizeof data; j++) {
            data[j] = (uint8_t)dice_roll(&dice);
        }
        struct bytes bytes = bytes_of(data, sizeof data);
        struct unpack in = unpack_of(bytes);
        struct bytes skipped = unpack_skip(&in);
        struct extent extent;
        enum unpack_fault fault;
        extent_reset(&extent);
        enum extent_result result = extent_scan(&extent, bytes, FRAME_LEN_MAX, &fault);
        assert_int_equal(result == EXTENT_WHOLE, unpack_is_fine(&in));
        if (result == EXTENT_WHOLE) {
            assert_int_equal(extent.scanned, skipped.len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_objects_end_at_their_last_byte_however_they_arrive),
        cmocka_unit_test(what_follows_the_object_is_not_looked_at),
        cmocka_unit_test(no_bytes_are_partial),
        cmocka_unit_test(a_payload_is_stepped_over_before_it_is_there),
        cmocka_unit_test(lengths_and_counts_that_cannot_fit_are_bad_at_once),
        cmocka_unit_test(the_limit_is_the_last_length_that_is_whole),
        cmocka_unit_test(a_partial_object_never_fills_the_limit),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(the_unused_byte_is_bad),
        cmocka_unit_test(what_can_be_skipped_is_whole),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
