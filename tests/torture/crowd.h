/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_CROWD_H
#define TORTURE_CROWD_H

/*
 * Several threads of clients at the same keys, through the library: whatever a server refuses or a crash
 * interrupts it asks again by itself. All is noted in a chronicle.
 *
 *     key      "NAME-00017"; of three, one is a register, one a counter, one a place to take from
 *     value    "NUMBER:vvv", of a length that follows from the number; numbers are drawn once
 */

#include <stdbool.h>

#include "tests/torture/chronicle.h"

struct crowd;

struct crowd_config {
    const char *addresses;
    const char *name; /* of the keys; borrowed */
    uint64_t seed;
    uint32_t key_count;
    uint32_t thread_count;
    uint32_t timeout_ms; /* of a call: what has no answer until then may have been done */
};

/* The threads run until they are stopped. */
struct crowd *crowd_start(const struct crowd_config *config);
void crowd_stop(struct crowd *crowd);

/* When it has stopped and the cluster serves: each key is read once more. False: one cannot be. */
bool crowd_read_all(struct crowd *crowd);

struct crowd_totals {
    uint64_t done;
    uint64_t unavailable; /* certainly not done */
    uint64_t unknown;
    uint64_t longest_us; /* a call took */
};

/* Added to. */
void crowd_add_totals(const struct crowd *crowd, struct crowd_totals *totals);

/* Empty: none. Something that no history explains: a value that nobody wrote, an error of a kind that cannot be. */
const char *crowd_violation(const struct crowd *crowd);

/* When it has stopped. False: a key's history is not linearizable; it is printed. Adds up how many were looked at. */
bool crowd_is_explained(const struct crowd *crowd, uint32_t *operation_count);

void crowd_free(struct crowd *crowd); /* after crowd_stop; NULL is allowed */

#endif
