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

/* Output that waits for a ticket: an accepted connection (`server`), a plain socket (`client`). */

#define MIB ((size_t)1 << 20)

struct world {
    struct loop *loop;
    struct listener *listener;
    struct timer *tick;
    struct conn *server;
    int client;
    unsigned input_count;
    unsigned close_count;
    const char *reason;
    unsigned turns_left;
    uint64_t hook_ticket; /* released by the hook, once */
};

static size_t on_input(void *context, struct bytes input)
{
    struct world *world = context;
    world->input_count++;
    return input.len;
}

static void on_close(void *context, const char *reason)
{
    struct world *world = context;
    conn_output_until(world->server, 1000); /* of what has ended: does no harm */
    world->close_count++;
    world->reason = reason;
    world->server = NULL;
}

static const struct conn_handler handler = {NULL, on_input, on_close};

static void on_accept(void *context, struct conn *conn)
{
    struct world *world = context;
    world->server = conn;
    conn_set_handler(conn, &handler, world);
}

static void on_tick(void *context)
{
    const struct world *world = context;
    timer_set(world->tick, 0);
}

static void on_turn_end(void *context)
{
    struct world *world = context;
    if (world->hook_ticket > 0) {
        conn_release(world->loop, world->hook_ticket);
        world->hook_ticket = 0;
    }
    if (--world->turns_left == 0) {
        loop_stop(world->loop);
    }
}

static void run_turns(struct world *world, unsigned count)
{
    world->turns_left = count;
    timer_set(world->tick, 0);
    loop_run(world->loop);
    timer_clear(world->tick);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    const struct address any_port = {"127.0.0.1", 0};
    char error[200];
    world->loop = loop_new();
    world->tick = timer_new(world->loop, on_tick, world);
    const struct listener_config config = {&any_port, 100, on_accept, world};
    world->listener = listener_open(world->loop, &config, error, sizeof(error));
    assert_non_null(world->listener);
    loop_on_turn_end(world->loop, on_turn_end, world);
    world->client = plain_socket_connect(listener_address(world->listener));
    while (world->server == NULL) {
        run_turns(world, 1);
    }
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    if (world->server != NULL) {
        conn_close(world->server, "the test is over");
        run_turns(world, 1);
    }
    assert_int_equal(world->close_count, 1);
    close(world->client);
    listener_close(world->listener);
    timer_free(world->tick);
    loop_free(world->loop);
    free(world);
    return 0;
}

static void say(struct world *world, const char *text, uint64_t ticket)
{
    buffer_append_bytes(conn_output(world->server), bytes_text(text));
    if (ticket > 0) {
        conn_output_until(world->server, ticket);
    }
}

/* Runs a turn; then exactly this has come. */
static void expect_received(struct world *world, const char *expected)
{
    char text[100] = "";
    run_turns(world, 1);
    ssize_t len = recv(world->client, text, sizeof(text) - 1, MSG_DONTWAIT);
    assert_int_equal(len, *expected != '\0' ? (ssize_t)strlen(expected) : -1);
    assert_string_equal(text, expected);
}

static void output_leaves_when_its_ticket_is_released(void **state)
{
    struct world *world = *state;
    say(world, "reply", 7);
    expect_received(world, "");
    assert_int_equal(conn_output_total(world->loop), 5);
    conn_release(world->loop, 6);
    expect_received(world, "");
    conn_release(world->loop, 7);
    expect_received(world, "reply");
    assert_int_equal(conn_output_total(world->loop), 0);
}

static void what_is_behind_waits_too(void **state)
{
    struct world *world = *state;
    say(world, "before ", 0);
    say(world, "held ", 3);
    say(world, "behind", 0);
    expect_received(world, "");
    say(world, " later", 0);
    expect_received(world, "");
    conn_release(world->loop, 100);
    expect_received(world, "before held behind later");
}

static void what_was_sent_before_is_not_called_back(void **state)
{
    struct world *world = *state;
    say(world, "free", 0);
    expect_received(world, "free");
    conn_output_until(world->server, 5); /* of nothing */
    say(world, "and free", 0);
    expect_received(world, "and free");
}

static void each_part_leaves_with_its_own_ticket(void **state)
{
    struct world *world = *state;
    say(world, "one ", 1);
    expect_received(world, "");
    say(world, "two ", 2);
    say(world, "three ", 3);
    expect_received(world, "");
    conn_release(world->loop, 1);
    expect_received(world, "one ");
    say(world, "four ", 4);
    say(world, "five", 0);
    conn_release(world->loop, 3);
    expect_received(world, "two three ");
    conn_release(world->loop, 4);
    expect_received(world, "four five");
}

static void a_ticket_that_was_released_holds_nothing(void **state)
{
    struct world *world = *state;
    conn_release(world->loop, 10);
    conn_release(world->loop, 9); /* nothing happens */
    say(world, "at once", 10);
    expect_received(world, "at once");
    say(world, "not yet", 11);
    expect_received(world, "");
    conn_release(world->loop, 11);
    expect_received(world, "not yet");
}

static void an_earlier_ticket_behind_a_later_one_adds_no_wait(void **state)
{
    struct world *world = *state;
    say(world, "nine ", 9);
    say(world, "four ", 4);
    say(world, "twelve", 12);
    conn_release(world->loop, 4);
    expect_received(world, "");
    conn_release(world->loop, 9);
    expect_received(world, "nine four ");
    conn_release(world->loop, 12);
    expect_received(world, "twelve");
}

static void the_same_bytes_wait_for_the_later_ticket(void **state)
{
    struct world *world = *state;
    say(world, "reply", 1);
    conn_output_until(world->server, 2);
    conn_release(world->loop, 1);
    expect_received(world, "");
    conn_release(world->loop, 2);
    expect_received(world, "reply");
}

static void a_release_in_a_hook_sends_in_the_same_turn(void **state)
{
    struct world *world = *state;
    say(world, "reply", 7);
    expect_received(world, "");
    world->hook_ticket = 7;
    expect_received(world, "reply");
}

/* More marks than are kept apart, released in odd steps. */
static void very_many_tickets_keep_their_order(void **state)
{
    struct world *world = *state;
    const uint64_t ticket_count = 10000;
    for (uint64_t ticket = 1; ticket <= ticket_count; ticket++) {
        const uint16_t number = (uint16_t)ticket;
        buffer_append(conn_output(world->server), &number, sizeof(number));
        conn_output_until(world->server, ticket);
    }
    size_t received_count = 0;
    for (uint64_t released = 0; released < ticket_count;) {
        released += 37;
        conn_release(world->loop, released);
        run_turns(world, 1);
        uint16_t number;
        while (recv(world->client, &number, sizeof(number), MSG_DONTWAIT) == sizeof(number)) {
            received_count++;
            assert_int_equal(number, received_count);
            assert_true(number <= released);
        }
        assert_true(received_count == released || released > 4000);
    }
    assert_int_equal(received_count, ticket_count);
}

/* --- large ones: the socket takes a part at a time --- */

static void say_much(struct world *world, size_t len, uint8_t byte, uint64_t ticket)
{
    struct buffer *output = conn_output(world->server);
    uint8_t *end = buffer_reserve(output, len);
    assert_non_null(end);
    memset(end, byte, len);
    output->len += len;
    conn_output_until(world->server, ticket);
}

/* Receives until nothing more comes: exactly `len` bytes of this value. */
static void expect_much(struct world *world, size_t len, uint8_t byte)
{
    static uint8_t data[MIB];
    unsigned idle_turns = 0;
    size_t done = 0;
    while (idle_turns < 20) {
        run_turns(world, 1);
        ssize_t received = recv(world->client, data, sizeof(data), MSG_DONTWAIT);
        idle_turns = received > 0 ? 0 : idle_turns + 1;
        for (ssize_t i = 0; i < received; i++) {
            assert_int_equal(data[i], byte);
        }
        done += received > 0 ? (size_t)received : 0;
    }
    assert_int_equal(done, len);
}

static void marks_lie_in_the_middle_of_what_the_socket_takes(void **state)
{
    struct world *world = *state;
    say_much(world, 5 * MIB, 1, 1);
    say_much(world, 5 * MIB + 1, 2, 2);
    run_turns(world, 2);
    conn_release(world->loop, 1);
    run_turns(world, 1); /* the kernel's buffers are full */
    say_much(world, 5 * MIB + 2, 3, 3);
    expect_much(world, 5 * MIB, 1);
    assert_int_equal(conn_output_total(world->loop),
                     15 * MIB + 3); /* with what is sent of a buffer */
    assert_int_equal(conn_output_len(world->server), 10 * MIB + 3);
    conn_release(world->loop, 2);
    expect_much(world, 5 * MIB + 1, 2);
    conn_release(world->loop, 3);
    expect_much(world, 5 * MIB + 2, 3);
    assert_int_equal(conn_output_total(world->loop), 0);
}

static void what_the_socket_has_not_taken_yet_stays_free(void **state)
{
    struct world *world = *state;
    say_much(world, 10 * MIB, 1, 0);
    run_turns(world, 1);
    say(world, "held", 1);
    expect_much(world, 10 * MIB, 1);
    conn_release(world->loop, 1);
    expect_received(world, "held");
}

static void held_output_stops_the_input_and_release_lets_it_go_on(void **state)
{
    struct world *world = *state;
    say_much(world, CONN_OUTPUT_PAUSE + 1, 1, 1);
    run_turns(world, 1);
    assert_int_equal(send(world->client, "x", 1, MSG_NOSIGNAL), 1);
    run_turns(world, 5);
    assert_int_equal(world->input_count, 0);
    conn_release(world->loop, 1);
    expect_much(world, CONN_OUTPUT_PAUSE + 1, 1);
    assert_int_equal(world->input_count, 1);
}

/* --- the end --- */

static void closing_drops_what_is_held(void **state)
{
    struct world *world = *state;
    say(world, "never", 1);
    say(world, "ever", 2);
    run_turns(world, 1);
    conn_close(world->server, "enough");
    assert_int_equal(conn_output_total(world->loop), 0);
    conn_release(world->loop, 1); /* in the turn of its end, and later */
    run_turns(world, 1);
    assert_string_equal(world->reason, "enough");
    conn_release(world->loop, 2);
    char byte;
    assert_int_equal(recv(world->client, &byte, 1, 0), 0);
}

static void finishing_waits_for_what_is_held(void **state)
{
    struct world *world = *state;
    say(world, "last words", 1);
    conn_finish(world->server, "finished");
    expect_received(world, "");
    assert_int_equal(world->close_count, 0);
    conn_release(world->loop, 1);
    expect_received(world, "last words");
    assert_int_equal(world->close_count, 1);
    assert_string_equal(world->reason, "finished");
    char byte;
    assert_int_equal(recv(world->client, &byte, 1, 0), 0);
}

static void the_other_sides_end_drops_what_is_held(void **state)
{
    struct world *world = *state;
    say(world, "nobody reads this", 1);
    run_turns(world, 1);
    shutdown(world->client, SHUT_RDWR);
    run_turns(world, 5);
    assert_string_equal(world->reason, "closed by the other side");
    assert_int_equal(conn_output_total(world->loop), 0);
    conn_release(world->loop, 1);
    run_turns(world, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        TEST(output_leaves_when_its_ticket_is_released),
        TEST(what_is_behind_waits_too),
        TEST(what_was_sent_before_is_not_called_back),
        TEST(each_part_leaves_with_its_own_ticket),
        TEST(a_ticket_that_was_released_holds_nothing),
        TEST(an_earlier_ticket_behind_a_later_one_adds_no_wait),
        TEST(the_same_bytes_wait_for_the_later_ticket),
        TEST(a_release_in_a_hook_sends_in_the_same_turn),
        TEST(very_many_tickets_keep_their_order),
        TEST(marks_lie_in_the_middle_of_what_the_socket_takes),
        TEST(what_the_socket_has_not_taken_yet_stays_free),
        TEST(held_output_stops_the_input_and_release_lets_it_go_on),
        TEST(closing_drops_what_is_held),
        TEST(finishing_waits_for_what_is_held),
        TEST(the_other_sides_end_drops_what_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
