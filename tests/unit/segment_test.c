/* SPDX-License-Identifier: MIT */
#include "shardd/segment.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "proto/log.h"
#include "tests/unit/scratch.h"

#define SEGMENT_LEN (UINT64_C(64) << 10)

struct fixture {
    struct scratch scratch;
    struct dir *dir;
    struct loop *loop;
    struct timer *poll;
    bool (*is_there)(const struct fixture *fixture);
    struct segments *segments;
    struct file *made;
    uint64_t noted; /* as the newest, when it was told */
};

static void open_segments(struct fixture *fixture)
{
    char error[256] = "";
    fixture->segments =
        segments_open(fixture->loop, fixture->dir, SEGMENT_LEN, error, sizeof(error));
    assert_non_null(fixture->segments);
}

static void on_poll(void *context)
{
    struct fixture *fixture = context;
    if (fixture->is_there(fixture)) {
        loop_stop(fixture->loop);
    } else {
        timer_set(fixture->poll, 1);
    }
}

static void wait_until(struct fixture *fixture, bool (*is_there)(const struct fixture *fixture))
{
    fixture->is_there = is_there;
    timer_set(fixture->poll, 0);
    loop_run(fixture->loop);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    char error[256] = "";
    fixture->scratch = scratch_make();
    fixture->dir = dir_open(fixture->scratch.path, error, sizeof(error));
    assert_non_null(fixture->dir);
    fixture->loop = loop_new();
    fixture->poll = timer_new(fixture->loop, on_poll, fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    segments_close(fixture->segments);
    file_close(fixture->made);
    timer_free(fixture->poll);
    loop_free(fixture->loop);
    dir_close(fixture->dir);
    scratch_remove(&fixture->scratch);
    free(fixture);
    return 0;
}

static void put_file(struct fixture *fixture, const char *name, size_t len)
{
    int error_number = 0;
    struct file *file = file_open(fixture->dir, name, FILE_NEW, &error_number);
    uint8_t *bytes = calloc(1, len + 1);
    assert_non_null(file);
    assert_int_equal(file_write(file, 0, bytes, len), 0);
    file_close(file);
    free(bytes);
}

static uint32_t segment_count(const struct fixture *fixture)
{
    uint64_t *numbers = NULL;
    uint32_t count = 0;
    assert_int_equal(segment_list(fixture->dir, &numbers, &count), 0);
    free(numbers);
    return count;
}

static struct file *make_now(struct fixture *fixture, uint64_t number, uint64_t len)
{
    char error[256] = "";
    struct file *file = segments_make_now(fixture->segments, number, len, bytes_text("begin"),
                                          error, sizeof(error));
    assert_non_null(file);
    return file;
}

static void segments_are_listed_in_order_and_nothing_else_is(void **state)
{
    struct fixture *fixture = *state;
    uint64_t *numbers = NULL;
    uint32_t count = 0;
    put_file(fixture, "log-00000000000000ff", 0);
    put_file(fixture, "log-0000000000000010", 0);
    put_file(fixture, "log-0000000000000009", 0);
    put_file(fixture, "log-000000000000000", 0);
    put_file(fixture, "log-000000000000000a.old", 0);
    put_file(fixture, "log-000000000000000G", 0);
    put_file(fixture, "log.newest", 0);
    put_file(fixture, "prepared-0000000000000001", 0);
    assert_int_equal(segment_list(fixture->dir, &numbers, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(numbers[0], 9);
    assert_int_equal(numbers[1], 0x10);
    assert_int_equal(numbers[2], 0xff);
    free(numbers);
}

static void what_was_half_prepared_is_struck(void **state)
{
    struct fixture *fixture = *state;
    put_file(fixture, "prepared-0000000000000004", SEGMENT_LEN - 1);
    put_file(fixture, "prepared-0000000000000005", SEGMENT_LEN);
    put_file(fixture, "prepared-0000000000000006", 2 * SEGMENT_LEN);
    open_segments(fixture);
    assert_int_equal(segments_prepared_count(fixture->segments), 1);
    assert_false(dir_has(fixture->dir, "prepared-0000000000000004"));
    assert_true(dir_has(fixture->dir, "prepared-0000000000000005"));
    assert_false(dir_has(fixture->dir, "prepared-0000000000000006"));
}

static uint64_t noted(const struct fixture *fixture)
{
    uint64_t number = UINT64_MAX;
    assert_int_equal(segment_read_newest(fixture->dir, &number), 0);
    return number;
}

static void a_segment_is_whole_when_it_has_its_name(void **state)
{
    struct fixture *fixture = *state;
    char bytes[6] = "";
    open_segments(fixture);
    struct file *file = make_now(fixture, 7, SEGMENT_LEN);
    assert_string_equal(file_name(file), "log-0000000000000007");
    assert_int_equal(file_len(file), SEGMENT_LEN);
    assert_int_equal(file_read(file, 0, bytes, 5), 0);
    assert_string_equal(bytes, "begin");
    assert_int_equal(segments_prepared_count(fixture->segments), 0);
    assert_int_equal(noted(fixture), 7);
    file_close(file);
}

static void a_directory_without_a_segment_notes_none(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = 0;
    assert_int_equal(segment_read_newest(fixture->dir, &number), ENOENT);
    put_file(fixture, "prepared.newest", 100); /* a crash came */
    open_segments(fixture);
    assert_int_equal(noted(fixture), 0);
    assert_false(dir_has(fixture->dir, "prepared.newest"));
}

/* The process that named it may have been killed before it noted it, or have noted others. */
static void what_is_found_is_noted_as_the_newest(void **state)
{
    struct fixture *fixture = *state;
    open_segments(fixture);
    file_close(make_now(fixture, 1, SEGMENT_LEN));
    put_file(fixture, "log-0000000000000002", SEGMENT_LEN);
    assert_int_equal(noted(fixture), 1);
    segments_close(fixture->segments);
    open_segments(fixture);
    assert_int_equal(noted(fixture), 2);
}

static void a_note_that_was_cut_is_damaged(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = 0;
    put_file(fixture, "log.newest", 8191);
    assert_int_equal(segment_read_newest(fixture->dir, &number), EBADMSG);
    assert_int_equal(dir_unlink(fixture->dir, "log.newest"), 0);
    put_file(fixture, "log.newest", 8192);
    assert_int_equal(segment_read_newest(fixture->dir, &number), EBADMSG);
}

static void a_long_segment_is_as_long_as_asked(void **state)
{
    struct fixture *fixture = *state;
    open_segments(fixture);
    struct file *file = make_now(fixture, 1, 40 * SEGMENT_LEN + 8);
    assert_int_equal(file_len(file), 40 * SEGMENT_LEN + 8);
    file_close(file);
}

static bool is_prepared(const struct fixture *fixture)
{
    return segments_prepared_count(fixture->segments) >= SEGMENTS_PREPARED_MIN;
}

static void two_are_prepared_on_the_worker(void **state)
{
    struct fixture *fixture = *state;
    open_segments(fixture);
    segments_prepare(fixture->segments);
    wait_until(fixture, is_prepared);
    assert_int_equal(segments_prepared_count(fixture->segments), SEGMENTS_PREPARED_MIN);
    assert_false(segments_is_disk_full(fixture->segments));
}

static void on_made(void *context, struct file *file)
{
    struct fixture *fixture = context;
    fixture->made = file;
    fixture->noted = noted(fixture);
}

static bool is_made(const struct fixture *fixture)
{
    return fixture->made != NULL;
}

static void what_is_asked_for_before_one_is_prepared_waits_for_it(void **state)
{
    struct fixture *fixture = *state;
    struct buffer bytes = {0};
    open_segments(fixture);
    buffer_append(&bytes, "begin", 5);
    segments_make(fixture->segments, 3, SEGMENT_LEN, &bytes, on_made, fixture);
    assert_null(bytes.data);
    wait_until(fixture, is_made);
    assert_string_equal(file_name(fixture->made), "log-0000000000000003");
    assert_int_equal(fixture->noted, 3); /* RULES L2 */
    wait_until(fixture, is_prepared);
}

static bool is_retired(const struct fixture *fixture)
{
    return segment_count(fixture) == 0;
}

static void some_of_the_used_ones_are_kept_as_they_are(void **state)
{
    struct fixture *fixture = *state;
    open_segments(fixture);
    for (uint64_t number = 1; number <= 6; number++) {
        file_close(make_now(fixture, number, SEGMENT_LEN));
    }
    for (uint64_t number = 1; number <= 6; number++) {
        segments_retire(fixture->segments, number, SEGMENT_LEN);
    }
    wait_until(fixture, is_retired);
    wait_until(fixture, is_prepared);
    assert_in_range(segments_prepared_count(fixture->segments), SEGMENTS_PREPARED_MIN,
                    SEGMENTS_PREPARED_MAX);
    struct file *file = make_now(fixture, 7, SEGMENT_LEN);
    file_close(file);
}

static void a_long_one_is_not_kept(void **state)
{
    struct fixture *fixture = *state;
    open_segments(fixture);
    file_close(make_now(fixture, 1, 2 * SEGMENT_LEN));
    segments_retire(fixture->segments, 1, 2 * SEGMENT_LEN);
    wait_until(fixture, is_retired);
    segments_close(fixture->segments);
    open_segments(fixture);
    assert_true(segments_prepared_count(fixture->segments) <= SEGMENTS_PREPARED_MIN);
}

static void closing_forgets_what_waits(void **state)
{
    struct fixture *fixture = *state;
    struct buffer bytes = {0};
    open_segments(fixture);
    file_close(make_now(fixture, 1, SEGMENT_LEN));
    file_close(make_now(fixture, 2, SEGMENT_LEN));
    segments_retire(fixture->segments, 1, SEGMENT_LEN);
    segments_retire(fixture->segments, 2, SEGMENT_LEN);
    buffer_append(&bytes, "begin", 5);
    segments_make(fixture->segments, 3, SEGMENT_LEN, &bytes, on_made, fixture);
    segments_close(fixture->segments);
    fixture->segments = NULL;
    assert_null(fixture->made);
}

/* Files may be so long, from now on. */
static void limit_files(uint64_t len)
{
    struct rlimit limit;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = len;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool is_full(const struct fixture *fixture)
{
    return segments_is_disk_full(fixture->segments);
}

static uint64_t make_with_len(struct fixture *fixture, uint64_t number, uint64_t len)
{
    struct buffer bytes = {0};
    buffer_append(&bytes, "begin", 5);
    file_close(fixture->made);
    fixture->made = NULL;
    segments_make(fixture->segments, number, len, &bytes, on_made, fixture);
    wait_until(fixture, is_made);
    return file_len(fixture->made);
}

/* A header that tells another length than its file has is damage. */
static void what_a_full_disk_left_half_lengthened_becomes_no_other_segment(void **state)
{
    struct fixture *fixture = *state;
    struct buffer bytes = {0};
    open_segments(fixture);
    segments_prepare(fixture->segments);
    wait_until(fixture, is_prepared);
    limit_files(2 * SEGMENT_LEN);
    buffer_append(&bytes, "begin", 5);
    segments_make(fixture->segments, 3, 4 * SEGMENT_LEN, &bytes, on_made, fixture);
    wait_until(fixture, is_full);
    limit_files(RLIM_INFINITY);
    wait_until(fixture, is_made);
    assert_int_equal(file_len(fixture->made), 4 * SEGMENT_LEN);
    for (uint64_t number = 4; number < 8; number++) {
        assert_int_equal(make_with_len(fixture, number, SEGMENT_LEN), SEGMENT_LEN);
    }
}

static bool has_three(const struct fixture *fixture)
{
    return segments_prepared_count(fixture->segments) == SEGMENTS_PREPARED_MAX;
}

/* None needs to be prepared, so only the one that waited tells of it. */
static void the_disk_is_full_no_more_when_the_long_one_had_room(void **state)
{
    struct fixture *fixture = *state;
    struct buffer bytes = {0};
    open_segments(fixture);
    file_close(make_now(fixture, 1, SEGMENT_LEN));
    segments_prepare(fixture->segments);
    wait_until(fixture, is_prepared);
    segments_retire(fixture->segments, 1, SEGMENT_LEN);
    wait_until(fixture, has_three);
    limit_files(2 * SEGMENT_LEN);
    buffer_append(&bytes, "begin", 5);
    segments_make(fixture->segments, 2, 4 * SEGMENT_LEN, &bytes, on_made, fixture);
    wait_until(fixture, is_full);
    limit_files(RLIM_INFINITY);
    wait_until(fixture, is_made);
    assert_false(is_full(fixture));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* RULES F1: as long as there is room, and as short as may be where there is none. */
static void the_first_segment_is_as_long_as_the_disk_has_room_for(void **state)
{
    struct fixture *fixture = *state;
    char error[256] = "";
    open_segments(fixture);
    assert_int_equal(segments_len_now(fixture->segments, 100), SEGMENT_LEN);
    assert_int_equal(segments_len_now(fixture->segments, 2 * SEGMENT_LEN), 2 * SEGMENT_LEN);
    struct file *file =
        segments_make_now(fixture->segments, 1, 4096, bytes_text("begin"), error, sizeof(error));
    assert_non_null(file);
    assert_int_equal(file_len(file), 4096);
    assert_int_equal(segments_prepared_count(fixture->segments), 0);
    file_close(file);
}

/* It was made as short as may be of a prepared one: its header told another length, and the next start refused it. */
static void a_prepared_one_keeps_its_length_though_the_disk_was_too_full_for_another(void **state)
{
    struct fixture *fixture = *state;
    char error[256] = "";
    open_segments(fixture);
    segments_prepare(fixture->segments);
    wait_until(fixture, is_prepared);
    limit_files(2 * SEGMENT_LEN);
    assert_null(segments_make_now(fixture->segments, 1, 4 * SEGMENT_LEN, bytes_text("begin"), error,
                                  sizeof(error)));
    limit_files(RLIM_INFINITY);
    assert_true(is_full(fixture));
    assert_true(segments_prepared_count(fixture->segments) > 0);
    uint64_t len = segments_len_now(fixture->segments, 4096);
    fixture->made = make_now(fixture, 1, len);
    assert_int_equal(file_len(fixture->made), len);
}

/* RULES L5: that the disk was full before does not make it one that may be tried again. */
static void what_has_its_name_and_no_note_did_not_lack_room(void **state)
{
    struct fixture *fixture = *state;
    char error[256] = "";
    put_file(fixture, "prepared-0000000000000000", SEGMENT_LEN);
    put_file(fixture, "prepared-0000000000000001", SEGMENT_LEN);
    open_segments(fixture);
    limit_files(LOG_NEWEST_SLOT_LEN);
    assert_null(segments_make_now(fixture->segments, 1, 2 * SEGMENT_LEN, bytes_text("begin"), error,
                                  sizeof(error)));
    assert_true(segments_had_no_room(fixture->segments));
    assert_null(segments_make_now(fixture->segments, 1, SEGMENT_LEN, bytes_text("begin"), error,
                                  sizeof(error)));
    limit_files(RLIM_INFINITY);
    assert_non_null(strstr(error, LOG_NEWEST_NAME));
    assert_int_equal(segment_count(fixture), 1);
    assert_true(is_full(fixture));
    assert_false(segments_had_no_room(fixture->segments));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        CASE(segments_are_listed_in_order_and_nothing_else_is),
        CASE(what_was_half_prepared_is_struck),
        CASE(a_segment_is_whole_when_it_has_its_name),
        CASE(a_directory_without_a_segment_notes_none),
        CASE(what_is_found_is_noted_as_the_newest),
        CASE(a_note_that_was_cut_is_damaged),
        CASE(a_long_segment_is_as_long_as_asked),
        CASE(two_are_prepared_on_the_worker),
        CASE(what_is_asked_for_before_one_is_prepared_waits_for_it),
        CASE(some_of_the_used_ones_are_kept_as_they_are),
        CASE(a_long_one_is_not_kept),
        CASE(closing_forgets_what_waits),
        CASE(what_a_full_disk_left_half_lengthened_becomes_no_other_segment),
        CASE(the_disk_is_full_no_more_when_the_long_one_had_room),
        CASE(a_prepared_one_keeps_its_length_though_the_disk_was_too_full_for_another),
        CASE(what_has_its_name_and_no_note_did_not_lack_room),
        cmocka_unit_test_setup_teardown(the_first_segment_is_as_long_as_the_disk_has_room_for,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
