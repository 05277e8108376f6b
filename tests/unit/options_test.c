/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/options.h"

#define ARGUMENT_MAX 8

struct values {
    const char *listen;
    uint64_t connection_max;
    bool is_check;
};

/* One parse: what came out, and what it printed. */
struct outcome {
    enum options_result result;
    struct values values;
    char printed[2000];
};

static enum options_result parse_words(char *words, struct values *values)
{
    const struct option_spec specs[] = {
        {"listen", 'l', OPTION_TEXT, "HOST:PORT", "where to listen", {.text = &values->listen}},
        {"max-connections",
         0,
         OPTION_NUMBER,
         "N",
         "at most so many at once",
         {.number = &values->connection_max}},
        {"check", 'n', OPTION_FLAG, NULL, "check and exit", {.flag = &values->is_check}},
    };
    char *argv[ARGUMENT_MAX] = {NULL};
    int argc = 0;
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    return options_parse(argc, argv, "shardd", "Keeps records.", specs, 3);
}

/* `fd` is standard output or standard error, whichever the outcome is to be read from. */
static struct outcome parse(const char *command_line, int fd)
{
    struct outcome outcome = {.values = {"127.0.0.1:0", 10000, false}};
    static char words[200]; /* the values point into it */
    (void)snprintf(words, sizeof(words), "%s", command_line);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    int real = dup(fd);
    dup2(ends[1], fd);
    outcome.result = parse_words(words, &outcome.values);
    (void)fflush(NULL);
    dup2(real, fd);
    close(real);
    close(ends[1]);
    ssize_t len = read(ends[0], outcome.printed, sizeof(outcome.printed) - 1);
    assert_true(len >= 0);
    outcome.printed[len] = '\0';
    close(ends[0]);
    return outcome;
}

static void options_not_given_keep_their_values(void **state)
{
    (void)state;
    struct outcome outcome = parse("shardd", STDERR_FILENO);
    assert_int_equal(outcome.result, OPTIONS_RUN);
    assert_string_equal(outcome.values.listen, "127.0.0.1:0");
    assert_int_equal(outcome.values.connection_max, 10000);
    assert_false(outcome.values.is_check);
    assert_string_equal(outcome.printed, "");
}

static void options_are_taken_in_each_form(void **state)
{
    (void)state;
    struct outcome outcome =
        parse("shardd --listen [::1]:5050 --max-connections=7 -n", STDERR_FILENO);
    assert_int_equal(outcome.result, OPTIONS_RUN);
    assert_string_equal(outcome.values.listen, "[::1]:5050");
    assert_int_equal(outcome.values.connection_max, 7);
    assert_true(outcome.values.is_check);

    outcome = parse("shardd -l a=b --max-connections 18446744073709551615 --check", STDERR_FILENO);
    assert_int_equal(outcome.result, OPTIONS_RUN);
    assert_string_equal(outcome.values.listen, "a=b");
    assert_true(outcome.values.connection_max == UINT64_MAX);
    assert_true(outcome.values.is_check);

    outcome = parse("shardd --listen= --listen --check", STDERR_FILENO);
    assert_int_equal(outcome.result, OPTIONS_RUN);
    assert_string_equal(outcome.values.listen, "--check"); /* the last one counts */
    assert_false(outcome.values.is_check);
}

static void each_mistake_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *command_line;
        const char *message;
    } mistakes[] = {
        {"shardd --foo", "unknown option --foo"},
        {"shardd --foo=1", "unknown option --foo"},
        {"shardd --list a", "unknown option --list"},
        {"shardd -x", "unknown option -x"},
        {"shardd -nn", "unknown option -nn"},
        {"shardd --listen", "--listen needs an argument: HOST:PORT"},
        {"shardd -l", "--listen needs an argument: HOST:PORT"},
        {"shardd --check=yes", "--check takes no argument"},
        {"shardd --max-connections 10x", "--max-connections: not a number: 10x"},
        {"shardd --max-connections -1", "--max-connections: not a number: -1"},
        {"shardd --max-connections=", "--max-connections: not a number: "},
        {"shardd --max-connections 18446744073709551616",
         "--max-connections: not a number: 18446744073709551616"},
        {"shardd stray", "unexpected argument: stray"},
        {"shardd -n --", "unexpected argument: --"},
        {"shardd -", "unexpected argument: -"},
    };
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        char expected[200];
        struct outcome outcome = parse(mistakes[i].command_line, STDERR_FILENO);
        (void)snprintf(expected, sizeof(expected), "shardd: %s (see shardd --help)\n",
                       mistakes[i].message);
        assert_int_equal(outcome.result, OPTIONS_USAGE);
        assert_string_equal(outcome.printed, expected);
    }
}

static void help_is_the_table(void **state)
{
    (void)state;
    struct outcome outcome = parse("shardd --help --foo", STDOUT_FILENO);
    assert_int_equal(outcome.result, OPTIONS_EXIT);
    assert_string_equal(outcome.printed, "usage: shardd [options]\n"
                                         "\n"
                                         "Keeps records.\n"
                                         "\n"
                                         "  -l, --listen HOST:PORT   where to listen\n"
                                         "      --max-connections N  at most so many at once\n"
                                         "  -n, --check              check and exit\n"
                                         "      --help               print this and exit\n"
                                         "      --version            print the version and exit\n");
}

static void version_is_the_programs(void **state)
{
    (void)state;
    struct outcome outcome = parse("shardd -n --version", STDOUT_FILENO);
    assert_int_equal(outcome.result, OPTIONS_EXIT);
    assert_string_equal(outcome.printed, "shardd " SHARDKV_VERSION "\n");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_not_given_keep_their_values),
        cmocka_unit_test(options_are_taken_in_each_form),
        cmocka_unit_test(each_mistake_is_named),
        cmocka_unit_test(help_is_the_table),
        cmocka_unit_test(version_is_the_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
