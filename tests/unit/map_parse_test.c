/* SPDX-License-Identifier: MIT */
#include "proto/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "proto/id.h"
#include "proto/point.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The members that every entry needs besides its name and bounds. */
#define REST    "\"size\":\"1GiB\",\"host\":\"127.0.0.1\",\"port\":5050"
#define A(more) "{\"name\":\"a\"," more REST "}"
#define B(more) "{\"name\":\"b\"," more REST "}"

/* A map of one entry that covers all, with one thing more, or one thing other. */
#define ONE(entry) "{\"shards\":[" entry "]}"
#define ALL        "\"start\":0,\"end\":1,"

static void assert_refused(const char *json, const char *text)
{
    struct map untouched = {.revision = 77};
    struct map_error error = {0};
    assert_false(map_parse(bytes_text(json), &untouched, &error));
    assert_string_equal(error.text, text);
    assert_int_equal(untouched.revision, 77);
}

static struct map parse(const char *json)
{
    struct map map;
    struct map_error error = {0};
    bool is_fine = map_parse(bytes_text(json), &map, &error);
    assert_string_equal(error.text, "");
    assert_true(is_fine);
    assert_true(map_check(&map, &error));
    return map;
}

static void the_sample_of_the_design_is_read(void **state)
{
    (void)state;
    struct map map =
        parse("{ \"shards\": [\n"
              "    { \"name\": \"shard0.5-1\", \"start\": 0.5, \"end\": 1.0, \"size\": 1024,\n"
              "      \"when_full\": \"reject\", \"host\": \"::1\", \"port\": 5051 },\n"
              "    { \"name\": \"shard0-0.5\", \"start\": 0.0, \"end\": 0.5, \"size\": \"1GiB\",\n"
              "      \"when_full\": \"evict\", \"host\": \"127.0.0.1\", \"port\": 5050 } ] }\n");
    assert_int_equal(map.entry_count, 2);
    assert_int_equal(map.server_count, 0);
    assert_int_equal(map.revision, 0);
    assert_int_equal(map.origin_ms, ID_ORIGIN_MS);
    assert_string_equal(map.entries[0].name, "shard0-0.5");
    assert_int_equal(map.entries[0].start, 0);
    assert_int_equal(map.entries[0].end, BOUND_END / 2);
    assert_int_equal(map.entries[0].size, 1 << 30);
    assert_string_equal(map.entries[0].address.host, "127.0.0.1");
    assert_int_equal(map.entries[0].address.port, 5050);
    assert_string_equal(map.entries[1].name, "shard0.5-1");
    assert_int_equal(map.entries[1].size, 1024);
    assert_int_equal(map.entries[1].end, BOUND_END);
    assert_string_equal(map.entries[1].address.host, "::1");
    assert_int_equal(map.entries[0].when_full, WHEN_FULL_EVICT);
    assert_int_equal(map.entries[1].when_full, WHEN_FULL_REJECT);
    map_fini(&map);
}

static void logical_shards_are_half_open_and_mix_with_fractions(void **state)
{
    (void)state;
    struct map map = parse("{\"shards\":[" A("\"logical_shards\":\"0-9\",") "," B(
        "\"start\":0.0010986328125,\"end\":1,") "],\"origin_ms\":5}");
    assert_int_equal(map.entries[0].start, 0);
    assert_int_equal(map.entries[0].end, id_shard_bound(9));
    assert_int_equal(map.origin_ms, 5);
    map_fini(&map);
}

static void logical_shards_may_stand_beside_the_same_bounds(void **state)
{
    (void)state;
    struct map map = parse(
        "{\"shards\":[" A("\"logical_shards\":\"0-1\",\"start\":0,\"end\":0.0001220703,") "," B(
            "\"start\":0.0001220703125,\"logical_shards\":\"1-8192\",") "]}");
    assert_int_equal(map.entries[0].end, id_shard_bound(1));
    assert_int_equal(map.entries[1].start, id_shard_bound(1));
    assert_int_equal(map.entries[1].end, BOUND_END);
    map_fini(&map);
}

static void bounds_go_to_the_nearest_multiple(void **state)
{
    (void)state;
    struct map map = parse("{\"shards\":[" A("\"start\":0,\"end\":0.33333333333333331,") "," B(
        "\"start\":0.3333333333,\"end\":1,") "]}");
    assert_int_equal(map.entries[0].end, 1431655765);
    assert_int_equal(map.entries[1].start, 1431655765);
    map_fini(&map);
}

static const struct {
    const char *json, *text;
} wrong[] = {
    /* the text */
    {"", "line 1, column 1: unexpected token near end of file"},
    {"{\"shards\":[{\"name\":\"a\",", "line 1, column 23: string or '}' expected near end of file"},
    {"{\"shards\":[]\n} x", "line 2, column 3: end of file expected near 'x'"},
    {"{\n \"shards\":[],\n \"shards\":[]}",
     "line 3, column 9: duplicate object key near '\"shards\"'"},
    {ONE("{\"name\":\"a\",\"name\":\"b\"}"),
     "line 1, column 29: duplicate object key near '\"name\"'"},
    /* the whole */
    {"[]", "must be an object"},
    {"null", "must be an object"},
    {"{}", "shards: is missing"},
    {"{\"shards\":{}}", "shards: must be an array"},
    {"{\"shards\":[]}", "shards: must have 1 to 8192 entries"},
    {"{\"shards\":[],\"shard\":1}", "unknown field \"shard\""},
    {"{\"shards\":[],\"origin_ms\":\"1\"}", "origin_ms: must be a whole number"},
    {"{\"shards\":[],\"origin_ms\":1.0}", "origin_ms: must be a whole number"},
    {"{\"shards\":[],\"origin_ms\":-1}", "origin_ms: -1 is not between 1 and 281474976710655"},
    {"{\"shards\":[],\"origin_ms\":0}", "origin_ms: 0 is not between 1 and 281474976710655"},
    {"{\"shards\":[],\"revision\":1}", "revision: must be a string"},
    {"{\"shards\":[],\"cluster\":null}", "cluster: must be a string"},
    {"{\"shards\":[],\"servers\":{}}", "servers: must be an array"},
    /* an entry */
    {ONE("5"), "shards[0]: must be an object"},
    {ONE(A(ALL) ",{}"), "shards[1]: name: is missing"},
    {ONE(A(ALL "\"sise\":1,")), "shards[0] \"a\": unknown field \"sise\""},
    {ONE(A(ALL "\"a\\nb\":1,")), "shards[0] \"a\": unknown field \"a?b\""},
    {ONE("{\"name\":5}"), "shards[0]: name: must be a string"},
    {ONE("{\"name\":\"\"," ALL REST "}"), "shards[0]: name: is empty"},
    {ONE("{\"name\":\"a\\u0000b\"}"), "shards[0] \"a\": name: has a NUL character"},
    {ONE("{\"name\":\"a\\tb\"," ALL REST "}"),
     "shards[0] \"a?b\": name: has bytes that are not UTF-8, or control characters"},
    {ONE("{\"name\":\"0123456789012345678901234567890123456789012345678901234567890123\"}"),
     "shards[0] \"012345678901234567890123456789012345678901234567890123456789012\": name: "
     "longer than 63 bytes"},
    /* its bounds */
    {ONE(A("")), "shards[0] \"a\": start: is missing"},
    {ONE(A("\"start\":0,")), "shards[0] \"a\": end: is missing"},
    {ONE(A("\"start\":\"0\",\"end\":1,")), "shards[0] \"a\": start: must be a number"},
    {ONE(A("\"start\":0,\"end\":1.5,")), "shards[0] \"a\": end: 1.5 is not between 0 and 1"},
    {ONE(A("\"start\":-0.1,\"end\":1,")), "shards[0] \"a\": start: -0.1 is not between 0 and 1"},
    {ONE(A("\"start\":0.5,\"end\":0.25,")), "shards[0] \"a\": end: 0.25 is not above start 0.5"},
    {ONE(A("\"start\":0.5,\"end\":0.50000000001,")),
     "shards[0] \"a\": end: 0.5 is not above start 0.5"},
    {ONE(A("\"logical_shards\":5,")), "shards[0] \"a\": logical_shards: must be a string"},
    {ONE(A("\"logical_shards\":[1,9],")), "shards[0] \"a\": logical_shards: must be a string"},
    {ONE(A("\"logical_shards\":\"0-8192\",\"end\":0.5,")),
     "shards[0] \"a\": end: 0.5, but logical_shards \"0-8192\" says 1.0: change both or leave "
     "one out"},
    {ONE(A("\"logical_shards\":\"0-8192\",\"start\":0.25,\"end\":0.5,")),
     "shards[0] \"a\": start: 0.25, but logical_shards \"0-8192\" says 0.0: change both or "
     "leave one out"},
    /* its other fields */
    {ONE("{\"name\":\"a\"," ALL "\"host\":\"h\",\"port\":1}"), "shards[0] \"a\": size: is missing"},
    {ONE("{\"name\":\"a\"," ALL "\"size\":\"12 elephants\",\"host\":\"h\",\"port\":1}"),
     "shards[0] \"a\": size: \"12 elephants\" is no size like \"1GiB\", \"512MiB\" or "
     "\"100MB\""},
    {ONE("{\"name\":\"a\"," ALL "\"size\":1023,\"host\":\"h\",\"port\":1}"),
     "shards[0] \"a\": size: 1023 is below 1024"},
    {ONE("{\"name\":\"a\"," ALL "\"size\":1125899906842625,\"host\":\"h\",\"port\":1}"),
     "shards[0] \"a\": size: 1125899906842625 is above 1PiB"},
    {ONE("{\"name\":\"a\"," ALL "\"size\":-5,\"host\":\"h\",\"port\":1}"),
     "shards[0] \"a\": size: -5 is below 1024"},
    {ONE("{\"name\":\"a\"," ALL "\"size\":2048.5,\"host\":\"h\",\"port\":1}"),
     "shards[0] \"a\": size: must be a text like \"1GiB\" or a whole number of bytes"},
    {ONE("{\"name\":\"a\"," ALL "\"size\":2048,\"port\":1}"), "shards[0] \"a\": host: is missing"},
    {ONE("{\"name\":\"a\"," ALL "\"size\":2048,\"host\":\"\",\"port\":1}"),
     "shards[0] \"a\": host: \"\" is no host name or address"},
    {ONE("{\"name\":\"a\"," ALL "\"size\":2048,\"host\":\"a:b c\",\"port\":1}"),
     "shards[0] \"a\": host: \"a:b c\" is no host name or address"},
    {ONE("{\"name\":\"a\"," ALL "\"size\":2048,\"host\":\"h\"}"),
     "shards[0] \"a\": port: is missing"},
    {ONE("{\"name\":\"a\"," ALL "\"size\":2048,\"host\":\"h\",\"port\":0}"),
     "shards[0] \"a\": port: must be a whole number from 1 to 65535"},
    {ONE("{\"name\":\"a\"," ALL "\"size\":2048,\"host\":\"h\",\"port\":65536}"),
     "shards[0] \"a\": port: must be a whole number from 1 to 65535"},
    {ONE("{\"name\":\"a\"," ALL "\"size\":2048,\"host\":\"h\",\"port\":\"1\"}"),
     "shards[0] \"a\": port: must be a whole number from 1 to 65535"},
    {ONE(A(ALL "\"when_full\":\"drop\",")),
     "shards[0] \"a\": when_full: \"drop\" is not \"reject\" or \"evict\""},
    {ONE(A(ALL "\"when_full\":true,")), "shards[0] \"a\": when_full: must be a string"},
    {ONE(A(ALL "\"epoch\":3,")), "shards[0] \"a\": epoch: must be a string"},
    {ONE(A(ALL "\"new\":1,")), "shards[0] \"a\": new: must be true or false"},
    {ONE(A(ALL "\"move\":\"x\",")), "shards[0] \"a\": move: must be an object"},
    /* the entries together */
    {ONE(B("\"start\":0.5,\"end\":1,") "," A("\"start\":0,\"end\":0.4,") "," B(
         "\"start\":0.4,\"end\":0.5,")),
     "shards[2] \"b\": name: shards[0] has it, too"},
    {ONE(A("\"start\":0,\"end\":0.5,") "," B("\"start\":0.75,\"end\":1,")),
     "nothing covers 0.5 to 0.75, logical shards 4096-6144 (between \"a\" and \"b\")"},
    {ONE(A("\"start\":0.1,\"end\":1,")), "nothing covers 0.0 to 0.1 (before \"a\")"},
    {ONE(A("\"start\":0,\"end\":0.9,")), "nothing covers 0.9 to 1.0 (after \"a\")"},
    {ONE(B("\"start\":0.2,\"end\":0.5,") "," A("\"start\":0,\"end\":1,")),
     "\"a\" and \"b\" overlap from 0.2 to 0.5"},
    {ONE(B("\"start\":0.25,\"end\":1,") "," A("\"start\":0,\"end\":0.5,")),
     "\"a\" and \"b\" overlap from 0.25 to 0.5, logical shards 2048-4096"},
    {ONE(A("\"logical_shards\":\"0-9\",") "," A("\"logical_shards\":\"9-8192\",")),
     "shards[1] \"a\": name: shards[0] has it, too"},
    {ONE(A("\"logical_shards\":\"0-9\",") "," B("\"logical_shards\":\"8-8192\",")),
     "\"a\" and \"b\" overlap from 0.0009765625 to 0.0010986328, logical shards 8-9"},
    {ONE(A("\"logical_shards\":\"1-9\",") "," B("\"logical_shards\":\"9-17\",")),
     "nothing covers 0.0 to 0.0001220703, logical shards 0-1 (before \"a\"); nothing covers "
     "0.0020751953 to 1.0, logical shards 17-8192 (after \"b\")"},
};

#define NO_FORM                                                                                    \
    " is not FIRST-END without spaces, signs and leading zeros, as in \"1-9\" for 1 to 8"

/* Of "logical_shards": what follows the text in the error. */
static const struct {
    const char *slices, *fault;
} wrong_slices[] = {
    {"", NO_FORM},
    {"-", NO_FORM},
    {"5", NO_FORM},
    {"1-", NO_FORM},
    {"-9", NO_FORM},
    {"-1-9", NO_FORM},
    {"+1-9", NO_FORM},
    {"1-+9", NO_FORM},
    {"1--9", NO_FORM},
    {"0 - 1", NO_FORM},
    {" 0-1", NO_FORM},
    {"0-1 ", NO_FORM},
    {"00-1", NO_FORM},
    {"01-9", NO_FORM},
    {"1-09", NO_FORM},
    {"1-9-17", NO_FORM},
    {"1-9,9-17", NO_FORM},
    {"1..9", NO_FORM},
    {"0x1-9", NO_FORM},
    {"1.0-9.0", NO_FORM},
    {"one-nine", NO_FORM},
    {"0-8193", " goes beyond 8192"},
    {"8193-8194", " goes beyond 8192"},
    {"9000-1", " goes beyond 8192"},
    {"0-4294967297", " goes beyond 8192"},
    {"0-18446744073709551617", " goes beyond 8192"},
    {"9-1", ": 1 is not above 9"},
    {"5-5", ": 5 is not above 5"},
    {"0-0", ": 0 is not above 0"},
    {"8192-8192", ": 8192 is not above 8192"},
};

static void wrong_logical_shards_are_refused_with_what_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong_slices); i++) {
        char json[256];
        char text[256];
        const char *slices = wrong_slices[i].slices;
        (void)snprintf(json, sizeof(json), ONE(A("\"logical_shards\":\"%s\",")), slices);
        (void)snprintf(text, sizeof(text), "shards[0] \"a\": logical_shards: \"%s\"%s", slices,
                       wrong_slices[i].fault);
        assert_refused(json, text);
    }
}

static void a_wrong_map_is_refused_with_entry_and_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_refused(wrong[i].json, wrong[i].text);
    }
}

static void bytes_that_are_no_utf8_are_refused_by_place(void **state)
{
    (void)state;
    assert_refused("{\"shards\":\"\xff\"}",
                   "line 1, column 11: unable to decode byte 0xff near '\"'");
}

static void more_faults_than_fit_are_cut_and_not_split(void **state)
{
    (void)state;
    char json[8192] = "{\"shards\":[";
    size_t len = strlen(json);
    for (int i = 0; i < 20; i++) {
        len += (size_t)snprintf(json + len, sizeof(json) - len,
                                "%s{\"name\":\"\xe2\x82\xac %d\",\"start\":%f,\"end\":%f," REST "}",
                                i ? "," : "", i, i / 20.0, i / 20.0 + 0.01);
    }
    (void)snprintf(json + len, sizeof(json) - len, "]}");
    struct map map;
    struct map_error error;
    assert_false(map_parse(bytes_text(json), &map, &error));
    assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
    assert_memory_equal(error.text, "nothing covers 0.01 to 0.05 (between ", 37);
}

/* What a person gets from `shardkv map get`. */
static const char printed[] =
    "{\n"
    "  \"shards\": [\n"
    "    { \"name\": \"a \\\"1\\\"\", \"start\": 0.0, \"end\": 0.5, \"size\": \"1GiB\", \"host\": "
    "\"127.0.0.1\", \"port\": 5050,\n"
    "      \"epoch\": \"3\", \"server\": \"01020000000000000000000000000000\", \"logical_shards\": "
    "\"0-4096\" },\n"
    "    { \"name\": \"b\", \"start\": 0.5, \"end\": 0.6, \"size\": \"1000000\", \"host\": "
    "\"::1\", "
    "\"port\": 5051,\n"
    "      \"epoch\": \"7\", \"new\": true },\n"
    "    { \"name\": \"c\", \"start\": 0.6, \"end\": 1.0, \"size\": \"1KiB\", \"host\": "
    "\"store1\", "
    "\"port\": 1,\n"
    "      \"epoch\": \"9\", \"server\": \"04000000000000000000000000000000\",\n"
    "      \"move\": {\"phase\": \"copy\", \"id\": \"9\", \"source\": "
    "\"04000000000000000000000000000000\", \"target\": \"01020000000000000000000000000000\"} }\n"
    "  ],\n"
    "  \"origin_ms\": 12345,\n"
    "  \"cluster\": \"aa000000000000000000000000000000\",\n"
    "  \"instance\": \"bb000000000000000000000000000000\",\n"
    "  \"revision\": \"9\",\n"
    "  \"servers\": [\n"
    "    { \"id\": \"01020000000000000000000000000000\", \"address\": \"127.0.0.1:5050\", "
    "\"incarnation\": \"2\" },\n"
    "    { \"id\": \"04000000000000000000000000000000\", \"address\": \"[::1]:5051\", "
    "\"incarnation\": \"18446744073709551615\" }\n"
    "  ]\n"
    "}\n";

static void a_founded_map_is_printed_with_what_bootstrapd_knows_behind(void **state)
{
    (void)state;
    const uint64_t bound = UINT64_C(2576980378); /* 0.6 */
    struct map_entry entries[] = {
        {.name = "a \"1\"",
         .start = 0,
         .end = BOUND_END / 2,
         .epoch = 3,
         .size = 1 << 30,
         .server = {1, 2},
         .address = {"127.0.0.1", 5050}},
        {.name = "b",
         .start = BOUND_END / 2,
         .end = bound,
         .epoch = 7,
         .size = 1000000,
         .is_new = true,
         .address = {"::1", 5051}},
        {.name = "c",
         .start = bound,
         .end = BOUND_END,
         .epoch = 9,
         .size = 1024,
         .server = {4},
         .address = {"store1", 1},
         .move = {MOVE_COPY, 9, {4}, {1, 2}}},
    };
    struct map_server servers[] = {
        {.id = {1, 2}, .address = {"127.0.0.1", 5050}, .incarnation = 2},
        {.id = {4}, .address = {"::1", 5051}, .incarnation = UINT64_MAX},
    };
    struct map map = {.cluster = {0xaa},
                      .instance = {0xbb},
                      .revision = 9,
                      .origin_ms = 12345,
                      .entries = entries,
                      .entry_count = 3,
                      .servers = servers,
                      .server_count = 2};
    struct buffer json = {0};
    map_print(&map, &json);
    buffer_append(&json, "", 1);
    assert_string_equal((const char *)json.data, printed);
    buffer_fini(&json);
}

static void what_is_printed_is_read_again_as_a_person_would_have_written_it(void **state)
{
    (void)state;
    struct map map = parse(printed);
    assert_int_equal(map.entry_count, 3);
    assert_int_equal(map.revision, 0);
    assert_int_equal(map.server_count, 0);
    assert_int_equal(map.origin_ms, 12345);
    assert_true(id_bytes_is_zero(map.cluster));
    assert_int_equal(map.entries[1].epoch, 0);
    assert_false(map.entries[1].is_new);
    assert_int_equal(map.entries[2].move.phase, MOVE_NONE);
    assert_string_equal(map.entries[0].name, "a \"1\"");
    assert_int_equal(map.entries[2].size, 1024);
    map_fini(&map);
}

static void each_logical_shard_of_a_founded_map_is_read_again_in_both_forms(void **state)
{
    (void)state;
    static struct map_entry entries[ID_SHARD_COUNT];
    for (uint32_t i = 0; i < ID_SHARD_COUNT; i++) {
        entries[i] = (struct map_entry){.start = id_shard_bound(i),
                                        .end = id_shard_bound(i + 1),
                                        .epoch = 1,
                                        .size = 1 << 30,
                                        .server = {1},
                                        .address = {"127.0.0.1", 5050}};
        (void)snprintf(entries[i].name, sizeof(entries[i].name), "shard%u", i);
    }
    struct map map = {.revision = 1,
                      .cluster = {1},
                      .origin_ms = ID_ORIGIN_MS,
                      .entries = entries,
                      .entry_count = ID_SHARD_COUNT};
    struct buffer json = {0};
    struct map same;
    struct map_error error = {0};
    map_print(&map, &json);
    assert_true(map_parse(buffer_bytes(&json), &same, &error));
    assert_int_equal(same.entry_count, ID_SHARD_COUNT);
    for (uint32_t i = 0; i < ID_SHARD_COUNT; i++) {
        assert_int_equal(same.entries[i].start, entries[i].start);
        assert_int_equal(same.entries[i].end, entries[i].end);
        assert_string_equal(same.entries[i].name, entries[i].name);
    }
    buffer_append(&json, "", 1);
    assert_non_null(strstr((const char *)json.data, "\"logical_shards\": \"0-1\""));
    assert_non_null(strstr((const char *)json.data, "\"logical_shards\": \"8191-8192\""));
    map_fini(&same);
    buffer_fini(&json);
}

static void a_persons_map_is_printed_as_a_person_writes_it(void **state)
{
    (void)state;
    static const char text[] =
        "{\n"
        "  \"shards\": [\n"
        "    { \"name\": \"a\", \"start\": 0.0, \"end\": 0.3333333333, \"size\": \"1GiB\", "
        "\"host\": \"127.0.0.1\", \"port\": 5050 },\n"
        "    { \"name\": \"b\", \"start\": 0.3333333333, \"end\": 1.0, \"size\": \"1GiB\", "
        "\"host\": \"127.0.0.1\", \"port\": 5050 }\n"
        "  ]\n"
        "}\n";
    struct map map = parse(text);
    struct buffer json = {0};
    map_print(&map, &json);
    buffer_append(&json, "", 1);
    assert_string_equal((const char *)json.data, text);
    buffer_fini(&json);
    map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_of_the_design_is_read),
        cmocka_unit_test(logical_shards_are_half_open_and_mix_with_fractions),
        cmocka_unit_test(bounds_go_to_the_nearest_multiple),
        cmocka_unit_test(logical_shards_may_stand_beside_the_same_bounds),
        cmocka_unit_test(wrong_logical_shards_are_refused_with_what_is_wrong),
        cmocka_unit_test(a_wrong_map_is_refused_with_entry_and_field),
        cmocka_unit_test(bytes_that_are_no_utf8_are_refused_by_place),
        cmocka_unit_test(more_faults_than_fit_are_cut_and_not_split),
        cmocka_unit_test(a_founded_map_is_printed_with_what_bootstrapd_knows_behind),
        cmocka_unit_test(what_is_printed_is_read_again_as_a_person_would_have_written_it),
        cmocka_unit_test(each_logical_shard_of_a_founded_map_is_read_again_in_both_forms),
        cmocka_unit_test(a_persons_map_is_printed_as_a_person_writes_it),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
