/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/conn.h"
#include "io/listener.h"
#include "tests/unit/plain_socket.h"

/* Input that rests (RULES F3): accepted connections, plain sockets on the other side. */

enum { PAIR_COUNT = 2 };

struct world;

struct side {
    struct world *world;
    struct conn *conn;
    int client;
    unsigned input_count;
    size_t input_len;  /* offered last */
    uint32_t pause_ms; /* for on_input to ask for, once, consuming one byte */
    unsigned order;    /* as which of all it had input */
    const char *reason;
};

struct world {
    struct loop *loop;
    struct listener *listener;
    struct timer *tick;
    struct side sides[PAIR_COUNT];
    unsigned side_count;
    unsigned input_count;
};

static size_t on_input(void *context, struct bytes input)
{
    struct side *side = context;
    side->input_count++;
    side->input_len = input.len;
    side->order = ++side->world->input_count;
    if (side->pause_ms > 0) {
        conn_pause_input(side->conn, side->pause_ms);
        side->pause_ms = 0;
        return 1;
    }
    return input.len;
}

static void on_close(void *context, const char *reason)
{
    struct side *side = context;
    side->reason = reason;
    side->conn = NULL;
}

static const struct conn_handler handler = {NULL, on_input, on_close};

static void on_accept(void *context, struct conn *conn)
{
    struct world *world = context;
    struct side *side = &world->sides[world->side_count++];
    side->world = world;
    side->conn = conn;
    conn_set_handler(conn, &handler, side);
}

static void on_turn_end(void *context)
{
    const struct world *world = context;
    loop_stop(world->loop);
}

static void on_tick(void *context)
{
    (void)context;
}

static void run_turn(struct world *world)
{
    timer_set(world->tick, 0);
    loop_run(world->loop);
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
    for (unsigned i = 0; i < PAIR_COUNT; i++) {
        int client = plain_socket_connect(listener_address(world->listener));
        while (world->side_count == i) {
            run_turn(world);
        }
        world->sides[i].client = client;
    }
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < PAIR_COUNT; i++) {
        close(world->sides[i].client);
        if (world->sides[i].conn) {
            conn_close(world->sides[i].conn, "the test is over");
        }
    }
    listener_close(world->listener);
    run_turn(world);
    timer_free(world->tick);
    loop_free(world->loop);
    free(world);
    return 0;
}

static void say(const struct side *side, const char *text)
{
    assert_int_equal(write(side->client, text, strlen(text)), strlen(text));
}

static void run_until_input(struct world *world, const struct side *side, unsigned count)
{
    while (side->input_count < count) {
        run_turn(world);
    }
}

static void input_rests_for_as_long_as_it_is_told(void **state)
{
    struct world *world = *state;
    struct side *side = &world->sides[0];
    uint64_t begun_ms = clock_mono_ms();
    conn_pause_input(side->conn, 30);
    assert_true(conn_is_input_paused(side->conn));
    say(side, "abc");
    run_until_input(world, side, 1);
    assert_true(clock_mono_ms() - begun_ms >= 30);
    assert_false(conn_is_input_paused(side->conn));
    assert_int_equal(side->input_len, 3);
}

static void a_pause_that_is_under_way_is_not_made_longer(void **state)
{
    struct world *world = *state;
    struct side *side = &world->sides[0];
    uint64_t begun_ms = clock_mono_ms();
    conn_pause_input(side->conn, 5);
    conn_pause_input(side->conn, CONN_PAUSE_MS_MAX);
    say(side, "abc");
    run_until_input(world, side, 1);
    assert_true(clock_mono_ms() - begun_ms < CONN_PAUSE_MS_MAX);
}

static void no_pause_is_none(void **state)
{
    struct world *world = *state;
    conn_pause_input(world->sides[0].conn, 0);
    assert_false(conn_is_input_paused(world->sides[0].conn));
}

static void what_was_not_consumed_is_offered_again_though_nothing_has_come(void **state)
{
    struct world *world = *state;
    struct side *side = &world->sides[0];
    side->pause_ms = 20;
    say(side, "abc");
    run_until_input(world, side, 1);
    uint64_t begun_ms = clock_mono_ms();
    run_until_input(world, side, 2);
    assert_true(clock_mono_ms() - begun_ms >= 10);
    assert_int_equal(side->input_len, 2);
}

static void a_short_pause_ends_before_a_longer_one_that_began_earlier(void **state)
{
    struct world *world = *state;
    conn_pause_input(world->sides[0].conn, 200);
    conn_pause_input(world->sides[1].conn, 5);
    say(&world->sides[0], "a");
    say(&world->sides[1], "b");
    run_until_input(world, &world->sides[0], 1);
    assert_int_equal(world->sides[1].order, 1);
    assert_int_equal(world->sides[0].order, 2);
}

static void the_others_are_read_meanwhile_and_replies_leave(void **state)
{
    struct world *world = *state;
    char reply[2] = "";
    conn_pause_input(world->sides[0].conn, CONN_PAUSE_MS_MAX);
    say(&world->sides[1], "b");
    run_until_input(world, &world->sides[1], 1);
    assert_true(conn_is_input_paused(world->sides[0].conn));
    buffer_append(conn_output(world->sides[0].conn), "r", 1);
    run_turn(world);
    assert_int_equal(read(world->sides[0].client, reply, 1), 1);
    assert_string_equal(reply, "r");
}

static void one_that_rests_may_be_closed_or_finished(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < PAIR_COUNT; i++) {
        conn_pause_input(world->sides[i].conn, 5);
    }
    conn_close(world->sides[0].conn, "closed");
    conn_finish(world->sides[1].conn, "finished");
    while (!world->sides[0].reason || !world->sides[1].reason) {
        run_turn(world);
    }
    assert_string_equal(world->sides[0].reason, "closed");
    assert_string_equal(world->sides[1].reason, "finished");
    uint64_t begun_ms = clock_mono_ms();
    while (clock_mono_ms() - begun_ms < 10) {
        run_turn(world);
    }
    assert_int_equal(world->input_count, 0);
}

/* Else nobody would read what still comes, and the end of the connection would not be seen. */
static void
one_that_is_finished_while_its_output_was_too_much_sees_the_other_side_close(void **state)
{
    static char much[2 * CONN_OUTPUT_PAUSE];
    static char taken[1 << 16];
    struct world *world = *state;
    struct side *side = &world->sides[0];
    unsigned turn_count = 0;
    buffer_append(conn_output(side->conn), much, sizeof(much));
    run_turn(world);
    conn_finish(side->conn, "finished");
    for (size_t len = 0; len < sizeof(much); run_turn(world)) {
        ssize_t received = recv(side->client, taken, sizeof(taken), MSG_DONTWAIT);
        len += received > 0 ? (size_t)received : 0;
    }
    while (!side->reason) {
        run_turn(world);
    }
    say(side, "more");
    shutdown(side->client, SHUT_WR);
    while (listener_connection_count(world->listener) == PAIR_COUNT && ++turn_count < 1000) {
        run_turn(world);
    }
    assert_int_equal(listener_connection_count(world->listener), PAIR_COUNT - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(input_rests_for_as_long_as_it_is_told),
        TEST(a_pause_that_is_under_way_is_not_made_longer),
        TEST(no_pause_is_none),
        TEST(what_was_not_consumed_is_offered_again_though_nothing_has_come),
        TEST(a_short_pause_ends_before_a_longer_one_that_began_earlier),
        TEST(the_others_are_read_meanwhile_and_replies_leave),
        TEST(one_that_rests_may_be_closed_or_finished),
        TEST(one_that_is_finished_while_its_output_was_too_much_sees_the_other_side_close),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
