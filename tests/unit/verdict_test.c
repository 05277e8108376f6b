/* SPDX-License-Identifier: MIT */
#include "libclient/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "proto/status.h"

static const struct attempt READ = {.can_repeat = true};
static const struct attempt WRITE = {.changes = true, .can_repeat = true};
static const struct attempt WRITE_LOST = {.changes = true, .can_repeat = true, .may_be_done = true};
static const struct attempt REQUEST = {.changes = true};

struct error_row {
    const char *name;
    const struct attempt *attempt;
    uint32_t code;
    enum verdict_action action;
    enum skv_status status;
    bool owner_is_other;
    bool needs_map;
};

/* clang-format off */
static const struct error_row ERRORS[] = {
    {"refused for good",              &WRITE,      STATUS_INVALID,        VERDICT_FAIL,   SKV_INVALID,     false, false},
    {"too large",                     &WRITE,      STATUS_TOO_LARGE,      VERDICT_FAIL,   SKV_INVALID,     false, false},
    {"no such method",                &REQUEST,    STATUS_UNKNOWN_METHOD, VERDICT_FAIL,   SKV_INVALID,     false, false},
    {"no such table",                 &READ,       STATUS_NO_TABLE,       VERDICT_FAIL,   SKV_INVALID,     false, false},
    {"a condition",                   &WRITE,      STATUS_CONDITION,      VERDICT_FAIL,   SKV_CONDITION,   false, false},
    {"a changed map",                 &REQUEST,    STATUS_CONFLICT,       VERDICT_FAIL,   SKV_CONDITION,   false, false},
    {"full",                          &WRITE,      STATUS_FULL,           VERDICT_FAIL,   SKV_FULL,        false, false},
    {"not allowed",                   &WRITE,      STATUS_DENIED,         VERDICT_FAIL,   SKV_DENIED,      false, false},
    {"another cluster",               &READ,       STATUS_WRONG_CLUSTER,  VERDICT_FAIL,   SKV_DENIED,      false, false},
    {"damage",                        &READ,       STATUS_DAMAGED,        VERDICT_FAIL,   SKV_UNAVAILABLE, false, false},
    {"ids ahead of the clock",        &WRITE,      STATUS_CLOCK_BEHIND,   VERDICT_FAIL,   SKV_UNAVAILABLE, false, false},
    {"a result that is gone",         &WRITE,      STATUS_STALE,          VERDICT_FAIL,   SKV_UNKNOWN,     false, false},
    {"a code from the future",        &WRITE,      999,                   VERDICT_FAIL,   SKV_UNKNOWN,     false, false},
    {"that for a read",               &READ,       999,                   VERDICT_FAIL,   SKV_UNAVAILABLE, false, false},
    {"try later",                     &WRITE,      STATUS_TRY_LATER,      VERDICT_WAIT,   SKV_OK,          false, false},
    {"stopping",                      &READ,       STATUS_SHUTTING_DOWN,  VERDICT_WAIT,   SKV_OK,          false, true},
    {"data missing",                  &READ,       STATUS_DATA_MISSING,   VERDICT_WAIT,   SKV_OK,          false, true},
    {"a redirect to another server",  &WRITE,      STATUS_WRONG_SHARD,    VERDICT_RESEND, SKV_OK,          true,  false},
    {"a redirect to nobody new",      &WRITE,      STATUS_WRONG_SHARD,    VERDICT_WAIT,   SKV_OK,          false, true},
    {"try later, sent only once",     &REQUEST,    STATUS_TRY_LATER,      VERDICT_FAIL,   SKV_UNAVAILABLE, false, false},
    {"redirected, sent only once",    &REQUEST,    STATUS_WRONG_SHARD,    VERDICT_FAIL,   SKV_UNAVAILABLE, true,  false},
    {"lost, then a condition",        &WRITE_LOST, STATUS_CONDITION,      VERDICT_FAIL,   SKV_CONDITION,   false, false},
    {"lost, then full",               &WRITE_LOST, STATUS_FULL,           VERDICT_FAIL,   SKV_FULL,        false, false},
    {"lost, then another cluster",    &WRITE_LOST, STATUS_WRONG_CLUSTER,  VERDICT_FAIL,   SKV_UNKNOWN,     false, false},
    {"lost, then damage",             &WRITE_LOST, STATUS_DAMAGED,        VERDICT_FAIL,   SKV_UNKNOWN,     false, false},
    {"lost, then ids ahead",          &WRITE_LOST, STATUS_CLOCK_BEHIND,   VERDICT_FAIL,   SKV_UNKNOWN,     false, false},
    {"lost, then try later",          &WRITE_LOST, STATUS_TRY_LATER,      VERDICT_WAIT,   SKV_OK,          false, false},
};
/* clang-format on */

static void each_error_has_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ERRORS) / sizeof(ERRORS[0]); i++) {
        const struct error_row *row = &ERRORS[i];
        struct attempt attempt = *row->attempt;
        struct verdict verdict = verdict_on_error(&attempt, row->code, row->owner_is_other);
        if (verdict.action != row->action || verdict.needs_map != row->needs_map ||
            (row->action == VERDICT_FAIL && verdict.status != row->status)) {
            fail_msg("%s: action %d, status %d, needs_map %d", row->name, (int)verdict.action,
                     (int)verdict.status, verdict.needs_map);
        }
        assert_int_equal(attempt.may_be_done, row->attempt->may_be_done);
    }
}

static void redirects_without_end_come_to_a_pause(void **state)
{
    (void)state;
    struct attempt attempt = WRITE;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < VERDICT_REDIRECTS_MAX; i++) {
            struct verdict verdict = verdict_on_error(&attempt, STATUS_WRONG_SHARD, true);
            assert_int_equal(verdict.action, VERDICT_RESEND);
        }
        struct verdict verdict = verdict_on_error(&attempt, STATUS_WRONG_SHARD, true);
        assert_int_equal(verdict.action, VERDICT_WAIT);
        assert_true(verdict.needs_map);
    }
}

static void pauses_double_from_five_milliseconds_to_a_second(void **state)
{
    (void)state;
    struct attempt attempt = READ;
    uint64_t expected = 5000;
    for (int i = 0; i < 40; i++) {
        struct verdict verdict = verdict_on_error(&attempt, STATUS_TRY_LATER, false);
        assert_int_equal(verdict.wait_max_us, expected);
        expected = expected * 2 < 1000000 ? expected * 2 : 1000000;
    }
    assert_int_equal(verdict_backoff_us(UINT32_MAX), 1000000);
}

static void what_was_lost_is_sent_again_unless_it_could_be_done_twice(void **state)
{
    (void)state;
    struct attempt read = READ;
    struct attempt write = WRITE;
    struct attempt request = REQUEST;
    assert_int_equal(verdict_on_loss(&read, true).action, VERDICT_RESEND);
    assert_false(read.may_be_done);
    assert_int_equal(verdict_on_loss(&write, false).action, VERDICT_RESEND);
    assert_false(write.may_be_done);
    assert_int_equal(verdict_on_loss(&write, true).action, VERDICT_RESEND);
    assert_true(write.may_be_done);
    assert_int_equal(verdict_on_loss(&request, false).action, VERDICT_RESEND);
    struct verdict verdict = verdict_on_loss(&request, true);
    assert_int_equal(verdict.action, VERDICT_FAIL);
    assert_int_equal(verdict.status, SKV_UNKNOWN);
}

static void at_the_deadline_only_what_was_never_heard_is_certainly_not_done(void **state)
{
    (void)state;
    assert_int_equal(verdict_on_deadline(&READ, true), SKV_UNAVAILABLE);
    assert_int_equal(verdict_on_deadline(&WRITE, false), SKV_UNAVAILABLE);
    assert_int_equal(verdict_on_deadline(&WRITE, true), SKV_UNKNOWN);
    assert_int_equal(verdict_on_deadline(&WRITE_LOST, false), SKV_UNKNOWN);
    assert_int_equal(verdict_on_deadline(&REQUEST, true), SKV_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_error_has_its_verdict),
        cmocka_unit_test(redirects_without_end_come_to_a_pause),
        cmocka_unit_test(pauses_double_from_five_milliseconds_to_a_second),
        cmocka_unit_test(what_was_lost_is_sent_again_unless_it_could_be_done_twice),
        cmocka_unit_test(at_the_deadline_only_what_was_never_heard_is_certainly_not_done),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
