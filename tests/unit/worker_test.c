/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/worker.h"

#define JOB_COUNT 1000

struct counted {
    struct job job; /* first: the callbacks get this */
    struct counts *counts;
    pthread_t ran_in;
    unsigned number;
};

struct counts {
    struct loop *loop;
    struct worker *worker;
    unsigned run_count; /* the worker's until all is done */
    unsigned done_count;
    pthread_t loop_thread;
    struct counted jobs[JOB_COUNT];
};

static struct counts counts;

static int make_worker(void **state)
{
    (void)state;
    counts = (struct counts){.loop_thread = pthread_self()};
    counts.loop = loop_new();
    counts.worker = worker_new(counts.loop, "test", WORKER_NORMAL);
    return 0;
}

static int free_worker(void **state)
{
    (void)state;
    worker_free(counts.worker);
    loop_free(counts.loop);
    return 0;
}

static void run(struct job *job)
{
    struct counted *counted = (struct counted *)job;
    counted->ran_in = pthread_self();
    counted->number = counted->counts->run_count++;
}

static void done(struct job *job)
{
    const struct counted *counted = (const struct counted *)job;
    assert_true(pthread_equal(pthread_self(), counted->counts->loop_thread));
    assert_false(pthread_equal(counted->ran_in, counted->counts->loop_thread));
    assert_int_equal(counted - counts.jobs, counted->counts->done_count);
    assert_int_equal(counted->number, counted->counts->done_count);
    counted->counts->done_count++;
    if (counted->counts->done_count == JOB_COUNT) {
        loop_stop(counted->counts->loop);
    }
}

static void submit(unsigned index, void (*on_done)(struct job *job))
{
    struct counted *counted = &counts.jobs[index];
    *counted = (struct counted){.job = {run, on_done, NULL}, .counts = &counts};
    worker_submit(counts.worker, &counted->job);
}

static void jobs_run_and_complete_in_the_order_of_their_submission(void **state)
{
    (void)state;
    for (unsigned i = 0; i < JOB_COUNT; i++) {
        submit(i, done);
    }
    loop_run(counts.loop);
    assert_int_equal(counts.done_count, JOB_COUNT);
}

/* One after another, each from the completion of the one before. */
static void done_and_submit_next(struct job *job)
{
    unsigned next = counts.done_count + 1;
    done(job);
    if (next < JOB_COUNT) {
        submit(next, done_and_submit_next);
    }
}

static void a_completion_may_submit_the_next_job(void **state)
{
    (void)state;
    submit(0, done_and_submit_next);
    loop_run(counts.loop);
    assert_int_equal(counts.done_count, JOB_COUNT);
}

static void who_blocks_completes_jobs_himself_and_the_loop_completes_none_again(void **state)
{
    (void)state;
    unsigned half = JOB_COUNT / 2;
    for (unsigned i = 0; i < half; i++) {
        submit(i, done);
    }
    while (counts.done_count < half) {
        worker_complete(counts.worker);
    }
    worker_complete(counts.worker);
    assert_int_equal(counts.done_count, half);
    for (unsigned i = half; i < JOB_COUNT; i++) {
        submit(i, done);
    }
    loop_run(counts.loop);
    assert_int_equal(counts.done_count, JOB_COUNT);
}

static void freeing_waits_for_what_was_submitted_and_completes_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < JOB_COUNT; i++) {
        submit(i, done);
    }
    worker_free(counts.worker);
    counts.worker = NULL;
    assert_int_equal(counts.run_count, JOB_COUNT);
    assert_int_equal(counts.done_count, 0);
}

static int niceness;

static void note_niceness(struct job *job)
{
    (void)job;
    niceness = getpriority(PRIO_PROCESS, (id_t)gettid());
}

static void stop_loop(struct job *job)
{
    (void)job;
    loop_stop(counts.loop);
}

static void a_low_worker_is_nicer_than_the_process(void **state)
{
    (void)state;
    int own = getpriority(PRIO_PROCESS, 0);
    struct worker *low = worker_new(counts.loop, "low", WORKER_LOW);
    struct job job = {note_niceness, stop_loop, NULL};
    worker_submit(low, &job);
    loop_run(counts.loop);
    assert_int_equal(niceness, 19);
    worker_submit(counts.worker, &job);
    loop_run(counts.loop);
    assert_int_equal(niceness, own);
    worker_free(low);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_run_and_complete_in_the_order_of_their_submission,
                                        make_worker, free_worker),
        cmocka_unit_test_setup_teardown(a_completion_may_submit_the_next_job, make_worker,
                                        free_worker),
        cmocka_unit_test_setup_teardown(
            who_blocks_completes_jobs_himself_and_the_loop_completes_none_again, make_worker,
            free_worker),
        cmocka_unit_test_setup_teardown(freeing_waits_for_what_was_submitted_and_completes_nothing,
                                        make_worker, free_worker),
        cmocka_unit_test_setup_teardown(a_low_worker_is_nicer_than_the_process, make_worker,
                                        free_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
