/* SPDX-License-Identifier: MIT */
#include "shardd/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/listener.h"
#include "io/peer.h"
#include "proto/endian.h"
#include "proto/pack.h"

#define MIB ((size_t)1 << 20)

enum { HELD_MAX = 1024, MOVE_ID = 77, GREETING = 4711 };

/*
 * A target on loopback that a test scripts: it notes what came, in order, and acknowledges it, or holds its answers
 * until it is told.
 */
struct world {
    struct loop *loop;
    struct listener *listener;
    struct timer *guard;
    struct timer *tick;
    bool (*is_reached)(const struct world *world);

    struct peer *target; /* the last that connected */
    uint32_t link_count; /* connections that are open */
    uint32_t begin_count;
    enum status begin_status;
    enum status data_status;
    const char *refusal; /* its words; NULL: "the test says so" */
    uint64_t begin_seq;  /* to be told; UINT64_MAX: what was processed */
    bool is_ready;
    bool is_holding;
    bool is_end_kept; /* import.end is not answered */
    uint32_t held[HELD_MAX];
    uint32_t held_count;
    uint64_t done_seq;
    uint32_t message_count;
    uint32_t empty_count;
    struct buffer received;
    uint32_t end_count;
    uint64_t end_seq;
    struct range_sum end_sum;
    uint64_t end_stamp;
    uint64_t end_ids_ms;

    struct stream *stream;
    uint64_t durable;
    struct buffer put; /* all that was put */
    uint32_t begun_count;
    uint32_t ready_count;
    char lost[300];
    uint64_t goal;
};

static struct world world;

/* --- the target --- */

static bool is_method(const struct rpc_message *message, const char *method)
{
    return bytes_equal(message->method, bytes_text(method));
}

static void refuse(struct peer *peer, const struct rpc_message *message, enum status status)
{
    peer_refuse(peer, message->msgid, status, world.refusal ? world.refusal : "the test says so");
}

static void on_begin(struct peer *peer, const struct rpc_message *message)
{
    struct unpack in = unpack_of(message->params);
    assert_int_equal(unpack_array(&in), 1);
    assert_int_equal(unpack_uint(&in), GREETING);
    world.begin_count++;
    world.held_count = 0;
    if (world.begin_status != STATUS_OK) {
        refuse(peer, message, world.begin_status);
        return;
    }
    struct buffer *out = peer_output(peer);
    rpc_response(out, message->msgid);
    pack_array(out, 2);
    pack_uint(out, world.begin_seq == UINT64_MAX ? world.done_seq : world.begin_seq);
    pack_bool(out, world.is_ready);
}

static void acknowledge(uint32_t msgid, uint64_t seq)
{
    struct buffer *out = peer_output(world.target);
    rpc_response(out, msgid);
    pack_array(out, 1);
    pack_uint(out, seq);
}

static void on_data(struct peer *peer, const struct rpc_message *message)
{
    struct unpack in = unpack_of(message->params);
    assert_int_equal(unpack_array(&in), 3);
    assert_int_equal(unpack_uint(&in), MOVE_ID);
    assert_int_equal(unpack_uint(&in), world.done_seq + 1);
    struct bytes items = unpack_text(&in);
    assert_true(unpack_is_done(&in));
    if (world.data_status != STATUS_OK) {
        refuse(peer, message, world.data_status);
        return;
    }
    world.done_seq++;
    world.message_count++;
    world.empty_count += items.len == 0;
    buffer_append_bytes(&world.received, items);
    if (world.is_holding) {
        assert_true(world.held_count < HELD_MAX);
        world.held[world.held_count++] = message->msgid;
    } else {
        acknowledge(message->msgid, world.done_seq);
    }
}

static void on_end(struct peer *peer, const struct rpc_message *message)
{
    struct unpack in = unpack_of(message->params);
    assert_int_equal(unpack_array(&in), 8);
    assert_int_equal(unpack_uint(&in), MOVE_ID);
    world.end_count++;
    world.end_seq = unpack_uint(&in);
    world.end_sum.records = unpack_uint(&in);
    world.end_sum.bytes = unpack_uint(&in);
    world.end_sum.high = unpack_uint(&in);
    world.end_sum.low = unpack_uint(&in);
    world.end_stamp = unpack_uint(&in);
    world.end_ids_ms = unpack_uint(&in);
    assert_true(unpack_is_done(&in));
    if (!world.is_end_kept) {
        rpc_response(peer_output(peer), message->msgid);
        pack_array(peer_output(peer), 0);
    }
}

static void on_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    (void)context;
    if (is_method(message, "import.begin")) {
        on_begin(peer, message);
    } else if (is_method(message, "import.data")) {
        on_data(peer, message);
    } else {
        assert_true(is_method(message, "import.end"));
        on_end(peer, message);
    }
}

static void on_close(void *context, struct peer *peer, const char *reason)
{
    (void)context, (void)reason;
    world.link_count--;
    world.target = world.target == peer ? NULL : world.target;
}

static const struct peer_handler target_handler = {NULL, on_request, on_close};

static void on_accept(void *context, struct conn *conn)
{
    (void)context;
    world.target = peer_accept(world.loop, conn, &target_handler, NULL);
    world.link_count++;
}

/* --- the stream's owner --- */

static void greet(void *context, struct buffer *out)
{
    (void)context;
    pack_array(out, 1);
    pack_uint(out, GREETING);
}

static void on_begun(void *context)
{
    (void)context;
    world.begun_count++;
}

static void on_ready(void *context)
{
    (void)context;
    world.ready_count++;
}

/* Frees it within the callback: nobody may touch it any more. */
static void on_lost(void *context, const char *reason)
{
    (void)context;
    (void)snprintf(world.lost, sizeof(world.lost), "%s", reason);
    stream_free(world.stream);
    world.stream = NULL;
}

/* --- running --- */

static void fail_late(void *context)
{
    (void)context;
    fail_msg("%s", "nothing happened for 20 s");
}

static void on_tick(void *context)
{
    (void)context;
    timer_set(world.tick, 1);
}

static void on_turn_end(void *context)
{
    (void)context;
    if (world.stream) {
        stream_turn(world.stream, world.durable);
    }
    if (world.is_reached(&world)) {
        loop_stop(world.loop);
    }
}

static void run_until(bool (*is_reached)(const struct world *world))
{
    world.is_reached = is_reached;
    timer_set(world.guard, 20000);
    timer_set(world.tick, 0);
    loop_run(world.loop);
    timer_clear(world.guard);
    timer_clear(world.tick);
}

static bool is_begun(const struct world *now)
{
    return now->begun_count > 0;
}

static bool is_empty(const struct world *now)
{
    return now->stream && stream_waiting(now->stream) == 0;
}

static bool has_goal(const struct world *now)
{
    return now->received.len >= now->goal;
}

static bool is_lost(const struct world *now)
{
    return now->lost[0] != '\0';
}

static bool is_finished(const struct world *now)
{
    return now->ready_count > 0;
}

static bool has_no_links(const struct world *now)
{
    return now->link_count == 0;
}

/* Some turns, in which all that is to happen would. */
static bool is_quiet(const struct world *now)
{
    static uint32_t turns;
    static size_t len;
    turns = now->received.len == len ? turns + 1 : 0;
    len = now->received.len;
    if (turns < 50) {
        return false;
    }
    turns = 0;
    return true;
}

static int set_up(void **state)
{
    (void)state;
    const struct address any_port = {"127.0.0.1", 0};
    char error[200];
    world = (struct world){.loop = loop_new(), .begin_seq = UINT64_MAX};
    world.guard = timer_new(world.loop, fail_late, NULL);
    world.tick = timer_new(world.loop, on_tick, NULL);
    const struct listener_config config = {&any_port, 10, on_accept, NULL};
    world.listener = listener_open(world.loop, &config, error, sizeof(error));
    assert_non_null(world.listener);
    loop_on_turn_end(world.loop, on_turn_end, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stream_free(world.stream);
    world.stream = NULL;
    run_until(has_no_links);
    listener_close(world.listener);
    timer_free(world.guard);
    timer_free(world.tick);
    loop_free(world.loop);
    buffer_fini(&world.received);
    buffer_fini(&world.put);
    return 0;
}

static void start_with(uint64_t waiting_len_max)
{
    const struct stream_config config = {
        .loop = world.loop,
        .waiting_len_max = waiting_len_max,
        .target = *listener_address(world.listener),
        .id = MOVE_ID,
        .greet = greet,
        .on_begun = on_begun,
        .on_ready = on_ready,
        .on_lost = on_lost,
    };
    world.stream = stream_new(&config);
}

static void start(void)
{
    start_with(0);
}

static void start_and_begin(void)
{
    start();
    run_until(is_begun);
}

/* A run of items: of records, as a slice is, or of operations. What it holds tells its place. */
static void put(uint8_t item, size_t len, uint64_t need)
{
    static uint32_t number;
    struct buffer items = {0};
    uint8_t *to = buffer_reserve(&items, len);
    assert_non_null(to);
    memset(to, 0, len);
    endian_put_le32(to + 1, number++);
    to[0] = item;
    items.len = len;
    buffer_append_bytes(&world.put, buffer_bytes(&items));
    stream_put(world.stream, &items, need);
    assert_null(items.data);
}

static void check_received(void)
{
    assert_true(bytes_equal(buffer_bytes(&world.received), buffer_bytes(&world.put)));
}

static void break_link(void)
{
    peer_close(world.target, "the test breaks it");
}

/* --- tests --- */

static void what_was_put_arrives_in_order_in_few_messages(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 5000; i++) {
        put(STREAM_OPERATION, 10 + (size_t)i % 100, 0);
    }
    put(STREAM_RECORD, MIB, 0);
    put(STREAM_OPERATION, 10, 0);
    run_until(is_empty);
    check_received();
    assert_true(world.message_count < 10);
    assert_int_equal(world.begin_count, 1);
    assert_int_equal(world.begun_count, 1);
    struct stream_stat stat;
    stream_stat(world.stream, &stat);
    assert_int_equal(stat.sent_len, world.put.len);
    assert_int_equal(stat.waiting_len, 0);
}

/* RULES V1. What is durable behind it waits, too: there is one order. */
static void nothing_leaves_before_it_is_durable(void **state)
{
    (void)state;
    start_and_begin();
    put(STREAM_OPERATION, 100, 5);
    put(STREAM_OPERATION, 100, 10);
    put(STREAM_RECORD, 100, 3);
    run_until(is_quiet);
    assert_int_equal(world.received.len, 0);
    world.durable = 9;
    run_until(is_quiet);
    assert_int_equal(world.received.len, 100);
    world.durable = 10;
    run_until(is_empty);
    check_received();
}

static void what_is_on_the_way_is_bounded(void **state)
{
    (void)state;
    start_and_begin();
    world.is_holding = true;
    assert_true(stream_has_room(world.stream));
    for (int i = 0; i < 48; i++) {
        put(STREAM_RECORD, MIB, 0);
    }
    assert_false(stream_has_room(world.stream));
    run_until(is_quiet);
    assert_int_equal(world.received.len, STREAM_WAITING_LEN_MAX / 2);
    world.is_holding = false;
    acknowledge(world.held[world.held_count - 1], world.done_seq);
    run_until(is_empty);
    check_received();
    assert_true(stream_has_room(world.stream));
}

/* RULES F3: a server with little memory sends less at a time, and a large value all the same. */
static void with_a_small_cap_less_is_on_the_way(void **state)
{
    (void)state;
    start_with(4 * MIB);
    run_until(is_begun);
    world.is_holding = true;
    for (int i = 0; i < 3; i++) {
        put(STREAM_RECORD, MIB, 0);
    }
    assert_false(stream_has_room(world.stream));
    run_until(is_quiet);
    assert_int_equal(world.received.len, 2 * MIB);
    world.is_holding = false;
    acknowledge(world.held[world.held_count - 1], world.done_seq);
    run_until(is_empty);
    assert_true(stream_has_room(world.stream));
    put(STREAM_RECORD, 8 * MIB, 0);
    assert_false(stream_has_room(world.stream));
    run_until(is_empty);
    check_received();
}

/* Small ones, too: as many as a connection has room for. */
static void messages_on_the_way_are_few_and_those_that_wait_become_one(void **state)
{
    (void)state;
    start_and_begin();
    world.is_holding = true;
    for (uint64_t i = 1; i <= 2000; i++) {
        put(STREAM_OPERATION, 20, i);
        world.durable = i;
        stream_turn(world.stream, i);
    }
    run_until(is_quiet);
    assert_true(world.message_count <= 256);
    world.is_holding = false;
    acknowledge(world.held[world.held_count - 1], world.done_seq);
    run_until(is_empty);
    check_received();
    assert_true(world.message_count <= 256 + 1);
}

static bool has_room(const struct world *now)
{
    return stream_has_room(now->stream);
}

static void a_pace_holds_up_slices_and_no_changes(void **state)
{
    (void)state;
    start_and_begin();
    uint64_t begun_us = clock_mono_us();
    stream_pace(world.stream, 10 * MIB, false);
    put(STREAM_OPERATION, MIB, 0);
    assert_true(stream_has_room(world.stream));
    put(STREAM_RECORD, MIB, 0);
    assert_false(stream_has_room(world.stream));
    run_until(has_room);
    assert_true(clock_mono_us() - begun_us >= 100000);
    put(STREAM_RECORD, MIB, 0);
    stream_pace(world.stream, 0, false);
    assert_true(stream_has_room(world.stream));
    run_until(is_empty);
    check_received();
}

/* The first one was of a megabyte, at once, whatever the pace, and so was each after it. */
static void a_slice_is_a_quarter_of_a_second_of_the_pace_at_most(void **state)
{
    (void)state;
    start_and_begin();
    assert_int_equal(stream_slice_len(world.stream), 0);
    stream_pace(world.stream, 500000, false);
    assert_int_equal(stream_slice_len(world.stream), 125000);
    stream_pace(world.stream, 1, false);
    assert_int_equal(stream_slice_len(world.stream), 1);
    stream_pace(world.stream, 0, false);
    assert_int_equal(stream_slice_len(world.stream), 0);
}

/* It was 0 until a second had passed, and whenever one had passed without a slice. */
static void the_rate_is_that_of_what_was_acknowledged_from_the_first_on(void **state)
{
    (void)state;
    struct stream_stat stat;
    uint64_t before_us = clock_mono_us();
    start_and_begin();
    uint64_t begun_us = clock_mono_us();
    stream_pace(world.stream, MIB, false);
    for (int i = 0; i < 2; i++) {
        put(STREAM_RECORD, MIB / 8, 0);
        run_until(has_room);
    }
    run_until(is_empty);
    uint64_t least_us = clock_mono_us() - begun_us;
    stream_stat(world.stream, &stat);
    uint64_t most_us = clock_mono_us() - before_us + 1000;
    assert_true(stat.bytes_per_s >= world.put.len * 1000000 / most_us);
    assert_true(stat.bytes_per_s <= world.put.len * 1000000 / (least_us - 2000));
}

static void no_slice_begins_while_it_rests_and_then_there_is_a_turn(void **state)
{
    (void)state;
    start_and_begin();
    uint64_t begun_us = clock_mono_us();
    stream_rest(world.stream, 20000);
    assert_false(stream_has_room(world.stream));
    put(STREAM_OPERATION, 100, 0);
    run_until(has_room);
    assert_true(clock_mono_us() - begun_us >= 20000);
    run_until(is_empty);
    check_received();
}

/* RULES V7. */
static void what_is_paused_is_the_hand_and_not_the_changes(void **state)
{
    (void)state;
    start_and_begin();
    stream_pace(world.stream, 0, true);
    assert_false(stream_has_room(world.stream));
    put(STREAM_OPERATION, 100, 0);
    run_until(is_empty);
    check_received();
    stream_pace(world.stream, 0, false);
    assert_true(stream_has_room(world.stream));
}

/* RULES V3: what the target has is not sent again, though it was never acknowledged. */
static void a_broken_link_goes_on_where_the_target_is(void **state)
{
    (void)state;
    start_and_begin();
    world.is_holding = true;
    for (int i = 0; i < 4; i++) {
        put(STREAM_RECORD, MIB, 0);
    }
    world.goal = 4 * MIB;
    run_until(has_goal);
    for (int round = 0; round < 3; round++) {
        break_link();
        world.is_holding = round < 2;
        put(STREAM_OPERATION, 100, 0);
        put(STREAM_RECORD, MIB, 0);
        world.goal = world.put.len;
        run_until(has_goal);
    }
    run_until(is_empty);
    check_received();
    assert_int_equal(world.begin_count, 4);
    assert_int_equal(world.begun_count, 1);
}

static void a_target_that_cannot_be_reached_is_tried_again(void **state)
{
    (void)state;
    start_and_begin();
    struct address address = *listener_address(world.listener);
    listener_close(world.listener);
    break_link();
    put(STREAM_RECORD, MIB, 0);
    run_until(is_quiet);
    char error[200];
    const struct listener_config config = {&address, 10, on_accept, NULL};
    world.listener = listener_open(world.loop, &config, error, sizeof(error));
    assert_non_null(world.listener);
    run_until(is_empty);
    check_received();
    assert_false(is_lost(&world));
}

/* RULES V3: what it had acknowledged is not here any more. */
static void a_target_that_has_begun_anew_is_a_loss(void **state)
{
    (void)state;
    start_and_begin();
    put(STREAM_RECORD, 100, 0);
    run_until(is_empty);
    world.begin_seq = 0;
    break_link();
    run_until(is_lost);
    assert_string_equal(world.lost, "the target has begun anew");
}

static void a_target_that_is_to_be_asked_later_is(void **state)
{
    (void)state;
    world.begin_status = STATUS_TRY_LATER;
    start();
    run_until(is_quiet);
    assert_true(world.begin_count > 0);
    assert_int_equal(world.begun_count, 0);
    world.begin_status = STATUS_OK;
    put(STREAM_RECORD, 100, 0);
    run_until(is_empty);
    check_received();
    world.data_status = STATUS_SHUTTING_DOWN;
    put(STREAM_RECORD, 100, 0);
    run_until(is_quiet);
    world.data_status = STATUS_OK;
    run_until(is_empty);
    check_received();
    assert_int_equal(world.begun_count, 1);
}

static void any_other_refusal_is_a_loss(void **state)
{
    (void)state;
    world.begin_status = STATUS_CONFLICT;
    start();
    run_until(is_lost);
    assert_string_equal(world.lost, "the target refuses: CONFLICT: the test says so");
    world.lost[0] = '\0';
    world.begin_status = STATUS_OK;
    world.data_status = STATUS_FULL;
    start_and_begin();
    put(STREAM_RECORD, 100, 0);
    run_until(is_lost);
    assert_string_equal(world.lost, "the target refuses: FULL: the test says so");
}

static void a_refusal_of_many_words_is_cut_at_its_end(void **state)
{
    (void)state;
    static const char begins[] = "the target refuses: CONFLICT: xxxx";
    char words[257];
    memset(words, 'x', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    world.refusal = words;
    world.begin_status = STATUS_CONFLICT;
    start();
    run_until(is_lost);
    assert_memory_equal(world.lost, begins, sizeof(begins) - 1);
}

static void a_target_that_has_what_it_was_not_sent_is_a_loss(void **state)
{
    (void)state;
    world.begin_seq = 1;
    start();
    run_until(is_lost);
    world.lost[0] = '\0';
    world.begin_seq = UINT64_MAX;
    world.is_holding = true;
    start_and_begin();
    put(STREAM_RECORD, 100, 0);
    world.goal = 100;
    run_until(has_goal);
    acknowledge(world.held[0], 2);
    run_until(is_lost);
    assert_string_equal(world.lost, "the target acknowledges what it was not sent");
    world.lost[0] = '\0';
    world.is_ready = true;
    start();
    run_until(is_lost);
    assert_string_equal(world.lost, "the target has an end that was not sent");
}

/* RULES V7: below the cap it is waited for. */
static void no_acknowledgement_for_a_second_at_the_cap_is_a_loss(void **state)
{
    (void)state;
    start_and_begin();
    world.is_holding = true;
    for (int i = 0; i < 63; i++) {
        put(STREAM_RECORD, MIB, 0);
    }
    run_until(is_quiet);
    uint64_t begun_ms = clock_mono_ms();
    put(STREAM_OPERATION, MIB, 0);
    run_until(is_quiet);
    acknowledge(world.held[0], 1);
    put(STREAM_OPERATION, MIB, 0);
    uint64_t full_ms = clock_mono_ms();
    run_until(is_lost);
    assert_true(clock_mono_ms() - begun_ms >= 1000);
    assert_true(clock_mono_ms() - full_ms >= 950);
}

static bool is_empty_twice_asked(const struct world *now)
{
    return now->empty_count >= 2;
}

static void a_link_without_anything_to_send_is_asked_whether_it_is_there(void **state)
{
    (void)state;
    start_and_begin();
    put(STREAM_RECORD, 100, 0);
    run_until(is_empty);
    uint64_t heard_ms = stream_heard_ms(world.stream);
    assert_true(heard_ms > 0);
    run_until(is_empty_twice_asked);
    run_until(is_quiet);
    assert_true(stream_heard_ms(world.stream) >= heard_ms + STREAM_PING_MS);
    put(STREAM_RECORD, 100, 0);
    run_until(is_empty);
    check_received();
}

#define SOME_STAMP  UINT64_C(123456789)
#define SOME_IDS_MS 4711

static const struct range_sum some_sum = {1, 2, UINT64_MAX, 4};

static void the_end_comes_behind_all_and_is_answered_when_ready(void **state)
{
    (void)state;
    start_and_begin();
    world.is_holding = true;
    for (int i = 0; i < 3; i++) {
        put(STREAM_RECORD, MIB, 0);
    }
    stream_end(world.stream, &some_sum, SOME_STAMP, SOME_IDS_MS);
    run_until(is_finished);
    check_received();
    assert_int_equal(world.end_count, 1);
    assert_int_equal(world.end_seq, world.done_seq + 1);
    assert_true(range_sum_equal(&world.end_sum, &some_sum));
    assert_int_equal(world.end_stamp, SOME_STAMP);
    assert_int_equal(world.end_ids_ms, SOME_IDS_MS);
    run_until(is_quiet);
    assert_int_equal(world.empty_count, 0);
    assert_int_equal(world.ready_count, 1);
}

static bool is_end_there(const struct world *now)
{
    return now->end_count > 0;
}

/* It may be ready, or not yet have had the end. */
static void an_end_whose_answer_is_lost_is_asked_for(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        start_and_begin();
        put(STREAM_RECORD, 100, 0);
        world.is_end_kept = true;
        world.end_count = 0;
        world.empty_count = 0;
        stream_end(world.stream, &some_sum, SOME_STAMP, SOME_IDS_MS);
        run_until(is_end_there);
        for (int round = 0; round < 3; round++) {
            run_until(is_quiet);
        }
        assert_int_equal(world.empty_count, 0); /* behind the end comes nothing */
        world.is_ready = i == 0;
        world.is_end_kept = i == 0;
        world.ready_count = 0;
        break_link();
        run_until(is_finished);
        assert_int_equal(world.end_count, i == 0 ? 1 : 2);
        stream_free(world.stream);
        world.stream = NULL;
        run_until(has_no_links);
        world.is_ready = false;
        world.done_seq = 0;
        world.begun_count = 0;
    }
}

/* RULES V7: operations wait for it, and a target that answers all else would keep them waiting without an end. */
static void an_end_without_an_answer_for_three_seconds_is_a_loss(void **state)
{
    (void)state;
    start_and_begin();
    put(STREAM_RECORD, 100, 0);
    world.is_end_kept = true;
    uint64_t end_ms = clock_mono_ms();
    stream_end(world.stream, &some_sum, SOME_STAMP, SOME_IDS_MS);
    run_until(is_lost);
    assert_in_range(clock_mono_ms() - end_ms, 3000, 9000);
    assert_string_equal(world.lost, "the target takes too long: it has not said that it has all");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_arrives_in_order_in_few_messages),
        TEST(nothing_leaves_before_it_is_durable),
        TEST(what_is_on_the_way_is_bounded),
        TEST(with_a_small_cap_less_is_on_the_way),
        TEST(messages_on_the_way_are_few_and_those_that_wait_become_one),
        TEST(a_pace_holds_up_slices_and_no_changes),
        TEST(a_slice_is_a_quarter_of_a_second_of_the_pace_at_most),
        TEST(the_rate_is_that_of_what_was_acknowledged_from_the_first_on),
        TEST(no_slice_begins_while_it_rests_and_then_there_is_a_turn),
        TEST(what_is_paused_is_the_hand_and_not_the_changes),
        TEST(a_broken_link_goes_on_where_the_target_is),
        TEST(a_target_that_cannot_be_reached_is_tried_again),
        TEST(a_target_that_has_begun_anew_is_a_loss),
        TEST(a_target_that_is_to_be_asked_later_is),
        TEST(any_other_refusal_is_a_loss),
        TEST(a_refusal_of_many_words_is_cut_at_its_end),
        TEST(a_target_that_has_what_it_was_not_sent_is_a_loss),
        TEST(no_acknowledgement_for_a_second_at_the_cap_is_a_loss),
        TEST(a_link_without_anything_to_send_is_asked_whether_it_is_there),
        TEST(the_end_comes_behind_all_and_is_answered_when_ready),
        TEST(an_end_whose_answer_is_lost_is_asked_for),
        TEST(an_end_without_an_answer_for_three_seconds_is_a_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
