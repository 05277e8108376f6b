/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_RETRY_INTERNAL_H
#define SHARDD_RETRY_INTERNAL_H

/*
 * The parts of shardd/retry.h: retry.c (operations, and silence), retry_limit.c (sizes, and what is given up for
 * memory), retry_start.c (the start), retry_sweep.c (the sweep), retry_walk.c (what goes along with a range),
 * retry_move.c (what comes along with one).
 *
 *     lists by use     heard    what has not been silent for RETRY_SILENT_MS: may have results
 *                      silent   all of it forgotten; to be remembered for RETRY_REMEMBERED_MS more
 *                      damaged  neither told apart nor let go
 *                      In order of use, to RETRY_PLACE_MS: who is first has been silent for longest.
 *     lists by size    lines whose results take 2^(n-1) to 2^n - 1 bytes
 *
 * Rules:
 *  - While is_recovering no line stands in a list by use or by size; all do from end_recovery on.
 *  - Only lines among `heard` and `damaged` have results. Of damaged ones nothing is given up.
 *  - An ended line stands in no list by use.
 */

#include "shardd/line.h"
#include "shardd/result.h"
#include "shardd/retry.h"

/* A line that is used all the time is moved once in so long: an operation need not touch its neighbours. */
#define RETRY_PLACE_MS 1000

enum line_use { USE_NONE, USE_HEARD, USE_SILENT, USE_DAMAGED, USE_COUNT };

/* What the tree has of a line. */
enum { RETRY_LINE_FORMAT = 2, RETRY_LINE_FIELDS = 5 };

/* A result of 8 MiB for each of RETRY_OPEN_MAX, and more: twice as many at the next start. */
#define SIZE_COUNT 40

struct retries {
    struct accounts *accounts;
    retry_log *log;
    void *context;
    struct retry_limits limits;
    struct lines lines;
    struct line_list dirty;
    struct line_list by_use[USE_COUNT];
    struct line_list by_size[SIZE_COUNT];
    struct buffer value;   /* of the log operation that is being made */
    bool is_clearing;      /* retries_clear has begun an interval, */
    struct line *clear_at; /* and goes on here; NULL: at the end */
    uint64_t round;        /* of the sweep; a line that it has looked at has this number */
    bool is_in_round;
    bool has_batch;
    bool is_recovering; /* there may be results that their line says are gone */
    size_t batch_len;   /* bytes */
};

/* --- retry.c --- */

void retry_set_use(struct retries *retries, struct line *line, enum line_use use);

/* The sweep has to look at it. */
void retry_mark_listed(struct retries *retries, struct line *line);

/* After a change that may have left nothing for the sweep to do. Perhaps frees the line. */
void retry_settle(struct retries *retries, struct line *line);

/* The log has the line as it is, so what went is covered by `stamp`. */
void retry_note_logged(struct retries *retries, struct line *line, uint64_t stamp);

/* Begins a LOG_RESULT's value in retries->value: the encoded result is to follow. Returns its length so far. */
size_t retry_begin_result(struct retries *retries, const struct line *line, uint64_t seq);

/* A LOG_DONE. */
uint64_t retry_log_done(struct retries *retries, struct line *line);

/* A LOG_RESULT. */
uint64_t retry_log_result(struct retries *retries, struct line *line, uint64_t seq, uint64_t point,
                          struct bytes encoded);

/* Whether it is held is the caller's to say. */
struct kept *retry_take_result(struct retries *retries, struct line *line, uint64_t seq,
                               uint64_t point, uint64_t stamp, struct bytes encoded);

/* The results up to and with `last` go; `is_counted`: their popped values no longer count. Returns whether one did. */
bool retry_drop_through(struct retries *retries, struct line *line, uint64_t last, bool is_counted);

/* --- retry_limit.c --- */

/* After its results have changed. */
void retry_weigh(struct retries *retries, struct line *line);

/* No room for one more line. */
bool retry_is_full(const struct retries *retries);

static inline bool retry_has_too_much(const struct retries *retries)
{
    return retries->lines.results_len > retries->limits.results_len;
}

/*
 * Results are given up until the others keep to the limit, but not all at once: the rest is for the next call. That
 * of `seq` of `spared` stays; NULL: none is spared. Lines stay.
 */
void retry_give_up(struct retries *retries, const struct line *spared, uint64_t seq);

/* --- retry_start.c --- */

/* What a LOG_RESULT or LOG_DONE says; `encoded` points into it. */
struct told {
    struct line_state state; /* without `highest` */
    bool is_result;
    uint64_t seq;
    struct bytes encoded;
    struct result result;
};

/* False: it is not one. */
bool retry_decode(const struct log_op *op, struct told *told);

/* Each entry of this module that does not belong to the start begins with it. */
void retry_end_recovery(struct retries *retries);

#endif
