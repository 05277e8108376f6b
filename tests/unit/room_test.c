/* SPDX-License-Identifier: MIT */
#include "shardd/room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/unit/scratch.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define SEGMENT_LEN (UINT64_C(64) << 10)

/* --- pure --- */

static void a_reserve_is_a_part_of_the_limits_within_its_bounds_and_the_disk(void **state)
{
    static const struct {
        uint64_t limit_sum, free_len, segment_len, len;
    } rows[] = {
        {0, 100 * GIB, 64 * MIB, 16 * MIB},        {GIB / 2, 100 * GIB, 64 * MIB, 16 * MIB},
        {4 * GIB, 100 * GIB, 64 * MIB, 128 * MIB}, {1000 * GIB, 100 * GIB, 64 * MIB, GIB},
        {UINT64_MAX, UINT64_MAX, 64 * MIB, GIB},   {4 * GIB, 392 * MIB, 64 * MIB, 128 * MIB},
        {4 * GIB, 391 * MIB, 64 * MIB, 63 * MIB},  {4 * GIB, 265 * MIB, 64 * MIB, 0},
        {4 * GIB, 100 * MIB, 64 * MIB, 0},         {4 * GIB, 0, 64 * MIB, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(room_reserve_len(rows[i].limit_sum, rows[i].free_len, rows[i].segment_len),
                         rows[i].len);
    }
}

static void a_disk_is_full_below_one_mark_and_until_it_is_above_a_higher_one(void **state)
{
    static const struct {
        struct room_input input;
        bool is_full;
    } rows[] = {
        {{false, false, 132 * MIB, 0, 64 * MIB}, false},
        {{false, false, 131 * MIB, 0, 64 * MIB}, true},
        {{true, false, 131 * MIB, 0, 64 * MIB}, true},
        {{true, false, 263 * MIB, 0, 64 * MIB}, true},
        {{true, false, 264 * MIB, 0, 64 * MIB}, false},
        /* What it gave up itself is no room. */
        {{true, false, 264 * MIB, 100 * MIB, 64 * MIB}, true},
        {{true, false, 364 * MIB, 100 * MIB, 64 * MIB}, false},
        /* Quotas and limits on files are not seen from here. */
        {{false, true, 1000 * GIB, 0, 64 * MIB}, true},
        {{true, true, 1000 * GIB, 0, 64 * MIB}, true},
        {{true, false, 1000 * GIB, 0, 64 * MIB}, false},
        {{false, false, 0, 0, 64 * MIB}, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(room_is_full_at(&rows[i].input), rows[i].is_full);
    }
}

/* --- of a directory --- */

struct fixture {
    struct scratch scratch;
    struct dir *dir;
    struct loop *loop;
    struct timer *poll;
    struct room *room;
    uint64_t now_ms;
    bool is_refused;
    bool is_wanted; /* the reserve */
};

static uint64_t reserve_len(const struct fixture *fixture)
{
    char path[200];
    struct stat status;
    (void)snprintf(path, sizeof(path), "%s/reserve", fixture->scratch.path);
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* A second goes by with each look. */
static void on_poll(void *context)
{
    struct fixture *fixture = context;
    fixture->now_ms += 1000;
    assert_true(room_is_due(fixture->room, fixture->is_refused, fixture->now_ms));
    room_look(fixture->room, GIB, fixture->is_refused, fixture->now_ms);
    if ((reserve_len(fixture) == 32 * MIB) == fixture->is_wanted &&
        (fixture->is_wanted || reserve_len(fixture) == 0)) {
        loop_stop(fixture->loop);
    } else {
        timer_set(fixture->poll, 1);
    }
}

static void run_until_reserve(struct fixture *fixture, bool is_wanted)
{
    fixture->is_wanted = is_wanted;
    timer_set(fixture->poll, 0);
    loop_run(fixture->loop);
}

static void open_room(struct fixture *fixture)
{
    char error[256] = "";
    fixture->room = room_open(fixture->loop, fixture->dir, SEGMENT_LEN, error, sizeof(error));
    assert_non_null(fixture->room);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    char error[256] = "";
    fixture->scratch = scratch_make();
    fixture->dir = dir_open(fixture->scratch.path, error, sizeof(error));
    assert_non_null(fixture->dir);
    fixture->loop = loop_new();
    fixture->poll = timer_new(fixture->loop, on_poll, fixture);
    open_room(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    room_free(fixture->room);
    timer_free(fixture->poll);
    loop_free(fixture->loop);
    dir_close(fixture->dir);
    scratch_remove(&fixture->scratch);
    free(fixture);
    return 0;
}

static void the_reserve_has_blocks_and_goes_and_comes_with_the_room(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    char path[200];
    run_until_reserve(fixture, true);
    assert_false(room_is_full(fixture->room));
    assert_false(room_was_given(fixture->room));
    (void)snprintf(path, sizeof(path), "%s/reserve", fixture->scratch.path);
    assert_int_equal(stat(path, &status), 0);
    assert_true((uint64_t)status.st_blocks * 512 >= 32 * MIB);

    fixture->is_refused = true;
    run_until_reserve(fixture, false);
    assert_true(room_is_full(fixture->room));
    while (!room_was_given(fixture->room)) {
        run_until_reserve(fixture, false);
    }
    assert_false(room_was_given(fixture->room));

    fixture->is_refused = false;
    run_until_reserve(fixture, true);
    assert_false(room_is_full(fixture->room));
}

static void what_is_refused_is_looked_at_at_once_and_all_else_once_a_second(void **state)
{
    struct fixture *fixture = *state;
    assert_true(room_is_due(fixture->room, false, 5000));
    room_look(fixture->room, 0, false, 5000);
    assert_false(room_is_due(fixture->room, false, 5999));
    assert_true(room_is_due(fixture->room, true, 5001));
    assert_true(room_is_due(fixture->room, false, 6000));
    assert_true(room_free_len(fixture->room) > 0);
}

static void a_reserve_that_is_there_at_the_start_is_kept(void **state)
{
    struct fixture *fixture = *state;
    run_until_reserve(fixture, true);
    room_free(fixture->room);
    open_room(fixture);
    assert_int_equal(reserve_len(fixture), 32 * MIB);
    assert_false(room_is_full(fixture->room));
    fixture->is_refused = true;
    run_until_reserve(fixture, false);
    assert_true(room_is_full(fixture->room));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reserve_is_a_part_of_the_limits_within_its_bounds_and_the_disk),
        cmocka_unit_test(a_disk_is_full_below_one_mark_and_until_it_is_above_a_higher_one),
        cmocka_unit_test_setup_teardown(the_reserve_has_blocks_and_goes_and_comes_with_the_room,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_is_refused_is_looked_at_at_once_and_all_else_once_a_second, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reserve_that_is_there_at_the_start_is_kept, setup,
                                        teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
