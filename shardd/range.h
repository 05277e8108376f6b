/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_RANGE_H
#define SHARDD_RANGE_H

#include "proto/map.h"

/* A run of points that this server owns, all of one shard. */
struct range {
    uint64_t start, end; /* bounds (RULES N3) */
    uint64_t limit;      /* bytes that its records may count */
    enum when_full when_full;
    uint64_t epoch; /* of its map entry */
};

#endif
