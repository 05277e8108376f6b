/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/logline.h"

/* Standard error goes into a pipe while a test runs. */
struct capture {
    int real_stderr;
    int reading;
};

static struct capture capture;

static int start_capture(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    capture.real_stderr = dup(STDERR_FILENO);
    capture.reading = ends[0];
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    return 0;
}

static int end_capture(void **state)
{
    (void)state;
    logline_set_level(LOGLINE_INFO);
    dup2(capture.real_stderr, STDERR_FILENO);
    close(capture.real_stderr);
    close(capture.reading);
    return 0;
}

/* What one write put there. */
static void expect_line(const char *expected)
{
    static char line[16384];
    ssize_t len = read(capture.reading, line, sizeof(line) - 1);
    assert_true(len > 0);
    line[len] = '\0';
    assert_string_equal(line, expected);
}

static void a_line_has_level_and_message(void **state)
{
    (void)state;
    logline(LOGLINE_INFO, "shard %s: opened, epoch %d", "shard0-0.5", 2);
    expect_line("level=info msg=\"shard shard0-0.5: opened, epoch 2\"\n");
    logline(LOGLINE_WARNING, "%s", "");
    expect_line("level=warning msg=\"\"\n");
    logline(LOGLINE_ERROR, "%s", "a");
    expect_line("level=error msg=\"a\"\n");
}

static void what_would_break_the_line_is_escaped(void **state)
{
    (void)state;
    logline(LOGLINE_INFO, "%s", "say \"hi\" \\ one\ntwo\tthree \x1b[31m \x7f caf\xc3\xa9");
    expect_line("level=info msg=\"say \\\"hi\\\" \\\\ one\\ntwo\\tthree \\x1b[31m \\x7f "
                "caf\xc3\xa9\"\n");
}

static void levels_below_the_one_set_are_left_out(void **state)
{
    (void)state;
    logline(LOGLINE_DEBUG, "%s", "not at first");
    logline_set_level(LOGLINE_DEBUG);
    logline(LOGLINE_DEBUG, "%s", "now");
    expect_line("level=debug msg=\"now\"\n");
    logline_set_level(LOGLINE_ERROR);
    logline(LOGLINE_WARNING, "%s", "no longer");
    logline(LOGLINE_ERROR, "%s", "always");
    expect_line("level=error msg=\"always\"\n");
}

static void a_message_that_is_too_long_ends_in_dots(void **state)
{
    (void)state;
    char message[3000];
    char expected[9000];
    memset(message, '\n', sizeof(message) - 1); /* each becomes two */
    message[sizeof(message) - 1] = '\0';
    logline(LOGLINE_INFO, "%s", message);
    size_t len = (size_t)snprintf(expected, sizeof(expected), "level=info msg=\"");
    for (unsigned i = 0; i < 2047 - 3; i++) {
        expected[len++] = '\\';
        expected[len++] = 'n';
    }
    (void)snprintf(expected + len, sizeof(expected) - len, "...\"\n");
    expect_line(expected);
}

static void dying_says_why_and_exits_with_1(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        logline_set_level(LOGLINE_ERROR);
        logline_die("cannot %s", "go on");
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    expect_line("level=error msg=\"cannot go on\"\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_capture, end_capture)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        TEST(a_line_has_level_and_message),          TEST(what_would_break_the_line_is_escaped),
        TEST(levels_below_the_one_set_are_left_out), TEST(a_message_that_is_too_long_ends_in_dots),
        TEST(dying_says_why_and_exits_with_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
