/* SPDX-License-Identifier: MIT */
#include "shardd/mover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "io/clock.h"
#include "io/listener.h"
#include "proto/id.h"
#include "proto/pack.h"
#include "proto/stamp.h"
#include "proto/stream.h"
#include "proto/unpack.h"
#include "shardd/import.h"
#include "shardd/server.h"
#include "shardd/tree.h"
#include "tests/unit/sample_map.h"
#include "tests/unit/scratch.h"

/*
 * One server in its part of a move. The test is bootstrapd, which pushes maps of one entry and answers pings or not,
 * and the server at the other end: a target that takes all, or a source.
 */

/* The entry's epoch in each phase; that of COPY is the move's id. */
enum { REVISION_FIRST = 2, REVISION_COPY, REVISION_ENDED, REVISION_OPENED };

#define MOVE_ID ((uint64_t)REVISION_COPY)

#define LOG_LEN (UINT64_C(4) << 20)

/* What is not to happen would have in so many turns, one in a millisecond at least. */
enum { TURNS = 100, RECORDS = 5 };

struct world {
    struct scratch scratch;
    struct loop *loop;
    struct shardd *shardd;
    struct timer *guard;
    struct timer *tick;
    bool (*is_reached)(void);
    uint32_t turn_count;
    uint8_t other[ID_LEN];

    struct peer *bootstrapd; /* its connection to the server; NULL: closed */
    bool is_silent;          /* pings are not answered */
    uint32_t ping_count;
    uint32_t ping_msgid;        /* of the last */
    uint64_t last_id_ms;        /* of the source: in the map's time, which begins at 1 */
    struct buffer pushed;       /* the map that was pushed last */
    bool is_withholding;        /* who asks for it is not answered */
    uint32_t asked_count;       /* for it */
    enum move_state told_state; /* by move.changed, last */
    bool keeps_pace;            /* who begins to copy is not told how fast */

    struct peer *source; /* the other server's connection, when it is the source; NULL: closed */
    struct listener *listener;
    uint32_t link_count; /* to the other server, as the target */
    uint32_t begin_count;
    bool has_answer;
    enum status answer;
    char text[256]; /* of a refusal */
    struct buffer result;
    bool is_read; /* what was asked of the record has an answer */
    enum status read_status;
};

static struct world world;

/* --- what the server has --- */

static bool is_move_at(uint64_t id, enum moving_state state)
{
    return movings_find(&shardd_ownership(world.shardd)->movings, id, state);
}

static bool is_at(enum moving_state state)
{
    return is_move_at(MOVE_ID, state);
}

static bool is_frozen(void)
{
    return is_at(MOVING_FROZEN);
}

static bool are_both_frozen(void)
{
    return is_frozen() && is_move_at(MOVE_ID + 1, MOVING_FROZEN);
}

static bool is_ready(void)
{
    return is_at(MOVING_READY);
}

static bool has_none(void)
{
    return shardd_ownership(world.shardd)->movings.count == 0;
}

/* --- the other server, as a target --- */

static bool is_method(const struct rpc_message *message, const char *method)
{
    return bytes_equal(message->method, bytes_text(method));
}

static void on_import(void *context, struct peer *peer, const struct rpc_message *message)
{
    (void)context;
    struct unpack in = unpack_of(message->params);
    struct buffer *out = peer_output(peer);
    (void)unpack_array(&in);
    uint64_t id = unpack_uint(&in);
    assert_in_range(id, MOVE_ID, MOVE_ID + 1);
    rpc_response(out, message->msgid);
    if (is_method(message, "import.begin")) {
        world.begin_count++;
        pack_array(out, 2);
        pack_uint(out, 0);
        pack_bool(out, false);
    } else if (is_method(message, "import.data")) {
        pack_array(out, 1);
        pack_uint(out, unpack_uint(&in));
    } else {
        assert_true(is_move_at(id, MOVING_FROZEN)); /* RULES V4: durably */
        pack_array(out, 0);
    }
}

static void on_import_closed(void *context, struct peer *peer, const char *reason)
{
    (void)context, (void)peer, (void)reason;
    world.link_count--;
}

static const struct peer_handler import_handler = {NULL, on_import, on_import_closed};

static void on_accept(void *context, struct conn *conn)
{
    (void)context;
    (void)peer_accept(world.loop, conn, &import_handler, NULL);
    world.link_count++;
}

/* --- the test's connections to the server --- */

static void answer_ping(struct peer *peer)
{
    rpc_response(peer_output(peer), world.ping_msgid);
    pack_nil(peer_output(peer));
}

static void answer_map(struct peer *peer, uint32_t msgid)
{
    world.asked_count++;
    if (!world.is_withholding) {
        rpc_response(peer_output(peer), msgid);
        buffer_append_bytes(peer_output(peer), buffer_bytes(&world.pushed));
    }
}

static void on_paced(void *context, const struct rpc_message *message)
{
    (void)context, (void)message;
}

static void tell_pace(struct peer *peer, uint64_t id)
{
    struct buffer params = {0};
    move_pace_pack(&(struct move_pace){.id = id}, &params);
    peer_call(peer, "move.pace", buffer_bytes(&params), 1000, on_paced, NULL);
    buffer_fini(&params);
}

static void take_told(struct peer *peer, struct bytes params)
{
    struct move_reports reports = {0};
    struct unpack in = unpack_of(params);
    assert_true(move_reports_unpack(&in, &reports));
    const struct move_report *report = move_reports_find(&reports, MOVE_ID);
    world.told_state = report ? report->state : 0;
    for (uint32_t i = 0; i < reports.count && !world.keeps_pace; i++) {
        if (reports.items[i].state == MOVE_SOURCE_COPYING) {
            tell_pace(peer, reports.items[i].id);
        }
    }
    move_reports_fini(&reports);
}

static void on_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    (void)context;
    if (message->type == RPC_NOTIFICATION && is_method(message, "move.changed")) {
        take_told(peer, message->params);
    }
    if (message->type == RPC_REQUEST && is_method(message, "ping")) {
        world.ping_count++;
        world.ping_msgid = message->msgid;
        if (!world.is_silent) {
            answer_ping(peer);
        }
    }
    if (message->type == RPC_REQUEST && is_method(message, "map.get")) {
        answer_map(peer, message->msgid);
    }
}

static void on_close(void *context, struct peer *peer, const char *reason)
{
    (void)context, (void)reason;
    world.bootstrapd = world.bootstrapd == peer ? NULL : world.bootstrapd;
    world.source = world.source == peer ? NULL : world.source;
}

static const struct peer_handler handler = {NULL, on_request, on_close};

/* --- running --- */

static void fail_late(void *context)
{
    (void)context;
    fail_msg("%s", "nothing happened for 20 s");
}

static void on_tick(void *context)
{
    (void)context;
    world.turn_count++;
    if (world.is_reached()) {
        loop_stop(world.loop);
    } else {
        timer_set(world.tick, 1);
    }
}

static void run_until(bool (*is_reached)(void))
{
    world.is_reached = is_reached;
    world.turn_count = 0;
    timer_set(world.guard, 20000);
    timer_set(world.tick, 0);
    loop_run(world.loop);
    timer_clear(world.guard);
}

static bool is_past(void)
{
    return world.turn_count >= TURNS;
}

/* The hand has arrived, and bootstrapd is asked whether it is there. */
static bool is_asking(void)
{
    return world.ping_count > 0;
}

static bool has_answer(void)
{
    return world.has_answer;
}

static void on_reply(void *context, const struct rpc_message *message)
{
    (void)context;
    assert_non_null(message);
    world.has_answer = true;
    world.answer = message->code;
    (void)snprintf(world.text, sizeof(world.text), "%.*s", (int)message->text.len,
                   (const char *)message->text.data);
    buffer_clear(&world.result);
    if (message->code == STATUS_OK) {
        buffer_append_bytes(&world.result, message->result);
    }
}

/* Takes the params. */
static enum status call(struct peer *peer, const char *method, struct buffer *params)
{
    world.has_answer = false;
    peer_call(peer, method, buffer_bytes(params), 10000, on_reply, NULL);
    buffer_fini(params);
    run_until(has_answer);
    return world.answer;
}

/* --- bootstrapd --- */

static void greet(void)
{
    struct buffer params = {0};
    uint8_t id[ID_LEN];
    world.bootstrapd = peer_connect(world.loop, shardd_address(world.shardd), &handler, NULL);
    pack_array(&params, 1);
    pack_map(&params, 5);
    pack_text(&params, "role");
    pack_text(&params, "bootstrapd");
    pack_text(&params, "cluster");
    sample_id('c', id);
    pack_bin(&params, bytes_of(id, ID_LEN));
    pack_text(&params, "instance");
    sample_id('i', id);
    pack_bin(&params, bytes_of(id, ID_LEN));
    pack_text(&params, "term");
    pack_uint(&params, 1);
    pack_text(&params, "revision");
    pack_uint(&params, REVISION_OPENED);
    assert_int_equal(call(world.bootstrapd, "hello", &params), STATUS_OK);
}

/* Each entry has a move of its own. */
static void set_moves(struct map *map, const uint8_t *owner, const uint8_t *source,
                      enum move_phase phase)
{
    const uint8_t *self = shardd_ownership(world.shardd)->server;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        struct map_entry *entry = &map->entries[i];
        entry->is_new = phase == MOVE_NONE;
        memcpy(entry->server, owner, ID_LEN);
        if (phase != MOVE_NONE) {
            entry->move = (struct map_move){.phase = phase, .id = MOVE_ID + i};
            memcpy(entry->move.source, source, ID_LEN);
            memcpy(entry->move.target, source == self ? world.other : self, ID_LEN);
        }
    }
}

/* Takes the map; the other server is where the listener is. */
static void push_map(struct map *map)
{
    struct buffer params = {0};
    map->servers = calloc(1, sizeof(*map->servers));
    assert_non_null(map->servers);
    map->server_count = 1;
    map->servers[0].address = *listener_address(world.listener);
    memcpy(map->servers[0].id, world.other, ID_LEN);
    buffer_clear(&world.pushed);
    map_pack(map, &world.pushed);
    map_fini(map);
    pack_array(&params, 1);
    buffer_append_bytes(&params, buffer_bytes(&world.pushed));
    assert_int_equal(call(world.bootstrapd, "map.push", &params), STATUS_OK);
}

static void push(uint64_t revision, const uint8_t *owner, const uint8_t *source,
                 enum move_phase phase)
{
    struct map map = SAMPLE_MAP(revision, {"all", BOUND_END, revision, 1, false, 0});
    set_moves(&map, owner, source, phase);
    push_map(&map);
}

/* A move from here. */
static void push_away(uint64_t revision, enum move_phase phase)
{
    const uint8_t *self = shardd_ownership(world.shardd)->server;
    bool is_gone = phase == MOVE_COMMITTED || phase == MOVE_OPENED;
    push(revision, is_gone ? world.other : self, self, phase);
}

/* Two, each of a half. */
static void push_halves_away(uint64_t revision, enum move_phase phase)
{
    const uint8_t *self = shardd_ownership(world.shardd)->server;
    bool is_gone = phase == MOVE_COMMITTED || phase == MOVE_OPENED;
    struct map map = SAMPLE_MAP(revision, {"low", HALF, revision, 1, false, 0},
                                {"high", BOUND_END, revision, 1, false, 0});
    set_moves(&map, is_gone ? world.other : self, self, phase);
    push_map(&map);
}

/* A move to here. */
static void push_hither(uint64_t revision, enum move_phase phase)
{
    bool is_here = phase == MOVE_COMMITTED || phase == MOVE_OPENED;
    push(revision, is_here ? shardd_ownership(world.shardd)->server : world.other, world.other,
         phase);
}

static void set_pace(bool is_paused)
{
    struct buffer params = {0};
    const struct move_pace pace = {.id = MOVE_ID, .is_paused = is_paused};
    move_pace_pack(&pace, &params);
    assert_int_equal(call(world.bootstrapd, "move.pace", &params), STATUS_OK);
}

/* Zero: it is not listed. */
static struct move_report reported(uint64_t id)
{
    struct buffer params = {0};
    struct move_reports reports = {0};
    pack_array(&params, 0);
    assert_int_equal(call(world.bootstrapd, "move.status", &params), STATUS_OK);
    struct unpack in = unpack_of(buffer_bytes(&world.result));
    assert_true(move_reports_unpack(&in, &reports));
    const struct move_report *report = move_reports_find(&reports, id);
    const struct move_report found = report ? *report : (struct move_report){0};
    move_reports_fini(&reports);
    return found;
}

/* --- the server's starts and ends --- */

static void start(void)
{
    char error[256] = "";
    const struct shardd_config config = {
        .listen = {.host = "127.0.0.1"},
        .data = world.scratch.path,
        .connection_max = 10,
        .memory_limit = STORE_MEMORY_DEFAULT,
        .log_limit = LOG_LEN,
        .segment_len = LOG_LEN / 4,
    };
    const struct address any_port = {"127.0.0.1", 0};
    const struct listener_config listening = {&any_port, 10, on_accept, NULL};
    world.loop = loop_new();
    world.guard = timer_new(world.loop, fail_late, NULL);
    world.tick = timer_new(world.loop, on_tick, NULL);
    world.listener = listener_open(world.loop, &listening, error, sizeof(error));
    assert_non_null(world.listener);
    world.shardd = shardd_open(world.loop, &config, error, sizeof(error));
    if (!world.shardd) {
        fail_msg("%s", error);
    }
    greet();
}

static void on_stopped(void *context)
{
    (void)context;
    world.has_answer = true;
}

static bool is_closed(void)
{
    return world.has_answer && !world.bootstrapd && !world.source && world.link_count == 0;
}

static void stop(void)
{
    world.has_answer = false;
    shardd_stop(world.shardd, on_stopped, NULL);
    run_until(is_closed);
    shardd_free(world.shardd);
    listener_close(world.listener);
    timer_free(world.guard);
    timer_free(world.tick);
    loop_free(world.loop);
}

static int set_up(void **state)
{
    (void)state;
    world = (struct world){.scratch = scratch_make()};
    sample_id(2, world.other);
    start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stop();
    buffer_fini(&world.result);
    buffer_fini(&world.pushed);
    scratch_remove(&world.scratch);
    return 0;
}

/* --- a record that the test knows in its stored form --- */

static struct record one_record(void)
{
    const struct bytes key = bytes_text("one");
    return (struct record){
        .point = point_of_key(key), .key = key, .value = bytes_of("\x07", 1), .version = 1};
}

static struct bytes record_key(void)
{
    static uint8_t key[TREE_KEY_LEN_MAX];
    const struct record record = one_record();
    return bytes_of(key, record_key_encode(record.point, record.table, record.key, key));
}

static struct bytes record_stored(void)
{
    static uint8_t stored[RECORD_HEADER_LEN + 1];
    const struct record record = one_record();
    record_header_encode(&record, record_key(), stored);
    memcpy(stored + RECORD_HEADER_LEN, record.value.data, record.value.len);
    return bytes_of(stored, sizeof(stored));
}

/* --- a source --- */

static void write_records(void)
{
    push_away(REVISION_FIRST, MOVE_NONE);
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct buffer params = {0};
        pack_array(&params, 2);
        pack_bin(&params, bytes_of(&i, sizeof(i)));
        pack_uint(&params, i);
        assert_int_equal(call(world.bootstrapd, "write", &params), STATUS_OK);
    }
}

static void copy_away(void)
{
    write_records();
    push_away(REVISION_COPY, MOVE_COPY);
}

/* The target has all, and the map says so. */
static void hand_over(void)
{
    copy_away();
    run_until(is_frozen);
    run_until(is_past); /* the end of the stream has been answered */
    push_away(REVISION_ENDED, MOVE_COMMITTED);
    assert_true(is_at(MOVING_CLOSED));
}

/* RULES V7; DESIGN §7: nor while bootstrapd, which would have to commit it, does not answer. */
static void a_source_that_is_paused_is_not_frozen(void **state)
{
    (void)state;
    world.is_silent = true;
    copy_away();
    run_until(is_asking);
    run_until(is_past);
    assert_false(is_frozen());
    set_pace(true);
    world.is_silent = false;
    answer_ping(world.bootstrapd);
    run_until(is_past);
    assert_false(is_frozen());
    set_pace(false);
    run_until(is_frozen);
}

/* Bootstrapd was killed as soon as the move was in the map, and the range went as fast as it could. */
static void nothing_is_copied_before_bootstrapd_has_told_how_fast(void **state)
{
    (void)state;
    world.keeps_pace = true;
    copy_away();
    run_until(is_past);
    assert_int_equal(world.begin_count, 1);
    assert_int_equal(reported(MOVE_ID).records, 0);
    assert_false(is_frozen());
    set_pace(false);
    run_until(is_frozen);
}

static bool is_asking_for_the_map(void)
{
    return world.asked_count > 0;
}

static bool is_divided(void)
{
    return shardd_ownership(world.shardd)->range_count == 2;
}

/* RULES V8. The push is answered, so that bootstrapd need not wait, and what it brought is asked for again. */
static void a_split_is_taken_when_it_has_been_counted(void **state)
{
    (void)state;
    write_records();
    world.is_withholding = true;
    push_halves_away(REVISION_COPY, MOVE_NONE);
    assert_false(is_divided());
    run_until(is_asking_for_the_map);
    assert_false(is_divided());
    world.is_withholding = false;
    push_halves_away(REVISION_COPY, MOVE_NONE);
    assert_true(is_divided());
}

/* As bootstrapd does when it need not know how much each part has. */
static void a_move_of_a_part_begins_when_the_split_has_been_counted(void **state)
{
    (void)state;
    write_records();
    push_halves_away(REVISION_COPY, MOVE_COPY);
    run_until(are_both_frozen);
    assert_true(world.asked_count > 0);
}

/* RULES V3: its target has a part of what it would send. */
static void a_source_that_was_started_again_goes_on_with_no_copy(void **state)
{
    (void)state;
    world.is_silent = true;
    copy_away();
    run_until(is_asking);
    assert_int_equal(world.begin_count, 1);
    stop();
    start();
    assert_int_equal(reported(MOVE_ID).state, MOVE_SOURCE_LOST);
    push_away(REVISION_COPY, MOVE_COPY);
    run_until(is_past);
    assert_int_equal(world.begin_count, 1);
}

/* RULES V4 */
static void what_is_frozen_waits_for_the_map_also_after_a_restart(void **state)
{
    (void)state;
    copy_away();
    run_until(is_frozen);
    stop();
    start();
    run_until(is_past);
    assert_true(is_frozen());
    assert_false(shardd_serves(world.shardd, 0));
    push_away(REVISION_ENDED, MOVE_ABORTED);
    assert_true(has_none());
    assert_true(shardd_serves(world.shardd, 0));
}

/* RULES V6 */
static void a_copy_goes_when_the_target_is_open_and_no_sooner(void **state)
{
    (void)state;
    hand_over();
    run_until(is_past);
    assert_true(is_at(MOVING_CLOSED));
    push_away(REVISION_OPENED, MOVE_OPENED);
    run_until(has_none);
}

/* What nobody has handed over. */
static void add_stored(void)
{
    char error[256];
    struct tree *tree = tree_open(world.scratch.path, error, sizeof(error));
    assert_non_null(tree);
    struct tree_txn *txn = tree_begin_write(tree);
    tree_put(txn, TREE_RECORDS, record_key(), record_stored(), bytes_of(NULL, 0));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
}

/* RULES V6: the walk of it does not come to what was handed over. */
static void a_copy_that_is_something_else_is_kept(void **state)
{
    (void)state;
    hand_over();
    stop();
    add_stored();
    start();
    push_away(REVISION_OPENED, MOVE_OPENED);
    run_until(is_past);
    assert_true(is_at(MOVING_CLOSED));
}

/* In each half. */
static void add_damaged(void)
{
    char error[256];
    static const uint8_t first_bytes[] = {0x10, 0x90};
    struct tree *tree = tree_open(world.scratch.path, error, sizeof(error));
    assert_non_null(tree);
    struct tree_txn *txn = tree_begin_write(tree);
    for (size_t i = 0; i < 2; i++) {
        const uint8_t key[12] = {first_bytes[i]};
        tree_put(txn, TREE_RECORDS, bytes_of(key, sizeof(key)), record_stored(), bytes_of(NULL, 0));
    }
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
}

/* They are looked through one after another. */
static void behind_a_copy_that_is_kept_the_next_is_looked_through(void **state)
{
    (void)state;
    push_halves_away(REVISION_FIRST, MOVE_NONE);
    push_halves_away(REVISION_COPY, MOVE_COPY);
    run_until(are_both_frozen);
    run_until(is_past); /* the ends of the streams have been answered */
    push_halves_away(REVISION_ENDED, MOVE_COMMITTED);
    stop();
    add_damaged();
    start();
    push_halves_away(REVISION_OPENED, MOVE_OPENED);
    run_until(is_past);
    for (uint64_t id = MOVE_ID; id <= MOVE_ID + 1; id++) {
        struct move_report report = reported(id);
        assert_int_equal(report.state, MOVE_SOURCE_CLOSED);
        assert_string_not_equal(report.text, "");
    }
}

/* --- a target --- */

static enum status greet_for(uint64_t id, uint64_t stamp)
{
    struct buffer params = {0};
    if (!world.source) {
        world.source = peer_connect(world.loop, shardd_address(world.shardd), &handler, NULL);
    }
    pack_array(&params, 5);
    pack_uint(&params, id);
    pack_uint(&params, 0);
    pack_uint(&params, BOUND_END);
    pack_bin(&params, bytes_of(world.other, ID_LEN));
    pack_uint(&params, stamp);
    return call(world.source, "import.begin", &params);
}

static void begin_import(void)
{
    assert_int_equal(greet_for(MOVE_ID, 1), STATUS_OK);
}

static enum status send_stored(struct bytes stored)
{
    struct buffer items = {0};
    struct buffer params = {0};
    stream_record_encode(record_key(), stored, &items);
    pack_array(&params, 3);
    pack_uint(&params, MOVE_ID);
    pack_uint(&params, 1);
    pack_bin(&params, buffer_bytes(&items));
    buffer_fini(&items);
    return call(world.source, "import.data", &params);
}

static void end_import(void)
{
    struct range_sum sum = {0};
    struct buffer params = {0};
    range_sum_add(&sum, record_key(), record_stored());
    pack_array(&params, 8);
    pack_uint(&params, MOVE_ID);
    pack_uint(&params, 2);
    pack_uint(&params, sum.records);
    pack_uint(&params, sum.bytes);
    pack_uint(&params, sum.high);
    pack_uint(&params, sum.low);
    pack_uint(&params, stamp_of_ms(world.last_id_ms));
    pack_uint(&params, world.last_id_ms);
    assert_int_equal(call(world.source, "import.end", &params), STATUS_OK);
}

/* One record. */
static void import_all(void)
{
    push_hither(REVISION_FIRST, MOVE_NONE);
    push_hither(REVISION_COPY, MOVE_COPY);
    begin_import();
    assert_int_equal(send_stored(record_stored()), STATUS_OK);
    end_import();
    assert_true(is_ready());
}

static void on_read(void *context, const struct rpc_message *message)
{
    (void)context;
    assert_non_null(message);
    world.is_read = true;
    world.read_status = message->code;
}

static bool is_read(void)
{
    return world.is_read;
}

static void begin_read(void)
{
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_bin(&params, one_record().key);
    world.is_read = false;
    peer_call(world.bootstrapd, "read", buffer_bytes(&params), 20000, on_read, NULL);
    buffer_fini(&params);
}

/* RULES V6, V4: what is asked of it until then waits. */
static void a_target_opens_by_the_map_and_by_nothing_else(void **state)
{
    (void)state;
    import_all();
    begin_read();
    run_until(is_past);
    assert_true(is_ready());
    assert_false(world.is_read);
    push_hither(REVISION_ENDED, MOVE_COMMITTED);
    assert_true(has_none());
    run_until(is_read);
    assert_int_equal(world.read_status, STATUS_OK);
}

/* The way back of what was handed over, under a new id. */
static enum status greet_for_way_back(uint64_t revision)
{
    struct map map = SAMPLE_MAP(revision, {"all", BOUND_END, revision, 1, false, 0});
    set_moves(&map, world.other, world.other, MOVE_COPY);
    map.entries[0].move.id = revision;
    push_map(&map);
    return greet_for(revision, 1);
}

/* Its source was removed, and is here again: nobody will ask what the copy is (RULES V6). */
static void a_move_onto_a_copy_that_is_kept_is_told_so(void **state)
{
    (void)state;
    hand_over();
    assert_int_equal(greet_for_way_back(REVISION_OPENED), STATUS_CONFLICT);
    assert_non_null(strstr(world.text, "copy of 0.0 to 1.0 from the move of revision 3"));
    assert_non_null(strstr(world.text, "empty data directory"));
    assert_true(is_at(MOVING_CLOSED));
}

/* RULES V9: it would stay in this server's for ever. */
static void a_greeting_from_far_ahead_is_refused(void **state)
{
    (void)state;
    const uint64_t now_ms = clock_wall_ms();
    const uint64_t far_stamps[] = {UINT64_MAX, UINT64_C(1) << 63,
                                   stamp_of_ms(now_ms + IMPORT_SOURCE_AHEAD_MS + 600000)};
    push_hither(REVISION_FIRST, MOVE_NONE);
    push_hither(REVISION_COPY, MOVE_COPY);
    for (size_t i = 0; i < sizeof(far_stamps) / sizeof(far_stamps[0]); i++) {
        assert_int_equal(greet_for(MOVE_ID, far_stamps[i]), STATUS_INVALID);
        assert_true(has_none());
    }
    /* What bootstrapd lets through when it is forced to, or for a try that is made again. */
    assert_int_equal(greet_for(MOVE_ID, stamp_of_ms(now_ms + UINT64_C(7) * 86400000)), STATUS_OK);
}

/* RULES S10 */
static void bootstrapd_hears_of_an_import_that_is_broken(void **state)
{
    (void)state;
    static const uint8_t damaged[RECORD_HEADER_LEN];
    push_hither(REVISION_FIRST, MOVE_NONE);
    push_hither(REVISION_COPY, MOVE_COPY);
    begin_import();
    assert_int_equal(send_stored(bytes_of(damaged, sizeof(damaged))), STATUS_DAMAGED);
    run_until(is_past);
    assert_int_equal(world.told_state, MOVE_TARGET_LOST);
}

/* RULES V3: a link may break when READY is durable, and the source knows only that it was greeted before. */
static void an_end_that_comes_again_is_answered_as_before(void **state)
{
    (void)state;
    import_all();
    run_until(is_past);
    end_import();
    assert_true(is_ready());
}

static bool has_stored(void)
{
    char error[256];
    struct bytes stored;
    struct tree *tree = tree_open(world.scratch.path, error, sizeof(error));
    assert_non_null(tree);
    struct tree_txn *txn = tree_begin_read(tree);
    bool is_there = tree_get(txn, TREE_RECORDS, record_key(), &stored);
    tree_abort(txn);
    tree_close(tree);
    return is_there;
}

/* RULES V2, V5: no timer says so. */
static uint64_t minted_ms(void)
{
    struct buffer params = {0};
    pack_array(&params, 2);
    pack_uint(&params, 0);
    pack_uint(&params, 1);
    assert_int_equal(call(world.bootstrapd, "mint", &params), STATUS_OK);
    struct unpack in = unpack_of(buffer_bytes(&world.result));
    assert_int_equal(unpack_array(&in), 1);
    assert_int_equal(unpack_array(&in), 2);
    return id_ms(unpack_uint(&in));
}

/* RULES I2: its clock was ahead; and what is told when all is there outlives the target. */
static void ids_go_on_above_what_the_source_gave(void **state)
{
    (void)state;
    world.last_id_ms = clock_wall_ms() + 900;
    import_all();
    stop();
    start();
    greet();
    push_hither(REVISION_ENDED, MOVE_COMMITTED);
    assert_true(minted_ms() > world.last_id_ms);
}

/* RULES I3: a source whose clock was so far behind its ids would have given none. */
static void an_end_whose_last_id_is_far_ahead_is_refused(void **state)
{
    (void)state;
    push_hither(REVISION_COPY, MOVE_COPY);
    begin_import();
    struct buffer params = {0};
    pack_array(&params, 8);
    pack_uint(&params, MOVE_ID);
    pack_uint(&params, 1);
    for (int i = 0; i < 4; i++) {
        pack_uint(&params, 0);
    }
    pack_uint(&params, stamp_of_ms(clock_wall_ms()));
    pack_uint(&params, clock_wall_ms() + 11 * UINT64_C(60000));
    assert_int_equal(call(world.source, "import.end", &params), STATUS_CONFLICT);
    assert_false(is_ready());
}

static void what_came_goes_when_the_map_says_that_it_is_aborted(void **state)
{
    (void)state;
    import_all();
    run_until(is_past);
    assert_true(is_ready());
    push_hither(REVISION_ENDED, MOVE_ABORTED);
    begin_read();
    run_until(has_none);
    run_until(is_read);
    assert_int_equal(world.read_status, STATUS_WRONG_SHARD);
    stop();
    assert_false(has_stored());
    start();
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_source_that_is_paused_is_not_frozen),
        CASE(nothing_is_copied_before_bootstrapd_has_told_how_fast),
        CASE(a_split_is_taken_when_it_has_been_counted),
        CASE(a_move_of_a_part_begins_when_the_split_has_been_counted),
        CASE(a_source_that_was_started_again_goes_on_with_no_copy),
        CASE(what_is_frozen_waits_for_the_map_also_after_a_restart),
        CASE(a_copy_goes_when_the_target_is_open_and_no_sooner),
        CASE(a_copy_that_is_something_else_is_kept),
        CASE(behind_a_copy_that_is_kept_the_next_is_looked_through),
        CASE(a_target_opens_by_the_map_and_by_nothing_else),
        CASE(a_move_onto_a_copy_that_is_kept_is_told_so),
        CASE(a_greeting_from_far_ahead_is_refused),
        CASE(bootstrapd_hears_of_an_import_that_is_broken),
        CASE(an_end_that_comes_again_is_answered_as_before),
        CASE(ids_go_on_above_what_the_source_gave),
        CASE(an_end_whose_last_id_is_far_ahead_is_refused),
        CASE(what_came_goes_when_the_map_says_that_it_is_aborted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
