/* SPDX-License-Identifier: MIT */
#include "cli/input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    char path[32];
    struct input *input;
};

static int make_file(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    strcpy(fixture->path, "/tmp/input_test.XXXXXX");
    int descriptor = mkstemp(fixture->path);
    assert_true(descriptor >= 0);
    assert_int_equal(close(descriptor), 0);
    *state = fixture;
    return 0;
}

static int remove_file(void **state)
{
    struct fixture *fixture = *state;
    input_close(fixture->input);
    assert_int_equal(unlink(fixture->path), 0);
    free(fixture);
    return 0;
}

/* Fills the file with `head`, `fill_len` times x, and `tail`, and opens it. */
static void give(struct fixture *fixture, const char *head, size_t fill_len, const char *tail)
{
    FILE *file = fopen(fixture->path, "w");
    assert_non_null(file);
    assert_true(fputs(head, file) >= 0);
    for (size_t i = 0; i < fill_len; i++) {
        assert_int_equal(fputc('x', file), 'x');
    }
    assert_true(fputs(tail, file) >= 0);
    assert_int_equal(fclose(file), 0);
    fixture->input = input_open(fixture->path);
    assert_non_null(fixture->input);
}

static void expect_line(struct fixture *fixture, size_t len_max, const char *text)
{
    struct bytes line;
    assert_int_equal(input_next_line(fixture->input, len_max, &line), INPUT_DONE);
    assert_true(bytes_equal(line, bytes_text(text)));
}

static void expect_result(struct fixture *fixture, size_t len_max, enum input_result result)
{
    struct bytes line;
    assert_int_equal(input_next_line(fixture->input, len_max, &line), result);
}

static void lines_come_one_by_one_and_the_last_needs_no_newline(void **state)
{
    struct fixture *fixture = *state;
    give(fixture, "one\n\nthree", 0, "");
    assert_int_equal(input_total_bytes(fixture->input), 10);
    expect_line(fixture, 10, "one");
    expect_line(fixture, 10, "");
    expect_line(fixture, 10, "three");
    expect_result(fixture, 10, INPUT_END);
    assert_int_equal(input_taken_bytes(fixture->input), 10);
}

static void an_empty_file_has_no_line(void **state)
{
    give(*state, "", 0, "");
    expect_result(*state, 10, INPUT_END);
}

static void a_line_at_the_limit_is_taken_and_one_above_is_skipped(void **state)
{
    give(*state, "12345\n123456\nnext\n", 0, "");
    expect_line(*state, 5, "12345");
    expect_result(*state, 5, INPUT_TOO_LONG);
    expect_line(*state, 5, "next");
    expect_result(*state, 5, INPUT_END);
}

static void a_line_longer_than_many_reads_is_skipped_without_keeping_it(void **state)
{
    give(*state, "first\n", 3u << 20, "\nlast");
    expect_line(*state, 10, "first");
    expect_result(*state, 10, INPUT_TOO_LONG);
    expect_line(*state, 10, "last");
    expect_result(*state, 10, INPUT_END);
}

static void a_long_line_within_the_limit_is_whole(void **state)
{
    struct fixture *fixture = *state;
    struct bytes line;
    give(fixture, "first\n", 1u << 20, "\nlast");
    expect_line(fixture, 2u << 20, "first");
    assert_int_equal(input_next_line(fixture->input, 2u << 20, &line), INPUT_DONE);
    assert_int_equal(line.len, 1u << 20);
    expect_line(fixture, 2u << 20, "last");
}

static void a_too_long_last_line_without_newline_is_said_once(void **state)
{
    give(*state, "", 1u << 20, "");
    expect_result(*state, 10, INPUT_TOO_LONG);
    expect_result(*state, 10, INPUT_END);
}

static void a_whole_file_is_read_up_to_its_limit(void **state)
{
    struct fixture *fixture = *state;
    struct buffer content = {0};
    give(fixture, "", 700000, "");
    assert_int_equal(input_read_all(fixture->input, 700000, &content), INPUT_DONE);
    assert_int_equal(content.len, 700000);
    buffer_fini(&content);
}

static void a_file_above_the_limit_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct buffer content = {0};
    give(fixture, "", 700000, "");
    assert_int_equal(input_read_all(fixture->input, 699999, &content), INPUT_TOO_LONG);
    buffer_fini(&content);
}

static void what_cannot_be_read_is_a_failure(void **state)
{
    struct fixture *fixture = *state;
    assert_null(input_open("/nowhere/at/all"));
    fixture->input = input_open("/");
    assert_non_null(fixture->input);
    expect_result(fixture, 10, INPUT_FAILED);
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, make_file, remove_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(lines_come_one_by_one_and_the_last_needs_no_newline),
        WITH_FILE(an_empty_file_has_no_line),
        WITH_FILE(a_line_at_the_limit_is_taken_and_one_above_is_skipped),
        WITH_FILE(a_line_longer_than_many_reads_is_skipped_without_keeping_it),
        WITH_FILE(a_long_line_within_the_limit_is_whole),
        WITH_FILE(a_too_long_last_line_without_newline_is_said_once),
        WITH_FILE(a_whole_file_is_read_up_to_its_limit),
        WITH_FILE(a_file_above_the_limit_is_refused),
        WITH_FILE(what_cannot_be_read_is_a_failure),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
