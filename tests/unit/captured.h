/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CAPTURED_H
#define TESTS_UNIT_CAPTURED_H

/* What a command prints, on standard output and on standard error. After cmocka.h. */

#include <stdio.h>
#include <unistd.h>

struct captured {
    FILE *file;
    int out, err; /* what they are else */
};

static inline struct captured captured_begin(void)
{
    struct captured captured = {.file = tmpfile()};
    assert_non_null(captured.file);
    (void)fflush(stdout);
    captured.out = dup(STDOUT_FILENO);
    captured.err = dup(STDERR_FILENO);
    dup2(fileno(captured.file), STDOUT_FILENO);
    dup2(fileno(captured.file), STDERR_FILENO);
    return captured;
}

/* As much as there is room for, ended by a zero byte. */
static inline void captured_end(struct captured *captured, char *text, size_t text_len)
{
    (void)fflush(stdout);
    dup2(captured->out, STDOUT_FILENO);
    dup2(captured->err, STDERR_FILENO);
    close(captured->out);
    close(captured->err);
    rewind(captured->file);
    text[fread(text, 1, text_len - 1, captured->file)] = '\0';
    (void)fclose(captured->file);
}

#endif
