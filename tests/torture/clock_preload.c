/* SPDX-License-Identifier: MIT */

/* The wall clock is ahead, or behind, by so many milliseconds: TORTURE_CLOCK_MS of the environment. */

#include <stdint.h>
#include <time.h>

#include "tests/torture/preload.h"

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): theirs are reserved */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = REAL(clock_gettime)(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME) {
        now->tv_sec += strtol(preload_setting("TORTURE_CLOCK_MS"), NULL, 10) / 1000;
    }
    return result;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
