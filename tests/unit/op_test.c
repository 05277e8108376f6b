/* SPDX-License-Identifier: MIT */
#include "shardd/op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void a_copy_outlives_what_it_was_made_of(void **state)
{
    (void)state;
    char key[] = "key";
    char value[] = "value";
    char prefix[] = "pre";
    struct op op = {.kind = OP_WRITE,
                    .point = 7,
                    .key = bytes_text(key),
                    .value = bytes_text(value),
                    .prefix = bytes_text(prefix)};
    op.next = &op;
    struct op *copy = op_new(&op);
    memset(key, 0, sizeof(key));
    memset(value, 0, sizeof(value));
    memset(prefix, 0, sizeof(prefix));
    assert_null(copy->next);
    assert_int_equal(copy->kind, OP_WRITE);
    assert_int_equal(copy->point, 7);
    assert_true(bytes_equal(copy->key, bytes_text("key")));
    assert_true(bytes_equal(copy->value, bytes_text("value")));
    assert_true(bytes_equal(copy->prefix, bytes_text("pre")));
    assert_int_equal(op_len(copy), sizeof(op) + 11);
    op_free(copy);
}

static void an_op_without_bytes_is_copied_too(void **state)
{
    (void)state;
    const struct op op = {.kind = OP_SCAN};
    struct op *copy = op_new(&op);
    assert_int_equal(copy->key.len + copy->value.len + copy->prefix.len, 0);
    op_free(copy);
}

static void those_that_change_something_are_known(void **state)
{
    (void)state;
    static const enum op_kind reading[] = {OP_READ, OP_EXISTS, OP_SCAN, OP_MINT};
    static const enum op_kind changing[] = {OP_WRITE,  OP_POP,  OP_DELETE, OP_INCR, OP_DONE,
                                            OP_EXPIRE, OP_REAP, OP_EVICT,  OP_PUT};
    for (size_t i = 0; i < sizeof(reading) / sizeof(reading[0]); i++) {
        assert_false(op_changes(&(struct op){.kind = reading[i]}));
    }
    for (size_t i = 0; i < sizeof(changing) / sizeof(changing[0]); i++) {
        assert_true(op_changes(&(struct op){.kind = changing[i]}));
    }
}

static void a_refusal_has_its_reasons_words_or_its_statuss(void **state)
{
    (void)state;
    struct outcome outcome = {0};
    outcome_refuse(&outcome, STATUS_FULL, OP_REASON_DISK_FULL);
    assert_string_equal(outcome_text(&outcome),
                        "the server's disk is full: make room on it, or delete records");
    outcome_refuse(&outcome, STATUS_FULL, OP_REASON_NONE);
    assert_string_equal(outcome_text(&outcome), status_text(STATUS_FULL));
    outcome.reason = (enum op_reason)999; /* of a result that a newer version stored */
    assert_string_equal(outcome_text(&outcome), status_text(STATUS_FULL));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_outlives_what_it_was_made_of),
        cmocka_unit_test(an_op_without_bytes_is_copied_too),
        cmocka_unit_test(those_that_change_something_are_known),
        cmocka_unit_test(a_refusal_has_its_reasons_words_or_its_statuss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
