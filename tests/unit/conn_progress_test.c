/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/conn.h"
#include "io/listener.h"

/*
 * What a connection does as time passes, on real sockets. Time stands still but for the poller's
 * waits, which take no time at all: this program has clock_gettime and epoll_wait of its own, and
 * libevent finds these first.
 */

#define MIB         ((size_t)1 << 20)
#define HOUR_MS     UINT64_C(3600000)
#define PROGRESS_US ((uint64_t)CONN_PROGRESS_MS * 1000)

/* Appends more than the kernel's buffers and CONN_OUTPUT_PAUSE take together. */
#define LARGE_LEN (20 * MIB)

static uint64_t virtual_us = 1000000;

#define VISIBLE __attribute__((visibility("default")))

VISIBLE int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    (void)clock_id;
    tp->tv_sec = (time_t)(virtual_us / 1000000);
    tp->tv_nsec = (long)(virtual_us % 1000000) * 1000;
    return 0;
}

VISIBLE int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
{
    int count = (int)syscall(SYS_epoll_pwait, epfd, events, maxevents, 0, NULL, (size_t)0);
    if (count == 0) {
        assert_true(timeout >= 0); /* else it would wait for ever */
        virtual_us += (uint64_t)timeout * 1000;
    }
    return count;
}

struct world {
    struct loop *loop;
    struct listener *listener;
    struct timer *timer; /* stops the loop */
    struct conn *server;
    int client;
    size_t wanted;    /* on_input consumes nothing while there is less */
    size_t reply_len; /* ... and has sent so many zeros */
    unsigned close_count;
    const char *reason;
    uint64_t closed_us;
};

static struct world world;

static void append_zeros(size_t len)
{
    struct buffer *output = conn_output(world.server);
    uint8_t *end = buffer_reserve(output, len);
    assert_non_null(end);
    memset(end, 0, len);
    output->len += len;
}

static size_t on_input(void *context, struct bytes input)
{
    (void)context;
    append_zeros(world.reply_len);
    return input.len < world.wanted ? 0 : input.len;
}

static void on_close(void *context, const char *reason)
{
    (void)context;
    world.close_count++;
    world.reason = reason;
    world.closed_us = virtual_us;
}

static const struct conn_handler handler = {NULL, on_input, on_close};

static void on_accept(void *context, struct conn *conn)
{
    (void)context;
    world.server = conn;
    conn_set_handler(conn, &handler, NULL);
}

static void stop(void *context)
{
    loop_stop(context);
}

static void pass_ms(uint64_t duration_ms)
{
    timer_set(world.timer, duration_ms);
    loop_run(world.loop);
}

static int connect_plainly(uint16_t port, int flags)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    assert_true(fd >= 0);
    int result = connect(fd, (const struct sockaddr *)&to, sizeof(to));
    assert_true(result == 0 || flags == SOCK_NONBLOCK);
    return fd;
}

static int set_up(void **state)
{
    (void)state;
    const struct address any_port = {"127.0.0.1", 0};
    char error[200];
    world = (struct world){.loop = loop_new()};
    world.timer = timer_new(world.loop, stop, world.loop);
    const struct listener_config config = {&any_port, 10, on_accept, NULL};
    world.listener = listener_open(world.loop, &config, error, 200);
    assert_non_null(world.listener);
    world.client = connect_plainly(listener_address(world.listener)->port, 0);
    pass_ms(1);
    assert_non_null(world.server);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (world.close_count == 0) {
        conn_close(world.server, "the test is over");
        pass_ms(1);
    }
    close(world.client);
    listener_close(world.listener);
    timer_free(world.timer);
    loop_free(world.loop);
    return 0;
}

static void send_len(size_t len)
{
    static const char data[CONN_PROGRESS_BYTES];
    assert_int_equal(send(world.client, data, len, MSG_NOSIGNAL), len);
}

static void expect_closed(uint64_t at_us, const char *reason)
{
    assert_int_equal(world.close_count, 1);
    assert_string_equal(world.reason, reason);
    assert_true(world.closed_us >= at_us);
    assert_true(world.closed_us < at_us + 10000);
}

static void an_idle_connection_stays(void **state)
{
    (void)state;
    send_len(10); /* whole messages */
    pass_ms(HOUR_MS);
    assert_int_equal(world.close_count, 0);
}

static void a_message_that_does_not_go_on_ends_the_connection(void **state)
{
    (void)state;
    world.wanted = 10;
    uint64_t begun_us = virtual_us;
    send_len(9);
    pass_ms(CONN_PROGRESS_MS - 10);
    assert_int_equal(world.close_count, 0);
    pass_ms(HOUR_MS);
    expect_closed(begun_us + PROGRESS_US, "stopped in the middle of a message");
}

static void a_message_that_trickles_ends_the_connection(void **state)
{
    (void)state;
    world.wanted = MIB;
    uint64_t begun_us = virtual_us;
    for (unsigned i = 0; i < 20 && world.close_count == 0; i++) {
        send_len(1000);
        pass_ms(1000);
    }
    expect_closed(begun_us + PROGRESS_US, "stopped in the middle of a message");
}

static void a_message_that_makes_progress_may_take_long(void **state)
{
    (void)state;
    world.wanted = MIB;
    for (unsigned i = 0; i < 15; i++) {
        send_len(CONN_PROGRESS_BYTES);
        pass_ms(CONN_PROGRESS_MS - 10);
        assert_int_equal(world.close_count, 0);
    }
    send_len(CONN_PROGRESS_BYTES); /* now it is whole */
    pass_ms(HOUR_MS);
    assert_int_equal(world.close_count, 0);
}

static void each_message_has_its_own_time(void **state)
{
    (void)state;
    world.wanted = 10;
    for (unsigned i = 0; i < 5; i++) {
        send_len(5);
        pass_ms(CONN_PROGRESS_MS - 10);
        send_len(5);
        pass_ms(10);
    }
    assert_int_equal(world.close_count, 0);
}

static void the_time_stands_while_input_is_stopped(void **state)
{
    (void)state;
    world.wanted = 10;
    world.reply_len = LARGE_LEN;
    send_len(9);
    pass_ms(HOUR_MS);
    assert_int_equal(world.close_count, 0);
}

static void a_connection_that_finishes_does_not_wait_for_a_reader_for_ever(void **state)
{
    (void)state;
    append_zeros(LARGE_LEN);
    pass_ms(1); /* the kernel's buffers are full */
    conn_finish(world.server, "finished");
    uint64_t begun_us = virtual_us;
    pass_ms(HOUR_MS);
    expect_closed(begun_us + PROGRESS_US, "does not read its replies");
}

static void a_finished_connection_lingers_for_a_while_only(void **state)
{
    (void)state;
    conn_finish(world.server, "finished");
    uint64_t begun_us = virtual_us;
    pass_ms(CONN_PROGRESS_MS - 10);
    expect_closed(begun_us, "finished");
    assert_int_equal(listener_connection_count(world.listener), 1);
    pass_ms(1000);
    assert_int_equal(listener_connection_count(world.listener), 0);
}

/* A port that answers no further connection: its queue is full, and nobody accepts. */
static void a_connection_that_nobody_takes_is_given_up(void **state)
{
    (void)state;
    struct sockaddr_in own = {.sin_family = AF_INET};
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t own_len = sizeof(own);
    int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(full, (const struct sockaddr *)&own, own_len), 0);
    assert_int_equal(listen(full, 0), 0);
    assert_int_equal(getsockname(full, (struct sockaddr *)&own, &own_len), 0);
    int waiting[4];
    for (unsigned i = 0; i < 4; i++) {
        waiting[i] = connect_plainly(ntohs(own.sin_port), SOCK_NONBLOCK);
    }
    const struct address address = {"127.0.0.1", ntohs(own.sin_port)};
    uint64_t begun_us = virtual_us;
    conn_connect(world.loop, &address, &handler, NULL);
    pass_ms(HOUR_MS);
    expect_closed(begun_us + PROGRESS_US, "connecting took too long");
    for (unsigned i = 0; i < 4; i++) {
        close(waiting[i]);
    }
    close(full);
    world.close_count = 0;
}

/* --- a limit on what all keep (RULES F3) --- */

/* Each keeps so much, together more than the limit; returns another client than world.client. */
static int keep_twice(size_t len)
{
    static const char data[MIB];
    int other = connect_plainly(listener_address(world.listener)->port, 0);
    world.wanted = MIB;
    assert_int_equal(send(world.client, data, len, MSG_NOSIGNAL), len);
    pass_ms(5);
    assert_int_equal(send(other, data, len, MSG_NOSIGNAL), len);
    pass_ms(5);
    return other;
}

static void one_that_waits_for_room_has_its_time_when_its_turn_has_come(void **state)
{
    (void)state;
    conn_set_limits(world.loop, 100000, 0);
    uint64_t begun_us = virtual_us;
    int other = keep_twice(200000);
    pass_ms(CONN_PROGRESS_MS);
    expect_closed(begun_us + PROGRESS_US, "stopped in the middle of a message");
    pass_ms(CONN_PROGRESS_MS - 100);
    assert_int_equal(world.close_count, 1);
    pass_ms(200);
    assert_int_equal(world.close_count, 2);
    close(other);
}

static void who_has_the_only_place_must_go_on_even_if_its_replies_stop_it(void **state)
{
    (void)state;
    conn_set_limits(world.loop, 100000, 0);
    struct conn *first = world.server;
    uint64_t begun_us = virtual_us;
    int other = keep_twice(200000);
    struct conn *second = world.server;
    world.server = first;
    append_zeros(LARGE_LEN);
    world.server = second;
    pass_ms(CONN_PROGRESS_MS);
    expect_closed(begun_us + PROGRESS_US, "does not read its replies");
    pass_ms(HOUR_MS);
    assert_int_equal(world.close_count, 2);
    close(other);
}

static void scarce_output_stops_input_early_and_lets_it_go_on_again(void **state)
{
    (void)state;
    conn_set_limits(world.loop, 0, 2 * LARGE_LEN / 3);
    int other = connect_plainly(listener_address(world.listener)->port, 0);
    struct conn *first = world.server;
    pass_ms(5);
    assert_ptr_not_equal(world.server, first);
    append_zeros(LARGE_LEN); /* to the other */
    pass_ms(5);
    assert_true(conn_output_total(world.loop) >= LARGE_LEN);
    assert_true(conn_is_output_full(world.server));
    assert_false(conn_is_output_full(first));
    conn_close(world.server, "the test goes on");
    pass_ms(5);
    assert_int_equal(conn_output_total(world.loop), 0);
    world.server = first;
    world.close_count = 0;
    close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        TEST(an_idle_connection_stays),
        TEST(a_message_that_does_not_go_on_ends_the_connection),
        TEST(a_message_that_trickles_ends_the_connection),
        TEST(a_message_that_makes_progress_may_take_long),
        TEST(each_message_has_its_own_time),
        TEST(the_time_stands_while_input_is_stopped),
        TEST(a_connection_that_finishes_does_not_wait_for_a_reader_for_ever),
        TEST(a_finished_connection_lingers_for_a_while_only),
        TEST(a_connection_that_nobody_takes_is_given_up),
        TEST(one_that_waits_for_room_has_its_time_when_its_turn_has_come),
        TEST(who_has_the_only_place_must_go_on_even_if_its_replies_stop_it),
        TEST(scarce_output_stops_input_early_and_lets_it_go_on_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
