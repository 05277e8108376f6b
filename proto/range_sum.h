/* SPDX-License-Identifier: MIT */
#ifndef PROTO_RANGE_SUM_H
#define PROTO_RANGE_SUM_H

/*
 * What a range holds, as two servers compare it when it has moved (RULES V5): how many records, the bytes that they
 * count, and the sum modulo 2^128 of their hashes. Adding and taking away may come in any order.
 *
 * The hash of a record is XXH3_128bits of its stored header from the format on (proto/record.h: flags, kind, version,
 * expiry, time to live, checksum of the value) and, behind that, its tree key. So values are not read for it.
 */

#include "proto/record.h"

struct range_sum {
    uint64_t records;
    uint64_t bytes;
    uint64_t low, high;
};

/*
 * `stored` is the record as the tree has it, at least RECORD_HEADER_LEN bytes: its value is not looked at. That it is
 * intact is the caller's to know.
 */
void range_sum_add(struct range_sum *sum, struct bytes tree_key, struct bytes stored);
void range_sum_take(struct range_sum *sum, struct bytes tree_key, struct bytes stored);

/* The sum of both. */
void range_sum_join(struct range_sum *sum, const struct range_sum *other);

bool range_sum_equal(const struct range_sum *a, const struct range_sum *b);

#endif
