/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_TRAFFIC_H
#define CLI_BENCH_TRAFFIC_H

/*
 * Load on a cluster whose ranges move: one thread that follows redirects and knows what each record must hold.
 *
 *     drawn ──> sent to whom the route names ──> done: ledger, timeline
 *                ^    ^                  ├─────> moved: the route learns of it
 *                │    '── after 1 ms ────┼─────> later
 *                '───────────────────────┴─────> ask elsewhere, this time
 *
 * As bench_client (closed and open loop, latency from when a request was due), but that connections belong to no
 * share of the keys: each server has all of them, `connections` of `pipeline` requests, and so many are under way in
 * all at most. What a server refuses for good, or asks to be asked later for longer than a client's patience, is an error.
 */

#include "cli/bench_driver.h"
#include "cli/bench_ledger.h"
#include "cli/bench_route.h"
#include "cli/bench_timeline.h"

struct bench_traffic;

enum bench_traffic_kind {
    BENCH_TRAFFIC_IDLE,   /* nothing is asked */
    BENCH_TRAFFIC_LOAD,   /* each record is written once, as fast as it goes */
    BENCH_TRAFFIC_MIX,    /* reads and writes of records drawn uniformly */
    BENCH_TRAFFIC_DRAIN,  /* what is under way is waited for */
    BENCH_TRAFFIC_VERIFY, /* each record is read once; nothing is under way at its beginning */
};

struct bench_traffic_load {
    enum bench_traffic_kind kind;
    uint32_t read_percent;   /* of a mix */
    const uint32_t *records; /* that a mix draws from; NULL: all */
    uint64_t record_count;
    uint64_t rate; /* of a mix, operations a second; 0: closed loop */
};

struct bench_traffic_config {
    const struct bench_driver *driver; /* with `answer` and `place`, and slots for the pipeline */
    struct bench_route *route;         /* what is heard of moves goes there */
    struct bench_ledger *ledger;
    struct bench_timeline *timeline;
    size_t value_len;     /* at least BENCH_TRAFFIC_VALUE_MIN */
    uint32_t connections; /* to each server */
    uint32_t pipeline;    /* 1 to BENCH_SLOTS_MAX */
};

/* A plain record's value begins with the number of its write and that of the record. */
#define BENCH_TRAFFIC_VALUE_MIN 16

struct bench_traffic_counts {
    uint64_t done;
    uint64_t errors;
    uint64_t redirects;
    uint64_t laters; /* times that a server asked to be asked later */
    char first_error[256];
};

enum bench_traffic_ended {
    BENCH_TRAFFIC_TIME,
    BENCH_TRAFFIC_DONE,  /* loaded, drained, verified */
    BENCH_TRAFFIC_EVENT, /* `watched` can be read */
    BENCH_TRAFFIC_INTERRUPTED,
    BENCH_TRAFFIC_BROKEN, /* a connection; counts->first_error says why */
};

/* The key of a record: "r" and 15 hexadecimal digits. */
void bench_traffic_key(uint64_t record, uint8_t key[BENCH_KEY_LEN]);

/* Connects to all servers of the route. NULL with the reason in `error`. What the configuration names must outlive it. */
struct bench_traffic *bench_traffic_open(const struct bench_traffic_config *config, char *error,
                                         size_t error_len);

/*
 * Goes on for `duration_ns`, 0 for as long as there is something to do, or until `watched` (-1: none) can be read. What is
 * under way stays so. An open loop that is given the same load again goes on in step.
 */
enum bench_traffic_ended bench_traffic_run(struct bench_traffic *traffic,
                                           const struct bench_traffic_load *load,
                                           uint64_t duration_ns, int watched);

const struct bench_traffic_counts *bench_traffic_counts(const struct bench_traffic *traffic);

void bench_traffic_close(struct bench_traffic *traffic); /* NULL is allowed */

#endif
