/* SPDX-License-Identifier: MIT */

/* log verify, dump and salvage on directories that were written here. */

#include "cli/log_files.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <unistd.h>

#include "cli/actions.h"
#include "proto/table.h"
#include "tests/unit/captured.h"
#include "tests/unit/log_builder.h"
#include "tests/unit/scratch.h"

#define SEGMENT_LEN (8u << 10)

static const char tree[] = "bytes of a tree";

struct fixture {
    struct scratch scratch;
    char from[192], to[192];
    char said[8192]; /* on standard output and standard error */
};

/* --- directories --- */

static void write_file(const char *path, const char *name, const void *data, size_t len)
{
    char error[256];
    int error_number = 0;
    struct dir *dir = dir_open(path, error, sizeof error);
    assert_non_null(dir);
    struct file *file = file_open(dir, name, FILE_NEW, &error_number);
    assert_non_null(file);
    assert_int_equal(file_write(file, 0, data, len), 0);
    file_close(file);
    dir_close(dir);
}

static void write_note(const char *path, uint64_t newest)
{
    uint8_t note[LOG_NEWEST_LEN] = {0};
    log_newest_encode(newest, note + newest % 2 * LOG_NEWEST_SLOT_LEN);
    write_file(path, LOG_NEWEST_NAME, note, sizeof note);
}

/* Without the segment of that index; UINT32_MAX: all. */
static void write_log(const char *path, const struct build *build, uint32_t missing)
{
    char name[LOG_FILE_NAME_LEN];
    for (uint32_t i = 0; i < build->segment_count; i++) {
        if (i != missing) {
            log_files_name(build->segments[i].header.number, name);
            write_file(path, name, build->segments[i].bytes, build->segments[i].header.len);
        }
    }
    write_file(path, "tree", tree, sizeof tree);
    write_file(path, "prepared-3", "shardlog", 8);
    write_note(path, build->segments[build->segment_count - 1].header.number);
}

static void remove_file(const char *path, const char *name)
{
    char file[256];
    (void)snprintf(file, sizeof file, "%s/%s", path, name);
    assert_int_equal(unlink(file), 0);
}

static bool has_file(const char *path, const char *name)
{
    char file[256];
    (void)snprintf(file, sizeof file, "%s/%s", path, name);
    return access(file, F_OK) == 0;
}

static void cut_file(const char *path, const char *name, uint64_t len)
{
    char file[256];
    (void)snprintf(file, sizeof file, "%s/%s", path, name);
    assert_int_equal(truncate(file, (off_t)len), 0);
}

static void flip_byte(const char *path, const char *name, long offset)
{
    char path_of_file[256];
    (void)snprintf(path_of_file, sizeof path_of_file, "%s/%s", path, name);
    FILE *file = fopen(path_of_file, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
    (void)fclose(file);
}

static struct fixture fixture_make(void)
{
    struct fixture fixture = {.scratch = scratch_make()};
    (void)snprintf(fixture.from, sizeof fixture.from, "%s/from", fixture.scratch.path);
    (void)snprintf(fixture.to, sizeof fixture.to, "%s/to", fixture.scratch.path);
    return fixture;
}

static void fixture_fini(const struct fixture *fixture, struct build *build)
{
    build_fini(build);
    scratch_remove(&fixture->scratch);
}

/* Three segments of a log that was stopped, with stamps 1001 to 1009. */
static struct build stopped(void)
{
    struct build build = {.last = 1000};
    for (unsigned i = 0; i < 3; i++) {
        build_segment(&build, SEGMENT_LEN, NULL, 0);
        build_checkpoint(&build);
        build_put(&build, 10);
        build_put(&build, 20);
        build_put(&build, 30);
        build_sync(&build);
        build_marker(&build, 0);
        build_sync(&build);
    }
    build_marker(&build, LOG_IS_STOP);
    return build;
}

/* --- commands --- */

static enum exit_code run(struct fixture *fixture, action *run_action, const char *command,
                          const struct arguments *options)
{
    const char *words[] = {fixture->from};
    struct arguments arguments = *options;
    struct session session;
    arguments.words = (struct argument_list){words, 1};
    session_init(&session, command, &arguments);
    struct captured captured = captured_begin();
    enum exit_code code = run_action(&session);
    captured_end(&captured, fixture->said, sizeof fixture->said);
    return code;
}

static enum exit_code verify(struct fixture *fixture)
{
    return run(fixture, log_verify, "log verify", &(struct arguments){0});
}

static enum exit_code salvage(struct fixture *fixture)
{
    return run(fixture, log_salvage, "log salvage", &(struct arguments){.to = fixture->to});
}

static void assert_said(const struct fixture *fixture, const char *text)
{
    if (!strstr(fixture->said, text)) {
        print_error("not said: %s\n%s\n", text, fixture->said);
        fail();
    }
}

/* --- what a directory holds --- */

struct held {
    uint64_t stamps[64];
    unsigned count;
    unsigned controls;
    unsigned not_fine;
};

static bool on_record(void *context, const struct log_seen *seen)
{
    struct held *held = context;
    held->controls += seen->header->type == LOG_CONTROL;
    for (uint32_t i = 0; i < seen->header->count && seen->header->type == LOG_OPERATIONS; i++) {
        assert_true(held->count < 64);
        held->stamps[held->count++] = seen->header->first + i;
    }
    return true;
}

static bool on_segment(void *context, const struct log_segment_report *report)
{
    struct held *held = context;
    held->not_fine += report->state != LOG_STATE_FINE;
    return true;
}

static struct held read_back(const char *path)
{
    struct held held = {0};
    const struct log_walker walker = {
        .context = &held, .on_record = on_record, .on_segment = on_segment};
    struct log_files files;
    assert_int_equal(log_files_open(&files, "test", path), EXIT_CODE_DONE);
    assert_int_equal(log_files_walk(&files, &walker), EXIT_CODE_DONE);
    log_files_close(&files);
    return held;
}

static void assert_tree_is_there(const struct fixture *fixture)
{
    char error[256], found[sizeof tree];
    int error_number = 0;
    struct dir *dir = dir_open(fixture->to, error, sizeof error);
    assert_non_null(dir);
    struct file *file = file_open(dir, "tree", FILE_EXISTING, &error_number);
    assert_non_null(file);
    assert_int_equal(file_len(file), sizeof tree);
    assert_int_equal(file_read(file, 0, found, sizeof tree), 0);
    assert_memory_equal(found, tree, sizeof tree);
    file_close(file);
    dir_close(dir);
}

/* NEW holds all stamps of `build` but those of the segment `lost`, or of the record `broken`. */
static void assert_salvaged(const struct fixture *fixture, const struct build *build, uint32_t lost,
                            uint32_t broken)
{
    struct held held = read_back(fixture->to);
    unsigned at = 0;
    assert_int_equal(held.not_fine, 0);
    for (uint32_t i = 0; i < build->record_count; i++) {
        const struct build_record *record = &build->records[i];
        if (record->header.count == 0 || record->segment == lost || i == broken) {
            continue;
        }
        assert_true(at < held.count);
        assert_int_equal(held.stamps[at++], record->header.first);
    }
    assert_int_equal(at, held.count);
    assert_tree_is_there(fixture);
}

/* --- verify --- */

static void a_stopped_log_is_said_to_be_fine(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(verify(&fixture), 0);
    assert_said(&fixture, "log-0000000000000007");
    assert_said(&fixture, "16 records, 9 operations; the server was stopped\n");
    const struct arguments json = {.json = true};
    assert_int_equal(run(&fixture, log_verify, "log verify", &json), 0);
    assert_said(&fixture, "{\"segments\":[{\"number\":7,\"file\":\"log-0000000000000007\","
                          "\"state\":\"fine\",\"records\":5,\"operations\":3,\"first\":\"1001\","
                          "\"last\":\"1003\",\"durable\":\"1003\"");
    assert_said(&fixture, "\"damaged\":false,\"stopped\":true}\n");
    fixture_fini(&fixture, &build);
}

static void a_torn_log_is_told_from_a_damaged_one(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    build.record_count--;
    memset(build.segments[2].bytes + build.records[build.record_count].offset, 0xa5, 20);
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(verify(&fixture), 0);
    assert_said(&fixture,
                "torn at log-0000000000000009:4624 (a crash; the server cuts it at start)");
    assert_said(&fixture, "the server was not stopped");
    fixture_fini(&fixture, &build);
}

static void damage_is_named_with_file_and_offset_and_what_lies_behind(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    build_break(&build, 6);
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(verify(&fixture), 1);
    assert_said(&fixture, "damaged: log-0000000000000008: offset 4184: ");
    assert_said(&fixture, "behind it: 3 whole records with 2 operations, stamps 1005 to 1006\n");
    assert_said(&fixture, "12 records, 6 operations");
    fixture_fini(&fixture, &build);
}

static void a_missing_segment_is_named(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    write_log(fixture.from, &build, 1);
    assert_int_equal(verify(&fixture), 1);
    assert_said(&fixture, "damaged: log-0000000000000008 is missing\n");
    fixture_fini(&fixture, &build);
}

static void a_file_under_another_segments_name_is_damage(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    write_file(fixture.from, "log-0000000000000003", build.segments[2].bytes, SEGMENT_LEN);
    assert_int_equal(verify(&fixture), 1);
    assert_said(&fixture, "a segment of another number");
    assert_said(&fixture, "damaged: log.newest is missing");
    assert_said(&fixture, "damaged: tree is missing");
    fixture_fini(&fixture, &build);
}

/* RULES L2: without the note nobody saw it. */
static void a_missing_newest_segment_is_named(void **state)
{
    (void)state;
    for (uint32_t count = 1; count < 3; count++) {
        struct fixture fixture = fixture_make();
        struct build build = stopped();
        write_log(fixture.from, &build, UINT32_MAX);
        remove_file(fixture.from, "log-0000000000000009");
        if (count == 2) {
            remove_file(fixture.from, "log-0000000000000008");
        }
        assert_int_equal(verify(&fixture), 1);
        assert_said(&fixture,
                    count == 1
                        ? "damaged: log-0000000000000009 is missing: log.newest tells of it\n"
                        : "damaged: log-0000000000000008 to log-0000000000000009 is missing: "
                          "log.newest tells of it\n");
        const struct arguments json = {.json = true};
        assert_int_equal(run(&fixture, log_verify, "log verify", &json), 1);
        assert_said(&fixture, "\"state\":\"missing\"");
        assert_said(&fixture, "\"newest\":{\"state\":\"fine\",\"number\":9},\"tree\":true,"
                              "\"follows\":\"1000\",\"faults\":[]");
        assert_said(&fixture, "\"damaged\":true,\"stopped\":false}\n");
        assert_int_equal(run(&fixture, log_dump, "log dump", &json), 1);
        assert_said(&fixture, count == 1 ? "{\"damage\":\"log-0000000000000009 is missing\"}\n"
                                         : "{\"damage\":\"log-0000000000000008 to "
                                           "log-0000000000000009 is missing\"}\n");
        fixture_fini(&fixture, &build);
    }
}

static void a_note_or_a_tree_that_is_missing_or_damaged_is_named(void **state)
{
    (void)state;
    enum { REMOVED, EMPTY, CUT, FLIPPED };
    static const struct {
        const char *file;
        int what;
        const char *said;
    } faults[] = {
        {"tree", REMOVED, "tree is missing, and with it what is no longer in the log"},
        {"tree", EMPTY, "tree is empty: what is no longer in the log is lost"},
        {LOG_NEWEST_NAME, REMOVED, "log.newest is missing: whether the newest segment is there"},
        {LOG_NEWEST_NAME, EMPTY, "log.newest is damaged: whether the newest"},
        {LOG_NEWEST_NAME, CUT, "log.newest is damaged: whether the newest"},
        {LOG_NEWEST_NAME, FLIPPED, "log.newest is damaged: whether the newest"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct fixture fixture = fixture_make();
        struct build build = stopped();
        write_log(fixture.from, &build, UINT32_MAX);
        switch (faults[i].what) {
        case REMOVED:
            remove_file(fixture.from, faults[i].file);
            break;
        case FLIPPED:
            flip_byte(fixture.from, faults[i].file, LOG_NEWEST_SLOT_LEN + 16);
            break;
        default:
            cut_file(fixture.from, faults[i].file,
                     faults[i].what == EMPTY ? 0 : LOG_NEWEST_SLOT_LEN);
        }
        assert_int_equal(verify(&fixture), 1);
        assert_said(&fixture, faults[i].said);
        const struct arguments json = {.json = true};
        assert_int_equal(run(&fixture, log_verify, "log verify", &json), 1);
        assert_said(&fixture, faults[i].said);
        assert_int_equal(run(&fixture, log_dump, "log dump", &json), 1);
        assert_said(&fixture, faults[i].said);
        fixture_fini(&fixture, &build);
    }
}

static void a_directory_that_lost_all_its_segments_is_damaged(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    write_note(fixture.from, 0);
    write_file(fixture.from, "tree", tree, sizeof tree);
    assert_int_equal(verify(&fixture), 0); /* there was none yet */
    remove_file(fixture.from, LOG_NEWEST_NAME);
    assert_int_equal(verify(&fixture), 1);
    assert_said(&fixture, "damaged: no segment is there");
    write_note(fixture.from, 12);
    assert_int_equal(verify(&fixture), 1);
    assert_said(&fixture, "damaged: log-000000000000000c is missing: log.newest tells of it\n");
    assert_int_equal(run(&fixture, log_dump, "log dump", &(struct arguments){0}), 1);
    assert_said(&fixture, "log-000000000000000c is missing");
    assert_int_equal(salvage(&fixture), 0);
    assert_said(&fixture, "left behind: log-000000000000000c, which is missing");
    assert_said(&fixture, "no checkpoint can be read: the server begins with the tree");
    scratch_remove(&fixture.scratch);
}

static void a_directory_without_a_log_is_the_persons_mistake(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    assert_int_equal(verify(&fixture), EXIT_CODE_USAGE);
    write_file(fixture.from, "log-7", "no", 2);
    assert_int_equal(verify(&fixture), EXIT_CODE_USAGE);
    assert_said(&fixture, "no log is in it");
    scratch_remove(&fixture.scratch);
}

static void a_directory_in_use_is_refused(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    char error[256];
    write_log(fixture.from, &build, UINT32_MAX);
    struct dir *dir = dir_open(fixture.from, error, sizeof error);
    assert_non_null(dir);
    assert_int_equal(verify(&fixture), EXIT_CODE_USAGE);
    assert_said(&fixture, "in use");
    assert_int_equal(salvage(&fixture), EXIT_CODE_USAGE);
    assert_int_equal(access(fixture.to, F_OK), -1);
    dir_close(dir);
    fixture_fini(&fixture, &build);
}

/* --- dump --- */

static unsigned line_count(const struct fixture *fixture)
{
    unsigned count = 0;
    for (const char *at = fixture->said; *at; at++) {
        count += *at == '\n';
    }
    return count;
}

static void a_dump_has_a_line_for_each_record_and_operation(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(run(&fixture, log_dump, "log dump", &(struct arguments){0}), 0);
    assert_int_equal(line_count(&fixture), 16 + 9);
    assert_said(&fixture, "log-0000000000000007:4096 checkpoint below 1001 durable 0");
    assert_said(&fixture, "\n  1005 put table 0 key some key size 92\n");
    assert_said(&fixture, "marker of a stop below 1010 durable 1009");
    struct arguments options = {.json = true, .from_stamp = 1005, .limit = 3};
    assert_int_equal(run(&fixture, log_dump, "log dump", &options), 0);
    assert_int_equal(line_count(&fixture), 3);
    assert_said(&fixture, "{\"stamp\":\"1005\",\"kind\":\"put\",\"table\":0,\"key\":\"some key\","
                          "\"size\":92,\"version\":\"1005\"}\n");
    fixture_fini(&fixture, &build);
}

static void a_dump_shows_an_id_as_a_number_and_what_kind_its_record_is(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = {.last = 1000};
    const struct log_op op = {
        .kind = LOG_PUT,
        .table = TABLE_ENTITIES,
        .record_kind = 7,
        .key = {"\x04\x45\x99\xa9\xbd\x00\x30\x01", ID_KEY_LEN},
        .value = {"\x80", 1},
    };
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build_checkpoint(&build);
    log_op_encode(&op, &build.payload);
    build_record(&build, LOG_OPERATIONS, 1, 0, 0);
    build_sync(&build);
    build_marker(&build, LOG_IS_STOP);
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(run(&fixture, log_dump, "log dump", &(struct arguments){0}), 0);
    assert_said(&fixture, "  1001 put table 32768 id 307821103844175873 kind 7 size 73\n");
    struct arguments options = {.json = true};
    assert_int_equal(run(&fixture, log_dump, "log dump", &options), 0);
    assert_said(&fixture,
                "\"table\":32768,\"id\":\"307821103844175873\",\"record_kind\":7,\"size\"");
    fixture_fini(&fixture, &build);
}

static void a_dump_goes_on_behind_damage_and_says_so(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    build_break(&build, 6);
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(run(&fixture, log_dump, "log dump", &(struct arguments){0}), 1);
    assert_said(&fixture, "  1006 put");
    assert_said(&fixture, "behind damage");
    assert_said(&fixture, "log dump: log-0000000000000008: offset 4184");
    assert_null(strstr(fixture.said, "  1004 put"));
    fixture_fini(&fixture, &build);
}

/* --- salvage --- */

static void salvage_of_a_fine_log_leaves_nothing_behind(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(salvage(&fixture), 0);
    assert_null(strstr(fixture.said, "left behind"));
    assert_said(&fixture, "12 records with 9 operations in 3 segments, and the tree, are in ");
    assert_salvaged(&fixture, &build, UINT32_MAX, UINT32_MAX);
    assert_int_equal(read_back(fixture.to).controls, 0);
    fixture_fini(&fixture, &build);
}

static void whatever_record_is_lost_all_others_are_salvaged(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 15; i++) {
        struct fixture fixture = fixture_make();
        struct build build = stopped();
        build_break(&build, i);
        write_log(fixture.from, &build, UINT32_MAX);
        assert_int_equal(salvage(&fixture), 0);
        assert_said(&fixture, "left behind: log-");
        assert_salvaged(&fixture, &build, UINT32_MAX, i);
        assert_int_equal(read_back(fixture.to).controls, 1);
        fixture_fini(&fixture, &build);
    }
}

static void salvage_tells_bytes_and_stamps_of_what_it_left_behind(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    build_break(&build, 7);
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(salvage(&fixture), 0);
    assert_said(&fixture, "left behind: log-0000000000000008:4304 to 4432, 128 bytes, stamps above "
                          "1004 and below 1006\n");
    fixture_fini(&fixture, &build);
}

static void a_lost_segment_is_left_behind_and_the_others_follow_each_other(void **state)
{
    (void)state;
    for (uint32_t lost = 1; lost < 3; lost++) {
        struct fixture fixture = fixture_make();
        struct build build = stopped();
        uint32_t missing = lost == 1 ? 1 : UINT32_MAX;
        if (lost == 2) {
            build.segments[2].bytes[90] ^= 1;
        }
        write_log(fixture.from, &build, missing);
        assert_int_equal(salvage(&fixture), 0);
        assert_said(&fixture, lost == 1
                                  ? "log-0000000000000008, which is missing, stamps above 1003 "
                                    "and below 1007\n"
                                  : "log-0000000000000009:0 to 8192, 8192 bytes, stamps above "
                                    "1006\n");
        assert_salvaged(&fixture, &build, lost, UINT32_MAX);
        fixture_fini(&fixture, &build);
    }
}

/* What a recovery cut was never acknowledged, and what it copied is there twice. */
static void what_lies_behind_a_sealed_end_is_not_salvaged(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = {.last = 1000};
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build_checkpoint(&build);
    build_put(&build, 10);
    build_put(&build, 10);
    uint64_t last = build.last, chain = build.chain;
    build_put(&build, 10);
    build.record_count--;
    build.last = last;
    build.chain = chain;
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build_checkpoint(&build);
    build_put(&build, 33);
    build_break(&build, 1);
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(salvage(&fixture), 0);
    assert_salvaged(&fixture, &build, UINT32_MAX, 1);
    fixture_fini(&fixture, &build);
}

/* RULES S8: its accounts are those of before. */
static void what_is_salvaged_has_its_note_and_is_to_be_counted(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    write_log(fixture.from, &build, 1);
    assert_int_equal(salvage(&fixture), 0);
    assert_true(has_file(fixture.to, LOG_RECOUNT_NAME));
    assert_false(has_file(fixture.to, LOG_NO_TREE_NAME));
    (void)snprintf(fixture.from, sizeof fixture.from, "%s", fixture.to);
    assert_int_equal(verify(&fixture), 0);
    const struct arguments json = {.json = true};
    assert_int_equal(run(&fixture, log_verify, "log verify", &json), 0);
    assert_said(&fixture, "\"newest\":{\"state\":\"fine\",\"number\":8},\"tree\":true,"
                          "\"follows\":\"0\",\"faults\":[]");
    remove_file(fixture.to, "log-0000000000000008");
    assert_int_equal(verify(&fixture), 1);
    fixture_fini(&fixture, &build);
}

/* No stamp that the newest segment may have given is given again. */
static void without_its_note_a_log_is_salvaged_as_one_that_lacks_its_end(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    write_log(fixture.from, &build, UINT32_MAX);
    remove_file(fixture.from, LOG_NEWEST_NAME);
    assert_int_equal(salvage(&fixture), 0);
    assert_said(&fixture, "damaged: log.newest is missing");
    assert_int_equal(read_back(fixture.to).controls, 1);
    fixture_fini(&fixture, &build);
}

/* It was salvaged without a tick, and no server could start on it. */
static void a_newest_segment_that_was_cut_is_left_behind(void **state)
{
    (void)state;
    for (uint64_t len = 0; len < SEGMENT_LEN; len += LOG_SEGMENT_HEADER_LEN + 4) {
        struct fixture fixture = fixture_make();
        struct build build = stopped();
        write_log(fixture.from, &build, UINT32_MAX);
        cut_file(fixture.from, "log-0000000000000009", len);
        assert_int_equal(verify(&fixture), 1);
        assert_int_equal(salvage(&fixture), 0);
        assert_said(&fixture, "left behind: log-0000000000000009:");
        assert_int_equal(read_back(fixture.to).controls, 1);
        fixture_fini(&fixture, &build);
    }
}

static void headers_tell_what_was_left_behind(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    const struct build_record *record = &build.records[7];
    build.segments[record->segment].bytes[record->offset + LOG_RECORD_HEADER_LEN + 40] ^= 1;
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(salvage(&fixture), 0);
    assert_said(&fixture, "4304 to 4432, 128 bytes, with the headers of 1 record of 1 operation, "
                          "stamps 1005 to 1005, stamps above 1004 and below 1006\n");
    assert_said(&fixture, "left behind in all: 0 segments, and 128 bytes with the headers of 1 "
                          "record of 1 operation\n");
    fixture_fini(&fixture, &build);
}

static void a_tree_is_given_up_only_when_told(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    write_log(fixture.from, &build, UINT32_MAX);
    remove_file(fixture.from, "tree");
    assert_int_equal(salvage(&fixture), EXIT_CODE_UNAVAILABLE);
    assert_said(&fixture, "/from/tree: No such file or directory");
    assert_said(&fixture, "--without-tree");
    assert_false(has_file(fixture.to, "log-0000000000000007"));
    (void)snprintf(fixture.to, sizeof fixture.to, "%s/again", fixture.scratch.path);
    const struct arguments options = {.to = fixture.to, .without_tree = true};
    assert_int_equal(run(&fixture, log_salvage, "log salvage", &options), 0);
    assert_said(&fixture, "left behind: tree, and with it what was no longer in the log\n");
    assert_true(has_file(fixture.to, LOG_NO_TREE_NAME));
    (void)snprintf(fixture.from, sizeof fixture.from, "%s", fixture.to);
    assert_int_equal(verify(&fixture), 0);
    fixture_fini(&fixture, &build);
}

static void salvage_writes_over_nothing(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    write_log(fixture.from, &build, UINT32_MAX);
    write_file(fixture.to, "something", "x", 1);
    assert_int_equal(salvage(&fixture), EXIT_CODE_USAGE);
    assert_said(&fixture, "is not empty");
    const struct arguments none = {0};
    assert_int_equal(run(&fixture, log_salvage, "log salvage", &none), EXIT_CODE_USAGE);
    fixture_fini(&fixture, &build);
}

/* --- without a checkpoint --- */

/* The checkpoint is damaged; a control state stands between two of four puts, or there is none. */
static struct build without_checkpoint(bool has_state)
{
    static const uint8_t state = LOG_STATE;
    struct build build = {.last = 1000};
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build_checkpoint(&build);
    build_put(&build, 10);
    build_put(&build, 10);
    if (has_state) {
        build_account(&build, 100);
        buffer_append(&build.payload, &state, 1);
        buffer_append(&build.payload, "state", 5);
        build_record(&build, LOG_CONTROL, 1, 1, 0);
    }
    build_put(&build, 10);
    build_put(&build, 10);
    build_break(&build, 0);
    return build;
}

static bool take_first(void *context, const struct log_seen *seen)
{
    struct buffer *first = context;
    assert_int_equal(seen->header->type, LOG_CHECKPOINT);
    buffer_append_bytes(first, seen->payload);
    return false;
}

/* What the first checkpoint of NEW has. */
static void assert_begins_with(const struct fixture *fixture, struct bytes payload)
{
    struct buffer first = {0};
    const struct log_walker walker = {.context = &first, .on_record = take_first};
    struct log_files files;
    assert_int_equal(log_files_open(&files, "test", fixture->to), EXIT_CODE_DONE);
    assert_int_equal(log_files_walk(&files, &walker), EXIT_CODE_DONE);
    assert_true(bytes_equal(buffer_bytes(&first), payload));
    buffer_fini(&first);
    log_files_close(&files);
}

/* RULES S11 */
static void without_a_checkpoint_salvage_begins_with_the_tree(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = without_checkpoint(false);
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(salvage(&fixture), 0);
    assert_said(&fixture, "left behind: log-0000000000000007:4096 to ");
    assert_said(&fixture, "no checkpoint can be read: the server begins with the tree");
    assert_said(&fixture, "4 records with 4 operations in 1 segment, and the tree, are in ");
    assert_begins_with(&fixture, bytes_text(LOG_STATE_IN_TREE));
    assert_salvaged(&fixture, &build, UINT32_MAX, 0);
    assert_int_equal(read_back(fixture.to).controls, 1);
    assert_true(has_file(fixture.to, LOG_RECOUNT_NAME));
    (void)snprintf(fixture.to, sizeof fixture.to, "%s/again", fixture.scratch.path);
    const struct arguments json = {.to = fixture.to, .json = true};
    assert_int_equal(run(&fixture, log_salvage, "log salvage", &json), 0);
    assert_said(&fixture, "\"begins_with\":\"tree\"");
    fixture_fini(&fixture, &build);
}

static void a_control_state_serves_as_the_checkpoint_that_is_lost(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = without_checkpoint(true);
    struct buffer payload = {0};
    const struct log_account account = {.epoch = 3, .used = 100, .records = 1};
    log_account_encode(&account, &payload);
    buffer_append(&payload, "state", 5);
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(salvage(&fixture), 0);
    assert_null(strstr(fixture.said, "no checkpoint can be read"));
    assert_said(&fixture, "5 records with 4 operations in 1 segment, and the tree, are in ");
    assert_begins_with(&fixture, buffer_bytes(&payload));
    const struct held held = read_back(fixture.to);
    assert_int_equal(held.not_fine, 0);
    assert_int_equal(held.count, 4);
    assert_int_equal(held.controls, 2);
    buffer_fini(&payload);
    fixture_fini(&fixture, &build);
}

/* Whatever of it is damaged: without the salt nothing in it can be read, and a newer format is not tried. */
static void behind_a_damaged_header_records_are_salvaged_unless_it_is_the_salt(void **state)
{
    (void)state;
    for (uint32_t offset = 0; offset < 128; offset += 8) {
        bool is_lost = offset == 88 || offset == 8;
        for (uint32_t segment = 0; segment < 3; segment++) {
            struct fixture fixture = fixture_make();
            struct build build = stopped();
            build.segments[segment].bytes[offset] ^= 1;
            write_log(fixture.from, &build, UINT32_MAX);
            assert_int_equal(verify(&fixture), 1);
            assert_int_equal(salvage(&fixture), 0);
            assert_said(&fixture, is_lost ? ":0 to 8192, 8192 bytes" : ":0 to 4096, 4096 bytes");
            assert_null(strstr(fixture.said, "no checkpoint can be read"));
            assert_salvaged(&fixture, &build, is_lost ? segment : UINT32_MAX, UINT32_MAX);
            fixture_fini(&fixture, &build);
        }
    }
}

static void without_any_segment_that_can_be_read_salvage_begins_with_the_tree(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    for (uint32_t i = 0; i < 3; i++) {
        build.segments[i].bytes[90] ^= 1;
    }
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(salvage(&fixture), 0);
    assert_said(&fixture, "no checkpoint can be read: the server begins with the tree");
    assert_said(&fixture, "left behind in all: 0 segments, and 24576 bytes");
    assert_begins_with(&fixture, bytes_text(LOG_STATE_IN_TREE));
    assert_int_equal(read_back(fixture.to).count, 0);
    (void)snprintf(fixture.from, sizeof fixture.from, "%s", fixture.to);
    assert_int_equal(verify(&fixture), 0);
    fixture_fini(&fixture, &build);
}

/* It would lose what a newer shardkv can read. */
static void a_log_of_a_newer_version_is_not_given_up_for_the_tree(void **state)
{
    (void)state;
    struct fixture fixture = fixture_make();
    struct build build = stopped();
    for (uint32_t i = 0; i < 3; i++) {
        build.segments[i].bytes[8] = LOG_FORMAT + 1;
    }
    write_log(fixture.from, &build, UINT32_MAX);
    assert_int_equal(salvage(&fixture), EXIT_CODE_UNAVAILABLE);
    assert_said(&fixture, "a segment is of a newer version, whose shardkv can read it");
    assert_false(has_file(fixture.to, "tree"));
    fixture_fini(&fixture, &build);
}

static void with_neither_checkpoint_nor_tree_nothing_is_named(void **state)
{
    (void)state;
    static const char *const said[] = {"and the tree is missing: nothing else tells",
                                       "and the tree is empty: nothing else tells",
                                       "and the tree is given up: nothing else tells"};
    for (int i = 0; i < 3; i++) {
        struct fixture fixture = fixture_make();
        struct build build = without_checkpoint(false);
        write_log(fixture.from, &build, UINT32_MAX);
        if (i == 0) {
            remove_file(fixture.from, "tree");
        } else if (i == 1) {
            cut_file(fixture.from, "tree", 0);
        }
        const struct arguments options = {.to = fixture.to, .without_tree = i == 2};
        assert_int_equal(run(&fixture, log_salvage, "log salvage", &options),
                         EXIT_CODE_UNAVAILABLE);
        assert_said(&fixture, "no checkpoint can be read");
        assert_said(&fixture, said[i]);
        assert_false(has_file(fixture.to, "tree"));
        assert_false(has_file(fixture.to, "log-0000000000000007"));
        fixture_fini(&fixture, &build);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_log_is_said_to_be_fine),
        cmocka_unit_test(a_torn_log_is_told_from_a_damaged_one),
        cmocka_unit_test(damage_is_named_with_file_and_offset_and_what_lies_behind),
        cmocka_unit_test(a_missing_segment_is_named),
        cmocka_unit_test(a_file_under_another_segments_name_is_damage),
        cmocka_unit_test(a_missing_newest_segment_is_named),
        cmocka_unit_test(a_note_or_a_tree_that_is_missing_or_damaged_is_named),
        cmocka_unit_test(a_directory_that_lost_all_its_segments_is_damaged),
        cmocka_unit_test(a_directory_without_a_log_is_the_persons_mistake),
        cmocka_unit_test(a_directory_in_use_is_refused),
        cmocka_unit_test(a_dump_has_a_line_for_each_record_and_operation),
        cmocka_unit_test(a_dump_shows_an_id_as_a_number_and_what_kind_its_record_is),
        cmocka_unit_test(a_dump_goes_on_behind_damage_and_says_so),
        cmocka_unit_test(salvage_of_a_fine_log_leaves_nothing_behind),
        cmocka_unit_test(whatever_record_is_lost_all_others_are_salvaged),
        cmocka_unit_test(salvage_tells_bytes_and_stamps_of_what_it_left_behind),
        cmocka_unit_test(a_lost_segment_is_left_behind_and_the_others_follow_each_other),
        cmocka_unit_test(what_lies_behind_a_sealed_end_is_not_salvaged),
        cmocka_unit_test(what_is_salvaged_has_its_note_and_is_to_be_counted),
        cmocka_unit_test(without_its_note_a_log_is_salvaged_as_one_that_lacks_its_end),
        cmocka_unit_test(a_newest_segment_that_was_cut_is_left_behind),
        cmocka_unit_test(headers_tell_what_was_left_behind),
        cmocka_unit_test(a_tree_is_given_up_only_when_told),
        cmocka_unit_test(salvage_writes_over_nothing),
        cmocka_unit_test(without_a_checkpoint_salvage_begins_with_the_tree),
        cmocka_unit_test(a_control_state_serves_as_the_checkpoint_that_is_lost),
        cmocka_unit_test(behind_a_damaged_header_records_are_salvaged_unless_it_is_the_salt),
        cmocka_unit_test(without_any_segment_that_can_be_read_salvage_begins_with_the_tree),
        cmocka_unit_test(a_log_of_a_newer_version_is_not_given_up_for_the_tree),
        cmocka_unit_test(with_neither_checkpoint_nor_tree_nothing_is_named),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
