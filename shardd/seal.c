/* SPDX-License-Identifier: MIT */
#include "shardd/seal.h"

#include "io/memory.h"
#include "proto/endian.h"
#include "proto/hash.h"

enum { CHECKSUM_LEN = 8 };

static uint64_t checksum(struct bytes stored, struct bytes key)
{
    struct bytes covered =
        bytes_of((const uint8_t *)stored.data + CHECKSUM_LEN, stored.len - CHECKSUM_LEN);
    return hash_bytes(covered) + hash_bytes(key);
}

void seal_begin(struct buffer *out, uint8_t format)
{
    uint8_t head[SEAL_LEN] = {0};
    head[CHECKSUM_LEN] = format;
    buffer_clear(out);
    buffer_append(out, head, sizeof(head));
}

void seal_end(struct buffer *out, struct bytes key)
{
    memory_must(!out->failed);
    endian_put_le64(out->data, checksum(buffer_bytes(out), key));
}

enum seal_fault seal_open(struct bytes stored, struct bytes key, uint8_t format,
                          struct bytes *payload)
{
    const uint8_t *bytes = stored.data;
    if (stored.len < SEAL_LEN || endian_get_le64(bytes) != checksum(stored, key)) {
        return SEAL_DAMAGED;
    }
    if (bytes[CHECKSUM_LEN] > format) {
        return SEAL_NEWER_FORMAT;
    }
    *payload = bytes_of(bytes + SEAL_LEN, stored.len - SEAL_LEN);
    return SEAL_FINE;
}
