/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_WORKLOAD_H
#define CLI_BENCH_WORKLOAD_H

/*
 * What the load generator asks for next: kinds of operations in given shares, on records drawn
 * uniformly, by Zipf, or the latest first, or ids of logical shards. ycsb-a to f are those of YCSB
 * (github.com/brianfrankcooper/YCSB, workloads/workloada to workloadf).
 */

#include "cli/bench_cluster.h"
#include "cli/bench_driver.h"
#include "cli/bench_zipf.h"

enum bench_kind {
    BENCH_READ,
    BENCH_WRITE,  /* of a record that is there */
    BENCH_INSERT, /* of a new one */
    BENCH_SCAN,   /* 1 to 100 records from a record's point on */
    BENCH_MODIFY, /* a read, and once it is answered a write of the same record: one operation */
    BENCH_MINT,   /* ids of the connection's logical shard */
    BENCH_PUT,    /* of an entity, in any of the logical shards */
};

enum { BENCH_KIND_COUNT = 7 };

enum bench_keys {
    BENCH_KEYS_UNIFORM,
    BENCH_KEYS_ZIPF,
    BENCH_KEYS_LATEST,
    BENCH_KEYS_EACH,
    BENCH_KEYS_IDS, /* none: the server gives them */
};

/* `count` logical shards, evenly spread over the circle from the first on. */
struct bench_slices {
    uint32_t first;
    uint32_t count;
};

struct bench_mix {
    const char *name;
    uint8_t percent[BENCH_KIND_COUNT];
    enum bench_keys keys;
};

/* NULL when there is none of that name. */
const struct bench_mix *bench_mix_find(const char *name);

/* "read", "write", ... */
const char *bench_kind_name(enum bench_kind kind);

struct bench_op {
    enum bench_kind kind;
    uint32_t limit; /* of a scan */
    uint64_t record;
    uint64_t point; /* of a put */
    uint8_t key[BENCH_KEY_LEN];
};

struct bench_workload {
    struct bench_mix mix;
    const struct bench_cluster *cluster;
    struct bench_random random;
    struct bench_zipf zipf;
    struct bench_slices slices; /* of BENCH_KEYS_IDS; all in the first unless set */
    uint64_t record_count;      /* grows with each insert */
    uint64_t record_end;        /* of BENCH_KEYS_EACH */
    uint64_t *next_each;        /* of BENCH_KEYS_EACH: by server, the next record to look at */
    uint8_t *values;            /* random bytes: a value is any value_len of them */
    size_t value_len;
};

/* `mix` of records that are there. False when out of memory. */
bool bench_workload_init(struct bench_workload *workload, const struct bench_mix *mix,
                         const struct bench_cluster *cluster, uint64_t record_count,
                         size_t value_len);

/* Inserts each of the records once. */
bool bench_workload_init_load(struct bench_workload *workload, const struct bench_cluster *cluster,
                              uint64_t record_count, size_t value_len);

/*
 * Where connection `index` of `count` mints, and whose server it is connected to: a random point of a logical shard, each of
 * which has its share of the connections.
 */
uint64_t bench_workload_home(struct bench_workload *workload, uint32_t index, uint32_t count);

void bench_workload_fini(struct bench_workload *workload);

/* The next operation for this server; false when there are no more. */
bool bench_workload_next(struct bench_workload *workload, uint32_t server, struct bench_op *op);

/* A value for a write: value_len bytes, hardly ever the same twice; until the workload ends. */
const uint8_t *bench_workload_value(struct bench_workload *workload);

#endif
