/* SPDX-License-Identifier: MIT */
#include "proto/move.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/pack.h"
#include "tests/unit/dice.h"

static const struct move_report sample = {
    .id = UINT64_MAX,
    .state = MOVE_TARGET_READY,
    .records = 1,
    .bytes = 2,
    .records_left = 3,
    .bytes_per_s = 4,
    .waiting_bytes = 5,
    .hold_us = {6, 7, 8, 9, 10},
    .text = "link lost",
};

static bool unpack_whole(struct bytes packed, struct move_reports *reports)
{
    struct unpack in = unpack_of(packed);
    struct move_reports unpacked = {0};
    bool is_fine = move_reports_unpack(&in, &unpacked) && unpack_is_done(&in);
    if (is_fine) {
        *reports = unpacked;
    } else {
        move_reports_fini(&unpacked);
    }
    return is_fine;
}

static void reports_come_back_as_they_were_and_no_prefix_does(void **state)
{
    (void)state;
    struct move_report items[] = {sample, {.id = 7, .state = MOVE_SOURCE_LOST}};
    const struct move_reports reports = {99, items, 2};
    struct move_reports same = {0};
    struct buffer packed = {0};
    move_reports_pack(&reports, &packed);
    for (size_t len = 0; len < packed.len; len++) {
        assert_false(unpack_whole(bytes_of(packed.data, len), &same));
    }
    assert_true(unpack_whole(buffer_bytes(&packed), &same));
    assert_int_equal(same.revision, 99);
    assert_int_equal(same.count, 2);
    assert_memory_equal(&same.items[0], &items[0], sizeof(items[0]));
    assert_ptr_equal(move_reports_find(&same, 7), &same.items[1]);
    assert_null(move_reports_find(&same, 8));
    move_reports_fini(&same);
    buffer_fini(&packed);
}

static void a_report_may_be_short_or_longer_and_of_a_state_yet_unknown(void **state)
{
    (void)state;
    struct move_reports same = {0};
    struct buffer packed = {0};
    pack_array(&packed, 3);
    pack_uint(&packed, 5);
    pack_array(&packed, 3);
    pack_array(&packed, 2);
    pack_uint(&packed, 1);
    pack_uint(&packed, MOVE_SOURCE_COPYING);
    pack_array(&packed, 3);
    pack_uint(&packed, 2);
    pack_uint(&packed, 6);
    pack_text(&packed, "later");
    pack_array(&packed, 3);
    pack_uint(&packed, 3);
    pack_uint(&packed, MOVE_TARGET_OPEN);
    pack_nil(&packed);
    pack_nil(&packed);
    assert_true(unpack_whole(buffer_bytes(&packed), &same));
    assert_int_equal(same.count, 2);
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it was unpacked */
    assert_int_equal(same.items[0].state, MOVE_SOURCE_COPYING);
    assert_int_equal(same.items[1].id, 3);
    move_reports_fini(&same);
    buffer_fini(&packed);
}

static void counts_and_texts_are_bounded(void **state)
{
    (void)state;
    struct move_reports same = {0};
    struct buffer packed = {0};
    char text[MOVE_TEXT_LEN + 1] = {0};
    pack_array(&packed, 2);
    pack_uint(&packed, 5);
    pack_array(&packed, MOVE_REPORTS_MAX + 1);
    for (uint32_t i = 0; i <= MOVE_REPORTS_MAX; i++) {
        pack_array(&packed, 2);
        pack_uint(&packed, i);
        pack_uint(&packed, 1);
    }
    assert_false(unpack_whole(buffer_bytes(&packed), &same));
    memset(text, 'x', MOVE_TEXT_LEN);
    buffer_clear(&packed);
    pack_array(&packed, 2);
    pack_uint(&packed, 5);
    pack_array(&packed, 1);
    pack_array(&packed, 9);
    for (int i = 0; i < 7; i++) {
        pack_uint(&packed, 1);
    }
    pack_array(&packed, 0);
    pack_text(&packed, text);
    assert_false(unpack_whole(buffer_bytes(&packed), &same));
    buffer_fini(&packed);
}

static void no_random_damage_is_more_than_refused(void **state)
{
    (void)state;
    struct dice dice = dice_of(3);
    struct move_report item = sample;
    const struct move_reports reports = {99, &item, 1};
    struct buffer packed = {0};
    uint8_t damaged[256];
    move_reports_pack(&reports, &packed);
    assert_in_range(packed.len, 1, sizeof(damaged));
    for (int round = 0; round < 20000; round++) {
        struct move_reports same;
        memcpy(damaged, packed.data, packed.len);
        damaged[dice_below(&dice, (uint32_t)packed.len)] = (uint8_t)dice_roll(&dice);
        if (unpack_whole(bytes_of(damaged, packed.len), &same)) {
            assert_in_range(same.count, 0, 1);
            assert_true(same.count == 0 || move_state_is_known(same.items[0].state));
            move_reports_fini(&same);
        }
    }
    buffer_fini(&packed);
}

static void the_greater_number_of_both_counts(void **state)
{
    (void)state;
    struct move_report raised = {.records = 9, .hold_us = {0, 100}};
    move_report_raise(&raised, &sample);
    assert_int_equal(raised.records, 9);
    assert_int_equal(raised.bytes, 2);
    assert_int_equal(raised.hold_us[MOVE_HOLD_FREEZE], 6);
    assert_int_equal(raised.hold_us[MOVE_HOLD_DRAIN], 100);
}

static void a_pace_comes_back_as_it_was(void **state)
{
    (void)state;
    const struct move_pace pace = {7, 1000, true};
    struct move_pace same = {0};
    struct buffer packed = {0};
    move_pace_pack(&pace, &packed);
    for (size_t len = 0; len < packed.len; len++) {
        struct unpack in = unpack_of(bytes_of(packed.data, len));
        assert_false(move_pace_unpack(&in, &same));
        assert_int_equal(same.id, 0);
    }
    struct unpack in = unpack_of(buffer_bytes(&packed));
    assert_true(move_pace_unpack(&in, &same));
    assert_int_equal(same.id, 7);
    assert_int_equal(same.bytes_per_s, 1000);
    assert_true(same.is_paused);
    buffer_fini(&packed);
}

static void each_state_and_phase_has_a_word(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        bool is_known = strcmp(move_state_text((enum move_state)i), "unknown") != 0;
        assert_int_equal(is_known, move_state_is_known(i));
        assert_true(!is_known || move_state_is_source((enum move_state)i) == (i < 10));
    }
    assert_string_equal(move_phase_text(MOVE_NONE), "none");
    for (int i = 1; i <= MOVE_PHASE_LAST; i++) {
        assert_string_not_equal(move_phase_text((enum move_phase)i), "none");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_come_back_as_they_were_and_no_prefix_does),
        cmocka_unit_test(a_report_may_be_short_or_longer_and_of_a_state_yet_unknown),
        cmocka_unit_test(counts_and_texts_are_bounded),
        cmocka_unit_test(no_random_damage_is_more_than_refused),
        cmocka_unit_test(the_greater_number_of_both_counts),
        cmocka_unit_test(a_pace_comes_back_as_it_was),
        cmocka_unit_test(each_state_and_phase_has_a_word),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
