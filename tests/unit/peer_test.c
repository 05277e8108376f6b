/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/listener.h"
#include "io/peer.h"
#include "proto/pack.h"
#include "tests/unit/plain_socket.h"

#define MIB      (1u << 20)
#define HELD_MAX 8

/*
 * A server whose methods are: echo (gives its params back), large (1 MiB), keep (does not answer; the
 * test does), close (closes the connection), note (counts). The other end is a peer, too, whose only
 * method is echo, or a plain socket.
 */
struct world {
    struct loop *loop;
    struct listener *listener;
    struct timer *guard;
    struct timer *tick;
    struct peer *server;
    struct peer *client;

    uint32_t kept[HELD_MAX]; /* msgids */
    unsigned kept_count;
    unsigned request_count;
    unsigned note_count;
    unsigned open_count;
    unsigned server_close_count;
    unsigned client_close_count;
    char reason[100];

    unsigned reply_count;
    unsigned failure_count;
    unsigned replies_wanted;
    char order[32]; /* contexts of the replies, as they came */
    bool (*is_reached)(const struct world *world);
};

static struct world world;

/* --- the two handlers --- */

static bool is_method(const struct rpc_message *message, const char *method)
{
    return bytes_equal(message->method, bytes_text(method));
}

static void echo(struct peer *peer, const struct rpc_message *message)
{
    struct buffer *output = peer_output(peer);
    rpc_response(output, message->msgid);
    pack_encoded(output, message->params);
}

static void on_server_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    (void)context;
    static const uint8_t large[MIB];
    world.request_count++;
    if (is_method(message, "echo")) {
        echo(peer, message);
    } else if (is_method(message, "large")) {
        rpc_response(peer_output(peer), message->msgid);
        pack_bin(peer_output(peer), bytes_of(large, sizeof(large)));
    } else if (is_method(message, "keep")) {
        world.kept[world.kept_count++ % HELD_MAX] = message->msgid;
    } else if (is_method(message, "close")) {
        peer_close(peer, "asked to");
    } else if (is_method(message, "note")) {
        assert_int_equal(message->type, RPC_NOTIFICATION);
        world.note_count++;
    } else {
        peer_refuse(peer, message->msgid, STATUS_UNKNOWN_METHOD, "no such method");
    }
}

static void on_server_close(void *context, struct peer *peer, const char *reason)
{
    (void)context;
    (void)peer;
    world.server_close_count++;
    world.server = NULL;
    (void)snprintf(world.reason, sizeof(world.reason), "%s", reason);
}

static void on_client_open(void *context, struct peer *peer)
{
    (void)context;
    (void)peer;
    world.open_count++;
}

static void on_client_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    (void)context;
    assert_true(is_method(message, "echo"));
    echo(peer, message);
}

static void on_client_close(void *context, struct peer *peer, const char *reason)
{
    (void)context;
    (void)peer;
    (void)reason;
    world.client_close_count++;
    world.client = NULL;
}

static const struct peer_handler server_handler = {NULL, on_server_request, on_server_close};
static const struct peer_handler client_handler = {on_client_open, on_client_request,
                                                   on_client_close};

static void on_accept(void *context, struct conn *conn)
{
    (void)context;
    world.server = peer_accept(world.loop, conn, &server_handler, NULL);
}

/* --- running --- */

static void fail_late(void *context)
{
    (void)context;
    fail_msg("%s", "nothing happened for 60 s");
}

static void on_tick(void *context)
{
    (void)context;
    timer_set(world.tick, 1);
}

static void on_turn_end(void *context)
{
    (void)context;
    if (world.is_reached(&world)) {
        loop_stop(world.loop);
    }
}

static void run_until(bool (*is_reached)(const struct world *world))
{
    world.is_reached = is_reached;
    timer_set(world.guard, 60000);
    timer_set(world.tick, 0);
    loop_run(world.loop);
    timer_clear(world.guard);
    timer_clear(world.tick);
}

static bool is_accepted(const struct world *now)
{
    return now->server != NULL;
}

static bool is_connected(const struct world *now)
{
    return now->server != NULL && now->open_count > 0;
}

static bool is_answered(const struct world *now)
{
    return now->reply_count + now->failure_count >= now->replies_wanted;
}

static bool has_kept_two(const struct world *now)
{
    return now->kept_count >= 2;
}

static bool has_note(const struct world *now)
{
    return now->note_count > 0;
}

static bool is_server_closed(const struct world *now)
{
    return now->server_close_count > 0;
}

static bool are_both_closed(const struct world *now)
{
    return now->server == NULL && now->client == NULL;
}

static int set_up(void **state)
{
    (void)state;
    const struct address any_port = {"127.0.0.1", 0};
    char error[200];
    world = (struct world){.loop = loop_new()};
    world.guard = timer_new(world.loop, fail_late, NULL);
    world.tick = timer_new(world.loop, on_tick, NULL);
    const struct listener_config config = {&any_port, 10, on_accept, NULL};
    world.listener = listener_open(world.loop, &config, error, 200);
    assert_non_null(world.listener);
    loop_on_turn_end(world.loop, on_turn_end, NULL);
    return 0;
}

static int set_up_client(void **state)
{
    set_up(state);
    world.client =
        peer_connect(world.loop, listener_address(world.listener), &client_handler, NULL);
    run_until(is_connected);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (world.server != NULL) {
        peer_close(world.server, "the test is over");
    }
    if (world.client != NULL) {
        peer_close(world.client, "the test is over");
    }
    run_until(are_both_closed);
    listener_close(world.listener);
    timer_free(world.guard);
    timer_free(world.tick);
    loop_free(world.loop);
    return 0;
}

/* --- calls --- */

/* `context` is a letter, and the first byte of the array that was sent. */
static void on_reply(void *context, const struct rpc_message *message)
{
    char letter = *(const char *)context;
    if (message == NULL) {
        letter = '-';
        world.failure_count++;
    } else {
        world.reply_count++;
    }
    size_t len = strlen(world.order);
    if (len + 1 < sizeof(world.order)) {
        world.order[len] = letter;
    }
    if (message != NULL && message->code == STATUS_OK) {
        struct unpack in = unpack_of(message->result);
        if (unpack_peek(&in) == UNPACK_ARRAY) {
            assert_int_equal(unpack_array(&in), 1);
            assert_true(bytes_equal(unpack_text(&in), bytes_of(context, 1)));
        }
    }
}

static void call(struct peer *peer, const char *method, const char *letter, uint32_t timeout_ms)
{
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_str(&params, bytes_of(letter, 1));
    peer_call(peer, method, buffer_bytes(&params), timeout_ms, on_reply, (void *)(uintptr_t)letter);
    buffer_fini(&params);
    world.replies_wanted++;
}

static void answer_kept(unsigned index, const char *letter)
{
    struct buffer *output = peer_output(world.server);
    rpc_response(output, world.kept[index]);
    pack_array(output, 1);
    pack_str(output, bytes_of(letter, 1));
}

static void calls_go_both_ways(void **state)
{
    (void)state;
    call(world.client, "echo", "a", 10000);
    call(world.server, "echo", "b", 10000);
    call(world.client, "echo", "c", 10000);
    run_until(is_answered);
    assert_int_equal(world.reply_count, 3);
    assert_int_equal(world.failure_count, 0);
}

static void what_is_called_before_the_connection_is_there_is_sent_then(void **state)
{
    (void)state;
    world.client =
        peer_connect(world.loop, listener_address(world.listener), &client_handler, NULL);
    call(world.client, "echo", "a", 10000);
    run_until(is_answered);
    assert_int_equal(world.open_count, 1);
    assert_string_equal(world.order, "a");
}

static void responses_may_come_in_another_order(void **state)
{
    (void)state;
    call(world.client, "keep", "a", 10000);
    call(world.client, "keep", "b", 10000);
    run_until(has_kept_two);
    answer_kept(1, "b");
    answer_kept(0, "a");
    answer_kept(0, "x"); /* a second time: ignored */
    run_until(is_answered);
    assert_string_equal(world.order, "ba");
}

static bool is_one_answered(const struct world *now)
{
    return now->reply_count == 1;
}

static void replies_leave_when_their_tickets_are_released(void **state)
{
    (void)state;
    call(world.client, "keep", "a", 60000);
    call(world.client, "keep", "b", 60000);
    run_until(has_kept_two);
    answer_kept(1, "b");
    peer_output_until(world.server, 1);
    answer_kept(0, "a");
    peer_output_until(world.server, 2);
    conn_release(world.loop, 1);
    run_until(is_one_answered);
    assert_string_equal(world.order, "b");
    assert_true(conn_output_total(world.loop) > 0);
    conn_release(world.loop, 2);
    run_until(is_answered);
    assert_string_equal(world.order, "ba");
    peer_output_until(world.server, 3); /* of nothing more */
    call(world.client, "echo", "c", 60000);
    run_until(is_answered);
    assert_string_equal(world.order, "bac");
}

static void a_call_that_is_not_answered_in_time_fails(void **state)
{
    (void)state;
    call(world.client, "keep", "a", 1);
    call(world.client, "keep", "b", 20000);
    call(world.client, "keep", "c", 3);
    world.replies_wanted = 2;
    run_until(is_answered);
    assert_string_equal(world.order, "--");
    assert_int_equal(world.kept_count, 3);

    /* Late answers must not be taken for those of later calls. */
    answer_kept(0, "a");
    answer_kept(2, "c");
    answer_kept(1, "b");
    call(world.client, "echo", "d", 10000);
    world.replies_wanted = 4;
    run_until(is_answered);
    assert_string_equal(world.order, "--bd");
}

static void errors_reach_the_caller(void **state)
{
    (void)state;
    call(world.client, "nonsense", "a", 10000);
    run_until(is_answered);
    assert_int_equal(world.reply_count, 1);
}

static void a_notification_has_no_response(void **state)
{
    (void)state;
    rpc_notification(peer_output(world.client), "note");
    pack_array(peer_output(world.client), 0);
    run_until(has_note);
    assert_int_equal(world.request_count, 1);
}

static void calls_over_the_limit_fail(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PEER_CALLS_MAX + 100; i++) {
        call(world.client, "echo", "a", 60000);
    }
    assert_int_equal(world.reply_count + world.failure_count, 0);
    run_until(is_answered);
    assert_int_equal(world.reply_count, PEER_CALLS_MAX);
    assert_int_equal(world.failure_count, 100);
}

static void large_replies_to_many_small_requests_wait_until_they_are_read(void **state)
{
    (void)state;
    /* All requests are read in one turn; their replies are over CONN_OUTPUT_MAX. */
    for (unsigned i = 0; i < 100; i++) {
        call(world.client, "large", "a", 60000);
    }
    run_until(is_answered);
    assert_int_equal(world.reply_count, 100);
    assert_int_equal(world.server_close_count, 0);
}

/* --- the end --- */

static void open_calls_fail_once_when_the_connection_ends(void **state)
{
    (void)state;
    call(world.client, "keep", "a", 10000);
    call(world.client, "keep", "b", 10000);
    run_until(has_kept_two);
    peer_close(world.server, "going");
    assert_int_equal(world.server_close_count, 0);
    run_until(are_both_closed);
    assert_string_equal(world.order, "--");
    assert_int_equal(world.client_close_count, 1);
    assert_string_equal(world.reason, "going");
}

static void a_closed_peer_that_is_held_swallows_output_and_fails_calls(void **state)
{
    (void)state;
    struct peer *server = world.server;
    char remote[100];
    (void)snprintf(remote, sizeof(remote), "%s", peer_remote(server));
    peer_set_data(server, &world);
    peer_hold(server);
    peer_close(world.client, "going");
    run_until(are_both_closed);
    assert_false(peer_is_open(server));
    assert_string_equal(peer_remote(server), remote);
    assert_ptr_equal(peer_data(server), &world);

    peer_refuse(server, 1, STATUS_TRY_LATER, "nobody hears this");
    peer_close(server, "again");
    peer_finish(server, "again");
    call(server, "echo", "a", 10000);
    assert_int_equal(world.failure_count, 0); /* not inside the call */
    peer_release(server);
    run_until(is_answered);
    assert_int_equal(world.failure_count, 1);
}

static void requests_behind_one_that_closes_are_not_carried_out(void **state)
{
    (void)state;
    call(world.client, "echo", "a", 10000);
    call(world.client, "close", "b", 10000);
    call(world.client, "echo", "c", 10000);
    run_until(are_both_closed);
    assert_int_equal(world.request_count, 2);
    assert_int_equal(world.failure_count, 3);
}

static void finishing_sends_what_was_answered(void **state)
{
    (void)state;
    call(world.client, "keep", "a", 10000);
    call(world.client, "keep", "b", 10000);
    run_until(has_kept_two);
    answer_kept(0, "a");
    peer_finish(world.server, "stopping");
    assert_false(peer_is_open(world.server));
    run_until(are_both_closed);
    assert_string_equal(world.order, "a-");
    assert_string_equal(world.reason, "stopping");
}

/* --- bytes from a plain socket --- */

static int connect_plainly(void)
{
    int fd = plain_socket_connect(listener_address(world.listener));
    run_until(is_accepted);
    return fd;
}

static const uint8_t echo_request[] = {0x94, 0x00, 0x07, 0xa4, 'e', 'c', 'h', 'o', 0x91, 0x05};
static const uint8_t echo_response[] = {0x94, 0x01, 0x07, 0xc0, 0x91, 0x05};

static bool has_request(const struct world *now)
{
    return now->request_count > 0;
}

static unsigned idle_turns;

static bool was_idle(const struct world *now)
{
    (void)now;
    return ++idle_turns % 5 == 0;
}

static void a_request_may_come_in_any_two_pieces(void **state)
{
    (void)state;
    int fd = connect_plainly();
    for (size_t cut = 1; cut < sizeof(echo_request); cut++) {
        uint8_t response[20];
        world.request_count = 0;
        assert_int_equal(send(fd, echo_request, cut, MSG_NOSIGNAL), cut);
        run_until(was_idle);
        assert_int_equal(world.request_count, 0);
        size_t rest = sizeof(echo_request) - cut;
        assert_int_equal(send(fd, echo_request + cut, rest, MSG_NOSIGNAL), rest);
        run_until(has_request);
        ssize_t len = recv(fd, response, sizeof(response), 0);
        assert_int_equal(len, sizeof(echo_response));
        assert_memory_equal(response, echo_response, sizeof(echo_response));
    }
    close(fd);
}

static void a_request_cut_in_the_middle_is_not_carried_out(void **state)
{
    (void)state;
    int fd = connect_plainly();
    assert_int_equal(send(fd, echo_request, sizeof(echo_request) - 1, MSG_NOSIGNAL),
                     sizeof(echo_request) - 1);
    close(fd);
    run_until(is_server_closed);
    assert_int_equal(world.request_count, 0);
    assert_string_equal(world.reason, "closed by the other side");
}

/* Sends a whole request, then what is no frame: an echo, an error with msgid 0, and the end come. */
static void expect_rejection(const void *bad, size_t bad_len, enum status code)
{
    uint8_t answer[500];
    size_t answer_len = 0;
    ssize_t received = 1;
    world.server_close_count = 0;
    world.request_count = 0;
    int fd = connect_plainly();
    assert_int_equal(send(fd, echo_request, sizeof(echo_request), MSG_NOSIGNAL),
                     sizeof(echo_request));
    assert_int_equal(send(fd, bad, bad_len, MSG_NOSIGNAL), bad_len);
    run_until(is_server_closed);
    while (received > 0) {
        received = recv(fd, answer + answer_len, sizeof(answer) - answer_len, 0);
        assert_true(received >= 0);
        answer_len += (size_t)received;
    }
    close(fd);
    assert_int_equal(world.request_count, 1);
    assert_true(answer_len > sizeof(echo_response));
    assert_memory_equal(answer, echo_response, sizeof(echo_response));
    struct rpc_message message;
    struct bytes error =
        bytes_of(answer + sizeof(echo_response), answer_len - sizeof(echo_response));
    assert_int_equal(rpc_decode(error, &message), UNPACK_FINE);
    assert_int_equal(message.type, RPC_RESPONSE);
    assert_int_equal(message.msgid, 0);
    assert_int_equal(message.code, code);
    assert_true(bytes_equal(message.text, bytes_text(world.reason)));
}

static void what_is_no_frame_is_answered_and_ends_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t len;
        enum status code;
        uint8_t bytes[12];
    } bads[] = {
        {"no such byte", 1, STATUS_INVALID, {0xc1}},
        {"no array", 1, STATUS_INVALID, {0x05}},
        {"an empty array", 1, STATUS_INVALID, {0x90}},
        {"an unknown type", 5, STATUS_INVALID, {0x94, 0x03, 0x01, 0xa0, 0x90}},
        {"a method that is no str", 5, STATUS_INVALID, {0x94, 0x00, 0x01, 0x02, 0x90}},
        {"params that are no array", 5, STATUS_INVALID, {0x94, 0x00, 0x01, 0xa0, 0x80}},
        {"HTTP", 6, STATUS_INVALID, "GET / "},
        {"a huge array", 5, STATUS_TOO_LARGE, {0xdd, 0xff, 0xff, 0xff, 0xff}},
        {"a huge str", 9, STATUS_TOO_LARGE, {0x94, 0, 1, 0xa0, 0xdb, 0xff, 0xff, 0xff, 0xff}},
        {"9 MiB", 9, STATUS_TOO_LARGE, {0x94, 0, 1, 0xa0, 0xc6, 0x00, 0x90, 0x00, 0x00}},
    };
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        expect_rejection(bads[i].bytes, bads[i].len, bads[i].code);
    }
}

static void nesting_too_deep_is_answered_and_ends_the_connection(void **state)
{
    (void)state;
    uint8_t deep[5 + 40] = {0x94, 0x00, 0x01, 0xa0};
    memset(deep + 4, 0x91, sizeof(deep) - 5);
    expect_rejection(deep, sizeof(deep), STATUS_INVALID);
}

static void an_error_arrives_even_while_a_too_large_frame_is_still_being_sent(void **state)
{
    (void)state;
    static uint8_t frame[200000] = {0x94, 0, 1, 0xa0, 0xc6, 0x00, 0x90, 0x00, 0x00};
    expect_rejection(frame, sizeof(frame), STATUS_TOO_LARGE);
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, set_up_client, tear_down)
#define PLAIN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        TEST(calls_go_both_ways),
        PLAIN_TEST(what_is_called_before_the_connection_is_there_is_sent_then),
        TEST(responses_may_come_in_another_order),
        TEST(replies_leave_when_their_tickets_are_released),
        TEST(a_call_that_is_not_answered_in_time_fails),
        TEST(errors_reach_the_caller),
        TEST(a_notification_has_no_response),
        TEST(calls_over_the_limit_fail),
        TEST(large_replies_to_many_small_requests_wait_until_they_are_read),
        TEST(open_calls_fail_once_when_the_connection_ends),
        TEST(a_closed_peer_that_is_held_swallows_output_and_fails_calls),
        TEST(requests_behind_one_that_closes_are_not_carried_out),
        TEST(finishing_sends_what_was_answered),
        PLAIN_TEST(a_request_may_come_in_any_two_pieces),
        PLAIN_TEST(a_request_cut_in_the_middle_is_not_carried_out),
        PLAIN_TEST(what_is_no_frame_is_answered_and_ends_the_connection),
        PLAIN_TEST(nesting_too_deep_is_answered_and_ends_the_connection),
        PLAIN_TEST(an_error_arrives_even_while_a_too_large_frame_is_still_being_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
