/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/loop.h"

/* What happened, a letter each. */
struct trace {
    struct loop *loop;
    char text[32];
    size_t len;
};

struct note {
    struct trace *trace;
    struct timer *timer;
    char letter;
    bool is_last;
};

static int make_loop(void **state)
{
    static struct trace trace;
    trace = (struct trace){.loop = loop_new()};
    *state = &trace;
    return 0;
}

static int free_loop(void **state)
{
    struct trace *trace = *state;
    loop_free(trace->loop);
    return 0;
}

static void write_note(void *context)
{
    struct note *note = context;
    struct trace *trace = note->trace;
    if (trace->len + 1 < sizeof(trace->text)) {
        trace->text[trace->len++] = note->letter;
    }
    if (note->is_last) {
        loop_stop(trace->loop);
    }
}

static void timers_run_in_the_order_of_their_times(void **state)
{
    struct trace *trace = *state;
    const uint64_t delays_ms[] = {30, 10, 20, 0};
    struct note notes[4];
    for (size_t i = 0; i < 4; i++) {
        notes[i] = (struct note){trace, NULL, (char)('a' + i), i == 0};
        notes[i].timer = timer_new(trace->loop, write_note, &notes[i]);
        timer_set(notes[i].timer, delays_ms[i]);
    }
    loop_run(trace->loop);
    assert_string_equal(trace->text, "dbca");
    for (size_t i = 0; i < 4; i++) {
        timer_free(notes[i].timer);
    }
}

static void a_timer_is_never_early(void **state)
{
    struct trace *trace = *state;
    struct note note = {trace, NULL, 't', true};
    note.timer = timer_new(trace->loop, write_note, &note);
    for (uint64_t delay_ms = 0; delay_ms < 12; delay_ms++) {
        uint64_t due_us = clock_mono_us() + delay_ms * 1000;
        timer_set(note.timer, delay_ms);
        loop_run(trace->loop);
        assert_true(clock_mono_us() >= due_us);
    }
    timer_free(note.timer);
}

static void a_timer_runs_once_and_its_last_setting_counts(void **state)
{
    struct trace *trace = *state;
    struct note once = {trace, NULL, 'o', false};
    struct note cleared = {trace, NULL, 'c', false};
    struct note last = {trace, NULL, 'l', true};
    once.timer = timer_new(trace->loop, write_note, &once);
    cleared.timer = timer_new(trace->loop, write_note, &cleared);
    last.timer = timer_new(trace->loop, write_note, &last);
    timer_set(once.timer, 3600000);
    timer_set(once.timer, 1);
    timer_set(cleared.timer, 1);
    timer_clear(cleared.timer);
    timer_set(last.timer, 20);
    loop_run(trace->loop);
    assert_string_equal(trace->text, "ol");
    timer_free(once.timer);
    timer_free(cleared.timer);
    timer_free(last.timer);
    timer_free(NULL);
}

static void free_own_timer(void *context)
{
    struct note *note = context;
    timer_free(note->timer);
    note->timer = NULL;
    write_note(note);
}

static void a_timer_may_free_itself(void **state)
{
    struct trace *trace = *state;
    struct note note = {trace, NULL, 'f', true};
    note.timer = timer_new(trace->loop, free_own_timer, &note);
    timer_set(note.timer, 0);
    loop_run(trace->loop);
    assert_null(note.timer);
}

static void hooks_run_after_the_events_in_the_order_they_were_added(void **state)
{
    struct trace *trace = *state;
    struct note first = {trace, NULL, '1', false};
    struct note second = {trace, NULL, '2', false};
    struct note third = {trace, NULL, '3', false};
    struct note event = {trace, NULL, 'e', true};
    loop_on_turn_end(trace->loop, write_note, &first);
    loop_on_turn_end(trace->loop, write_note, &second);
    loop_on_turn_end(trace->loop, write_note, &third);
    event.timer = timer_new(trace->loop, write_note, &event);
    timer_set(event.timer, 0);
    loop_run(trace->loop);
    assert_string_equal(strchr(trace->text, 'e'), "e123");
    timer_free(event.timer);
}

static void a_loop_that_was_stopped_before_it_ran_runs_no_turn(void **state)
{
    struct trace *trace = *state;
    struct note hook = {trace, NULL, 'h', true};
    loop_on_turn_end(trace->loop, write_note, &hook);
    loop_stop(trace->loop);
    loop_run(trace->loop);
    assert_string_equal(trace->text, "");

    struct note event = {trace, NULL, 'e', false};
    event.timer = timer_new(trace->loop, write_note, &event);
    timer_set(event.timer, 0);
    loop_run(trace->loop);
    assert_int_equal(trace->text[trace->len - 1], 'h');
    timer_free(event.timer);
}

static void raise_signal(void *context)
{
    const struct note *note = context;
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(note->trace->len, 0); /* not in the handler */
}

static void a_signal_runs_its_callback_in_the_loop(void **state)
{
    struct trace *trace = *state;
    struct note note = {trace, NULL, 's', true};
    note.timer = timer_new(trace->loop, raise_signal, &note);
    loop_on_signal(trace->loop, SIGUSR1, write_note, &note);
    timer_set(note.timer, 0);
    loop_run(trace->loop);
    assert_string_equal(trace->text, "s");
    timer_free(note.timer);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_run_in_the_order_of_their_times, make_loop,
                                        free_loop),
        cmocka_unit_test_setup_teardown(a_timer_is_never_early, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(a_timer_runs_once_and_its_last_setting_counts, make_loop,
                                        free_loop),
        cmocka_unit_test_setup_teardown(a_timer_may_free_itself, make_loop, free_loop),
        cmocka_unit_test_setup_teardown(hooks_run_after_the_events_in_the_order_they_were_added,
                                        make_loop, free_loop),
        cmocka_unit_test_setup_teardown(a_loop_that_was_stopped_before_it_ran_runs_no_turn,
                                        make_loop, free_loop),
        cmocka_unit_test_setup_teardown(a_signal_runs_its_callback_in_the_loop, make_loop,
                                        free_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
