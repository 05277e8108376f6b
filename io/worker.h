/* SPDX-License-Identifier: MIT */
#ifndef IO_WORKER_H
#define IO_WORKER_H

/*
 * A thread that takes jobs in order. With io/appender.h, the only threads of a daemon: a job is given
 * copies, or what nobody writes to while it runs, and nothing else is shared; its completion is posted
 * to the loop.
 *
 * Two bodies: io/worker.c on pthreads, tests/sim/ where a job runs at a later virtual time and a
 * crash may fall before it, between its run and its completion, or after.
 */

#include "io/loop.h"

struct worker;

/* Embedded in the caller's own struct. */
struct job {
    void (*run)(struct job *job);  /* on the worker */
    void (*done)(struct job *job); /* on the loop, after run; may free the job */
    struct job *next;              /* the worker's */
};

enum worker_priority {
    WORKER_NORMAL,
    WORKER_LOW, /* runs when nothing else wants the processor (nice 19) */
};

/* `name` (at most 15 characters) is the thread's; static. Aborts when no thread can be had. */
struct worker *worker_new(struct loop *loop, const char *name, enum worker_priority priority);

/* Jobs run one after another, in this order. The job must live until `done`. */
void worker_submit(struct worker *worker, struct job *job);

/* Runs the completions that are due: for who blocks, and so does not come to the loop. Waits for none. */
void worker_complete(struct worker *worker);

/* Waits for what was submitted; runs no more completions. NULL is allowed. */
void worker_free(struct worker *worker);

#endif
