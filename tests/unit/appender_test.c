/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/appender.h"
#include "tests/unit/scratch.h"

/*
 * This program has its own pwrite and fdatasync, which note what was done and can hold the thread up in a
 * sync, so that a group gathers.
 */

#define VISIBLE __attribute__((visibility("default")))

enum { STEP_MAX = 4096 };

struct step {
    char kind; /* 'w', 's' */
    int fd;
    off_t offset;
    size_t len;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct step steps[STEP_MAX];
static size_t step_count;
static bool is_held;    /* syncs wait */
static bool is_waiting; /* one does */
static int sync_error;

static void add_step(struct step step)
{
    pthread_mutex_lock(&mutex);
    if (step_count < STEP_MAX) {
        steps[step_count++] = step;
    }
    pthread_mutex_unlock(&mutex);
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): theirs are reserved */
VISIBLE int fdatasync(int fd)
{
    pthread_mutex_lock(&mutex);
    is_waiting = true;
    pthread_cond_broadcast(&changed);
    while (is_held) {
        pthread_cond_wait(&changed, &mutex);
    }
    is_waiting = false;
    int error_number = sync_error;
    pthread_mutex_unlock(&mutex);
    add_step((struct step){'s', fd, 0, 0});
    errno = error_number;
    return error_number ? -1 : 0;
}

VISIBLE ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    add_step((struct step){'w', fd, offset, len});
    const struct iovec part = {(void *)(uintptr_t)data, len};
    return pwritev(fd, &part, 1, offset);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

static void hold_syncs(void)
{
    pthread_mutex_lock(&mutex);
    is_held = true;
    pthread_mutex_unlock(&mutex);
}

static void await_held_sync(void)
{
    pthread_mutex_lock(&mutex);
    while (!is_waiting) {
        pthread_cond_wait(&changed, &mutex);
    }
    pthread_mutex_unlock(&mutex);
}

static void let_syncs_go(void)
{
    pthread_mutex_lock(&mutex);
    is_held = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* What was done since the last time: "w100+5 s ", offset and length. */
static const char *take_steps(void)
{
    static char text[64 * STEP_MAX];
    size_t len = 0;
    text[0] = '\0';
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < step_count; i++) {
        const struct step *step = &steps[i];
        size_t left = sizeof(text) - len;
        int added = step->kind == 's'
                        ? snprintf(text + len, left, "s ")
                        : snprintf(text + len, left, "w%ld+%zu ", (long)step->offset, step->len);
        assert_true(added > 0 && (size_t)added < left);
        len += (size_t)added;
    }
    step_count = 0;
    pthread_mutex_unlock(&mutex);
    return text;
}

struct world {
    struct scratch scratch;
    struct loop *loop;
    struct dir *dir;
    struct file *a;
    struct file *b;
    struct appender *appender;
    uint64_t done_ticket;
    unsigned done_count;
    uint64_t wanted_ticket;
};

static void on_done(void *context, uint64_t ticket)
{
    struct world *world = context;
    assert_true(ticket > world->done_ticket);
    assert_true(appender_done_ticket(world->appender) >= ticket);
    world->done_ticket = ticket;
    world->done_count++;
    if (ticket >= world->wanted_ticket) {
        loop_stop(world->loop);
    }
}

static struct file *make_file(struct world *world, const char *name)
{
    int error_number = 0;
    struct file *file = file_open(world->dir, name, FILE_NEW, &error_number);
    assert_non_null(file);
    return file;
}

/* Without the thread. */
static int set_up_files(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    char error[200];
    world->scratch = scratch_make();
    world->dir = dir_open(world->scratch.path, error, sizeof(error));
    assert_non_null(world->dir);
    world->a = make_file(world, "a");
    world->b = make_file(world, "b");
    world->loop = loop_new();
    (void)take_steps();
    *state = world;
    return 0;
}

static int set_up(void **state)
{
    set_up_files(state);
    struct world *world = *state;
    world->appender = appender_new(world->loop, on_done, world);
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    let_syncs_go();
    appender_free(world->appender);
    loop_free(world->loop);
    file_close(world->a);
    file_close(world->b);
    dir_close(world->dir);
    scratch_remove(&world->scratch);
    free(world);
    return 0;
}

static void give(struct world *world, struct file *file, uint64_t offset, const char *text,
                 uint64_t ticket)
{
    appender_write(world->appender, file, offset, bytes_text(text), ticket);
}

static void await_ticket(struct world *world, uint64_t ticket)
{
    world->wanted_ticket = ticket;
    if (world->done_ticket < ticket) {
        loop_run(world->loop);
    }
    assert_int_equal(world->done_ticket, ticket);
}

static void expect_contents(struct file *file, const char *expected)
{
    char data[100] = "";
    size_t len = strlen(expected);
    assert_int_equal(file_len(file), len);
    assert_int_equal(file_read(file, 0, data, len), 0);
    assert_string_equal(data, expected);
}

static void what_follows_without_a_gap_is_one_write_and_one_sync(void **state)
{
    struct world *world = *state;
    give(world, world->a, 0, "one", 1);
    give(world, world->a, 3, "two", 2);
    give(world, world->a, 6, "three", 3);
    appender_submit(world->appender);
    await_ticket(world, 3);
    assert_string_equal(take_steps(), "w0+11 s ");
    expect_contents(world->a, "onetwothree");
    assert_int_equal(world->done_count, 1);
}

static void a_gap_makes_two_writes_and_one_sync(void **state)
{
    struct world *world = *state;
    give(world, world->a, 4, "late", 1);
    give(world, world->a, 0, "soon", 2);
    appender_submit(world->appender);
    await_ticket(world, 2);
    assert_string_equal(take_steps(), "w4+4 w0+4 s ");
    expect_contents(world->a, "soonlate");
}

static void a_file_is_synced_before_the_next_one_is_written(void **state)
{
    struct world *world = *state;
    give(world, world->a, 0, "aa", 1);
    give(world, world->b, 0, "bbb", 2);
    give(world, world->a, 2, "a", 3);
    appender_submit(world->appender);
    await_ticket(world, 3);
    assert_string_equal(take_steps(), "w0+2 s w0+3 s w2+1 s ");
    expect_contents(world->a, "aaa");
    expect_contents(world->b, "bbb");
}

static void what_the_loop_wrote_itself_is_only_synced(void **state)
{
    struct world *world = *state;
    assert_int_equal(file_write(world->a, 0, "own", 3), 0);
    (void)take_steps();
    appender_sync(world->appender, world->a, 1);
    appender_submit(world->appender);
    await_ticket(world, 1);
    assert_string_equal(take_steps(), "s ");

    appender_sync(world->appender, world->a, 2);
    give(world, world->a, 3, "given", 3);
    appender_sync(world->appender, world->a, 4);
    appender_sync(world->appender, world->b, 5);
    appender_submit(world->appender);
    await_ticket(world, 5);
    assert_string_equal(take_steps(), "w3+5 s s ");
}

static void nothing_is_written_before_it_is_submitted(void **state)
{
    struct world *world = *state;
    appender_submit(world->appender); /* of nothing */
    give(world, world->a, 0, "first", 1);
    appender_submit(world->appender);
    await_ticket(world, 1);
    give(world, world->a, 5, "second", 2);
    assert_int_equal(appender_queue_len(world->appender), 6);
    assert_string_equal(take_steps(), "w0+5 s ");
    appender_submit(world->appender);
    await_ticket(world, 2);
    assert_string_equal(take_steps(), "w5+6 s ");
}

static void while_one_group_is_synced_the_next_gathers(void **state)
{
    struct world *world = *state;
    hold_syncs();
    give(world, world->a, 0, "x", 1);
    appender_submit(world->appender);
    await_held_sync();
    for (uint64_t ticket = 2; ticket <= 50; ticket++) {
        give(world, world->a, ticket - 1, "y", ticket);
        appender_submit(world->appender);
    }
    assert_int_equal(appender_done_ticket(world->appender), 0);
    assert_int_equal(appender_queue_len(world->appender), 50);
    let_syncs_go();
    await_ticket(world, 50);
    assert_string_equal(take_steps(), "w0+1 s w1+49 s ");
    assert_int_equal(appender_queue_len(world->appender), 0);
}

static void the_copy_is_the_appenders(void **state)
{
    struct world *world = *state;
    char text[] = "kept";
    give(world, world->a, 0, text, 1);
    memset(text, '#', 4);
    appender_submit(world->appender);
    await_ticket(world, 1);
    expect_contents(world->a, "kept");
}

/* The buffers grow far beyond what is kept, and shrink again. */
static void a_burst_passes_and_small_groups_follow(void **state)
{
    struct world *world = *state;
    static char block[1 << 20];
    uint64_t offset = 0;
    uint64_t ticket = 0;
    memset(block, 'z', sizeof(block));
    for (unsigned i = 0; i < 12; i++) {
        struct bytes data = bytes_of(block, i < 6 ? sizeof(block) : 10);
        appender_write(world->appender, world->a, offset, data, ++ticket);
        appender_submit(world->appender);
        offset += data.len;
        if (i >= 5) {
            await_ticket(world, ticket);
        }
    }
    assert_int_equal(file_len(world->a), offset);
    char last;
    assert_int_equal(file_read(world->a, offset - 1, &last, 1), 0);
    assert_int_equal(last, 'z');
}

static void freeing_waits_for_what_was_submitted_and_tells_nobody(void **state)
{
    struct world *world = *state;
    for (uint64_t ticket = 1; ticket <= 100; ticket++) {
        give(world, world->a, 2 * (ticket - 1), "ab", ticket);
        appender_submit(world->appender);
    }
    appender_free(world->appender);
    world->appender = NULL;
    assert_int_equal(world->done_count, 0);
    assert_int_equal(file_len(world->a), 200);
    appender_free(NULL);
}

/* Each group from the callback of the one before, as the loop of a server with one writer does. */
static void tickets_are_told_in_order_and_at_last_all(void **state)
{
    struct world *world = *state;
    for (uint64_t ticket = 1; ticket <= 1000; ticket++) {
        give(world, world->a, ticket - 1, "t", ticket);
        appender_submit(world->appender);
        if (ticket % 7 == 0) {
            await_ticket(world, ticket);
        }
    }
    await_ticket(world, 1000);
    assert_int_equal(file_len(world->a), 1000);
}

static void the_figures_are_of_the_recent_syncs(void **state)
{
    struct world *world = *state;
    struct appender_stat stat;
    appender_stat(world->appender, &stat);
    assert_int_equal(stat.sync_count, 0);
    assert_int_equal(stat.group_len_p50, 0);
    for (uint64_t ticket = 1; ticket <= 400; ticket++) {
        give(world, world->a, 0, ticket > 100 ? "12345678" : "1", ticket);
        appender_submit(world->appender);
        await_ticket(world, ticket);
    }
    appender_stat(world->appender, &stat);
    assert_int_equal(stat.sync_count, 400);
    assert_int_equal(stat.group_len_p50, 8);
    assert_int_equal(stat.group_len_p99, 8);
    assert_true(stat.sync_us_p50 <= stat.sync_us_p99);
    assert_true(stat.sync_us_p99 <= stat.sync_us_max);
}

/* --- RULES L5 --- */

struct failure {
    rlim_t file_len_max;
    int sync_error;
    const char *line;
};

/* In the child. Comes back only if the process did not end. */
static void write_and_fail(const struct failure *failure, struct world *world, int error_fd)
{
    world->appender = appender_new(world->loop, on_done, world);
    const struct rlimit limit = {failure->file_len_max, failure->file_len_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    sync_error = failure->sync_error;
    dup2(error_fd, STDERR_FILENO);
    give(world, world->a, 0, "lost", 1);
    appender_submit(world->appender);
    await_ticket(world, 1);
}

static void expect_death(struct world *world, const struct failure *failure)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        write_and_fail(failure, world, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    char line[300] = "";
    size_t len = 0;
    ssize_t received;
    while ((received = read(ends[0], line + len, sizeof(line) - 1 - len)) > 0) {
        len += (size_t)received;
    }
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_string_equal(line, failure->line);
}

static void a_failed_write_ends_the_process_and_tells_nobody(void **state)
{
    const struct failure failure = {0, 0, "level=error msg=\"a: cannot write: File too large\"\n"};
    expect_death(*state, &failure);
}

static void a_failed_sync_ends_the_process_and_tells_nobody(void **state)
{
    const struct failure failure = {RLIM_INFINITY, EIO,
                                    "level=error msg=\"a: cannot sync: Input/output error\"\n"};
    expect_death(*state, &failure);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        TEST(what_follows_without_a_gap_is_one_write_and_one_sync),
        TEST(a_gap_makes_two_writes_and_one_sync),
        TEST(a_file_is_synced_before_the_next_one_is_written),
        TEST(what_the_loop_wrote_itself_is_only_synced),
        TEST(nothing_is_written_before_it_is_submitted),
        TEST(while_one_group_is_synced_the_next_gathers),
        TEST(the_copy_is_the_appenders),
        TEST(a_burst_passes_and_small_groups_follow),
        TEST(freeing_waits_for_what_was_submitted_and_tells_nobody),
        TEST(tickets_are_told_in_order_and_at_last_all),
        TEST(the_figures_are_of_the_recent_syncs),
        cmocka_unit_test_setup_teardown(a_failed_write_ends_the_process_and_tells_nobody,
                                        set_up_files, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_sync_ends_the_process_and_tells_nobody,
                                        set_up_files, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
