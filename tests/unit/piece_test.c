/* SPDX-License-Identifier: MIT */
#include "cli/piece_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/stat.h>

#include "tests/unit/dice.h"
#include "tests/unit/scratch.h"

static struct scratch scratch;
static struct dir *dir;
static char error[PIECE_ERROR_LEN];

static int open_dir(void **state)
{
    (void)state;
    scratch = scratch_make();
    dir = dir_open(scratch.path, error, sizeof error);
    return dir ? 0 : -1;
}

static int close_dir(void **state)
{
    (void)state;
    dir_close(dir);
    scratch_remove(&scratch);
    return 0;
}

/* --- files --- */

static struct file *open_piece(uint32_t number)
{
    char name[PIECE_NAME_LEN];
    int error_number = 0;
    piece_name_print(number, false, name);
    struct file *file = file_open(dir, name, FILE_EXISTING, &error_number);
    assert_non_null(file);
    return file;
}

static struct buffer read_piece_file(uint32_t number)
{
    struct buffer bytes = {0};
    struct file *file = open_piece(number);
    uint8_t *data = buffer_reserve(&bytes, file_len(file));
    assert_non_null(data);
    bytes.len = file_len(file);
    assert_int_equal(file_read(file, 0, data, bytes.len), 0);
    file_close(file);
    return bytes;
}

/* In place of what is there, or under a new name. */
static void write_piece_file(uint32_t number, struct bytes bytes)
{
    char name[PIECE_NAME_LEN];
    int error_number = 0;
    piece_name_print(number, false, name);
    (void)dir_unlink(dir, name);
    struct file *file = file_open(dir, name, FILE_NEW, &error_number);
    assert_non_null(file);
    assert_int_equal(file_write(file, 0, bytes.data, bytes.len), 0);
    file_close(file);
}

/* --- pieces --- */

static const char *sample_table = "default";

static struct piece_origin sample_origin(void)
{
    return (struct piece_origin){
        .cluster = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
        .begun_ms = 1795269600000,
        .map_revision = 7,
        .table = bytes_text(sample_table),
        .from = bytes_text("0123456789abcdef.6b"),
    };
}

static struct piece_record sample_record(uint64_t point, const char *key, const char *value)
{
    return (struct piece_record){
        .point = point, .version = 77, .key = bytes_text(key), .value = bytes_text(value)};
}

static void write_piece(uint32_t number, const struct piece_record *records, unsigned count)
{
    int error_number = 0;
    struct piece_sum sum;
    struct piece_origin origin = sample_origin();
    struct piece_end end = {
        .damaged = 3, .ended_ms = 1795269601000, .is_last = true, .to = bytes_text("end")};
    struct piece_writer *writer = piece_writer_open(dir, number, &origin, &error_number);
    assert_non_null(writer);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(piece_writer_add(writer, &records[i]), 0);
    }
    assert_int_equal(piece_writer_finish(writer, &end, &sum), 0);
    assert_int_equal(sum.records, count);
    assert_int_equal(sum.damaged, 3);
    piece_writer_close(writer);
}

static const char *const sample_values[] = {"\x05", "\xa1x", "\xc0"};

static void write_sample(uint32_t number)
{
    const struct piece_record records[] = {
        sample_record(1, "one", sample_values[0]),
        sample_record(1, "two", sample_values[1]),
        sample_record(UINT64_MAX, "a", sample_values[2]),
    };
    write_piece(number, records, 3);
}

/* Reads to the end or to a fault; *count of records were given. */
static enum piece_read read_all(uint32_t number, unsigned *count)
{
    struct piece_record record;
    enum piece_read result = PIECE_READ_FAILED;
    struct piece_reader *reader = piece_reader_open(dir, number, error);
    *count = 0;
    if (reader) {
        while ((result = piece_reader_next(reader, &record, error)) == PIECE_READ_RECORD) {
            ++*count;
        }
    }
    piece_reader_close(reader);
    return result;
}

static void assert_bad(uint32_t number, const char *word)
{
    unsigned count;
    assert_int_equal(read_all(number, &count), PIECE_READ_FAILED);
    if (!strstr(error, word) || !strstr(error, "records-")) {
        print_error("%s\n", error);
        fail();
    }
}

/* --- tests --- */

static void assert_equal_records(const struct piece_record *a, const struct piece_record *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->is_sliding, b->is_sliding);
    assert_int_equal(a->point, b->point);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->expiry_ms, b->expiry_ms);
    assert_int_equal(a->ttl_ms, b->ttl_ms);
    assert_true(bytes_equal(a->key, b->key));
    assert_true(bytes_equal(a->value, b->value));
}

static struct piece_record roll(struct dice *dice, uint64_t point, struct bytes bytes)
{
    size_t value_len = dice_below(dice, 8) ? dice_below(dice, 400) : dice_below(dice, 300000);
    struct piece_record record = {
        .kind = (uint16_t)dice_roll(dice),
        .point = point,
        .version = dice_roll(dice),
        .key = bytes_of(bytes.data, 1 + dice_below(dice, KEY_LEN_MAX)),
        .value = bytes_of(bytes.data, value_len),
    };
    if (dice_below(dice, 2)) {
        record.is_sliding = dice_below(dice, 2);
        record.expiry_ms = 1 + dice_roll(dice) / 2;
        record.ttl_ms = dice_roll(dice);
    }
    return record;
}

static void what_was_written_is_read_back(void **state)
{
    enum { COUNT = 300, BYTES = 300000 };
    static uint8_t bytes[BYTES];
    static struct piece_record records[COUNT];
    struct dice dice = dice_of(20261121);
    struct piece_record record;
    (void)state;
    for (unsigned i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t)dice_roll(&dice);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        records[i] = roll(&dice, (uint64_t)i << 40, bytes_of(bytes, BYTES));
    }
    write_piece(1, records, COUNT);
    struct piece_reader *reader = piece_reader_open(dir, 1, error);
    assert_non_null(reader);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(piece_reader_next(reader, &record, error), PIECE_READ_RECORD);
        assert_equal_records(&record, &records[i]);
    }
    assert_int_equal(piece_reader_next(reader, &record, error), PIECE_READ_END);
    piece_reader_close(reader);
}

static void origin_end_and_sums_are_read_back(void **state)
{
    const struct piece_origin wanted = sample_origin();
    struct piece_record record;
    (void)state;
    write_sample(1);
    struct piece_reader *reader = piece_reader_open(dir, 1, error);
    assert_non_null(reader);
    while (piece_reader_next(reader, &record, error) == PIECE_READ_RECORD) {
    }
    const struct piece_origin *origin = piece_reader_origin(reader);
    const struct piece_end *end = piece_reader_end(reader);
    const struct piece_sum sum = piece_reader_sum(reader);
    assert_memory_equal(origin->cluster, wanted.cluster, ID_LEN);
    assert_int_equal(origin->begun_ms, wanted.begun_ms);
    assert_int_equal(origin->map_revision, wanted.map_revision);
    assert_true(bytes_equal(origin->table, wanted.table));
    assert_true(bytes_equal(origin->from, wanted.from));
    assert_true(end->is_last);
    assert_int_equal(end->damaged, 3);
    assert_int_equal(end->ended_ms, 1795269601000);
    assert_true(bytes_equal(end->to, bytes_text("end")));
    assert_int_equal(sum.records, 3);
    assert_int_equal(sum.size, 3 * RECORD_OVERHEAD + 7 + 4);
    piece_reader_close(reader);
}

static void a_piece_without_records_is_whole(void **state)
{
    unsigned count;
    (void)state;
    write_piece(1, NULL, 0);
    assert_int_equal(read_all(1, &count), PIECE_READ_END);
    assert_int_equal(count, 0);
}

static void a_table_of_ids_has_keys_of_eight_bytes(void **state)
{
    unsigned count;
    struct piece_record records[] = {
        sample_record(1, "12345678", "\x80"),
        sample_record(2, "23456789", "\x80"),
    };
    (void)state;
    records[1].kind = 65535;
    sample_table = "entities";
    write_piece(1, records, 2);
    assert_int_equal(read_all(1, &count), PIECE_READ_END);
    assert_int_equal(count, 2);
    records[1].key.len = 7;
    write_piece(1, records, 2);
    assert_bad(1, "record 2 is none");
    sample_table = "default";
    write_piece(1, records, 2);
    assert_int_equal(read_all(1, &count), PIECE_READ_END);
}

static void the_largest_record_fits(void **state)
{
    static uint8_t value[VALUE_LEN_MAX];
    uint8_t key[KEY_LEN_MAX] = {1};
    unsigned count;
    (void)state;
    const struct piece_record records[] = {
        {.point = 1, .key = bytes_of(key, sizeof key), .value = bytes_of(value, sizeof value)},
        {.point = 2, .key = bytes_of(key, sizeof key), .value = bytes_of(value, sizeof value)},
    };
    write_piece(1, records, 2);
    assert_int_equal(read_all(1, &count), PIECE_READ_END);
    assert_int_equal(count, 2);
}

static void every_shorter_prefix_is_found(void **state)
{
    (void)state;
    write_sample(1);
    struct buffer whole = read_piece_file(1);
    for (size_t len = 0; len < whole.len; len++) {
        write_piece_file(1, bytes_of(whole.data, len));
        assert_bad(1, "cut off");
    }
    buffer_fini(&whole);
}

static void every_flipped_bit_is_found(void **state)
{
    unsigned count;
    (void)state;
    write_sample(1);
    struct buffer whole = read_piece_file(1);
    for (size_t bit = 0; bit < 8 * whole.len; bit++) {
        whole.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        write_piece_file(1, buffer_bytes(&whole));
        if (read_all(1, &count) != PIECE_READ_FAILED) {
            print_error("bit %zu\n", bit);
            fail();
        }
        assert_non_null(strstr(error, "records-000001"));
        whole.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    buffer_fini(&whole);
}

static void what_follows_the_end_is_found(void **state)
{
    (void)state;
    write_sample(1);
    struct buffer whole = read_piece_file(1);
    buffer_append(&whole, "", 1);
    write_piece_file(1, buffer_bytes(&whole));
    assert_bad(1, "something follows");
    buffer_fini(&whole);
}

static void a_piece_under_anothers_name_is_found(void **state)
{
    (void)state;
    write_sample(1);
    struct buffer whole = read_piece_file(1);
    write_piece_file(2, buffer_bytes(&whole));
    assert_bad(2, "piece 1 under another's name");
    buffer_fini(&whole);
}

/* Each is whole by itself: only the chain of checksums tells that they changed places, or that one is missing. */
static void blocks_that_changed_places_are_found(void **state)
{
    static uint8_t value[PIECE_BLOCK_LEN_TARGET];
    struct buffer changed = {0};
    (void)state;
    const struct piece_record records[] = {
        {.point = 1, .key = bytes_text("a"), .value = bytes_of(value, sizeof value)},
        {.point = 2, .key = bytes_text("b"), .value = bytes_of(value, sizeof value)},
    };
    write_piece(1, records, 2);
    struct buffer whole = read_piece_file(1);
    size_t block_len = PIECE_BLOCK_HEAD_LEN + 48 + 1 + sizeof value;
    size_t first = PIECE_HEAD_LEN + PIECE_BLOCK_HEAD_LEN + 40 + 7 + 19;
    buffer_append(&changed, whole.data, first);
    buffer_append(&changed, whole.data + first + block_len, block_len);
    buffer_append(&changed, whole.data + first, block_len);
    size_t rest = first + 2 * block_len;
    buffer_append(&changed, whole.data + rest, whole.len - rest);
    write_piece_file(1, buffer_bytes(&changed));
    assert_bad(1, "checksum");
    buffer_clear(&changed);
    buffer_append(&changed, whole.data, first + block_len);
    buffer_append(&changed, whole.data + rest, whole.len - rest);
    write_piece_file(1, buffer_bytes(&changed));
    assert_bad(1, "checksum");
    buffer_fini(&changed);
    buffer_fini(&whole);
}

static void a_record_out_of_its_place_is_found(void **state)
{
    (void)state;
    const struct piece_record by_point[] = {sample_record(2, "a", "\xc0"),
                                            sample_record(1, "b", "\xc0")};
    const struct piece_record by_key[] = {sample_record(2, "b", "\xc0"),
                                          sample_record(2, "a", "\xc0")};
    const struct piece_record twice[] = {sample_record(2, "a", "\xc0"),
                                         sample_record(2, "a", "\xc0")};
    write_piece(1, by_point, 2);
    assert_bad(1, "record 2");
    write_piece(1, by_key, 2);
    assert_bad(1, "record 2");
    write_piece(1, twice, 2);
    assert_bad(1, "record 2");
}

static void a_newer_format_is_told(void **state)
{
    (void)state;
    write_sample(1);
    struct buffer whole = read_piece_file(1);
    whole.data[8] = PIECE_FORMAT + 1;
    write_piece_file(1, buffer_bytes(&whole));
    assert_bad(1, "newer version");
    buffer_fini(&whole);
}

static void a_missing_piece_and_one_that_is_no_file_are_named(void **state)
{
    char path[256];
    (void)state;
    assert_bad(7, "it is missing");
    (void)snprintf(path, sizeof path, "%s/records-000008", scratch.path);
    assert_int_equal(mkdir(path, 0700), 0);
    unsigned count;
    assert_int_equal(read_all(8, &count), PIECE_READ_FAILED);
    assert_non_null(strstr(error, "records-000008"));
}

static void an_unfinished_piece_leaves_nothing(void **state)
{
    int error_number = 0;
    struct piece_origin origin = sample_origin();
    struct piece_record record = sample_record(1, "a", "\xc0");
    (void)state;
    struct piece_writer *writer = piece_writer_open(dir, 1, &origin, &error_number);
    assert_non_null(writer);
    assert_int_equal(piece_writer_add(writer, &record), 0);
    assert_true(dir_has(dir, "records-000001.part"));
    assert_false(dir_has(dir, "records-000001"));
    piece_writer_close(writer);
    assert_true(dir_is_empty(dir));
}

static void what_an_earlier_run_left_is_written_over(void **state)
{
    unsigned count;
    (void)state;
    int error_number = 0;
    struct file *file = file_open(dir, "records-000001.part", FILE_NEW, &error_number);
    assert_non_null(file);
    file_close(file);
    write_sample(1);
    assert_false(dir_has(dir, "records-000001.part"));
    assert_int_equal(read_all(1, &count), PIECE_READ_END);
}

int main(void)
{
#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, open_dir, close_dir)
    const struct CMUnitTest tests[] = {
        WITH_DIR(what_was_written_is_read_back),
        WITH_DIR(origin_end_and_sums_are_read_back),
        WITH_DIR(a_piece_without_records_is_whole),
        WITH_DIR(a_table_of_ids_has_keys_of_eight_bytes),
        WITH_DIR(the_largest_record_fits),
        WITH_DIR(every_shorter_prefix_is_found),
        WITH_DIR(every_flipped_bit_is_found),
        WITH_DIR(what_follows_the_end_is_found),
        WITH_DIR(a_piece_under_anothers_name_is_found),
        WITH_DIR(blocks_that_changed_places_are_found),
        WITH_DIR(a_record_out_of_its_place_is_found),
        WITH_DIR(a_newer_format_is_told),
        WITH_DIR(a_missing_piece_and_one_that_is_no_file_are_named),
        WITH_DIR(an_unfinished_piece_leaves_nothing),
        WITH_DIR(what_an_earlier_run_left_is_written_over),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
