/* SPDX-License-Identifier: MIT */
#include "shardd/result.h"

#include "io/memory.h"
#include "proto/endian.h"
#include "proto/unpack.h"
#include "proto/varint.h"

enum { FIRST_FORMAT = 1, RESULT_FORMAT = 2, FIRST_FORMAT_FIELDS = 12 };

/* Which fields follow, and two that need no more than their bit. Never reused. */
enum {
    HAS_STATUS = 1 << 0,
    HAS_REASON = 1 << 1,
    HAS_KIND = 1 << 2,
    HAS_VERSION = 1 << 3,
    HAS_SIZE = 1 << 4,
    HAS_LEFT = 1 << 5,
    HAS_TTL = 1 << 6,
    HAS_INTEGER = 1 << 7,
    HAS_USED = 1 << 8,
    HAS_LIMIT = 1 << 9,
    HAS_HELD = 1 << 10,
    WAS_THERE = 1 << 11,
    IS_SLIDING = 1 << 12,
    KNOWN_FLAGS = (1 << 13) - 1,
};

enum { HEAD_LEN = 3, VERSION_LEN = 8, VARINT_COUNT = 10 };

/* --- encode --- */

static uint8_t *put(uint8_t *to, unsigned *flags, unsigned flag, uint64_t number)
{
    if (number == 0) {
        return to;
    }
    *flags |= flag;
    return varint_put(to, number);
}

static uint8_t *put_version(uint8_t *to, unsigned *flags, uint64_t version)
{
    if (version == 0) {
        return to;
    }
    *flags |= HAS_VERSION;
    endian_put_le64(to, version); /* a stamp: a varint would be longer */
    return to + VERSION_LEN;
}

void result_encode(enum op_kind op_kind, const struct outcome *outcome, uint64_t held,
                   struct buffer *out)
{
    struct bytes value = outcome->value;
    size_t len_max = HEAD_LEN + VERSION_LEN + VARINT_COUNT * VARINT_LEN_MAX + value.len;
    uint8_t *start = buffer_reserve(out, len_max);
    memory_must(start);
    unsigned flags = (outcome->was_there ? WAS_THERE : 0) | (outcome->is_sliding ? IS_SLIDING : 0);
    uint8_t *to = start + HEAD_LEN;
    to = put(to, &flags, HAS_STATUS, outcome->status);
    to = put(to, &flags, HAS_REASON, outcome->reason);
    to = put(to, &flags, HAS_KIND, outcome->kind);
    to = put_version(to, &flags, outcome->version);
    to = put(to, &flags, HAS_SIZE, outcome->size);
    to = put(to, &flags, HAS_LEFT, varint_fold(outcome->left_ms));
    to = put(to, &flags, HAS_TTL, outcome->ttl_ms);
    to = put(to, &flags, HAS_INTEGER, varint_fold(outcome->integer));
    to = put(to, &flags, HAS_USED, outcome->used);
    to = put(to, &flags, HAS_LIMIT, outcome->limit);
    to = put(to, &flags, HAS_HELD, held);
    if (value.len > 0) {
        memcpy(to, value.data, value.len);
    }
    start[0] = (uint8_t)op_kind;
    endian_put_le16(start + 1, (uint16_t)flags);
    out->len += (size_t)(to - start) + value.len;
}

/* --- decode --- */

struct reader {
    struct bytes rest;
    unsigned flags;
    bool is_fine;
};

/* 0 when it is not there. */
static uint64_t take(struct reader *in, unsigned flag, uint64_t max)
{
    uint64_t number = 0;
    if (in->flags & flag) {
        in->is_fine = in->is_fine && varint_get(&in->rest, &number) && number <= max;
    }
    return number;
}

static uint64_t take_version(struct reader *in)
{
    if (!(in->flags & HAS_VERSION)) {
        return 0;
    }
    if (in->rest.len < VERSION_LEN) {
        in->is_fine = false;
        return 0;
    }
    const uint8_t *bytes = in->rest.data;
    in->rest = bytes_of(bytes + VERSION_LEN, in->rest.len - VERSION_LEN);
    return endian_get_le64(bytes);
}

bool result_decode(struct bytes encoded, struct result *result)
{
    const uint8_t *bytes = encoded.data;
    if (encoded.len < HEAD_LEN || bytes[0] >= OP_KIND_COUNT) {
        return false;
    }
    struct reader in = {bytes_of(bytes + HEAD_LEN, encoded.len - HEAD_LEN),
                        endian_get_le16(bytes + 1), true};
    struct result found = {.op_kind = (enum op_kind)bytes[0]};
    struct outcome *outcome = &found.outcome;
    outcome->was_there = in.flags & WAS_THERE;
    outcome->is_sliding = in.flags & IS_SLIDING;
    outcome->status = (enum status)take(&in, HAS_STATUS, UINT32_MAX);
    outcome->reason = (enum op_reason)take(&in, HAS_REASON, UINT32_MAX);
    outcome->kind = (uint16_t)take(&in, HAS_KIND, UINT16_MAX);
    outcome->version = take_version(&in);
    outcome->size = take(&in, HAS_SIZE, UINT64_MAX);
    outcome->left_ms = varint_unfold(take(&in, HAS_LEFT, UINT64_MAX));
    outcome->ttl_ms = take(&in, HAS_TTL, UINT64_MAX);
    outcome->integer = varint_unfold(take(&in, HAS_INTEGER, UINT64_MAX));
    outcome->used = take(&in, HAS_USED, UINT64_MAX);
    outcome->limit = take(&in, HAS_LIMIT, UINT64_MAX);
    found.held = take(&in, HAS_HELD, UINT64_MAX);
    outcome->value = in.rest;
    if (!in.is_fine || in.flags & ~(unsigned)KNOWN_FLAGS) {
        return false;
    }
    *result = found;
    return true;
}

/* --- in the tree --- */

void result_key_encode(uint64_t point, const uint8_t client[ID_LEN], uint64_t seq,
                       uint8_t out[RESULT_KEY_LEN])
{
    endian_put_be64(out, point);
    memcpy(out + 8, client, ID_LEN);
    endian_put_be64(out + 8 + ID_LEN, seq);
}

void result_seal(struct bytes encoded, struct bytes key, struct buffer *out)
{
    seal_begin(out, RESULT_FORMAT);
    buffer_append_bytes(out, encoded);
    seal_end(out, key);
}

/* The earlier version's records never expired. */
static bool decode_first_format(struct bytes payload, struct result *result)
{
    struct unpack in = unpack_of(payload);
    struct outcome *outcome = &result->outcome;
    uint32_t field_count = unpack_array(&in);
    result->op_kind = (enum op_kind)unpack_uint_max(&in, OP_KIND_COUNT - 1);
    result->held = unpack_uint(&in);
    outcome->status = (enum status)unpack_uint_max(&in, UINT32_MAX);
    outcome->reason = (enum op_reason)unpack_uint_max(&in, UINT32_MAX);
    outcome->was_there = unpack_bool(&in);
    outcome->kind = (uint16_t)unpack_uint_max(&in, UINT16_MAX);
    outcome->version = unpack_uint(&in);
    outcome->size = unpack_uint(&in);
    outcome->integer = unpack_int(&in);
    outcome->used = unpack_uint(&in);
    outcome->limit = unpack_uint(&in);
    outcome->value = unpack_text(&in);
    outcome->left_ms = -1;
    return field_count >= FIRST_FORMAT_FIELDS && unpack_is_fine(&in);
}

enum seal_fault result_open(struct bytes stored, struct bytes key, struct buffer *out)
{
    struct bytes payload;
    struct result result = {0};
    enum seal_fault fault = seal_open(stored, key, RESULT_FORMAT, &payload);
    if (fault != SEAL_FINE) {
        return fault;
    }
    buffer_clear(out);
    if (((const uint8_t *)stored.data)[SEAL_LEN - 1] == FIRST_FORMAT) {
        if (!decode_first_format(payload, &result)) {
            return SEAL_DAMAGED;
        }
        result_encode(result.op_kind, &result.outcome, result.held, out);
        return SEAL_FINE;
    }
    if (!result_decode(payload, &result)) {
        return SEAL_DAMAGED;
    }
    buffer_append_bytes(out, payload);
    memory_must(!out->failed);
    return SEAL_FINE;
}
