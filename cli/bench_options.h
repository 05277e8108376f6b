/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_OPTIONS_H
#define CLI_BENCH_OPTIONS_H

/* What `shardkv bench` was told, as it stands on the command line; zero is "not told". */

#include <stdbool.h>
#include <stdint.h>

struct bench_options {
    uint64_t records;
    uint64_t value_size; /* bytes */
    uint64_t connections;
    uint64_t pipeline; /* requests in flight on each connection */
    uint64_t seconds;
    uint64_t warmup; /* seconds */
    uint64_t rate;   /* operations per second, of all connections together */
    bool zipf;
    bool no_load;
    const char *redis;       /* "HOST:PORT" */
    const char *echo;        /* "HOST:PORT" */
    const char *server_pids; /* "PID[,PID...]" */

    /* Of `bench mint` and `bench put`. */
    uint64_t count;  /* ids in each mint */
    uint64_t shards; /* logical shards */

    /* A name: of `bench rebalance`. The number of a logical shard: of `bench mint` and `bench put`. */
    const char *shard;

    /* Of `bench rebalance`. */
    const char *share; /* of the hash space: "0.25" */
    uint64_t moves;
    uint64_t parts;
    bool moving_only;
    uint64_t local; /* servers */
    uint64_t cluster_pipeline;
    const char *plot; /* a file */
};

#endif
