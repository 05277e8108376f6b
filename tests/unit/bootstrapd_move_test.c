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
#include "proto/json.h"
#include "proto/move.h"
#include "proto/pack.h"
#include "tests/unit/call_reply.h"
#include "scratch.h"

/*
 * A bootstrapd on a loop, and three servers made of io/peer that follow the map as shard servers do in a move, without
 * records: what is copied is there at once, unless the world holds it back. Shard "low" is on server 0, "high" on 1;
 * server 2 is empty, and to be added.
 */

#define SERVER_COUNT   3
#define GUARD_MS       20000
#define CALL_MS        10000
#define CONNECTION_MAX 10
#define HALF           (UINT64_C(1) << 31)

struct server {
    struct world *world;
    struct listener *listener;
    struct address address;
    uint8_t id[ID_LEN];
    uint64_t incarnation;
    struct peer *peer;
    struct map map; /* pushed last */
    struct move_report part;
    bool has_part;
    unsigned asked_count; /* move.status */
    uint64_t revision;    /* that it says to have taken */
    uint64_t term;        /* of the last bootstrapd's hello that it took; a lower one is refused */
    uint64_t lower_terms; /* how many were */
    struct move_pace pace;
};

struct world {
    struct scratch scratch;
    char map_text[512];
    struct loop *loop;
    struct timer *guard;
    struct server servers[SERVER_COUNT];
    struct bootstrapd *bootstrapd;
    struct peer *client;
    bool holds_copy, holds_open;
    uint64_t shard_bytes; /* that each shard holds */
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
    loop_stop(context);
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

static bool is_mine(const struct server *server, const uint8_t id[ID_LEN])
{
    return memcmp(server->id, id, ID_LEN) == 0;
}

static void pack_reports(const struct server *server, struct buffer *out)
{
    struct move_report part = server->part;
    const struct move_reports reports = {server->map.revision, &part, server->has_part};
    move_reports_pack(&reports, out);
}

static void tell(const struct server *server)
{
    if (server->peer) {
        struct buffer *out = peer_output(server->peer);
        rpc_notification(out, "move.changed");
        pack_reports(server, out);
    }
}

static void be(struct server *server, enum move_state state)
{
    server->part.state = state;
    tell(server);
}

/* All has gone over when both are there. */
static void copy(struct world *world)
{
    for (unsigned i = 0; i < SERVER_COUNT; i++) {
        for (unsigned j = 0; j < SERVER_COUNT; j++) {
            struct server *source = &world->servers[i];
            struct server *target = &world->servers[j];
            if (!world->holds_copy && source->has_part && target->has_part &&
                source->part.id == target->part.id && source->part.state == MOVE_SOURCE_COPYING &&
                target->part.state == MOVE_TARGET_IMPORTING) {
                source->part.records = 10;
                source->part.bytes = 1000;
                source->part.hold_us[MOVE_HOLD_FREEZE] = 70;
                be(source, MOVE_SOURCE_FROZEN);
                be(target, MOVE_TARGET_READY);
            }
        }
    }
}

static void take_part(struct server *server, uint64_t id, enum move_state state)
{
    if (!server->has_part || server->part.id != id) {
        server->has_part = true;
        server->part = (struct move_report){.id = id, .state = state};
    }
}

static void follow_as_source(struct server *server, const struct map_move *move)
{
    switch (move->phase) {
    case MOVE_COPY:
        take_part(server, move->id, MOVE_SOURCE_COPYING);
        break;
    case MOVE_COMMITTED:
    case MOVE_UNDO:
        server->part.state = MOVE_SOURCE_CLOSED;
        break;
    case MOVE_OPENED:
    case MOVE_ABORTED:
        server->has_part = false;
        break;
    case MOVE_NONE:
        break;
    }
}

static void follow_as_target(struct server *server, const struct map_move *move)
{
    switch (move->phase) {
    case MOVE_COPY:
        take_part(server, move->id, MOVE_TARGET_IMPORTING);
        break;
    case MOVE_COMMITTED:
        if (!server->world->holds_open && server->part.state == MOVE_TARGET_READY) {
            server->part.state = MOVE_TARGET_OPEN;
        }
        break;
    case MOVE_ABORTED:
        server->has_part = false;
        break;
    case MOVE_UNDO:
    case MOVE_OPENED:
    case MOVE_NONE:
        break;
    }
}

static void follow(struct server *server)
{
    bool is_in = false;
    for (uint32_t i = 0; i < server->map.entry_count; i++) {
        const struct map_move *move = &server->map.entries[i].move;
        if (move->phase != MOVE_NONE && is_mine(server, move->source)) {
            follow_as_source(server, move);
            is_in = true;
        } else if (move->phase != MOVE_NONE && is_mine(server, move->target)) {
            follow_as_target(server, move);
            is_in = true;
        }
    }
    server->has_part = server->has_part && is_in;
}

/* Of a bootstrapd's hello; 0: a client's. */
static uint64_t told_term(struct bytes params)
{
    struct unpack in = unpack_of(params);
    uint64_t term = 0;
    assert_int_equal(unpack_array(&in), 1);
    uint32_t pair_count = unpack_map(&in);
    for (uint32_t i = 0; i < pair_count; i++) {
        if (bytes_equal(unpack_text(&in), bytes_text("term"))) {
            term = unpack_uint(&in);
        } else {
            unpack_skip(&in);
        }
    }
    return term;
}

static void deny_hello(struct server *server, uint32_t msgid, struct buffer *out)
{
    server->lower_terms++;
    rpc_error(out, msgid, STATUS_DENIED, "it runs on a copy");
    pack_array(out, 2);
    pack_uint(out, server->term);
    pack_nil(out);
    rpc_error_end(out);
}

static void answer_hello(const struct server *server, struct buffer *out)
{
    pack_map(out, 6);
    pack_text(out, "term");
    pack_uint(out, server->term);
    pack_text(out, "at_work");
    pack_nil(out);
    pack_text(out, "revision");
    pack_uint(out, server->revision);
    pack_text(out, "server");
    pack_bin(out, bytes_of(server->id, ID_LEN));
    pack_text(out, "cluster");
    if (server->map.revision > 0) {
        pack_bin(out, bytes_of(server->map.cluster, ID_LEN));
    } else {
        pack_nil(out);
    }
    pack_text(out, "incarnation");
    pack_uint(out, server->incarnation);
}

static void answer_push(struct server *server, uint32_t msgid, struct bytes params,
                        struct buffer *out)
{
    struct unpack in = unpack_of(params);
    struct map_error error;
    struct map map;
    uint32_t opened_count = 0;
    assert_int_equal(unpack_array(&in), 1);
    assert_true(map_unpack(&in, &map, &error));
    if (map.revision < server->map.revision) {
        map_fini(&map); /* all of it is older */
    } else {
        map_fini(&server->map);
        server->map = map;
    }
    map = server->map;
    follow(server);
    for (uint32_t i = 0; i < map.entry_count; i++) {
        opened_count += map.entries[i].is_new && is_mine(server, map.entries[i].server);
    }
    rpc_response(out, msgid);
    pack_array(out, 4);
    pack_uint(out, map.revision);
    pack_array(out, opened_count);
    for (uint32_t i = 0; i < map.entry_count; i++) {
        if (map.entries[i].is_new && is_mine(server, map.entries[i].server)) {
            pack_array(out, 2);
            pack_text(out, map.entries[i].name);
            pack_uint(out, map.entries[i].epoch);
        }
    }
    pack_array(out, 0);
    pack_reports(server, out);
    copy(server->world);
}

static void answer_stat(const struct server *server, struct buffer *out)
{
    static const char *const names[] = {"start", "end", "epoch", "records", "bytes"};
    uint32_t count = 0;
    for (uint32_t i = 0; i < server->map.entry_count; i++) {
        count += is_mine(server, server->map.entries[i].server);
    }
    pack_map(out, 2);
    pack_text(out, "disk_free_bytes");
    pack_uint(out, UINT64_C(1) << 40);
    pack_text(out, "shards");
    pack_array(out, count);
    for (uint32_t i = 0; i < server->map.entry_count; i++) {
        const struct map_entry *entry = &server->map.entries[i];
        const uint64_t values[] = {entry->start, entry->end, entry->epoch, 10,
                                   server->world->shard_bytes};
        if (!is_mine(server, entry->server)) {
            continue;
        }
        pack_map(out, 5);
        for (unsigned j = 0; j < 5; j++) {
            pack_text(out, names[j]);
            pack_uint(out, values[j]);
        }
    }
}

static void server_on_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    struct server *server = context;
    struct buffer *out = peer_output(peer);
    struct unpack in = unpack_of(message->params);
    if (bytes_equal(message->method, bytes_text("map.push"))) {
        server->peer = peer;
        answer_push(server, message->msgid, message->params, out);
        return;
    }
    if (bytes_equal(message->method, bytes_text("hello"))) {
        uint64_t term = told_term(message->params);
        if (term != 0 && term < server->term) {
            deny_hello(server, message->msgid, out);
            return;
        }
        server->term = term != 0 ? term : server->term;
    }
    rpc_response(out, message->msgid);
    if (bytes_equal(message->method, bytes_text("hello"))) {
        answer_hello(server, out);
    } else if (bytes_equal(message->method, bytes_text("map.get"))) {
        map_pack(&server->map, out);
    } else if (bytes_equal(message->method, bytes_text("stat"))) {
        answer_stat(server, out);
    } else if (bytes_equal(message->method, bytes_text("move.status"))) {
        server->asked_count++;
        pack_reports(server, out);
    } else if (bytes_equal(message->method, bytes_text("move.pace"))) {
        assert_true(move_pace_unpack(&in, &server->pace));
        pack_nil(out);
    } else {
        assert_true(bytes_equal(message->method, bytes_text("ping")));
        pack_nil(out);
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

static void start_bootstrapd(struct world *world)
{
    const struct bootstrapd_config config = {
        .listen = {"127.0.0.1", 0},
        .data_path = world->scratch.path,
        .map_name = "map.json",
        .map_text = bytes_text(world->map_text),
        .connection_max = CONNECTION_MAX,
    };
    world->bootstrapd = bootstrapd_open(world->loop, &config, world->error, sizeof(world->error));
    if (!world->bootstrapd) {
        fail_msg("%s", world->error);
    }
}

/* As a crash: nobody is told, connections just end. */
static void kill_bootstrapd(struct world *world)
{
    bootstrapd_free(world->bootstrapd);
    world->bootstrapd = NULL;
    run_turn(world);
}

/* --- a client --- */

static struct call_reply last;

static void client_on_close(void *context, struct peer *peer, const char *reason)
{
    struct world *world = context;
    (void)reason;
    if (world->client == peer) {
        world->client = NULL;
    }
}

static const struct peer_handler client_handler = {NULL, NULL, client_on_close};

static bool has_reply(const struct world *world)
{
    (void)world;
    return last.is_there;
}

/* Takes the params. */
static uint32_t call(struct world *world, const char *method, struct buffer *params)
{
    if (!world->client) {
        world->client = peer_connect(world->loop, bootstrapd_address(world->bootstrapd),
                                     &client_handler, world);
    }
    call_reply_ask(&last, world->client, method, buffer_bytes(params), CALL_MS);
    buffer_fini(params);
    run_until(world, has_reply);
    assert_false(last.is_lost);
    return last.code;
}

static uint32_t call_bare(struct world *world, const char *method)
{
    struct buffer params = {0};
    pack_array(&params, 0);
    return call(world, method, &params);
}

static uint32_t call_number(struct world *world, const char *method, uint64_t number)
{
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_uint(&params, number);
    return call(world, method, &params);
}

static const char *address_text(const struct server *server)
{
    static char text[ADDRESS_TEXT_LEN];
    address_print(&server->address, text);
    return text;
}

/* [address], or [address, {option: true}] */
static uint32_t call_server(struct world *world, const char *method, unsigned index,
                            const char *option)
{
    struct buffer params = {0};
    pack_array(&params, option ? 2 : 1);
    pack_text(&params, address_text(&world->servers[index]));
    if (option) {
        pack_map(&params, 1);
        pack_text(&params, option);
        pack_bool(&params, true);
    }
    return call(world, method, &params);
}

static uint64_t replied_number(void)
{
    struct unpack in = unpack_of(buffer_bytes(&last.result));
    assert_int_equal(unpack_array(&in), 1);
    return unpack_uint(&in);
}

static uint64_t start_move(struct world *world, const char *shard, unsigned target)
{
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_map(&params, 2);
    pack_text(&params, "shard");
    pack_text(&params, shard);
    pack_text(&params, "to");
    pack_text(&params, address_text(&world->servers[target]));
    if (call(world, "move.start", &params) != STATUS_OK) {
        fail_msg("%s", last.text);
    }
    return replied_number();
}

/* What the one move of that number has under `name`, which is a text. */
static void look_at_move(struct world *world, uint64_t number, const char *name, char text[128])
{
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_map(&params, 2);
    pack_text(&params, "number");
    pack_uint(&params, number);
    pack_text(&params, "all");
    pack_bool(&params, true);
    assert_int_equal(call(world, "move.list", &params), STATUS_OK);
    struct unpack in = unpack_of(buffer_bytes(&last.result));
    assert_int_equal(unpack_array(&in), 1);
    uint32_t pair_count = unpack_map(&in);
    text[0] = '\0';
    for (uint32_t i = 0; i < pair_count; i++) {
        if (bytes_equal(unpack_text(&in), bytes_text(name))) {
            struct bytes value = unpack_text(&in);
            (void)snprintf(text, 128, "%.*s", (int)value.len, (const char *)value.data);
        } else {
            unpack_skip(&in);
        }
    }
    assert_true(unpack_is_done(&in));
}

static void assert_move(struct world *world, uint64_t number, const char *name, const char *text)
{
    char there[128];
    look_at_move(world, number, name, there);
    assert_string_equal(there, text);
}

/* --- the whole --- */

static const struct map_entry *entry(const struct server *server, const char *name)
{
    return map_find_name(&server->map, bytes_text(name));
}

static bool is_founded(const struct world *world)
{
    for (unsigned i = 0; i < 2; i++) {
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
    world->shard_bytes = 1000;
    world->scratch = scratch_make();
    logline_set_level(LOGLINE_ERROR);
    world->loop = loop_new();
    world->guard = timer_new(world->loop, on_guard, world);
    loop_on_turn_end(world->loop, on_turn_end, world);
    for (unsigned i = 0; i < SERVER_COUNT; i++) {
        struct server *server = &world->servers[i];
        *server = (struct server){.world = world, .incarnation = 1};
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
    start_bootstrapd(world);
    run_until(world, is_founded);
    *state = world;
    return 0;
}

static int make_with_server(void **state)
{
    make(state);
    struct world *world = *state;
    if (call_server(world, "server.add", 2, NULL) != STATUS_OK) {
        fail_msg("%s", last.text);
    }
    return 0;
}

static int clean(void **state)
{
    struct world *world = *state;
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
    scratch_remove(&world->scratch);
    free(world);
    return 0;
}

/* --- servers --- */

static void an_empty_server_is_greeted_and_its_id_is_durable(void **state)
{
    struct world *world = *state;
    assert_int_equal(call_server(world, "server.add", 2, NULL), STATUS_OK);
    struct unpack in = unpack_of(buffer_bytes(&last.result));
    assert_int_equal(unpack_array(&in), 1);
    assert_true(bytes_equal(unpack_text(&in), bytes_of(world->servers[2].id, ID_LEN)));
    assert_int_equal(call_server(world, "server.add", 2, NULL), STATUS_DENIED);
    kill_bootstrapd(world);
    start_bootstrapd(world);
    assert_int_equal(call_bare(world, "server.list"), STATUS_OK);
    in = unpack_of(buffer_bytes(&last.result));
    assert_int_equal(unpack_array(&in), 3);
    assert_int_equal(call_server(world, "server.remove", 2, NULL), STATUS_OK);
    assert_int_equal(call_bare(world, "server.list"), STATUS_OK);
    in = unpack_of(buffer_bytes(&last.result));
    assert_int_equal(unpack_array(&in), 2);
}

static void a_server_of_another_cluster_is_not_added(void **state)
{
    struct world *world = *state;
    struct server *server = &world->servers[2];
    server->map.revision = 1;
    memset(server->map.cluster, 77, ID_LEN);
    assert_int_equal(call_server(world, "server.add", 2, NULL), STATUS_DENIED);
    assert_non_null(strstr(last.text, "another cluster") ? last.text
                                                         : strstr(last.text, "of cluster"));
    server->map.revision = 0;
    assert_int_equal(call_server(world, "server.add", 2, NULL), STATUS_OK);
}

/* --- moves --- */

static bool is_over(const struct world *world)
{
    const struct map_entry *low = entry(&world->servers[0], "low");
    const struct map_entry *same = entry(&world->servers[2], "low");
    return low && same && low->move.phase == MOVE_NONE && same->move.phase == MOVE_NONE &&
           is_mine(&world->servers[2], low->server) && is_mine(&world->servers[2], same->server);
}

static void a_shard_goes_to_the_new_server(void **state)
{
    struct world *world = *state;
    uint64_t number = start_move(world, "low", 2);
    run_until(world, is_over);
    assert_move(world, number, "course", "done");
    assert_move(world, number, "shard", "low");
    assert_int_equal(call_bare(world, "move.list"), STATUS_OK);
    struct unpack in = unpack_of(buffer_bytes(&last.result));
    assert_int_equal(unpack_array(&in), 0);
    assert_int_equal(call_server(world, "server.remove", 2, NULL), STATUS_DENIED);
}

static bool is_copying(const struct world *world)
{
    return world->servers[0].has_part && world->servers[2].has_part &&
           world->servers[0].part.state == MOVE_SOURCE_COPYING && world->servers[0].asked_count > 0;
}

static bool is_throttled(const struct world *world)
{
    return world->servers[0].pace.bytes_per_s == 12345;
}

static void the_source_is_asked_where_it_is_and_told_how_fast(void **state)
{
    struct world *world = *state;
    struct buffer params = {0};
    world->holds_copy = true;
    uint64_t number = start_move(world, "low", 2);
    run_until(world, is_copying);
    assert_move(world, number, "course", "going");
    assert_move(world, number, "state", "copying");
    pack_array(&params, 2);
    pack_uint(&params, number);
    pack_uint(&params, 12345);
    assert_int_equal(call(world, "move.throttle", &params), STATUS_OK);
    run_until(world, is_throttled);
    assert_int_equal(world->servers[0].pace.id, world->servers[0].part.id);
    assert_int_equal(call_number(world, "move.pause", number), STATUS_OK);
    assert_int_equal(call_number(world, "move.resume", number), STATUS_OK);
    world->holds_copy = false;
    copy(world);
    run_until(world, is_over);
}

static bool is_aborted(const struct world *world)
{
    const struct map_entry *low = entry(&world->servers[0], "low");
    return low->move.phase == MOVE_ABORTED && !world->servers[0].has_part &&
           !world->servers[2].has_part;
}

static void an_abort_gives_the_target_nothing(void **state)
{
    struct world *world = *state;
    world->holds_copy = true;
    uint64_t number = start_move(world, "low", 2);
    run_until(world, is_copying);
    assert_int_equal(call_number(world, "move.abort", number), STATUS_OK);
    run_until(world, is_aborted);
    assert_true(is_mine(&world->servers[0], entry(&world->servers[0], "low")->server));
    assert_move(world, number, "course", "aborted");
    assert_int_equal(call_number(world, "move.abort", number), STATUS_INVALID);
}

static bool is_committed(const struct world *world)
{
    return entry(&world->servers[2], "low")->move.phase == MOVE_COMMITTED;
}

static bool is_given_back(const struct world *world)
{
    const struct map_entry *low = entry(&world->servers[0], "low");
    return low->move.phase == MOVE_ABORTED && is_mine(&world->servers[0], low->server);
}

static void an_undo_gives_the_range_back_when_the_target_agrees(void **state)
{
    struct world *world = *state;
    struct buffer params = {0};
    world->holds_open = true;
    uint64_t number = start_move(world, "low", 2);
    run_until(world, is_committed);
    pack_array(&params, 1);
    pack_uint(&params, number);
    assert_int_equal(call(world, "move.undo", &params), STATUS_OK);
    run_until(world, is_given_back);
    assert_move(world, number, "course", "undone");
}

static void a_bootstrapd_that_dies_at_a_row_goes_on_there(void **state)
{
    struct world *world = *state;
    world->holds_copy = true;
    uint64_t number = start_move(world, "low", 2);
    run_until(world, is_copying);
    kill_bootstrapd(world);
    world->holds_copy = false;
    world->holds_open = true;
    copy(world);
    start_bootstrapd(world);
    run_until(world, is_committed);
    kill_bootstrapd(world);
    world->holds_open = false;
    world->servers[2].part.state = MOVE_TARGET_OPEN;
    start_bootstrapd(world);
    run_until(world, is_over);
    assert_move(world, number, "course", "done");
}

static bool is_source_lost(const struct world *world)
{
    return world->servers[0].has_part && world->servers[2].has_part &&
           world->servers[0].part.state == MOVE_SOURCE_COPYING && world->servers[0].asked_count > 1;
}

static void what_the_source_lost_is_tried_again(void **state)
{
    struct world *world = *state;
    world->holds_copy = true;
    uint64_t number = start_move(world, "low", 2);
    run_until(world, is_source_lost);
    world->holds_copy = false;
    world->servers[2].part.state = MOVE_TARGET_LOST;
    (void)snprintf(world->servers[0].part.text, MOVE_TEXT_LEN, "the link is given up");
    be(&world->servers[0], MOVE_SOURCE_LOST);
    run_until(world, is_over);
    assert_move(world, number, "course", "done");
}

static bool has_part_gone(const struct world *world)
{
    const struct map_entry *high = entry(&world->servers[2], "high.1");
    return high && high->move.phase == MOVE_NONE && is_mine(&world->servers[2], high->server);
}

static void a_part_of_a_shard_goes_with_what_it_holds_and_its_share_of_the_rest(void **state)
{
    struct world *world = *state;
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_map(&params, 3);
    pack_text(&params, "shard");
    pack_text(&params, "high");
    pack_text(&params, "to");
    pack_text(&params, address_text(&world->servers[2]));
    pack_text(&params, "from");
    pack_uint(&params, 2 * HALF - HALF / 4);
    assert_int_equal(call(world, "move.start", &params), STATUS_OK);
    run_until(world, has_part_gone);
    const struct map_entry *high = entry(&world->servers[2], "high.1");
    assert_int_equal(high->start, 2 * HALF - HALF / 4);
    /* Each part holds 1000 bytes. */
    assert_int_equal(high->size, 1000 + ((UINT64_C(1) << 30) - UINT64_C(2000)) / 4);
}

/* --- what people see --- */

static uint32_t log_len(struct world *world, struct bytes *last_who)
{
    assert_int_equal(call_bare(world, "map.log"), STATUS_OK);
    struct unpack in = unpack_of(buffer_bytes(&last.result));
    uint32_t count = unpack_array(&in);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t pair_count = unpack_map(&in);
        for (uint32_t j = 0; j < pair_count; j++) {
            if (bytes_equal(unpack_text(&in), bytes_text("who"))) {
                *last_who = unpack_text(&in);
            } else {
                unpack_skip(&in);
            }
        }
    }
    assert_true(unpack_is_done(&in));
    return count;
}

static void resize(struct world *world, uint64_t size)
{
    struct buffer params = {0};
    pack_array(&params, 2);
    pack_text(&params, "low");
    pack_uint(&params, size);
    assert_int_equal(call(world, "shard.resize", &params), STATUS_OK);
}

static void who_changed_the_map_stands_in_its_log_also_after_restarts(void **state)
{
    struct world *world = *state;
    struct bytes who = {0};
    uint32_t before = log_len(world, &who);
    assert_true(bytes_equal(who, bytes_text("bootstrapd")));
    for (unsigned i = 0; i < 200; i++) {
        resize(world, 100000 + i);
        if (i % 50 == 49) {
            kill_bootstrapd(world);
            start_bootstrapd(world);
        }
    }
    assert_int_equal(log_len(world, &who), before + 200);
    assert_memory_equal(who.data, "127.0.0.1:", 10);
}

static void lists_have_what_they_are_said_to_have(void **state)
{
    struct world *world = *state;
    assert_int_equal(call_bare(world, "shard.list"), STATUS_OK);
    struct unpack in = unpack_of(buffer_bytes(&last.result));
    assert_int_equal(unpack_array(&in), 2);
    assert_int_equal(unpack_map(&in), 10);
    uint32_t code = STATUS_TRY_LATER;
    for (unsigned i = 0; i < 1000 && code == STATUS_TRY_LATER; i++) {
        code = call_bare(world, "rebalance.plan"); /* until all have told what they hold */
    }
    assert_int_equal(code, STATUS_OK);
    assert_int_equal(call_bare(world, "rebalance.stop"), STATUS_OK);
    assert_int_equal(call_bare(world, "move.start"), STATUS_INVALID);
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_map(&params, 1);
    pack_text(&params, "shard");
    pack_uint(&params, 7);
    assert_int_equal(call(world, "move.start", &params), STATUS_INVALID);
}

static bool plan_says(struct world *world, const char *text)
{
    struct buffer json = {0};
    assert_int_equal(call_bare(world, "rebalance.plan"), STATUS_OK);
    assert_true(json_print(buffer_bytes(&last.result), &json));
    bool is_said = memmem(json.data, json.len, text, strlen(text)) != NULL;
    buffer_fini(&json);
    return is_said;
}

/* It went by what they had told up to five seconds before. */
static void a_plan_goes_by_what_servers_hold_when_it_is_asked_for(void **state)
{
    struct world *world = *state;
    while (call_bare(world, "rebalance.plan") == STATUS_TRY_LATER) {
    }
    for (uint64_t bytes = 5000; bytes < 5005; bytes++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "\"before\":%u,", (unsigned)bytes);
        world->shard_bytes = bytes;
        assert_true(plan_says(world, text));
    }
}

/* RULES M4 */
static void a_bootstrapd_that_is_behind_its_servers_calls_no_move_off(void **state)
{
    struct world *world = *state;
    kill_bootstrapd(world);
    world->servers[0].revision = 1000000;
    start_bootstrapd(world);
    while (call_number(world, "move.pause", 1) != STATUS_DENIED) {
    }
    assert_int_equal(call_bare(world, "rebalance.stop"), STATUS_DENIED);
}

/* [{option: true}], or [{}] */
static uint32_t call_recover(struct world *world, const char *option)
{
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_map(&params, option != NULL);
    if (option) {
        pack_text(&params, option);
        pack_bool(&params, true);
    }
    return call(world, "map.recover", &params);
}

/* What [revision, lines] tells; the number of lines. */
static uint32_t replied_lines(uint64_t *revision)
{
    struct unpack in = unpack_of(buffer_bytes(&last.result));
    assert_int_equal(unpack_array(&in), 2);
    *revision = unpack_uint(&in);
    return unpack_array(&in);
}

static uint32_t call_resize(struct world *world, const char *shard, uint64_t size)
{
    struct buffer params = {0};
    pack_array(&params, 2);
    pack_text(&params, shard);
    pack_uint(&params, size);
    return call(world, "shard.resize", &params);
}

static bool is_recovered(const struct world *world)
{
    for (unsigned i = 0; i < SERVER_COUNT; i++) {
        if (world->servers[i].map.revision < 1000000) {
            return false;
        }
    }
    return true;
}

/* As if changes had been made of which this bootstrapd's directory knows nothing: "high" is on server 2, and larger. */
static void advance(struct world *world)
{
    struct map *map = &world->servers[2].map;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        struct map_entry *high = &map->entries[i];
        if (strcmp(high->name, "high") == 0) {
            high->epoch = map->revision = map->revision + 100;
            high->size *= 2;
            high->address = world->servers[2].address;
            memcpy(high->server, world->servers[2].id, ID_LEN);
        }
    }
    world->servers[2].revision = map->revision;
}

/* RULES M4 */
static void a_bootstrapd_that_is_behind_takes_what_its_servers_hold(void **state)
{
    struct world *world = *state;
    uint64_t revision;
    kill_bootstrapd(world);
    advance(world);
    start_bootstrapd(world);
    while (call_number(world, "move.pause", 1) != STATUS_DENIED) {
    }
    assert_non_null(strstr(last.text, "shardkv map recover"));
    assert_int_equal(call_recover(world, "dry_run"), STATUS_OK);
    assert_true(replied_lines(&revision) >= 2);
    assert_true(revision < 1000000);
    assert_int_equal(call_recover(world, NULL), STATUS_OK);
    assert_true(replied_lines(&revision) >= 2);
    assert_true(revision > 1000000);
    run_until(world, is_recovered);
    assert_true(is_mine(&world->servers[2], entry(&world->servers[0], "high")->server));
    assert_int_equal(call_resize(world, "low", 4096), STATUS_OK);
    assert_int_equal(call_recover(world, NULL), STATUS_OK);
    assert_int_equal(replied_lines(&revision), 0);
}

static void a_server_that_is_away_is_gone_without_only_if_that_is_accepted(void **state)
{
    struct world *world = *state;
    kill_bootstrapd(world);
    advance(world);
    stop_server(world, 1);
    start_bootstrapd(world);
    while (call_number(world, "move.pause", 1) != STATUS_DENIED) {
    }
    assert_int_equal(call_recover(world, NULL), STATUS_DENIED);
    assert_non_null(strstr(last.text, address_text(&world->servers[1])));
    assert_int_equal(call_recover(world, "accept_missing"), STATUS_OK);
    start_server(world, 1);
    run_until(world, is_recovered);
}

static void a_bootstrapd_whose_term_is_too_low_changes_nothing_and_is_recovered(void **state)
{
    struct world *world = *state;
    kill_bootstrapd(world);
    for (unsigned i = 0; i < SERVER_COUNT; i++) {
        world->servers[i].term = 50;
    }
    start_bootstrapd(world);
    while (call_number(world, "move.pause", 1) != STATUS_DENIED) {
    }
    assert_non_null(strstr(last.text, "shardkv map recover"));
    assert_int_equal(call_recover(world, NULL), STATUS_OK);
    run_until(world, is_recovered);
    for (unsigned i = 0; i < SERVER_COUNT; i++) {
        assert_true(world->servers[i].lower_terms > 0);
        assert_true(world->servers[i].term > 1000);
    }
    assert_int_equal(call_resize(world, "low", 4096), STATUS_OK);
}

static void a_bootstrapd_that_dies_while_it_asks_its_servers_asks_no_more(void **state)
{
    struct world *world = *state;
    struct buffer params = {0};
    kill_bootstrapd(world);
    advance(world);
    start_bootstrapd(world);
    pack_array(&params, 0);
    world->client =
        peer_connect(world->loop, bootstrapd_address(world->bootstrapd), &client_handler, world);
    call_reply_ask(&last, world->client, "map.recover", buffer_bytes(&params), CALL_MS);
    buffer_fini(&params);
    for (unsigned i = 0; i < 4; i++) {
        run_turn(world);
    }
    kill_bootstrapd(world);
    run_until(world, has_reply);
    assert_true(last.is_lost || last.code == STATUS_SHUTTING_DOWN || last.code == STATUS_OK);
    start_bootstrapd(world);
    assert_int_equal(call_recover(world, NULL), STATUS_OK);
}

static bool is_drained(const struct world *world)
{
    const struct map *map = &world->servers[1].map;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (is_mine(&world->servers[0], map->entries[i].server) ||
            map->entries[i].move.phase != MOVE_NONE) {
            return false;
        }
    }
    return true;
}

static void a_server_that_is_drained_is_empty_in_the_end_and_goes(void **state)
{
    struct world *world = *state;
    assert_int_equal(call_server(world, "server.drain", 0, NULL), STATUS_OK);
    run_until(world, is_drained);
    assert_int_equal(call_server(world, "server.remove", 0, NULL), STATUS_OK);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_server_is_greeted_and_its_id_is_durable, make),
        TEST(a_server_of_another_cluster_is_not_added, make),
        TEST(a_shard_goes_to_the_new_server, make_with_server),
        TEST(the_source_is_asked_where_it_is_and_told_how_fast, make_with_server),
        TEST(an_abort_gives_the_target_nothing, make_with_server),
        TEST(an_undo_gives_the_range_back_when_the_target_agrees, make_with_server),
        TEST(a_bootstrapd_that_dies_at_a_row_goes_on_there, make_with_server),
        TEST(what_the_source_lost_is_tried_again, make_with_server),
        TEST(a_part_of_a_shard_goes_with_what_it_holds_and_its_share_of_the_rest, make_with_server),
        TEST(who_changed_the_map_stands_in_its_log_also_after_restarts, make),
        TEST(lists_have_what_they_are_said_to_have, make_with_server),
        TEST(a_plan_goes_by_what_servers_hold_when_it_is_asked_for, make_with_server),
        TEST(a_bootstrapd_that_is_behind_its_servers_calls_no_move_off, make_with_server),
        TEST(a_bootstrapd_that_is_behind_takes_what_its_servers_hold, make_with_server),
        TEST(a_server_that_is_away_is_gone_without_only_if_that_is_accepted, make_with_server),
        TEST(a_bootstrapd_whose_term_is_too_low_changes_nothing_and_is_recovered, make_with_server),
        TEST(a_bootstrapd_that_dies_while_it_asks_its_servers_asks_no_more, make_with_server),
        TEST(a_server_that_is_drained_is_empty_in_the_end_and_goes, make_with_server),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
