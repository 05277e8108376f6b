/* SPDX-License-Identifier: MIT */
#ifndef CLI_SERVER_NUMBERS_H
#define CLI_SERVER_NUMBERS_H

/*
 * The numbers in a server's answer to `stat`, one table for all that is done with them: their names
 * there and in JSON, and the lines that show them. What a server does not tell is not known: "-", and
 * null in JSON.
 *
 *       memory   hot 80 MiB, table 2.5 MiB, dirty 10 MiB, ..., limit 256 MiB
 *       records  hot 1000000, dirty 1200
 */

#include "cli/json_writer.h"

/* X(name, row, what it is there, kind) */
/* clang-format off */
#define SERVER_NUMBER_TABLE(X)                                 \
    X(hot_bytes,            "memory",  "hot",         BYTES)   \
    X(table_bytes,          "memory",  "table",       BYTES)   \
    X(dirty_bytes,          "memory",  "dirty",       BYTES)   \
    X(log_queue_bytes,      "memory",  "log queue",   BYTES)   \
    X(output_bytes,         "memory",  "output",      BYTES)   \
    X(input_bytes,          "memory",  "input",       BYTES)   \
    X(scan_bytes,           "memory",  "scans",       BYTES)   \
    X(waiting_bytes,        "memory",  "waiting",     BYTES)   \
    X(moving_bytes,         "memory",  "moves",       BYTES)   \
    X(results_bytes,        "memory",  "results",     BYTES)   \
    X(memory_limit,         "memory",  "limit",       BYTES)   \
    X(hot_records,          "records", "hot",         COUNT)   \
    X(dirty_records,        "records", "dirty",       COUNT)   \
    X(cold_reads,           "records", "cold reads",  COUNT)   \
    X(evictions,            "records", "evictions",   COUNT)   \
    X(expirations,          "records", "expirations", COUNT)   \
    X(sweep_rounds,         "sweep",   "rounds",      COUNT)   \
    X(sweep_records,        "sweep",   "records",     COUNT)   \
    X(log_bytes,            "log",     "used",        BYTES)   \
    X(log_limit,            "log",     "limit",       BYTES)   \
    X(stamp,                "stamps",  "last",        STAMP)   \
    X(durable_stamp,        "stamps",  "durable",     STAMP)   \
    X(applied_stamp,        "stamps",  "applied",     STAMP)   \
    X(sync_p50_us,          "sync",    "p50",         US)      \
    X(sync_p99_us,          "sync",    "p99",         US)      \
    X(sync_max_us,          "sync",    "max",         US)      \
    X(group_p50_bytes,      "group",   "p50",         BYTES)   \
    X(group_p99_bytes,      "group",   "p99",         BYTES)   \
    X(cpu_user_ms,          "cpu",     "user",        MS)      \
    X(cpu_system_ms,        "cpu",     "system",      MS)      \
    X(tree_used_bytes,      "tree",    "used",        BYTES)   \
    X(tree_reusable_bytes,  "tree",    "reusable",    BYTES)   \
    X(tree_file_bytes,      "tree",    "file",        BYTES)   \
    X(disk_free_bytes,      "disk",    "free",        BYTES)   \
    X(connections,          "network", "connections", COUNT)   \
    X(clock_behind_ms,      "clock",   "behind",      MS)      \
    X(ids_ahead_ms,         "clock",   "ids ahead",   MS)
/* clang-format on */

#define SERVER_NUMBER_UNKNOWN UINT64_MAX

struct server_numbers {
#define X(name, row, what, kind) uint64_t name;
    SERVER_NUMBER_TABLE(X)
#undef X
    char durability[8]; /* "" while it is not known */
    bool is_disk_full;
};

/* Nothing is known. */
void server_numbers_init(struct server_numbers *numbers);

/* Takes what is there out of the encoded reply. False when it is malformed. */
bool server_numbers_take(struct server_numbers *numbers, struct bytes reply);

/* All of them as members of the open object. */
void server_numbers_write(const struct server_numbers *numbers, struct json_writer *writer);

/* Appends a line for each row. */
void server_numbers_print(const struct server_numbers *numbers, struct buffer *text);

enum { SERVER_WARNING_LEN = 160, SERVER_WARNINGS_MAX = 3 };

/* What an operator should look at although the server serves; returns how many there are. */
unsigned server_numbers_warn(const struct server_numbers *numbers,
                             char texts[SERVER_WARNINGS_MAX][SERVER_WARNING_LEN]);

#endif
