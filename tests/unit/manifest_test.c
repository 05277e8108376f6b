/* SPDX-License-Identifier: MIT */
#include "cli/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "proto/hash.h"
#include "tests/unit/scratch.h"

static char error[MANIFEST_ERROR_LEN];

/* Their places (cli/tables.h). */
enum { DEFAULT, ENTITIES };

static struct manifest sample(void)
{
    struct manifest manifest = {
        .cluster = {0xab, 1, 2, 3},
        .origin_ms = 1379365531000,
        .begun_ms = 1795269600000,
        .ended_ms = 1795269661000,
        .map_revision = 7,
        .map_revision_at_end = 9,
    };
    const struct piece_sum first = {10, 1000, 1200, 1, UINT64_C(0x0123456789abcdef)};
    const struct piece_sum second = {5, 400, 500, 0, UINT64_MAX};
    const struct piece_sum third = {2, 150, 300, 0, 7};
    assert_true(manifest_add(&manifest, DEFAULT, &first, bytes_text("4000000000000000.6b")));
    assert_true(manifest_add(&manifest, DEFAULT, &second, bytes_text("end")));
    assert_true(manifest_add(&manifest, ENTITIES, &third, bytes_text("end")));
    return manifest;
}

static struct buffer printed(const struct manifest *manifest)
{
    struct buffer json = {0};
    manifest_print(manifest, &json);
    assert_false(json.failed);
    return json;
}

/* With the checksum that belongs to it. */
static struct buffer sealed(const char *text)
{
    struct buffer json = {0};
    char tail[64];
    int len = snprintf(tail, sizeof tail, ",\"checksum\":\"%016llx\"}\n",
                       (unsigned long long)hash_bytes(bytes_text(text)));
    buffer_append_bytes(&json, bytes_text(text));
    buffer_append(&json, tail, (size_t)len);
    return json;
}

/* False, and nothing was made. */
static bool is_refused(struct bytes json)
{
    struct manifest manifest = {0};
    bool is_parsed = manifest_parse(json, &manifest, error);
    manifest_fini(&manifest);
    return !is_parsed && *error;
}

static void what_was_printed_is_parsed(void **state)
{
    struct manifest manifest = sample(), parsed = {0};
    struct buffer json = printed(&manifest);
    (void)state;
    assert_true(manifest_parse(buffer_bytes(&json), &parsed, error));
    assert_memory_equal(parsed.cluster, manifest.cluster, ID_LEN);
    assert_int_equal(parsed.origin_ms, 1379365531000);
    assert_int_equal(parsed.begun_ms, manifest.begun_ms);
    assert_int_equal(parsed.ended_ms, manifest.ended_ms);
    assert_int_equal(parsed.map_revision, 7);
    assert_int_equal(parsed.map_revision_at_end, 9);
    assert_int_equal(parsed.total.records, 17);
    assert_int_equal(parsed.total.size, 1550);
    assert_int_equal(parsed.total.bytes, 2000);
    assert_int_equal(parsed.total.damaged, 1);
    assert_int_equal(parsed.piece_count, 3);
    assert_int_equal(parsed.pieces[0].sum.checksum, UINT64_C(0x0123456789abcdef));
    assert_true(parsed.pieces[1].sum.checksum == UINT64_MAX);
    assert_string_equal(manifest_from(&parsed, DEFAULT, 0), "");
    assert_string_equal(manifest_from(&parsed, DEFAULT, 1), "4000000000000000.6b");
    assert_string_equal(parsed.pieces[1].to, "end");
    assert_int_equal(parsed.pieces[1].table, DEFAULT);
    assert_int_equal(parsed.pieces[2].table, ENTITIES);
    buffer_fini(&json);
    manifest_fini(&parsed);
    manifest_fini(&manifest);
}

static void each_table_begins_at_its_start_and_has_a_last_piece(void **state)
{
    struct manifest manifest = sample();
    (void)state;
    assert_string_equal(manifest_from(&manifest, ENTITIES, 2), "");
    assert_string_equal(manifest_from(&manifest, ENTITIES, 3), "end");
    assert_false(manifest_is_last(&manifest, 0));
    assert_true(manifest_is_last(&manifest, 1));
    assert_true(manifest_is_last(&manifest, 2));
    manifest_fini(&manifest);
}

static void times_stand_there_for_people_too(void **state)
{
    struct manifest manifest = sample();
    struct buffer json = printed(&manifest);
    (void)state;
    buffer_append(&json, "", 1);
    assert_non_null(strstr((const char *)json.data, "\"begun\":\"2026-11-21T14:00:00Z\""));
    assert_non_null(strstr((const char *)json.data, "\"ended\":\"2026-11-21T14:01:01Z\""));
    assert_non_null(strstr((const char *)json.data, "\"file\":\"records-000002\""));
    buffer_fini(&json);
    manifest_fini(&manifest);
}

static void every_shorter_prefix_is_bad(void **state)
{
    struct manifest manifest = sample();
    struct buffer json = printed(&manifest);
    (void)state;
    for (size_t len = 0; len < json.len; len++) {
        /* Of its own memory, so that a sanitizer sees a look behind the end. */
        struct buffer prefix = {0};
        buffer_append(&prefix, json.data, len);
        assert_true(is_refused(buffer_bytes(&prefix)));
        buffer_fini(&prefix);
    }
    buffer_fini(&json);
    manifest_fini(&manifest);
}

static void every_flipped_bit_is_found(void **state)
{
    struct manifest manifest = sample();
    struct buffer json = printed(&manifest);
    (void)state;
    for (size_t bit = 0; bit < 8 * json.len; bit++) {
        json.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (!is_refused(buffer_bytes(&json))) {
            print_error("bit %zu\n", bit);
            fail();
        }
        json.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    buffer_fini(&json);
    manifest_fini(&manifest);
}

static void a_newer_format_is_told(void **state)
{
    struct buffer json = sealed("{\"format\":3,\"sums\":[]");
    (void)state;
    assert_true(is_refused(buffer_bytes(&json)));
    assert_non_null(strstr(error, "newer version"));
    /* Wherever that one has its checksum. */
    assert_true(is_refused(bytes_text("{\"sha\":1,\"format\":4}")));
    assert_non_null(strstr(error, "newer version"));
    buffer_fini(&json);
}

#define HEAD "{\"format\":1,\"cluster\":\"00000000000000000000000000000001\",\"table\":\"default\","
#define PIECE(file, from, to)                                                                      \
    "{\"file\":\"" file "\",\"from\":\"" from "\",\"to\":\"" to                                    \
    "\",\"records\":1,\"size\":2,\"bytes\":3,\"damaged\":0,\"checksum\":\"0000000000000001\"}"
#define HEAD_2 "{\"format\":2,\"cluster\":\"00000000000000000000000000000001\",\"origin_ms\":5,"
#define PIECE_2(file, table, records)                                                              \
    "{\"file\":\"" file "\",\"table\":\"" table                                                    \
    "\",\"from\":\"\",\"to\":\"end\",\"records\":" records                                         \
    ",\"size\":1,\"bytes\":1,\"damaged\":0,\"checksum\":\"0000000000000001\"}"
#define TOTAL_2(n) "\"records\":" n ",\"size\":" n ",\"bytes\":" n ",\"damaged\":0,\"pieces\":"
#define TOTAL(n)   "\"records\":" n ",\"size\":2,\"bytes\":3,\"damaged\":0"

static void a_manifest_that_is_sealed_and_none_is_refused(void **state)
{
    static const char *const texts[] = {
        "{",
        "{\"format\":1",
        "[1",
        HEAD TOTAL("0") ",\"pieces\":[]",
        HEAD TOTAL("2") ",\"pieces\":[" PIECE("records-000001", "", "end") "]",
        HEAD TOTAL("1") ",\"pieces\":[" PIECE("records-000002", "", "end") "]",
        HEAD TOTAL("1") ",\"pieces\":[" PIECE("../records-1", "", "end") "]",
        HEAD TOTAL("1") ",\"pieces\":[" PIECE("records-000001", "0000000000000000.", "end") "]",
        HEAD TOTAL("1") ",\"pieces\":{}",
        HEAD TOTAL("1") ",\"pieces\":[1]",
        HEAD TOTAL("\"1\"") ",\"pieces\":[" PIECE("records-000001", "", "end") "]",
        "{\"format\":1,\"cluster\":\"00000000000000000000000000000001\",\"table\":"
        "\"entities\"," TOTAL("1") ",\"pieces\":[" PIECE("records-000001", "", "end") "]",
        HEAD_2 TOTAL_2("1") "[" PIECE_2("records-000001", "default", "1") "]",
        HEAD_2 TOTAL_2("1") "[" PIECE_2("records-000001", "entities", "1") "]",
        HEAD_2 TOTAL_2("2") "[" PIECE_2("records-000001", "entities",
                                        "1") "," PIECE_2("records-000002", "default", "1") "]",
        HEAD_2 TOTAL_2("2") "[" PIECE_2("records-000001", "default",
                                        "1") "," PIECE_2("records-000002", "others", "1") "]",
        HEAD_2 TOTAL_2("2") "[" PIECE_2("records-000001", "default",
                                        "1") "," PIECE_2("records-000002", "", "1") "]",
        "{\"format\":1,\"cluster\":\"1\",\"table\":\"default\"," TOTAL("1") ",\"pieces\":[" PIECE(
            "records-000001", "", "end") "]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buffer json = sealed(texts[i]);
        if (!is_refused(buffer_bytes(&json))) {
            print_error("%s\n", texts[i]);
            fail();
        }
        buffer_fini(&json);
    }
}

static void members_of_a_later_version_are_passed_over(void **state)
{
    struct manifest manifest = {0};
    struct buffer json = sealed(HEAD TOTAL("1") ",\"note\":{\"a\":[1]},\"pieces\":[" PIECE(
        "records-000001", "", "end") "]");
    (void)state;
    assert_true(manifest_parse(buffer_bytes(&json), &manifest, error));
    assert_int_equal(manifest.piece_count, 1);
    manifest_fini(&manifest);
    buffer_fini(&json);
}

static void one_of_format_1_has_the_default_table_and_ids_of_the_default_origin(void **state)
{
    struct manifest manifest = {0};
    struct buffer json =
        sealed(HEAD TOTAL("1") ",\"pieces\":[" PIECE("records-000001", "", "end") "]");
    (void)state;
    assert_true(manifest_parse(buffer_bytes(&json), &manifest, error));
    assert_int_equal(manifest.piece_count, 1);
    assert_int_equal(manifest.pieces[0].table, DEFAULT);
    assert_int_equal(manifest.origin_ms, UINT64_C(1379365531352));
    assert_true(manifest_is_last(&manifest, 0));
    manifest_fini(&manifest);
    buffer_fini(&json);
}

static void one_of_format_2_has_all_tables_in_their_order(void **state)
{
    struct manifest manifest = {0};
    struct buffer json = sealed(HEAD_2 TOTAL_2("2") "[" PIECE_2(
        "records-000001", "default", "1") "," PIECE_2("records-000002", "entities", "1") "]");
    (void)state;
    assert_true(manifest_parse(buffer_bytes(&json), &manifest, error));
    assert_int_equal(manifest.origin_ms, 5);
    assert_int_equal(manifest.pieces[1].table, ENTITIES);
    manifest_fini(&manifest);
    buffer_fini(&json);
}

static void a_written_manifest_is_read_and_a_missing_one_is_unfinished(void **state)
{
    struct scratch scratch = scratch_make();
    struct manifest manifest = sample(), read = {0};
    struct dir *dir = dir_open(scratch.path, error, sizeof error);
    (void)state;
    assert_non_null(dir);
    assert_false(manifest_read(dir, &read, error));
    assert_non_null(strstr(error, "unfinished"));
    assert_non_null(strstr(error, scratch.path));
    assert_int_equal(manifest_write(&manifest, dir), 0);
    assert_true(manifest_read(dir, &read, error));
    assert_int_equal(read.piece_count, 3);
    assert_false(dir_has(dir, MANIFEST_NAME ".part"));
    manifest_fini(&read);
    manifest_fini(&manifest);
    dir_close(dir);
    scratch_remove(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_printed_is_parsed),
        cmocka_unit_test(each_table_begins_at_its_start_and_has_a_last_piece),
        cmocka_unit_test(times_stand_there_for_people_too),
        cmocka_unit_test(every_shorter_prefix_is_bad),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(a_newer_format_is_told),
        cmocka_unit_test(a_manifest_that_is_sealed_and_none_is_refused),
        cmocka_unit_test(members_of_a_later_version_are_passed_over),
        cmocka_unit_test(one_of_format_1_has_the_default_table_and_ids_of_the_default_origin),
        cmocka_unit_test(one_of_format_2_has_all_tables_in_their_order),
        cmocka_unit_test(a_written_manifest_is_read_and_a_missing_one_is_unfinished),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
