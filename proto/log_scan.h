/* SPDX-License-Identifier: MIT */
#ifndef PROTO_LOG_SCAN_H
#define PROTO_LOG_SCAN_H

/*
 * Which records of a log hold, and whether what ends it is a torn tail or damage (RULES L3). Pure: it is
 * given whole segments as bytes, oldest first, and tells what it found.
 *
 *     segment 7  | C r r r r |          ends where the header of 8 says
 *     segment 8  | C r r r r |
 *     segment 9  | C r r x . r . . |    the last: x is the first that does not hold
 *                        |   └ verifies, and its durable stamp is at or above x's: damage
 *                        └ nothing behind x vouches for it: a torn tail, cut here
 *
 * x's stamp is the lowest that it could have: one above the last given before it. A checkpoint or marker
 * takes none, so no stamp tells that it was durable; what does is any marker behind it, since all before
 * a marker was durable. A segment's first checkpoint must be there, and all up to its durable stamp: they
 * were synced before the segment had its name.
 */

#include "proto/log.h"

struct log_scan {
    uint32_t segment_count;
    struct log_segment_header header; /* of the segment looked at last */
    uint64_t chain;                   /* at the end of what holds */
    uint64_t last;    /* last stamp given by what holds, checkpoints' raised ones excluded */
    uint64_t durable; /* the highest stamp that a record, or a segment's existence, vouched for */
    bool is_stopped;  /* the last record is the marker of a clean stop */

    /* Of the segment looked at last. */
    uint64_t end;          /* offset behind its last record that holds */
    uint64_t proven_end;   /* offset behind the last with stamps that is at or below `durable` */
    uint64_t proven_last;  /* its last stamp, and */
    uint64_t proven_chain; /* the chain there */
};

enum log_verdict {
    LOG_SCAN_FINE,
    LOG_SCAN_TORN, /* fine up to `end`; behind it a record was not written whole. Only in the last */
    LOG_SCAN_DAMAGED, /* the text says where */
};

enum { LOG_SCAN_TEXT_LEN = 192 };

/*
 * What is told of each record that holds, in order. False ends the scan as damaged; why, the visitor has
 * kept: `text` is left as it made it.
 */
typedef bool log_visit(void *context, const struct log_record_header *header, struct bytes payload,
                       uint64_t offset);

/*
 * The next segment: `bytes` is the whole file. `next`: the header of the one behind it; NULL for the last.
 * `tree_durable`: the durable stamp that the tree's last transaction stored: records up to it must be
 * there. `visit` may be NULL. On damage `text` says offset and reason ("offset 8192: ..."). That the
 * oldest segment reaches down to `applied` (RULES L2) is for the caller to see.
 */
enum log_verdict log_scan_segment(struct log_scan *scan, struct bytes bytes,
                                  const struct log_segment_header *next, uint64_t tree_durable,
                                  log_visit *visit, void *context, char text[LOG_SCAN_TEXT_LEN]);

/* --- for looking behind damage --- */

/* Whether a whole record stands there: header, payload and padding are as they were written. */
bool log_scan_record_at(struct bytes segment, uint64_t offset, uint64_t salt,
                        struct log_record_header *header, struct bytes *payload);

/* The first at or behind `offset`, a multiple of 8; segment.len: there is none. */
uint64_t log_scan_find(struct bytes segment, uint64_t offset, uint64_t salt,
                       struct log_record_header *header, struct bytes *payload);

#endif
