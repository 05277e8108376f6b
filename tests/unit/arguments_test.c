/* SPDX-License-Identifier: MIT */
#include "cli/arguments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct argument_spec specs[] = {
    {"if-absent", 0, ARGUMENT_FLAG, offsetof(struct arguments, if_absent), NULL, ""},
    {"if-version", 0, ARGUMENT_NUMBER, offsetof(struct arguments, if_version), "N", ""},
    {"server", 0, ARGUMENT_LIST, offsetof(struct arguments, servers), "ADDR", ""},
    {"acks", 0, ARGUMENT_TEXT, offsetof(struct arguments, acks), "FILE", ""},
    {"watch", 0, ARGUMENT_COUNT, offsetof(struct arguments, watch_s), "[SECONDS]", ""},
};
static const struct argument_table table = {specs, sizeof(specs) / sizeof(specs[0])};

enum { WORDS_MAX = 12 };

/* A command line with the program's name before it; `words` ends with NULL. */
struct line {
    char *argv[WORDS_MAX + 2];
    struct arguments arguments;
    bool is_right;
};

static void parse(struct line *line, const char *const *words)
{
    static char program[] = "shardkv";
    int argc = 1;
    memset(line, 0, sizeof(*line));
    line->argv[0] = program;
    for (; words[argc - 1]; argc++) {
        assert_true(argc <= WORDS_MAX);
        line->argv[argc] = strdup(words[argc - 1]);
    }
    assert_true(arguments_init(&line->arguments, argc, line->argv));
    line->is_right = arguments_take_rest(&line->arguments, &table);
}

static void end(struct line *line)
{
    arguments_fini(&line->arguments);
    for (size_t i = 1; line->argv[i]; i++) {
        free(line->argv[i]);
    }
}

#define PARSE(line, ...) parse((line), (const char *const[]){__VA_ARGS__, NULL})

static void options_may_stand_anywhere(void **state)
{
    struct line line;
    (void)state;
    PARSE(&line, "-b", "a:1", "key", "--if-absent", "value", "--json", "--timeout", "500");
    assert_true(line.is_right);
    assert_string_equal(line.arguments.bootstrap, "a:1");
    assert_true(line.arguments.if_absent);
    assert_true(line.arguments.json);
    assert_int_equal(line.arguments.timeout_ms, 500);
    assert_int_equal(line.arguments.words.count, 2);
    assert_string_equal(line.arguments.words.items[0], "key");
    assert_string_equal(line.arguments.words.items[1], "value");
    end(&line);
}

static void values_may_be_attached(void **state)
{
    struct line line;
    (void)state;
    PARSE(&line, "-ba:1,b:2", "--acks=x=y", "--if-version=18446744073709551615", "--bootstrap=c:3");
    assert_true(line.is_right);
    assert_string_equal(line.arguments.bootstrap, "c:3");
    assert_string_equal(line.arguments.acks, "x=y");
    assert_true(line.arguments.if_version == UINT64_MAX);
    end(&line);
}

static void a_count_is_one_when_no_number_follows(void **state)
{
    static const struct {
        const char *words[4];
        uint64_t count;
        unsigned word_count;
    } cases[] = {
        {{"--watch", NULL}, 1, 0},         {{"--watch", "5", NULL}, 5, 0},
        {{"--watch=5", "6", NULL}, 5, 1},  {{"--watch", "--json", "5", NULL}, 1, 1},
        {{"--watch", "word", NULL}, 1, 1}, {{"word", "--watch", NULL}, 1, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct line line;
        parse(&line, cases[i].words);
        assert_true(line.is_right);
        assert_int_equal(line.arguments.watch_s, cases[i].count);
        assert_int_equal(line.arguments.words.count, cases[i].word_count);
        end(&line);
    }
}

static void a_list_keeps_each_of_its_values(void **state)
{
    struct line line;
    (void)state;
    PARSE(&line, "--server", "a:1", "--server=b:2");
    assert_int_equal(line.arguments.servers.count, 2);
    assert_string_equal(line.arguments.servers.items[0], "a:1");
    assert_string_equal(line.arguments.servers.items[1], "b:2");
    end(&line);
}

static void what_follows_two_dashes_is_words(void **state)
{
    struct line line;
    (void)state;
    PARSE(&line, "--", "--json", "-b", "--");
    assert_true(line.is_right);
    assert_false(line.arguments.json);
    assert_int_equal(line.arguments.words.count, 3);
    assert_string_equal(line.arguments.words.items[0], "--json");
    assert_string_equal(line.arguments.words.items[2], "--");
    end(&line);
}

static void a_dash_and_negative_numbers_are_words(void **state)
{
    struct line line;
    (void)state;
    PARSE(&line, "-", "-5", "");
    assert_true(line.is_right);
    assert_int_equal(line.arguments.words.count, 3);
    assert_string_equal(line.arguments.words.items[1], "-5");
    end(&line);
}

static void a_value_that_looks_like_an_option_is_a_value(void **state)
{
    struct line line;
    (void)state;
    PARSE(&line, "--acks", "--json");
    assert_true(line.is_right);
    assert_false(line.arguments.json);
    assert_string_equal(line.arguments.acks, "--json");
    end(&line);
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *words[3];
        const char *error;
    } cases[] = {
        {{"--if-absnet", NULL}, "no option --if-absnet (did you mean --if-absent?)"},
        {{"--jsn", NULL}, "no option --jsn (did you mean --json?)"},
        {{"--colour=red", NULL},
         "no option --colour (what begins with - and is none goes behind --)"},
        {{"-x", NULL}, "no option -x (what begins with - and is none goes behind --)"},
        {{"--acks", NULL}, "--acks needs FILE"},
        {{"--json=yes", NULL}, "--json takes no value"},
        {{"--if-version", "-1", NULL}, "--if-version takes a whole number above 0, not \"-1\""},
        {{"--if-version", "18446744073709551616", NULL},
         "--if-version takes a whole number above 0, not \"18446744073709551616\""},
        {{"--if-version", "0", NULL}, "--if-version takes a whole number above 0, not \"0\""},
        {{"--watch=0", NULL}, "--watch takes a whole number above 0, not \"0\""},
        {{"--if-version=", NULL}, "--if-version takes a whole number above 0, not \"\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct line line;
        parse(&line, cases[i].words);
        assert_false(line.is_right);
        assert_string_equal(line.arguments.error, cases[i].error);
        end(&line);
    }
}

static void the_words_come_one_by_one_with_global_options_between(void **state)
{
    char program[] = "shardkv", json[] = "--json", map[] = "map", get[] = "get";
    char *argv[] = {program, json, map, get, NULL};
    struct arguments arguments;
    const char *word = NULL;
    (void)state;
    assert_true(arguments_init(&arguments, 4, argv));
    assert_int_equal(arguments_next(&arguments, NULL, &word), ARGUMENTS_WORD);
    assert_string_equal(word, "map");
    assert_true(arguments.json);
    assert_int_equal(arguments_next(&arguments, NULL, &word), ARGUMENTS_WORD);
    assert_string_equal(word, "get");
    assert_int_equal(arguments_next(&arguments, NULL, &word), ARGUMENTS_END);
    arguments_fini(&arguments);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_may_stand_anywhere),
        cmocka_unit_test(values_may_be_attached),
        cmocka_unit_test(a_count_is_one_when_no_number_follows),
        cmocka_unit_test(a_list_keeps_each_of_its_values),
        cmocka_unit_test(what_follows_two_dashes_is_words),
        cmocka_unit_test(a_dash_and_negative_numbers_are_words),
        cmocka_unit_test(a_value_that_looks_like_an_option_is_a_value),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(the_words_come_one_by_one_with_global_options_between),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
