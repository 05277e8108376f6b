/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_VISITORS_H
#define TORTURE_VISITORS_H

/*
 * Several threads of clients where records lie that nobody changes: they read these, and write and read keys of their
 * own, each of which one thread alone writes, so that what it was acknowledged last is what is there.
 *
 *     others' keys    whatever was there at the start; value and version stay
 *     own keys        "_visitor-3-00017", "NUMBER:vvv", of a length that follows from the number
 *
 * Nobody dies here: a call that has not succeeded in time is a violation, too.
 */

#include <stdbool.h>
#include <stdint.h>

/* Of the names of own keys, with which no key begins that is there at the start. */
#define VISITORS_PREFIX "_visitor-"

struct skv;
struct visitors;

struct visitors_totals {
    uint64_t read;  /* of others' keys */
    uint64_t wrote; /* own keys; each was acknowledged */
    uint64_t kept;  /* own keys that are there */
    uint64_t longest_us;
};

/*
 * Looks at all that is there, by `kv`, and starts the threads; they run until they are stopped. `addresses` is borrowed
 * for the call. NULL: it cannot all be read; said why.
 */
struct visitors *visitors_start(struct skv *kv, const char *addresses, uint64_t seed,
                                uint32_t timeout_ms);
void visitors_stop(struct visitors *visitors);

/* When they have stopped: reads each of their keys once more. */
void visitors_read_own(struct visitors *visitors);

/* Empty: none. Another value or version than the last, or a call that failed. */
const char *visitors_violation(const struct visitors *visitors);

void visitors_get_totals(const struct visitors *visitors, struct visitors_totals *totals);

void visitors_free(struct visitors *visitors); /* after visitors_stop; NULL is allowed */

#endif
