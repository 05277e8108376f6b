/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_REBALANCE_REPORT_H
#define CLI_BENCH_REBALANCE_REPORT_H

/* What `bench rebalance` has measured: for people, as JSON, and as a picture with its data. */

#include "cli/bench_mover.h"
#include "cli/bench_timeline.h"
#include "cli/failure.h"

/* One move; a time is 0 while it has not come. */
struct bench_move_times {
    uint64_t begun_ns, opened_ns, over_ns;
    uint64_t records;
    bool has_hold;
    uint64_t hold_us[MOVE_HOLD_COUNT];
};

struct bench_rebalance_result {
    const char *driver;
    const struct bench_timeline *timeline;
    const struct bench_move_times *moves;
    uint32_t move_count;
    size_t record_len; /* bytes of key and value */
    uint64_t errors;
    uint64_t redirects;
    uint64_t lost;
    uint64_t doubled;
    uint64_t verified; /* records that were read back */
};

/* Whether anything was asked and answered. */
bool bench_rebalance_has_load(const struct bench_rebalance_result *result);

/*
 * {"records_moved", "bytes_moved" (of keys and values), "seconds" (in which a move was asked for and its target did not serve yet),
 * "records_per_s", "mb_per_s" (10^6), "longest_hold_ms" (null where it is not known), "errors", "lost", "doubled",
 * "before", "during", "after": {"ops_per_s", "p50_us", "p99_us", "p999_us"}}
 */
enum exit_code bench_rebalance_print_json(const struct bench_rebalance_result *result);
enum exit_code bench_rebalance_print_table(const struct bench_rebalance_result *result);

/*
 * Writes FILE.dat and FILE.gp for FILE.svg, and has gnuplot draw it. Says why when it cannot. Without a load there is
 * nothing to draw: FILE.dat alone.
 *
 *     FILE.dat   blocks, two empty lines between them; times in seconds from the beginning, then ms, holds in us:
 *                stretches   time operations/s p50 p99 max
 *                moves       begun opened over records freeze drain sync commit open     (- for what is not known)
 *                phases      name operations/s p50 p99 p99.9 max
 */
enum exit_code bench_rebalance_plot(const struct bench_rebalance_result *result, const char *path);

#endif
