/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_IMPORT_H
#define SHARDD_IMPORT_H

/*
 * The target's end of a move: takes the stream (proto/stream.h) into an interval that was emptied (RULES V2).
 *
 *     import_take ─> messages, by seq    | 4 | 5 | 6 | 7 | 8 |
 *     records        sweep's worker         └───┴── in one transaction, while the next ones arrive
 *     changes        own worker          └ what the tree has of their keys ─> loop: log, hot table ─> answered
 *
 * Rules:
 *  - A message's changes follow when the records of all messages up to it are committed, in their order (V1). Records
 *    of later messages may be stored before: a slice brings what the hand passes for the first time, so no change
 *    that stands before it in the stream has touched it.
 *  - What the sweep writes of a change is never overtaken by a slice: that was committed before the change was
 *    taken, in a transaction behind which the sweep's next one comes. A record that is behind the hand, or there
 *    already, breaks the import (S3).
 *  - The log's stamps are above all of a message before anything of it is stored or logged (N2).
 *  - The sum is of what was stored: a record that is replaced is taken out of it as it was found here (V5).
 *  - What waits is bounded by what a source may have without an answer; nothing beyond is kept (F3).
 */

#include "io/loop.h"
#include "proto/range_sum.h"
#include "proto/status.h"
#include "proto/stream.h"
#include "shardd/execute.h"
#include "shardd/sweep.h"

struct import;
struct peer;

/* Whom to answer. The caller's: nothing is done with it here. */
struct import_reply {
    struct peer *peer;
    uint32_t msgid;
};

struct import_config {
    struct loop *loop;
    struct tree *tree;
    struct sweep *sweep;
    struct execution *execution; /* the store's; its accounts have one of [start, end) */
    uint64_t start, end;         /* bounds */
    uint64_t stamp; /* the source's last as it greeted; RULES V9 has been asked of it */
    /* Of each import_take, once, perhaps from inside. OK: it is applied, as are all before it. */
    void (*on_answer)(void *context, const struct import_reply *reply, uint64_t seq,
                      enum status status, const char *text);
    /* From inside import_turn, and the import may be freed there. `sum`: of all that has come; once for each import_end. */
    void (*on_whole)(void *context, const struct range_sum *sum);
    /* At most once, the last callback but answers. */
    void (*on_broken)(void *context, enum status status, const char *text);
    void *context;
};

/* How far stamps may be above this server's clock, or what both began with, whichever is higher (RULES V9). */
#define IMPORT_AHEAD_MS 60000

/*
 * And the source's own, as it greets, above this server's clock: a year. What is more than a day bootstrapd lets through
 * when it is forced to, or for a try that is made again; beyond a year no crashes have lifted it (RULES N2).
 */
#define IMPORT_SOURCE_AHEAD_MS (UINT64_C(366) * 86400000)

/* Whether the stamp is more than `ahead_ms` above both: it would stay in this server's for ever. */
bool import_is_too_far_ahead(uint64_t stamp, uint64_t base_stamp, uint64_t ahead_ms);

/* The interval is empty in tree and hot table, and its account is; no turn of the loop before lies between. */
struct import *import_new(const struct import_config *config);

/* What has no answer gets TRY_LATER. A transaction that runs is not waited for. NULL is allowed. */
void import_free(struct import *import);

/*
 * The source has a new link: what came by the one before and has no answer gets TRY_LATER, though it stays. Returns
 * the seq up to which all is applied: what comes again behind it is known by its seq. The first message has seq 1.
 */
uint64_t import_link(struct import *import);

/* Copies `items`. What is refused changes nothing. */
void import_take(struct import *import, uint64_t seq, struct bytes items,
                 const struct import_reply *reply);

/*
 * The end, as a message of its own: on_whole or on_broken follows. `stamp`: the source's last; what it told of may have
 * gone before the hand met it, and versions grow all the same (RULES N2). False: out of sequence, or too far ahead (V9).
 */
bool import_end(struct import *import, uint64_t seq, const struct range_sum *sum, uint64_t stamp);

/* For the end of a turn, within which the log may be added to, and before log and sweep have theirs. */
void import_turn(struct import *import);

/* Of what is stored so far. */
const struct range_sum *import_sum(const struct import *import);

/* Bytes of memory. */
size_t import_len(const struct import *import);

#endif
