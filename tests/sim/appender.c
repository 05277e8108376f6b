/* SPDX-License-Identifier: MIT */
#include "io/appender.h"

#include "io/logline.h"
#include "io/worker.h"
#include "proto/buffer.h"
#include "tests/sim/turn.h"

#include <assert.h>
#include <stdlib.h>

/*
 *     open --submit--> waiting --(the job before is done)--> running --done--> durable
 *
 * A group is one job of a simulated worker: a crash may fall before its run, between its writes and
 * the end of its syncs, and behind that before anyone is told.
 */

/* A copy of what was given. */
struct piece {
    struct piece *next;
    struct file *file;
    uint64_t offset;
    size_t len; /* 0: only to be synced */
    uint8_t data[];
};

struct queue {
    struct piece *first;
    struct piece *last;
    uint64_t ticket;
    size_t len;
};

struct appender {
    struct job job; /* first: the callbacks get this */
    struct worker *worker;
    appender_done *on_done;
    void *context;
    struct queue open;
    struct queue waiting;
    struct queue running;
    bool is_running;
    uint64_t done_ticket;
    uint64_t start_us;
    struct appender_stat stat;
};

static void join(struct queue *queue, struct queue *behind)
{
    if (queue->first) {
        queue->last->next = behind->first;
    } else {
        queue->first = behind->first;
    }
    queue->last = behind->last;
    queue->ticket = behind->ticket;
    queue->len += behind->len;
    *behind = (struct queue){0};
}

static void drop(struct queue *queue)
{
    while (queue->first) {
        struct piece *piece = queue->first;
        queue->first = piece->next;
        free(piece);
    }
    *queue = (struct queue){0};
}

static void must(int fault, const char *what, const struct file *file)
{
    if (fault) {
        logline_die("%s: cannot %s: %s", file_name(file), what, strerror(fault));
    }
}

static void run(struct job *job)
{
    const struct appender *appender = (const struct appender *)job;
    for (const struct piece *piece = appender->running.first; piece; piece = piece->next) {
        if (piece->len) {
            must(file_write(piece->file, piece->offset, piece->data, piece->len), "write",
                 piece->file);
        }
        if (!piece->next || piece->next->file != piece->file) {
            must(file_sync(piece->file), "sync", piece->file);
        }
    }
}

static void start(struct appender *appender)
{
    if (appender->is_running || !appender->waiting.first) {
        return;
    }
    appender->is_running = true;
    appender->start_us = world_now_us();
    join(&appender->running, &appender->waiting);
    worker_submit(appender->worker, &appender->job);
}

void appender_note_sync(struct appender *appender, size_t len, uint64_t duration_us)
{
    struct appender_stat *stat = &appender->stat;
    uint32_t sync_us = (uint32_t)duration_us;
    stat->sync_count++;
    stat->sync_us_p50 = stat->sync_us_p99 = sync_us;
    stat->sync_us_max = sync_us > stat->sync_us_max ? sync_us : stat->sync_us_max;
    stat->group_len_p50 = stat->group_len_p99 = (uint32_t)len;
}

static void done(struct job *job)
{
    struct appender *appender = (struct appender *)job;
    uint64_t ticket = appender->running.ticket;
    appender_note_sync(appender, appender->running.len, world_now_us() - appender->start_us);
    drop(&appender->running);
    appender->is_running = false;
    appender->done_ticket = ticket;
    start(appender);
    appender->on_done(appender->context, ticket);
}

struct appender *appender_new(struct loop *loop, appender_done *on_done, void *context)
{
    struct appender *appender = calloc(1, sizeof *appender);
    assert(appender);
    appender->job = (struct job){run, done, NULL};
    appender->worker = worker_new(loop, "appender", WORKER_NORMAL);
    appender->on_done = on_done;
    appender->context = context;
    return appender;
}

void appender_free(struct appender *appender)
{
    if (!appender) {
        return;
    }
    appender_submit(appender);
    worker_free(appender->worker); /* runs what is submitted */
    drop(&appender->running);
    join(&appender->running, &appender->waiting);
    run(&appender->job);
    drop(&appender->running);
    free(appender);
}

static void give(struct appender *appender, struct file *file, uint64_t offset, struct bytes data,
                 uint64_t ticket)
{
    struct piece *piece = calloc(1, sizeof *piece + data.len);
    assert(piece);
    piece->file = file;
    piece->offset = offset;
    piece->len = data.len;
    if (data.len) {
        memcpy(piece->data, data.data, data.len);
    }
    struct queue one = {piece, piece, ticket, data.len};
    join(&appender->open, &one);
}

void appender_write(struct appender *appender, struct file *file, uint64_t offset,
                    struct bytes data, uint64_t ticket)
{
    give(appender, file, offset, data, ticket);
}

void appender_sync(struct appender *appender, struct file *file, uint64_t ticket)
{
    give(appender, file, 0, bytes_of(NULL, 0), ticket);
}

void appender_submit(struct appender *appender)
{
    if (appender->open.first) {
        join(&appender->waiting, &appender->open);
        start(appender);
    }
}

uint64_t appender_done_ticket(const struct appender *appender)
{
    return appender->done_ticket;
}

size_t appender_queue_len(const struct appender *appender)
{
    return appender->open.len + appender->waiting.len + appender->running.len;
}

void appender_stat(const struct appender *appender, struct appender_stat *out)
{
    *out = appender->stat;
}
