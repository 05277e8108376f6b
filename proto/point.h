/* SPDX-License-Identifier: MIT */
#ifndef PROTO_POINT_H
#define PROTO_POINT_H

/*
 * Where a record lives: its point in [0, 2^64) (RULES N1), and the bounds of ranges, which are
 * whole multiples of 2^-32 of the circle (RULES N3): integers 0 to 4294967296 everywhere, so a
 * point is in a range when its upper 32 bits are.
 */

#include "proto/bytes.h"

/* 2^32: the end of the circle as a bound. */
#define BOUND_END (UINT64_C(1) << 32)

/* XXH3_64bits, default secret, seed 0. Public: it says where, never what (DESIGN §2). */
uint64_t point_of_key(struct bytes key);

/* In [0, 1): the top 53 bits, so never rounded up to 1. For people; routing never uses it. */
double point_fraction(uint64_t point);

static inline uint64_t point_bound(uint64_t point)
{
    return point >> 32;
}

/* start < end <= BOUND_END. */
static inline bool point_in(uint64_t point, uint64_t start, uint64_t end)
{
    return point_bound(point) >= start && point_bound(point) < end;
}

/* First point at or after a bound; bound < BOUND_END. */
static inline uint64_t point_of_bound(uint64_t bound)
{
    return bound << 32;
}

/* Nearest bound of a fraction; false unless 0 <= fraction <= 1. */
bool bound_of_fraction(double fraction, uint64_t *bound);

enum { BOUND_TEXT_LEN = 32 };

/* The shortest decimal that reads back as the same bound: "0.0", "0.5", "0.3333333333". */
void bound_print(uint64_t bound, char text[BOUND_TEXT_LEN]);

#endif
