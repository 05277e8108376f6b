/* SPDX-License-Identifier: MIT */
#include "shardd/result.h"

#include "proto/endian.h"
#include "proto/pack.h"
#include "proto/unpack.h"

enum { RESULT_FORMAT = 1, RESULT_FIELDS = 12 };

void result_key_encode(uint64_t point, const uint8_t client[ID_LEN], uint64_t seq,
                       uint8_t out[RESULT_KEY_LEN])
{
    endian_put_be64(out, point);
    memcpy(out + 8, client, ID_LEN);
    endian_put_be64(out + 8 + ID_LEN, seq);
}

void result_encode(const struct op *op, uint64_t held, struct bytes key, struct buffer *out)
{
    const struct outcome *outcome = &op->outcome;
    seal_begin(out, RESULT_FORMAT);
    pack_array(out, RESULT_FIELDS);
    pack_uint(out, op->kind);
    pack_uint(out, held);
    pack_uint(out, outcome->status);
    pack_uint(out, outcome->reason);
    pack_bool(out, outcome->was_there);
    pack_uint(out, outcome->kind);
    pack_uint(out, outcome->version);
    pack_uint(out, outcome->size);
    pack_int(out, outcome->integer);
    pack_uint(out, outcome->used);
    pack_uint(out, outcome->limit);
    pack_bin(out, buffer_bytes(&outcome->value));
    seal_end(out, key);
}

enum seal_fault result_decode(struct bytes stored, struct bytes key, struct result *result)
{
    struct bytes payload;
    enum seal_fault fault = seal_open(stored, key, RESULT_FORMAT, &payload);
    if (fault != SEAL_FINE) {
        return fault;
    }
    struct unpack in = unpack_of(payload);
    struct result found = {0};
    uint32_t field_count = unpack_array(&in);
    found.op_kind = (enum op_kind)unpack_uint_max(&in, OP_KIND_COUNT - 1);
    found.held = unpack_uint(&in);
    found.outcome.status = (enum status)unpack_uint_max(&in, UINT32_MAX);
    found.outcome.reason = (enum op_reason)unpack_uint_max(&in, UINT32_MAX);
    found.outcome.was_there = unpack_bool(&in);
    found.outcome.kind = (uint16_t)unpack_uint_max(&in, UINT16_MAX);
    found.outcome.version = unpack_uint(&in);
    found.outcome.size = unpack_uint(&in);
    found.outcome.integer = unpack_int(&in);
    found.outcome.used = unpack_uint(&in);
    found.outcome.limit = unpack_uint(&in);
    found.value = unpack_text(&in);
    if (field_count < RESULT_FIELDS || !unpack_is_fine(&in)) {
        return SEAL_DAMAGED;
    }
    *result = found;
    return SEAL_FINE;
}
