/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/file.h"

/* An empty folder, in which the data directory is to be made. */
struct place {
    char folder[64];
    char path[80];
    struct dir *dir;
};

static struct place place;

static int make_place(void **state)
{
    (void)state;
    char error[200];
    strcpy(place.folder, "/tmp/file_test.XXXXXX");
    assert_non_null(mkdtemp(place.folder));
    (void)snprintf(place.path, sizeof(place.path), "%s/data", place.folder);
    place.dir = dir_open(place.path, error, sizeof(error));
    assert_non_null(place.dir);
    return 0;
}

static int remove_place(void **state)
{
    (void)state;
    dir_unlink(place.dir, "a");
    dir_unlink(place.dir, "b");
    dir_unlink(place.dir, "LOCK");
    dir_close(place.dir);
    rmdir(place.path);
    return rmdir(place.folder);
}

static mode_t mode_of(const char *name)
{
    char path[100];
    struct stat status;
    (void)snprintf(path, sizeof(path), "%s/%s", place.path, name);
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 0777;
}

static struct file *open_file(const char *name, enum file_mode mode)
{
    int error_number = 0;
    struct file *file = file_open(place.dir, name, mode, &error_number);
    assert_int_equal(error_number, 0);
    assert_non_null(file);
    return file;
}

static void a_new_directory_is_empty_and_private(void **state)
{
    (void)state;
    assert_true(dir_is_empty(place.dir));
    assert_true(dir_is_empty(place.dir)); /* looking leaves no trace */
    assert_int_equal(mode_of("."), 0700);
    assert_int_equal(mode_of("LOCK"), 0600);
    assert_string_equal(dir_path(place.dir), place.path);
    file_close(open_file("a", FILE_NEW));
    assert_false(dir_is_empty(place.dir));
    assert_int_equal(mode_of("a"), 0600);
}

static void a_second_process_is_refused_until_the_first_has_gone(void **state)
{
    (void)state;
    char error[200];
    char expected[200];
    pid_t child = fork();
    if (child == 0) {
        struct dir *second = dir_open(place.path, error, sizeof(error));
        (void)snprintf(expected, sizeof(expected), "%s: in use by another process", place.path);
        _exit(second == NULL && strcmp(error, expected) == 0 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);

    dir_close(place.dir);
    place.dir = dir_open(place.path, error, sizeof(error));
    assert_non_null(place.dir);
}

static void what_is_no_directory_is_named(void **state)
{
    (void)state;
    char error[200];
    char path[100];
    char expected[200];
    file_close(open_file("a", FILE_NEW));
    (void)snprintf(path, sizeof(path), "%s/a", place.path);
    (void)snprintf(expected, sizeof(expected), "%s: Not a directory", path);
    assert_null(dir_open(path, error, sizeof(error)));
    assert_string_equal(error, expected);
}

/* Of a new directory in none, only "No such file or directory" was said. */
static void the_directory_in_which_a_new_one_would_be_is_named_where_it_is_missing(void **state)
{
    (void)state;
    char error[300];
    char path[100];
    char expected[300];
    (void)snprintf(path, sizeof(path), "%s/no/such//", place.path);
    (void)snprintf(expected, sizeof(expected), "%s: the directory %s/no is missing: make it first",
                   path, place.path);
    assert_null(dir_open(path, error, sizeof(error)));
    assert_string_equal(error, expected);
}

static void new_means_new_and_existing_means_existing(void **state)
{
    (void)state;
    int error_number = 0;
    assert_null(file_open(place.dir, "a", FILE_EXISTING, &error_number));
    assert_int_equal(error_number, ENOENT);
    file_close(open_file("a", FILE_NEW));
    assert_null(file_open(place.dir, "a", FILE_NEW, &error_number));
    assert_int_equal(error_number, EEXIST);
    file_close(open_file("a", FILE_EXISTING));
    file_close(NULL);
}

static void what_was_written_is_read_also_after_opening_again(void **state)
{
    (void)state;
    char data[16] = "";
    struct file *file = open_file("a", FILE_NEW);
    assert_int_equal(file_len(file), 0);
    assert_int_equal(file_write(file, 10, "later", 5), 0);
    assert_int_equal(file_write(file, 0, "first", 5), 0);
    assert_int_equal(file_len(file), 15);
    assert_int_equal(file_sync(file), 0);
    file_close(file);
    file = open_file("a", FILE_EXISTING);
    assert_int_equal(file_len(file), 15);
    assert_int_equal(file_read(file, 0, data, 15), 0);
    assert_memory_equal(data, "first\0\0\0\0\0later", 15);
    file_close(file);
}

static void what_is_mapped_outlives_the_file_that_was_opened(void **state)
{
    (void)state;
    void *data = NULL;
    struct file *file = open_file("a", FILE_NEW);
    assert_int_equal(file_write(file, 5000, "later", 5), 0);
    file_close(file);
    file = open_file("a", FILE_READ);
    assert_int_equal(file_map(file, 5006, &data), EIO);
    assert_null(data);
    assert_int_equal(file_map(file, 5005, &data), 0);
    file_close(file);
    assert_memory_equal((const char *)data + 5000, "later", 5);
    file_unmap(data, 5005);
    file_unmap(NULL, 0);
}

/* As what the disk cannot read: to look there would end the process. */
static void what_cannot_be_read_is_found_when_it_is_mapped(void **state)
{
    (void)state;
    char path[100];
    void *data = NULL;
    struct file *file = open_file("a", FILE_NEW);
    assert_int_equal(file_preallocate(file, 1 << 20), 0);
    (void)snprintf(path, sizeof(path), "%s/a", place.path);
    assert_int_equal(truncate(path, 1 << 19), 0);
    assert_int_equal(file_len(file), 1 << 20);
    assert_int_equal(file_map(file, 1 << 20, &data), EIO);
    assert_null(data);
    file_close(file);
}

static void reading_past_the_end_fails(void **state)
{
    (void)state;
    char data[16];
    struct file *file = open_file("a", FILE_NEW);
    assert_int_equal(file_write(file, 0, "12345", 5), 0);
    assert_int_equal(file_read(file, 0, data, 5), 0);
    assert_int_equal(file_read(file, 0, data, 6), EIO);
    assert_int_equal(file_read(file, 5, data, 1), EIO);
    assert_int_equal(file_read(file, 5, data, 0), 0);
    file_close(file);
}

static void preallocating_fills_with_zeros_in_real_blocks(void **state)
{
    (void)state;
    const uint64_t len = (1u << 20) + 4097; /* no whole number of chunks */
    char data[3];
    char path[100];
    struct stat status;
    struct file *file = open_file("a", FILE_NEW);
    assert_int_equal(file_write(file, 0, "xyz", 3), 0);
    assert_int_equal(file_preallocate(file, len), 0);
    assert_int_equal(file_len(file), len);
    assert_int_equal(file_read(file, 0, data, 3), 0);
    assert_memory_equal(data, "\0\0\0", 3);
    assert_int_equal(file_read(file, len - 1, data, 1), 0);
    assert_int_equal(data[0], 0);
    file_close(file);
    (void)snprintf(path, sizeof(path), "%s/a", place.path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, len);
    assert_true((uint64_t)status.st_blocks * 512 >= len);
}

static void files_are_renamed_and_unlinked(void **state)
{
    (void)state;
    char byte;
    struct file *file = open_file("a", FILE_NEW);
    assert_int_equal(file_write(file, 0, "1", 1), 0);
    assert_int_equal(dir_rename(place.dir, "a", "b"), 0);
    assert_int_equal(dir_sync(place.dir), 0);
    assert_false(dir_has(place.dir, "a"));
    assert_true(dir_has(place.dir, "b"));
    assert_int_equal(file_read(file, 0, &byte, 1), 0); /* it is still the same file */
    file_close(file);
    assert_int_equal(dir_rename(place.dir, "a", "b"), ENOENT);
    assert_int_equal(dir_unlink(place.dir, "b"), 0);
    assert_int_equal(dir_unlink(place.dir, "b"), ENOENT);
    assert_true(dir_is_empty(place.dir));
}

static void a_directory_to_look_at_must_be_there_and_is_left_as_it_is(void **state)
{
    (void)state;
    char error[200];
    char path[100];
    char expected[200];
    (void)snprintf(path, sizeof(path), "%s/none", place.folder);
    (void)snprintf(expected, sizeof(expected), "%s: No such file or directory", path);
    assert_null(dir_open_existing(path, error, sizeof(error)));
    assert_string_equal(error, expected);

    (void)snprintf(expected, sizeof(expected), "%s: in use by another process", place.path);
    assert_null(dir_open_existing(place.path, error, sizeof(error)));
    assert_string_equal(error, expected);

    dir_close(place.dir);
    struct dir *first = dir_open_existing(place.path, error, sizeof(error));
    struct dir *second = dir_open_existing(place.path, error, sizeof(error)); /* both only look */
    assert_non_null(first);
    assert_non_null(second);
    assert_null(dir_open(place.path, error, sizeof(error)));
    assert_int_equal(dir_unlink(first, "LOCK"), 0);
    dir_close(first);
    dir_close(second);
    dir_close(dir_open_existing(place.path, error, sizeof(error)));
    (void)snprintf(path, sizeof(path), "%s/LOCK", place.path);
    assert_int_equal(access(path, F_OK), -1);
    place.dir = dir_open(place.path, error, sizeof(error));
    assert_non_null(place.dir);
}

enum { NAMES_LEN = 100 };

static void note_name(void *context, const char *name)
{
    char *names = context;
    size_t len = strlen(names);
    (void)snprintf(names + len, NAMES_LEN - len, "%s", name);
}

static void names_are_listed_by_their_beginning(void **state)
{
    (void)state;
    char names[NAMES_LEN] = "";
    file_close(open_file("a", FILE_NEW));
    file_close(open_file("b", FILE_NEW));
    assert_int_equal(dir_list(place.dir, "a", note_name, names), 0);
    assert_string_equal(names, "a");
    assert_int_equal(dir_list(place.dir, "", note_name, names), 0);
    assert_true(strcmp(names, "aab") == 0 || strcmp(names, "aba") == 0); /* and no LOCK */
    assert_int_equal(dir_list(place.dir, "c", note_name, names), 0);
    assert_int_equal(strlen(names), 3);
}

static void the_file_system_has_room_and_a_size(void **state)
{
    (void)state;
    uint64_t free_len = 0;
    uint64_t total_len = 0;
    assert_int_equal(dir_space(place.dir, &free_len, &total_len), 0);
    assert_true(total_len > 0);
    assert_true(free_len <= total_len);
}

static void a_file_that_is_only_read_takes_no_write(void **state)
{
    (void)state;
    int error_number = 0;
    char data[3] = "";
    assert_null(file_open(place.dir, "a", FILE_READ, &error_number));
    assert_int_equal(error_number, ENOENT);
    struct file *file = open_file("a", FILE_NEW);
    assert_string_equal(file_name(file), "a");
    assert_int_equal(file_write(file, 0, "xy", 2), 0);
    file_close(file);
    file = open_file("a", FILE_READ);
    assert_int_equal(file_len(file), 2);
    assert_int_equal(file_read(file, 0, data, 2), 0);
    assert_string_equal(data, "xy");
    assert_int_equal(file_write(file, 0, "z", 1), EBADF);
    file_close(file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        TEST(a_new_directory_is_empty_and_private),
        TEST(a_second_process_is_refused_until_the_first_has_gone),
        TEST(what_is_no_directory_is_named),
        TEST(the_directory_in_which_a_new_one_would_be_is_named_where_it_is_missing),
        TEST(new_means_new_and_existing_means_existing),
        TEST(what_was_written_is_read_also_after_opening_again),
        TEST(what_is_mapped_outlives_the_file_that_was_opened),
        TEST(what_cannot_be_read_is_found_when_it_is_mapped),
        TEST(reading_past_the_end_fails),
        TEST(preallocating_fills_with_zeros_in_real_blocks),
        TEST(files_are_renamed_and_unlinked),
        TEST(a_directory_to_look_at_must_be_there_and_is_left_as_it_is),
        TEST(names_are_listed_by_their_beginning),
        TEST(the_file_system_has_room_and_a_size),
        TEST(a_file_that_is_only_read_takes_no_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
