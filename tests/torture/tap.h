/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_TAP_H
#define TORTURE_TAP_H

/* Test Anything Protocol on standard output: the plan comes last. */

#include <stdbool.h>
#include <stdio.h>

struct tap {
    unsigned count;
    unsigned failed_count;
};

static inline void tap_result(struct tap *tap, bool is_fine, const char *sentence)
{
    tap->count++;
    tap->failed_count += !is_fine;
    printf("%sok %u - %s\n", is_fine ? "" : "not ", tap->count, sentence);
    (void)fflush(stdout);
}

/* The process's exit status. */
static inline int tap_end(const struct tap *tap)
{
    printf("1..%u\n", tap->count);
    return tap->failed_count ? 1 : 0;
}

#endif
