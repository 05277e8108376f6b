/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_RESULT_H
#define SHARDD_RESULT_H

/*
 * The stored answer of an operation that may be sent again (RULES Q1): in memory and in the log as it is,
 * in TREE_RESULTS sealed and at the request's point, so that it goes along when the range moves:
 *
 *     result    u8 op kind | u16 LE which of these follow | status, reason, kind, version (u64 LE), size,
 *               left_ms, ttl_ms, integer, used, limit, held | value: the rest       numbers: proto/varint.h
 *
 *     tree      point u64 BE | client, 16 bytes | seq u64 BE  ->  sealed, format 2: the result
 *               format 1, of earlier versions: MessagePack [op kind, held, status, reason, was_there,
 *               kind, version, size, integer, used, limit, value bin]
 *
 * `held`: bytes that its popped value still counts against the shard. What is zero takes no room: most
 * results have about 20 bytes.
 */

#include "shardd/op.h"
#include "shardd/seal.h"

#define RESULT_KEY_LEN (8 + ID_LEN + 8)

struct result {
    enum op_kind op_kind;
    uint64_t held;
    struct outcome outcome; /* its value points into what was decoded; `need` stays 0 */
};

/* Appends. Ends the process when out of memory. */
void result_encode(enum op_kind op_kind, const struct outcome *outcome, uint64_t held,
                   struct buffer *out);

/* False, with *result untouched, when it is not one. */
bool result_decode(struct bytes encoded, struct result *result);

void result_key_encode(uint64_t point, const uint8_t client[ID_LEN], uint64_t seq,
                       uint8_t out[RESULT_KEY_LEN]);

/* What the tree stores under `key`; replaces what is in `out`. */
void result_seal(struct bytes encoded, struct bytes key, struct buffer *out);

/* The encoded result of what the tree stores, of either format; replaces what is in `out`. */
enum seal_fault result_open(struct bytes stored, struct bytes key, struct buffer *out);

#endif
