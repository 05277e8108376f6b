/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_MOVER_H
#define CLI_BENCH_MOVER_H

/*
 * Has a range moved while the load goes on: a process of its own, which may wait for answers, and tells by a pipe.
 *
 *     for each step:   BEGUN ──> OPENED ──> OVER           then END, or FAILED at any time
 *                      asked     the target  the source
 *                                serves      has nothing left
 *
 * A round begins when all steps of the one before have opened; in it shardkv is asked for all steps at once, since its
 * bootstrapd has a queue, and Redis Cluster for one after another. News of each kind come in the order of the steps. One
 * body for each system; in Redis Cluster, where keys go one by one, the last two are one.
 */

#include <sys/types.h>

#include "cli/session.h"
#include "proto/move.h"

struct bench_mover_order {
    const struct session *session; /* of shardkv: whom to ask */
    uint64_t start, end;           /* places (bench_driver.h) */
    struct address source, target;
    uint32_t rounds;           /* there, back, there, ... */
    uint32_t parts;            /* of the range, in each round */
    uint64_t cluster_pipeline; /* Redis: keys in one MIGRATE */
    const char *output;        /* Redis: a file for what redis-cli says */
};

enum bench_news_kind {
    BENCH_NEWS_BEGUN,
    BENCH_NEWS_OPENED,
    BENCH_NEWS_OVER,
    BENCH_NEWS_FAILED,
    BENCH_NEWS_END,
};

struct bench_news {
    enum bench_news_kind kind;
    uint32_t step;    /* BEGUN, OPENED, OVER */
    uint64_t at_ns;   /* bench_now_ns */
    uint64_t records; /* OPENED, OVER: that went over, as far as is known */
    bool has_hold;    /* OPENED, OVER: the next are known */
    uint64_t hold_us[MOVE_HOLD_COUNT];
    char text[256]; /* FAILED: why */
};

/* One step of the order. */
struct bench_mover_step {
    uint64_t start, end;
    struct address source, target;
};

struct bench_mover_body {
    /* Goes through the steps, and tells with bench_mover_tell. False with why in `error`. */
    bool (*run)(const struct bench_mover_order *order, int pipe, char error[256]);
};

extern const struct bench_mover_body bench_mover_shardkv, bench_mover_redis;

/* Step `index`; false when there are no more. */
bool bench_mover_step_of(const struct bench_mover_order *order, uint32_t index,
                         struct bench_mover_step *step);

/* Starts; *pipe is where news come from. What `order` names must outlive it. -1 when it cannot. */
pid_t bench_mover_start(const struct bench_mover_body *body, const struct bench_mover_order *order,
                        int *pipe);

void bench_mover_tell(int pipe, const struct bench_news *news);

/* Waits for the next. False when there are no more, though END was not told: the process is gone. */
bool bench_mover_hear(int pipe, struct bench_news *news);

#endif
