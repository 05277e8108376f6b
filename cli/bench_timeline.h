/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_TIMELINE_H
#define CLI_BENCH_TIMELINE_H

/*
 * What a run with a move in its middle has measured: by phase, and in short stretches for a picture.
 *
 *     | before |  during  | deleting | after |       phases; the source deletes what it has given away
 *     |.|.|.|.|.|.|.|.|.|.|.|.|.|.|.|.|.|.|.|        stretches of BENCH_STRETCH_NS
 *
 * An operation counts where it was answered; its time counts where it was due, so that one that a hold kept waiting
 * tells of the hold.
 */

#include "cli/bench_histogram.h"

#include <stdbool.h>

/* Fine enough to see a hold of some milliseconds in p99, coarse enough to have one. */
#define BENCH_STRETCH_NS UINT64_C(100000000)

enum bench_phase {
    BENCH_PHASE_BEFORE,
    BENCH_PHASE_DURING,
    BENCH_PHASE_DELETING,
    BENCH_PHASE_AFTER,
};

enum { BENCH_PHASE_COUNT = 4 };

struct bench_stretch {
    uint64_t count;
    uint64_t p50_ns, p99_ns, max_ns; /* of what was answered in it */
};

struct bench_phase_tally {
    uint64_t begun_ns; /* 0: it has not come */
    uint64_t ended_ns;
    uint64_t count;
    struct bench_histogram times;
};

/* Large: on the heap. The zero value is ready for bench_timeline_begin. */
struct bench_timeline {
    uint64_t begun_ns; /* 0: nothing counts yet */
    bool is_ended;     /* nothing counts any more */
    enum bench_phase phase;
    struct bench_phase_tally phases[BENCH_PHASE_COUNT];
    struct bench_histogram current; /* of the stretch under way */
    struct bench_stretch *stretches;
    uint64_t stretch_count;
    bool failed; /* out of memory: stretches are missing */
};

void bench_timeline_fini(struct bench_timeline *timeline);

/* The phase under way ends, and this one begins; the first call begins it all. */
void bench_timeline_begin(struct bench_timeline *timeline, enum bench_phase phase, uint64_t now_ns);

/* An operation that was due at `due_ns` was answered. Nothing happens before the first phase and after the end. */
void bench_timeline_add(struct bench_timeline *timeline, uint64_t due_ns, uint64_t now_ns);

void bench_timeline_end(struct bench_timeline *timeline, uint64_t now_ns);

/* 0 for a phase that has not come. */
double bench_timeline_ops_per_s(const struct bench_timeline *timeline, enum bench_phase phase);

#endif
