/* SPDX-License-Identifier: MIT */
#ifndef CLI_DURATION_H
#define CLI_DURATION_H

/*
 * Lengths of time as people write and read them.
 *
 *     500ms  10s  10  5m  2h  7d        a whole number and its unit; without one, seconds
 */

#include <stdbool.h>
#include <stdint.h>

/* From 1 ms to TTL_MS_MAX. False: it is none of these, and *ms is untouched. */
bool duration_parse(const char *text, uint64_t *ms);

enum { DURATION_TEXT_LEN = 48 };

/* "350 ms", "9.3 s", "2 min 5 s", "2 h 46 min", "7 d 1 h": what is finer is cut off. */
void duration_print(uint64_t ms, char text[DURATION_TEXT_LEN]);

#endif
