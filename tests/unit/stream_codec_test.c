/* SPDX-License-Identifier: MIT */
#include "proto/stream.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/endian.h"
#include "proto/point.h"
#include "proto/range_sum.h"

/* From the repository's root, where the tests are run. */
#define PROTOCOL "proto/PROTOCOL.md"

static const struct bytes tree_key = {"point...tbkey", 13};
static const struct bytes stored = {"0123456789012345678901234567890123456789value", 45};

static const struct log_op op = {
    .kind = LOG_PUT,
    .is_sliding = true,
    .table = 3,
    .record_kind = 5,
    .point = 0x0102030405060708,
    .version = 77,
    .expiry_ms = 1000,
    .ttl_ms = 100,
    .key = {"key", 3},
    .value = {"\x01", 1},
};

static const struct stream_line line = {
    .client = "a client's id..",
    .is_damaged = true,
    .done = 1,
    .highest = UINT64_MAX,
    .forgotten = 2,
    .seen_ms = 3,
};

static struct buffer encode_all(void)
{
    struct buffer out = {0};
    stream_record_encode(tree_key, stored, &out);
    stream_operation_encode(78, &op, &out);
    stream_line_encode(&line, &out);
    assert_false(out.failed);
    return out;
}

static void items_come_back_in_their_order_as_they_were(void **state)
{
    (void)state;
    struct stream_unit unit;
    struct buffer out = encode_all();
    struct bytes rest = buffer_bytes(&out);
    assert_true(stream_next(&rest, &unit));
    assert_int_equal(unit.item, STREAM_RECORD);
    assert_true(bytes_equal(unit.tree_key, tree_key) && bytes_equal(unit.stored, stored));
    assert_true(stream_next(&rest, &unit));
    assert_int_equal(unit.item, STREAM_OPERATION);
    assert_int_equal(unit.stamp, 78);
    assert_int_equal(unit.op.kind, LOG_PUT);
    assert_int_equal(unit.op.version, 77);
    assert_int_equal(unit.op.point, op.point);
    assert_int_equal(unit.op.expiry_ms, 1000);
    assert_true(unit.op.is_sliding && bytes_equal(unit.op.key, op.key));
    assert_true(bytes_equal(unit.op.value, op.value));
    assert_true(stream_next(&rest, &unit));
    assert_int_equal(unit.item, STREAM_LINE);
    assert_memory_equal(unit.line.client, line.client, ID_LEN);
    assert_true(unit.line.is_damaged);
    assert_true(unit.line.done == 1 && unit.line.highest == UINT64_MAX);
    assert_true(unit.line.forgotten == 2 && unit.line.seen_ms == 3);
    assert_false(stream_next(&rest, &unit));
    assert_int_equal(rest.len, 0);
    buffer_fini(&out);
}

static void fields_stand_where_the_header_says(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct buffer encoded = {0};
    stream_record_encode(tree_key, stored, &out);
    assert_int_equal(out.data[0], 1);
    assert_int_equal(endian_get_le16(out.data + 1), tree_key.len);
    assert_int_equal(endian_get_le32(out.data + 3), stored.len);
    assert_memory_equal(out.data + 7, tree_key.data, tree_key.len);
    assert_memory_equal(out.data + 7 + tree_key.len, stored.data, stored.len);
    assert_int_equal(out.len, 7 + tree_key.len + stored.len);
    buffer_clear(&out);
    log_op_encode(&op, &encoded);
    stream_operation_encode(78, &op, &out);
    assert_int_equal(out.data[0], 2);
    assert_int_equal(endian_get_le32(out.data + 1), encoded.len);
    assert_int_equal(endian_get_le64(out.data + 5), 78);
    assert_memory_equal(out.data + 13, encoded.data, encoded.len);
    buffer_clear(&out);
    stream_line_encode(&line, &out);
    assert_int_equal(out.data[0], 3);
    assert_int_equal(out.data[1], 1);
    assert_memory_equal(out.data + 2, line.client, ID_LEN);
    assert_int_equal(endian_get_le64(out.data + 18), 1);
    assert_int_equal(endian_get_le64(out.data + 26), UINT64_MAX);
    assert_int_equal(endian_get_le64(out.data + 34), 2);
    assert_int_equal(endian_get_le64(out.data + 42), 3);
    assert_int_equal(out.len, 50);
    buffer_fini(&out);
    buffer_fini(&encoded);
}

static uint32_t count_items(struct bytes rest, size_t *left)
{
    struct stream_unit unit;
    uint32_t count = 0;
    while (stream_next(&rest, &unit)) {
        count++;
    }
    *left = rest.len;
    return count;
}

static void every_shorter_prefix_is_a_fault_or_ends_between_items(void **state)
{
    (void)state;
    size_t left;
    struct buffer out = encode_all();
    uint32_t whole_count = 0;
    for (size_t len = 0; len <= out.len; len++) {
        /* In memory of exactly its length, so that sanitizers see what is read behind it. */
        uint8_t *bytes = malloc(len + 1);
        assert_non_null(bytes);
        memcpy(bytes + 1, out.data, len);
        assert_true(count_items(bytes_of(bytes + 1, len), &left) <= 3);
        whole_count += left == 0;
        free(bytes);
    }
    assert_int_equal(whole_count, 4);
    buffer_fini(&out);
}

/* `at`: where the changed byte stands. */
static void assert_refused(struct buffer *out, size_t at, uint8_t byte)
{
    size_t left;
    uint8_t before = out->data[at];
    out->data[at] = byte;
    assert_int_equal(count_items(buffer_bytes(out), &left), 0);
    assert_true(left > 0);
    out->data[at] = before;
}

static void what_could_never_be_stored_is_refused(void **state)
{
    (void)state;
    struct buffer out = {0};
    stream_record_encode(tree_key, stored, &out);
    assert_refused(&out, 0, 0);
    assert_refused(&out, 0, 4);
    assert_refused(&out, 1, 10);   /* a tree key without a key */
    assert_refused(&out, 2, 2);    /* too long a one */
    assert_refused(&out, 3, 39);   /* less than a header */
    assert_refused(&out, 6, 0x7f); /* too long a value */
    buffer_clear(&out);
    stream_operation_encode(78, &op, &out);
    assert_refused(&out, 13, 0); /* no kind */
    assert_refused(&out, 1, (uint8_t)(out.data[1] - 1));
    assert_refused(&out, 4, 0x7f);
    buffer_append(&out, "", 1);
    assert_refused(&out, 1, (uint8_t)(out.data[1] + 1)); /* something behind it */
    buffer_clear(&out);
    stream_line_encode(&line, &out);
    assert_refused(&out, 1, 2); /* a flag that is none */
    buffer_fini(&out);
}

/* --- the example of the protocol's page --- */

/* A line of the page that begins so. */
static void find_line(const char *start, char found[1024])
{
    FILE *file = fopen(PROTOCOL, "re");
    assert_non_null(file);
    do {
        assert_non_null(fgets(found, 1024, file));
    } while (strncmp(found, start, strlen(start)) != 0);
    assert_int_equal(fclose(file), 0);
}

static struct bytes example_key(const struct record *record)
{
    static uint8_t key[TREE_KEY_LEN_MAX];
    return bytes_of(key, record_key_encode(record->point, record->table, record->key, key));
}

/* The record that the page tells of, as the tree has it. */
static struct bytes example_stored(const struct record *record)
{
    static uint8_t bytes[RECORD_HEADER_LEN + 12];
    record_header_encode(record, example_key(record), bytes);
    memcpy(bytes + RECORD_HEADER_LEN, record->value.data, record->value.len);
    return bytes_of(bytes, sizeof(bytes));
}

static void the_protocols_example_brings_one_record_and_its_sum(void **state)
{
    (void)state;
    const struct record record = {.point = point_of_key(bytes_text("b")),
                                  .key = {"b", 1},
                                  .value = {"\xabhello world", 12},
                                  .version = UINT64_C(115146752000000000)};
    struct buffer items = {0};
    struct range_sum sum = {0};
    char found[1024];
    char hex[512] = "";
    stream_record_encode(example_key(&record), example_stored(&record), &items);
    for (size_t i = 0; i < items.len; i++) {
        (void)snprintf(hex + 2 * i, sizeof(hex) - 2 * i, "%02x", items.data[i]);
    }
    find_line("[0, 19, \"import.data\", [9, 1, h'", found);
    assert_non_null(strstr(found, hex));
    buffer_fini(&items);
    range_sum_add(&sum, example_key(&record), example_stored(&record));
    (void)snprintf(hex, sizeof(hex), "[9, 2, %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", ",
                   sum.records, sum.bytes, sum.high, sum.low);
    find_line("[0, 20, \"import.end\", ", found);
    assert_non_null(strstr(found, hex));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_back_in_their_order_as_they_were),
        cmocka_unit_test(fields_stand_where_the_header_says),
        cmocka_unit_test(every_shorter_prefix_is_a_fault_or_ends_between_items),
        cmocka_unit_test(what_could_never_be_stored_is_refused),
        cmocka_unit_test(the_protocols_example_brings_one_record_and_its_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
