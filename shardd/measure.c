/* SPDX-License-Identifier: MIT */
#include "shardd/measure.h"

#include <stdlib.h>

#include "io/clock.h"
#include "io/memory.h"
#include "io/worker.h"

#define PAUSE_MS 3000

struct measure {
    struct job job; /* first */
    struct tree *tree;
    struct worker *worker;
    bool is_busy;
    uint64_t begun_ms;
    struct tree_space found;   /* the worker's while is_busy */
    struct tree_space settled; /* what is told */
};

static void run(struct job *job)
{
    struct measure *measure = (struct measure *)job;
    struct tree_txn *txn = tree_begin_read(measure->tree);
    tree_measure(txn, &measure->found);
    tree_abort(txn);
}

static void done(struct job *job)
{
    struct measure *measure = (struct measure *)job;
    measure->is_busy = false;
    measure->settled = measure->found;
}

static void begin(struct measure *measure, uint64_t now_ms)
{
    measure->is_busy = true;
    measure->begun_ms = now_ms;
    worker_submit(measure->worker, &measure->job);
}

struct measure *measure_new(struct loop *loop, struct tree *tree)
{
    struct measure *measure = memory_get(1, sizeof(*measure));
    measure->job = (struct job){.run = run, .done = done};
    measure->tree = tree;
    measure->worker = worker_new(loop, "measure", WORKER_LOW);
    begin(measure, clock_mono_ms());
    return measure;
}

void measure_free(struct measure *measure)
{
    if (measure) {
        worker_free(measure->worker);
        free(measure);
    }
}

struct tree_space measure_ask(struct measure *measure, uint64_t now_ms)
{
    if (!measure->is_busy && now_ms - measure->begun_ms >= PAUSE_MS) {
        begin(measure, now_ms);
    }
    return measure->settled;
}
