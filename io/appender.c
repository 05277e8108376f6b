/* SPDX-License-Identifier: MIT */
#include "io/appender.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/logline.h"
#include "io/loop_internal.h"
#include "io/memory.h"
#include "proto/buffer.h"

/* Memory of a group that is kept, however small the groups become. */
#define KEPT_LEN       (1u << 20)
#define KEPT_RUN_COUNT 1024

/* Of the last so many syncs there are percentiles. */
#define SAMPLE_COUNT 256

/* The thread is not waiting for a group to become so long. */
#define NOT_WAITING SIZE_MAX

/* One pwrite: what was given for one file without a gap. Its bytes follow those of the run before. */
struct run {
    struct file *file;
    uint64_t offset;
    size_t len; /* 0: only to be synced */
};

struct group {
    struct run *runs;
    size_t run_count;
    size_t run_capacity;
    struct buffer data;
    uint64_t ticket; /* the last one */
    uint32_t submit_count;
};

/*
 * Two groups: the loop fills one while the thread writes the other, and the thread swaps them. It takes
 * only what has been submitted, so between the first appender_write and appender_submit (`is_open`) the
 * loop needs no lock to fill its group.
 */
struct appender {
    pthread_t thread;
    struct event *event;
    int wake_fd; /* an eventfd: readable when a ticket is to be told */
    appender_done *on_done;
    void *context;

    /* The loop's. */
    uint64_t told_ticket;
    uint64_t given_len;

    /* The thread's. */
    uint64_t recent_sync_us;
    size_t recent_group_len;
    uint32_t recent_submit_eighths; /* of the largest of the recent groups, slowly forgotten */

    atomic_uint_fast64_t done_ticket;
    atomic_uint_fast64_t done_len;
    atomic_bool is_telling; /* wake_fd is written, and not read yet */

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t has_group;
    bool is_ending;
    bool is_open;       /* the filling group is the loop's */
    size_t awaited_len; /* of the filling group: then the thread is to be woken */
    struct group groups[2];
    struct group *filling;
    uint64_t sync_count;
    uint32_t sync_us_max;
    uint32_t sync_us[SAMPLE_COUNT];
    uint32_t group_len[SAMPLE_COUNT];
};

/* --- groups --- */

static struct run *last_run(const struct group *group)
{
    return group->run_count > 0 ? &group->runs[group->run_count - 1] : NULL;
}

static void add_run(struct group *group, struct run run)
{
    if (group->runs == NULL || group->run_count == group->run_capacity) {
        group->run_capacity = group->run_capacity ? 2 * group->run_capacity : 16;
        group->runs = memory_resize(group->runs, group->run_capacity, sizeof(*group->runs));
    }
    group->runs[group->run_count++] = run;
}

static void add_write(struct group *group, struct file *file, uint64_t offset, struct bytes data)
{
    struct run *last = last_run(group);
    if (last != NULL && last->file == file && last->len == 0) {
        last->offset = offset;
    }
    if (last != NULL && last->file == file && last->offset + last->len == offset) {
        last->len += data.len;
    } else {
        add_run(group, (struct run){file, offset, data.len});
    }
    buffer_append_bytes(&group->data, data);
    memory_must(!group->data.failed);
}

static void add_sync(struct group *group, struct file *file)
{
    const struct run *last = last_run(group);
    if (last == NULL || last->file != file) {
        add_run(group, (struct run){file, 0, 0});
    }
}

static void fini_group(struct group *group)
{
    buffer_fini(&group->data);
    free(group->runs);
    *group = (struct group){0};
}

/* Its memory stays for the next, but for what a burst has left behind. */
static void empty_group(struct group *group)
{
    size_t len = group->data.len;
    if (group->data.capacity > KEPT_LEN && len < group->data.capacity / 4) {
        buffer_fini(&group->data);
    }
    if (group->run_capacity > KEPT_RUN_COUNT && group->run_count < group->run_capacity / 4) {
        free(group->runs);
        group->runs = NULL;
        group->run_capacity = 0;
    }
    buffer_clear(&group->data);
    group->run_count = 0;
    group->submit_count = 0;
}

/* --- the thread: writing --- */

static void sync_file(struct file *file)
{
    int error_number = file_sync(file);
    if (error_number != 0) {
        logline_die("%s: cannot sync: %s", file_name(file), strerror(error_number));
    }
}

static void write_run(const struct run *run, const uint8_t *data)
{
    int error_number = run->len > 0 ? file_write(run->file, run->offset, data, run->len) : 0;
    if (error_number != 0) {
        logline_die("%s: cannot write: %s", file_name(run->file), strerror(error_number));
    }
}

/* A file is synced before the next one is written. There is at least one run. */
static void write_group(const struct group *group)
{
    const uint8_t *data = group->data.data;
    struct file *file = group->runs[0].file;
    for (size_t i = 0; i < group->run_count; i++) {
        const struct run *run = &group->runs[i];
        if (run->file != file) {
            sync_file(file);
            file = run->file;
        }
        write_run(run, data);
        data += run->len;
    }
    sync_file(file);
}

static void wake_loop(struct appender *appender)
{
    uint64_t one = 1;
    while (write(appender->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

static void publish(struct appender *appender, const struct group *group)
{
    atomic_fetch_add(&appender->done_len, group->data.len);
    atomic_store(&appender->done_ticket, group->ticket);
    if (!atomic_exchange(&appender->is_telling, true)) {
        wake_loop(appender);
    }
}

static uint32_t as_uint32(uint64_t number)
{
    return number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

void appender_note_sync(struct appender *appender, size_t len, uint64_t duration_us)
{
    uint32_t sync_us = as_uint32(duration_us);
    pthread_mutex_lock(&appender->mutex);
    size_t sample = appender->sync_count++ % SAMPLE_COUNT;
    appender->sync_us[sample] = sync_us;
    appender->group_len[sample] = as_uint32(len);
    appender->sync_us_max = sync_us > appender->sync_us_max ? sync_us : appender->sync_us_max;
    pthread_mutex_unlock(&appender->mutex);
}

static void note_group(struct appender *appender, const struct group *group, uint64_t duration_us)
{
    uint32_t submits = group->submit_count < UINT16_MAX ? 8 * group->submit_count : 8 * UINT16_MAX;
    uint32_t remembered = appender->recent_submit_eighths - appender->recent_submit_eighths / 8;
    appender->recent_submit_eighths = submits > remembered ? submits : remembered;
    appender->recent_group_len = group->data.len;
    appender->recent_sync_us = (7 * appender->recent_sync_us + duration_us) / 8;
    appender_note_sync(appender, group->data.len, duration_us);
}

/* --- the thread: taking a group --- */

static bool has_group(const struct appender *appender)
{
    return !appender->is_open && appender->filling->run_count > 0;
}

/* A writer that is alone has nobody to wait for: one submission a sync, and none during it. */
static bool is_worth_gathering(const struct appender *appender, uint32_t waiting_count)
{
    return waiting_count > 0 || appender->recent_submit_eighths >= 12;
}

static struct timespec deadline_after_us(uint64_t delay_us)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_nsec += (long)delay_us * 1000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_nsec -= 1000000000;
        deadline.tv_sec++;
    }
    return deadline;
}

/*
 * Who wrote what was last synced is about to write again. Who has written meanwhile waits for them, so
 * that from now on all are in one group: else two halves would take turns for ever.
 */
static void gather(struct appender *appender, size_t wanted_len)
{
    uint64_t delay_us = appender->recent_sync_us / 4;
    delay_us = delay_us < APPENDER_GATHER_US ? delay_us : APPENDER_GATHER_US;
    struct timespec deadline = deadline_after_us(delay_us);
    int result = 0;
    appender->awaited_len = wanted_len;
    while (result == 0 && !appender->is_ending &&
           (appender->is_open || appender->filling->data.len < wanted_len)) {
        result = pthread_cond_timedwait(&appender->has_group, &appender->mutex, &deadline);
    }
}

static void await_group(struct appender *appender)
{
    appender->awaited_len = 0;
    while (!has_group(appender) && !appender->is_ending) {
        pthread_cond_wait(&appender->has_group, &appender->mutex);
    }
}

/* NULL: all is written, and the thread is to end. The mutex is locked. */
static struct group *take_group(struct appender *appender)
{
    await_group(appender);
    appender->awaited_len = NOT_WAITING;
    if (!has_group(appender)) {
        return NULL;
    }
    struct group *group = appender->filling;
    appender->filling = &appender->groups[group == &appender->groups[0]];
    return group;
}

static struct group *next_group(struct appender *appender)
{
    pthread_mutex_lock(&appender->mutex);
    /* While it is open its length is not ours to read; and then, more has come. */
    size_t waiting_len = appender->is_open ? 0 : appender->filling->data.len;
    uint32_t waiting_count = appender->is_open ? 1 : appender->filling->submit_count;
    size_t wanted_len = (appender->recent_group_len + waiting_len) / 8 * 7;
    await_group(appender);
    if (has_group(appender) && is_worth_gathering(appender, waiting_count)) {
        gather(appender, wanted_len);
    }
    struct group *group = take_group(appender);
    pthread_mutex_unlock(&appender->mutex);
    return group;
}

static void *run_thread(void *context)
{
    struct appender *appender = context;
    /* Else a wait of some microseconds takes 50 longer. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    struct group *group;
    while ((group = next_group(appender)) != NULL) {
        uint64_t start_us = clock_mono_us();
        write_group(group);
        uint64_t duration_us = clock_mono_us() - start_us;
        note_group(appender, group, duration_us);
        publish(appender, group);
        empty_group(group);
    }
    return NULL;
}

/* --- the loop --- */

static void on_wake(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct appender *appender = context;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0) {
        return; /* EINTR: it is still readable */
    }
    /* First this: what is done from now on wakes us again. */
    atomic_store(&appender->is_telling, false);
    uint64_t ticket = appender_done_ticket(appender);
    if (ticket > appender->told_ticket) {
        appender->told_ticket = ticket;
        appender->on_done(appender->context, ticket);
    }
}

static void start_thread(struct appender *appender)
{
    /* Signals are the loop's. The thread inherits the mask. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&appender->thread, NULL, run_thread, appender);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        logline_die("cannot start thread appender: %s", strerror(result));
    }
    pthread_setname_np(appender->thread, "appender");
}

/* Its timed waits count on the clock that nobody sets. */
static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct appender *appender_new(struct loop *loop, appender_done *on_done, void *context)
{
    struct appender *appender = memory_get(1, sizeof(*appender));
    appender->on_done = on_done;
    appender->context = context;
    appender->filling = &appender->groups[0];
    appender->awaited_len = NOT_WAITING;
    pthread_mutex_init(&appender->mutex, NULL);
    init_condition(&appender->has_group);
    appender->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (appender->wake_fd < 0) {
        logline_die("cannot start thread appender: %s", strerror(errno));
    }
    appender->event =
        event_new(loop_base(loop), appender->wake_fd, EV_READ | EV_PERSIST, on_wake, appender);
    if (appender->event == NULL || event_add(appender->event, NULL) != 0) {
        logline_die("cannot start thread appender: out of memory");
    }
    start_thread(appender);
    return appender;
}

void appender_free(struct appender *appender)
{
    if (appender == NULL) {
        return;
    }
    appender_submit(appender);
    pthread_mutex_lock(&appender->mutex);
    appender->is_ending = true;
    pthread_cond_signal(&appender->has_group);
    pthread_mutex_unlock(&appender->mutex);
    pthread_join(appender->thread, NULL);
    event_free(appender->event);
    close(appender->wake_fd);
    fini_group(&appender->groups[0]);
    fini_group(&appender->groups[1]);
    pthread_cond_destroy(&appender->has_group);
    pthread_mutex_destroy(&appender->mutex);
    free(appender);
}

/* From here to appender_submit the filling group is the loop's. */
static struct group *open_group(struct appender *appender, uint64_t ticket)
{
    if (!appender->is_open) { /* only the loop changes it */
        pthread_mutex_lock(&appender->mutex);
        appender->is_open = true;
        pthread_mutex_unlock(&appender->mutex);
    }
    appender->filling->ticket = ticket;
    return appender->filling;
}

void appender_write(struct appender *appender, struct file *file, uint64_t offset,
                    struct bytes data, uint64_t ticket)
{
    add_write(open_group(appender, ticket), file, offset, data);
    appender->given_len += data.len;
}

void appender_sync(struct appender *appender, struct file *file, uint64_t ticket)
{
    add_sync(open_group(appender, ticket), file);
}

void appender_submit(struct appender *appender)
{
    if (!appender->is_open) {
        return;
    }
    pthread_mutex_lock(&appender->mutex);
    appender->is_open = false;
    appender->filling->submit_count++;
    bool is_awaited = appender->filling->data.len >= appender->awaited_len;
    pthread_mutex_unlock(&appender->mutex);
    if (is_awaited) {
        pthread_cond_signal(&appender->has_group);
    }
}

/* --- what can be asked --- */

uint64_t appender_done_ticket(const struct appender *appender)
{
    return atomic_load(&appender->done_ticket);
}

size_t appender_queue_len(const struct appender *appender)
{
    return (size_t)(appender->given_len - atomic_load(&appender->done_len));
}

static int compare_samples(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* Of samples[0..count), which it sorts. */
static void percentiles(uint32_t *samples, size_t count, uint32_t *p50, uint32_t *p99)
{
    qsort(samples, count, sizeof(*samples), compare_samples);
    *p50 = samples[count * 50 / 100];
    *p99 = samples[count * 99 / 100];
}

void appender_stat(const struct appender *appender, struct appender_stat *out)
{
    /* The mutex is no part of what is looked at. */
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&appender->mutex;
    uint32_t sync_us[SAMPLE_COUNT];
    uint32_t group_len[SAMPLE_COUNT];
    *out = (struct appender_stat){0};
    pthread_mutex_lock(mutex);
    out->sync_count = appender->sync_count;
    out->sync_us_max = appender->sync_us_max;
    memcpy(sync_us, appender->sync_us, sizeof(sync_us));
    memcpy(group_len, appender->group_len, sizeof(group_len));
    pthread_mutex_unlock(mutex);
    if (out->sync_count > 0) {
        size_t count = out->sync_count < SAMPLE_COUNT ? (size_t)out->sync_count : SAMPLE_COUNT;
        percentiles(sync_us, count, &out->sync_us_p50, &out->sync_us_p99);
        percentiles(group_len, count, &out->group_len_p50, &out->group_len_p99);
    }
}
