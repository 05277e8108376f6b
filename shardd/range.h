/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_RANGE_H
#define SHARDD_RANGE_H

#include <stdint.h>

/* A run of points that this server owns, all of one shard. */
struct range {
    uint64_t start, end; /* bounds (RULES N3) */
    uint64_t limit;      /* bytes that its records may count */
};

#endif
