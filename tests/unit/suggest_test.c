/* SPDX-License-Identifier: MIT */
#include "cli/suggest.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "cli/commands.h"

static void the_distance_counts_edits_and_swaps(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } cases[] = {
        {"", "", 0},          {"", "pop", 3},        {"read", "read", 0},
        {"raed", "read", 1},  {"wirte", "write", 1}, {"wrte", "write", 1},
        {"keyss", "keys", 1}, {"reed", "read", 1},   {"import", "export", 2},
        {"abc", "xyz", 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(suggest_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(suggest_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
}

static void words_above_the_limit_are_far_from_everything(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("123456789012345678901234567890123", "pop"), UINT_MAX);
    assert_int_equal(suggest_distance("12345678901234567890123456789012", ""), 32);
}

static void other_stores_words_lead_to_ours(void **state)
{
    (void)state;
    assert_string_equal(commands_suggest("get"), "read");
    assert_string_equal(commands_suggest("set"), "write");
    assert_string_equal(commands_suggest("put"), "write");
    assert_string_equal(commands_suggest("del"), "delete");
    assert_string_equal(commands_suggest("rm"), "delete");
    assert_string_equal(commands_suggest("remove"), "delete");
    assert_string_equal(commands_suggest("scan"), "keys");
    assert_string_equal(commands_suggest("ls"), "keys");
    assert_string_equal(commands_suggest("list"), "keys");
    assert_string_equal(commands_suggest("getdel"), "pop");
}

static void typing_errors_lead_to_the_nearest_command(void **state)
{
    (void)state;
    assert_string_equal(commands_suggest("wriet"), "write");
    assert_string_equal(commands_suggest("raed"), "read");
    assert_string_equal(commands_suggest("exprot"), "export");
    assert_string_equal(commands_suggest("statsu"), "status");
    assert_string_equal(commands_suggest("mapget"), "map get");
}

static void nothing_near_suggests_nothing(void **state)
{
    (void)state;
    assert_null(commands_suggest("elephant"));
    assert_null(commands_suggest(""));
    assert_null(commands_suggest("x"));
}

static void every_synonym_names_a_command(void **state)
{
    static const char *const words[] = {"get",   "set",  "del",  "getdel",  "has",
                                        "scan",  "load", "dump", "incrby",  "info",
                                        "reset", "init", "ttl",  "persist", "touch"};
    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const char *name = suggest_synonym(words[i]);
        bool is_command = false;
        assert_non_null(name);
        for (unsigned n = 0; n < command_count; n++) {
            is_command = is_command || strcmp(commands[n].name, name) == 0;
        }
        assert_true(is_command);
    }
}

static void commands_of_two_words_need_both(void **state)
{
    (void)state;
    assert_string_equal(commands_find("map", "get")->name, "map get");
    assert_null(commands_find("map", NULL));
    assert_null(commands_find("map", "show"));
    assert_null(commands_find("ma", "p get"));
    assert_string_equal(commands_find("read", NULL)->name, "read");
    assert_true(commands_is_group("map"));
    assert_true(commands_is_group("shard"));
    assert_false(commands_is_group("read"));
    assert_false(commands_is_group(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_distance_counts_edits_and_swaps),
        cmocka_unit_test(words_above_the_limit_are_far_from_everything),
        cmocka_unit_test(other_stores_words_lead_to_ours),
        cmocka_unit_test(typing_errors_lead_to_the_nearest_command),
        cmocka_unit_test(nothing_near_suggests_nothing),
        cmocka_unit_test(every_synonym_names_a_command),
        cmocka_unit_test(commands_of_two_words_need_both),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
