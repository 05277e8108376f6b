/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_ENGINE_H
#define SHARDD_ENGINE_H

/*
 * The records on disk and all that is kept beside them, changed one transaction after another.
 * It blocks, so it runs on the store's worker; before the store starts and between two jobs the
 * loop may look at it.
 *
 *     TREE_META   "control" -> what this server is and owns (shardd/control.h)
 *                 "stamp"   -> sealed last stamp given (RULES N2)
 *                 "account" | start -> shardd/account.h
 */

#include "shardd/account.h"
#include "shardd/op.h"
#include "shardd/tree.h"

/* Bytes of outcomes in one group: what waits in memory to be sent. */
#define ENGINE_RESULT_LEN_MAX (8u << 20)

struct engine;

/* `path`: the locked data directory. NULL with `error` filled. */
struct engine *engine_open(const char *path, char *error, size_t error_len);
void engine_close(struct engine *engine); /* NULL is allowed */

/*
 * The stored control state, appended to *control; nothing is appended in a directory that has
 * never had one. False with `error` filled when what is there cannot be trusted.
 */
bool engine_load(struct engine *engine, struct buffer *control, char *error, size_t error_len);

/* Takes up the accounts of `ranges`, those of the control state. False with `error` filled. */
bool engine_start(struct engine *engine, const struct range *ranges, uint32_t range_count,
                  char *error, size_t error_len);

/*
 * Makes `control` durable, and `ranges` those that are owned. What is newly owned is emptied
 * first. TREE_FINE, or nothing has changed.
 */
enum tree_fault engine_save(struct engine *engine, struct bytes control, const struct range *ranges,
                            uint32_t range_count);

/*
 * Runs operations in order, in one transaction if it can. They are durable with their outcomes
 * filled in, the first *run_count of them: the rest would make too many bytes at once. On a full
 * disk smaller transactions go on with what does not grow. Else TREE_BROKEN.
 */
enum tree_fault engine_run(struct engine *engine, struct op *const *ops, uint32_t op_count,
                           uint32_t *run_count);

/* Whether the last operations that changed something had to do without growth. */
bool engine_is_disk_full(const struct engine *engine);

/* What was behind the last fault. Static storage. */
const char *engine_fault_text(const struct engine *engine);

const struct accounts *engine_accounts(const struct engine *engine);
uint64_t engine_last_stamp(const struct engine *engine);

#endif
