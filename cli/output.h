/* SPDX-License-Identifier: MIT */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

/*
 * Standard output, where data goes and nothing else. Text is put together in a buffer first, so that
 * running out of memory prints nothing; a failed write shows in output_finish.
 */

#include "cli/failure.h"
#include "proto/buffer.h"

/* Prints the text and frees it. Out of memory: says so. */
enum exit_code output_print(struct buffer *text);

/* Bytes as they are. */
void output_bytes(struct bytes bytes);

/*
 * Of a command that has changed something and now printed what, with `code`: if that failed, says
 * what is done all the same ("the record is gone"). Never "not done": a script would do it again.
 */
enum exit_code output_finish_change(enum exit_code code, const char *done);

/* Of the whole run: `code`, or worse when not all of the data could be written; says so, once. */
enum exit_code output_finish(enum exit_code code);

#endif
