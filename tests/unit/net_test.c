/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/net.h"

#define FAR_US UINT64_C(20000000)

/* A plain listening socket and what it accepted, at the other end of `socket`. */
struct world {
    int listening;
    int other;
    struct address address;
    struct net_socket *socket;
};

static struct world world;

static int set_up(void **state)
{
    (void)state;
    struct sockaddr_in own = {.sin_family = AF_INET};
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t own_len = sizeof(own);
    world = (struct world){.address = {.host = "127.0.0.1"}, .other = -1};
    world.listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(world.listening >= 0);
    assert_int_equal(bind(world.listening, (const struct sockaddr *)&own, own_len), 0);
    assert_int_equal(listen(world.listening, 100), 0);
    assert_int_equal(getsockname(world.listening, (struct sockaddr *)&own, &own_len), 0);
    world.address.port = ntohs(own.sin_port);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    net_close(world.socket);
    if (world.other >= 0) {
        close(world.other);
    }
    if (world.listening >= 0) {
        close(world.listening);
    }
    return 0;
}

static void connect_both(void)
{
    world.socket = net_connect(&world.address);
    assert_non_null(world.socket);
    world.other = accept4(world.listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(world.other >= 0);
}

static bool wait_for(struct net_socket *socket, bool want_write, uint64_t timeout_us)
{
    struct net_wait wait = {.socket = socket, .want_write = want_write};
    bool is_any = net_wait(&wait, 1, clock_mono_us() + timeout_us);
    assert_int_equal(is_any, wait.is_ready);
    return is_any;
}

static void bytes_go_both_ways(void **state)
{
    (void)state;
    char data[16];
    size_t len = 0;
    connect_both();
    assert_true(wait_for(world.socket, true, FAR_US));
    assert_int_equal(net_write(world.socket, "hello", 5, &len), NET_OK);
    assert_int_equal(len, 5);
    assert_int_equal(recv(world.other, data, sizeof(data), 0), 5);
    assert_int_equal(net_read(world.socket, data, sizeof(data), &len), NET_AGAIN);
    assert_int_equal(send(world.other, "world!", 6, MSG_NOSIGNAL), 6);
    assert_true(wait_for(world.socket, false, FAR_US));
    assert_int_equal(net_read(world.socket, data, sizeof(data), &len), NET_OK);
    assert_int_equal(len, 6);
    assert_memory_equal(data, "world!", 6);
}

static void a_full_socket_takes_a_part_and_then_nothing(void **state)
{
    (void)state;
    static char data[1u << 20];
    enum net_result result = NET_OK;
    size_t sent = 0;
    connect_both();
    assert_true(wait_for(world.socket, true, FAR_US));
    for (unsigned i = 0; i < 1000 && result == NET_OK; i++) {
        size_t len = 0;
        result = net_write(world.socket, data, sizeof(data), &len);
        sent += len;
    }
    assert_int_equal(result, NET_AGAIN);
    assert_false(wait_for(world.socket, true, 1000));
    for (size_t received = 0; received < sent;) {
        ssize_t len = recv(world.other, data, sizeof(data), 0);
        assert_true(len > 0);
        received += (size_t)len;
    }
    assert_true(wait_for(world.socket, true, FAR_US));
}

static void a_refused_connection_says_so(void **state)
{
    (void)state;
    char byte;
    size_t len = 0;
    close(world.listening);
    world.listening = -1;
    world.socket = net_connect(&world.address);
    assert_non_null(world.socket);
    assert_true(wait_for(world.socket, true, FAR_US));
    assert_int_equal(net_read(world.socket, &byte, 1, &len), NET_CLOSED);
    assert_string_equal(net_error(world.socket), "Connection refused");
    assert_int_equal(net_write(world.socket, "a", 1, &len), NET_CLOSED);
    assert_true(net_is_stale(world.socket));
    assert_true(wait_for(world.socket, false, FAR_US)); /* ready to say so again */
}

/* A bare system may have no /etc/hosts. */
static bool knows_localhost(void)
{
    struct addrinfo *found = NULL;
    bool knows = getaddrinfo("localhost", NULL, NULL, &found) == 0;
    if (knows) {
        freeaddrinfo(found);
    }
    return knows;
}

static void a_name_is_tried_at_each_of_its_addresses(void **state)
{
    (void)state;
    size_t len = 0;
    /* Where it is ::1 first, nobody listens there. */
    strcpy(world.address.host, "localhost");
    world.socket = net_connect(&world.address);
    enum net_result result = NET_AGAIN;
    while (result == NET_AGAIN) {
        assert_true(wait_for(world.socket, true, FAR_US));
        result = net_write(world.socket, "a", 1, &len);
    }
    assert_int_equal(result, knows_localhost() ? NET_OK : NET_CLOSED);
}

static void a_host_that_cannot_be_found_says_so(void **state)
{
    (void)state;
    size_t len = 0;
    strcpy(world.address.host, "no host at all");
    world.socket = net_connect(&world.address);
    assert_int_equal(net_write(world.socket, "a", 1, &len), NET_CLOSED);
    assert_true(strlen(net_error(world.socket)) > 0);
}

static void the_end_of_the_other_side_is_the_end(void **state)
{
    (void)state;
    char data[16];
    size_t len = 0;
    connect_both();
    assert_int_equal(send(world.other, "last", 4, MSG_NOSIGNAL), 4);
    shutdown(world.other, SHUT_WR);
    assert_true(wait_for(world.socket, false, FAR_US));
    assert_int_equal(net_read(world.socket, data, sizeof(data), &len), NET_OK);
    assert_int_equal(len, 4);
    assert_true(wait_for(world.socket, false, FAR_US));
    assert_int_equal(net_read(world.socket, data, sizeof(data), &len), NET_CLOSED);
    assert_string_equal(net_error(world.socket), "closed by the other side");
}

static void waiting_ends_at_the_deadline_and_not_before(void **state)
{
    (void)state;
    char byte;
    size_t len = 0;
    connect_both();
    assert_true(wait_for(world.socket, true, FAR_US));
    assert_int_equal(net_read(world.socket, &byte, 1, &len), NET_AGAIN); /* connected */
    uint64_t deadline_us = clock_mono_us() + 3000;
    struct net_wait wait = {.socket = world.socket};
    assert_false(net_wait(&wait, 1, deadline_us));
    assert_true(clock_mono_us() >= deadline_us);
    assert_false(net_wait(&wait, 1, 0)); /* long past */
    assert_int_equal(send(world.other, "a", 1, MSG_NOSIGNAL), 1);
    assert_true(net_wait(&wait, 1, 0));
}

static void of_many_sockets_those_that_are_ready_are_marked(void **state)
{
    (void)state;
    enum { COUNT = 80, CHOSEN = 71 };
    struct net_wait waits[COUNT] = {0};
    int others[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        waits[i].socket = net_connect(&world.address);
        assert_true(wait_for(waits[i].socket, true, FAR_US));
        size_t len = 0;
        assert_int_equal(net_write(waits[i].socket, "a", 1, &len), NET_OK);
        others[i] = accept4(world.listening, NULL, NULL, SOCK_CLOEXEC);
    }
    assert_int_equal(send(others[CHOSEN], "a", 1, MSG_NOSIGNAL), 1);
    assert_true(net_wait(waits, COUNT, clock_mono_us() + FAR_US));
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(waits[i].is_ready, i == CHOSEN);
        net_close(waits[i].socket);
        close(others[i]);
    }
}

static void a_socket_is_stale_when_closed_or_spoken_to(void **state)
{
    (void)state;
    connect_both();
    assert_true(wait_for(world.socket, true, FAR_US));
    assert_false(net_is_stale(world.socket));
    assert_int_equal(send(world.other, "unasked", 7, MSG_NOSIGNAL), 7);
    assert_true(wait_for(world.socket, false, FAR_US));
    assert_true(net_is_stale(world.socket));
    net_close(world.socket);
    close(world.other);

    connect_both();
    assert_true(wait_for(world.socket, true, FAR_US));
    assert_false(net_is_stale(world.socket));
    close(world.other);
    world.other = -1;
    assert_true(wait_for(world.socket, false, FAR_US));
    assert_true(net_is_stale(world.socket));
    net_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        TEST(bytes_go_both_ways),
        TEST(a_full_socket_takes_a_part_and_then_nothing),
        TEST(a_refused_connection_says_so),
        TEST(a_name_is_tried_at_each_of_its_addresses),
        TEST(a_host_that_cannot_be_found_says_so),
        TEST(the_end_of_the_other_side_is_the_end),
        TEST(waiting_ends_at_the_deadline_and_not_before),
        TEST(of_many_sockets_those_that_are_ready_are_marked),
        TEST(a_socket_is_stale_when_closed_or_spoken_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
