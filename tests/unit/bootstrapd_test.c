/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bootstrapd/server.h"
#include "io/listener.h"
#include "io/logline.h"
#include "io/peer.h"
#include "proto/map.h"
#include "proto/pack.h"
#include "tests/unit/call_reply.h"

/*
 * A bootstrapd on a loop, two servers made of io/peer that answer as shard servers do, and a
 * client. Shard "low" is on server 0, "high" on server 1.
 */

#define SERVER_COUNT   2
#define GUARD_MS       20000
#define CALL_MS        5000
#define CONNECTION_MAX 10

struct server {
    struct world *world;
    struct listener *listener;
    struct address address;
    uint8_t id[ID_LEN];
    uint64_t incarnation;
    bool opens;    /* new entries that are pushed */
    bool has_lost; /* what the others held */

    struct peer *peer;
    unsigned hello_count;
    bool was_greeted_with_cluster;
    uint8_t expected[ID_LEN];
    uint64_t term;
    unsigned push_count;
    struct map map; /* pushed last */
};

struct world {
    char path[64];
    char map_text[512];
    struct loop *loop;
    struct timer *guard;
    struct server servers[SERVER_COUNT];
    struct bootstrapd *bootstrapd;
    bool has_stopped;
    struct peer *client;
    unsigned notified_count;
    uint64_t notified_revision;
    uint32_t notified_entry_count;
    bool (*is_reached)(const struct world *world);
    char error[512];
};

/* --- running the loop --- */

static void on_guard(void *context)
{
    (void)context;
    fail_msg("what was waited for did not come");
}

static void on_turn_end(void *context)
{
    const struct world *world = context;
    if (world->is_reached && world->is_reached(world)) {
        loop_stop(world->loop);
    }
}

static void run_until(struct world *world, bool (*is_reached)(const struct world *world))
{
    world->is_reached = is_reached;
    timer_set(world->guard, GUARD_MS);
    loop_run(world->loop);
    timer_clear(world->guard);
    world->is_reached = NULL;
}

static void on_turn_timer(void *context)
{
    struct loop *loop = context;
    loop_stop(loop);
}

/* What was closed is freed at a turn's end. */
static void run_turn(struct world *world)
{
    struct timer *timer = timer_new(world->loop, on_turn_timer, world->loop);
    timer_set(timer, 0);
    loop_run(world->loop);
    timer_free(timer);
}

/* --- a server --- */

static void pack_pair_id(struct buffer *out, const char *name, const uint8_t id[ID_LEN])
{
    pack_text(out, name);
    pack_bin(out, bytes_of(id, ID_LEN));
}

static void pack_pair(struct buffer *out, const char *name, uint64_t value)
{
    pack_text(out, name);
    pack_uint(out, value);
}

static void note_greeting(struct server *server, struct bytes params)
{
    struct unpack in = unpack_of(params);
    assert_int_equal(unpack_array(&in), 1);
    uint32_t pair_count = unpack_map(&in);
    server->hello_count++;
    server->was_greeted_with_cluster = false;
    for (uint32_t i = 0; i < pair_count; i++) {
        struct bytes name = unpack_text(&in);
        if (bytes_equal(name, bytes_text("term"))) {
            server->term = unpack_uint(&in);
        } else if (bytes_equal(name, bytes_text("expect"))) {
            memcpy(server->expected, unpack_text(&in).data, ID_LEN);
        } else {
            server->was_greeted_with_cluster |= bytes_equal(name, bytes_text("cluster"));
            unpack_skip(&in);
        }
    }
    assert_true(unpack_is_done(&in));
}

static void answer_hello(struct server *server, struct buffer *out)
{
    pack_map(out, 6);
    pack_pair(out, "now_ms", 1);
    pack_pair_id(out, "server", server->id);
    pack_text(out, "cluster");
    if (server->map.revision > 0) {
        pack_bin(out, bytes_of(server->map.cluster, ID_LEN));
    } else {
        pack_nil(out);
    }
    pack_pair(out, "incarnation", server->incarnation);
    pack_pair(out, "epoch", 0);
    pack_pair(out, "revision", server->map.revision);
}

static bool is_opened(const struct server *server, const struct map_entry *entry)
{
    return server->opens && entry->is_new && memcmp(entry->server, server->id, ID_LEN) == 0;
}

static bool is_missing(const struct server *server, const struct map_entry *entry)
{
    return server->has_lost && !entry->is_new && memcmp(entry->server, server->id, ID_LEN) == 0;
}

typedef bool is_listed(const struct server *server, const struct map_entry *entry);

static uint32_t count_entries(const struct server *server, is_listed *is_in)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < server->map.entry_count; i++) {
        count += is_in(server, &server->map.entries[i]);
    }
    return count;
}

static void pack_entries(const struct server *server, is_listed *is_in, struct buffer *out)
{
    pack_array(out, count_entries(server, is_in));
    for (uint32_t i = 0; i < server->map.entry_count; i++) {
        if (is_in(server, &server->map.entries[i])) {
            pack_array(out, 2);
            pack_text(out, server->map.entries[i].name);
            pack_uint(out, server->map.entries[i].epoch);
        }
    }
}

static void answer_push(struct server *server, uint32_t msgid, struct bytes params,
                        struct buffer *out)
{
    struct unpack in = unpack_of(params);
    struct map_error error;
    struct map map;
    assert_int_equal(unpack_array(&in), 1);
    assert_true(map_unpack(&in, &map, &error));
    map_fini(&server->map);
    server->map = map;
    server->push_count++;
    if (count_entries(server, is_missing) > 0) {
        rpc_error(out, msgid, STATUS_DATA_MISSING, "it is not here");
        pack_array(out, 3);
        pack_uint(out, map.revision);
        pack_entries(server, is_opened, out);
        pack_entries(server, is_missing, out);
        rpc_error_end(out);
    } else {
        rpc_response(out, msgid);
        pack_array(out, 2);
        pack_uint(out, map.revision);
        pack_entries(server, is_opened, out);
    }
}

/* ping; whatever else is asked, this server is too old for. */
static void answer_other(const struct rpc_message *message, struct buffer *out)
{
    if (bytes_equal(message->method, bytes_text("ping"))) {
        rpc_response(out, message->msgid);
        pack_nil(out);
    } else {
        rpc_error(out, message->msgid, STATUS_UNKNOWN_METHOD, "what is that");
        pack_nil(out);
        rpc_error_end(out);
    }
}

static void server_on_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    struct server *server = context;
    struct buffer *out = peer_output(peer);
    if (bytes_equal(message->method, bytes_text("hello"))) {
        rpc_response(out, message->msgid);
        note_greeting(server, message->params);
        answer_hello(server, out);
    } else if (bytes_equal(message->method, bytes_text("map.push"))) {
        answer_push(server, message->msgid, message->params, out);
    } else {
        answer_other(message, out);
    }
}

static void server_on_close(void *context, struct peer *peer, const char *reason)
{
    struct server *server = context;
    (void)reason;
    if (server->peer == peer) {
        server->peer = NULL;
    }
}

static const struct peer_handler server_handler = {NULL, server_on_request, server_on_close};

static void server_on_accept(void *context, struct conn *conn)
{
    struct server *server = context;
    server->peer = peer_accept(server->world->loop, conn, &server_handler, server);
}

/* On a free port at first, then on the same again. */
static void start_server(struct world *world, unsigned index)
{
    struct server *server = &world->servers[index];
    const struct listener_config config = {&server->address, CONNECTION_MAX, server_on_accept,
                                           server};
    server->listener = listener_open(world->loop, &config, world->error, sizeof(world->error));
    if (!server->listener) {
        fail_msg("%s", world->error);
    }
    server->address = *listener_address(server->listener);
}

static void stop_server(struct world *world, unsigned index)
{
    struct server *server = &world->servers[index];
    listener_close(server->listener);
    server->listener = NULL;
    if (server->peer) {
        peer_close(server->peer, "the test");
    }
}

/* --- bootstrapd --- */

static struct bootstrapd *try_bootstrapd(struct world *world, const char *map_text)
{
    struct bootstrapd_config config = {
        .listen = {"127.0.0.1", 0},
        .data_path = world->path,
        .map_name = map_text ? "map.json" : NULL,
        .map_text = map_text ? bytes_text(map_text) : (struct bytes){0},
        .connection_max = CONNECTION_MAX,
    };
    world->error[0] = '\0';
    return bootstrapd_open(world->loop, &config, world->error, sizeof(world->error));
}

static void start_bootstrapd(struct world *world)
{
    world->bootstrapd = try_bootstrapd(world, world->map_text);
    if (!world->bootstrapd) {
        fail_msg("%s", world->error);
    }
}

static void assert_refused(struct world *world, const char *map_text, const char *word)
{
    assert_null(try_bootstrapd(world, map_text));
    if (!strstr(world->error, word)) {
        fail_msg("\"%s\" does not say \"%s\"", world->error, word);
    }
}

/* As a crash: nobody is told, connections just end. */
static void kill_bootstrapd(struct world *world)
{
    bootstrapd_free(world->bootstrapd);
    world->bootstrapd = NULL;
    run_turn(world);
}

static void on_stopped(void *context)
{
    struct world *world = context;
    world->has_stopped = true;
}

/* --- a client --- */

static void client_on_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    struct world *world = context;
    struct unpack in = unpack_of(message->params);
    (void)peer;
    assert_int_equal(message->type, RPC_NOTIFICATION);
    assert_true(bytes_equal(message->method, bytes_text("map.changed")));
    assert_int_equal(unpack_array(&in), 2);
    world->notified_revision = unpack_uint(&in);
    world->notified_entry_count = unpack_array(&in);
    for (uint32_t i = 0; i < world->notified_entry_count; i++) {
        struct map_entry entry;
        struct map_error error;
        assert_true(map_unpack_entry(&in, &entry, &error));
        assert_int_equal(entry.epoch, world->notified_revision);
    }
    assert_true(unpack_is_done(&in));
    world->notified_count++;
}

static void client_on_close(void *context, struct peer *peer, const char *reason)
{
    struct world *world = context;
    (void)reason;
    if (world->client == peer) {
        world->client = NULL;
    }
}

static const struct peer_handler client_handler = {NULL, client_on_request, client_on_close};

static void connect_client(struct world *world)
{
    world->client =
        peer_connect(world->loop, bootstrapd_address(world->bootstrapd), &client_handler, world);
}

/* One at a time: the loop's condition has no context of its own. */
static struct call_reply last;

static bool has_reply(const struct world *world)
{
    (void)world;
    return last.is_there;
}

static uint32_t call(struct world *world, const char *method, const struct buffer *params)
{
    static const uint8_t none[] = {0x90};
    struct bytes encoded = params ? buffer_bytes(params) : bytes_of(none, sizeof(none));
    if (!world->client) {
        connect_client(world);
    }
    call_reply_ask(&last, world->client, method, encoded, CALL_MS);
    run_until(world, has_reply);
    assert_false(last.is_lost);
    return last.code;
}

/* [text, {option: true}], or [text] without. */
static uint32_t call_with_text(struct world *world, const char *method, const char *text,
                               const char *option)
{
    struct buffer params = {0};
    pack_array(&params, option ? 2 : 1);
    pack_text(&params, text);
    if (option) {
        pack_map(&params, 1);
        pack_text(&params, option);
        pack_bool(&params, true);
    }
    uint32_t code = call(world, method, &params);
    buffer_fini(&params);
    return code;
}

/* The map that bootstrapd gives; the caller's to fini. */
static struct map get_map(struct world *world)
{
    struct map map;
    struct map_error error;
    assert_int_equal(call(world, "map.get", NULL), STATUS_OK);
    struct unpack in = unpack_of(buffer_bytes(&last.result));
    assert_true(map_unpack(&in, &map, &error));
    return map;
}

/* [revision, ...] */
static uint64_t replied_revision(void)
{
    struct unpack in = unpack_of(buffer_bytes(&last.result));
    unpack_array(&in);
    return unpack_uint(&in);
}

/* --- the whole --- */

static bool is_founded(const struct world *world)
{
    for (unsigned i = 0; i < SERVER_COUNT; i++) {
        const struct map *map = &world->servers[i].map;
        if (map->revision == 0 || map->entries[0].is_new || map->entries[1].is_new) {
            return false;
        }
    }
    return true;
}

static int make(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    (void)snprintf(world->path, sizeof(world->path), "/tmp/bootstrapd_test.XXXXXX");
    assert_non_null(mkdtemp(world->path));
    logline_set_level(LOGLINE_ERROR);
    world->loop = loop_new();
    world->guard = timer_new(world->loop, on_guard, world);
    loop_on_turn_end(world->loop, on_turn_end, world);
    for (unsigned i = 0; i < SERVER_COUNT; i++) {
        struct server *server = &world->servers[i];
        *server = (struct server){.world = world, .incarnation = 1, .opens = true};
        server->address = (struct address){"127.0.0.1", 0};
        memset(server->id, (int)(10 + i), ID_LEN);
        start_server(world, i);
    }
    (void)snprintf(world->map_text, sizeof(world->map_text),
                   "{\"shards\":[{\"name\":\"low\",\"start\":0.0,\"end\":0.5,\"size\":\"1GiB\","
                   "\"host\":\"127.0.0.1\",\"port\":%u},"
                   "{\"name\":\"high\",\"start\":0.5,\"end\":1.0,\"size\":\"1GiB\","
                   "\"host\":\"127.0.0.1\",\"port\":%u}]}",
                   world->servers[0].address.port, world->servers[1].address.port);
    *state = world;
    return 0;
}

static int clean(void **state)
{
    struct world *world = *state;
    char command[128];
    bootstrapd_free(world->bootstrapd);
    if (world->client) {
        peer_close(world->client, "the test");
    }
    for (unsigned i = 0; i < SERVER_COUNT; i++) {
        stop_server(world, i);
    }
    run_turn(world);
    for (unsigned i = 0; i < SERVER_COUNT; i++) {
        map_fini(&world->servers[i].map);
    }
    timer_free(world->guard);
    loop_free(world->loop);
    buffer_fini(&last.result);
    last = (struct call_reply){0};
    (void)snprintf(command, sizeof(command), "rm -r %s", world->path);
    assert_int_equal(system(command), 0);
    free(world);
    return 0;
}

static int make_founded(void **state)
{
    make(state);
    struct world *world = *state;
    start_bootstrapd(world);
    run_until(world, is_founded);
    return 0;
}

/* Another text of the same map, and one with other sizes. */
static void edit_sizes(struct world *world)
{
    for (char *size = world->map_text; (size = strstr(size, "1GiB")) != NULL;) {
        *size = '2';
    }
}

/* --- founding --- */

static void servers_are_greeted_bound_and_pushed_to(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < SERVER_COUNT; i++) {
        const struct server *server = &world->servers[i];
        assert_int_equal(server->hello_count, 1);
        assert_true(server->was_greeted_with_cluster);
        assert_true(id_bytes_is_zero(server->expected));
        assert_int_equal(server->term, 1);
        assert_memory_equal(server->map.entries[i].server, server->id, ID_LEN);
    }
    struct map map = get_map(world);
    assert_int_equal(map.entry_count, 2);
    assert_int_equal(map.server_count, 2);
    assert_true(map.revision >= world->servers[0].map.revision);
    map_fini(&map);
}

static bool has_low_opened(const struct world *world)
{
    const struct map *map = &world->servers[0].map;
    return map->revision > 0 && !map->entries[0].is_new;
}

static void clients_are_told_to_wait_and_for_whom_until_the_founding_is_complete(void **state)
{
    struct world *world = *state;
    char waited_for[ADDRESS_TEXT_LEN];
    stop_server(world, 1);
    start_bootstrapd(world);
    run_until(world, has_low_opened);
    assert_int_equal(call(world, "map.get", NULL), STATUS_TRY_LATER);
    address_print(&world->servers[1].address, waited_for);
    call_reply_assert_says(&last, waited_for);
    assert_int_equal(call(world, "map.watch", NULL), STATUS_TRY_LATER);
    start_server(world, 1);
    run_until(world, is_founded);
    assert_int_equal(call(world, "map.watch", NULL), STATUS_OK);
}

static bool has_both_pushed(const struct world *world)
{
    return world->servers[0].push_count > 0 && world->servers[1].push_count > 0;
}

static void a_server_that_has_not_opened_is_pushed_to_again(void **state)
{
    struct world *world = *state;
    world->servers[0].opens = false;
    start_bootstrapd(world);
    run_until(world, has_both_pushed);
    assert_int_equal(call(world, "map.get", NULL), STATUS_TRY_LATER);
    world->servers[0].opens = true;
    run_until(world, is_founded);
}

static void a_founding_goes_on_after_a_crash(void **state)
{
    struct world *world = *state;
    stop_server(world, 1);
    start_bootstrapd(world);
    run_until(world, has_low_opened);
    kill_bootstrapd(world);
    start_server(world, 1);
    start_bootstrapd(world);
    run_until(world, is_founded);
    assert_int_equal(world->servers[0].term, 2);
    assert_true(world->servers[0].was_greeted_with_cluster);
    assert_memory_equal(world->servers[0].expected, world->servers[0].id, ID_LEN);
}

/* --- later --- */

static bool is_pushed_again(const struct world *world)
{
    return world->servers[0].hello_count == 2 && world->servers[0].push_count > 0;
}

static void a_server_that_comes_back_is_greeted_by_its_id_and_pushed_to_again(void **state)
{
    struct world *world = *state;
    struct server *server = &world->servers[0];
    uint64_t revision = server->map.revision;
    server->push_count = 0;
    peer_close(server->peer, "the test");
    run_until(world, is_pushed_again);
    assert_true(server->was_greeted_with_cluster);
    assert_memory_equal(server->expected, server->id, ID_LEN);
    assert_true(server->map.revision >= revision);
}

static bool is_notified(const struct world *world)
{
    return world->notified_count > 0;
}

static void watchers_are_told_of_each_change(void **state)
{
    struct world *world = *state;
    struct map map = get_map(world);
    assert_int_equal(call(world, "map.watch", NULL), STATUS_OK);
    assert_int_equal(call(world, "map.watch", NULL), STATUS_OK);
    edit_sizes(world);
    assert_int_equal(call_with_text(world, "map.apply", world->map_text, NULL), STATUS_OK);
    run_until(world, is_notified);
    assert_int_equal(world->notified_count, 1);
    assert_int_equal(world->notified_revision, map.revision + 1);
    assert_int_equal(world->notified_entry_count, 2);
    /* A server that restarted: the revision, and no entry. */
    world->notified_count = 0;
    world->servers[0].incarnation++;
    peer_close(world->servers[0].peer, "the test");
    run_until(world, is_notified);
    assert_int_equal(world->notified_revision, map.revision + 2);
    assert_int_equal(world->notified_entry_count, 0);
    map_fini(&map);
}

static void a_map_is_applied_for_the_servers_and_for_later_starts(void **state)
{
    struct world *world = *state;
    struct map before = get_map(world);
    char old_text[sizeof(world->map_text)];
    memcpy(old_text, world->map_text, sizeof(old_text));
    edit_sizes(world);
    assert_int_equal(call_with_text(world, "map.apply", world->map_text, "dry_run"), STATUS_OK);
    assert_int_equal(replied_revision(), before.revision);
    assert_int_equal(call_with_text(world, "map.apply", world->map_text, NULL), STATUS_OK);
    assert_int_equal(replied_revision(), before.revision + 1);
    struct unpack in = unpack_of(buffer_bytes(&last.result));
    unpack_array(&in);
    unpack_uint(&in);
    assert_int_equal(unpack_array(&in), 2);
    assert_true(bytes_equal(unpack_text(&in), bytes_text("shard low: size 1GiB -> 2GiB")));
    struct map after = get_map(world);
    assert_int_equal(after.entries[0].size, UINT64_C(2) << 30);
    map_fini(&before);
    map_fini(&after);
    kill_bootstrapd(world);
    /* The file that founded the cluster still says what it said: nobody edited it. */
    world->bootstrapd = try_bootstrapd(world, old_text);
    assert_non_null(world->bootstrapd);
    kill_bootstrapd(world);
    start_bootstrapd(world); /* the text that was applied */
    kill_bootstrapd(world);
    assert_refused(world, old_text, "map.json was edited since; use: shardkv map apply map.json");
    start_bootstrapd(world);
}

static bool has_client_left(const struct world *world)
{
    return !world->client && !world->servers[0].peer;
}

static bool has_stopped(const struct world *world)
{
    return world->has_stopped && has_client_left(world);
}

static void stopping_answers_what_is_under_way_and_closes(void **state)
{
    struct world *world = *state;
    struct buffer params = {0};
    call(world, "ping", NULL);
    edit_sizes(world);
    pack_array(&params, 1);
    pack_text(&params, world->map_text);
    struct call_reply applied = {0};
    call_reply_ask(&applied, world->client, "map.apply", buffer_bytes(&params), CALL_MS);
    call_reply_ask(&last, world->client, "status", bytes_of("\x90", 1), CALL_MS);
    run_until(world, has_reply);
    bootstrapd_stop(world->bootstrapd, on_stopped, world);
    bootstrapd_stop(world->bootstrapd, on_stopped, world);
    run_until(world, has_stopped);
    assert_true(applied.is_there);
    assert_false(applied.is_lost);
    assert_int_equal(applied.code, STATUS_OK);
    buffer_fini(&applied.result);
    buffer_fini(&params);
}

/* --- a lost disk --- */

static bool is_low_replaced(const struct world *world)
{
    const struct server *server = &world->servers[0];
    const struct map_entry *low = server->map.entry_count ? &server->map.entries[0] : NULL;
    return low && !low->is_new && memcmp(low->server, server->id, ID_LEN) == 0;
}

static bool has_new_hello(const struct world *world)
{
    return world->servers[0].hello_count >= 2 && !world->servers[0].peer;
}

static void lose_low(struct world *world)
{
    struct server *server = &world->servers[0];
    memset(server->id, 20, ID_LEN);
    map_fini(&server->map);
    server->hello_count = 0;
    peer_close(server->peer, "the test");
    run_until(world, has_new_hello);
}

static void another_disk_is_told_nothing_until_its_shard_is_reset(void **state)
{
    struct world *world = *state;
    struct server *server = &world->servers[0];
    assert_int_equal(call_with_text(world, "shard.reset", "low", "accept_loss"), STATUS_DENIED);
    server->push_count = 0;
    lose_low(world);
    assert_int_equal(server->push_count, 0);
    assert_int_equal(call(world, "status", NULL), STATUS_OK);
    assert_non_null(
        memmem(last.result.data, last.result.len, "data missing", strlen("data missing")));
    assert_int_equal(call_with_text(world, "shard.reset", "low", NULL), STATUS_DENIED);
    call_reply_assert_says(&last, "accept_loss");
    assert_int_equal(call_with_text(world, "shard.reset", "low", "accept_loss"), STATUS_OK);
    run_until(world, is_low_replaced);
    assert_memory_equal(server->expected, server->id, ID_LEN);
    struct map map = get_map(world);
    assert_memory_equal(map.entries[0].server, server->id, ID_LEN);
    map_fini(&map);
}

static bool has_pushed_again(const struct world *world)
{
    return world->servers[0].push_count >= 1 && world->servers[0].peer;
}

static bool is_low_greeted_as_itself(const struct world *world)
{
    const struct server *server = &world->servers[0];
    return is_low_replaced(world) && memcmp(server->expected, server->id, ID_LEN) == 0;
}

/* It was let in with the words that another is expected there, and went by them for ever. */
static void a_disk_that_was_given_up_is_greeted_anew_when_it_gets_the_shard_again(void **state)
{
    struct world *world = *state;
    struct server *server = &world->servers[0];
    lose_low(world);
    assert_int_equal(call_with_text(world, "shard.reset", "low", "accept_loss"), STATUS_OK);
    run_until(world, is_low_replaced);
    memset(server->id, 10, ID_LEN);
    server->push_count = 0;
    peer_close(server->peer, "the test");
    run_until(world, has_pushed_again);
    assert_int_equal(server->expected[0], 20);
    assert_int_equal(call_with_text(world, "shard.reset", "low", "accept_loss"), STATUS_OK);
    run_until(world, is_low_greeted_as_itself);
}

/* The server's id is the bound one, so only its own word tells that the data is not there. */
static void data_that_its_own_server_misses_is_shown_and_may_be_reset(void **state)
{
    struct world *world = *state;
    struct server *server = &world->servers[0];
    server->has_lost = true;
    server->push_count = 0;
    peer_close(server->peer, "the test");
    run_until(world, has_pushed_again);
    assert_int_equal(call(world, "status", NULL), STATUS_OK);
    assert_non_null(
        memmem(last.result.data, last.result.len, "data missing", strlen("data missing")));
    assert_non_null(memmem(last.result.data, last.result.len, "shard reset low --accept-loss",
                           strlen("shard reset low --accept-loss")));
    assert_int_equal(call_with_text(world, "shard.reset", "high", "accept_loss"), STATUS_DENIED);
    assert_int_equal(call_with_text(world, "shard.reset", "low", "accept_loss"), STATUS_OK);
    server->has_lost = false;
    run_until(world, is_low_replaced);
    assert_int_equal(call(world, "status", NULL), STATUS_OK);
    assert_null(memmem(last.result.data, last.result.len, "data missing", strlen("data missing")));
}

/* --- requests --- */

static void wrong_requests_are_refused_with_a_reason(void **state)
{
    struct world *world = *state;
    struct buffer params = {0};
    assert_int_equal(call(world, "read", NULL), STATUS_UNKNOWN_METHOD);
    call_reply_assert_says(&last, "read");
    assert_int_equal(call(world, "map.apply", NULL), STATUS_INVALID);
    call_reply_assert_says(&last, "map.apply: takes 1 to 2 parameters, not 0");
    assert_int_equal(call_with_text(world, "map.apply", "{}", "colour"), STATUS_INVALID);
    assert_int_equal(call_with_text(world, "map.apply", "{}", NULL), STATUS_INVALID);
    assert_int_equal(call_with_text(world, "ping", "too much", NULL), STATUS_INVALID);
    call_reply_assert_says(&last, "ping: takes no parameters, not 1");
    assert_int_equal(call(world, "move.pause", NULL), STATUS_INVALID);
    call_reply_assert_says(&last, "move.pause: takes 1 parameter, not 0");
    assert_int_equal(call(world, "move.throttle", NULL), STATUS_INVALID);
    call_reply_assert_says(&last, "move.throttle: takes 2 parameters, not 0");
    assert_int_equal(call_with_text(world, "hello", "no map", NULL), STATUS_INVALID);
    pack_array(&params, 1);
    pack_map(&params, 1);
    pack_pair_id(&params, "cluster", world->servers[0].id);
    assert_int_equal(call(world, "hello", &params), STATUS_WRONG_CLUSTER);
    buffer_clear(&params);
    pack_array(&params, 1);
    pack_map(&params, 2);
    pack_pair_id(&params, "cluster", world->servers[0].map.cluster);
    pack_text(&params, "role");
    pack_text(&params, "client");
    assert_int_equal(call(world, "hello", &params), STATUS_OK);
    assert_int_equal(call(world, "hello", NULL), STATUS_OK);
    buffer_fini(&params);
}

/* --- starting --- */

static void a_start_that_cannot_be_is_refused_with_a_reason(void **state)
{
    struct world *world = *state;
    assert_refused(world, NULL, "--config");
    assert_refused(world, "{\"shards\":[]}", "map.json: shards");
    start_bootstrapd(world);
    assert_refused(world, world->map_text, "in use");
    kill_bootstrapd(world);
    edit_sizes(world);
    assert_refused(world, world->map_text, "map.json was edited since");
    world->bootstrapd = try_bootstrapd(world, NULL);
    assert_non_null(world->bootstrapd);
}

static void it_may_be_freed_with_everything_under_way(void **state)
{
    struct world *world = *state;
    struct buffer params = {0};
    call(world, "map.watch", NULL);
    edit_sizes(world);
    pack_array(&params, 1);
    pack_text(&params, world->map_text);
    struct call_reply applied = {0};
    call_reply_ask(&applied, world->client, "map.apply", buffer_bytes(&params), CALL_MS);
    call_reply_ask(&last, world->client, "ping", bytes_of("\x90", 1), CALL_MS);
    run_until(world, has_reply);
    kill_bootstrapd(world);
    run_until(world, has_client_left);
    assert_true(applied.is_there);
    buffer_fini(&applied.result);
    buffer_fini(&params);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define BARE(name)    cmocka_unit_test_setup_teardown(name, make, clean)
#define FOUNDED(name) cmocka_unit_test_setup_teardown(name, make_founded, clean)
    const struct CMUnitTest tests[] = {
        FOUNDED(servers_are_greeted_bound_and_pushed_to),
        BARE(clients_are_told_to_wait_and_for_whom_until_the_founding_is_complete),
        BARE(a_server_that_has_not_opened_is_pushed_to_again),
        BARE(a_founding_goes_on_after_a_crash),
        FOUNDED(a_server_that_comes_back_is_greeted_by_its_id_and_pushed_to_again),
        FOUNDED(watchers_are_told_of_each_change),
        FOUNDED(a_map_is_applied_for_the_servers_and_for_later_starts),
        FOUNDED(stopping_answers_what_is_under_way_and_closes),
        FOUNDED(another_disk_is_told_nothing_until_its_shard_is_reset),
        FOUNDED(a_disk_that_was_given_up_is_greeted_anew_when_it_gets_the_shard_again),
        FOUNDED(data_that_its_own_server_misses_is_shown_and_may_be_reset),
        FOUNDED(wrong_requests_are_refused_with_a_reason),
        BARE(a_start_that_cannot_be_is_refused_with_a_reason),
        FOUNDED(it_may_be_freed_with_everything_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
