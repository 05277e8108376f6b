/* SPDX-License-Identifier: MIT */
#include "shardd/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "proto/json.h"
#include "proto/rpc.h"
#include "proto/table.h"

/* The whole response as JSON, until the next call. */
static const char *response_in(uint16_t table, enum op_kind kind, const struct outcome *outcome)
{
    static char json[512];
    struct op op = {.kind = kind, .table = table, .reply_id = 7};
    struct buffer out = {0};
    struct buffer printed = {0};
    reply_outcome(&out, &op, outcome, "low");
    assert_true(json_print(buffer_bytes(&out), &printed));
    (void)snprintf(json, sizeof(json), "%.*s", (int)printed.len, (const char *)printed.data);
    buffer_fini(&out);
    buffer_fini(&printed);
    return json;
}

static const char *response(enum op_kind kind, const struct outcome *outcome)
{
    return response_in(TABLE_DEFAULT, kind, outcome);
}

static struct outcome record(void)
{
    return (struct outcome){.was_there = true,
                            .version = 77,
                            .size = 66,
                            .kind = 5,
                            .left_ms = -1,
                            .value = bytes_text("\xa1v")};
}

static void a_record_has_seven_fields(void **state)
{
    struct outcome outcome = record();
    (void)state;
    assert_string_equal(response(OP_READ, &outcome), "[1,7,null,[\"v\",77,-1,66,5,0,false]]");
    outcome.left_ms = 9300;
    outcome.ttl_ms = 10000;
    outcome.is_sliding = true;
    assert_string_equal(response(OP_READ, &outcome), "[1,7,null,[\"v\",77,9300,66,5,10000,true]]");
    assert_string_equal(response(OP_POP, &outcome), "[1,7,null,[\"v\",77,9300,66,5,10000,true]]");
    outcome.was_there = false;
    assert_string_equal(response(OP_READ, &outcome), "[1,7,null,null]");
}

static void expire_is_answered_like_a_write_or_with_nil(void **state)
{
    struct outcome outcome = record();
    (void)state;
    assert_string_equal(response(OP_EXPIRE, &outcome), "[1,7,null,[77,66]]");
    assert_string_equal(response(OP_WRITE, &outcome), "[1,7,null,[77,66]]");
    outcome.was_there = false;
    assert_string_equal(response(OP_EXPIRE, &outcome), "[1,7,null,null]");
    assert_string_equal(response(OP_WRITE, &outcome), "[1,7,null,[77,66]]");
}

static void the_others_have_their_forms(void **state)
{
    struct outcome outcome = record();
    (void)state;
    outcome.integer = -5;
    assert_string_equal(response(OP_INCR, &outcome), "[1,7,null,[-5,77]]");
    assert_string_equal(response(OP_EXISTS, &outcome), "[1,7,null,true]");
    assert_string_equal(response(OP_DELETE, &outcome), "[1,7,null,true]");
    assert_string_equal(response(OP_DONE, &outcome), "[1,7,null,null]");
    outcome.value = bytes_text("\x93\x90\xc0\x05");
    assert_string_equal(response(OP_SCAN, &outcome), "[1,7,null,[[],null,5]]");
}

static void refusals_have_their_details(void **state)
{
    struct outcome outcome = {
        .status = STATUS_CONDITION, .reason = OP_REASON_OTHER_VERSION, .version = 9};
    (void)state;
    assert_string_equal(response(OP_EXPIRE, &outcome),
                        "[1,7,[4,\"if_version: that version is not there\",[9]],null]");
    outcome = (struct outcome){.status = STATUS_FULL, .used = 66, .limit = 1024};
    assert_string_equal(
        response(OP_WRITE, &outcome),
        "[1,7,[5,\"shard low is full: 66 of 1024 bytes are used; delete records, or give it a "
        "larger size\",[66,1024]],null]");
    outcome.reason = OP_REASON_RECORD_LARGER;
    outcome.size = 2064;
    assert_string_equal(
        response(OP_WRITE, &outcome),
        "[1,7,[5,\"the record takes 2064 bytes, and shard low has 1024 in all: give it "
        "a larger size\",[66,1024]],null]");
    outcome.reason = OP_REASON_DISK_FULL;
    assert_string_equal(response(OP_WRITE, &outcome),
                        "[1,7,[5,\"the server's disk is full: make room on it, or delete records\","
                        "[66,1024]],null]");
    outcome = (struct outcome){.status = STATUS_TRY_LATER, .reason = OP_REASON_MAKING_ROOM};
    assert_string_equal(response(OP_WRITE, &outcome),
                        "[1,7,[2,\"the shard is full, and is still evicting what must go for this: "
                        "try again\",null],null]");
}

/* The text named no record, and there was no detail. */
static void a_scan_that_meets_damage_names_the_record(void **state)
{
    struct outcome outcome = {.status = STATUS_DAMAGED,
                              .reason = OP_REASON_RECORD_DAMAGED,
                              .value = bytes_text("\x92\xcd\x12\x34\xa2k\n")};
    (void)state;
    assert_string_equal(response(OP_SCAN, &outcome),
                        "[1,7,[15,\"the stored record fails its checksum: key \\\"k?\\\", point "
                        "0x0000000000001234\",[4660,\"k\\n\"]],null]");
    outcome.value = bytes_of("\x92\x05\xc4\x08\x04\x45\x99\xa9\xbd\x00\x30\x01", 12);
    assert_non_null(strstr(response_in(TABLE_ENTITIES, OP_SCAN, &outcome),
                           "checksum: id 307821103844175873, point 0x0000000000000005"));
    outcome.value = bytes_of("\x92\x05\xc4\x00", 4);
    assert_non_null(strstr(response_in(TABLE_ENTITIES, OP_SCAN, &outcome),
                           "checksum: key \\\"\\\", point 0x0000000000000005"));
    outcome.value = bytes_of(NULL, 0);
    assert_string_equal(response(OP_READ, &outcome),
                        "[1,7,[15,\"the stored record fails its checksum\",null],null]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_has_seven_fields),
        cmocka_unit_test(expire_is_answered_like_a_write_or_with_nil),
        cmocka_unit_test(the_others_have_their_forms),
        cmocka_unit_test(refusals_have_their_details),
        cmocka_unit_test(a_scan_that_meets_damage_names_the_record),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
