/* SPDX-License-Identifier: MIT */
#include "cli/json_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proto/pack.h"
#include "proto/point.h"

static void expect_text(struct json_writer *writer, const char *text)
{
    assert_false(writer->text.failed);
    assert_int_equal(writer->text.len, strlen(text));
    assert_memory_equal(writer->text.data, text, writer->text.len);
    buffer_fini(&writer->text);
}

static void commas_stand_between_members_and_nowhere_else(void **state)
{
    struct json_writer writer = {0};
    (void)state;
    json_writer_open(&writer, NULL, '{');
    json_writer_open(&writer, "empty", '[');
    json_writer_close(&writer, ']');
    json_writer_open(&writer, "list", '[');
    json_writer_number(&writer, NULL, 1);
    json_writer_open(&writer, NULL, '{');
    json_writer_null(&writer, "a");
    json_writer_bool(&writer, "b", true);
    json_writer_close(&writer, '}');
    json_writer_close(&writer, ']');
    json_writer_integer(&writer, "last", -1);
    json_writer_close(&writer, '}');
    expect_text(&writer, "{\"empty\":[],\"list\":[1,{\"a\":null,\"b\":true}],\"last\":-1}");
}

static void versions_are_strings_and_bounds_the_shortest_fractions(void **state)
{
    struct json_writer writer = {0};
    (void)state;
    json_writer_open(&writer, NULL, '{');
    json_writer_version(&writer, "version", UINT64_MAX);
    json_writer_number(&writer, "epoch", UINT64_MAX);
    json_writer_bound(&writer, "start", 0);
    json_writer_bound(&writer, "middle", BOUND_END / 2);
    json_writer_bound(&writer, "end", BOUND_END);
    json_writer_float(&writer, "hash", 0.25);
    json_writer_close(&writer, '}');
    expect_text(&writer, "{\"version\":\"18446744073709551615\",\"epoch\":18446744073709551615,"
                         "\"start\":0.0,\"middle\":0.5,\"end\":1.0,\"hash\":0.25}");
}

static void keys_and_values_keep_what_they_are(void **state)
{
    struct json_writer writer = {0};
    struct buffer value = {0};
    (void)state;
    pack_bin(&value, bytes_of("\0\1\2", 3));
    json_writer_open(&writer, NULL, '[');
    json_writer_open(&writer, NULL, '{');
    json_writer_key(&writer, bytes_text("a\"b"));
    json_writer_value(&writer, "value", buffer_bytes(&value));
    json_writer_close(&writer, '}');
    json_writer_open(&writer, NULL, '{');
    json_writer_key(&writer, bytes_of("\xff\0", 2));
    json_writer_close(&writer, '}');
    json_writer_close(&writer, ']');
    expect_text(&writer, "[{\"key\":\"a\\\"b\",\"value\":{\"$bin\":\"AAEC\"}},"
                         "{\"key_base64\":\"/wA=\"}]");
    buffer_fini(&value);
}

static void reported_text_that_is_not_utf8_is_repaired(void **state)
{
    struct json_writer writer = {0};
    (void)state;
    json_writer_text(&writer, NULL, bytes_text("shard \xff\n"));
    expect_text(&writer, "\"shard ?\\n\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_between_members_and_nowhere_else),
        cmocka_unit_test(versions_are_strings_and_bounds_the_shortest_fractions),
        cmocka_unit_test(keys_and_values_keep_what_they_are),
        cmocka_unit_test(reported_text_that_is_not_utf8_is_repaired),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
