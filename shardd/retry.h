/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_RETRY_H
#define SHARDD_RETRY_H

/*
 * Answers of operations that may be sent again (RULES Q1, Q2): in memory, in the log, and swept into
 * the tree like records (S9).
 *
 *     client ── line: done, highest, forgotten, seen_ms ── results by seq: point, result (shardd/result.h)
 *
 *     log    LOG_RESULT    key: client, point: the request's  value: done, forgotten, seen_ms, seq, result
 *            LOG_DONE      key: client, point: 0              value: done, forgotten, seen_ms
 *                          numbers: proto/varint.h; done and forgotten 0: the line has ended
 *     tree   TREE_RESULTS  point u64 BE | client | seq u64 BE ->  sealed result
 *            TREE_LINES    client                             ->  sealed, format 2: MessagePack
 *                          [done, highest, forgotten, seen_ms, stamp]
 *
 * Each LOG_RESULT tells the whole line, so the newest one alone is enough (S2); what the tree has of a newer
 * stamp is not replayed over (S3). In format 1 the fifth was a list of the results; it is not needed.
 *
 * A result goes when the client's `done` passes it, or when the client has been silent for
 * RETRY_SILENT_MS; then `forgotten` remembers its highest seq for RETRY_REMEMBERED_MS more. A seq below `done`,
 * or not above `forgotten`, is STALE: nothing runs twice. Who says RETRY_DONE_LAST is forgotten at once. A popped value is part of its result and
 * counts (`held` bytes; 0 in a shard that evicts) against the shard until the result goes; the LOG_DONE that lets go of it is
 * logged, so that the accounts that stand in the log are exact (S8).
 *
 * Both have their part of the memory. Where results exceed theirs, the line that holds most gives up its oldest
 * half: `forgotten` rises to it, as by silence. A line cannot go early: something late might run again. So where
 * lines exceed theirs, clients that are not known yet are refused.
 */

#include "proto/stream.h"
#include "shardd/account.h"
#include "shardd/op.h"
#include "shardd/tree.h"

#define RETRY_SILENT_MS     (UINT64_C(15) * 60 * 1000)
#define RETRY_REMEMBERED_MS (UINT64_C(24) * 3600 * 1000)

struct retries;

/* Adds an operation to the log of this turn, and returns its stamp. */
typedef uint64_t retry_log(void *context, const struct log_op *op);

struct retries *retries_new(struct accounts *accounts, retry_log *log, void *context);
void retries_free(struct retries *retries); /* NULL is allowed */

/* Bytes of memory of results, and of lines without them. */
struct retry_limits {
    uint64_t results_len;
    uint64_t lines_len;
};

/* Parts of `memory_len`, the whole store's; of results at least room for the largest. */
struct retry_limits retry_limits_of(uint64_t memory_len);

/* Until then there are none. */
void retries_limit(struct retries *retries, const struct retry_limits *limits);

/*
 * To be asked when an operation with an identity would run. True: *outcome is filled in, from the stored result
 * (its value points into it, until the next call of this module) or as a refusal, and it must not run; *need,
 * as outcome->need: the stamp that the answer depends on (RULES R1). False: both are untouched. Either way
 * the results below the operation's `done` go.
 */
bool retry_answer(struct retries *retries, const struct op *op, uint64_t now_ms,
                  struct outcome *outcome, uint64_t *need);

/*
 * Keeps and logs the outcome of an operation that has run (whatever its status); `held`: what its popped
 * record counted. Returns the stamp of the LOG_RESULT.
 */
uint64_t retry_keep(struct retries *retries, const struct op *op, const struct outcome *outcome,
                    uint64_t held, uint64_t now_ms);

/* OP_DONE. Returns the stamp that the answer depends on; 0: none. */
uint64_t retry_done(struct retries *retries, const struct op *op, uint64_t now_ms);

/* Lines that retries_tick lets go of at most: fewer, where they have many results. */
#define RETRY_ROUND_LINES 64

/* Once a turn: who is due by silence, and what is too much. */
void retries_tick(struct retries *retries, uint64_t now_ms);

/*
 * Everything with a point in [start, last] goes: the range is not owned, and will be emptied in the tree after this
 * (V2). Logs nothing and counts nothing; lines stay. A step: false: not through yet, the same call goes on.
 */
bool retries_clear(struct retries *retries, uint64_t start, uint64_t last);

/* Bytes that popped values with a point in [start, last] count. Looks at every line with results. */
uint64_t retries_held(struct retries *retries, uint64_t start, uint64_t last);

/* --- what goes along with a range that moves (RULES Q2) --- */

struct retry_walk {
    uint64_t start, last; /* points */
    uint64_t since_ms;    /* 0: all lines, with results in [start, last]; else lines heard since */
    void (*on_line)(void *context, const struct stream_line *line);
    void (*on_result)(void *context, uint64_t stamp, const struct log_op *op);
    void *context;
    uint64_t cursor; /* where it goes on; 0 at first */
};

/*
 * A step. False: through; each line that was there throughout was met once, and then its results. What the callbacks
 * are given ends with the call, and they call nothing of this module.
 */
bool retries_walk(struct retries *retries, struct retry_walk *walk);

/* --- what a move brings: the greater wins, since neither server may run again what the other remembers --- */

enum retry_taken {
    RETRY_TAKEN,
    RETRY_NOT_ONE, /* it cannot be decoded */
    RETRY_NO_ROOM, /* as many clients are remembered as may be */
};

/* Another server's LOG_RESULT, of a range that comes from there: kept, logged and counted as one of this server's. */
enum retry_taken retries_take_result(struct retries *retries, const struct log_op *op);

/* A line, which is damaged there or here: all that its client asks again is STALE from now on. */
enum retry_taken retries_take_line(struct retries *retries, const struct stream_line *told);

/* --- start --- */

/*
 * What the tree has. A damaged line or result is kept as such, and its client is answered RETRY_DAMAGED.
 * False with `error` filled: the tree cannot be read.
 */
bool retries_load(struct retries *retries, struct tree_txn *txn, char *error, size_t error_len);

/* LOG_RESULT or LOG_DONE at recovery; accounts are left alone (S8). False when it cannot be decoded. */
bool retries_replay(struct retries *retries, uint64_t stamp, const struct log_op *op);

/* --- the sweep (S9): as for records, in batches of copies --- */

struct retry_batch;

/*
 * The next results and lines that differ from the tree and whose stamps are at or below `durable`, at most
 * `item_max` of them; *is_end: nothing more to be taken now but what came later. NULL: nothing among those that
 * were looked at. One at a time. May log, so within a turn; RULES S2's E must not be noted before.
 */
struct retry_batch *retries_collect(struct retries *retries, uint64_t durable, uint32_t item_max,
                                    bool *is_end);
void retry_batch_write(const struct retry_batch *batch, struct tree_txn *txn); /* on the worker */
/* Frees the batch. Not written: all of it is as before, and the round begins anew. */
void retries_swept(struct retries *retries, struct retry_batch *batch, bool is_written);

bool retries_are_dirty(const struct retries *retries);
size_t retries_len(const struct retries *retries); /* bytes of memory */

#endif
