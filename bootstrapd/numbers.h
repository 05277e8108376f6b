/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_NUMBERS_H
#define BOOTSTRAPD_NUMBERS_H

/* What a server's `stat` tells that bootstrapd decides by (proto/PROTOCOL.md). Pure. */

#include "bootstrapd/site.h"

/* One shard as `stat` has it. */
struct shard_numbers {
    uint64_t start, end, epoch;
    uint64_t records, bytes;
    uint64_t operations; /* since the server's start */
    bool has_operations; /* an earlier version does not tell */
};

typedef void numbers_take_shard(void *context, const struct shard_numbers *numbers);

/* Calls `take` for each shard, on the way. False when it is no server's `stat`. */
bool numbers_unpack(struct bytes result, struct site_numbers *numbers, numbers_take_shard *take,
                    void *context);

#endif
