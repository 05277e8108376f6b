/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_CLIENT_H
#define CLI_BENCH_CLIENT_H

/*
 * The load generator's connections, driven by one thread.
 *
 *     closed loop   each reply is followed at once by the next request: connections x pipeline in
 *                   flight, and a slow server is asked less
 *     open loop     request i is meant to leave at start + i / rate; its latency counts from then on
 *                   though it may have left later, all slots being taken. So a server that stalls
 *                   cannot hide it ("coordinated omission")
 *
 * A connection that mints asks for ids of one point, and goes after it when it moves to another server.
 *
 * Written on epoll, not on io/loop.h, whose timers are whole milliseconds: in the open loop requests
 * are microseconds apart, and one that leaves late counts as a slow server. (In the closed loop both
 * cost the same at 50 connections: 3.7 us of CPU an operation without a pipeline, 0.27 with 16.)
 */

#include "cli/bench_histogram.h"
#include "cli/bench_ids.h"
#include "cli/bench_workload.h"

struct bench_client;

/* What was seen in one stretch of time. The zero value is empty. */
struct bench_tally {
    struct bench_histogram kinds[BENCH_KIND_COUNT]; /* by kind, of operations that were done */
    uint64_t errors;
    uint64_t missing; /* reads of what is not there; they count as done */
    uint64_t elapsed_ns;
    uint64_t ids;            /* that were minted or put */
    uint64_t wrong_ids;      /* errors that a reply's ids were */
    const char *wrong;       /* the last of them; NULL: none */
    uint64_t longest_gap_ns; /* without an id from any connection */
    char first_error[256];
};

enum bench_ended {
    BENCH_ENDED_TIME,
    BENCH_ENDED_DONE,        /* the workload has no more, and all is answered */
    BENCH_ENDED_INTERRUPTED, /* SIGINT or SIGTERM */
    BENCH_ENDED_BROKEN,      /* a connection; tally->first_error says why */
};

struct bench_client_config {
    const struct bench_driver *driver;
    const struct bench_cluster *cluster;
    uint32_t connections;  /* at least one for each server */
    uint32_t pipeline;     /* 1 to BENCH_SLOTS_MAX */
    uint64_t rate;         /* operations per second; 0: closed loop */
    struct bench_ids *ids; /* of a workload of ids: those that came */
    uint32_t mint_count;   /* ids in each mint */
};

/*
 * Connects. NULL with the reason in `error`. What the configuration names must outlive it, `workload`
 * too. SIGINT and SIGTERM end bench_client_run from now on.
 */
struct bench_client *bench_client_open(const struct bench_client_config *config,
                                       struct bench_workload *workload, char *error,
                                       size_t error_len);

/*
 * Goes on for `duration_ns`, 0 for as long as there is something to do; requests in flight stay so,
 * and are counted in the next stretch.
 */
enum bench_ended bench_client_run(struct bench_client *client, uint64_t duration_ns,
                                  struct bench_tally *tally);

void bench_client_close(struct bench_client *client); /* NULL is allowed */

#endif
