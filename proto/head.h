/* SPDX-License-Identifier: MIT */
#ifndef PROTO_HEAD_H
#define PROTO_HEAD_H

/*
 * The head of a MessagePack object: the one place that knows what the first bytes mean.
 *
 *     | first byte | number: 0, 1, 2, 4 or 8 bytes, big-endian | payload | children ...
 *     '---------------- head ----------------'
 *
 * Inside proto only: unpack reads values with it, unpack_skip and extent find ends.
 */

#include "proto/bytes.h"
#include "proto/unpack.h"

struct head {
    enum unpack_type type;
    uint32_t len;         /* bytes of the head itself; known from the first byte on */
    uint64_t number;      /* an integer (two's complement), the bits of a float, or: */
    uint64_t payload_len; /* bytes behind the head: of str, bin and ext (with its type byte) */
    uint64_t child_count; /* objects behind the head: of array and map */
};

/* head_read for a first byte from c0 to df; left > 0. */
enum unpack_fault head_read_long(const uint8_t *next, size_t left, struct head *head);

/* UNPACK_FINE, UNPACK_BAD_BYTE, or UNPACK_SHORT, which sets head->len alone (at least 1). */
static inline enum unpack_fault head_read(const uint8_t *next, size_t left, struct head *head)
{
    *head = (struct head){.len = 1};
    if (left == 0) {
        return UNPACK_SHORT;
    }
    uint8_t first = *next;
    if (first >= 0xc0 && first < 0xe0) {
        return head_read_long(next, left, head);
    }
    if (first < 0x80) {
        head->type = UNPACK_UINT;
        head->number = first;
    } else if (first < 0x90) {
        head->type = UNPACK_MAP;
        head->number = first & 0x0f;
        head->child_count = 2 * head->number;
    } else if (first < 0xa0) {
        head->type = UNPACK_ARRAY;
        head->number = head->child_count = first & 0x0f;
    } else if (first < 0xc0) {
        head->type = UNPACK_STR;
        head->number = head->payload_len = first & 0x1f;
    } else {
        head->type = UNPACK_INT;
        head->number = (uint64_t)(int8_t)first;
    }
    return UNPACK_FINE;
}

/*
 * Counts the object of this head off, opens it if it is an array or map, and closes all that are
 * complete. left[depth] is how many objects are still to come at `depth` and above, together:
 * start with depth 0 and left[0] = 1; at the end left[depth] is 0. False when deeper than
 * `depth_max`.
 */
static inline bool head_count(const struct head *head, uint32_t *depth, uint64_t left[],
                              uint32_t depth_max)
{
    uint32_t at = *depth;
    left[at]--;
    if (head->type == UNPACK_ARRAY || head->type == UNPACK_MAP) {
        if (at == depth_max) {
            return false;
        }
        left[at + 1] = left[at] + head->child_count;
        at++;
    }
    while (at > 0 && left[at] == left[at - 1]) {
        at--;
    }
    *depth = at;
    return true;
}

#endif
