/* SPDX-License-Identifier: MIT */
#include "cli/server_numbers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/pack.h"

static struct server_numbers numbers;
static struct buffer reply;
static struct buffer text;

static int clear(void **state)
{
    (void)state;
    server_numbers_init(&numbers);
    buffer_fini(&reply);
    buffer_fini(&text);
    return 0;
}

static void pack_number(const char *name, uint64_t number)
{
    pack_text(&reply, name);
    pack_uint(&reply, number);
}

/* As from a server of this version, with a field that only a later one has. */
static void pack_reply(void)
{
    pack_map(&reply, 7);
    pack_number("hot_bytes", 3 << 19);
    pack_number("stamp", UINT64_C(115146752000000000));
    pack_text(&reply, "durability");
    pack_text(&reply, "os");
    pack_text(&reply, "later");
    pack_array(&reply, 1);
    pack_nil(&reply);
    pack_number("cpu_user_ms", 1250);
    pack_text(&reply, "disk_full");
    pack_bool(&reply, true);
    pack_number("clock_behind_ms", 720000);
}

static const char *printed(void)
{
    buffer_clear(&text);
    server_numbers_print(&numbers, &text);
    buffer_append(&text, "", 1);
    assert_false(text.failed);
    return (const char *)text.data;
}

static const char *written(void)
{
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    server_numbers_write(&numbers, &writer);
    json_writer_close(&writer, '}');
    buffer_fini(&text);
    text = writer.text;
    buffer_append(&text, "", 1);
    return (const char *)text.data;
}

static void what_is_told_is_taken_and_shown(void **state)
{
    (void)state;
    pack_reply();
    assert_true(server_numbers_take(&numbers, buffer_bytes(&reply)));
    assert_non_null(strstr(printed(), "  memory   hot 1.5 MiB, table -, dirty -, "));
    assert_non_null(
        strstr(printed(), "  stamps   last 115146752000000000, durable -, applied -\n"));
    assert_non_null(strstr(printed(), "  log      used -, limit -, durability os\n"));
    assert_non_null(strstr(printed(), "  cpu      user 1.2 s, system -\n"));
    assert_non_null(strstr(printed(), "  disk     free -, full\n"));
    assert_non_null(strstr(printed(), "  clock    behind 12 min, ids ahead -\n"));
}

static void json_has_stamps_as_strings_and_null_for_what_is_not_told(void **state)
{
    (void)state;
    pack_reply();
    assert_true(server_numbers_take(&numbers, buffer_bytes(&reply)));
    assert_non_null(strstr(written(), "\"hot_bytes\":1572864,\"table_bytes\":null,"));
    assert_non_null(strstr(written(), "\"stamp\":\"115146752000000000\",\"durable_stamp\":null,"));
    assert_non_null(strstr(written(), "\"durability\":\"os\",\"disk_full\":true}"));
}

/* A server of the version before this one told of none of it. */
static void nothing_told_is_a_dash_everywhere(void **state)
{
    (void)state;
    pack_map(&reply, 0);
    assert_true(server_numbers_take(&numbers, buffer_bytes(&reply)));
    size_t number_count = 0;
#define X(name, row, what, kind) number_count++;
    SERVER_NUMBER_TABLE(X)
#undef X
    size_t dash_count = 0;
    for (const char *at = printed(); (at = strstr(at, " -")); at++) {
        dash_count++;
    }
    assert_int_equal(dash_count, number_count + 1); /* and the durability */
    assert_non_null(strstr(written(), "\"durability\":null,\"disk_full\":null}"));
    char texts[SERVER_WARNINGS_MAX][SERVER_WARNING_LEN];
    assert_int_equal(server_numbers_warn(&numbers, texts), 0);
}

static void every_shorter_prefix_is_malformed(void **state)
{
    (void)state;
    pack_reply();
    for (size_t len = 0; len < reply.len; len++) {
        void *prefix = malloc(len + 1);
        assert_non_null(prefix);
        memcpy(prefix, reply.data, len);
        server_numbers_init(&numbers);
        assert_false(server_numbers_take(&numbers, bytes_of(prefix, len)));
        free(prefix);
    }
}

static void a_wrong_type_is_malformed(void **state)
{
    static const char *const names[] = {"hot_bytes", "stamp", "durability", "disk_full"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        buffer_clear(&reply);
        pack_map(&reply, 1);
        pack_text(&reply, names[i]);
        pack_array(&reply, 0);
        server_numbers_init(&numbers);
        assert_false(server_numbers_take(&numbers, buffer_bytes(&reply)));
    }
}

/* RULES N2, F1. */
static void a_clock_far_behind_and_a_full_disk_are_warned_of(void **state)
{
    char texts[SERVER_WARNINGS_MAX][SERVER_WARNING_LEN];
    (void)state;
    numbers.clock_behind_ms = 600000;
    assert_int_equal(server_numbers_warn(&numbers, texts), 0);
    numbers.clock_behind_ms = 600001;
    assert_int_equal(server_numbers_warn(&numbers, texts), 1);
    assert_string_equal(texts[0],
                        "its stamps are 10 min ahead of its clock: the clock is behind, or "
                        "the server was killed often in a short time");
    numbers.clock_behind_ms = UINT64_MAX - 1;
    assert_int_equal(server_numbers_warn(&numbers, texts), 1);
    assert_non_null(strstr(texts[0], "in a short time"));
    numbers.ids_ahead_ms = 600000;
    assert_int_equal(server_numbers_warn(&numbers, texts), 1);
    numbers.ids_ahead_ms = 7200000;
    assert_int_equal(server_numbers_warn(&numbers, texts), 2);
    assert_string_equal(texts[1], "its clock is 2 h behind the ids that it gave: it gives none "
                                  "until the clock is set right");
    numbers.is_disk_full = true;
    assert_int_equal(server_numbers_warn(&numbers, texts), 3);
    assert_string_equal(texts[2], "its disk is full: growing writes are refused");
}

static void bytes_are_shown_in_the_unit_that_fits(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *shown;
    } cases[] = {
        {0, "hot 0 B,"},
        {1023, "hot 1023 B,"},
        {1024, "hot 1.0 KiB,"},
        {150 << 10, "hot 150 KiB,"},
        {UINT64_C(5) << 30, "hot 5.0 GiB,"},
        {UINT64_MAX - 1, "hot 16.0 EiB,"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        numbers.hot_bytes = cases[i].bytes;
        assert_non_null(strstr(printed(), cases[i].shown));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, clear, clear)
    const struct CMUnitTest tests[] = {
        TEST(what_is_told_is_taken_and_shown),
        TEST(json_has_stamps_as_strings_and_null_for_what_is_not_told),
        TEST(nothing_told_is_a_dash_everywhere),
        TEST(every_shorter_prefix_is_malformed),
        TEST(a_wrong_type_is_malformed),
        TEST(a_clock_far_behind_and_a_full_disk_are_warned_of),
        TEST(bytes_are_shown_in_the_unit_that_fits),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
