/* SPDX-License-Identifier: MIT */
#include "cli/bench_timeline.h"

#include <stdlib.h>

#define NS_PER_S 1e9

void bench_timeline_fini(struct bench_timeline *timeline)
{
    free(timeline->stretches);
    timeline->stretches = NULL;
}

static void end_stretch(struct bench_timeline *timeline)
{
    struct bench_histogram *current = &timeline->current;
    struct bench_stretch *more = reallocarray(timeline->stretches, timeline->stretch_count + 1,
                                              sizeof(*timeline->stretches));
    if (!more) {
        timeline->failed = true;
        return;
    }
    timeline->stretches = more;
    more[timeline->stretch_count++] =
        (struct bench_stretch){.count = current->count,
                               .p50_ns = bench_histogram_quantile(current, 0.5),
                               .p99_ns = bench_histogram_quantile(current, 0.99),
                               .max_ns = current->max_ns};
    *current = (struct bench_histogram){0};
}

/* Ends those stretches that lie before `now_ns`; those in which nothing was answered, too. */
static void pass(struct bench_timeline *timeline, uint64_t now_ns)
{
    while (!timeline->failed &&
           now_ns >= timeline->begun_ns + (timeline->stretch_count + 1) * BENCH_STRETCH_NS) {
        end_stretch(timeline);
    }
}

void bench_timeline_begin(struct bench_timeline *timeline, enum bench_phase phase, uint64_t now_ns)
{
    if (timeline->begun_ns == 0) {
        timeline->begun_ns = now_ns;
    } else {
        timeline->phases[timeline->phase].ended_ns = now_ns;
    }
    timeline->phase = phase;
    timeline->phases[phase].begun_ns = now_ns;
}

static enum bench_phase phase_at(const struct bench_timeline *timeline, uint64_t ns)
{
    enum bench_phase found = BENCH_PHASE_BEFORE;
    for (unsigned i = 0; i < BENCH_PHASE_COUNT; i++) {
        const struct bench_phase_tally *tally = &timeline->phases[i];
        if (tally->begun_ns != 0 && tally->begun_ns <= ns) {
            found = (enum bench_phase)i;
        }
    }
    return found;
}

void bench_timeline_add(struct bench_timeline *timeline, uint64_t due_ns, uint64_t now_ns)
{
    if (timeline->begun_ns == 0 || timeline->is_ended) {
        return;
    }
    uint64_t time_ns = now_ns > due_ns ? now_ns - due_ns : 0;
    pass(timeline, now_ns);
    bench_histogram_add(&timeline->current, time_ns);
    timeline->phases[timeline->phase].count++;
    bench_histogram_add(&timeline->phases[phase_at(timeline, due_ns)].times, time_ns);
}

void bench_timeline_end(struct bench_timeline *timeline, uint64_t now_ns)
{
    if (timeline->begun_ns != 0) {
        pass(timeline, now_ns);
        timeline->phases[timeline->phase].ended_ns = now_ns;
        timeline->is_ended = true;
    }
}

double bench_timeline_ops_per_s(const struct bench_timeline *timeline, enum bench_phase phase)
{
    const struct bench_phase_tally *tally = &timeline->phases[phase];
    uint64_t length_ns = tally->ended_ns - tally->begun_ns;
    return length_ns ? (double)tally->count * NS_PER_S / (double)length_ns : 0;
}
