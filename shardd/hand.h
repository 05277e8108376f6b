/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_HAND_H
#define SHARDD_HAND_H

/*
 * The hand: a source's walk of a range that moves, as one stream of items (RULES V1, proto/stream.h).
 *
 *     start ──────── behind ────────> hand ── slice that is read ──> limit ──────── ahead ────────> end
 *              changes: emitted        │      changes: kept until the slice is done,           changes: met later
 *              as they come            │      then emitted behind it, or forgotten
 *
 *     LINES ──> RECORDS ──> LINES_AGAIN ──> AT_END
 *                  └──> FAULTY: a damaged record
 *
 * Rules:
 *  - A slice is what the interval held as it was begun: dirty entries copied, transaction begun, in one turn (S6).
 *  - The sum is that of all that was emitted: a slice's when it is, corrected by each change behind the hand (V5).
 *  - Records are verified as they pass (S10): a damaged one ends the walk.
 *  - Lines and results have no order of points. Every line goes at the beginning, with its results of the range, and
 *    from the hand's birth on each result of the range goes as it is made: so whatever ran here is known there (Q2).
 *    Lines heard of since go again at the end, which only lets the target free results sooner.
 *
 * One that only counts has nobody to emit to: it has records and bytes right, emits and verifies nothing, and goes
 * straight from RECORDS to AT_END.
 *
 * No network, and no log: what may be sent when is told with each run of items.
 */

#include "io/loop.h"
#include "proto/range_sum.h"
#include "shardd/hot.h"
#include "shardd/retry.h"
#include "shardd/tree.h"

/* Of a slice, unless it is one record. */
#define HAND_SLICE_LEN     (1u << 20)
#define HAND_SLICE_RECORDS 8192

struct hand;

/*
 * A run of whole items, at most STREAM_MESSAGE_LEN or one item, in the order of the stream: taken. It may be sent when
 * `need` is durable. `need` does not always grow from one run to the next.
 */
typedef void hand_emit(void *context, struct buffer *items, uint64_t need);

struct hand_config {
    struct loop *loop;
    struct tree *tree;
    const struct hot *hot;
    struct retries *retries;
    uint64_t start, end;    /* bounds */
    size_t slice_len;       /* 0: HAND_SLICE_LEN */
    uint32_t slice_records; /* 0: HAND_SLICE_RECORDS */
    hand_emit *emit;        /* NULL: it only counts, and needs neither lines nor `on_fault` */
    /* A damaged record, by table and point. The hand goes no further; it may be freed here, in the loop's turn only. */
    void (*on_fault)(void *context, const char *text);
    void *context;
};

/* All of it must outlive the hand. From now on it must be told of each change and result of the range (hands_add). */
struct hand *hand_new(const struct hand_config *config);

/* Waits for the slice that is read: some milliseconds. NULL is allowed. */
void hand_free(struct hand *hand);

/*
 * For the end of a turn, when all of it has been executed: emits what came behind the hand, and, if it `may_go_on` and
 * no slice is being read, begins the next one. `last_stamp` is the last that was given. A bounded step of 0.5 ms.
 */
void hand_turn(struct hand *hand, uint64_t last_stamp, uint64_t now_ms, bool may_go_on);

/* Bytes of each slice from the next one on, unless it is one record; 0: the config's. Not while one is read. */
void hand_limit_slice(struct hand *hand, size_t slice_len);

/* What was logged. All is borrowed. */
struct hand_change {
    uint64_t stamp;
    const struct log_op *op; /* a LOG_PUT, DELETE, EVICT, EXPIRE or TOUCH */
    const struct record
        *before; /* the whole record that was there, its value included; NULL: none, or damaged */
    int64_t bytes, records; /* what became of the account */
};

/* Those of one account: it has them all, and each is told of what is in its range. */
void hands_add(struct hand **first, struct hand *hand);
void hands_remove(struct hand **first, const struct hand *hand);
bool hands_have(const struct hand *first, const struct hand *hand);
void hands_on_change(struct hand *first, const struct hand_change *change);

/* A LOG_RESULT. */
void hands_on_result(struct hand *first, uint64_t stamp, const struct log_op *op);

/* All has been emitted, but for what has come since the last hand_turn. Changes may come on. */
bool hand_is_at_end(const struct hand *hand);

/* A slice is being read: there will be a turn when it is. */
bool hand_is_reading(const struct hand *hand);

/* Of all records that were emitted, as they are now; of one that only counts, records and bytes alone. */
const struct range_sum *hand_sum(const struct hand *hand);

/* Records ahead of the hand, guessed from those behind it: points are spread evenly. */
uint64_t hand_left(const struct hand *hand);

/* The bound at which its range starts. */
uint64_t hand_start(const struct hand *hand);

/* Bytes of memory of changes that wait for the end of a slice, or of the turn. */
size_t hand_len(const struct hand *hand);

#endif
