/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_STREAM_H
#define SHARDD_STREAM_H

/*
 * A source's connection to the target of a move: sends what the hand has emitted, in order (RULES V1).
 *
 *     put ─> | not durable | may be sent |      sent      | acknowledged: freed
 *            └──────────── waiting: at most waiting_len_max ────────────┘
 *
 *     import.begin  what config.greet packs  ->  [seq, is_ready]   seq: the last message that was processed; 0: none
 *     import.data   [id, seq, items]         ->  [seq]             when it was processed
 *     import.end    [id, seq, records, bytes, high, low, stamp]  ->  []   when READY is durable; seq: behind the last
 *
 *     CONNECTING ──> GREETING ──> OPEN ──> READY
 *         ^  └──────────┴──────────┤
 *         └── after a rest <───────┴──> LOST
 *
 * Rules:
 *  - Messages are numbered from 1. One is kept until it is acknowledged; an acknowledgement counts for all before it.
 *  - A link that breaks is tried again, after 50 ms to 1 s, for as long as all fits; then what the target has not
 *    processed is sent again (V3). TRY_LATER and SHUTTING_DOWN are like a broken link. Any other refusal, or a target
 *    that has processed less than it had acknowledged, is a loss.
 *  - At waiting_len_max, with more than one message, for a second without an acknowledgement: lost (V7). So is an end
 *    that is not answered within three seconds, over whatever links.
 *  - A link without anything to send is asked every STREAM_PING_MS, by a message without items, whether it is there.
 */

#include "io/loop.h"
#include "proto/address.h"
#include "proto/buffer.h"
#include "proto/range_sum.h"
#include "proto/stream.h"

#define STREAM_PING_MS 50

struct stream;

/* The stream may be freed within any of them. */
struct stream_config {
    struct loop *loop;
    struct address target;
    uint64_t id; /* of the move */
    /*
     * Bytes, at most STREAM_WAITING_LEN_MAX; 0: that. Half of them on the way, and no further slice is read: the rest
     * is for changes.
     */
    uint64_t waiting_len_max;
    /* Packs the params of import.begin, one array, anew for each link: clocks go on. */
    void (*greet)(void *context, struct buffer *out);
    void (*on_begun)(void *context); /* once: the target has its interval empty, durably */
    void (*on_ready)(void *context); /* READY is durable at the target */
    /* `reason` ends with the call. Nothing is sent any more. */
    void (*on_lost)(void *context, const char *reason);
    void *context;
};

/* Connects at once. */
struct stream *stream_new(const struct stream_config *config);
void stream_free(struct stream *stream); /* NULL is allowed */

/* Takes `items` (hand_emit's), to be sent behind all before it, when `need` is durable. */
void stream_put(struct stream *stream, struct buffer *items, uint64_t need);

/* For the end of a turn. Sends what may be sent, at most about STREAM_MESSAGE_LEN of it. */
void stream_turn(struct stream *stream, uint64_t durable);

/* FREEZE is durable: behind all that was put goes the end. */
void stream_end(struct stream *stream, const struct range_sum *sum, uint64_t stamp,
                uint64_t ids_ms);

/* bytes_per_s: of slices, changes come on top; 0: no limit. What is paused is the hand. */
void stream_pace(struct stream *stream, uint64_t bytes_per_s, bool is_paused);

/*
 * Bytes of a slice at most, so that a pace is even; 0: no limit. Slices come late by what it takes to read one: as much
 * may come sooner behind it, but never more than one slice's worth.
 */
size_t stream_slice_len(const struct stream *stream);

/* No slice may begin for so long, in microseconds. */
void stream_rest(struct stream *stream, uint64_t length_us);

/* Whether the hand may begin a slice: less than half of waiting_len_max waits, and the pace. Where time decides, it makes a turn. */
bool stream_has_room(const struct stream *stream);

/* Bytes that were put and are not acknowledged. */
uint64_t stream_waiting(const struct stream *stream);

/* Monotonic: when the target answered last; 0: never. */
uint64_t stream_heard_ms(const struct stream *stream);

struct stream_stat {
    uint64_t waiting_len; /* bytes: stream_waiting */
    uint64_t sent_len;    /* bytes that the target has acknowledged */
    uint64_t bytes_per_s; /* of these, in the last seconds, the last counting most */
};

void stream_stat(const struct stream *stream, struct stream_stat *stat);

#endif
