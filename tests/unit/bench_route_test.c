/* SPDX-License-Identifier: MIT */
#include "cli/bench_route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "cli/bench_mover.h"
#include "cli/bench_redis_cluster.h"

#define HALF (BENCH_PLACE_END / 2)

static struct bench_route route;

static int setup(void **state)
{
    (void)state;
    route = (struct bench_route){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bench_route_fini(&route);
    return 0;
}

static void set(uint64_t start, uint64_t end, uint32_t server, uint64_t epoch)
{
    assert_true(bench_route_set(&route, start, end, server, epoch));
}

static void assert_at(uint64_t place, uint32_t server)
{
    assert_int_equal(bench_route_find(&route, (uint32_t)place), server);
}

static void one_that_has_heard_nothing_asks_server_0(void **state)
{
    (void)state;
    assert_at(0, 0);
    assert_at(BENCH_PLACE_END - 1, 0);
    assert_int_equal(bench_route_end(&route, 0), BENCH_PLACE_END);
}

static void a_redirect_changes_its_places_and_no_others(void **state)
{
    (void)state;
    set(0, HALF, 0, 1);
    set(HALF, BENCH_PLACE_END, 1, 1);
    set(100, 200, 2, 2);
    assert_at(99, 0);
    assert_at(100, 2);
    assert_at(199, 2);
    assert_at(200, 0);
    assert_at(HALF - 1, 0);
    assert_at(HALF, 1);
    assert_at(BENCH_PLACE_END - 1, 1);
    assert_int_equal(bench_route_end(&route, 100), 200);
    assert_int_equal(route.piece_count, 4);
}

static void an_older_redirect_that_comes_late_changes_nothing(void **state)
{
    (void)state;
    set(0, BENCH_PLACE_END, 0, 5);
    set(0, HALF, 1, 7);
    set(0, HALF, 2, 6);
    assert_at(0, 1);
    set(0, BENCH_PLACE_END, 2, 6);
    assert_at(0, 1);
    assert_at(HALF, 2);
}

static void without_epochs_the_last_redirect_holds(void **state)
{
    (void)state;
    set(0, BENCH_PLACE_END, 0, 0);
    set(0, 100, 1, 0);
    set(50, 150, 2, 0);
    set(0, 100, 0, 0);
    assert_at(0, 0);
    assert_at(99, 0);
    assert_at(100, 2);
    assert_at(150, 0);
}

static void neighbours_that_have_become_equal_are_one_piece(void **state)
{
    (void)state;
    set(0, BENCH_PLACE_END, 0, 0);
    for (uint64_t slot = 0; slot < 1000; slot++) {
        set(slot << 18, (slot + 1) << 18, 1, 0);
    }
    assert_int_equal(route.piece_count, 2);
    assert_int_equal(bench_route_end(&route, 0), UINT64_C(1000) << 18);
}

static void masters_and_their_slots_are_taken_and_replicas_are_not(void **state)
{
    static const char nodes[] =
        "1ab6 127.0.0.1:7413@17413,host master - 0 1795278329434 3 connected 10923-16383\n"
        "f6e2 127.0.0.1:7411@17411 myself,master - 0 0 1 connected 0-5459 5460 [5460->-1ab6]\n"
        "cb22 127.0.0.1:7412@17412 master - 0 1795278328425 2 connected 5461-10922\n"
        "dd22 127.0.0.1:7414@17414 slave cb22 0 1795278328425 2 connected\n"
        "ee22 127.0.0.1:7415@17415 master - 0 1795278328425 2 connected\n";
    (void)state;
    assert_true(bench_redis_take_nodes(bytes_text(nodes), &route));
    assert_int_equal(route.server_count, 4);
    assert_at(0, 1);
    assert_at(UINT64_C(5460) << 18, 1);
    assert_at(UINT64_C(5461) << 18, 2);
    assert_at(BENCH_PLACE_END - 1, 0);
}

static void what_is_no_list_of_nodes_is_refused(void **state)
{
    (void)state;
    assert_false(bench_redis_take_nodes(bytes_text("hello"), &route));
    assert_false(bench_redis_take_nodes(
        bytes_text("1ab6 127.0.0.1:7413@17413 master - 0 0 3 connected 10923-16384"), &route));
}

static void a_range_goes_there_and_back_in_its_parts(void **state)
{
    struct bench_mover_order order = {.start = 100, .end = 200, .rounds = 2, .parts = 3};
    struct bench_mover_step step;
    (void)state;
    assert_true(address_parse(bytes_text("a:1"), &order.source));
    assert_true(address_parse(bytes_text("b:2"), &order.target));
    assert_true(bench_mover_step_of(&order, 0, &step));
    assert_int_equal(step.start, 100);
    assert_int_equal(step.end, 133);
    assert_true(address_equal(&step.target, &order.target));
    assert_true(bench_mover_step_of(&order, 2, &step));
    assert_int_equal(step.start, 166);
    assert_int_equal(step.end, 200);
    assert_true(bench_mover_step_of(&order, 3, &step));
    assert_int_equal(step.start, 100);
    assert_true(address_equal(&step.source, &order.target));
    assert_true(address_equal(&step.target, &order.source));
    assert_false(bench_mover_step_of(&order, 6, &step));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_has_heard_nothing_asks_server_0, setup, teardown),
        cmocka_unit_test_setup_teardown(a_redirect_changes_its_places_and_no_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_older_redirect_that_comes_late_changes_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_epochs_the_last_redirect_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(neighbours_that_have_become_equal_are_one_piece, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(masters_and_their_slots_are_taken_and_replicas_are_not,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_list_of_nodes_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_range_goes_there_and_back_in_its_parts, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
