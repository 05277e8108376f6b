/* SPDX-License-Identifier: MIT */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

/*
 * What happened: every event is folded into a hash, by which two runs of one seed are compared,
 * and the last ones are remembered for the report of a violation.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `is_verbose`: prints each line as it comes. */
void trace_begin(bool is_verbose);

/* `what` is static. */
void trace(const char *what, uint64_t a, uint64_t b);
void trace_text(const char *text);              /* copied, cut to a line */
void trace_bytes(const void *data, size_t len); /* into the hash alone */
uint64_t trace_hash(void);

/* The remembered lines, oldest first, to standard output. */
void trace_print(void);

/* An invariant is broken: prints it, seed, options and the last events, and exits 1. */
_Noreturn void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
