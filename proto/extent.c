/* SPDX-License-Identifier: MIT */
#include "proto/extent.h"

#include "proto/head.h"

void extent_reset(struct extent *extent)
{
    extent->scanned = 0;
    extent->depth = 0;
    extent->left[0] = 1;
}

/* Each object still to come needs a byte at least. */
static bool can_fit(const struct extent *extent, size_t len_max)
{
    return extent->scanned <= len_max && extent->left[extent->depth] <= len_max - extent->scanned;
}

/* A head that is not whole yet may be too long already. */
static bool head_can_fit(const struct extent *extent, const struct head *head, size_t len_max)
{
    return extent->left[extent->depth] - 1 + head->len <= len_max - extent->scanned;
}

static enum extent_result bad(enum unpack_fault why, enum unpack_fault *fault)
{
    *fault = why;
    return EXTENT_BAD;
}

/* Head and payload of an object without children, of the kinds that are common; else 0. left > 0. */
static inline size_t leaf_len(const uint8_t *next, size_t left)
{
    uint8_t first = *next;
    if (first < 0x80 || first >= 0xe0) {
        return 1;
    }
    if (first >= 0xa0 && first < 0xc0) {
        return 1 + (size_t)(first & 0x1f);
    }
    switch (first) {
    case 0xc0: /* nil */
    case 0xc2: /* false */
    case 0xc3: /* true */
        return 1;
    case 0xcc: /* uint 8, 16, 32, 64 */
        return 2;
    case 0xcd:
        return 3;
    case 0xce:
        return 5;
    case 0xcf:
        return 9;
    case 0xc4: /* bin 8, str 8 */
    case 0xd9:
        return left > 1 ? 2 + (size_t)next[1] : 0;
    default:
        return 0;
    }
}

/*
 * The length of an object that is here as a whole and made of common kinds, as nearly all requests are;
 * else 0, and extent_scan looks thoroughly. It keeps no depths: what opens few arrays and maps is not
 * deep.
 */
static size_t scan_whole(struct bytes data, size_t len_max)
{
    const uint8_t *start = data.data;
    size_t len = data.len < len_max ? data.len : len_max;
    size_t at = 0;
    size_t left = 1; /* objects still to come */
    unsigned opened_count = 0;
    while (left > 0 && at < len) {
        uint8_t first = start[at];
        if (first >= 0x80 && first < 0xa0) { /* fixmap, fixarray */
            size_t count = first & 0x0f;
            left += first < 0x90 ? 2 * count : count;
            at++;
            opened_count++;
        } else {
            size_t leaf = leaf_len(start + at, len - at);
            if (leaf == 0) {
                return 0;
            }
            at += leaf;
        }
        left--;
    }
    return left == 0 && at <= len && opened_count <= EXTENT_DEPTH_MAX ? at : 0;
}

enum extent_result extent_scan(struct extent *extent, struct bytes data, size_t len_max,
                               enum unpack_fault *fault)
{
    const uint8_t *start = data.data;
    size_t whole_len = extent->scanned == 0 ? scan_whole(data, len_max) : 0;
    if (whole_len > 0) {
        extent->scanned = whole_len;
        extent->left[0] = 0;
        return EXTENT_WHOLE;
    }
    for (;;) {
        if (!can_fit(extent, len_max)) {
            return bad(UNPACK_SHORT, fault);
        }
        if (extent->left[extent->depth] == 0) {
            return extent->scanned <= data.len ? EXTENT_WHOLE : EXTENT_PARTIAL;
        }
        if (extent->scanned >= data.len) {
            return EXTENT_PARTIAL;
        }
        struct head head;
        enum unpack_fault found =
            head_read(start + extent->scanned, data.len - extent->scanned, &head);
        if (found == UNPACK_SHORT && head_can_fit(extent, &head, len_max)) {
            return EXTENT_PARTIAL;
        }
        if (found != UNPACK_FINE) {
            return bad(found, fault);
        }
        if (!head_count(&head, &extent->depth, extent->left, EXTENT_DEPTH_MAX)) {
            return bad(UNPACK_TOO_DEEP, fault);
        }
        extent->scanned += head.len + head.payload_len;
    }
}
