/* SPDX-License-Identifier: MIT */
#include "io/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/logline.h"
#include "io/loop_internal.h"
#include "io/memory.h"

/* Of WORKER_LOW. */
#define LOWEST_NICE 19

/* First in, first out; linked by job->next. */
struct queue {
    struct job *first;
    struct job *last;
};

struct worker {
    pthread_t thread;
    enum worker_priority priority;
    struct event *event;
    int wake_fd; /* an eventfd: readable while `finished` is not empty */

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t has_work;
    struct queue submitted;
    struct queue finished;
    bool is_ending;
};

static void push(struct queue *queue, struct job *job)
{
    job->next = NULL;
    if (queue->first == NULL) {
        queue->first = job;
    } else {
        queue->last->next = job;
    }
    queue->last = job;
}

static struct job *pop(struct queue *queue)
{
    struct job *job = queue->first;
    if (job != NULL) {
        queue->first = job->next;
    }
    return job;
}

static void wake_loop(struct worker *worker)
{
    uint64_t one = 1;
    while (write(worker->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

/* The next job, or NULL when all is done and the worker is to end. */
static struct job *await_job(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    while (worker->submitted.first == NULL && !worker->is_ending) {
        pthread_cond_wait(&worker->has_work, &worker->mutex);
    }
    struct job *job = pop(&worker->submitted);
    pthread_mutex_unlock(&worker->mutex);
    return job;
}

static void finish_job(struct worker *worker, struct job *job)
{
    pthread_mutex_lock(&worker->mutex);
    bool is_first = worker->finished.first == NULL;
    push(&worker->finished, job);
    pthread_mutex_unlock(&worker->mutex);
    if (is_first) {
        wake_loop(worker);
    }
}

static void *run_jobs(void *context)
{
    struct worker *worker = context;
    if (worker->priority == WORKER_LOW) {
        /* Linux: of this thread, not of the process. To be nice is always allowed. */
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), LOWEST_NICE);
    }
    for (;;) {
        struct job *job = await_job(worker);
        if (job == NULL) {
            return NULL;
        }
        job->run(job);
        finish_job(worker, job);
    }
}

void worker_complete(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    struct queue finished = worker->finished;
    worker->finished = (struct queue){NULL, NULL};
    pthread_mutex_unlock(&worker->mutex);
    struct job *job;
    while ((job = pop(&finished)) != NULL) {
        job->done(job);
    }
}

static void on_finished(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0) {
        return; /* EINTR: it is still readable */
    }
    worker_complete(context);
}

static void start_thread(struct worker *worker, const char *name)
{
    /* Signals are the loop's. The thread inherits the mask. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&worker->thread, NULL, run_jobs, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        logline_die("cannot start thread %s: %s", name, strerror(result));
    }
    pthread_setname_np(worker->thread, name);
}

struct worker *worker_new(struct loop *loop, const char *name, enum worker_priority priority)
{
    struct worker *worker = memory_get(1, sizeof(*worker));
    worker->priority = priority;
    pthread_mutex_init(&worker->mutex, NULL);
    pthread_cond_init(&worker->has_work, NULL);
    worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->wake_fd < 0) {
        logline_die("cannot start thread %s: %s", name, strerror(errno));
    }
    worker->event =
        event_new(loop_base(loop), worker->wake_fd, EV_READ | EV_PERSIST, on_finished, worker);
    if (worker->event == NULL || event_add(worker->event, NULL) != 0) {
        logline_die("cannot start thread %s: out of memory", name);
    }
    start_thread(worker, name);
    return worker;
}

void worker_submit(struct worker *worker, struct job *job)
{
    pthread_mutex_lock(&worker->mutex);
    push(&worker->submitted, job);
    pthread_cond_signal(&worker->has_work);
    pthread_mutex_unlock(&worker->mutex);
}

void worker_free(struct worker *worker)
{
    if (worker == NULL) {
        return;
    }
    pthread_mutex_lock(&worker->mutex);
    worker->is_ending = true;
    pthread_cond_signal(&worker->has_work);
    pthread_mutex_unlock(&worker->mutex);
    pthread_join(worker->thread, NULL);
    event_free(worker->event);
    close(worker->wake_fd);
    pthread_cond_destroy(&worker->has_work);
    pthread_mutex_destroy(&worker->mutex);
    free(worker);
}
