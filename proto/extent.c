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

enum extent_result extent_scan(struct extent *extent, struct bytes data, size_t len_max,
                               enum unpack_fault *fault)
{
    const uint8_t *start = data.data;
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
