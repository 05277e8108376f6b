/* SPDX-License-Identifier: MIT */
#ifndef PROTO_EXTENT_H
#define PROTO_EXTENT_H

/*
 * Finds where one MessagePack object ends in a stream that arrives in pieces. It remembers
 * how far it came, so each byte is looked at once however small the pieces are.
 */

#include "proto/bytes.h"
#include "proto/limits.h"
#include "proto/unpack.h"

/* Around a value there are at most a record, the records of a scan, its result and the envelope. */
#define EXTENT_DEPTH_MAX (DEPTH_MAX + 4)

struct extent {
    size_t scanned; /* bytes understood; may lie behind the bytes there are */
    uint32_t depth; /* open arrays and maps */
    /* Objects still to come at each depth and above, together. */
    uint64_t left[EXTENT_DEPTH_MAX + 1];
};

enum extent_result {
    EXTENT_WHOLE,   /* extent->scanned is the object's length; reset before the next */
    EXTENT_PARTIAL, /* more bytes are needed */
    EXTENT_BAD,     /* can never become an object within `len_max`; *fault says why */
};

void extent_reset(struct extent *extent);

/*
 * `data` starts at the object's first byte on each call and only grows between calls. A declared
 * length or count that cannot fit into `len_max` bytes is EXTENT_BAD at once, with UNPACK_SHORT.
 */
enum extent_result extent_scan(struct extent *extent, struct bytes data, size_t len_max,
                               enum unpack_fault *fault);

#endif
