/* SPDX-License-Identifier: MIT */

/* The tortures' judge, on histories made by hand: what it must find, and what it must not. */

#include "tests/torture/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { KEY = 0, COUNTER = 1, KEY_COUNT = 2, OPERATIONS_MAX = 8 };

/* A crash, and what was seen and answered behind it. */
struct fixture {
    struct history history;
    struct operation
        repeats[OPERATIONS_MAX]; /* by index of the history; sent again if they are answered */
    struct seen before_keys[KEY_COUNT];
    struct seen after_keys[KEY_COUNT];
    uint64_t version; /* told last */
    bool may_refuse;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.may_refuse = true};
    history_init(&fixture.history, KEY_COUNT);
    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        fixture.before_keys[i].ttl_ms = -1;
        fixture.after_keys[i].ttl_ms = -1;
    }
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    history_fini(&fixture->history);
    return 0;
}

/* --- what was asked and answered --- */

/* Returns its index. */
static uint32_t ask(struct fixture *fixture, enum operation_kind kind, uint32_t key, int64_t number)
{
    uint32_t index = fixture->history.count;
    assert_true(index < OPERATIONS_MAX);
    const struct operation operation = {
        .kind = kind, .key = key, .number = number, .seq = index + 1, .done = 1};
    history_add(&fixture->history, &operation);
    return index;
}

static struct reply put_reply(struct fixture *fixture, int64_t number)
{
    return (struct reply){.number = number, .version = ++fixture->version, .ttl_ms = -1};
}

static const struct reply absent = {.ttl_ms = -1};
static const struct reply full = {.code = STATUS_FULL, .ttl_ms = -1};
static const struct reply later = {.code = STATUS_TRY_LATER, .ttl_ms = -1};

static void answer(struct fixture *fixture, uint32_t index, struct reply reply)
{
    char text[HISTORY_TEXT_LEN] = "";
    assert_true(history_answer(&fixture->history, index, &reply, text));
}

/* After the crash. */
static void answer_again(struct fixture *fixture, uint32_t index, struct reply reply)
{
    fixture->repeats[index] = fixture->history.operations[index];
    operation_answer(&fixture->repeats[index], &reply, 0);
}

static struct seen seen(int64_t number, uint64_t version)
{
    return (struct seen){.is_there = true, .number = number, .version = version, .ttl_ms = -1};
}

static enum judgement judge(struct fixture *fixture, uint32_t key, struct state *left)
{
    const struct course *course = &fixture->history.courses[key];
    const struct operation *repeated[OPERATIONS_MAX] = {0};
    const struct picture before = {.keys = fixture->before_keys, .key_count = KEY_COUNT};
    const struct picture after = {.keys = fixture->after_keys, .key_count = KEY_COUNT};
    const struct repeats repeats = {repeated, &before, &after};
    for (uint32_t i = 0; i < course->count; i++) {
        const struct operation *repeat = &fixture->repeats[course->indexes[i]];
        repeated[i] = repeat->is_answered ? repeat : NULL;
    }
    return judge_settled(&fixture->history, course, &repeats, key, fixture->may_refuse, left);
}

static void assert_judged(struct fixture *fixture, uint32_t key, enum judgement expected)
{
    struct state left;
    assert_int_equal(judge(fixture, key, &left), expected);
    for (uint32_t i = 0; i < fixture->history.count; i++) {
        const struct operation *operation = &fixture->history.operations[i];
        assert_true(operation->is_answered || !operation->is_refused);
    }
}

/* --- refusals whose answer was lost --- */

/* write ?, pop: absent. Had the write been done, the pop would have found it. */
static void lose_a_refusal(struct fixture *fixture)
{
    ask(fixture, OPERATION_WRITE, KEY, 5);
    answer(fixture, ask(fixture, OPERATION_POP, KEY, 0), absent);
}

static void a_refusal_without_its_answer_is_not_taken_for_a_write(void **state)
{
    struct fixture *fixture = *state;
    lose_a_refusal(fixture);
    assert_judged(fixture, KEY, JUDGEMENT_FINE);
}

static void where_nothing_is_refused_each_write_before_an_answer_was_done(void **state)
{
    struct fixture *fixture = *state;
    fixture->may_refuse = false;
    lose_a_refusal(fixture);
    assert_judged(fixture, KEY, JUDGEMENT_LOST);
}

/* incr by 1 ?, incr by 10: 10, incr by 100 ?: the first was refused, the last was done. */
static void of_those_without_an_answer_any_may_have_been_refused(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture, OPERATION_INCR, COUNTER, 1);
    answer(fixture, ask(fixture, OPERATION_INCR, COUNTER, 10), put_reply(fixture, 10));
    ask(fixture, OPERATION_INCR, COUNTER, 100);
    fixture->before_keys[COUNTER] = fixture->after_keys[COUNTER] = seen(110, 2);
    assert_judged(fixture, COUNTER, JUDGEMENT_FINE);
    fixture->before_keys[COUNTER] = fixture->after_keys[COUNTER] = seen(111, 2);
    assert_judged(fixture, COUNTER, JUDGEMENT_LOST);
}

static void what_was_answered_is_not_taken_for_refused(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture, OPERATION_INCR, COUNTER, 1);
    answer(fixture, ask(fixture, OPERATION_INCR, COUNTER, 10), put_reply(fixture, 11));
    assert_judged(fixture, COUNTER, JUDGEMENT_LOST);
    fixture->before_keys[COUNTER] = fixture->after_keys[COUNTER] = seen(1, 1);
    assert_judged(fixture, COUNTER, JUDGEMENT_LOST);
    fixture->before_keys[COUNTER] = fixture->after_keys[COUNTER] = seen(11, 1);
    assert_judged(fixture, COUNTER, JUDGEMENT_FINE);
}

/* --- sent again --- */

static void a_refused_one_is_done_when_it_is_sent_again(void **state)
{
    struct fixture *fixture = *state;
    struct state left;
    lose_a_refusal(fixture);
    answer_again(fixture, 0, put_reply(fixture, 0));
    fixture->after_keys[KEY] = seen(5, 1);
    assert_int_equal(judge(fixture, KEY, &left), JUDGEMENT_FINE);
    assert_true(left.is_there);
    assert_int_equal(left.number, 5);
    assert_int_equal(left.version, 1);
}

static void a_refused_one_may_be_refused_again(void **state)
{
    struct fixture *fixture = *state;
    lose_a_refusal(fixture);
    answer_again(fixture, 0, full);
    assert_judged(fixture, KEY, JUDGEMENT_FINE);
    fixture->after_keys[KEY] = seen(5, 1);
    assert_judged(fixture, KEY, JUDGEMENT_NOT_ONCE);
}

/* incr by 1 ? It is seen, and then a second time. */
static void what_took_place_twice_is_found_though_it_may_have_been_refused(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture, OPERATION_INCR, COUNTER, 1);
    fixture->before_keys[COUNTER] = seen(1, 1);
    answer_again(fixture, 0, (struct reply){.number = 2, .version = 2, .ttl_ms = -1});
    fixture->after_keys[COUNTER] = seen(2, 2);
    assert_judged(fixture, COUNTER, JUDGEMENT_NOT_ONCE);
}

/* RULES Q1: what was done is answered from its result, not refused. */
static void what_was_done_is_not_full_when_it_is_sent_again(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture, OPERATION_WRITE, KEY, 5);
    fixture->before_keys[KEY] = fixture->after_keys[KEY] = seen(5, 1);
    answer_again(fixture, 0, full);
    assert_judged(fixture, KEY, JUDGEMENT_NOT_ONCE);
}

static void what_was_done_may_be_put_off_when_it_is_sent_again(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture, OPERATION_WRITE, KEY, 5);
    fixture->before_keys[KEY] = fixture->after_keys[KEY] = seen(5, 1);
    answer_again(fixture, 0, later);
    assert_judged(fixture, KEY, JUDGEMENT_FINE);
}

/* write ? (refused, then done at the second asking), delete ? (done before the crash): it comes last. */
static void a_refused_one_takes_place_behind_those_before_the_crash(void **state)
{
    struct fixture *fixture = *state;
    const struct reply deleted = {.is_found = true, .ttl_ms = -1};
    fixture->history.courses[KEY].base =
        (struct state){.is_there = true, .number = 1, .version = 1};
    ask(fixture, OPERATION_WRITE, KEY, 5);
    ask(fixture, OPERATION_DELETE, KEY, 0);
    answer_again(fixture, 0, (struct reply){.version = 3, .ttl_ms = -1});
    answer_again(fixture, 1, deleted);
    fixture->after_keys[KEY] = seen(5, 3);
    assert_judged(fixture, KEY, JUDGEMENT_FINE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_refusal_without_its_answer_is_not_taken_for_a_write),
        TEST(where_nothing_is_refused_each_write_before_an_answer_was_done),
        TEST(of_those_without_an_answer_any_may_have_been_refused),
        TEST(what_was_answered_is_not_taken_for_refused),
        TEST(a_refused_one_is_done_when_it_is_sent_again),
        TEST(a_refused_one_may_be_refused_again),
        TEST(what_took_place_twice_is_found_though_it_may_have_been_refused),
        TEST(what_was_done_is_not_full_when_it_is_sent_again),
        TEST(what_was_done_may_be_put_off_when_it_is_sent_again),
        TEST(a_refused_one_takes_place_behind_those_before_the_crash),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
