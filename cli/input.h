/* SPDX-License-Identifier: MIT */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

/* A file or standard input, read whole or line by line, within a bound. */

#include "proto/buffer.h"

struct input;

/* "-" is standard input. NULL: errno says why. */
struct input *input_open(const char *path);

enum input_result {
    INPUT_DONE,
    INPUT_TOO_LONG,
    INPUT_END,    /* no further line */
    INPUT_FAILED, /* errno says why */
};

/* The next line without its newline, good until the next call; one above `len_max` bytes is skipped. */
enum input_result input_next_line(struct input *input, size_t len_max, struct bytes *line);

/* All that is left, appended; INPUT_TOO_LONG as soon as it is above `len_max` bytes. */
enum input_result input_read_all(struct input *input, size_t len_max, struct buffer *content);

/* Bytes of a regular file, 0 for anything else; and how many of them were given out as lines. */
uint64_t input_total_bytes(const struct input *input);
uint64_t input_taken_bytes(const struct input *input);

void input_close(struct input *input); /* NULL is allowed */

#endif
