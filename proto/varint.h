/* SPDX-License-Identifier: MIT */
#ifndef PROTO_VARINT_H
#define PROTO_VARINT_H

/*
 * Numbers in as few bytes as they need: seven bits a byte, low ones first, the top bit says that more
 * follow (LEB128). Signed ones are folded, so that small negative ones are short, too (zigzag).
 */

#include "proto/bytes.h"

#define VARINT_LEN_MAX (size_t)10

/* Returns the first byte behind it. */
static inline uint8_t *varint_put(uint8_t *to, uint64_t number)
{
    while (number >= 0x80) {
        *to++ = (uint8_t)(number | 0x80);
        number >>= 7;
    }
    *to++ = (uint8_t)number;
    return to;
}

/* Moves `rest` behind it. False, with nothing changed, when it is cut off or does not fit 64 bits. */
static inline bool varint_get(struct bytes *rest, uint64_t *number)
{
    const uint8_t *bytes = rest->data;
    uint64_t found = 0;
    for (size_t i = 0; i < rest->len && i < VARINT_LEN_MAX; i++) {
        uint64_t bits = bytes[i] & 0x7f;
        if (i == VARINT_LEN_MAX - 1 && bits > 1) {
            return false;
        }
        found |= bits << (7 * i);
        if (bytes[i] < 0x80) {
            *rest = bytes_of(bytes + i + 1, rest->len - i - 1);
            *number = found;
            return true;
        }
    }
    return false;
}

static inline uint64_t varint_fold(int64_t number)
{
    return ((uint64_t)number << 1) ^ (number < 0 ? UINT64_MAX : 0);
}

static inline int64_t varint_unfold(uint64_t folded)
{
    return (int64_t)((folded >> 1) ^ (folded & 1 ? UINT64_MAX : 0));
}

#endif
