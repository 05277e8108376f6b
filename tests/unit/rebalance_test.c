/* SPDX-License-Identifier: MIT */
#include "bootstrapd/rebalance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/json.h"
#include "proto/pack.h"
#include "proto/point.h"

/*
 * Two shards, a and b, on server 1, and two servers that own nothing, 2 and 3; at ports of the same numbers. A server's id
 * is 16 times its number.
 */

#define MIB (UINT64_C(1) << 20)

static const char config[] = "{\"shards\":[{\"name\":\"a\",\"start\":0.0,\"end\":0.5,\"size\":"
                             "\"1GiB\",\"host\":\"127.0.0.1\","
                             "\"port\":1},{\"name\":\"b\",\"start\":0.5,\"end\":1.0,\"size\":"
                             "\"1GiB\",\"host\":\"127.0.0.1\","
                             "\"port\":1}]}";

struct fixture {
    struct cluster *cluster;
    struct text why;
};

static struct address address_of(uint16_t port)
{
    struct address address = {.port = port};
    (void)snprintf(address.host, sizeof(address.host), "127.0.0.1");
    return address;
}

static void greet(struct fixture *fixture, uint8_t server)
{
    struct site_hello hello = {.incarnation = 1};
    struct address address = address_of(server);
    memset(hello.server, server, ID_LEN);
    cluster_on_hello(fixture->cluster, &address, &hello);
}

static void settle(struct fixture *fixture)
{
    struct plan plan;
    for (unsigned count = 0; cluster_next(fixture->cluster, &plan); count++) {
        assert_true(count < 10);
        cluster_adopt(fixture->cluster, &plan);
        plan_fini(&plan);
    }
}

static const struct map *map_of(const struct fixture *fixture)
{
    return &cluster_ledger(fixture->cluster)->map;
}

static void pack_field(struct buffer *out, const char *name, uint64_t number)
{
    pack_text(out, name);
    pack_uint(out, number);
}

/* What server 1 tells of a shard. */
static void pack_shard(struct buffer *stat, const struct map_entry *entry, uint64_t bytes,
                       uint64_t operations)
{
    pack_map(stat, 6);
    pack_field(stat, "start", entry->start);
    pack_field(stat, "end", entry->end);
    pack_field(stat, "epoch", entry->epoch);
    pack_field(stat, "records", 1000);
    pack_field(stat, "bytes", bytes);
    pack_field(stat, "operations", operations);
}

static void tell(struct fixture *fixture, uint64_t now_ms, const uint64_t bytes[2],
                 const uint64_t operations[2])
{
    struct address address = address_of(1);
    struct buffer stat = {0};
    pack_map(&stat, 1);
    pack_text(&stat, "shards");
    pack_array(&stat, 2);
    for (uint32_t i = 0; i < 2; i++) {
        pack_shard(&stat, &map_of(fixture)->entries[i], bytes[i], operations[i]);
    }
    assert_true(cluster_on_stat(fixture->cluster, &address, now_ms, buffer_bytes(&stat)));
    buffer_fini(&stat);
}

static void count(struct fixture *fixture, uint64_t a_bytes, uint64_t b_bytes)
{
    const uint64_t bytes[2] = {a_bytes, b_bytes};
    const uint64_t none[2] = {0};
    tell(fixture, 1000, bytes, none);
}

static void change(struct fixture *fixture, uint8_t server, uint64_t capacity, bool is_draining)
{
    struct plan plan;
    struct map_server added = {.address = address_of(server), .incarnation = 1};
    memset(added.id, server, ID_LEN);
    plan_begin(&plan, cluster_ledger(fixture->cluster));
    plan_set_server(&plan, &added);
    for (uint32_t i = 0; i < plan.next.map.server_count; i++) {
        struct map_server *known = &plan.next.map.servers[i];
        if (memcmp(known->id, added.id, ID_LEN) == 0) {
            known->capacity = capacity;
            known->is_draining = is_draining;
            plan_touch_map(&plan);
        }
    }
    cluster_adopt(fixture->cluster, &plan);
    plan_fini(&plan);
}

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    static const uint8_t ids[2][ID_LEN] = {{100}, {101}};
    struct ledger ledger;
    struct map_error error;
    assert_non_null(fixture);
    assert_true(ledger_found(bytes_text(config), ids[0], ids[1], &ledger, &error));
    fixture->cluster = cluster_new(&ledger);
    greet(fixture, 1);
    settle(fixture);
    struct address address = address_of(1);
    for (uint32_t i = 0; i < 2; i++) {
        const struct map_entry *entry = &map_of(fixture)->entries[i];
        cluster_on_opened(fixture->cluster, &address, bytes_text(entry->name), entry->epoch);
    }
    settle(fixture);
    change(fixture, 2, 0, false);
    change(fixture, 3, 0, false);
    greet(fixture, 2);
    greet(fixture, 3);
    settle(fixture);
    *state = fixture;
    return 0;
}

static int fini(void **state)
{
    struct fixture *fixture = *state;
    cluster_free(fixture->cluster);
    free(fixture);
    return 0;
}

static const struct rebalance_wish by_bytes = {.by = BALANCE_BYTES, .who = REBALANCE_WHO};

static struct rebalance made(struct fixture *fixture)
{
    struct rebalance rebalance = {0};
    text_clear(&fixture->why);
    assert_int_equal(rebalance_make(fixture->cluster, &by_bytes, &rebalance, &fixture->why),
                     STATUS_OK);
    return rebalance;
}

static enum status refused(struct fixture *fixture, const struct rebalance_wish *wish)
{
    struct rebalance rebalance = {0};
    return rebalance_make(fixture->cluster, wish, &rebalance, &fixture->why);
}

/* Queues what is planned, durably. Returns how many moves. */
static uint32_t run(struct fixture *fixture)
{
    struct plan plan;
    struct rebalance rebalance = made(fixture);
    plan_begin(&plan, cluster_ledger(fixture->cluster));
    uint32_t queued = rebalance_queue(&rebalance, &plan, 5000);
    rebalance_fini(&rebalance);
    cluster_adopt(fixture->cluster, &plan);
    plan_fini(&plan);
    return queued;
}

/* --- planning --- */

static void two_new_servers_get_a_third_each(void **state)
{
    struct fixture *fixture = *state;
    count(fixture, 900 * MIB, 900 * MIB);
    struct rebalance rebalance = made(fixture);
    const struct balance_plan *plan = &rebalance.plan;
    assert_true(plan->bytes > 1140 * MIB && plan->bytes <= 1200 * MIB);
    assert_true((double)plan->bytes <= plan->least * 1.05);
    assert_int_equal(rebalance.bytes_per_s, REBALANCE_BYTES_PER_S);
    assert_int_equal(rebalance.seconds, (plan->bytes + 49999999) / 50000000);
    rebalance_fini(&rebalance);
}

static void nothing_is_planned_before_all_is_counted(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(refused(fixture, &by_bytes), STATUS_TRY_LATER);
    assert_non_null(strstr(fixture->why.chars, "shard a"));
}

static void lose_server(struct fixture *fixture, uint8_t server)
{
    struct address address = address_of(server);
    cluster_on_down(fixture->cluster, &address, "gone");
}

static void nothing_is_planned_while_a_server_that_owns_something_is_away(void **state)
{
    struct fixture *fixture = *state;
    count(fixture, 900 * MIB, 900 * MIB);
    lose_server(fixture, 1);
    assert_int_equal(refused(fixture, &by_bytes), STATUS_TRY_LATER);
    assert_non_null(strstr(fixture->why.chars, "127.0.0.1:1"));
}

/* It was refused: an empty server that had gone for good had to be removed first. */
static void a_server_that_is_away_and_owns_nothing_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    struct buffer packed = {0};
    struct buffer json = {0};
    count(fixture, 900 * MIB, 900 * MIB);
    lose_server(fixture, 3);
    struct rebalance rebalance = made(fixture);
    assert_int_equal(rebalance.plan.move_count, 1);
    assert_int_equal(rebalance.plan.moves[0].target, 1);
    assert_true(rebalance.plan.levels[2].share < 1 && rebalance.plan.levels[2].after < 1);
    rebalance_pack(&rebalance, map_of(fixture), 0, 0, &packed);
    assert_true(json_print(buffer_bytes(&packed), &json));
    buffer_append(&json, "", 1);
    assert_non_null(
        strstr((const char *)json.data,
               "\"draining\":false,\"away\":true,\"before\":0,\"share\":0,\"after\":0}"));
    buffer_fini(&packed);
    buffer_fini(&json);
    rebalance_fini(&rebalance);
}

static void one_that_is_away_and_to_which_something_moves_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    count(fixture, 900 * MIB, 900 * MIB);
    assert_int_equal(run(fixture), 2);
    lose_server(fixture, 3);
    assert_int_equal(refused(fixture, &by_bytes), STATUS_TRY_LATER);
    assert_non_null(strstr(fixture->why.chars, "127.0.0.1:3"));
}

static void a_plan_is_told_with_shards_and_addresses(void **state)
{
    struct fixture *fixture = *state;
    struct buffer packed = {0};
    struct buffer json = {0};
    change(fixture, 3, 0, true);
    count(fixture, 900 * MIB, 900 * MIB);
    struct rebalance rebalance = made(fixture);
    rebalance_pack(&rebalance, map_of(fixture), 7, 1, &packed);
    assert_true(json_print(buffer_bytes(&packed), &json));
    buffer_append(&json, "", 1);
    const char *text = (const char *)json.data;
    assert_non_null(strstr(text, "{\"by\":\"bytes\",\"bytes\":9"));
    assert_non_null(strstr(text, "\"first\":7,\"queued\":1,\"servers\":[{\"id\":"));
    assert_non_null(
        strstr(text, "\"draining\":true,\"away\":false,\"before\":0,\"share\":0,\"after\":0}"));
    assert_non_null(strstr(text, "\"from\":\"127.0.0.1:1\",\"to\":\"127.0.0.1:2\",\"bytes\":"));
    buffer_fini(&packed);
    buffer_fini(&json);
    rebalance_fini(&rebalance);
}

static void load_is_what_passed_between_two_looks(void **state)
{
    struct fixture *fixture = *state;
    static const struct rebalance_wish by_load = {.by = BALANCE_LOAD, .who = REBALANCE_WHO};
    static const uint64_t bytes[2] = {900 * MIB, 900 * MIB};
    static const uint64_t first[2] = {5000000, 0}, second[2] = {5005000, 45000}, anew[2] = {0};
    struct rebalance rebalance = {0};
    tell(fixture, 1000, bytes, first);
    assert_int_equal(refused(fixture, &by_load), STATUS_TRY_LATER);
    assert_non_null(strstr(fixture->why.chars, "how much it is used"));
    tell(fixture, 1500, bytes, second); /* too soon to be a rate */
    assert_int_equal(refused(fixture, &by_load), STATUS_TRY_LATER);
    tell(fixture, 6000, bytes, second);
    tell(fixture, 11000, bytes, anew); /* started again: what was known stays */
    assert_int_equal(rebalance_make(fixture->cluster, &by_load, &rebalance, &fixture->why),
                     STATUS_OK);
    assert_int_equal(rebalance.plan.levels[0].before, 1000 + 9000);
    /* Two thirds of it go, all of that out of b, which has most. */
    assert_true(rebalance.plan.weight > 6300 && rebalance.plan.weight < 6700);
    for (uint32_t i = 0; i < rebalance.plan.move_count; i++) {
        assert_true(rebalance.plan.moves[i].start >= BOUND_END / 2);
    }
    rebalance_fini(&rebalance);
}

/* --- the task --- */

static void what_is_queued_is_in_the_ledger_and_counts_as_moved(void **state)
{
    struct fixture *fixture = *state;
    struct plan plan;
    count(fixture, 900 * MIB, 900 * MIB);
    assert_int_equal(run(fixture), 2);
    const struct moves *moves = &cluster_ledger(fixture->cluster)->moves;
    assert_int_equal(moves->count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(moves->items[i].number, i + 1);
        assert_int_equal(moves->items[i].course, COURSE_WAITING);
        assert_int_equal(moves->items[i].asked_ms, 5000);
        assert_int_equal(moves->items[i].source[0], 1);
        assert_string_equal(moves->items[i].who, REBALANCE_WHO);
    }
    assert_int_equal(run(fixture), 0);
    assert_false(rebalance_next(fixture->cluster, true, 6000, &plan));
}

static void stopping_calls_off_what_waits_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    struct plan plan;
    count(fixture, 900 * MIB, 900 * MIB);
    assert_int_equal(run(fixture), 2);
    plan_begin(&plan, cluster_ledger(fixture->cluster));
    plan.next.moves.items[0].course = COURSE_GOING;
    assert_int_equal(rebalance_stop(&plan, 7000), 1);
    assert_true(plan.is_noted);
    assert_int_equal(plan.next.moves.count, 1);
    assert_int_equal(plan.next.moves.items[0].number, 1);
    assert_int_equal(plan.next.recent.move_count, 1);
    assert_int_equal(plan.next.recent.moves[0].move.course, COURSE_ABORTED);
    plan_fini(&plan);
}

static void a_draining_server_is_emptied_unasked(void **state)
{
    struct fixture *fixture = *state;
    struct plan plan;
    count(fixture, 900 * MIB, 900 * MIB);
    assert_false(rebalance_next(fixture->cluster, false, 6000, &plan));
    change(fixture, 1, 0, true);
    count(fixture, 900 * MIB, 900 * MIB);
    assert_true(rebalance_next(fixture->cluster, false, 6000, &plan));
    assert_int_equal(plan.next.moves.count, 2);
    assert_string_equal(plan.next.moves.items[0].who, REBALANCE_WHO_DRAIN);
    cluster_adopt(fixture->cluster, &plan);
    plan_fini(&plan);
    assert_false(rebalance_next(fixture->cluster, false, 7000, &plan));
}

static void what_is_off_is_brought_back_unasked_only_if_told_so(void **state)
{
    struct fixture *fixture = *state;
    struct plan plan;
    count(fixture, 900 * MIB, 900 * MIB);
    assert_false(rebalance_next(fixture->cluster, false, 6000, &plan));
    assert_true(rebalance_next(fixture->cluster, true, 6000, &plan));
    assert_string_equal(plan.next.moves.items[0].who, REBALANCE_WHO);
    plan_fini(&plan);
}

/* --- options --- */

static void the_measure_is_bytes_or_load(void **state)
{
    static const struct {
        const char *json;
        bool is_fine;
        enum balance_by by;
    } cases[] = {
        {"{}", true, BALANCE_BYTES},
        {"{\"by\":\"bytes\"}", true, BALANCE_BYTES},
        {"{\"by\":\"load\"}", true, BALANCE_LOAD},
        {"{\"by\":\"colour\"}", false, BALANCE_BYTES},
        {"{\"of\":\"load\"}", false, BALANCE_BYTES},
        {"{\"by\":1}", false, BALANCE_BYTES},
        {"[]", false, BALANCE_BYTES},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct buffer params = {0};
        struct json_error error;
        enum balance_by by;
        assert_true(json_parse(bytes_text(cases[i].json), &params, &error));
        struct unpack in = unpack_of(buffer_bytes(&params));
        assert_int_equal(rebalance_unpack_options(&in, 1, &by), cases[i].is_fine);
        if (cases[i].is_fine) {
            assert_int_equal(by, cases[i].by);
        }
        buffer_fini(&params);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, fini)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_new_servers_get_a_third_each),
        TEST(nothing_is_planned_before_all_is_counted),
        TEST(nothing_is_planned_while_a_server_that_owns_something_is_away),
        TEST(a_server_that_is_away_and_owns_nothing_is_left_out),
        TEST(one_that_is_away_and_to_which_something_moves_is_waited_for),
        TEST(load_is_what_passed_between_two_looks),
        TEST(a_plan_is_told_with_shards_and_addresses),
        TEST(what_is_queued_is_in_the_ledger_and_counts_as_moved),
        TEST(stopping_calls_off_what_waits_and_nothing_else),
        TEST(a_draining_server_is_emptied_unasked),
        TEST(what_is_off_is_brought_back_unasked_only_if_told_so),
        TEST(the_measure_is_bytes_or_load),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
