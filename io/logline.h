/* SPDX-License-Identifier: MIT */
#ifndef IO_LOGLINE_H
#define IO_LOGLINE_H

/*
 * What a daemon says to its operator: one line a piece on standard error, no time of its own (the
 * journal has it):   level=info msg="shard shard0-0.5: opened, epoch 2"
 * Quotes, backslashes and control bytes in the message are escaped.
 */

enum logline_level { LOGLINE_ERROR, LOGLINE_WARNING, LOGLINE_INFO, LOGLINE_DEBUG };

/* `level` and above are printed; LOGLINE_INFO at first. For start-up. */
void logline_set_level(enum logline_level level);

void logline(enum logline_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An error line, then exit status 1: for start-up and for RULES L5. */
_Noreturn void logline_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
