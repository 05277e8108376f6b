/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_FRAMES_H
#define TESTS_FUZZ_FRAMES_H

/*
 * What the fuzzers of frames share. An input is a byte that chooses pieces, then a stream of
 * frames. Scanned in pieces it must end where it ends at once; what is whole must be walked by the
 * decoder without a fault, to its last byte.
 */

#include <assert.h>
#include <stdlib.h>

#include "proto/extent.h"
#include "proto/rpc.h"
#include "proto/unpack.h"

static inline enum extent_result scan_whole(struct bytes stream, struct extent *extent)
{
    enum unpack_fault fault;
    extent_reset(extent);
    return extent_scan(extent, stream, FRAME_LEN_MAX, &fault);
}

static inline enum extent_result scan_in_pieces(struct bytes stream, uint8_t choice,
                                                struct extent *extent)
{
    enum unpack_fault fault;
    uint32_t state = choice;
    size_t len = 0;
    extent_reset(extent);
    for (;;) {
        enum extent_result result =
            extent_scan(extent, bytes_of(stream.data, len), FRAME_LEN_MAX, &fault);
        if (result != EXTENT_PARTIAL || len == stream.len) {
            return result;
        }
        state = state * 1103515245 + 12345;
        len += 1 + (state >> 16) % (1u + choice % 32);
        len = len < stream.len ? len : stream.len;
    }
}

/* The length of the first frame, 0 when there is none. */
static inline size_t first_frame_len(struct bytes stream, uint8_t choice)
{
    struct extent whole;
    struct extent pieces;
    enum extent_result result = scan_whole(stream, &whole);
    assert(scan_in_pieces(stream, choice, &pieces) == result);
    if (result != EXTENT_BAD) {
        assert(pieces.scanned == whole.scanned);
    }
    if (result != EXTENT_WHOLE) {
        return 0;
    }
    assert(whole.scanned > 0 && whole.scanned <= stream.len);
    return whole.scanned;
}

static inline void walk_next(struct unpack *in)
{
    int8_t type;
    switch (unpack_peek(in)) {
    case UNPACK_NIL:
        unpack_nil(in);
        break;
    case UNPACK_BOOL:
        (void)unpack_bool(in);
        break;
    case UNPACK_UINT:
        (void)unpack_uint(in);
        break;
    case UNPACK_INT:
        assert(unpack_int(in) < 0);
        break;
    case UNPACK_FLOAT:
        (void)unpack_float(in);
        break;
    case UNPACK_STR:
    case UNPACK_BIN:
        (void)unpack_text(in);
        break;
    case UNPACK_ARRAY:
        (void)unpack_array(in);
        break;
    case UNPACK_MAP:
        (void)unpack_map(in);
        break;
    case UNPACK_EXT:
        (void)unpack_ext(in, &type);
        break;
    case UNPACK_NONE:
        assert(!"a whole object ends in the middle");
    }
}

/* `object` is one whole object. */
static inline void walk(struct bytes object)
{
    struct unpack in = unpack_of(object);
    while (in.next < in.end) {
        walk_next(&in);
        assert(unpack_is_fine(&in));
    }
    in = unpack_of(object);
    (void)unpack_skip(&in);
    assert(unpack_is_done(&in) || in.fault == UNPACK_TOO_DEEP);
}

/* Calls `check` with each frame of the input, in memory of exactly its length. */
static inline void for_each_frame(const uint8_t *data, size_t len,
                                  void (*check)(struct bytes frame))
{
    if (len == 0) {
        return;
    }
    uint8_t choice = data[0];
    struct bytes stream = bytes_of(data + 1, len - 1);
    size_t frame_len;
    while ((frame_len = first_frame_len(stream, choice)) > 0) {
        void *frame = malloc(frame_len);
        assert(frame);
        memcpy(frame, stream.data, frame_len);
        check(bytes_of(frame, frame_len));
        free(frame);
        stream = bytes_of((const uint8_t *)stream.data + frame_len, stream.len - frame_len);
    }
}

#endif
