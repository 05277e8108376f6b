/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_HISTOGRAM_H
#define CLI_BENCH_HISTOGRAM_H

/*
 * Counts of times in nanoseconds, log-linear: 64 equal buckets for each power of two.
 *
 *     ns       0 .. 63 | 64 .. 127 | 128, 130 .. 254 | 256, 260 .. 508 | ...  up to 2^40
 *     width       1    |     1     |        2        |        4        |
 *
 * So a time is known within 1/64 of itself. Above 2^40 ns (1,099 s) it counts as that.
 */

#include <stdint.h>

#define BENCH_HISTOGRAM_SUB_BITS 6
#define BENCH_HISTOGRAM_MAX_BITS 40
#define BENCH_HISTOGRAM_BUCKETS                                                                    \
    ((BENCH_HISTOGRAM_MAX_BITS - BENCH_HISTOGRAM_SUB_BITS + 1) << BENCH_HISTOGRAM_SUB_BITS)

/* The zero value is empty. */
struct bench_histogram {
    uint64_t count;
    uint64_t max_ns; /* exact */
    uint64_t buckets[BENCH_HISTOGRAM_BUCKETS];
};

void bench_histogram_add(struct bench_histogram *histogram, uint64_t time_ns);

void bench_histogram_merge(struct bench_histogram *into, const struct bench_histogram *from);

/*
 * The time that `fraction` (0 to 1) of all are not above, from the upper end of its bucket, at most
 * the greatest time of all; 0 when empty.
 */
uint64_t bench_histogram_quantile(const struct bench_histogram *histogram, double fraction);

#endif
