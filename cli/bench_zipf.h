/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_ZIPF_H
#define CLI_BENCH_ZIPF_H

/*
 * Zipf's distribution with the exponent 0.99, as YCSB draws it (github.com/brianfrankcooper/YCSB,
 * ZipfianGenerator.java and ScrambledZipfianGenerator.java), by the method of Gray et al., "Quickly
 * generating billion-record synthetic databases", SIGMOD 1994:
 *
 *     P(rank i) = 1 / (i + 1)^0.99 / zeta(count)      exact for ranks 0 and 1, near for the others
 *
 * Scrambled: ranks of 10^10 items, spread over the records by FNV-1a, so that hot records are not
 * neighbours and the hottest has 3.8 % of all, however many records there are.
 */

#include "cli/bench_random.h"

struct bench_zipf {
    uint64_t count;
    double zeta; /* of count */
    double alpha;
    double eta;
    double second; /* rank 1 is drawn below this, rank 0 below 1 */
};

/* Takes some 20 ns for each of `count` ranks; count >= 2. */
void bench_zipf_init(struct bench_zipf *zipf, uint64_t count);

/* The same for 10^10 ranks, whose zeta is known. */
void bench_zipf_init_scrambled(struct bench_zipf *zipf);

/* Goes on from where the last count ended. count >= zipf->count. */
void bench_zipf_grow(struct bench_zipf *zipf, uint64_t count);

/* A rank in [0, count). */
uint64_t bench_zipf_rank(const struct bench_zipf *zipf, struct bench_random *random);

/* The record in [0, record_count) that a rank of the scrambled distribution stands for. */
uint64_t bench_zipf_scramble(uint64_t rank, uint64_t record_count);

#endif
