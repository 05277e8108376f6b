/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_LOG_H
#define SHARDD_LOG_H

/*
 * The server's log (RULES L): one for all its ranges, in segments that are prepared and used again.
 *
 *     turn      log_add log_add log_add | log_turn_end         one record for all of a turn
 *     disk      appender writes and syncs, group after group   released = durable
 *     os        the loop writes; a sync each second            released = written
 *
 *     log-0000000000000007   log-0000000000000008   prepared-0, prepared-1
 *     <------ live: the oldest may go when `applied` is beyond it ------>
 *
 * When a segment is full the next records wait in memory until the one before is durable and the new one
 * has its header, its checkpoint and its name (L2).
 */

#include "io/appender.h"
#include "io/file.h"
#include "io/loop.h"
#include "proto/log.h"

enum durability { DURABILITY_DISK, DURABILITY_OS };

struct log;

struct log_config {
    struct loop *loop;
    struct dir *dir;
    enum durability durability;
    uint64_t segment_len; /* bytes of a segment's file; at least LOG_SEGMENT_LEN_MIN */
};

#define LOG_SEGMENT_LEN_MIN (64u << 10)

/* What the log asks of its owner, on the loop. */
struct log_owner {
    void *context;
    /*
     * log_released or log_durable has grown. Not called from inside the functions below: what a turn
     * releases at level os is seen after log_turn_end.
     */
    void (*on_progress)(void *context);
    /*
     * Appends the accounts that changed since the last call; returns how many. For LOG_OPERATIONS: asked
     * inside log_add, too, of what was added before it. So an operation is added first and counted then.
     */
    uint32_t (*put_accounts)(void *context, struct buffer *out);
    /*
     * Appends all accounts, then the control state; *account_count tells the accounts. Asked at any time on
     * the loop: control state may become durable as soon as it shows, before its LOG_STATE does.
     */
    void (*put_checkpoint)(void *context, struct buffer *out, uint32_t *account_count);
};

/* --- recovery: blocking, before anything is served --- */

/* Told together, so that the cache misses of taking them overlap. */
#define OPS_TOLD_MAX 32

/* What is told, in this order: all control records first, then the operations (RULES V2). */
struct log_visitor {
    void *context;
    /* A checkpoint or control record; `accounts` as it holds them. A control record's blob begins with
     * its enum log_control. */
    bool (*on_control)(void *context, const struct log_record_header *header, struct bytes accounts,
                       struct bytes blob);
    /*
     * The accounts of a record of operations, as they are after it: the last told is the newest. Stamps do
     * not tell: a checkpoint's may be above those behind it (N2).
     */
    bool (*on_accounts)(void *context, struct bytes accounts);
    /* Operations above `applied`, the first with that stamp: up to OPS_TOLD_MAX of one record. */
    bool (*on_ops)(void *context, uint64_t first, const struct log_op *ops, uint32_t count);
};

/*
 * Looks at what is in the directory, and changes nothing. `applied`: the tree's; `tree_durable`: the durable stamp
 * that its last transaction stored: the log must show it. NULL with `error` filled, naming file and offset: damage, a missing
 * segment, a newer format. Tells control records and accounts on the way: what was told counts when a log
 * is returned. `visitor` may be NULL where nothing can be there.
 */
struct log *log_open(const struct log_config *config, uint64_t applied, uint64_t tree_durable,
                     const struct log_visitor *visitor, char *error, size_t error_len);

/* Nothing is there: a directory of a new server, or of an earlier version without a log. */
bool log_is_new(const struct log *log);
bool log_was_stopped(const struct log *log); /* cleanly */
uint64_t log_recovered_last(const struct log *log);
uint64_t log_found_count(const struct log *log); /* operations above `applied`, about: to be told */

/* Tells all operations above `applied`. False with `error` filled when the visitor or a file refused. */
bool log_replay(struct log *log, const struct log_visitor *visitor, char *error, size_t error_len);

/* Stamps go on above this one. Before log_start: of a directory that had no log. */
void log_raise(struct log *log, uint64_t stamp);

struct log_identity {
    uint8_t cluster[ID_LEN];
    uint8_t server[ID_LEN];
    uint64_t incarnation;
};

/*
 * Begins a new segment with a checkpoint, and behind it all that was not proven durable, synced before it gets its
 * name (RULES L4). Stamps go on above what was found; after an unclean end 2^32 higher, which the checkpoint
 * holds (N2). False with `error` filled. From then on the log may be written. Not below the clock either,
 * which so must be right by then.
 */
bool log_start(struct log *log, const struct log_identity *identity, const struct log_owner *owner,
               char *error, size_t error_len);

/* --- writing --- */

/* `now_ms`: the wall clock of this turn. */
void log_turn_begin(struct log *log, uint64_t now_ms);

/*
 * Adds an operation to the turn's record; returns its stamp. LOG_RESULT and LOG_DONE stay in the record
 * of the operation that was added before them (RULES Q1).
 */
uint64_t log_add(struct log *log, const struct log_op *op);

/*
 * Further operations get stamps above this one (RULES N2). False: that is further above what is durable than a stamp
 * may be, and is on its way; to be asked again in a later turn, or when something is durable.
 */
bool log_lift(struct log *log, uint64_t stamp);

/*
 * A control record of its own, behind what was added before, durable at every level (RULES L6): nothing is done
 * because of it before log_durable is there. All accounts stand before a LOG_STATE. Returns its stamp.
 */
uint64_t log_add_control(struct log *log, enum log_control what, struct bytes blob);

/* Hands over what was added. */
void log_turn_end(struct log *log);

/*
 * The same for a turn in which only a few wait, and all for this: at level disk the loop writes and syncs
 * itself, unless syncs are slow here. Waking the log thread and being woken by it costs a quarter of one.
 */
void log_turn_end_alone(struct log *log);

/* The last stamp given; everything up to it that is durable; what replies may depend on (RULES R1). */
uint64_t log_last(const struct log *log);
uint64_t log_durable(const struct log *log);
uint64_t log_released(const struct log *log);

/* What is all at or below `applied` goes (RULES L2); durable in the tree before this is called. */
void log_free(struct log *log, uint64_t applied);

/*
 * A marker, and everything durable; then on_stopped, which must not close the log. No more operations. A log that
 * is stuck ends without what waits and without the marker, and says so.
 */
void log_stop(struct log *log, void (*on_stopped)(void *context), void *context);
void log_close(struct log *log); /* NULL is allowed */

/* Bytes of records in live segments. */
uint64_t log_used(const struct log *log);

/* log_stat's queue_len. */
uint64_t log_queue_len(const struct log *log);

struct log_stat {
    uint64_t len;  /* bytes of live segments */
    uint64_t used; /* bytes of records in them */
    uint32_t segment_count;
    uint64_t queue_len; /* bytes in memory, not durable */
    struct appender_stat appender;
};

void log_stat(const struct log *log, struct log_stat *out);

/*
 * Bytes of records that can still be written where no further segment can be prepared; with the spare, which
 * only what shrinks may enter (RULES F1).
 */
uint64_t log_room(const struct log *log);
bool log_is_disk_full(const struct log *log);

/* The next segment waits for room that the disk does not have: till then nothing becomes durable. */
bool log_is_stuck(const struct log *log);

#endif
