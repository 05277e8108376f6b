/* SPDX-License-Identifier: MIT */
#include "proto/head.h"

#include "proto/endian.h"

/* What a first byte from c0 to df says. */
struct form {
    uint8_t type;       /* enum unpack_type */
    uint8_t number_len; /* bytes of the number behind it */
    uint8_t number;     /* the number itself where number_len is 0 */
};

static const struct form forms[32] = {
    [0x00] = {UNPACK_NIL, 0, 0},  [0x01] = {UNPACK_NONE, 0, 0},  [0x02] = {UNPACK_BOOL, 0, 0},
    [0x03] = {UNPACK_BOOL, 0, 1}, [0x04] = {UNPACK_BIN, 1, 0},   [0x05] = {UNPACK_BIN, 2, 0},
    [0x06] = {UNPACK_BIN, 4, 0},  [0x07] = {UNPACK_EXT, 1, 0},   [0x08] = {UNPACK_EXT, 2, 0},
    [0x09] = {UNPACK_EXT, 4, 0},  [0x0a] = {UNPACK_FLOAT, 4, 0}, [0x0b] = {UNPACK_FLOAT, 8, 0},
    [0x0c] = {UNPACK_UINT, 1, 0}, [0x0d] = {UNPACK_UINT, 2, 0},  [0x0e] = {UNPACK_UINT, 4, 0},
    [0x0f] = {UNPACK_UINT, 8, 0}, [0x10] = {UNPACK_INT, 1, 0},   [0x11] = {UNPACK_INT, 2, 0},
    [0x12] = {UNPACK_INT, 4, 0},  [0x13] = {UNPACK_INT, 8, 0},   [0x14] = {UNPACK_EXT, 0, 1},
    [0x15] = {UNPACK_EXT, 0, 2},  [0x16] = {UNPACK_EXT, 0, 4},   [0x17] = {UNPACK_EXT, 0, 8},
    [0x18] = {UNPACK_EXT, 0, 16}, [0x19] = {UNPACK_STR, 1, 0},   [0x1a] = {UNPACK_STR, 2, 0},
    [0x1b] = {UNPACK_STR, 4, 0},  [0x1c] = {UNPACK_ARRAY, 2, 0}, [0x1d] = {UNPACK_ARRAY, 4, 0},
    [0x1e] = {UNPACK_MAP, 2, 0},  [0x1f] = {UNPACK_MAP, 4, 0},
};

static uint64_t read_number(const uint8_t *from, uint32_t len)
{
    switch (len) {
    case 1:
        return *from;
    case 2:
        return endian_get_be16(from);
    case 4:
        return endian_get_be32(from);
    default:
        return endian_get_be64(from);
    }
}

static uint64_t extend_sign(uint64_t number, uint32_t len)
{
    unsigned shift = 64 - 8 * len;
    return (uint64_t)((int64_t)(number << shift) >> shift);
}

/* Payload and children, by type and number. */
static void measure(struct head *head)
{
    switch (head->type) {
    case UNPACK_STR:
    case UNPACK_BIN:
        head->payload_len = head->number;
        break;
    case UNPACK_EXT:
        head->payload_len = head->number + 1;
        break;
    case UNPACK_ARRAY:
        head->child_count = head->number;
        break;
    case UNPACK_MAP:
        head->child_count = 2 * head->number;
        break;
    case UNPACK_NIL:
    case UNPACK_BOOL:
    case UNPACK_UINT:
    case UNPACK_INT:
    case UNPACK_FLOAT:
    case UNPACK_NONE:
        break;
    }
}

enum unpack_fault head_read_long(const uint8_t *next, size_t left, struct head *head)
{
    const struct form *form = &forms[*next - 0xc0];
    head->len = 1u + form->number_len;
    if (form->type == UNPACK_NONE) {
        return UNPACK_BAD_BYTE;
    }
    if (left < head->len) {
        return UNPACK_SHORT;
    }
    head->type = (enum unpack_type)form->type;
    head->number = form->number_len ? read_number(next + 1, form->number_len) : form->number;
    if (head->type == UNPACK_INT) {
        head->number = extend_sign(head->number, form->number_len);
        head->type = head->number >> 63 ? UNPACK_INT : UNPACK_UINT;
    }
    measure(head);
    return UNPACK_FINE;
}
