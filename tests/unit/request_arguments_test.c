/* SPDX-License-Identifier: MIT */
#include "shardd/arguments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/json.h"
#include "proto/table.h"

#define ALLOWED                                                                                    \
    (OPTION_TTL_MS | OPTION_LEFT_MS | OPTION_SLIDING | OPTION_EPOCH | OPTION_TABLE | OPTION_KIND | \
     OPTION_IF_ABSENT | OPTION_IF_PRESENT | OPTION_IF_VERSION)

/* As request.c takes the arguments of write and of expire. */
static struct arguments take(enum op_kind kind, struct bytes params, struct op *op)
{
    bool is_expire = kind == OP_EXPIRE;
    struct arguments arguments;
    arguments_begin(&arguments, is_expire ? "expire" : "write", params, 2, 3, "");
    *op = (struct op){.kind = kind};
    op->key = arguments_key(&arguments);
    if (is_expire) {
        op->ttl_ms = arguments_ttl_or_nil(&arguments);
    } else {
        op->value = arguments_value(&arguments);
    }
    uint32_t allowed = is_expire ? OPTION_SLIDING | OPTION_EPOCH | OPTION_TABLE : ALLOWED;
    struct option_values given;
    const struct option_values *options = arguments_options(&arguments, allowed, &given);
    arguments_table(&arguments, options, op);
    arguments_expiry(&arguments, options, op);
    op->if_present = options->if_present;
    return arguments;
}

static struct arguments take_json(enum op_kind kind, const char *json, struct op *op)
{
    struct buffer params = {0};
    struct json_error error;
    assert_true(json_parse(bytes_text(json), &params, &error));
    struct arguments arguments = take(kind, buffer_bytes(&params), op);
    buffer_fini(&params);
    return arguments;
}

static void a_write_has_its_time_to_live(void **state)
{
    static const struct {
        const char *params;
        uint64_t ttl_ms, left_ms;
        bool is_sliding;
    } cases[] = {
        {"[\"k\",1]", 0, 0, false},
        {"[\"k\",1,{\"sliding\":false}]", 0, 0, false},
        {"[\"k\",1,{\"ttl_ms\":1}]", 1, 0, false},
        {"[\"k\",1,{\"sliding\":true,\"ttl_ms\":70368744177664}]", TTL_MS_MAX, 0, true},
        {"[\"k\",1,{\"left_ms\":9,\"ttl_ms\":10}]", 10, 9, false},
        {"[\"k\",1,{\"left_ms\":10,\"ttl_ms\":10,\"sliding\":true}]", 10, 10, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct op op;
        struct arguments arguments = take_json(OP_WRITE, cases[i].params, &op);
        assert_true(arguments_are_fine(&arguments));
        assert_true(op.ttl_ms == cases[i].ttl_ms);
        assert_true(op.left_ms == cases[i].left_ms);
        assert_int_equal(op.is_sliding, cases[i].is_sliding);
    }
}

static void expire_has_it_as_an_argument_and_nil_is_for_ever(void **state)
{
    struct op op;
    (void)state;
    struct arguments arguments = take_json(OP_EXPIRE, "[\"k\",null]", &op);
    assert_true(arguments_are_fine(&arguments));
    assert_int_equal(op.ttl_ms, 0);
    arguments = take_json(OP_EXPIRE, "[\"k\",70368744177664,{\"sliding\":true}]", &op);
    assert_true(arguments_are_fine(&arguments));
    assert_true(op.ttl_ms == TTL_MS_MAX && op.is_sliding);
    arguments = take_json(OP_EXPIRE, "[\"k\",null,{\"epoch\":3}]", &op);
    assert_true(arguments_are_fine(&arguments));
}

static void a_records_point_follows_from_table_and_key(void **state)
{
    struct op op;
    (void)state;
    struct arguments arguments = take_json(OP_WRITE, "[\"8 bytes.\",1]", &op);
    assert_true(arguments_are_fine(&arguments));
    assert_int_equal(op.table, TABLE_DEFAULT);
    assert_true(op.point == table_point(TABLE_DEFAULT, bytes_text("8 bytes.")));
    assert_false(op.has_kind || op.if_present);
    arguments = take_json(OP_WRITE,
                          "[{\"$bin\":\"OCBieXRlcy4=\"},{},"
                          "{\"if_present\":true,\"kind\":65535,\"table\":\"entities\"}]",
                          &op);
    assert_true(arguments_are_fine(&arguments));
    assert_int_equal(op.table, TABLE_ENTITIES);
    assert_true(op.point == table_point(TABLE_ENTITIES, bytes_text("8 bytes.")));
    assert_true(op.has_kind && op.record_kind == UINT16_MAX && op.if_present);
    arguments = take_json(OP_EXPIRE, "[\"8 bytes.\",5,{\"table\":\"entities\"}]", &op);
    assert_true(arguments_are_fine(&arguments));
    assert_true(op.point == table_point(TABLE_ENTITIES, bytes_text("8 bytes.")));
}

static const struct {
    enum op_kind kind;
    const char *params, *text;
} wrong[] = {
    {OP_WRITE, "[\"7 bytes\",{},{\"table\":\"entities\"}]",
     "write: key: an id of table \"entities\" has 8 bytes"},
    {OP_WRITE, "[\"9 bytes..\",{},{\"table\":\"entities\"}]",
     "write: key: an id of table \"entities\" has 8 bytes"},
    {OP_EXPIRE, "[\"7 bytes\",5,{\"table\":\"entities\"}]",
     "expire: key: an id of table \"entities\" has 8 bytes"},
    {OP_WRITE, "[\"8 bytes.\",[],{\"table\":\"entities\"}]",
     "write: value: a record of table \"entities\" is a map"},
    {OP_WRITE, "[\"8 bytes.\",null,{\"table\":\"entities\"}]",
     "write: value: a record of table \"entities\" is a map"},
    {OP_WRITE, "[\"k\",1,{\"kind\":0}]", "write: kind: a record of table \"default\" has none"},
    {OP_WRITE, "[\"8 bytes.\",{},{\"table\":\"entities\",\"kind\":65536}]",
     "write: kind must be an integer from 0 to 65535"},
    {OP_WRITE, "[\"8 bytes.\",{},{\"table\":\"entities\",\"kind\":-1}]",
     "write: kind must be an integer from 0 to 65535"},
    {OP_WRITE, "[\"k\",1,{\"if_present\":1}]", "write: if_present must be true or false"},
    {OP_WRITE, "[\"k\",1,{\"if_present\":true,\"if_absent\":true}]",
     "write: if_absent and if_present exclude each other"},
    {OP_EXPIRE, "[\"k\",5,{\"if_present\":true}]", "expire: does not take option \"if_present\""},
    {OP_EXPIRE, "[\"k\",5,{\"kind\":1}]", "expire: does not take option \"kind\""},
    {OP_WRITE, "[\"k\",1,{\"ttl_ms\":0}]", "write: ttl_ms must be an integer from 1 to 2^46"},
    {OP_WRITE, "[\"k\",1,{\"ttl_ms\":-1}]", "write: ttl_ms must be an integer from 1 to 2^46"},
    {OP_WRITE, "[\"k\",1,{\"ttl_ms\":70368744177665}]",
     "write: ttl_ms must be an integer from 1 to 2^46"},
    {OP_WRITE, "[\"k\",1,{\"ttl_ms\":18446744073709551615}]",
     "write: ttl_ms must be an integer from 1 to 2^46"},
    {OP_WRITE, "[\"k\",1,{\"ttl_ms\":1.5}]", "write: ttl_ms must be an integer from 1 to 2^46"},
    {OP_WRITE, "[\"k\",1,{\"ttl_ms\":null}]", "write: ttl_ms must be an integer from 1 to 2^46"},
    {OP_WRITE, "[\"k\",1,{\"ttl_ms\":5,\"left_ms\":0}]",
     "write: left_ms must be an integer from 1 to 2^46"},
    {OP_WRITE, "[\"k\",1,{\"ttl_ms\":5,\"left_ms\":6}]", "write: left_ms is above ttl_ms"},
    {OP_WRITE, "[\"k\",1,{\"left_ms\":6}]", "write: left_ms needs ttl_ms"},
    {OP_WRITE, "[\"k\",1,{\"sliding\":true}]", "write: sliding needs ttl_ms"},
    {OP_WRITE, "[\"k\",1,{\"ttl_ms\":5,\"sliding\":1}]", "write: sliding must be true or false"},
    {OP_EXPIRE, "[\"k\",0]", "expire: ttl_ms must be nil or an integer from 1 to 2^46"},
    {OP_EXPIRE, "[\"k\",70368744177665]",
     "expire: ttl_ms must be nil or an integer from 1 to 2^46"},
    {OP_EXPIRE, "[\"k\",\"10s\"]", "expire: ttl_ms must be nil or an integer from 1 to 2^46"},
    {OP_EXPIRE, "[\"k\",null,{\"sliding\":true}]", "expire: sliding needs ttl_ms"},
    {OP_EXPIRE, "[\"k\",5,{\"ttl_ms\":5}]", "expire: does not take option \"ttl_ms\""},
    {OP_EXPIRE, "[\"k\",5,{\"left_ms\":5}]", "expire: does not take option \"left_ms\""},
};

static void what_is_wrong_is_invalid_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct op op;
        struct arguments arguments = take_json(wrong[i].kind, wrong[i].params, &op);
        assert_int_equal(arguments.status, STATUS_INVALID);
        assert_string_equal(arguments.text, wrong[i].text);
    }
}

/* Prefixes never come out of a frame, but no decoder may look behind its end. */
static void every_shorter_prefix_is_refused(void **state)
{
    static const char *const jsons[] = {
        "[\"k\",1,{\"ttl_ms\":70368744177664,\"left_ms\":10,\"sliding\":true}]",
        "[\"k\",70368744177664,{\"sliding\":true}]",
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        enum op_kind kind = i == 0 ? OP_WRITE : OP_EXPIRE;
        struct buffer params = {0};
        struct json_error error;
        struct op op;
        assert_true(json_parse(bytes_text(jsons[i]), &params, &error));
        for (size_t len = 0; len < params.len; len++) {
            void *prefix = malloc(len + 1);
            assert_non_null(prefix);
            memcpy(prefix, params.data, len);
            struct arguments arguments = take(kind, bytes_of(prefix, len), &op);
            assert_int_equal(arguments.status, STATUS_INVALID);
            free(prefix);
        }
        buffer_fini(&params);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_has_its_time_to_live),
        cmocka_unit_test(expire_has_it_as_an_argument_and_nil_is_for_ever),
        cmocka_unit_test(a_records_point_follows_from_table_and_key),
        cmocka_unit_test(what_is_wrong_is_invalid_and_named),
        cmocka_unit_test(every_shorter_prefix_is_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
