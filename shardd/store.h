/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_STORE_H
#define SHARDD_STORE_H

/*
 * The seam between requests and records: operations go in, completions come back later.
 *
 *     store_submit ─> queue ─ turn end ─> group ─ worker: one synced commit ─> op->done, in order
 *
 * Rules:
 *  - Operations take effect in the order in which they were submitted.
 *  - No outcome is given before all it depends on is durable: reads wait like writes (RULES R1).
 *  - While a group commits, the next one gathers. The loop never waits for the disk.
 *  - What reads for somebody who has gone is not carried out.
 *  - After a fault that is not a lack of space the process ends, with no reply (RULES L5).
 */

#include "io/loop.h"
#include "shardd/account.h"
#include "shardd/op.h"

/* Operations and their bytes in one group: some milliseconds of work. */
#define STORE_GROUP_OPS_MAX 4096
#define STORE_GROUP_LEN_MAX (8u << 20)

/* Bytes of operations that wait. Beyond it requests are answered TRY_LATER. */
#define STORE_QUEUE_LEN_MAX (64u << 20)

struct store;

/* `path`: the locked data directory. NULL with `error` filled. Blocks. */
struct store *store_open(struct loop *loop, const char *path, char *error, size_t error_len);

/*
 * Waits for a job that runs, and gives back all that has no outcome yet as SHUTTING_DOWN, although
 * it may have been carried out: no reply may leave. A save is forgotten. NULL is allowed.
 */
void store_free(struct store *store);

/*
 * Appends the control state that was saved last; nothing in a new directory. Blocks. False with
 * `error` filled.
 */
bool store_load_control(struct store *store, struct buffer *control, char *error, size_t error_len);

/*
 * Takes up the ranges that the loaded control state owns, and makes the new one durable. Blocks;
 * before anything is submitted. False with `error` filled.
 */
bool store_start(struct store *store, struct bytes control, const struct range *ranges,
                 uint32_t range_count, char *error, size_t error_len);

/* Whether an operation of so many bytes may be submitted. */
bool store_has_room(const struct store *store, size_t op_len);

/* Takes the operation; op->done gives it back. */
void store_submit(struct store *store, struct op *op);

/* For the end of a turn: begins with what was submitted, if nothing is under way. */
void store_turn_end(struct store *store);

/* False: the disk is full, and nothing has changed. */
typedef void store_saved(void *context, bool is_saved);

/*
 * Makes `control` durable, and `ranges` those that are owned: from then on operations elsewhere are
 * WRONG_SHARD. What is newly owned is emptied first. One at a time. Copies what it needs.
 */
void store_save_control(struct store *store, struct bytes control, const struct range *ranges,
                        uint32_t range_count, store_saved *on_saved, void *context);

/* Nothing is submitted that is not answered. */
bool store_is_idle(const struct store *store);

/* As of the last group. NULL when the point is not owned. Until the loop's next turn. */
const struct account *store_account(const struct store *store, uint64_t point);
uint64_t store_last_stamp(const struct store *store);

#endif
