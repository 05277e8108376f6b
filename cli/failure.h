/* SPDX-License-Identifier: MIT */
#ifndef CLI_FAILURE_H
#define CLI_FAILURE_H

/* How a command ends, and what it says on standard error when that is not well: one line, always. */

#include "libclient/shardkv.h"

enum exit_code {
    EXIT_CODE_DONE = 0,
    EXIT_CODE_NOT_FOUND = 1,
    EXIT_CODE_USAGE = 2,       /* arguments or a file that cannot work */
    EXIT_CODE_UNAVAILABLE = 3, /* certainly not done, or what was only read could not be written */
    EXIT_CODE_REFUSED = 4,
    EXIT_CODE_UNKNOWN = 5, /* may have been done, or was and could not be printed */
};

enum exit_code failure_code(enum skv_status status);

/* Of two parts of one job: the outcome that asks for more attention. */
enum exit_code failure_worst(enum exit_code a, enum exit_code b);

/* Prints "shardkv: ..." without control bytes; returns `code`. */
enum exit_code failure_say(enum exit_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says what the library's last failed call of this thread left; returns the code of its status. */
enum exit_code failure_say_call(void);

/* "shardkv: out of memory" */
enum exit_code failure_say_no_memory(void);

#endif
