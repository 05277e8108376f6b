/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/listener.h"
#include "tests/unit/plain_socket.h"

#define CONN_MAX 8

struct world {
    struct loop *loop;
    struct listener *listener;
    struct timer *guard;
    struct conn *conns[CONN_MAX];
    unsigned accept_count;
    unsigned close_count;
    unsigned turn_count;
    unsigned stop_at_accept_count;
    unsigned stop_at_turn_count;
    unsigned stop_at_close_count;
};

static struct world world;

static size_t on_input(void *context, struct bytes input)
{
    (void)context;
    return input.len;
}

static void on_close(void *context, const char *reason)
{
    (void)context;
    (void)reason;
    world.close_count++;
}

static const struct conn_handler handler = {NULL, on_input, on_close};

static void on_accept(void *context, struct conn *conn)
{
    (void)context;
    world.conns[world.accept_count++] = conn;
    conn_set_handler(conn, &handler, NULL);
}

static void on_turn_end(void *context)
{
    (void)context;
    world.turn_count++;
    if (world.accept_count == world.stop_at_accept_count ||
        world.turn_count == world.stop_at_turn_count ||
        world.close_count == world.stop_at_close_count) {
        loop_stop(world.loop);
    }
}

static void on_guard(void *context)
{
    loop_stop(context);
}

static void run_until_accepted(unsigned count)
{
    world.stop_at_accept_count = count;
    loop_run(world.loop);
    world.stop_at_accept_count = UINT32_MAX;
    assert_int_equal(world.accept_count, count);
}

static struct listener *open_at(const char *host, uint16_t port, uint32_t connection_max,
                                char error[200])
{
    struct address address = {.port = port};
    (void)snprintf(address.host, sizeof(address.host), "%s", host);
    const struct listener_config config = {&address, connection_max, on_accept, NULL};
    return listener_open(world.loop, &config, error, 200);
}

static int set_up(void **state)
{
    (void)state;
    char error[200];
    world = (struct world){.stop_at_accept_count = UINT32_MAX,
                           .stop_at_turn_count = UINT32_MAX,
                           .stop_at_close_count = UINT32_MAX};
    world.loop = loop_new();
    world.guard = timer_new(world.loop, on_guard, world.loop);
    timer_set(world.guard, 20000);
    loop_on_turn_end(world.loop, on_turn_end, NULL);
    world.listener = open_at("127.0.0.1", 0, 2, error);
    assert_non_null(world.listener);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = world.close_count; i < world.accept_count; i++) {
        conn_close(world.conns[i], "the test is over");
    }
    listener_close(world.listener);
    timer_set(world.guard, 0);
    loop_run(world.loop);
    timer_free(world.guard);
    loop_free(world.loop);
    return 0;
}

static int connect_plainly(void)
{
    return plain_socket_connect(listener_address(world.listener));
}

static void port_0_picks_a_free_one_and_tells_it(void **state)
{
    (void)state;
    assert_string_equal(listener_address(world.listener)->host, "127.0.0.1");
    assert_int_not_equal(listener_address(world.listener)->port, 0);
}

static void a_port_in_use_is_named(void **state)
{
    (void)state;
    char error[200];
    char expected[200];
    uint16_t port = listener_address(world.listener)->port;
    assert_null(open_at("127.0.0.1", port, 2, error));
    (void)snprintf(expected, sizeof(expected), "127.0.0.1:%u: Address already in use",
                   (unsigned)port);
    assert_string_equal(error, expected);
}

static void a_host_that_is_not_ours_or_not_known_is_named(void **state)
{
    (void)state;
    char error[200];
    assert_null(open_at("192.0.2.1", 5050, 2, error));
    assert_string_equal(error, "192.0.2.1:5050: Cannot assign requested address");
    assert_null(open_at("no host at all", 5050, 2, error));
    assert_int_equal(strncmp(error, "no host at all:5050: ", 21), 0);
}

static void names_are_looked_up(void **state)
{
    (void)state;
    char error[200];
    struct listener *listener = open_at("localhost", 0, 2, error);
    if (listener) {
        assert_true(address_is_loopback(listener_address(listener)));
    } else {
        /* A bare system may have no /etc/hosts. */
        assert_int_equal(strncmp(error, "localhost:0: ", 13), 0);
    }
    listener_close(listener);
    listener_close(NULL);
}

static void connections_over_the_limit_are_closed_at_once(void **state)
{
    (void)state;
    int first = connect_plainly();
    int second = connect_plainly();
    int third = connect_plainly();
    run_until_accepted(2);
    char byte;
    assert_int_equal(recv(third, &byte, 1, 0), 0);
    assert_int_equal(recv(first, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(listener_connection_count(world.listener), 2);

    close(first);
    world.stop_at_close_count = 1;
    loop_run(world.loop);
    assert_int_equal(listener_connection_count(world.listener), 1);
    int fourth = connect_plainly();
    run_until_accepted(3);
    close(second);
    close(third);
    close(fourth);
    world.stop_at_close_count = 3;
    loop_run(world.loop);
}

static void its_connections_outlive_a_listener(void **state)
{
    (void)state;
    int client = connect_plainly();
    run_until_accepted(1);
    listener_close(world.listener);
    world.listener = NULL;
    buffer_append(conn_output(world.conns[0]), "hi", 2);
    world.stop_at_turn_count = world.turn_count + 1;
    loop_run(world.loop);
    char data[2];
    assert_int_equal(recv(client, data, 2, 0), 2);
    close(client);
}

static void without_descriptors_it_waits_a_moment_and_does_not_spin(void **state)
{
    (void)state;
    int client = connect_plainly();
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest_free = dup(client);
    close(lowest_free);
    struct rlimit none_left = {(rlim_t)lowest_free, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none_left), 0);

    timer_set(world.guard, 50);
    loop_run(world.loop);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(world.accept_count, 0);
    assert_true(world.turn_count < 10);

    timer_set(world.guard, 20000);
    run_until_accepted(1);
    close(client);
}

static void the_limit_of_open_files_is_raised_or_the_hard_limit_named(void **state)
{
    (void)state;
    char error[200] = "";
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit low = {256, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_true(listener_raise_file_limit(300, error, sizeof(error)));
    struct rlimit raised;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &raised), 0);
    assert_true(raised.rlim_cur > 300);
    assert_true(listener_raise_file_limit(10, error, sizeof(error)));
    struct rlimit still;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &still), 0);
    assert_int_equal(still.rlim_cur, raised.rlim_cur);
    assert_false(listener_raise_file_limit(UINT32_MAX, error, sizeof(error)));
    assert_non_null(strstr(error, "4294967295 connections need "));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        TEST(port_0_picks_a_free_one_and_tells_it),
        TEST(a_port_in_use_is_named),
        TEST(a_host_that_is_not_ours_or_not_known_is_named),
        TEST(names_are_looked_up),
        TEST(connections_over_the_limit_are_closed_at_once),
        TEST(its_connections_outlive_a_listener),
        TEST(without_descriptors_it_waits_a_moment_and_does_not_spin),
        TEST(the_limit_of_open_files_is_raised_or_the_hard_limit_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
