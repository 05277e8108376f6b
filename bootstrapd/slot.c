/* SPDX-License-Identifier: MIT */
#include "bootstrapd/slot.h"

#include <assert.h>

#include "proto/endian.h"
#include "proto/hash.h"

static const char slot_magic[8] = {'s', 'k', 'v', 'm', 'a', 'p', '\r', '\n'};

enum {
    AT_FORMAT = 8,
    AT_PAYLOAD_LEN = 12,
    AT_SEQUENCE = 16,
    AT_PAYLOAD_HASH = 24,
    AT_HEADER_HASH = 32,
};

void slot_encode(const struct slot *slot, struct buffer *out)
{
    assert(slot->payload.len <= UINT32_MAX);
    uint8_t header[SLOT_HEADER_LEN];
    memcpy(header, slot_magic, sizeof(slot_magic));
    endian_put_le32(header + AT_FORMAT, SLOT_FORMAT);
    endian_put_le32(header + AT_PAYLOAD_LEN, (uint32_t)slot->payload.len);
    endian_put_le64(header + AT_SEQUENCE, slot->sequence);
    endian_put_le64(header + AT_PAYLOAD_HASH, hash_bytes(slot->payload));
    endian_put_le64(header + AT_HEADER_HASH, hash_bytes(bytes_of(header, AT_HEADER_HASH)));
    buffer_append(out, header, sizeof(header));
    buffer_append_bytes(out, slot->payload);
}

enum slot_fault slot_decode(struct bytes stored, struct slot *slot)
{
    const uint8_t *header = stored.data;
    if (stored.len < SLOT_HEADER_LEN || memcmp(header, slot_magic, sizeof(slot_magic)) != 0 ||
        endian_get_le64(header + AT_HEADER_HASH) != hash_bytes(bytes_of(header, AT_HEADER_HASH))) {
        return SLOT_DAMAGED;
    }
    uint32_t format = endian_get_le32(header + AT_FORMAT);
    if (format != SLOT_FORMAT) {
        return format > SLOT_FORMAT ? SLOT_NEWER_FORMAT : SLOT_DAMAGED;
    }
    struct bytes payload =
        bytes_of(header + SLOT_HEADER_LEN, endian_get_le32(header + AT_PAYLOAD_LEN));
    if (payload.len > stored.len - SLOT_HEADER_LEN ||
        hash_bytes(payload) != endian_get_le64(header + AT_PAYLOAD_HASH)) {
        return SLOT_DAMAGED;
    }
    *slot = (struct slot){endian_get_le64(header + AT_SEQUENCE), payload};
    return SLOT_FINE;
}
