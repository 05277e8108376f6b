/* SPDX-License-Identifier: MIT */
#include "shardd/stat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "cli/reply.h"
#include "cli/server_numbers.h"
#include "proto/json.h"
#include "tests/unit/sample_map.h"

static struct ownership sample(void)
{
    struct ownership own = {.incarnation = 7};
    sample_id(1, own.server);
    own.map = SAMPLE_MAP(5, {"low", HALF, 4, 1, false, 2048}, {"high", BOUND_END, 5, 2, true, 0});
    own.ranges = calloc(1, sizeof(*own.ranges));
    own.ranges[0] =
        (struct range){.end = HALF, .limit = 2048, .when_full = WHEN_FULL_EVICT, .epoch = 4};
    own.range_count = 1;
    return own;
}

/* Every number another one: 1, 2, 3, ... in the order of the struct. */
static struct store_stat numbered(void)
{
    struct store_stat stat = {.durability = "os", .is_disk_full = true};
    stat.hot_bytes = 1;
    stat.table_bytes = 2;
    stat.dirty_bytes = 3;
    stat.log_queue_bytes = 4;
    stat.output_bytes = 5;
    stat.results_bytes = 6;
    stat.memory_limit = 7;
    stat.hot_records = 8;
    stat.dirty_records = 9;
    stat.log_bytes = 10;
    stat.log_limit = 11;
    stat.last_stamp = 12;
    stat.durable_stamp = 13;
    stat.applied_stamp = 14;
    stat.sync_p50_us = 15;
    stat.sync_p99_us = 16;
    stat.sync_max_us = 17;
    stat.group_p50_bytes = 18;
    stat.group_p99_bytes = 19;
    stat.evictions = 20;
    stat.expirations = 21;
    stat.cold_reads = 22;
    stat.cpu_user_ms = 23;
    stat.cpu_system_ms = 24;
    stat.tree_used_bytes = 25;
    stat.tree_reusable_bytes = 26;
    stat.tree_file_bytes = 27;
    stat.disk_free_bytes = 28;
    stat.clock_behind_ms = 29;
    stat.input_bytes = 31;
    stat.scan_bytes = 32;
    stat.waiting_bytes = 33;
    stat.moving_bytes = 34;
    stat.ids_ahead_ms = 35;
    return stat;
}

static void pack(const struct ownership *own, bool is_stopping, struct buffer *out)
{
    const struct stat_server server = {
        .ownership = own, .is_stopping = is_stopping, .connection_count = 30};
    const struct store_stat stat = numbered();
    const struct account account = {
        .used = 67, .records = 1, .operations = 5, .evicted = 3, .expired = 4};
    stat_pack_begin(&server, &stat, out);
    for (uint32_t i = 0; i < own->range_count; i++) {
        stat_pack_shard(own, &own->ranges[i], &account, out);
    }
}

static void the_reply_is_one_map_and_each_shard_one(void **state)
{
    struct ownership own = sample();
    struct buffer out = {0};
    struct buffer json = {0};
    (void)state;
    pack(&own, false, &out);
    assert_true(json_print(buffer_bytes(&out), &json)); /* so it is exactly one object */
    buffer_append(&json, "", 1);
    const char *text = (const char *)json.data;
    assert_non_null(strstr(text, "\"incarnation\":7,\"state\":\"serving\",\"revision\":5,"
                                 "\"epoch\":5,\"connections\":30,\"stamp\":12,"
                                 "\"durability\":\"os\",\"disk_full\":true,"));
    assert_non_null(
        strstr(text, "\"shards\":[{\"name\":\"low\",\"start\":0,\"end\":2147483648,\"epoch\":4,"
                     "\"records\":1,\"bytes\":67,\"size\":2048,\"when_full\":\"evict\","
                     "\"operations\":5,\"evictions\":3,\"expirations\":4}]}"));
    buffer_fini(&json);
    buffer_fini(&out);
    ownership_fini(&own);
}

static void a_server_that_stops_says_so(void **state)
{
    struct ownership own = sample();
    struct buffer out = {0};
    struct bytes said = {0};
    const struct reply_field fields[] = {{"state", REPLY_TEXT, &said}};
    (void)state;
    pack(&own, true, &out);
    struct unpack in = unpack_of(buffer_bytes(&out));
    reply_take(&in, fields, 1);
    assert_true(unpack_is_done(&in));
    assert_true(bytes_equal(said, bytes_text("stopping")));
    buffer_fini(&out);
    ownership_fini(&own);
}

/* Both tables have the same names: what a server packs, `shardkv status` finds. */
static void every_number_that_is_packed_is_one_that_status_knows(void **state)
{
    struct ownership own = sample();
    struct server_numbers numbers;
    struct buffer out = {0};
    uint64_t sum = 0;
    (void)state;
    pack(&own, false, &out);
    server_numbers_init(&numbers);
    assert_true(server_numbers_take(&numbers, buffer_bytes(&out)));
#define X(name, row, what, kind)                                                                   \
    assert_true(numbers.name != SERVER_NUMBER_UNKNOWN);                                            \
    sum += numbers.name;
    SERVER_NUMBER_TABLE(X)
#undef X
    assert_int_equal(sum, 35 * 36 / 2);
    assert_int_equal(numbers.stamp, 12);
    assert_int_equal(numbers.clock_behind_ms, 29);
    assert_int_equal(numbers.input_bytes, 31);
    assert_int_equal(numbers.scan_bytes, 32);
    assert_int_equal(numbers.waiting_bytes, 33);
    assert_int_equal(numbers.moving_bytes, 34);
    assert_int_equal(numbers.ids_ahead_ms, 35);
    assert_string_equal(numbers.durability, "os");
    assert_true(numbers.is_disk_full);
    buffer_fini(&out);
    ownership_fini(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reply_is_one_map_and_each_shard_one),
        cmocka_unit_test(a_server_that_stops_says_so),
        cmocka_unit_test(every_number_that_is_packed_is_one_that_status_knows),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
