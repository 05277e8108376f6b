/* SPDX-License-Identifier: MIT */
#include "cli/bench_histogram.h"

#define SUB_BITS  BENCH_HISTOGRAM_SUB_BITS
#define SUB_COUNT (UINT64_C(1) << SUB_BITS)
#define TIME_MAX  ((UINT64_C(1) << BENCH_HISTOGRAM_MAX_BITS) - 1)

/* The first two powers' worth of buckets are one apart: there a time is its own index. */
static unsigned index_of(uint64_t time_ns)
{
    if (time_ns < SUB_COUNT) {
        return (unsigned)time_ns;
    }
    unsigned shift = 63 - (unsigned)__builtin_clzll(time_ns) - SUB_BITS;
    return (unsigned)((shift << SUB_BITS) + (time_ns >> shift));
}

/* The greatest time that counts in the bucket. */
static uint64_t upper_end(unsigned index)
{
    if (index < 2 * SUB_COUNT) {
        return index;
    }
    unsigned shift = (index >> SUB_BITS) - 1;
    uint64_t lower = (SUB_COUNT + (index & (SUB_COUNT - 1))) << shift;
    return lower + (UINT64_C(1) << shift) - 1;
}

void bench_histogram_add(struct bench_histogram *histogram, uint64_t time_ns)
{
    histogram->count++;
    histogram->buckets[index_of(time_ns > TIME_MAX ? TIME_MAX : time_ns)]++;
    if (time_ns > histogram->max_ns) {
        histogram->max_ns = time_ns;
    }
}

void bench_histogram_merge(struct bench_histogram *into, const struct bench_histogram *from)
{
    into->count += from->count;
    if (from->max_ns > into->max_ns) {
        into->max_ns = from->max_ns;
    }
    for (unsigned i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
}

uint64_t bench_histogram_quantile(const struct bench_histogram *histogram, double fraction)
{
    double wanted = fraction * (double)histogram->count;
    uint64_t seen = 0;
    for (unsigned i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t time_ns = upper_end(i);
            return time_ns < histogram->max_ns ? time_ns : histogram->max_ns;
        }
    }
    return histogram->max_ns;
}
