/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_PRESSURE_H
#define SHARDD_PRESSURE_H

/*
 * How hard the sweep works, and how much writers are slowed. Pure.
 *
 *     log used of its limit        0 ........ 1/2 ............ 3/4 ............ 7/8 ....... 1
 *     dirty of half the memory     0 ........ 1/4 ............ 1/2 ......................... 1
 *     the sweep                    rests      runs when        runs beside the
 *                                             nothing else does loop
 *     writers                                                   slowed, smoothly, by at most 50 ms (F3)
 *
 * A hand that always runs is the worst there is: at a tenth of the records dirty each costs a page of its own,
 * at half of them a tenth of that. So it waits until the log or the memory asks for it. When nothing
 * has changed for QUIET_MS it cleans up at its ease, so that a later start has little to replay.
 */

#include <stdbool.h>
#include <stdint.h>

#define PRESSURE_QUIET_MS     5000
#define PRESSURE_DELAY_MS_MAX 50

struct pressure_input {
    uint64_t log_used, log_limit;     /* bytes */
    uint64_t dirty_len, memory_limit; /* bytes */
    uint64_t quiet_ms;                /* since something changed */
    bool is_disk_full;
};

enum pace { PACE_REST, PACE_EASY, PACE_FULL };

struct pressure {
    enum pace pace;
    uint32_t
        batch_max; /* records of one transaction: fewer where there is little memory for its pages */
    uint32_t writer_delay_ms; /* 0: none */
    bool is_memory_full;      /* what changes something is refused for now */
};

struct pressure pressure_of(const struct pressure_input *input);

#endif
