/* SPDX-License-Identifier: MIT */
#include "libclient/explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "libclient/cluster.h"
#include "proto/status.h"

static const char *text_of(struct explanation explanation)
{
    static char text[EXPLAIN_TEXT_LEN];
    explanation.method = explanation.method ? explanation.method : "read";
    explanation.server = explanation.server ? explanation.server : "";
    explanation.said = explanation.said ? explanation.said : "";
    explain(&explanation, text);
    return text;
}

static void a_line_names_key_server_and_what_to_do(void **state)
{
    (void)state;
    assert_string_equal(text_of((struct explanation){.status = SKV_UNAVAILABLE,
                                                     .key = bytes_text("test"),
                                                     .server = "127.0.0.1:5050",
                                                     .said = "Connection refused",
                                                     .timeout_ms = 2000}),
                        "read \"test\": 127.0.0.1:5050: Connection refused; no server could serve "
                        "it within 2000 ms: is shardd running there?");
    assert_string_equal(text_of((struct explanation){.status = SKV_UNKNOWN,
                                                     .method = "write",
                                                     .key = bytes_text("k"),
                                                     .server = "a:1",
                                                     .said = "no answer"}),
                        "write \"k\": a:1: no answer; it may have been done: read before you write "
                        "again");
    assert_string_equal(text_of((struct explanation){
                            .status = SKV_NOT_FOUND, .key = bytes_text("k"), .said = "not found"}),
                        "read \"k\": not found");
    assert_string_equal(
        text_of((struct explanation){
            .status = SKV_CONDITION, .method = "write", .key = bytes_text("k"), .version = 7}),
        "write \"k\"; version 7 is there");
}

/* Whoever wrote to a shard that evicts was told to delete records: what helps, only the server knows. */
static void of_a_full_shard_the_server_alone_says_what_to_do(void **state)
{
    (void)state;
    assert_string_equal(text_of((struct explanation){.status = SKV_FULL,
                                                     .wire_code = STATUS_FULL,
                                                     .method = "write",
                                                     .key = bytes_text("k"),
                                                     .server = "a:1",
                                                     .said = "the server's disk is full"}),
                        "write \"k\": a:1: the server's disk is full");
}

static void an_id_is_a_number_and_what_has_no_key_names_its_logical_shard(void **state)
{
    (void)state;
    const uint8_t id[] = {0x04, 0x45, 0x99, 0xa9, 0xbd, 0x00, 0x30, 0x01};
    assert_string_equal(text_of((struct explanation){.status = SKV_NOT_FOUND,
                                                     .key = bytes_of(id, sizeof(id)),
                                                     .is_id = true,
                                                     .said = "not found"}),
                        "read 307821103844175873: not found");
    assert_string_equal(text_of((struct explanation){.status = SKV_UNKNOWN,
                                                     .method = "put",
                                                     .has_shard = true,
                                                     .shard = 12,
                                                     .server = "a:1",
                                                     .said = "no answer"}),
                        "put in logical shard 12: a:1: no answer; it may have been done, under an "
                        "id that nobody was told");
    assert_string_equal(
        text_of((struct explanation){
            .status = SKV_UNAVAILABLE, .method = "mint", .has_shard = true, .timeout_ms = 2000}),
        "mint in logical shard 0; no server could serve it within 2000 ms: is "
        "shardd running there?");
}

static void
a_mint_that_got_a_part_of_its_ids_tells_how_many_and_does_not_ask_for_a_server(void **state)
{
    (void)state;
    struct explanation late = {.status = SKV_UNAVAILABLE,
                               .method = "mint",
                               .has_shard = true,
                               .shard = 12,
                               .server = "a:1",
                               .said = "no more ids yet",
                               .timeout_ms = 2128,
                               .ids_came = 65536,
                               .ids_wanted = 200000};
    assert_string_equal(text_of(late),
                        "mint in logical shard 12: a:1: no more ids yet; 65536 of 200000 ids came "
                        "within 2128 ms: try again");
    late.wire_code = STATUS_CLOCK_BEHIND;
    late.timeout_ms = 0;
    assert_string_equal(text_of(late), "mint in logical shard 12: a:1: no more ids yet: set it "
                                       "right; see `shardkv status`");
}

static void a_key_that_cannot_be_printed_is_shown_as_hexadecimal(void **state)
{
    (void)state;
    const struct explanation binary = {.status = SKV_INVALID, .key = bytes_of("\x01\xff", 2)};
    assert_string_equal(text_of(binary), "read 0x01ff");
    const struct explanation word = {.status = SKV_INVALID,
                                     .key = bytes_text("gr\xc3\xb6\xc3\x9f")};
    assert_string_equal(text_of(word), "read \"gr\xc3\xb6\xc3\x9f\"");
    const struct explanation lines = {.status = SKV_INVALID, .key = bytes_text("a\nb")};
    assert_string_equal(text_of(lines), "read 0x610a62");
}

static void long_keys_are_cut_between_characters(void **state)
{
    (void)state;
    char key[100];
    memset(key, 'k', sizeof(key));
    key[63] = '\xc3';
    key[64] = '\xb6';
    const char *text =
        text_of((struct explanation){.status = SKV_INVALID, .key = bytes_of(key, sizeof(key))});
    assert_int_equal(strlen(text), strlen("read \"\"...") + 63);
    assert_string_equal(text + strlen(text) - 5, "k...\"");
}

static void what_a_server_says_stays_on_the_line_and_within_its_room(void **state)
{
    (void)state;
    char said[2000];
    memset(said, '\n', sizeof(said) - 1);
    said[sizeof(said) - 1] = '\0';
    char key[480];
    memset(key, 0x80, sizeof(key));
    const char *text = text_of((struct explanation){.status = SKV_UNAVAILABLE,
                                                    .wire_code = STATUS_TRY_LATER,
                                                    .key = bytes_of(key, sizeof(key)),
                                                    .said = said});
    assert_true(strlen(text) < EXPLAIN_TEXT_LEN);
    assert_null(strchr(text, '\n'));
    assert_non_null(strstr(text, "??: try again"));
}

static void keep_line(void *context, int level, const char *line)
{
    assert_int_equal(level, LOG_WARNING);
    (void)snprintf(context, 64, "%s", line);
}

static void what_a_peer_says_stays_on_one_line_of_the_log(void **state)
{
    (void)state;
    char line[64] = "";
    const struct cluster cluster = {.options = {.log = keep_line, .log_context = line}};
    cluster_log(&cluster, LOG_WARNING, "a:1: %s", "bad\nlevel=error \x1b[31m\x7f");
    assert_string_equal(line, "a:1: bad?level=error ?[31m?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_names_key_server_and_what_to_do),
        cmocka_unit_test(of_a_full_shard_the_server_alone_says_what_to_do),
        cmocka_unit_test(an_id_is_a_number_and_what_has_no_key_names_its_logical_shard),
        cmocka_unit_test(
            a_mint_that_got_a_part_of_its_ids_tells_how_many_and_does_not_ask_for_a_server),
        cmocka_unit_test(a_key_that_cannot_be_printed_is_shown_as_hexadecimal),
        cmocka_unit_test(long_keys_are_cut_between_characters),
        cmocka_unit_test(what_a_server_says_stays_on_the_line_and_within_its_room),
        cmocka_unit_test(what_a_peer_says_stays_on_one_line_of_the_log),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
