/* SPDX-License-Identifier: MIT */
#include "cli/bench_zipf.h"

#include <math.h>

#define EXPONENT 0.99

/* YCSB's: so many ranks, and the sum of 1/i^0.99 over them, which takes minutes to add up. */
#define SCRAMBLED_COUNT UINT64_C(10000000000)
#define SCRAMBLED_ZETA  26.46902820178302

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME  UINT64_C(0x100000001b3)

static double zeta_between(uint64_t from, uint64_t to)
{
    double sum = 0;
    for (uint64_t i = from; i < to; i++) {
        sum += pow((double)i + 1, -EXPONENT);
    }
    return sum;
}

static void set_count(struct bench_zipf *zipf, uint64_t count, double zeta)
{
    zipf->count = count;
    zipf->zeta = zeta;
    zipf->alpha = 1 / (1 - EXPONENT);
    zipf->second = 1 + pow(0.5, EXPONENT);
    zipf->eta = (1 - pow(2 / (double)count, 1 - EXPONENT)) / (1 - zeta_between(0, 2) / zeta);
}

void bench_zipf_init(struct bench_zipf *zipf, uint64_t count)
{
    set_count(zipf, count, zeta_between(0, count));
}

void bench_zipf_init_scrambled(struct bench_zipf *zipf)
{
    set_count(zipf, SCRAMBLED_COUNT, SCRAMBLED_ZETA);
}

void bench_zipf_grow(struct bench_zipf *zipf, uint64_t count)
{
    set_count(zipf, count, zipf->zeta + zeta_between(zipf->count, count));
}

uint64_t bench_zipf_rank(const struct bench_zipf *zipf, struct bench_random *random)
{
    double fraction = bench_random_fraction(random);
    double at = fraction * zipf->zeta;
    if (at < 1) {
        return 0;
    }
    if (at < zipf->second) {
        return 1;
    }
    double place = pow(zipf->eta * fraction - zipf->eta + 1, zipf->alpha);
    uint64_t rank = (uint64_t)((double)zipf->count * place);
    return rank < zipf->count ? rank : zipf->count - 1;
}

uint64_t bench_zipf_scramble(uint64_t rank, uint64_t record_count)
{
    uint64_t hash = FNV_OFFSET;
    for (unsigned i = 0; i < 8; i++) {
        hash = (hash ^ (rank & 0xff)) * FNV_PRIME;
        rank >>= 8;
    }
    return hash % record_count;
}
