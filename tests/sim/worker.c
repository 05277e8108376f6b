/* SPDX-License-Identifier: MIT */
#include "io/worker.h"

#include "tests/sim/turn.h"

#include <assert.h>
#include <stdlib.h>

/*
 *     submit -> (waits) -> run, in one step -> (what it wrote becomes durable) -> done, in a turn
 *
 * A crash may fall into either pause; what a sync in the job was to make durable is then in doubt.
 */
struct worker {
    struct loop *loop;
    struct job *first; /* submitted, not run */
    struct job *last;
    struct job *running; /* run; its completion is to come */
    uint32_t running_count;
    struct event run;
    struct event finish;
    struct job *finished; /* oldest first */
    struct ready ready;
};

static void run_first(struct worker *worker)
{
    struct node *node = loop_node(worker->loop);
    struct job *job = worker->first;
    worker->first = job->next;
    worker->running = job;
    worker->running_count++;
    node->jobs_waiting--;
    node->jobs_running++;
    node->in_job = true;
    node->io_done_us = world_now_us();
    job->run(job);
    node->in_job = false;
}

/* What blocks the start, it submits jobs behind. */
static void on_run(void *context)
{
    struct worker *worker = context;
    const struct node *node = loop_node(worker->loop);
    if (world_now_us() < node->busy_until_us) {
        event_set(&worker->run, node->busy_until_us - world_now_us());
        return;
    }
    run_first(worker);
    uint64_t write_us = node->io_done_us - world_now_us();
    event_set(&worker->finish, write_us + world_around(world_swarm()->io_us));
}

static void run_next(struct worker *worker)
{
    if (worker->first && !worker->running && !event_is_set(&worker->run)) {
        event_set(&worker->run, world_around(world_swarm()->io_us));
    }
}

static void on_finish(void *context)
{
    struct worker *worker = context;
    struct job **link = &worker->finished;
    while (*link) {
        link = &(*link)->next;
    }
    *link = worker->running;
    worker->running->next = NULL;
    worker->running = NULL;
    worker->running_count--;
    loop_node(worker->loop)->jobs_running--;
    loop_ready(worker->loop, &worker->ready);
    run_next(worker);
}

void worker_complete(struct worker *worker)
{
    while (worker->finished) {
        struct job *job = worker->finished;
        worker->finished = job->next;
        job->done(job);
    }
}

static void complete(void *context)
{
    worker_complete(context);
}

/* Virtual time has no processor to share: every priority is the same. */
struct worker *worker_new(struct loop *loop, const char *name, enum worker_priority priority)
{
    (void)priority;
    struct worker *worker = calloc(1, sizeof *worker);
    assert(worker);
    worker->loop = loop;
    worker->ready = (struct ready){.run = complete, .context = worker};
    event_init(&worker->run, loop_node(loop), name, on_run, worker);
    event_init(&worker->finish, loop_node(loop), name, on_finish, worker);
    return worker;
}

void worker_submit(struct worker *worker, struct job *job)
{
    job->next = NULL;
    if (worker->first) {
        worker->last->next = job;
    } else {
        worker->first = job;
    }
    worker->last = job;
    struct node *node = loop_node(worker->loop);
    node->jobs_waiting++;
    world_tempt_fate(node, node->job_crash_ppm, 4 * (uint64_t)world_swarm()->io_us);
    run_next(worker);
}

void worker_free(struct worker *worker)
{
    if (!worker) {
        return;
    }
    while (worker->first) {
        run_first(worker);
    }
    loop_node(worker->loop)->jobs_running -= worker->running_count;
    event_clear(&worker->run);
    event_clear(&worker->finish);
    loop_unready(worker->loop, &worker->ready);
    free(worker);
}
