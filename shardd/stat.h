/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_STAT_H
#define SHARDD_STAT_H

/*
 * What a server tells of itself: the result of `stat` (PROTOCOL.md "Other methods").
 *
 *     { server, incarnation, state, ..., stamp, hot_bytes, ..., shards: [ {name, ...}, ... ] }
 *       └─ struct stat_server ──────┘  └─ struct store_stat ─┘          └─ struct account ─┘
 *
 * A name, once given, keeps its meaning and its unit: readers skip names that they do not know, and
 * do without those that are not there.
 */

#include "shardd/account.h"
#include "shardd/ownership.h"

struct store;

/* How the store does. Times of the log's syncs and sizes of its groups are of the last minutes. */
struct store_stat {
    /* Memory by use, in bytes (RULES F3). */
    uint64_t hot_bytes;       /* records in memory, keys and values */
    uint64_t table_bytes;     /* what finds them */
    uint64_t dirty_bytes;     /* of hot_bytes: not yet in the tree */
    uint64_t log_queue_bytes; /* waiting for the log thread */
    uint64_t output_bytes;    /* replies that are not sent yet */
    uint64_t input_bytes;     /* messages that are not whole yet */
    uint64_t scan_bytes;      /* scans that are being made, or wait for what they hid */
    uint64_t waiting_bytes;   /* operations that wait, and what is fetched for them */
    uint64_t moving_bytes;    /* of moves: what is on its way, or has come and is not applied */
    uint64_t results_bytes;   /* results kept for retries (RULES Q2) */
    uint64_t memory_limit;    /* --memory, in bytes */

    uint64_t hot_records;
    uint64_t dirty_records;

    uint64_t log_bytes; /* of segments that recovery would need */
    uint64_t log_limit;

    uint64_t last_stamp;
    uint64_t durable_stamp;
    uint64_t applied_stamp; /* all up to it is in the tree (RULES S2) */

    const char *durability; /* "disk" or "os"; static storage */
    uint64_t sync_p50_us;
    uint64_t sync_p99_us;
    uint64_t sync_max_us;
    uint64_t group_p50_bytes; /* of one sync */
    uint64_t group_p99_bytes;

    /* Since the start. */
    uint64_t evictions;
    uint64_t expirations;
    uint64_t sweep_rounds;  /* times the hand has gone round (RULES S2) */
    uint64_t sweep_records; /* that it wrote to the tree */
    uint64_t cold_reads;    /* records fetched from the tree for a request */
    uint64_t cpu_user_ms;   /* of the process, all threads (getrusage) */
    uint64_t cpu_system_ms; /* of the process, all threads */

    uint64_t tree_used_bytes;     /* pages with records or structure */
    uint64_t tree_reusable_bytes; /* free pages within the file */
    uint64_t tree_file_bytes;

    uint64_t disk_free_bytes;
    bool is_disk_full; /* growing writes are refused (RULES F1) */

    uint64_t clock_behind_ms; /* of the last stamp; 0: it is not behind (RULES N2) */
    uint64_t ids_ahead_ms;    /* of the clock, the reserve of ids is; 0: it is not (RULES I3) */
};

/* Fills all of *out. */
void store_stat(const struct store *store, struct store_stat *out);

struct stat_server {
    const struct ownership *ownership;
    bool is_stopping;
    uint64_t connection_count;
};

/*
 * Packs the map up to the head of its last element, an array of shards; the caller goes on with
 * stat_pack_shard for each range that the server owns.
 */
void stat_pack_begin(const struct stat_server *server, const struct store_stat *stat,
                     struct buffer *out);

/* `range`: one of the ownership's; `account`: what it holds. */
void stat_pack_shard(const struct ownership *ownership, const struct range *range,
                     const struct account *account, struct buffer *out);

#endif
