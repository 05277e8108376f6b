/* SPDX-License-Identifier: MIT */
#include "proto/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* From the repository's root, where the tests are run. */
#define PROTOCOL "proto/PROTOCOL.md"

static const struct row {
    const char *name;
    uint32_t code;
    enum status_class class;
    const char *text;
} rows[] = {
#define X(name, code, class, text) {#name, (code), STATUS_CLASS_##class, text},
    STATUS_TABLE(X)
#undef X
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static void names_and_codes_and_texts_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(rows[i].name, rows[j].name);
            assert_string_not_equal(rows[i].text, rows[j].text);
            assert_int_not_equal(rows[i].code, rows[j].code);
        }
    }
}

static void each_code_is_told_by_name_text_and_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        assert_string_equal(status_name(rows[i].code), rows[i].name);
        assert_string_equal(status_text(rows[i].code), rows[i].text);
        assert_int_equal(status_class(rows[i].code), rows[i].class);
    }
}

static void a_code_that_is_not_in_the_table_has_an_unknown_outcome(void **state)
{
    (void)state;
    const uint32_t strangers[] = {ROW_COUNT, 1000, UINT32_MAX};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        assert_string_equal(status_name(strangers[i]), "UNKNOWN");
        assert_int_equal(status_class(strangers[i]), STATUS_CLASS_UNKNOWN);
        assert_true(strlen(status_text(strangers[i])) > 0);
    }
}

/* "| 4 | CONDITION | was not done: ... |": only the table of errors looks like this. */
static void the_protocol_lists_the_same_codes_with_the_same_names(void **state)
{
    (void)state;
    FILE *file = fopen(PROTOCOL, "re");
    assert_non_null(file);
    char line[1024];
    size_t found = 0;
    while (fgets(line, sizeof line, file)) {
        unsigned code;
        char name[64];
        char claim[8];
        if (sscanf(line, "| %u | %63[A-Z_] | %7[^:;] ", &code, name, claim) != 3) {
            continue;
        }
        assert_string_equal(status_name(code), name);
        bool certain = status_class(code) != STATUS_CLASS_UNKNOWN;
        assert_string_equal(claim, certain ? "was not" : "may hav");
        found++;
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(found, ROW_COUNT - 1); /* OK is nil, and not listed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_codes_and_texts_are_unique),
        cmocka_unit_test(each_code_is_told_by_name_text_and_class),
        cmocka_unit_test(a_code_that_is_not_in_the_table_has_an_unknown_outcome),
        cmocka_unit_test(the_protocol_lists_the_same_codes_with_the_same_names),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
