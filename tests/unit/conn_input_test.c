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
 * How long input lives: each byte that on_input is shown is noted by its address, and looked at again by
 * the turn's hook. Byte `at` of each stream has a value of its own.
 */

#define MIB ((size_t)1 << 20)

enum { STREAM_MAX = 100, NOTE_MAX = 100000 };

struct stream {
    struct conn *conn;
    int client;
    size_t consumed;
    size_t sent;
};

struct note {
    const uint8_t *data;
    size_t len;
    unsigned stream;
    size_t at;
};

struct world {
    struct loop *loop;
    struct listener *listener;
    struct timer *tick;
    struct stream streams[STREAM_MAX];
    unsigned stream_count;
    unsigned closed_count;

    size_t (*bite)(size_t input_len); /* what on_input consumes */
    size_t wanted;                    /* nothing while there is less */
    struct note *notes;
    size_t note_count;
    size_t noted_len;
    size_t noted_len_max; /* over all hooks */
    unsigned hook_count;
    unsigned turns_left;
};

static uint8_t byte_at(unsigned stream, size_t at)
{
    return (uint8_t)((size_t)stream * 31 + at * 7 + (at >> 8) + (at >> 16));
}

/* A handler is told its context alone. */
struct owner {
    struct world *world;
    unsigned index;
};

static struct owner owners[STREAM_MAX];

static size_t on_input(void *context, struct bytes input)
{
    const struct owner *owner = context;
    struct world *world = owner->world;
    struct stream *stream = &world->streams[owner->index];
    assert_true(world->note_count < NOTE_MAX);
    world->notes[world->note_count++] =
        (struct note){input.data, input.len, owner->index, stream->consumed};
    world->noted_len += input.len;
    size_t consumed = input.len < world->wanted ? 0 : world->bite(input.len);
    stream->consumed += consumed;
    return consumed;
}

static void on_close(void *context, const char *reason)
{
    (void)reason;
    const struct owner *owner = context;
    owner->world->closed_count++;
}

static const struct conn_handler handler = {NULL, on_input, on_close};

static void on_accept(void *context, struct conn *conn)
{
    struct world *world = context;
    unsigned index = world->stream_count++;
    owners[index] = (struct owner){world, index};
    world->streams[index].conn = conn;
    conn_set_handler(conn, &handler, &owners[index]);
}

static void check_note(const struct note *note)
{
    for (size_t at = 0; at < note->len; at++) {
        if (note->data[at] != byte_at(note->stream, note->at + at)) {
            fail_msg("stream %u has changed at %zu", note->stream, note->at + at);
        }
    }
}

static void look_again(struct world *world)
{
    for (size_t i = 0; i < world->note_count; i++) {
        check_note(&world->notes[i]);
    }
    if (world->noted_len > world->noted_len_max) {
        world->noted_len_max = world->noted_len;
    }
    world->note_count = 0;
    world->noted_len = 0;
}

static void check_hook(void *context)
{
    struct world *world = context;
    world->hook_count++;
    look_again(world);
}

static void on_tick(void *context)
{
    struct world *world = context;
    timer_set(world->tick, 0);
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

/* One after another, so that the streams are numbered alike on both sides. */
static void add_streams(struct world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        world->streams[i].client = plain_socket_connect(listener_address(world->listener));
        while (world->stream_count == i) {
            run_turns(world, 1);
        }
    }
}

static size_t bite_all(size_t input_len)
{
    return input_len;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    const struct address any_port = {"127.0.0.1", 0};
    char error[200];
    world->notes = calloc(NOTE_MAX, sizeof(struct note));
    world->bite = bite_all;
    world->loop = loop_new();
    world->tick = timer_new(world->loop, on_tick, world);
    const struct listener_config config = {&any_port, STREAM_MAX, on_accept, world};
    world->listener = listener_open(world->loop, &config, error, sizeof(error));
    assert_non_null(world->listener);
    loop_on_turn_end(world->loop, check_hook, world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < world->stream_count; i++) {
        conn_close(world->streams[i].conn, "the test is over");
        close(world->streams[i].client);
    }
    run_turns(world, 1);
    assert_int_equal(world->closed_count, world->stream_count);
    listener_close(world->listener);
    timer_free(world->tick);
    loop_free(world->loop);
    free(world->notes);
    free(world);
    return 0;
}

/* As much as the kernel takes, at most `len`. */
static void send_some(struct world *world, unsigned index, size_t len)
{
    static uint8_t data[MIB];
    struct stream *stream = &world->streams[index];
    assert_true(len <= sizeof(data));
    for (size_t i = 0; i < len; i++) {
        data[i] = byte_at(index, stream->sent + i);
    }
    ssize_t sent = send(stream->client, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    stream->sent += sent > 0 ? (size_t)sent : 0;
}

static void input_of_all_connections_is_there_in_the_hook(void **state)
{
    struct world *world = *state;
    add_streams(world, STREAM_MAX);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < STREAM_MAX; i++) {
            send_some(world, i, 50 + (i + round) % 100);
        }
        run_turns(world, 10);
    }
    for (unsigned i = 0; i < STREAM_MAX; i++) {
        assert_int_equal(world->streams[i].consumed, world->streams[i].sent);
    }
    assert_true(world->noted_len_max > STREAM_MAX * 50 / 4); /* turns had many */
}

static void very_much_input_is_carried_out_in_parts(void **state)
{
    struct world *world = *state;
    add_streams(world, STREAM_MAX);
    /* The poller learns how many can be ready at once. */
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < STREAM_MAX; i++) {
            send_some(world, i, 10);
        }
        run_turns(world, 1);
    }
    unsigned hooks_before = world->hook_count;
    for (unsigned i = 0; i < STREAM_MAX; i++) {
        send_some(world, i, 128 << 10);
    }
    run_turns(world, 1);
    assert_true(world->hook_count > hooks_before + 1); /* in one turn */
    run_turns(world, 50);
    assert_true(world->noted_len_max <= 4 * MIB);
    for (unsigned i = 0; i < STREAM_MAX; i++) {
        assert_int_equal(world->streams[i].consumed, world->streams[i].sent);
    }
}

static size_t bite_a_third(size_t input_len)
{
    return input_len / 3;
}

static size_t bite_most(size_t input_len)
{
    return input_len < 100 ? input_len : input_len - 7;
}

static size_t bite_nothing_small(size_t input_len)
{
    return input_len < 200000 ? 0 : 150000;
}

static void send_for_long(struct world *world, size_t piece_len)
{
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 0; i < 5; i++) {
            send_some(world, i, piece_len + i);
        }
        run_turns(world, 1 + round % 3);
    }
    run_turns(world, 20);
}

static void what_is_left_stays_where_on_input_saw_it(void **state)
{
    struct world *world = *state;
    size_t (*const bites[])(size_t) = {bite_a_third, bite_most, bite_nothing_small};
    add_streams(world, 5);
    for (unsigned i = 0; i < 3; i++) {
        world->bite = bites[i];
        send_for_long(world, 10);
        send_for_long(world, 30000);
    }
    world->bite = bite_all;
    send_for_long(world, 1);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(world->streams[i].consumed, world->streams[i].sent);
    }
}

/* In pieces of 64 KiB; with a copy of all that is there for each piece this would be half a gigabyte. */
static void a_message_of_8_MiB_is_shown_whole(void **state)
{
    struct world *world = *state;
    add_streams(world, 1);
    world->wanted = 8 * MIB;
    while (world->streams[0].sent < 8 * MIB) {
        size_t left = 8 * MIB - world->streams[0].sent;
        send_some(world, 0, left < MIB ? left : MIB);
        run_turns(world, 1);
    }
    run_turns(world, 200);
    assert_int_equal(world->streams[0].consumed, 8 * MIB);
}

/* --- a limit on what all keep (RULES F3) --- */

enum { HALF_COUNT = 20 };

static size_t kept_most(struct world *world, size_t len)
{
    size_t most = 0;
    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned i = 0; i < HALF_COUNT; i++) {
            size_t left = len - world->streams[i].sent;
            if (left > 0) {
                send_some(world, i, left);
            }
        }
        run_turns(world, 1);
        size_t kept = conn_input_total(world->loop);
        most = kept > most ? kept : most;
    }
    return most;
}

static void half_sent_messages_are_bounded_in_sum_and_all_come_to_an_end(void **state)
{
    struct world *world = *state;
    conn_set_limits(world->loop, 2 * MIB, 0);
    add_streams(world, HALF_COUNT);
    world->wanted = MIB;
    size_t most = kept_most(world, MIB - 1000);
    assert_true(most > MIB);
    assert_true(
        most <
        7 * MIB); /* the limit, as much in shares, and one message, which grows by doubling */
    most = kept_most(world, MIB);
    assert_true(most < 7 * MIB);
    for (unsigned i = 0; i < HALF_COUNT; i++) {
        assert_int_equal(world->streams[i].consumed, MIB);
    }
    assert_int_equal(conn_input_total(world->loop), 0);
}

static void small_messages_go_on_while_large_ones_wait(void **state)
{
    struct world *world = *state;
    conn_set_limits(world->loop, 2 * MIB, 0);
    add_streams(world, HALF_COUNT + 1);
    world->wanted = MIB;
    (void)kept_most(world, MIB - 1000);
    world->wanted = 0;
    world->streams[HALF_COUNT].sent = 0;
    for (unsigned i = 0; i < 10; i++) {
        send_some(world, HALF_COUNT, 20000);
        run_turns(world, 2);
    }
    assert_int_equal(world->streams[HALF_COUNT].consumed, world->streams[HALF_COUNT].sent);
}

static void what_a_finished_one_has_kept_is_given_back(void **state)
{
    struct world *world = *state;
    add_streams(world, 1);
    world->wanted = MIB;
    send_some(world, 0, 100000);
    run_turns(world, 5);
    assert_true(conn_input_total(world->loop) >= 100000);
    conn_finish(world->streams[0].conn, "finished");
    assert_int_equal(conn_input_total(world->loop), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        TEST(input_of_all_connections_is_there_in_the_hook),
        TEST(very_much_input_is_carried_out_in_parts),
        TEST(what_is_left_stays_where_on_input_saw_it),
        TEST(a_message_of_8_MiB_is_shown_whole),
        TEST(half_sent_messages_are_bounded_in_sum_and_all_come_to_an_end),
        TEST(small_messages_go_on_while_large_ones_wait),
        TEST(what_a_finished_one_has_kept_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
