/* SPDX-License-Identifier: MIT */
#include "shardd/minter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proto/point.h"
#include "tests/unit/dice.h"

#define NOW_MS   (ID_ORIGIN_MS + 5000)
#define SHARD    12u
#define A_SECOND (MINTER_AHEAD_MS * (uint64_t)ID_SEQUENCE_COUNT)

struct world {
    struct minter *minter;
    uint64_t stamp;
    uint64_t durable;
    bool is_disk_slow; /* nothing becomes durable */
    uint32_t reserve_count;
    uint64_t reserved_ms;
    struct mint_wish wish;
    const struct mint_run *runs;
    uint32_t run_count;
    uint64_t last; /* id */
};

static uint64_t reserve(void *context, uint64_t ms)
{
    struct world *w = context;
    assert_true(ms > w->reserved_ms);
    w->reserve_count++;
    w->reserved_ms = ms;
    w->stamp++;
    return w->stamp;
}

static void start(struct world *w, uint64_t reserved_ms)
{
    minter_free(w->minter);
    w->minter = minter_new(reserved_ms, reserve, w);
    minter_set_origin(w->minter, ID_ORIGIN_MS);
}

static void set_now(struct world *w, uint64_t now_ms)
{
    w->wish.now_ms = now_ms;
}

static enum mint_result ask(struct world *w, uint32_t count)
{
    w->wish.count = count;
    w->wish.durable = w->durable;
    enum mint_result result = minter_mint(w->minter, &w->wish, &w->runs, &w->run_count);
    if (!w->is_disk_slow) {
        w->durable = w->stamp;
    }
    return result;
}

/* As who asks again until he has some; each id above the last. Returns how many. */
static uint32_t mint(struct world *w, uint32_t count)
{
    uint32_t given = 0;
    enum mint_result result = ask(w, count);
    result = result == MINT_LATER ? ask(w, count) : result;
    if (result != MINT_DONE) {
        return 0;
    }
    for (uint32_t i = 0; i < w->run_count; i++) {
        const struct mint_run *run = &w->runs[i];
        assert_true(run->first > w->last);
        assert_int_equal(id_shard(run->first), SHARD);
        assert_true(id_sequence(run->first) + run->count <= ID_SEQUENCE_COUNT);
        w->last = run->first + run->count - 1;
        given += run->count;
    }
    assert_in_range(given, 1, count);
    assert_true(id_ms(w->last) <= w->reserved_ms); /* RULES I2 */
    return given;
}

static int set_up(void **state)
{
    static struct world w;
    w = (struct world){
        .wish = {.point = (uint64_t)SHARD << 51 | 4711, .end = BOUND_END},
    };
    set_now(&w, NOW_MS);
    start(&w, 0);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    minter_free(((struct world *)*state)->minter);
    return 0;
}

static void ids_tell_the_time_and_begin_anew_each_millisecond(void **state)
{
    struct world *w = *state;
    assert_int_equal(mint(w, 3), 3);
    assert_int_equal(w->runs[0].first, UINT64_C(5000) << 23 | SHARD << 10);
    assert_int_equal(w->runs[0].count, 3);
    assert_int_equal(mint(w, 1), 1);
    assert_int_equal(id_sequence(w->last), 3);
    set_now(w, NOW_MS + 1);
    assert_int_equal(mint(w, 1), 1);
    assert_int_equal(id_ms(w->last), 5001);
    assert_int_equal(id_sequence(w->last), 0);
}

static void what_comes_next_can_be_guessed(void **state)
{
    struct world *w = *state;
    for (uint64_t i = 0; i < 3000; i++) {
        set_now(w, NOW_MS + i / 1500);
        uint64_t guess = minter_guess(w->minter, w->wish.point, NOW_MS + i / 1500);
        assert_int_equal(mint(w, 1), 1);
        assert_int_equal(w->last, guess);
    }
}

/* RULES I2: what the disk does not have yet is given to nobody. */
static void nothing_is_given_before_the_reserve_is_durable(void **state)
{
    struct world *w = *state;
    w->is_disk_slow = true;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(w, 1), MINT_LATER);
    }
    assert_int_equal(w->reserve_count, 1);
    w->durable = w->stamp;
    assert_int_equal(ask(w, 1), MINT_DONE);
}

/* RULES I2, I3. The next is on its way half a second before, so that nobody waits for the disk. */
static void one_reserve_a_second_is_enough(void **state)
{
    struct world *w = *state;
    assert_int_equal(mint(w, 1), 1);
    for (uint64_t ms = 0; ms < 10000; ms++) {
        set_now(w, NOW_MS + ms);
        assert_int_equal(ask(w, 1), MINT_DONE);
    }
    assert_in_range(w->reserve_count, 8, 11);
}

/* RULES I3: past 1023 the next millisecond, up to a second ahead; then replies wait. */
static void a_second_is_borrowed_and_no_more(void **state)
{
    struct world *w = *state;
    uint64_t given = 0;
    uint32_t count;
    while ((count = mint(w, MINTER_COUNT_MAX)) > 0) {
        given += count;
    }
    assert_int_equal(given, A_SECOND + ID_SEQUENCE_COUNT);
    assert_int_equal(id_ms(w->last), 5000 + MINTER_AHEAD_MS);
    assert_int_equal(ask(w, 1), MINT_LATER);
    set_now(w, NOW_MS + 1);
    assert_int_equal(mint(w, MINTER_COUNT_MAX), ID_SEQUENCE_COUNT);
}

/* RULES I2: what was reserved may have been given. */
static void after_a_start_ids_go_on_above_the_reserve(void **state)
{
    struct world *w = *state;
    assert_int_equal(mint(w, 10), 10);
    uint64_t reserved_ms = w->reserved_ms;
    start(w, reserved_ms);
    assert_int_equal(mint(w, 1), 1);
    assert_int_equal(id_ms(w->last), reserved_ms + 1);
}

/* Other slices, too: the reserve is one for all. */
static void after_a_start_no_slice_goes_below_the_reserve(void **state)
{
    struct world *w = *state;
    assert_int_equal(mint(w, 1), 1);
    uint64_t reserved_ms = w->reserved_ms;
    start(w, reserved_ms);
    assert_int_equal(minter_given_ms(w->minter, id_shard_bound(99), id_shard_bound(100)),
                     reserved_ms);
}

/* What is reserved may be ahead of the last stamp by more than a second: nobody waits until the clock is there. */
static void a_start_with_the_clock_behind_goes_on_at_once(void **state)
{
    struct world *w = *state;
    set_now(w, NOW_MS + MINTER_BEHIND_MS);
    assert_int_equal(mint(w, 1), 1);
    uint64_t reserved_ms = w->reserved_ms;
    assert_true(reserved_ms > id_ms(w->last) + MINTER_AHEAD_MS);
    start(w, reserved_ms);
    set_now(w, NOW_MS + MINTER_BEHIND_MS / 2);
    assert_int_equal(mint(w, 1), 1);
    assert_int_equal(id_ms(w->last), reserved_ms + 1);
    while (mint(w, MINTER_COUNT_MAX) > 0) {
    }
    assert_int_equal(id_ms(w->last), reserved_ms + MINTER_AHEAD_MS);
}

/* The source was started a moment ago, so what it hands over is what it had reserved. */
static void what_was_taken_over_is_not_waited_for(void **state)
{
    struct world *w = *state;
    minter_take_over(w->minter, id_shard_bound(SHARD), id_shard_bound(SHARD + 1), 5000 + 1500);
    w->durable = w->stamp; /* before READY */
    assert_int_equal(ask(w, 1), MINT_DONE);
    assert_int_equal(id_ms(w->runs[0].first), 5000 + 1501);
}

static void how_far_the_reserve_is_ahead_is_told(void **state)
{
    struct world *w = *state;
    assert_int_equal(minter_ahead_ms(w->minter, NOW_MS), 0);
    assert_int_equal(mint(w, 1), 1);
    assert_int_equal(minter_ahead_ms(w->minter, NOW_MS), MINTER_RESERVE_MS);
    assert_int_equal(minter_ahead_ms(w->minter, NOW_MS + MINTER_RESERVE_MS), 0);
    minter_set_origin(w->minter, 0); /* before the map is told */
    assert_int_equal(minter_ahead_ms(w->minter, 0), 0);
}

static void a_clock_that_went_back_a_little_waits_at_nothing(void **state)
{
    struct world *w = *state;
    assert_int_equal(mint(w, 1), 1);
    set_now(w, NOW_MS - 4000);
    assert_int_equal(mint(w, 1000), 1000);
    assert_int_equal(id_ms(w->last), 5000);
}

/* RULES I3 */
static void a_clock_far_behind_is_told_and_gives_nothing(void **state)
{
    struct world *w = *state;
    set_now(w, NOW_MS + 2 * MINTER_BEHIND_MS);
    assert_int_equal(mint(w, 1), 1);
    set_now(w, NOW_MS + MINTER_BEHIND_MS);
    assert_int_equal(ask(w, 1), MINT_BEHIND);
    set_now(w, NOW_MS + MINTER_BEHIND_MS + MINTER_RESERVE_MS);
    assert_int_equal(mint(w, 1), 1);
    set_now(w, ID_ORIGIN_MS - 1);
    assert_int_equal(ask(w, 1), MINT_BEHIND);
}

/* A clock that is past all that an id can tell. */
static void past_the_end_of_time_nothing_is_given(void **state)
{
    struct world *w = *state;
    set_now(w, ID_ORIGIN_MS + ID_TIME_MAX + 1);
    assert_int_equal(ask(w, 1), MINT_BEHIND);
    set_now(w, UINT64_MAX / 2);
    assert_int_equal(ask(w, 1), MINT_BEHIND);
    assert_int_equal(w->reserve_count, 0);
    set_now(w, NOW_MS);
    assert_int_equal(mint(w, 1), 1);
}

/* Its last millisecond is kept back: there is always one behind what is given. */
static void up_to_the_end_of_time_each_id_is_given_once(void **state)
{
    struct world *w = *state;
    set_now(w, ID_ORIGIN_MS + ID_TIME_MAX - 2);
    uint64_t given = 0;
    uint32_t count;
    while ((count = mint(w, MINTER_COUNT_MAX)) > 0) {
        given += count;
    }
    assert_int_equal(given, 2 * ID_SEQUENCE_COUNT);
    assert_int_equal(id_ms(w->last), ID_TIME_MAX - 1);
    start(w, ID_TIME_MAX);
    set_now(w, ID_ORIGIN_MS + ID_TIME_MAX - 2);
    assert_int_equal(ask(w, 1), MINT_LATER);
}

/* RULES I1: two servers with a part of one slice each can never give the same one. */
static void ids_have_their_points_in_the_range_that_asked(void **state)
{
    struct world *w = *state;
    uint64_t middle = id_shard_bound(SHARD) + (id_shard_bound(1) / 3);
    for (uint32_t round = 0; round < 20; round++) {
        w->wish.start = round % 2 == 0 ? 0 : middle;
        w->wish.end = round % 2 == 0 ? middle : BOUND_END;
        assert_true(mint(w, 500) > 0);
        for (uint32_t i = 0; i < w->run_count; i++) {
            for (uint32_t j = 0; j < w->runs[i].count; j++) {
                uint64_t point = id_point(w->runs[i].first + j);
                assert_true(point_in(point, w->wish.start, w->wish.end));
            }
        }
        set_now(w, w->wish.now_ms + 1);
    }
}

/* The smallest that there is has an id each half of a second; each call looks at some of them. */
static void a_sliver_of_a_slice_gets_its_ids_in_time(void **state)
{
    struct world *w = *state;
    w->wish.start = id_shard_bound(SHARD) + 7;
    w->wish.end = w->wish.start + 1;
    uint32_t given = 0;
    for (uint64_t ms = 0; ms < 4000 && given < 2; ms++) {
        set_now(w, NOW_MS + ms);
        given += mint(w, 10);
    }
    assert_int_equal(given > 0, true);
}

/* RULES I2: from a source; its clock may be ahead. */
static void what_another_gave_is_passed(void **state)
{
    struct world *w = *state;
    uint64_t start_bound = id_shard_bound(SHARD);
    minter_take_over(w->minter, start_bound, start_bound + 1, 5500);
    assert_int_equal(w->reserve_count, 1);
    assert_int_equal(w->reserved_ms, 5500 + MINTER_RESERVE_MS);
    assert_int_equal(minter_given_ms(w->minter, start_bound, start_bound + 1), 5500);
    assert_int_equal(minter_given_ms(w->minter, id_shard_bound(SHARD + 1), BOUND_END), 0);
    w->durable = w->stamp;
    assert_int_equal(mint(w, 1), 1);
    assert_int_equal(id_ms(w->last), 5501);
    minter_take_over(w->minter, start_bound, start_bound + 1, 0); /* it gave none */
    assert_int_equal(minter_given_ms(w->minter, start_bound, start_bound + 1), 5501);
}

static enum mint_result meet(struct world *w, uint64_t ms)
{
    uint64_t id;
    assert_true(id_compose(ms, SHARD, 7, &id));
    w->wish.durable = w->durable;
    return minter_meet(w->minter, id, &w->wish);
}

/* A new server has its ranges while the map that gives them is on its way to the disk, and the origin is in it. */
static void what_is_asked_for_before_the_first_map_is_durable_waits(void **state)
{
    struct world *w = *state;
    minter_set_origin(w->minter, 0);
    assert_int_equal(ask(w, 1), MINT_LATER);
    assert_int_equal(meet(w, 5000), MINT_LATER);
    minter_set_origin(w->minter, ID_ORIGIN_MS);
    assert_int_equal(mint(w, 1), 1);
}

/* Of who brings a record along with its id. */
static void an_id_that_is_met_is_not_given_again(void **state)
{
    struct world *w = *state;
    assert_int_equal(meet(w, 5000), MINT_LATER); /* the reserve first */
    w->durable = w->stamp;
    assert_int_equal(meet(w, 5000), MINT_DONE);
    assert_int_equal(mint(w, 1), 1);
    assert_int_equal(id_ms(w->last), 5000);
    assert_int_equal(id_sequence(w->last), 8);
    assert_int_equal(meet(w, 4999), MINT_DONE);
    assert_int_equal(meet(w, 5000 + MINTER_AHEAD_MS + 1), MINT_LATER);
    assert_int_equal(meet(w, 5000 + MINTER_BEHIND_MS + 1), MINT_BEHIND);
    assert_int_equal(mint(w, 1), 1);
    assert_int_equal(id_sequence(w->last), 9);
}

static void never_twice_whatever_clock_and_starts_do(void **state)
{
    struct world *w = *state;
    struct dice dice = dice_of(4);
    print_message("# seed 4\n");
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t step_ms = dice_below(&dice, 700);
        set_now(w, w->wish.now_ms + 300 - step_ms);
        w->is_disk_slow = dice_below(&dice, 3) == 0;
        if (dice_below(&dice, 50) == 0) {
            /* What is not durable may be lost, or not. */
            w->durable = dice_below(&dice, 2) == 0 ? w->stamp : w->durable;
            uint64_t found_ms =
                w->durable == w->stamp ? w->reserved_ms : minter_reserved_ms(w->minter);
            start(w, found_ms);
        }
        (void)mint(w, 1 + (uint32_t)dice_below(&dice, 3000));
    }
    assert_true(w->last > 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(ids_tell_the_time_and_begin_anew_each_millisecond),
        CASE(what_comes_next_can_be_guessed),
        CASE(nothing_is_given_before_the_reserve_is_durable),
        CASE(one_reserve_a_second_is_enough),
        CASE(a_second_is_borrowed_and_no_more),
        CASE(after_a_start_ids_go_on_above_the_reserve),
        CASE(after_a_start_no_slice_goes_below_the_reserve),
        CASE(a_start_with_the_clock_behind_goes_on_at_once),
        CASE(what_was_taken_over_is_not_waited_for),
        CASE(how_far_the_reserve_is_ahead_is_told),
        CASE(a_clock_that_went_back_a_little_waits_at_nothing),
        CASE(a_clock_far_behind_is_told_and_gives_nothing),
        CASE(past_the_end_of_time_nothing_is_given),
        CASE(up_to_the_end_of_time_each_id_is_given_once),
        CASE(what_is_asked_for_before_the_first_map_is_durable_waits),
        CASE(ids_have_their_points_in_the_range_that_asked),
        CASE(a_sliver_of_a_slice_gets_its_ids_in_time),
        CASE(what_another_gave_is_passed),
        CASE(an_id_that_is_met_is_not_given_again),
        CASE(never_twice_whatever_clock_and_starts_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
