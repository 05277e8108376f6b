/* SPDX-License-Identifier: MIT */
#ifndef PROTO_STAMP_H
#define PROTO_STAMP_H

/*
 * When: the stamp of an operation that changes something (DESIGN §2, RULES N2).
 *
 *     63                16 15      0
 *     | ms since 1970     | counter |
 *
 * Per server it only grows. It is the position in the log and the version of a record.
 */

#include <stdint.h>

static inline uint64_t stamp_of_ms(uint64_t now_ms)
{
    return now_ms << 16;
}

static inline uint64_t stamp_ms(uint64_t stamp)
{
    return stamp >> 16;
}

/* max(last + 1, now << 16): never back, whatever the clock does. */
static inline uint64_t stamp_next(uint64_t last, uint64_t now_ms)
{
    uint64_t now = stamp_of_ms(now_ms);
    return now > last ? now : last + 1;
}

#endif
