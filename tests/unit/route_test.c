/* SPDX-License-Identifier: MIT */
#include "libclient/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "proto/point.h"

#define HALF (BOUND_END / 2)

static struct address address_of(uint16_t port)
{
    struct address address = {.host = "127.0.0.1", .port = port};
    return address;
}

static struct map_entry entry_of(uint64_t start, uint64_t end, uint64_t epoch, uint16_t port)
{
    struct map_entry entry = {
        .start = start, .end = end, .epoch = epoch, .size = 1 << 20, .address = address_of(port)};
    (void)snprintf(entry.name, sizeof(entry.name), "shard%llu", (unsigned long long)start);
    memset(entry.server, port & 0xff, ID_LEN);
    return entry;
}

/* Two halves, on the ports 1 and 2, at epoch 1. */
static struct route *route_of_halves(void **state)
{
    (void)state;
    struct address given[] = {address_of(90), address_of(91)};
    struct route *route = route_new(given, 2);
    assert_non_null(route);
    struct map_entry entries[] = {entry_of(0, HALF, 1, 1), entry_of(HALF, BOUND_END, 1, 2)};
    struct map_server servers[] = {{.address = address_of(1)}, {.address = address_of(2)}};
    struct map map = {.cluster = {0xcc},
                      .revision = 1,
                      .entries = entries,
                      .entry_count = 2,
                      .servers = servers,
                      .server_count = 2};
    assert_int_equal(route_take_map(route, &map), ROUTE_TOOK);
    return route;
}

static uint16_t port_of(struct route *route, uint64_t bound)
{
    struct owner owner;
    return route_find(route, point_of_bound(bound), &owner) ? owner.address.port : 0;
}

static void nobody_owns_a_point_before_the_first_map(void **state)
{
    (void)state;
    struct address given = address_of(90);
    struct route *route = route_new(&given, 1);
    uint8_t cluster[ID_LEN];
    assert_int_equal(port_of(route, 0), 0);
    route_cluster(route, cluster);
    assert_true(id_bytes_is_zero(cluster));
    route_free(route);
}

static void a_redirect_patches_its_points_alone(void **state)
{
    struct route *route = route_of_halves(state);
    struct map_entry entry = entry_of(HALF, HALF + HALF / 2, 5, 3);
    assert_int_equal(route_take_entry(route, &entry), MAP_TOOK);
    assert_int_equal(port_of(route, 0), 1);
    assert_int_equal(port_of(route, HALF), 3);
    assert_int_equal(port_of(route, HALF + HALF / 2), 2);
    struct owner owner;
    assert_true(route_find(route, point_of_bound(HALF), &owner));
    assert_int_equal(owner.epoch, 5);
    route_free(route);
}

static void the_map_never_goes_back_to_an_older_epoch(void **state)
{
    struct route *route = route_of_halves(state);
    struct map_entry newer = entry_of(0, HALF, 5, 3);
    struct map_entry older = entry_of(0, HALF, 4, 4);
    assert_int_equal(route_take_entry(route, &newer), MAP_TOOK);
    assert_int_equal(route_take_entry(route, &older), MAP_TOOK_NOTHING);
    assert_int_equal(port_of(route, 0), 3);
    route_free(route);
}

static void a_map_of_another_cluster_is_not_taken(void **state)
{
    struct route *route = route_of_halves(state);
    struct map_entry entry = entry_of(0, BOUND_END, 9, 7);
    struct map map = {.cluster = {0xdd}, .revision = 9, .entries = &entry, .entry_count = 1};
    assert_int_equal(route_take_map(route, &map), ROUTE_FOREIGN);
    assert_int_equal(port_of(route, 0), 1);
    route_free(route);
}

static void candidates_go_round_in_the_order_asked_for(void **state)
{
    struct route *route = route_of_halves(state);
    static const uint16_t given_first[] = {90, 91, 1, 2, 90, 91};
    static const uint16_t servers_first[] = {1, 2, 90, 91, 1, 2};
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(route_candidate(route, ROUTE_GIVEN_FIRST, i).port, given_first[i]);
        assert_int_equal(route_candidate(route, ROUTE_SERVERS_FIRST, i).port, servers_first[i]);
    }
    route_free(route);
}

static void one_fetches_at_a_time_and_not_all_the_time(void **state)
{
    struct route *route = route_of_halves(state);
    uint32_t first = 99;
    assert_true(route_begin_fetch(route, 0, &first));
    assert_int_equal(first, 0);
    assert_false(route_begin_fetch(route, ROUTE_FETCH_GAP_US * 10, &first));
    route_end_fetch(route);
    assert_false(route_begin_fetch(route, ROUTE_FETCH_GAP_US - 1, &first));
    assert_true(route_begin_fetch(route, ROUTE_FETCH_GAP_US, &first));
    assert_int_equal(first, 1);
    route_end_fetch(route);
    route_free(route);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_owns_a_point_before_the_first_map),
        cmocka_unit_test(a_redirect_patches_its_points_alone),
        cmocka_unit_test(the_map_never_goes_back_to_an_older_epoch),
        cmocka_unit_test(a_map_of_another_cluster_is_not_taken),
        cmocka_unit_test(candidates_go_round_in_the_order_asked_for),
        cmocka_unit_test(one_fetches_at_a_time_and_not_all_the_time),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
