/* SPDX-License-Identifier: MIT */
#ifndef PROTO_STREAM_H
#define PROTO_STREAM_H

/*
 * What one server sends another while a range moves (RULES V1): a run of items, in order. Each import.data carries
 * whole ones. All little-endian.
 *
 *     record     0   u8 1    1   u16 tree key length   3   u32 stored length   7   tree key, stored value
 *     operation  0   u8 2    1   u32 length            5   u64 stamp           13  operation (proto/log.h)
 *     line       0   u8 3    1   u8 flags              2   client, 16 bytes    18  u64 done
 *                26  u64 highest     34  u64 forgotten     42  u64 seen, ms since 1970
 *
 * A record is as the source's tree has it (proto/record.h), its checksums included: who takes it verifies them
 * (S10), and adds it to the sum. An operation is as in the source's log, with the version that it got there; `stamp`
 * is its place there, no lower. A result is an operation, too: LOG_RESULT, without a version. A line is what is
 * remembered of a client (Q2), without its results.
 */

#include "proto/log.h"
#include "proto/record.h"

enum stream_item { STREAM_RECORD = 1, STREAM_OPERATION = 2, STREAM_LINE = 3 };

/* Of what has a size: a result has an answer beside its popped value. */
#define STREAM_STORED_LEN_MAX    (RECORD_HEADER_LEN + VALUE_LEN_MAX)
#define STREAM_OPERATION_LEN_MAX (VALUE_LEN_MAX + (32u << 10))

/* Bytes of items in one message, unless it is a single one. */
#define STREAM_MESSAGE_LEN (1u << 20)

/* Bytes that a source may have on the way without an acknowledgement (RULES V1): a target keeps no more. */
#define STREAM_WAITING_LEN_MAX (64u << 20)

struct stream_line {
    uint8_t client[ID_LEN];
    bool is_damaged; /* the rest is not known */
    uint64_t done;
    uint64_t highest;
    uint64_t forgotten;
    uint64_t seen_ms;
};

/* One item; what is not its kind's is not set. Runs of bytes point into what was decoded. */
struct stream_unit {
    enum stream_item item;
    struct bytes tree_key; /* STREAM_RECORD: neither is looked at, but for their lengths */
    struct bytes stored;
    uint64_t stamp; /* STREAM_OPERATION */
    struct log_op op;
    struct stream_line line; /* STREAM_LINE */
};

/* Append; out->failed sticks. Lengths within the bounds above. */
void stream_record_encode(struct bytes tree_key, struct bytes stored, struct buffer *out);
void stream_operation_encode(uint64_t stamp, const struct log_op *op, struct buffer *out);
void stream_line_encode(const struct stream_line *line, struct buffer *out);

/* The next one; `rest` moves behind it. False at the end and on a fault: then rest->len says which. */
bool stream_next(struct bytes *rest, struct stream_unit *unit);

#endif
