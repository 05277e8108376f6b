/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_RANDOM_H
#define CLI_BENCH_RANDOM_H

/*
 * Random numbers for the load generator: cheap, and the same again for the same seed. SplitMix64
 * (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
 */

#include <stdint.h>

struct bench_random {
    uint64_t state; /* the seed at first */
};

static inline uint64_t bench_random_next(struct bench_random *random)
{
    uint64_t mixed = random->state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

/* In [0, below): the high half of the product, so without a division. The bias is below/2^64. */
static inline uint64_t bench_random_below(struct bench_random *random, uint64_t below)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)(((wide)bench_random_next(random) * below) >> 64);
}

/* In [0, 1). */
static inline double bench_random_fraction(struct bench_random *random)
{
    return (double)(bench_random_next(random) >> 11) * 0x1p-53;
}

#endif
