/* SPDX-License-Identifier: MIT */
#ifndef IO_APPENDER_H
#define IO_APPENDER_H

/*
 * A thread that writes and syncs what the loop gives it, in order: group commit.
 *
 *     loop     a b c      d e         f            appender_write, then appender_submit
 *     thread        [a b c] sync  [d e f] sync     one write and one fdatasync for all that waits
 *     loop                     c             f     on_done(ticket): all up to it is durable
 *
 * While one group is synced, the next one gathers. Before it takes a group the thread waits briefly for
 * it to gather (APPENDER_GATHER_US at most, a quarter of a recent sync, until it holds most of what
 * recent groups held): half as many syncs for the same writers. A failed write or sync ends the
 * process at once (RULES L5).
 *
 * Two bodies: io/appender.c, tests/sim/ where a crash may fall between any two steps.
 */

#include "io/file.h"
#include "io/loop.h"
#include "proto/bytes.h"

#define APPENDER_GATHER_US 30

struct appender;

/* On the loop: everything up to `ticket` is durable. Not for each ticket, but for the last. */
typedef void appender_done(void *context, uint64_t ticket);

/* Aborts when no thread can be had. */
struct appender *appender_new(struct loop *loop, appender_done *on_done, void *context);

/* Waits for what was submitted; runs no more callbacks. NULL is allowed. */
void appender_free(struct appender *appender);

/*
 * `data` (copied) to `offset` of `file`, which must live until the ticket is done. Tickets only grow. A file
 * is written only when all that was given for the file before is durable.
 */
void appender_write(struct appender *appender, struct file *file, uint64_t offset,
                    struct bytes data, uint64_t ticket);

/* What the loop itself wrote to the file becomes durable. */
void appender_sync(struct appender *appender, struct file *file, uint64_t ticket);

/* Lets the thread have what was given since the last time; at the end of a turn. */
void appender_submit(struct appender *appender);

/* The last ticket that is done, perhaps before on_done tells it. */
uint64_t appender_done_ticket(const struct appender *appender);

/* Bytes that were given and are not durable. */
size_t appender_queue_len(const struct appender *appender);

/* What the loop itself wrote and synced counts among the syncs. */
void appender_note_sync(struct appender *appender, size_t len, uint64_t duration_us);

/* Of the recent syncs; zero before the first. */
struct appender_stat {
    uint64_t sync_count; /* since the start */
    uint32_t sync_us_p50;
    uint32_t sync_us_p99;
    uint32_t sync_us_max;   /* since the start */
    uint32_t group_len_p50; /* bytes */
    uint32_t group_len_p99;
};

void appender_stat(const struct appender *appender, struct appender_stat *out);

#endif
