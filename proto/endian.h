/* SPDX-License-Identifier: MIT */
#ifndef PROTO_ENDIAN_H
#define PROTO_ENDIAN_H

/* Numbers in bytes of a stated order, at any alignment. */

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t endian_get_be16(const uint8_t *from)
{
    uint16_t number;
    memcpy(&number, from, sizeof number);
    return be16toh(number);
}

static inline uint32_t endian_get_be32(const uint8_t *from)
{
    uint32_t number;
    memcpy(&number, from, sizeof number);
    return be32toh(number);
}

static inline uint64_t endian_get_be64(const uint8_t *from)
{
    uint64_t number;
    memcpy(&number, from, sizeof number);
    return be64toh(number);
}

static inline uint16_t endian_get_le16(const uint8_t *from)
{
    uint16_t number;
    memcpy(&number, from, sizeof number);
    return le16toh(number);
}

static inline uint32_t endian_get_le32(const uint8_t *from)
{
    uint32_t number;
    memcpy(&number, from, sizeof number);
    return le32toh(number);
}

static inline uint64_t endian_get_le64(const uint8_t *from)
{
    uint64_t number;
    memcpy(&number, from, sizeof number);
    return le64toh(number);
}

static inline void endian_put_be16(uint8_t *to, uint16_t number)
{
    number = htobe16(number);
    memcpy(to, &number, sizeof number);
}

static inline void endian_put_be32(uint8_t *to, uint32_t number)
{
    number = htobe32(number);
    memcpy(to, &number, sizeof number);
}

static inline void endian_put_be64(uint8_t *to, uint64_t number)
{
    number = htobe64(number);
    memcpy(to, &number, sizeof number);
}

static inline void endian_put_le16(uint8_t *to, uint16_t number)
{
    number = htole16(number);
    memcpy(to, &number, sizeof number);
}

static inline void endian_put_le32(uint8_t *to, uint32_t number)
{
    number = htole32(number);
    memcpy(to, &number, sizeof number);
}

static inline void endian_put_le64(uint8_t *to, uint64_t number)
{
    number = htole64(number);
    memcpy(to, &number, sizeof number);
}

#endif
