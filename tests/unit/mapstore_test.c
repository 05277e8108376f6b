/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bootstrapd/mapstore.h"
#include "bootstrapd/slot.h"
#include "io/logline.h"
#include "proto/endian.h"
#include "proto/hash.h"

/* --- one slot as bytes --- */

static struct buffer encoded_slot(uint64_t sequence, const char *payload)
{
    struct buffer stored = {0};
    slot_encode(&(struct slot){sequence, bytes_text(payload)}, &stored);
    assert_false(stored.failed);
    return stored;
}

static void a_slot_reads_back_whatever_lies_behind_it(void **state)
{
    (void)state;
    struct slot slot;
    struct buffer stored = encoded_slot(7, "the map");
    buffer_append(&stored, "\xff\x00\xff", 3);
    assert_int_equal(slot_decode(buffer_bytes(&stored), &slot), SLOT_FINE);
    assert_int_equal(slot.sequence, 7);
    assert_true(bytes_equal(slot.payload, bytes_text("the map")));
    buffer_fini(&stored);
}

static void every_shorter_prefix_of_a_slot_is_damaged(void **state)
{
    (void)state;
    struct slot slot;
    struct buffer stored = encoded_slot(7, "the map");
    for (size_t len = 0; len < stored.len; len++) {
        /* A copy of its own, so that a sanitizer sees a look behind it. */
        uint8_t *prefix = malloc(len ? len : 1);
        assert_non_null(prefix);
        memcpy(prefix, stored.data, len);
        assert_int_equal(slot_decode(bytes_of(prefix, len), &slot), SLOT_DAMAGED);
        free(prefix);
    }
    buffer_fini(&stored);
}

static void every_flipped_bit_of_a_slot_is_seen(void **state)
{
    (void)state;
    struct slot slot;
    struct buffer stored = encoded_slot(7, "the map");
    for (size_t bit = 0; bit < 8 * stored.len; bit++) {
        stored.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(slot_decode(buffer_bytes(&stored), &slot), SLOT_DAMAGED);
        stored.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(slot_decode(buffer_bytes(&stored), &slot), SLOT_FINE);
    buffer_fini(&stored);
}

static void zeros_are_no_slot(void **state)
{
    (void)state;
    static const uint8_t zeros[4096];
    struct slot slot;
    assert_int_equal(slot_decode(bytes_of(zeros, sizeof(zeros)), &slot), SLOT_DAMAGED);
}

/* Rewrites the format, and the header's checksum with it. */
static void set_format(uint8_t *header, uint32_t format)
{
    endian_put_le32(header + 8, format);
    endian_put_le64(header + 32, hash_bytes(bytes_of(header, 32)));
}

static void a_newer_format_is_known_as_such(void **state)
{
    (void)state;
    struct slot slot;
    struct buffer stored = encoded_slot(7, "the map");
    set_format(stored.data, SLOT_FORMAT + 1);
    assert_int_equal(slot_decode(buffer_bytes(&stored), &slot), SLOT_NEWER_FORMAT);
    set_format(stored.data, 0);
    assert_int_equal(slot_decode(buffer_bytes(&stored), &slot), SLOT_DAMAGED);
    buffer_fini(&stored);
}

/* --- the ledger as bytes --- */

static const char small_map[] = "{\"shards\":["
                                "{\"name\":\"a\",\"start\":0.0,\"end\":0.5,\"size\":\"1GiB\","
                                "\"host\":\"127.0.0.1\",\"port\":1},"
                                "{\"name\":\"b\",\"start\":0.5,\"end\":1.0,\"size\":\"1GiB\","
                                "\"host\":\"127.0.0.1\",\"port\":2}]"
                                "}";

static struct ledger small_ledger(void)
{
    static const uint8_t ids[2][ID_LEN] = {{1}, {2}};
    struct ledger ledger;
    struct map_error error;
    assert_true(ledger_found(bytes_text(small_map), ids[0], ids[1], &ledger, &error));
    return ledger;
}

static void a_ledger_reads_back_and_no_prefix_of_it_does(void **state)
{
    (void)state;
    struct ledger ledger = small_ledger();
    struct ledger read;
    struct map_error error;
    struct buffer packed = {0};
    ledger.term = UINT64_MAX;
    ledger.is_founded = true;
    ledger_pack(&ledger, &packed);
    for (size_t len = 0; len < packed.len; len++) {
        assert_false(ledger_unpack(bytes_of(packed.data, len), &read, &error));
        assert_true(error.text[0] != '\0');
    }
    assert_true(ledger_unpack(buffer_bytes(&packed), &read, &error));
    assert_int_equal(read.term, UINT64_MAX);
    assert_int_equal(read.config_hash, hash_bytes(bytes_text(small_map)));
    assert_true(read.is_founded);
    assert_int_equal(read.map.entry_count, 2);
    assert_string_equal(read.map.entries[1].name, "b");
    ledger_fini(&read);
    ledger_fini(&ledger);
    buffer_fini(&packed);
}

static void fields_of_a_later_ledger_are_left_alone(void **state)
{
    (void)state;
    struct ledger ledger = small_ledger();
    struct ledger read;
    struct map_error error;
    struct buffer packed = {0};
    ledger_pack(&ledger, &packed);
    packed.data[0]++; /* a fifth one */
    buffer_append(&packed, "\xc3", 1);
    assert_true(ledger_unpack(buffer_bytes(&packed), &read, &error));
    ledger_fini(&read);
    ledger_fini(&ledger);
    buffer_fini(&packed);
}

/* --- the file --- */

struct fixture {
    char path[64];
    char map_path[80];
    struct loop *loop;
    struct mapstore *store;
    struct ledger ledger;
    unsigned durable_count;
    char error[256];
};

static void open_store(struct fixture *fixture)
{
    fixture->store =
        mapstore_open(fixture->loop, fixture->path, fixture->error, sizeof(fixture->error));
}

static void write_term(struct fixture *fixture, uint64_t term)
{
    fixture->ledger.term = term;
    assert_true(mapstore_write_now(fixture->store, &fixture->ledger, fixture->error,
                                   sizeof(fixture->error)));
}

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    (void)snprintf(fixture->path, sizeof(fixture->path), "/tmp/mapstore_test.XXXXXX");
    assert_non_null(mkdtemp(fixture->path));
    (void)snprintf(fixture->map_path, sizeof(fixture->map_path), "%s/map", fixture->path);
    fixture->loop = loop_new();
    fixture->ledger = small_ledger();
    open_store(fixture);
    assert_non_null(fixture->store);
    *state = fixture;
    return 0;
}

static int clean(void **state)
{
    struct fixture *fixture = *state;
    char command[128];
    mapstore_free(fixture->store);
    loop_free(fixture->loop);
    ledger_fini(&fixture->ledger);
    (void)snprintf(command, sizeof(command), "rm -r %s", fixture->path);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

/* The term that a restart finds, or 0 when it refuses (fixture->error). */
static uint64_t term_after_restart(struct fixture *fixture)
{
    struct ledger ledger;
    mapstore_free(fixture->store);
    open_store(fixture);
    assert_non_null(fixture->store);
    assert_true(mapstore_is_founded(fixture->store));
    if (!mapstore_load(fixture->store, &ledger, fixture->error, sizeof(fixture->error))) {
        return 0;
    }
    ledger_fini(&ledger);
    return ledger.term;
}

static size_t read_file(const struct fixture *fixture, uint8_t **contents)
{
    FILE *file = fopen(fixture->map_path, "rb");
    assert_non_null(file);
    (void)fseek(file, 0, SEEK_END);
    size_t len = (size_t)ftell(file);
    rewind(file);
    *contents = malloc(len);
    assert_non_null(*contents);
    assert_int_equal(fread(*contents, 1, len, file), len);
    (void)fclose(file);
    return len;
}

static void write_file(const struct fixture *fixture, const uint8_t *contents, size_t len)
{
    FILE *file = fopen(fixture->map_path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(contents, 1, len, file), len);
    (void)fclose(file);
}

static void an_empty_directory_is_not_founded_and_a_written_one_is(void **state)
{
    struct fixture *fixture = *state;
    assert_false(mapstore_is_founded(fixture->store));
    write_term(fixture, 1);
    assert_int_equal(term_after_restart(fixture), 1);
}

static void a_directory_is_held_by_one_store(void **state)
{
    struct fixture *fixture = *state;
    char error[256] = "";
    assert_null(mapstore_open(fixture->loop, fixture->path, error, sizeof(error)));
    assert_non_null(strstr(error, "in use"));
}

static void the_slots_are_written_in_turn_and_the_newest_is_loaded(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *before;
    uint8_t *after;
    write_term(fixture, 1);
    size_t len = read_file(fixture, &before);
    for (uint64_t term = 2; term < 8; term++) {
        write_term(fixture, term);
        assert_int_equal(read_file(fixture, &after), len);
        /* The half that has the one before is as it was. */
        size_t kept = term % 2 == 0 ? 0 : len / 2;
        assert_memory_equal(before + kept, after + kept, len / 2);
        free(before);
        before = after;
        assert_int_equal(term_after_restart(fixture), term);
    }
    free(before);
}

static void a_torn_write_leaves_the_one_before(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *before;
    uint8_t *after;
    write_term(fixture, 1);
    write_term(fixture, 2);
    size_t len = read_file(fixture, &before);
    write_term(fixture, 3);
    read_file(fixture, &after);
    size_t slot_len = SLOT_HEADER_LEN + endian_get_le32(after + 12);
    for (size_t torn = 0; torn < slot_len; torn += 7) {
        /* The beginning of the new one over the rest of the old one, and the other way round. */
        uint8_t *file = malloc(len);
        assert_non_null(file);
        memcpy(file, after, len);
        memcpy(file + torn, before + torn, slot_len - torn);
        write_file(fixture, file, len);
        uint64_t term = term_after_restart(fixture);
        assert_true(term == 2 || memcmp(file, after, slot_len) == 0);
        memcpy(file, before, len);
        memcpy(file + torn, after + torn, slot_len - torn);
        write_file(fixture, file, len);
        term = term_after_restart(fixture);
        assert_true(term == 2 || memcmp(file, after, slot_len) == 0);
        free(file);
    }
    /* And the next write goes where the torn one was. */
    write_file(fixture, before, len);
    assert_int_equal(term_after_restart(fixture), 2);
    write_term(fixture, 4);
    assert_int_equal(term_after_restart(fixture), 4);
    free(before);
    free(after);
}

static void without_a_valid_slot_the_start_is_refused(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *contents;
    write_term(fixture, 1);
    write_term(fixture, 2);
    size_t len = read_file(fixture, &contents);
    contents[SLOT_HEADER_LEN] ^= 1;
    contents[len / 2 + SLOT_HEADER_LEN] ^= 1;
    write_file(fixture, contents, len);
    assert_int_equal(term_after_restart(fixture), 0);
    assert_non_null(strstr(fixture->error, "neither slot is valid"));
    assert_non_null(strstr(fixture->error, fixture->map_path));
    free(contents);
}

static void a_file_that_was_cut_off_is_refused(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *contents;
    write_term(fixture, 1);
    write_term(fixture, 2);
    size_t len = read_file(fixture, &contents);
    const size_t lens[] = {0, 1, len / 2, len - 1};
    for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
        write_file(fixture, contents, lens[i]);
        assert_int_equal(term_after_restart(fixture), 0);
        assert_non_null(strstr(fixture->error, "damaged"));
    }
    free(contents);
}

/* Though the other slot could be read: what the newer version wrote last would be lost. */
static void a_slot_of_a_newer_format_is_refused(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *contents;
    write_term(fixture, 1);
    write_term(fixture, 2);
    size_t len = read_file(fixture, &contents);
    set_format(contents + len / 2, SLOT_FORMAT + 1);
    write_file(fixture, contents, len);
    assert_int_equal(term_after_restart(fixture), 0);
    assert_non_null(strstr(fixture->error, "newer version"));
    free(contents);
}

static void a_founding_that_was_cut_off_did_not_take_place(void **state)
{
    struct fixture *fixture = *state;
    char new_path[96];
    (void)snprintf(new_path, sizeof(new_path), "%s.new", fixture->map_path);
    mapstore_free(fixture->store);
    FILE *file = fopen(new_path, "wb");
    assert_non_null(file);
    (void)fclose(file);
    open_store(fixture);
    assert_non_null(fixture->store);
    assert_false(mapstore_is_founded(fixture->store));
    write_term(fixture, 1);
    assert_int_equal(term_after_restart(fixture), 1);
}

static void somebody_elses_directory_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char other_path[80];
    (void)snprintf(other_path, sizeof(other_path), "%s/tree", fixture->path);
    mapstore_free(fixture->store);
    FILE *file = fopen(other_path, "wb");
    assert_non_null(file);
    (void)fclose(file);
    open_store(fixture);
    assert_null(fixture->store);
    assert_non_null(strstr(fixture->error, "not a bootstrapd's directory"));
}

/* As a split does later: more entries than the slots have room for. */
static void a_ledger_that_outgrows_its_slot_gets_larger_ones(void **state)
{
    struct fixture *fixture = *state;
    struct map *map = &fixture->ledger.map;
    uint8_t *contents;
    write_term(fixture, 1);
    size_t small_len = read_file(fixture, &contents);
    free(contents);
    map->entries = realloc(map->entries, MAP_SHARDS_MAX * sizeof(*map->entries));
    assert_non_null(map->entries);
    for (uint32_t i = 0; i < MAP_SHARDS_MAX; i++) {
        map->entries[i] = map->entries[0];
        (void)snprintf(map->entries[i].name, sizeof(map->entries[i].name), "%063u", i);
        memset(map->entries[i].address.host, 'h', HOST_LEN_MAX);
        for (unsigned dot = 50; dot < HOST_LEN_MAX; dot += 50) {
            map->entries[i].address.host[dot] = '.';
        }
        map->entries[i].start = (uint64_t)i << 19;
        map->entries[i].end = (uint64_t)(i + 1) << 19;
    }
    map->entry_count = MAP_SHARDS_MAX;
    for (uint64_t term = 2; term < 5; term++) {
        write_term(fixture, term);
        assert_int_equal(term_after_restart(fixture), term);
    }
    size_t large_len = read_file(fixture, &contents);
    free(contents);
    assert_true(large_len >= 32 * small_len);
}

static void on_durable(void *context)
{
    struct fixture *fixture = context;
    if (++fixture->durable_count == 5) {
        loop_stop(fixture->loop);
        return;
    }
    fixture->ledger.term++;
    mapstore_write(fixture->store, &fixture->ledger, on_durable, fixture);
}

static void a_write_is_durable_when_the_loop_is_told(void **state)
{
    struct fixture *fixture = *state;
    write_term(fixture, 1);
    fixture->ledger.term = 10;
    mapstore_write(fixture->store, &fixture->ledger, on_durable, fixture);
    assert_int_equal(fixture->durable_count, 0);
    loop_run(fixture->loop);
    assert_int_equal(term_after_restart(fixture), 14);
}

static void freeing_waits_for_a_write_and_tells_nobody(void **state)
{
    struct fixture *fixture = *state;
    write_term(fixture, 1);
    fixture->ledger.term = 2;
    mapstore_write(fixture->store, &fixture->ledger, on_durable, fixture);
    assert_int_equal(term_after_restart(fixture), 2);
    assert_int_equal(fixture->durable_count, 0);
}

static void on_kept(void *context, bool is_kept)
{
    struct fixture *fixture = context;
    assert_true(is_kept);
    loop_stop(fixture->loop);
}

static void keep(struct fixture *fixture, const char *text)
{
    mapstore_keep(fixture->store, bytes_text(text), on_kept, fixture);
    loop_run(fixture->loop);
}

static bool is_history(struct fixture *fixture, const char *text)
{
    struct buffer payload = {0};
    bool is_there = mapstore_load_history(fixture->store, &payload) &&
                    bytes_equal(buffer_bytes(&payload), bytes_text(text));
    buffer_fini(&payload);
    return is_there;
}

static void a_history_is_replaced_as_a_whole_and_no_loss_if_it_is_damaged(void **state)
{
    struct fixture *fixture = *state;
    char path[96];
    write_term(fixture, 1);
    assert_false(is_history(fixture, ""));
    keep(fixture, "what was done");
    keep(fixture, "and more");
    assert_int_equal(term_after_restart(fixture), 1);
    assert_true(is_history(fixture, "and more"));
    (void)snprintf(path, sizeof(path), "%s/history", fixture->path);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    (void)fseek(file, -1, SEEK_END);
    (void)fputc('?', file);
    (void)fclose(file);
    logline_set_level(LOGLINE_ERROR);
    assert_false(is_history(fixture, "and more"));
    assert_int_equal(term_after_restart(fixture), 1);
    keep(fixture, "from now on");
    assert_true(is_history(fixture, "from now on"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, clean)
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_reads_back_whatever_lies_behind_it),
        cmocka_unit_test(every_shorter_prefix_of_a_slot_is_damaged),
        cmocka_unit_test(every_flipped_bit_of_a_slot_is_seen),
        cmocka_unit_test(zeros_are_no_slot),
        cmocka_unit_test(a_newer_format_is_known_as_such),
        cmocka_unit_test(a_ledger_reads_back_and_no_prefix_of_it_does),
        cmocka_unit_test(fields_of_a_later_ledger_are_left_alone),
        TEST(an_empty_directory_is_not_founded_and_a_written_one_is),
        TEST(a_directory_is_held_by_one_store),
        TEST(the_slots_are_written_in_turn_and_the_newest_is_loaded),
        TEST(a_torn_write_leaves_the_one_before),
        TEST(without_a_valid_slot_the_start_is_refused),
        TEST(a_file_that_was_cut_off_is_refused),
        TEST(a_slot_of_a_newer_format_is_refused),
        TEST(a_founding_that_was_cut_off_did_not_take_place),
        TEST(somebody_elses_directory_is_refused),
        TEST(a_ledger_that_outgrows_its_slot_gets_larger_ones),
        TEST(a_write_is_durable_when_the_loop_is_told),
        TEST(freeing_waits_for_a_write_and_tells_nobody),
        TEST(a_history_is_replaced_as_a_whole_and_no_loss_if_it_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
