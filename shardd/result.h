/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_RESULT_H
#define SHARDD_RESULT_H

/*
 * The stored answer of an operation that may be sent again (RULES Q1), in TREE_RESULTS at the
 * request's point, so that it goes along when the range moves:
 *
 *     point u64 BE | client, 16 bytes | seq u64 BE
 *         ->  sealed [op kind, held, status, reason, was_there, kind, version, size, integer, used,
 *             limit, value bin]
 *
 * `held`: bytes that its popped value still counts against the shard.
 */

#include "shardd/op.h"
#include "shardd/seal.h"

#define RESULT_KEY_LEN (8 + ID_LEN + 8)

void result_key_encode(uint64_t point, const uint8_t client[ID_LEN], uint64_t seq,
                       uint8_t out[RESULT_KEY_LEN]);

/* The stored form of op->outcome. Ends the process when out of memory. */
void result_encode(const struct op *op, uint64_t held, struct bytes key, struct buffer *out);

/* `value` points into what was decoded; outcome.value stays empty. */
struct result {
    enum op_kind op_kind;
    uint64_t held;
    struct outcome outcome;
    struct bytes value;
};

/* *result is untouched unless SEAL_FINE. */
enum seal_fault result_decode(struct bytes stored, struct bytes key, struct result *result);

#endif
