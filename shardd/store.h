/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_STORE_H
#define SHARDD_STORE_H

/*
 * The seam between requests and records: what this server keeps, durable and within its limits (DESIGN §5).
 *
 *     request ─> store_submit ─ at 64, or at the end of the turn ─> execute ─> hot table, log ─> op->done
 *                                                                      └ not hot: fetch ─> execute
 *     sweep: hot table ─> tree, when the log or the memory asks for it
 *
 * Rules:
 *  - Operations take effect in the order in which they were submitted; those on a key that is being
 *    fetched wait for it, in order (RULES S5), and others overtake them.
 *  - op->done comes at once, its reply must wait: it leaves with peer_output_until(outcome->need), which is
 *    released when all that it depends on is durable (RULES R1).
 *  - The loop never waits for the disk, but where a range is split, whose parts are counted at once.
 *  - After a fault that is not a lack of space the process ends, with no reply (RULES L5).
 */

#include "io/loop.h"
#include "proto/range_sum.h"
#include "shardd/account.h"
#include "shardd/interval.h"
#include "shardd/log.h"
#include "shardd/op.h"

/*
 * Bytes of operations that wait: a part of the memory, and one as large as can be. Beyond it, who would have to
 * wait is answered TRY_LATER.
 */
#define STORE_QUEUE_LEN_MAX (64u << 20)
#define STORE_QUEUE_PART    8

/*
 * RULES F3: the parts of the memory that input and output of all connections may take. A reply that is large
 * must find its part not used up.
 */
#define STORE_INPUT_PART  4
#define STORE_OUTPUT_PART 4

/* And what a source may have on its way to the target of a move. */
#define STORE_STREAM_PART 4

struct store;

struct store_config {
    struct loop *loop;
    struct dir *dir; /* locked; must outlive the store */
    enum durability durability;
    uint64_t memory_limit; /* bytes of all that the store holds in memory */
    uint64_t log_limit;    /* bytes of log that the sweep keeps to */
    uint64_t segment_len;
};

#define STORE_MEMORY_DEFAULT  (UINT64_C(256) << 20)
#define STORE_MEMORY_MIN      (UINT64_C(16) << 20)
#define STORE_LOG_DEFAULT     (UINT64_C(1) << 30)
#define STORE_SEGMENT_DEFAULT (UINT64_C(64) << 20)

/* Recovers what is there; changes nothing yet. Blocks. NULL with `error` filled. */
struct store *store_open(const struct store_config *config, char *error, size_t error_len);

/*
 * Waits for jobs that run, and gives back all that has no outcome yet as SHUTTING_DOWN, although
 * it may have been carried out: no reply may leave. A save is forgotten. NULL is allowed.
 */
void store_free(struct store *store);

/* The control state that was saved last; empty in a new directory. */
struct bytes store_control(const struct store *store);

/* Borrowed for the call. */
struct store_state {
    struct bytes control;
    const struct range *ranges; /* owned, or held for a move: by start, disjoint */
    uint32_t range_count;
};

/*
 * Takes up the ranges that the control state owned, and makes the new state durable. Blocks;
 * before anything is submitted. False with `error` filled.
 */
bool store_start(struct store *store, const struct log_identity *identity,
                 const struct store_state *state, char *error, size_t error_len);

/* Whether one more operation of so many bytes may wait for the tree. */
bool store_has_room(const struct store *store, size_t op_len);

/* The operation is copied, what it borrows must live until the end of the turn. */
void store_submit(struct store *store, const struct op *op);

/* For the end of a turn: carries out what is left, and hands over to log, workers and sweep. */
void store_turn_end(struct store *store);

/* How long the next input of whoever changes something there is to wait (RULES F3, V1). 0: not at all. */
uint32_t store_writer_delay_ms(const struct store *store, uint64_t point);

/* False: the disk is full, and nothing has changed. */
typedef void store_saved(void *context, bool is_saved);

/*
 * Makes `state` durable: from then on operations outside its ranges are WRONG_SHARD. What is newly owned is
 * emptied first. One at a time.
 */
void store_save(struct store *store, const struct store_state *state, store_saved *on_saved,
                void *context);

/* --- moves (RULES V); ranges by the bound at which they start --- */

struct hand;
struct import;

/* An import into bounds that were just emptied (shardd/import.h). */
struct import_reply;

struct store_import {
    uint64_t start, end;
    uint64_t stamp; /* the source's last, as it greeted */
    void (*on_answer)(void *context, const struct import_reply *reply, uint64_t seq,
                      enum status status, const char *text);
    void (*on_whole)(void *context, const struct range_sum *sum);
    void (*on_broken)(void *context, enum status status, const char *text);
    void *context;
};

struct import *store_import_new(struct store *store, const struct store_import *wanted);
void store_import_turn(struct store *store, struct import *import);

/*
 * A hand over bounds of which an account is kept (shardd/hand.h), not told of changes yet: emits `items`, taken, that may
 * be sent when `need` is durable.
 */
struct hand *store_hand_new(struct store *store, uint64_t start, uint64_t end,
                            void (*emit)(void *context, struct buffer *items, uint64_t need),
                            void (*on_fault)(void *context, const char *text), void *context);

/* hand_turn with what the store knows. */
void store_hand_turn(struct store *store, struct hand *hand, bool may_go_on);

/* Bytes that a stream may keep: its part of the memory, STREAM_WAITING_LEN_MAX at most. */
uint64_t store_stream_len_max(const struct store *store);

/* What moves keep in memory now, beside the store: it counts with the rest. */
void store_set_moving_len(struct store *store, uint64_t len);

/* Operations of clients, since the start. */
uint64_t store_operations(const struct store *store);

/* There is to be another turn at once. */
void store_wake(struct store *store);

/* Carries out what was submitted: before hands look at what the turn has changed. */
void store_execute(struct store *store);

uint64_t store_durable_stamp(const struct store *store);

/*
 * Ids: where their time begins, of the map; the time of the last that may have been given in slices of these bounds, and
 * that somebody else gave some (RULES I2; shardd/minter.h): reserved for before anything that is logged later.
 */
void store_set_origin(struct store *store, uint64_t origin_ms);
uint64_t store_given_ms(const struct store *store, uint64_t start, uint64_t end);
void store_take_over_ids(struct store *store, uint64_t start, uint64_t end, uint64_t ms);

/* Stamps go on above this one (RULES N2). */
void store_raise_stamp(struct store *store, uint64_t stamp);

/* What is asked of the range waits from now on, until a state is saved in which it may be carried out, or store_thaw. */
void store_freeze(struct store *store, uint64_t start);
void store_thaw(struct store *store, uint64_t start);

/* Empties bounds of which no account is kept any more (shardd/emptying.h). False: another is being emptied. */
bool store_empty(struct store *store, uint64_t start, uint64_t end, uint64_t records,
                 loop_callback *on_done, void *context);

/*
 * Parts of ranges are counted beside the work from now on, these and no others, before a state is saved that divides
 * the ranges: shardd/counting.h.
 */
void store_count(struct store *store, const struct interval *parts, uint32_t count);
bool store_has_counted(const struct store *store, const struct interval *part);
void store_on_counted(struct store *store, loop_callback *on_counted, void *context);

/* Changes of its range are told to `hand`, and not any more. */
void store_add_hand(struct store *store, struct hand *hand);
void store_remove_hand(struct store *store, const struct hand *hand);

/* Who changes something there waits for so long each time (RULES V1). */
void store_set_delay(struct store *store, uint64_t start, uint32_t delay_ms);

/* Nothing is submitted that has no outcome, and all outcomes are durable. */
bool store_is_idle(const struct store *store);

/* What is not durable waits for room that the disk does not have: it may never be idle. */
bool store_is_stuck(const struct store *store);

/* When idle: writes that the log ends here. Nothing may be submitted any more. */
void store_stop(struct store *store, loop_callback *on_stopped, void *context);

/* NULL when the point is not owned. Until the loop's next turn. */
const struct account *store_account(const struct store *store, uint64_t point);
uint64_t store_last_stamp(const struct store *store);

#endif
