/* SPDX-License-Identifier: MIT */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

/* One line on standard error that is written over and over, when that is a terminal. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool is_shown;
    uint64_t started_ms;
    uint64_t next_ms; /* when to show it again */
};

void progress_start(struct progress *progress);

/* `done` of `total` are the measure of the time left (0: not known); `count` is what is told. */
void progress_show(struct progress *progress, uint64_t count, uint64_t done, uint64_t total);

/* Takes the line away, before another is printed. */
void progress_clear(const struct progress *progress);

/* Since progress_start; at least 1. */
uint64_t progress_elapsed_ms(const struct progress *progress);

enum { PROGRESS_TEXT_LEN = 120 };

/* "5000 records, 1250/s, 25 %, 12 s left" */
void progress_print(uint64_t count, uint64_t done, uint64_t total, uint64_t elapsed_ms,
                    char text[PROGRESS_TEXT_LEN]);

#endif
