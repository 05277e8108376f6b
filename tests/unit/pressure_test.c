/* SPDX-License-Identifier: MIT */
#include "shardd/pressure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)

/* Of a log of 1000 MiB and a memory of 2000 MiB: so the parts below are thousandths. */
struct row {
    uint64_t log_mib, dirty_mib;
    uint64_t quiet_ms;
    enum pace pace;
    uint32_t delay_ms_min, delay_ms_max;
    bool is_memory_full;
};

static struct pressure pressure_at(uint64_t log_mib, uint64_t dirty_mib, uint64_t quiet_ms,
                                   bool is_disk_full)
{
    const struct pressure_input input = {
        .log_used = log_mib * MIB,
        .log_limit = 1000 * MIB,
        .dirty_len = dirty_mib * MIB,
        .memory_limit = 2000 * MIB,
        .quiet_ms = quiet_ms,
        .is_disk_full = is_disk_full,
    };
    return pressure_of(&input);
}

static void the_sweep_works_as_hard_and_writers_wait_as_long_as_is_needed(void **state)
{
    static const struct row rows[] = {
        {0, 0, 0, PACE_REST, 0, 0, false},
        {490, 240, 0, PACE_REST, 0, 0, false},
        {0, 0, PRESSURE_QUIET_MS, PACE_EASY, 0, 0, false},
        {510, 0, 0, PACE_EASY, 0, 0, false},
        {0, 260, 0, PACE_EASY, 0, 0, false},
        {760, 0, 0, PACE_FULL, 0, 0, false},
        {0, 510, 0, PACE_FULL, 0, 1, false},
        {870, 490, 0, PACE_FULL, 0, 0, false},
        {940, 0, 0, PACE_FULL, 8, 20, false},
        {0, 750, 0, PACE_FULL, 8, 20, false},
        {999, 0, 0, PACE_FULL, 45, PRESSURE_DELAY_MS_MAX, false},
        {0, 990, 0, PACE_FULL, 45, PRESSURE_DELAY_MS_MAX, false},
        {0, 1010, 0, PACE_FULL, PRESSURE_DELAY_MS_MAX, PRESSURE_DELAY_MS_MAX, true},
        {1110, 0, 0, PACE_FULL, PRESSURE_DELAY_MS_MAX, PRESSURE_DELAY_MS_MAX, true},
        {1000000, 1000000, 0, PACE_FULL, PRESSURE_DELAY_MS_MAX, PRESSURE_DELAY_MS_MAX, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct pressure pressure = pressure_at(row->log_mib, row->dirty_mib, row->quiet_ms, false);
        assert_int_equal(pressure.pace, row->pace);
        assert_in_range(pressure.writer_delay_ms, row->delay_ms_min, row->delay_ms_max);
        assert_int_equal(pressure.is_memory_full, row->is_memory_full);
    }
}

/* RULES F3: smoothly, so that no writer meets a wall. */
static void the_delay_never_shrinks_nor_jumps_as_the_pressure_grows(void **state)
{
    uint32_t before_ms = 0;
    (void)state;
    for (uint64_t dirty_mib = 0; dirty_mib <= 1200; dirty_mib += 5) {
        uint32_t delay_ms = pressure_at(0, dirty_mib, 0, false).writer_delay_ms;
        assert_in_range(delay_ms, before_ms, before_ms + 2);
        before_ms = delay_ms;
    }
    assert_int_equal(before_ms, PRESSURE_DELAY_MS_MAX);
}

/* RULES F1. */
static void on_a_full_disk_batches_are_small_and_nothing_that_shrinks_is_held_up(void **state)
{
    static const uint64_t parts[] = {0, 300, 800, 1200};
    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct pressure pressure = pressure_at(parts[i], parts[i], 0, true);
        assert_int_equal(pressure.pace, PACE_FULL);
        assert_in_range(pressure.batch_max, 1, 32);
        assert_int_equal(pressure.writer_delay_ms, 0);
        assert_false(pressure.is_memory_full);
    }
}

/* RULES F3: each record of a transaction may take a page of 4 KiB. */
static void the_pages_of_a_batch_take_an_eighth_of_a_small_memory_at_most(void **state)
{
    static const uint64_t memories_mib[] = {16, 64, 100, 256, 2000};
    (void)state;
    for (size_t i = 0; i < sizeof(memories_mib) / sizeof(memories_mib[0]); i++) {
        uint64_t memory_limit = memories_mib[i] * MIB;
        const struct pressure_input easy = {
            .log_used = 600 * MIB, .log_limit = 1000 * MIB, .memory_limit = memory_limit};
        const struct pressure_input full = {
            .log_used = 900 * MIB, .log_limit = 1000 * MIB, .memory_limit = memory_limit};
        assert_int_equal(pressure_of(&full).pace, PACE_FULL);
        assert_in_range(pressure_of(&full).batch_max * UINT64_C(4096), 1, memory_limit / 8);
        assert_in_range(pressure_of(&easy).batch_max, 1, pressure_of(&full).batch_max);
        if (memories_mib[i] >= 128) {
            assert_int_equal(pressure_of(&full).batch_max, 4096);
        }
    }
}

static void limits_of_nothing_are_no_pressure(void **state)
{
    const struct pressure_input nothing = {0};
    (void)state;
    assert_int_equal(pressure_of(&nothing).pace, PACE_REST);
    assert_int_equal(pressure_of(&nothing).writer_delay_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sweep_works_as_hard_and_writers_wait_as_long_as_is_needed),
        cmocka_unit_test(the_delay_never_shrinks_nor_jumps_as_the_pressure_grows),
        cmocka_unit_test(on_a_full_disk_batches_are_small_and_nothing_that_shrinks_is_held_up),
        cmocka_unit_test(the_pages_of_a_batch_take_an_eighth_of_a_small_memory_at_most),
        cmocka_unit_test(limits_of_nothing_are_no_pressure),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
