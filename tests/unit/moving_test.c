/* SPDX-License-Identifier: MIT */
#include "shardd/moving.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "shardd/control.h"
#include "shardd/ownership.h"
#include "tests/unit/sample_map.h"

enum { SOURCE = 1, TARGET = 2, ID = 7, OTHER_ID = 9 };

static struct bootstrap pusher = {.instance = "instance of one", .term = 1};
static const struct range_sum sum = {.records = 3, .bytes = 300, .low = 1, .high = 2};

/* The lower half moves from SOURCE to TARGET; the upper one is SOURCE's. */
static struct map map_in(enum move_phase phase, uint64_t id, uint64_t epoch)
{
    bool is_sources = phase == MOVE_NONE || phase == MOVE_COPY || phase == MOVE_ABORTED;
    struct map map = SAMPLE_MAP(epoch, {"low", HALF, epoch, is_sources ? SOURCE : TARGET, false, 0},
                                {"high", BOUND_END, 1, SOURCE, false, 0});
    struct map_move *move = &map.entries[0].move;
    if (phase != MOVE_NONE) {
        move->phase = phase;
        move->id = id;
        sample_id(SOURCE, move->source);
        sample_id(TARGET, move->target);
    }
    return map;
}

static void take(struct ownership *own, enum move_phase phase, uint64_t id, uint64_t epoch)
{
    struct ownership next;
    struct map map = map_in(phase, id, epoch);
    assert_int_equal(ownership_take(own, &map, &pusher, &next), OWNERSHIP_CHANGED);
    map_fini(&map);
    ownership_fini(own);
    *own = next;
}

static void become(struct ownership *own, struct ownership *next)
{
    ownership_fini(own);
    *own = *next;
}

/* SOURCE owns all, TARGET nothing, and both know of the move in COPY. */
static struct ownership server(uint8_t byte)
{
    struct ownership own = {.incarnation = 1};
    struct ownership next;
    sample_id(byte, own.server);
    struct map map =
        SAMPLE_MAP(2, {"low", HALF, 1, SOURCE, true, 0}, {"high", BOUND_END, 1, SOURCE, true, 0});
    assert_int_equal(ownership_take(&own, &map, &pusher, &next), OWNERSHIP_CHANGED);
    map_fini(&map);
    become(&own, &next);
    take(&own, MOVE_COPY, ID, 10);
    return own;
}

static void freeze(struct ownership *own)
{
    struct ownership next;
    assert_true(ownership_freeze(own, ID, &sum, &next));
    become(own, &next);
}

static void import(struct ownership *own)
{
    struct ownership next;
    assert_true(ownership_import(own, ID, &next));
    become(own, &next);
}

static void ready(struct ownership *own)
{
    struct ownership next;
    assert_true(ownership_ready(own, ID, &sum, &next));
    become(own, &next);
}

/* What stands in the lower half: as what an account is kept, 0 for none beside RANGE_OPEN. */
static const struct range *held_low(const struct ownership *own, struct range *found)
{
    uint32_t count;
    struct range *held = ownership_held(own, &count);
    bool is_there = count > 0 && held[0].start == 0;
    *found = held[0];
    free(held);
    return is_there ? found : NULL;
}

static void assert_low(const struct ownership *own, bool is_there, enum range_state state)
{
    struct range found;
    const struct range *low = held_low(own, &found);
    assert_int_equal(low != NULL, is_there);
    if (low) {
        assert_int_equal(low->state, state);
        assert_int_equal(low->end, HALF);
        assert_int_equal(low->limit, 1 << 20);
    }
}

static enum status judge_low(const struct ownership *own)
{
    const struct map_entry *entry;
    return ownership_judge(own, 0, &entry);
}

/* --- the source --- */

static void a_frozen_range_is_owned_and_waits(void **state)
{
    (void)state;
    struct ownership own = server(SOURCE);
    assert_low(&own, true, RANGE_OPEN);
    freeze(&own);
    assert_low(&own, true, RANGE_FROZEN);
    assert_int_equal(judge_low(&own), STATUS_OK);
    ownership_fini(&own);
}

static void only_the_move_that_is_copied_can_freeze(void **state)
{
    (void)state;
    struct ownership next;
    struct ownership own = server(SOURCE);
    assert_false(ownership_freeze(&own, OTHER_ID, &sum, &next));
    freeze(&own);
    assert_false(ownership_freeze(&own, ID, &sum, &next));
    ownership_fini(&own);
    struct ownership target = server(TARGET);
    assert_false(ownership_freeze(&target, ID, &sum, &next));
    ownership_fini(&target);
}

/* RULES V4: a later epoch of the same move ends nothing. */
static void settings_that_change_leave_it_frozen(void **state)
{
    (void)state;
    struct ownership own = server(SOURCE);
    freeze(&own);
    take(&own, MOVE_COPY, ID, 11);
    assert_low(&own, true, RANGE_FROZEN);
    ownership_fini(&own);
}

static void an_abort_or_another_try_opens_it_again(void **state)
{
    (void)state;
    struct ownership own = server(SOURCE);
    freeze(&own);
    take(&own, MOVE_ABORTED, ID, 11);
    assert_low(&own, true, RANGE_OPEN);
    assert_int_equal(own.movings.count, 0);
    take(&own, MOVE_COPY, ID, 12);
    freeze(&own);
    take(&own, MOVE_COPY, OTHER_ID, 13);
    assert_low(&own, true, RANGE_OPEN);
    ownership_fini(&own);
}

static void committed_closes_it_and_keeps_the_copy(void **state)
{
    (void)state;
    struct ownership own = server(SOURCE);
    freeze(&own);
    take(&own, MOVE_COMMITTED, ID, 11);
    assert_low(&own, true, RANGE_CLOSED);
    assert_int_equal(judge_low(&own), STATUS_WRONG_SHARD);
    ownership_fini(&own);
}

/* What the operator need not be warned of. */
static void only_what_its_own_move_has_closed_was_handed_over(void **state)
{
    (void)state;
    struct ownership own = server(SOURCE);
    freeze(&own);
    assert_false(ownership_has_handed_over(&own, &own.map.entries[0]));
    take(&own, MOVE_COMMITTED, ID, 11);
    assert_true(ownership_has_handed_over(&own, &own.map.entries[0]));
    assert_false(ownership_has_handed_over(&own, &own.map.entries[1]));
    take(&own, MOVE_OPENED, OTHER_ID, 12);
    assert_false(ownership_has_handed_over(&own, &own.map.entries[0]));
    ownership_fini(&own);
    struct ownership copying = server(SOURCE);
    take(&copying, MOVE_COMMITTED, ID, 11);
    assert_int_equal(judge_low(&copying), STATUS_WRONG_SHARD);
    assert_false(ownership_has_handed_over(&copying, &copying.map.entries[0]));
    ownership_fini(&copying);
}

static void an_undone_move_gives_the_copy_back(void **state)
{
    (void)state;
    struct ownership own = server(SOURCE);
    freeze(&own);
    take(&own, MOVE_COMMITTED, ID, 11);
    take(&own, MOVE_UNDO, ID, 12);
    assert_low(&own, true, RANGE_CLOSED);
    take(&own, MOVE_ABORTED, ID, 13);
    assert_low(&own, true, RANGE_OPEN);
    assert_int_equal(judge_low(&own), STATUS_OK);
    ownership_fini(&own);
}

/* RULES V6. */
static void the_copy_goes_only_when_the_map_says_opened(void **state)
{
    (void)state;
    struct ownership next;
    struct ownership own = server(SOURCE);
    freeze(&own);
    take(&own, MOVE_COMMITTED, ID, 11);
    assert_false(ownership_delete(&own, ID, &next));
    take(&own, MOVE_OPENED, ID, 12);
    assert_true(ownership_delete(&own, ID, &next));
    become(&own, &next);
    assert_low(&own, false, RANGE_OPEN);
    assert_true(movings_touch(&own.movings, 0, 1));
    assert_true(ownership_deleted(&own, ID, &next));
    become(&own, &next);
    assert_int_equal(own.movings.count, 0);
    ownership_fini(&own);
}

/* --- the target --- */

static void an_import_is_nobodys(void **state)
{
    (void)state;
    struct ownership own = server(TARGET);
    assert_low(&own, false, RANGE_OPEN);
    import(&own);
    assert_low(&own, true, RANGE_IMPORT);
    assert_int_equal(judge_low(&own), STATUS_WRONG_SHARD);
    assert_int_equal(own.range_count, 0);
    ownership_fini(&own);
}

static void an_import_begins_once_and_for_its_own_move(void **state)
{
    (void)state;
    struct ownership next;
    struct ownership own = server(TARGET);
    assert_false(ownership_import(&own, OTHER_ID, &next));
    import(&own);
    assert_false(ownership_import(&own, ID, &next));
    ownership_fini(&own);
    struct ownership source = server(SOURCE);
    assert_false(ownership_import(&source, ID, &next));
    ownership_fini(&source);
}

/* RULES V2: of its interval nothing may be there, and a copy stays. */
static void an_import_does_not_lie_over_a_copy_that_is_kept(void **state)
{
    (void)state;
    struct ownership next;
    struct ownership own = server(TARGET);
    const struct moving kept = {OTHER_ID, HALF / 2, HALF, MOVING_CLOSED, sum};
    movings_add(&own.movings, &kept);
    assert_false(ownership_import(&own, ID, &next));
    ownership_fini(&own);
}

/* Or the control state could not be read again. */
static void nothing_is_noted_beyond_what_may_be(void **state)
{
    (void)state;
    struct ownership next;
    struct ownership own = server(SOURCE);
    const struct moving going = {OTHER_ID, HALF, BOUND_END, MOVING_DELETING, sum};
    for (uint32_t i = 0; i < MOVING_MAX; i++) {
        movings_add(&own.movings, &going);
    }
    assert_false(ownership_freeze(&own, ID, &sum, &next));
    ownership_fini(&own);
}

static void ready_opens_when_it_is_committed(void **state)
{
    (void)state;
    struct ownership own = server(TARGET);
    import(&own);
    ready(&own);
    assert_low(&own, true, RANGE_READY);
    take(&own, MOVE_COMMITTED, ID, 11);
    assert_low(&own, true, RANGE_OPEN);
    assert_int_equal(judge_low(&own), STATUS_OK);
    assert_int_equal(own.movings.count, 0);
    ownership_fini(&own);
}

static void ready_does_not_open_for_another_move_or_an_import_at_all(void **state)
{
    (void)state;
    struct ownership own = server(TARGET);
    import(&own);
    take(&own, MOVE_COMMITTED, ID, 11);
    assert_int_equal(judge_low(&own), STATUS_DATA_MISSING);
    ownership_fini(&own);
    own = server(TARGET);
    import(&own);
    ready(&own);
    take(&own, MOVE_COMMITTED, OTHER_ID, 11);
    assert_int_equal(judge_low(&own), STATUS_DATA_MISSING);
    ownership_fini(&own);
}

/* RULES V6: it has then said that it will not open. */
static void an_undo_that_was_taken_keeps_it_from_opening(void **state)
{
    (void)state;
    struct ownership own = server(TARGET);
    import(&own);
    ready(&own);
    take(&own, MOVE_UNDO, ID, 12);
    assert_low(&own, true, RANGE_READY);
    struct ownership next;
    struct map late = map_in(MOVE_COMMITTED, ID, 11);
    assert_int_equal(ownership_take(&own, &late, &pusher, &next), OWNERSHIP_SAME);
    map_fini(&late);
    take(&own, MOVE_ABORTED, ID, 13);
    assert_low(&own, false, RANGE_OPEN);
    assert_true(movings_touch(&own.movings, 0, 1));
    ownership_fini(&own);
}

static void an_abort_drops_what_has_come(void **state)
{
    (void)state;
    static const enum move_phase ends[] = {MOVE_ABORTED, MOVE_NONE};
    for (size_t i = 0; i < 2; i++) {
        for (int is_ready = 0; is_ready < 2; is_ready++) {
            struct ownership own = server(TARGET);
            import(&own);
            if (is_ready) {
                ready(&own);
            }
            take(&own, MOVE_COPY, ID, 11);
            assert_low(&own, true, is_ready ? RANGE_READY : RANGE_IMPORT);
            take(&own, ends[i], ID, 12);
            assert_low(&own, false, RANGE_OPEN);
            ownership_fini(&own);
        }
    }
}

/* RULES V2: the next one would be emptied of what the one before has put there. */
static void a_new_import_waits_until_the_old_one_is_gone(void **state)
{
    (void)state;
    struct ownership next;
    struct ownership own = server(TARGET);
    import(&own);
    take(&own, MOVE_COPY, OTHER_ID, 11);
    assert_false(ownership_import(&own, OTHER_ID, &next));
    assert_true(ownership_deleted(&own, ID, &next));
    become(&own, &next);
    assert_true(ownership_import(&own, OTHER_ID, &next));
    become(&own, &next);
    ownership_fini(&own);
}

/* --- stored --- */

static void what_is_noted_survives_a_restart(void **state)
{
    (void)state;
    char error[128] = "";
    struct buffer control = {0};
    struct ownership own = server(SOURCE);
    struct ownership back = {0};
    freeze(&own);
    control_encode(&own, &control);
    assert_true(control_decode(buffer_bytes(&control), &back, error, sizeof(error)));
    assert_int_equal(back.movings.count, 1);
    const struct moving *moving = movings_find(&back.movings, ID, MOVING_FROZEN);
    assert_non_null(moving);
    assert_int_equal(moving->end, HALF);
    assert_true(range_sum_equal(&moving->sum, &sum));
    assert_low(&back, true, RANGE_FROZEN);
    ownership_fini(&back);
    ownership_fini(&own);
    buffer_fini(&control);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frozen_range_is_owned_and_waits),
        cmocka_unit_test(only_the_move_that_is_copied_can_freeze),
        cmocka_unit_test(settings_that_change_leave_it_frozen),
        cmocka_unit_test(an_abort_or_another_try_opens_it_again),
        cmocka_unit_test(committed_closes_it_and_keeps_the_copy),
        cmocka_unit_test(only_what_its_own_move_has_closed_was_handed_over),
        cmocka_unit_test(an_undone_move_gives_the_copy_back),
        cmocka_unit_test(the_copy_goes_only_when_the_map_says_opened),
        cmocka_unit_test(an_import_is_nobodys),
        cmocka_unit_test(an_import_begins_once_and_for_its_own_move),
        cmocka_unit_test(an_import_does_not_lie_over_a_copy_that_is_kept),
        cmocka_unit_test(nothing_is_noted_beyond_what_may_be),
        cmocka_unit_test(ready_opens_when_it_is_committed),
        cmocka_unit_test(ready_does_not_open_for_another_move_or_an_import_at_all),
        cmocka_unit_test(an_undo_that_was_taken_keeps_it_from_opening),
        cmocka_unit_test(an_abort_drops_what_has_come),
        cmocka_unit_test(a_new_import_waits_until_the_old_one_is_gone),
        cmocka_unit_test(what_is_noted_survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
