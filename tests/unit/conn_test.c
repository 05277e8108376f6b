/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/conn.h"
#include "io/listener.h"
#include "tests/unit/plain_socket.h"

/*
 * A connection that a listener accepted (`server`) and a plain socket at its other end (`client`).
 * What it does as time passes: conn_progress_test.c.
 */

#define MIB ((size_t)1 << 20)

/* More than the kernel's buffers and CONN_OUTPUT_PAUSE take together. */
#define LARGE_LEN (20 * MIB)

struct world {
    struct loop *loop;
    struct listener *listener;
    struct timer *guard;
    struct timer *tick;
    struct conn *server;
    int client;

    /* What the server does at an input, in this order. */
    size_t wanted;       /* nothing while there is less */
    size_t bite;         /* consumes so much */
    size_t reply_len;    /* sends so many zeros */
    const char *closing; /* closes with this reason */
    const char *finishing;

    struct buffer consumed;
    unsigned input_count;
    unsigned close_count;
    const char *reason;

    bool is_draining; /* the client reads at each tick */
    size_t drained;
    bool (*is_reached)(const struct world *world);
    unsigned turns_left;
};

/* --- the server --- */

static void append_zeros(struct conn *conn, size_t len)
{
    struct buffer *output = conn_output(conn);
    uint8_t *end = buffer_reserve(output, len);
    assert_non_null(end);
    memset(end, 0, len);
    output->len += len;
}

static size_t on_input(void *context, struct bytes input)
{
    struct world *world = context;
    world->input_count++;
    if (input.len < world->wanted) {
        return 0;
    }
    size_t consumed = world->bite < input.len ? world->bite : input.len;
    buffer_append(&world->consumed, input.data, consumed);
    if (world->reply_len > 0) {
        append_zeros(world->server, world->reply_len);
    }
    if (world->closing != NULL) {
        conn_close(world->server, world->closing);
    }
    if (world->finishing != NULL) {
        conn_finish(world->server, world->finishing);
    }
    return consumed;
}

static void on_close(void *context, const char *reason)
{
    struct world *world = context;
    /* It still takes output, and swallows it. */
    append_zeros(world->server, 10);
    conn_close(world->server, "a second time");
    world->close_count++;
    world->reason = reason;
    world->server = NULL;
}

static const struct conn_handler server_handler = {NULL, on_input, on_close};

static void on_accept(void *context, struct conn *conn)
{
    struct world *world = context;
    world->server = conn;
    conn_set_handler(conn, &server_handler, world);
}

/* --- running the loop --- */

static void fail_late(void *context)
{
    (void)context;
    fail_msg("%s", "nothing happened for 20 s");
}

static void on_tick(void *context)
{
    struct world *world = context;
    static uint8_t data[MIB];
    ssize_t received = 1;
    while (world->is_draining && received > 0) {
        received = recv(world->client, data, sizeof(data), MSG_DONTWAIT);
        world->drained += received > 0 ? (size_t)received : 0;
    }
    timer_set(world->tick, 1);
}

static void on_turn_end(void *context)
{
    struct world *world = context;
    bool is_last_turn = world->turns_left == 1;
    world->turns_left -= world->turns_left > 0;
    if (is_last_turn || (world->is_reached != NULL && world->is_reached(world))) {
        loop_stop(world->loop);
    }
}

static void run(struct world *world)
{
    timer_set(world->guard, 20000);
    timer_set(world->tick, 0);
    loop_run(world->loop);
    timer_clear(world->guard);
    timer_clear(world->tick);
}

static void run_until(struct world *world, bool (*is_reached)(const struct world *world))
{
    world->is_reached = is_reached;
    run(world);
    world->is_reached = NULL;
}

/* Loopback delivers at once: after so many turns, all that was under way has been handled. */
static void run_some_turns(struct world *world)
{
    world->turns_left = 5;
    run(world);
}

static bool is_accepted(const struct world *world)
{
    return world->server != NULL;
}

static bool is_closed(const struct world *world)
{
    return world->close_count > 0;
}

static bool has_consumed(const struct world *world)
{
    return world->consumed.len > 0;
}

static bool has_consumed_two(const struct world *world)
{
    return world->consumed.len == 2;
}

/* --- the client --- */

static void send_text(const struct world *world, const char *text)
{
    assert_int_equal(send(world->client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* How many bytes come, at most `len`; fewer only at an orderly end. */
static size_t receive_len(const struct world *world, size_t len)
{
    static uint8_t data[MIB];
    size_t done = 0;
    while (done < len) {
        size_t left = len - done < sizeof(data) ? len - done : sizeof(data);
        ssize_t received = recv(world->client, data, left, 0);
        assert_true(received >= 0);
        if (received == 0) {
            break;
        }
        done += (size_t)received;
    }
    return done;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    const struct address any_port = {"127.0.0.1", 0};
    char error[200];
    world->bite = SIZE_MAX;
    world->loop = loop_new();
    world->guard = timer_new(world->loop, fail_late, world);
    world->tick = timer_new(world->loop, on_tick, world);
    const struct listener_config config = {&any_port, 100, on_accept, world};
    world->listener = listener_open(world->loop, &config, error, sizeof(error));
    assert_non_null(world->listener);
    loop_on_turn_end(world->loop, on_turn_end, world);
    world->client = plain_socket_connect(listener_address(world->listener));
    run_until(world, is_accepted);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    if (world->server != NULL) {
        conn_close(world->server, "the test is over");
        run_until(world, is_closed);
    }
    close(world->client);
    listener_close(world->listener);
    timer_free(world->guard);
    timer_free(world->tick);
    loop_free(world->loop);
    buffer_fini(&world->consumed);
    free(world);
    return 0;
}

/* --- input --- */

static void input_that_is_left_is_offered_again_with_what_follows(void **state)
{
    struct world *world = *state;
    world->wanted = 6;
    send_text(world, "abc");
    run_some_turns(world);
    assert_int_equal(world->input_count, 1); /* not again with the same bytes alone */
    send_text(world, "de");
    run_some_turns(world);
    send_text(world, "f");
    run_until(world, has_consumed);
    assert_int_equal(world->consumed.len, 6);
    assert_memory_equal(world->consumed.data, "abcdef", 6);
    assert_int_equal(world->input_count, 3);
}

static void every_byte_is_consumed_once_whatever_the_bites(void **state)
{
    struct world *world = *state;
    char text[] = "0123456789";
    world->bite = 3;
    for (const char *next = text; *next != '\0'; next++) {
        const char one[] = {*next, '\0'};
        send_text(world, one);
        run_some_turns(world);
    }
    world->bite = 1;
    send_text(world, text);
    run_some_turns(world);
    world->bite = SIZE_MAX;
    send_text(world, text);
    run_some_turns(world);
    assert_int_equal(world->consumed.len, 30);
    assert_memory_equal(world->consumed.data, "012345678901234567890123456789", 30);
}

static void on_client_close(void *context, const char *reason)
{
    (void)reason;
    *(bool *)context = true;
}

static const struct conn_handler client_handler = {NULL, NULL, on_client_close};

static void a_message_of_5_MiB_arrives_whole(void **state)
{
    struct world *world = *state;
    size_t len = 5 * MIB;
    uint8_t *message = malloc(len);
    for (size_t i = 0; i < len; i++) {
        message[i] = (uint8_t)(i * 7 + (i >> 16));
    }
    conn_close(world->server, "another one comes");
    run_until(world, is_closed);
    world->close_count = 0;

    bool is_client_closed = false;
    struct conn *client = conn_connect(world->loop, listener_address(world->listener),
                                       &client_handler, &is_client_closed);
    world->wanted = len;
    buffer_append(conn_output(client), message, len);
    run_until(world, has_consumed);
    assert_int_equal(world->consumed.len, len);
    assert_memory_equal(world->consumed.data, message, len);
    assert_true(world->input_count >= len >> 16); /* read in pieces of at most 64 KiB */

    conn_close(client, "done");
    run_until(world, is_closed);
    assert_true(is_client_closed);
    assert_string_equal(world->reason, "closed by the other side");
    free(message);
}

/* --- output --- */

static void output_is_sent_in_the_turn_in_which_it_was_made(void **state)
{
    struct world *world = *state;
    world->reply_len = 100;
    send_text(world, "a");
    run_until(world, has_consumed); /* stops at the end of that turn */
    uint8_t data[200];
    assert_int_equal(recv(world->client, data, sizeof(data), MSG_DONTWAIT), 100);
}

static void a_reply_for_which_memory_ran_out_is_not_sent_in_part(void **state)
{
    struct world *world = *state;
    append_zeros(world->server, 100);
    conn_output(world->server)->failed = true;
    run_until(world, is_closed);
    assert_string_equal(world->reason, "out of memory");
    assert_int_equal(receive_len(world, 1), 0);
}

static void output_made_between_turns_is_sent_in_the_next(void **state)
{
    struct world *world = *state;
    append_zeros(world->server, 100);
    world->turns_left = 1;
    loop_run(world->loop); /* with nothing else to wake it */
    uint8_t data[200];
    assert_int_equal(recv(world->client, data, sizeof(data), MSG_DONTWAIT), 100);
}

static void output_that_is_not_read_stops_input_and_then_ends_the_connection(void **state)
{
    struct world *world = *state;
    world->reply_len = LARGE_LEN;
    send_text(world, "a");
    run_until(world, has_consumed);
    send_text(world, "b");
    run_some_turns(world);
    assert_int_equal(world->input_count, 1);

    append_zeros(world->server, CONN_OUTPUT_MAX - LARGE_LEN);
    run_some_turns(world);
    assert_int_equal(world->close_count, 0);
    append_zeros(world->server, LARGE_LEN);
    run_until(world, is_closed);
    assert_string_equal(world->reason, "does not read its replies");
}

static void input_goes_on_when_the_output_has_been_read(void **state)
{
    struct world *world = *state;
    world->reply_len = LARGE_LEN;
    world->bite = 1;
    send_text(world, "ab");
    run_until(world, has_consumed);
    run_some_turns(world);
    assert_int_equal(world->input_count, 1);

    world->is_draining = true;
    run_until(world, has_consumed_two); /* no further byte has come */
    assert_memory_equal(world->consumed.data, "ab", 2);
    assert_true(world->drained > MIB);
    send_text(world, "c");
    world->bite = SIZE_MAX;
    while (world->consumed.len < 3) {
        run_some_turns(world);
    }
}

/* --- the end --- */

static void closing_in_on_input_drops_the_output_and_is_told_in_the_same_turn(void **state)
{
    struct world *world = *state;
    world->reply_len = 100;
    world->closing = "enough";
    send_text(world, "a");
    run_until(world, has_consumed);
    assert_int_equal(world->close_count, 1);
    assert_string_equal(world->reason, "enough");
    assert_int_equal(receive_len(world, 1), 0);
}

static void close_server(void *context)
{
    const struct world *world = context;
    if (world->server != NULL) {
        conn_close(world->server, "by a hook");
    }
}

static void closing_in_a_hook_is_told_in_the_same_turn(void **state)
{
    struct world *world = *state;
    loop_on_turn_end(world->loop, close_server, world);
    world->turns_left = 1;
    run(world);
    assert_int_equal(world->close_count, 1);
    assert_string_equal(world->reason, "by a hook");
}

static void close_server_too(void *context, const char *reason)
{
    (void)reason;
    close_server(context);
}

static const struct conn_handler chained_handler = {NULL, NULL, close_server_too};

static void on_close_may_close_another(void **state)
{
    struct world *world = *state;
    const struct address nowhere = {"127.0.0.1", 1};
    struct conn *other = conn_connect(world->loop, &nowhere, &chained_handler, world);
    conn_close(other, "the first");
    world->turns_left = 1;
    loop_run(world->loop);
    assert_int_equal(world->close_count, 1);
    assert_string_equal(world->reason, "by a hook");
}

static void the_other_sides_end_is_told(void **state)
{
    struct world *world = *state;
    shutdown(world->client, SHUT_RDWR);
    run_until(world, is_closed);
    assert_string_equal(world->reason, "closed by the other side");
}

static void finishing_sends_all_output_first_even_with_input_unread(void **state)
{
    struct world *world = *state;
    world->wanted = 1000;
    world->reply_len = MIB;
    world->finishing = "finished";
    char text[2001];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    send_text(world, text);
    run_until(world, has_consumed);
    send_text(world, text); /* is never looked at, and causes no reset */
    run_until(world, is_closed);
    assert_string_equal(world->reason, "finished");
    assert_int_equal(world->consumed.len, 2000);
    assert_int_equal(receive_len(world, LARGE_LEN), MIB);
}

static void what_nobody_reads_lingers_until_the_other_side_ends(void **state)
{
    struct world *world = *state;
    conn_finish(world->server, "finished");
    run_until(world, is_closed);
    assert_int_equal(listener_connection_count(world->listener), 1);
    shutdown(world->client, SHUT_WR);
    run_some_turns(world);
    assert_int_equal(listener_connection_count(world->listener), 0);
}

static void on_connect_close(void *context, const char *reason)
{
    struct world *world = context;
    world->close_count++;
    world->reason = reason;
}

static const struct conn_handler refused_handler = {NULL, NULL, on_connect_close};

static void a_refused_connection_ends_in_on_close(void **state)
{
    struct world *world = *state;
    struct address address = *listener_address(world->listener);
    listener_close(world->listener);
    world->listener = NULL;
    struct conn *conn = conn_connect(world->loop, &address, &refused_handler, world);
    append_zeros(conn, 100);
    run_until(world, is_closed);
    assert_string_equal(world->reason, "Connection refused");
    world->close_count = 0;
}

static void a_host_that_cannot_be_found_ends_in_on_close(void **state)
{
    struct world *world = *state;
    const struct address address = {"no host at all", 1};
    conn_connect(world->loop, &address, &refused_handler, world);
    run_until(world, is_closed);
    assert_int_equal(world->close_count, 1);
    assert_non_null(world->reason);
    world->close_count = 0;
}

static void the_remote_address_is_numeric(void **state)
{
    struct world *world = *state;
    const char *remote = conn_remote(world->server);
    assert_int_equal(strncmp(remote, "127.0.0.1:", 10), 0);
    assert_int_not_equal(atoi(remote + 10), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        TEST(input_that_is_left_is_offered_again_with_what_follows),
        TEST(every_byte_is_consumed_once_whatever_the_bites),
        TEST(a_message_of_5_MiB_arrives_whole),
        TEST(output_is_sent_in_the_turn_in_which_it_was_made),
        TEST(a_reply_for_which_memory_ran_out_is_not_sent_in_part),
        TEST(output_made_between_turns_is_sent_in_the_next),
        TEST(output_that_is_not_read_stops_input_and_then_ends_the_connection),
        TEST(input_goes_on_when_the_output_has_been_read),
        TEST(closing_in_on_input_drops_the_output_and_is_told_in_the_same_turn),
        TEST(closing_in_a_hook_is_told_in_the_same_turn),
        TEST(on_close_may_close_another),
        TEST(the_other_sides_end_is_told),
        TEST(finishing_sends_all_output_first_even_with_input_unread),
        TEST(what_nobody_reads_lingers_until_the_other_side_ends),
        TEST(a_refused_connection_ends_in_on_close),
        TEST(a_host_that_cannot_be_found_ends_in_on_close),
        TEST(the_remote_address_is_numeric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
