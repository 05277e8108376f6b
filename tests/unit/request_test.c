/* SPDX-License-Identifier: MIT */
#include "shardd/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/json.h"
#include "proto/pack.h"
#include "shardd/server.h"
#include "tests/unit/sample_map.h"
#include "tests/unit/scratch.h"

/* A server and its clients, on one loop. Requests and replies are JSON (proto/json.h). */

enum { CLIENT_COUNT = 3, REPLY_MAX = 64 };

struct client {
    struct world *world;
    struct peer *peer; /* NULL: closed */
    uint32_t notice_count;
    struct buffer notice; /* the last notification's params */
    struct buffer answer; /* to map.get, if the server asks */
};

struct reply {
    struct world *world;
    bool has_come;
    uint32_t code; /* STATUS_OK, or the error's */
    char text[512];
    struct buffer json; /* the result, or the error's detail */
};

struct world {
    struct scratch scratch;
    struct loop *loop;
    struct shardd *shardd;
    uint8_t server[ID_LEN];
    struct client clients[CLIENT_COUNT];
    bool is_stopped;
};

static void copy_object(struct bytes object, struct buffer *json)
{
    buffer_clear(json);
    assert_true(json_print(object, json));
    buffer_append(json, "", 1);
}

static void on_reply(void *context, const struct rpc_message *message)
{
    struct reply *reply = context;
    reply->has_come = true;
    if (message) {
        reply->code = message->code;
        (void)snprintf(reply->text, sizeof(reply->text), "%.*s", (int)message->text.len,
                       (const char *)message->text.data);
        copy_object(message->code == STATUS_OK ? message->result : message->detail, &reply->json);
    } else {
        reply->code = UINT32_MAX;
    }
    loop_stop(reply->world->loop);
}

static void on_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    struct client *client = context;
    if (message->type == RPC_NOTIFICATION) {
        client->notice_count++;
        copy_object(message->params, &client->notice);
        loop_stop(client->world->loop);
    } else {
        assert_true(bytes_equal(message->method, bytes_text("map.get")));
        rpc_response(peer_output(peer), message->msgid);
        pack_encoded(peer_output(peer), buffer_bytes(&client->answer));
    }
}

static void on_close(void *context, struct peer *peer, const char *reason)
{
    (void)peer;
    (void)reason;
    struct client *client = context;
    client->peer = NULL;
    loop_stop(client->world->loop);
}

static const struct peer_handler handler = {NULL, on_request, on_close};

static struct client *connect_client(struct world *world, uint32_t index)
{
    struct client *client = &world->clients[index];
    client->world = world;
    client->peer = peer_connect(world->loop, shardd_address(world->shardd), &handler, client);
    return client;
}

static void close_client(struct client *client)
{
    if (client->peer) {
        peer_close(client->peer, "done");
    }
    while (client->peer) {
        loop_run(client->world->loop);
    }
    buffer_fini(&client->notice);
    buffer_fini(&client->answer);
}

/* The reply's text lives until the next call. */
static const struct reply *call(struct client *client, const char *method, struct bytes params)
{
    static struct reply reply;
    buffer_fini(&reply.json);
    reply = (struct reply){.world = client->world};
    peer_call(client->peer, method, params, 5000, on_reply, &reply);
    while (!reply.has_come) {
        loop_run(client->world->loop);
    }
    return &reply;
}

static const struct reply *call_json(struct client *client, const char *method, const char *json)
{
    struct buffer params = {0};
    struct json_error error;
    assert_true(json_parse(bytes_text(json), &params, &error));
    const struct reply *reply = call(client, method, buffer_bytes(&params));
    buffer_fini(&params);
    return reply;
}

static void assert_result(const struct reply *reply, const char *json)
{
    if (reply->code != STATUS_OK) {
        fail_msg("%s: %s", status_name(reply->code), reply->text);
    }
    assert_string_equal((const char *)reply->json.data, json);
}

static void assert_error(const struct reply *reply, enum status code, const char *text)
{
    if (reply->code != code) {
        fail_msg("%s instead of %s: %s", status_name(reply->code), status_name(code), reply->text);
    }
    assert_string_equal(reply->text, text);
}

/* --- a server, and a bootstrapd's part --- */

static void open_server(struct world *world)
{
    char error[256] = "";
    struct shardd_config config = {
        .listen = {.host = "127.0.0.1"},
        .data = world->scratch.path,
        .connection_max = 100,
    };
    world->loop = loop_new();
    world->shardd = shardd_open(world->loop, &config, error, sizeof(error));
    if (!world->shardd) {
        fail_msg("%s", error);
    }
    world->is_stopped = false;
    connect_client(world, 0);
}

static void on_stopped(void *context)
{
    struct world *world = context;
    world->is_stopped = true;
    loop_stop(world->loop);
}

static void close_server(struct world *world)
{
    shardd_stop(world->shardd, on_stopped, world);
    while (!world->is_stopped) {
        loop_run(world->loop);
    }
    for (uint32_t i = 0; i < CLIENT_COUNT; i++) {
        close_client(&world->clients[i]);
        world->clients[i] = (struct client){0};
    }
    shardd_free(world->shardd);
    loop_free(world->loop);
}

/* `expect`: a byte of the expected server's id; 0: none. */
static const struct reply *greet(struct client *client, uint8_t instance, uint64_t term,
                                 uint8_t expect)
{
    uint8_t id[ID_LEN];
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_map(&params, 6);
    pack_text(&params, "role");
    pack_text(&params, "bootstrapd");
    pack_text(&params, "cluster");
    sample_id('c', id);
    pack_bin(&params, bytes_of(id, ID_LEN));
    pack_text(&params, "instance");
    sample_id(instance, id);
    pack_bin(&params, bytes_of(id, ID_LEN));
    pack_text(&params, "term");
    pack_uint(&params, term);
    pack_text(&params, "revision");
    pack_uint(&params, 1);
    pack_text(&params, "expect");
    sample_id(expect, id);
    pack_bin(&params, bytes_of(id, ID_LEN));
    const struct reply *reply = call(client, "hello", buffer_bytes(&params));
    buffer_fini(&params);
    return reply;
}

/* Its own server id, as the first bytes of what the server calls itself. */
static void learn_server(struct world *world)
{
    const struct reply *reply = call_json(&world->clients[0], "stat", "[]");
    struct buffer object = {0};
    struct json_error error;
    assert_int_equal(reply->code, STATUS_OK);
    assert_true(json_parse(bytes_of(reply->json.data, reply->json.len - 1), &object, &error));
    struct unpack in = unpack_of(buffer_bytes(&object));
    unpack_map(&in);
    assert_true(bytes_equal(unpack_text(&in), bytes_text("server")));
    struct bytes id = unpack_text(&in);
    assert_int_equal(id.len, ID_LEN);
    memcpy(world->server, id.data, ID_LEN);
    buffer_fini(&object);
}

/* Owner 1 is the server; frees `map`. */
static void pack_push(const struct world *world, struct map *map, struct buffer *params)
{
    uint8_t one[ID_LEN];
    sample_id(1, one);
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (memcmp(map->entries[i].server, one, ID_LEN) == 0) {
            memcpy(map->entries[i].server, world->server, ID_LEN);
        }
    }
    map_pack(map, params);
    map_fini(map);
}

static const struct reply *push(struct client *client, struct map map)
{
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_push(client->world, &map, &params);
    const struct reply *reply = call(client, "map.push", buffer_bytes(&params));
    buffer_fini(&params);
    return reply;
}

static void found(struct world *world, struct map map)
{
    learn_server(world);
    assert_int_equal(greet(&world->clients[0], 'i', 1, 0)->code, STATUS_OK);
    const struct reply *reply = push(&world->clients[0], map);
    if (reply->code != STATUS_OK) {
        fail_msg("%s", reply->text);
    }
}

static int setup_unfounded(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    world->scratch = scratch_make();
    open_server(world);
    *state = world;
    return 0;
}

/* One shard, all of the circle. */
static int setup(void **state)
{
    setup_unfounded(state);
    found(*state, SAMPLE_MAP(2, {"all", BOUND_END, 2, 1, true, 1024}));
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    close_server(world);
    scratch_remove(&world->scratch);
    free(world);
    return 0;
}

/* --- arguments --- */

static const struct {
    const char *method, *params;
    enum status code;
    const char *text;
} wrong_arguments[] = {
    {"get", "[]", STATUS_UNKNOWN_METHOD, "there is no method \"get\""},
    {"ge\nt\x01", "[]", STATUS_UNKNOWN_METHOD, "there is no method \"ge?t?\""},
    {"ping", "[1]", STATUS_INVALID, "ping: takes [], 1 given"},
    {"done", "[\"short\",1]", STATUS_INVALID, "done: client must be bin of 16 bytes"},
    {"read", "[]", STATUS_INVALID, "read: takes [key] or [key, options], 0 given"},
    {"write", "[\"k\"]", STATUS_INVALID,
     "write: takes [key, value] or [key, value, options], 1 given"},
    {"write", "[\"k\",1,{},4]", STATUS_INVALID,
     "write: takes [key, value] or [key, value, options], 4 given"},
    {"write", "[\"\",1]", STATUS_INVALID, "write: key is empty"},
    {"write", "[5,1]", STATUS_INVALID, "write: key must be str or bin"},
    {"write", "[null,1]", STATUS_INVALID, "write: key must be str or bin"},
    {"write", "[\"k\",1,7]", STATUS_INVALID, "write: options must be a map"},
    {"write", "[\"k\",1,{\"colour\":1}]", STATUS_INVALID, "write: unknown option \"colour\""},
    {"write", "[\"k\",1,{\"ttl_ms\":0}]", STATUS_INVALID,
     "write: ttl_ms must be an integer from 1 to 2^46"},
    {"write", "[\"k\",1,{\"sliding\":true}]", STATUS_INVALID, "write: sliding needs ttl_ms"},
    {"expire", "[\"k\"]", STATUS_INVALID,
     "expire: takes [key, ttl_ms] or [key, ttl_ms, options], 1 given"},
    {"expire", "[\"k\",0]", STATUS_INVALID,
     "expire: ttl_ms must be nil or an integer from 1 to 2^46"},
    {"expire", "[\"k\",1,{\"if_absent\":true}]", STATUS_INVALID,
     "expire: does not take option \"if_absent\""},
    {"read", "[\"k\",{\"ttl_ms\":1}]", STATUS_INVALID, "read: does not take option \"ttl_ms\""},
    {"write", "[\"k\",1,{\"limit\":1}]", STATUS_INVALID, "write: does not take option \"limit\""},
    {"write", "[\"k\",1,{\"$map\":[[1,2]]}]", STATUS_INVALID,
     "write: an option's name must be str"},
    {"write", "[\"k\",1,{\"$map\":[[\"epoch\",1],[\"epoch\",1]]}]", STATUS_INVALID,
     "write: option \"epoch\" is given twice"},
    {"write", "[\"k\",1,{\"if_absent\":1}]", STATUS_INVALID,
     "write: if_absent must be true or false"},
    {"write", "[\"k\",1,{\"if_version\":-1}]", STATUS_INVALID,
     "write: if_version must be an integer from 0 to 2^64-1"},
    {"write", "[\"k\",1,{\"if_version\":0}]", STATUS_INVALID,
     "write: if_version is 0, which no record has"},
    {"write", "[\"k\",1,{\"if_version\":1,\"if_absent\":true}]", STATUS_INVALID,
     "write: if_absent and if_version exclude each other"},
    {"write", "[\"k\",1,{\"client\":\"short\",\"seq\":1,\"done\":1}]", STATUS_INVALID,
     "write: client must be bin of 16 bytes"},
    {"write", "[\"k\",1,{\"client\":\"0123456789abcdef\",\"seq\":1}]", STATUS_INVALID,
     "write: client, seq and done go together or not at all"},
    {"write", "[\"k\",1,{\"client\":\"0123456789abcdef\",\"seq\":0,\"done\":1}]", STATUS_INVALID,
     "write: seq must be an integer from 1 to 2^63-1"},
    {"write", "[\"k\",1,{\"client\":\"0123456789abcdef\",\"seq\":1,\"done\":2}]", STATUS_INVALID,
     "write: done is above seq"},
    {"write", "[\"k\",1,{\"table\":\"users\"}]", STATUS_NO_TABLE,
     "write: there is no table \"users\", only \"default\", \"entities\""},
    {"write", "[\"k\",1,{\"table\":1}]", STATUS_INVALID, "write: table must be str or bin"},
    {"read", "[\"k\",{\"table\":\"entities\"}]", STATUS_INVALID,
     "read: key: an id of table \"entities\" has 8 bytes"},
    {"read", "[\"8 bytes.\",{\"kind\":1}]", STATUS_INVALID, "read: does not take option \"kind\""},
    {"pop", "[\"8 bytes.\",{\"if_present\":true}]", STATUS_INVALID,
     "pop: does not take option \"if_present\""},
    {"incr", "[\"8 bytes.\",1,{\"table\":\"entities\"}]", STATUS_INVALID,
     "incr: a record of table \"entities\" is a map, no integer"},
    {"scan", "[0,\"k\",{\"table\":\"entities\"}]", STATUS_INVALID,
     "scan: key: an id of table \"entities\" has 8 bytes"},
    {"scan", "[0,null,{\"kind\":65536}]", STATUS_INVALID,
     "scan: kind must be an integer from 0 to 65535"},
    {"write", "[\"k\",1,{\"deadline_ms\":-1}]", STATUS_INVALID,
     "write: deadline_ms must be an integer from 0 to 2^64-1"},
    {"read", "[\"k\",{\"if_absent\":true}]", STATUS_INVALID,
     "read: does not take option \"if_absent\""},
    {"pop", "[\"k\",{\"if_absent\":true}]", STATUS_INVALID,
     "pop: does not take option \"if_absent\""},
    {"incr", "[\"k\",\"one\"]", STATUS_INVALID, "incr: by must be an integer from -2^63 to 2^63-1"},
    {"incr", "[\"k\",9223372036854775808]", STATUS_INVALID,
     "incr: by must be an integer from -2^63 to 2^63-1"},
    {"scan", "[0]", STATUS_INVALID, "scan: takes [point, key] or [point, key, options], 1 given"},
    {"scan", "[\"0\",null]", STATUS_INVALID, "scan: point must be an integer from 0 to 2^64-1"},
    {"scan", "[0,\"\"]", STATUS_INVALID, "scan: key is empty"},
    {"scan", "[0,null,{\"limit\":0}]", STATUS_INVALID,
     "scan: limit must be an integer from 1 to 2^63-1"},
    {"hello", "[5]", STATUS_INVALID, "hello: options must be a map"},
    {"hello", "[{\"role\":\"king\"}]", STATUS_INVALID,
     "hello: role must be \"client\" or \"bootstrapd\""},
    {"hello", "[{\"role\":\"bootstrapd\"}]", STATUS_INVALID,
     "hello: a bootstrapd gives instance, term and revision"},
    {"hello", "[{\"term\":1}]", STATUS_INVALID,
     "hello: instance, term, revision, expect and seen_* are a bootstrapd's"},
    {"map.push", "[7]", STATUS_INVALID, NULL},
};

static void wrong_arguments_are_refused_by_name(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < sizeof(wrong_arguments) / sizeof(wrong_arguments[0]); i++) {
        const struct reply *reply =
            call_json(&world->clients[0], wrong_arguments[i].method, wrong_arguments[i].params);
        assert_error(reply, wrong_arguments[i].code,
                     wrong_arguments[i].text ? wrong_arguments[i].text : reply->text);
    }
    assert_result(call_json(&world->clients[0], "exists", "[\"k\"]"), "false");
}

static void long_keys_and_values_are_too_large(void **state)
{
    struct world *world = *state;
    static uint8_t data[VALUE_LEN_MAX];
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_bin(&params, bytes_of(data, KEY_LEN_MAX + 1));
    assert_error(call(&world->clients[0], "read", buffer_bytes(&params)), STATUS_TOO_LARGE,
                 "read: key has 481 bytes, at most 480 are allowed");
    buffer_clear(&params);
    pack_array(&params, 1);
    pack_bin(&params, bytes_of(data, KEY_LEN_MAX));
    assert_result(call(&world->clients[0], "read", buffer_bytes(&params)), "null");
    buffer_clear(&params);
    pack_array(&params, 2);
    pack_text(&params, "k");
    pack_bin(&params, bytes_of(data, VALUE_LEN_MAX - 4));
    assert_error(call(&world->clients[0], "write", buffer_bytes(&params)), STATUS_TOO_LARGE,
                 "write: value has 8388609 bytes, at most 8388608 are allowed");
    buffer_fini(&params);
}

/* --- data --- */

static void a_record_lives_its_life(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    assert_result(call_json(client, "read", "[\"k\"]"), "null");
    assert_int_equal(call_json(client, "write", "[\"k\",{\"a\":[1,2]}]")->code, STATUS_OK);
    const struct reply *reply = call_json(client, "read", "[{\"$bin\":\"aw==\"}]");
    assert_non_null(strstr((const char *)reply->json.data, "[{\"a\":[1,2]},"));
    assert_non_null(strstr((const char *)reply->json.data, ",-1,71,0,0,false]"));
    assert_result(call_json(client, "exists", "[\"k\",{\"table\":\"default\"}]"), "true");
    reply = call_json(client, "expire", "[\"k\",70368744177664,{\"sliding\":true}]");
    assert_non_null(strstr((const char *)reply->json.data, ",71]"));
    reply = call_json(client, "read", "[\"k\"]");
    assert_non_null(strstr((const char *)reply->json.data, ",71,0,70368744177664,true]"));
    assert_result(call_json(client, "expire", "[\"other\",null]"), "null");
    assert_int_equal(call_json(client, "pop", "[\"k\"]")->code, STATUS_OK);
    assert_result(call_json(client, "pop", "[\"k\"]"), "null");
    assert_result(call_json(client, "delete", "[\"k\"]"), "false");
    reply = call_json(client, "incr", "[\"n\",-3]");
    assert_memory_equal(reply->json.data, "[-3,", 4);
}

static void errors_have_their_details(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    const char *absent = "[\"k\",1,{\"if_absent\":true}]";
    const struct reply *reply = call_json(client, "write", absent);
    char version[32];
    (void)snprintf(version, sizeof(version), "[%s", (const char *)reply->json.data + 1);
    strchr(version, ',')[0] = ']';
    strchr(version, ']')[1] = '\0';
    reply = call_json(client, "write", absent);
    assert_error(reply, STATUS_CONDITION, "if_absent: the key is there");
    assert_string_equal((const char *)reply->json.data, version);
    assert_int_equal(call_json(client, "delete", "[\"k\",{\"if_version\":7}]")->code,
                     STATUS_CONDITION);
    uint8_t data[2000] = {0};
    struct buffer params = {0};
    pack_array(&params, 2);
    pack_text(&params, "k");
    pack_bin(&params, bytes_of(data, sizeof(data)));
    reply = call(client, "write", buffer_bytes(&params));
    buffer_fini(&params);
    assert_error(
        reply, STATUS_FULL,
        "the record takes 2068 bytes, and shard all has 1024 in all: give it a larger size");
    assert_string_equal((const char *)reply->json.data, "[66,1024]");
}

static void a_retry_is_answered_from_the_stored_result(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    const char *incr = "[\"n\",5,{\"client\":\"0123456789abcdef\",\"seq\":1,\"done\":1}]";
    char first[64];
    const struct reply *reply = call_json(client, "incr", incr);
    (void)snprintf(first, sizeof(first), "%s", (const char *)reply->json.data);
    assert_result(call_json(client, "incr", incr), first);
    call_json(client, "incr", "[\"n\",5,{\"client\":\"0123456789abcdef\",\"seq\":2,\"done\":2}]");
    assert_int_equal(call_json(client, "incr", incr)->code, STATUS_STALE);
}

static void a_scan_goes_on_behind_its_cursor(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    char params[256];
    char point[32] = "0";
    char key[64] = "null";
    uint32_t seen = 0;
    for (int i = 0; i < 10; i++) {
        (void)snprintf(params, sizeof(params), "[\"key%d\",%d]", i, i);
        assert_int_equal(call_json(client, "write", params)->code, STATUS_OK);
    }
    for (;;) {
        (void)snprintf(params, sizeof(params), "[%s,%s,{\"limit\":1,\"prefix\":\"key\"}]", point,
                       key);
        const struct reply *reply = call_json(client, "scan", params);
        assert_int_equal(reply->code, STATUS_OK);
        const char *json = (const char *)reply->json.data;
        const char *cursor = strstr(json, "]],[");
        seen += json[1] == '[' && json[2] == '[';
        if (!cursor) {
            assert_non_null(strstr(json, ",null,4294967296]"));
            break;
        }
        assert_int_equal(sscanf(cursor, "]],[%31[0-9],%63[^]]", point, key), 2);
    }
    assert_int_equal(seen, 10);
    assert_result(call_json(client, "scan", "[0,null,{\"prefix\":\"none\"}]"),
                  "[[],null,4294967296]");
}

#define ENTITY "{\"table\":\"entities\""
#define ID     "{\"$bin\":\"OCBieXRlcy4=\"}" /* the 8 bytes of "8 bytes." */

static void an_entity_lives_its_life_beside_a_record_of_the_same_bytes(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    const struct reply *reply =
        call_json(client, "write", "[" ID ",{}," ENTITY ",\"if_present\":true}]");
    assert_error(reply, STATUS_CONDITION, "if_present: the key is not there");
    assert_string_equal((const char *)reply->json.data, "[0]");
    assert_int_equal(call_json(client, "write", "[\"8 bytes.\",1]")->code, STATUS_OK);
    reply = call_json(client, "write", "[" ID ",{\"a\":1}," ENTITY ",\"kind\":7}]");
    assert_non_null(strstr((const char *)reply->json.data, ",76]"));
    reply = call_json(client, "write", "[" ID ",{\"a\":2}," ENTITY ",\"if_present\":true}]");
    assert_int_equal(reply->code, STATUS_OK);
    reply = call_json(client, "read", "[" ID "," ENTITY "}]");
    assert_memory_equal(reply->json.data, "[{\"a\":2},", 9);
    assert_non_null(strstr((const char *)reply->json.data, ",-1,76,7,0,false]"));
    reply = call_json(client, "scan", "[0,null," ENTITY ",\"kind\":7}]");
    assert_non_null(strstr((const char *)reply->json.data, "[[[" ID ",{\"a\":2},"));
    assert_non_null(strstr((const char *)reply->json.data, ",7,0,false]],null,4294967296]"));
    assert_result(call_json(client, "scan", "[0,null," ENTITY ",\"kind\":8}]"),
                  "[[],null,4294967296]");
    assert_result(call_json(client, "delete", "[" ID "," ENTITY "}]"), "true");
    assert_result(call_json(client, "exists", "[" ID "," ENTITY "}]"), "false");
    assert_result(call_json(client, "exists", "[" ID "]"), "true");
}

/* --- the map --- */

static void without_a_map_all_are_told_to_wait(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    assert_error(call_json(client, "map.get", "[]"), STATUS_TRY_LATER,
                 "this server has no map yet");
    assert_error(call_json(client, "map.watch", "[]"), STATUS_TRY_LATER,
                 "this server has no map yet");
    assert_error(call_json(client, "read", "[\"k\"]"), STATUS_TRY_LATER,
                 "this server has no map yet");
}

static void a_push_opens_what_is_new_and_tells_it_again(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    learn_server(world);
    assert_int_equal(greet(client, 'i', 1, 0)->code, STATUS_OK);
    for (int i = 0; i < 2; i++) {
        assert_result(push(client, SAMPLE_MAP(3, {"low", HALF, 3, 1, true, 0},
                                              {"high", BOUND_END, 2, 2, true, 0})),
                      "[3,[[\"low\",3]],[],[3,[]]]");
    }
    assert_true(shardd_serves(world->shardd, 0));
    assert_false(shardd_serves(world->shardd, UINT64_MAX));
    assert_result(push(client, SAMPLE_MAP(4, {"low", HALF, 4, 1, false, 0},
                                          {"high", BOUND_END, 2, 2, true, 0})),
                  "[4,[],[],[4,[]]]");
    assert_true(shardd_serves(world->shardd, 0));
}

static void a_point_of_another_server_is_answered_with_its_entry(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    found(world, SAMPLE_MAP(3, {"low", HALF, 3, 1, true, 0}, {"high", BOUND_END, 2, 2, false, 0}));
    const struct reply *reply = call_json(client, "scan", "[9223372036854775808,null]");
    assert_error(reply, STATUS_WRONG_SHARD, "shard high is at 127.0.0.1:5002");
    assert_string_equal((const char *)reply->json.data,
                        "[3,[\"high\",2147483648,4294967296,2,1048576,0,false,"
                        "{\"$bin\":\"AgICAgICAgICAgICAgICAg==\"},\"127.0.0.1\",5002,null]]");
    assert_result(call_json(client, "scan", "[0,null]"), "[[],null,2147483648]");
}

static void data_that_is_not_here_is_missing(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    assert_int_equal(greet(client, 'i', 1, 9)->code, STATUS_OK);
    assert_error(call_json(client, "read", "[\"k\"]"), STATUS_DATA_MISSING,
                 "the data of this server, expected here, is not here");
    learn_server(world);
    (void)push(client,
               SAMPLE_MAP(3, {"low", HALF, 3, 1, false, 0}, {"high", BOUND_END, 3, 9, false, 0}));
    assert_error(call_json(client, "scan", "[0,null]"), STATUS_DATA_MISSING,
                 "the data of shard low, expected here, is not here");
}

/* It was answered as if all were well, so bootstrapd never knew and a reset was refused. */
static void a_push_is_answered_with_what_of_it_is_missing_here(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    learn_server(world);
    assert_int_equal(greet(client, 'i', 1, 0)->code, STATUS_OK);
    const struct reply *reply = push(
        client, SAMPLE_MAP(3, {"low", HALF, 3, 1, false, 0}, {"high", BOUND_END, 2, 1, true, 0}));
    assert_error(reply, STATUS_DATA_MISSING, "the data of shard low, expected here, is not here");
    assert_string_equal((const char *)reply->json.data, "[3,[[\"high\",2]],[[\"low\",3]],[3,[]]]");
    assert_true(shardd_serves(world->shardd, UINT64_MAX));
    /* Given up. */
    assert_result(push(client, SAMPLE_MAP(4, {"low", HALF, 4, 1, true, 0},
                                          {"high", BOUND_END, 2, 1, true, 0})),
                  "[4,[[\"low\",4],[\"high\",2]],[],[4,[]]]");
    assert_true(shardd_serves(world->shardd, 0));
}

static void watchers_are_told_what_changes(void **state)
{
    struct world *world = *state;
    struct client *watcher = connect_client(world, 1);
    assert_int_equal(call_json(watcher, "map.watch", "[]")->code, STATUS_OK);
    push(&world->clients[0], SAMPLE_MAP(3, {"all", BOUND_END, 3, 1, false, 2048}));
    while (watcher->notice_count == 0) {
        loop_run(world->loop);
    }
    assert_memory_equal(watcher->notice.data, "[3,[[\"all\",0,4294967296,3,2048,", 31);
}

static void a_request_with_a_newer_epoch_makes_it_ask_for_the_map(void **state)
{
    struct world *world = *state;
    struct client *bootstrapd = &world->clients[0];
    struct client *client = connect_client(world, 1);
    struct map newer = SAMPLE_MAP(5, {"all", BOUND_END, 5, 1, false, 2048});
    pack_push(world, &newer, &bootstrapd->answer);
    const char *exists = "[\"k\",{\"epoch\":5}]";
    const struct reply *reply = call_json(client, "exists", exists);
    assert_error(reply, STATUS_TRY_LATER, "this server asks for a newer map");
    while (reply->code == STATUS_TRY_LATER) {
        reply = call_json(client, "exists", exists);
    }
    assert_result(reply, "false");
    /* Nobody to ask: what it knows holds. */
    close_client(bootstrapd);
    do {
        reply = call_json(client, "exists", "[\"k\",{\"epoch\":6}]");
    } while (reply->code == STATUS_TRY_LATER);
    assert_result(reply, "false");
}

/* The client's map is of a later copy of bootstrapd's: it waited for one that never came (RULES M6). */
static void an_epoch_that_bootstrapd_does_not_know_either_holds_nothing_up(void **state)
{
    struct world *world = *state;
    struct client *bootstrapd = &world->clients[0];
    struct client *client = connect_client(world, 1);
    struct map present = SAMPLE_MAP(2, {"all", BOUND_END, 2, 1, true, 1024});
    pack_push(world, &present, &bootstrapd->answer);
    const struct reply *reply = call_json(client, "exists", "[\"k\",{\"epoch\":6}]");
    assert_int_equal(reply->code, STATUS_TRY_LATER);
    for (int i = 0; i < 100 && reply->code == STATUS_TRY_LATER; i++) {
        reply = call_json(client, "exists", "[\"k\",{\"epoch\":6}]");
    }
    assert_result(reply, "false");
    /* Another one is another question. */
    reply = call_json(client, "exists", "[\"k\",{\"epoch\":7}]");
    assert_int_equal(reply->code, STATUS_TRY_LATER);
}

/* --- who is who --- */

static void a_second_bootstrapd_is_refused_while_the_first_is_there(void **state)
{
    struct world *world = *state;
    struct client *first = &world->clients[0];
    struct client *second = connect_client(world, 1);
    const struct reply *reply = greet(second, 'i', 2, 0);
    assert_int_equal(reply->code, STATUS_DENIED);
    assert_non_null(strstr(reply->text, "another bootstrapd is at work from 127.0.0.1:"));
    assert_int_equal(push(second, SAMPLE_MAP(9, {"all", BOUND_END, 9, 2, false, 0}))->code,
                     STATUS_DENIED);
    /* The same one on a new connection. */
    assert_int_equal(greet(second, 'i', 1, 0)->code, STATUS_OK);
    close_client(first);
    close_client(second);
    struct client *third = connect_client(world, 2);
    do {
        reply = greet(third, 'i', 3, 0);
    } while (reply->code == STATUS_DENIED);
    assert_int_equal(reply->code, STATUS_OK);
}

/* It was given up when no answer came, and its hello came after that of the next: which could push nothing any more. */
static void a_late_hello_on_a_connection_given_up_locks_nobody_out(void **state)
{
    struct world *world = *state;
    struct client *bootstrapd = &world->clients[0];
    struct client *late = connect_client(world, 1);
    struct client *client = connect_client(world, 2);
    assert_int_equal(greet(late, 'i', 1, 0)->code, STATUS_OK);
    assert_int_equal(push(bootstrapd, SAMPLE_MAP(5, {"all", BOUND_END, 5, 1, false, 2048}))->code,
                     STATUS_OK);
    close_client(late);
    /* Heard on the other one, it is asked there. */
    assert_int_equal(call_json(bootstrapd, "ping", "[]")->code, STATUS_OK);
    assert_error(call_json(client, "exists", "[\"k\",{\"epoch\":6}]"), STATUS_TRY_LATER,
                 "this server asks for a newer map");
}

static void a_bootstrapd_that_was_replaced_pushes_nothing_on_any_connection(void **state)
{
    struct world *world = *state;
    struct client *old = connect_client(world, 1);
    struct client *older = &world->clients[0];
    assert_int_equal(greet(old, 'i', 1, 0)->code, STATUS_OK);
    close_client(old);
    struct client *next = connect_client(world, 2);
    const struct reply *reply;
    do {
        reply = greet(next, 'i', 2, 0);
    } while (reply->code == STATUS_DENIED);
    assert_int_equal(reply->code, STATUS_OK);
    assert_int_equal(push(older, SAMPLE_MAP(9, {"all", BOUND_END, 9, 2, false, 0}))->code,
                     STATUS_DENIED);
    assert_int_equal(push(next, SAMPLE_MAP(5, {"all", BOUND_END, 5, 1, false, 0}))->code,
                     STATUS_OK);
}

static void an_old_copy_of_a_bootstrapd_is_refused(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    assert_int_equal(greet(client, 'i', 1, 0)->code, STATUS_OK);
    close_client(client);
    client = connect_client(world, 0);
    const struct reply *reply;
    do {
        reply = greet(client, 'i', 4, 0);
    } while (reply->code == STATUS_DENIED);
    push(client, SAMPLE_MAP(3, {"all", BOUND_END, 3, 1, false, 0}));
    reply = greet(client, 'i', 3, 0);
    assert_error(reply, STATUS_DENIED,
                 "bootstrapd was here with term 4 (instance 69696969696969696969696969696969), "
                 "this one has 3: it runs on a copy of the other's directory");
    assert_int_equal(memcmp(reply->json.data, "[4,", 3), 0);
}

/* Both copies had been started equally often: only the instance tells them apart. */
static void a_copy_of_a_bootstrapd_with_the_same_term_is_refused(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    assert_int_equal(greet(client, 'i', 1, 0)->code, STATUS_OK);
    push(client, SAMPLE_MAP(3, {"all", BOUND_END, 3, 1, false, 0}));
    assert_int_equal(greet(client, 'j', 1, 0)->code, STATUS_DENIED);
    assert_int_equal(greet(client, 'i', 1, 0)->code, STATUS_OK);
    assert_int_equal(greet(client, 'j', 2, 0)->code, STATUS_OK);
}

static void another_cluster_is_told_so(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    assert_error(call_json(client, "hello", "[{\"cluster\":\"dddddddddddddddd\"}]"),
                 STATUS_WRONG_CLUSTER,
                 "this server belongs to cluster 63636363636363636363636363636363, "
                 "not 64646464646464646464646464646464");
    assert_int_equal(call_json(client, "hello", "[{\"cluster\":\"cccccccccccccccc\"}]")->code,
                     STATUS_OK);
    struct map map = SAMPLE_MAP(9, {"all", BOUND_END, 9, 2, true, 0});
    sample_id('d', map.cluster);
    assert_int_equal(push(client, map)->code, STATUS_WRONG_CLUSTER);
    assert_true(shardd_serves(world->shardd, 0));
}

/* A bootstrapd's hello with what it saw of this server; whether the answer says `restored`. */
static bool is_restored(struct world *world, uint64_t incarnation, uint64_t seen_start)
{
    uint8_t id[ID_LEN];
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_map(&params, 7);
    pack_text(&params, "role");
    pack_text(&params, "bootstrapd");
    pack_text(&params, "instance");
    sample_id('i', id);
    pack_bin(&params, bytes_of(id, ID_LEN));
    pack_text(&params, "cluster");
    sample_id('c', id);
    pack_bin(&params, bytes_of(id, ID_LEN));
    pack_text(&params, "term");
    pack_uint(&params, 9);
    pack_text(&params, "revision");
    pack_uint(&params, 1);
    pack_text(&params, "expect");
    pack_bin(&params, bytes_of(world->server, ID_LEN));
    pack_text(&params, "seen_incarnation");
    pack_uint(&params, incarnation);
    params.data[1] = 0x88; /* one more pair */
    pack_text(&params, "seen_start");
    pack_uint(&params, seen_start);
    const struct reply *reply = call(&world->clients[0], "hello", buffer_bytes(&params));
    buffer_fini(&params);
    assert_int_equal(reply->code, STATUS_OK);
    return strstr((const char *)reply->json.data, "\"restored\":true") != NULL;
}

static uint64_t start_of(struct world *world)
{
    const struct reply *reply = call_json(&world->clients[0], "hello", "[]");
    const char *found_at = strstr((const char *)reply->json.data, "\"start\":");
    assert_non_null(found_at);
    return strtoull(found_at + strlen("\"start\":"), NULL, 10);
}

static void a_restored_copy_says_so_and_serves_nothing(void **state)
{
    struct world *world = *state;
    struct client *client = &world->clients[0];
    call_json(client, "write", "[\"k\",\"v\"]");
    uint64_t first = start_of(world);
    close_server(world);
    open_server(world);
    learn_server(world);
    uint64_t second = start_of(world);
    assert_true(first != second);
    assert_false(is_restored(world, 1, first));
    assert_false(is_restored(world, 2, second));
    /* As often as this one, or less often, and another history; more often. */
    const uint64_t other[][2] = {{2, second + 1}, {1, second}, {3, 5}};
    for (size_t i = 0; i < 3; i++) {
        assert_true(is_restored(world, other[i][0], other[i][1]));
        const struct reply *reply = call_json(client, "read", "[\"k\"]");
        assert_int_equal(reply->code, STATUS_DATA_MISSING);
        assert_non_null(strstr(reply->text, "shardkv shard reset all --accept-loss"));
        assert_int_equal(call_json(client, "write", "[\"k\",1]")->code, STATUS_DATA_MISSING);
        reply = call_json(client, "stat", "[]");
        assert_non_null(strstr((const char *)reply->json.data, "\"state\":\"restored copy\""));
    }
    assert_false(is_restored(world, 2, second));
    assert_int_equal(call_json(client, "read", "[\"k\"]")->code, STATUS_OK);
}

/* --- the end --- */

static void a_restarted_server_has_its_records_and_a_higher_incarnation(void **state)
{
    struct world *world = *state;
    call_json(&world->clients[0], "write", "[\"k\",\"v\"]");
    close_server(world);
    open_server(world);
    const struct reply *reply = call_json(&world->clients[0], "read", "[\"k\"]");
    assert_int_equal(reply->code, STATUS_OK);
    assert_memory_equal(reply->json.data, "[\"v\",", 5);
    reply = call_json(&world->clients[0], "stat", "[]");
    assert_non_null(
        strstr((const char *)reply->json.data, "\"incarnation\":2,\"state\":\"serving\""));
    assert_non_null(strstr((const char *)reply->json.data,
                           "\"records\":1,\"bytes\":67,\"size\":1024,\"when_full\":\"reject\""));
}

static void a_stopping_server_says_so(void **state)
{
    struct world *world = *state;
    struct client *client = connect_client(world, 1);
    assert_result(call_json(client, "ping", "[]"), "null");
    shardd_stop(world->shardd, on_stopped, world);
    assert_int_equal(call_json(client, "write", "[\"k\",1]")->code, STATUS_SHUTTING_DOWN);
    const struct reply *reply = call_json(client, "stat", "[]");
    assert_non_null(strstr((const char *)reply->json.data, "\"state\":\"stopping\""));
    assert_false(shardd_serves(world->shardd, 0));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name)           cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_UNFOUNDED(name) cmocka_unit_test_setup_teardown(name, setup_unfounded, teardown)
    const struct CMUnitTest tests[] = {
        TEST(wrong_arguments_are_refused_by_name),
        TEST(long_keys_and_values_are_too_large),
        TEST(a_record_lives_its_life),
        TEST(errors_have_their_details),
        TEST(a_retry_is_answered_from_the_stored_result),
        TEST(a_scan_goes_on_behind_its_cursor),
        TEST(an_entity_lives_its_life_beside_a_record_of_the_same_bytes),
        TEST_UNFOUNDED(without_a_map_all_are_told_to_wait),
        TEST_UNFOUNDED(a_push_opens_what_is_new_and_tells_it_again),
        TEST_UNFOUNDED(a_point_of_another_server_is_answered_with_its_entry),
        TEST_UNFOUNDED(data_that_is_not_here_is_missing),
        TEST_UNFOUNDED(a_push_is_answered_with_what_of_it_is_missing_here),
        TEST(watchers_are_told_what_changes),
        TEST(a_request_with_a_newer_epoch_makes_it_ask_for_the_map),
        TEST(an_epoch_that_bootstrapd_does_not_know_either_holds_nothing_up),
        TEST(a_second_bootstrapd_is_refused_while_the_first_is_there),
        TEST(a_late_hello_on_a_connection_given_up_locks_nobody_out),
        TEST(a_bootstrapd_that_was_replaced_pushes_nothing_on_any_connection),
        TEST(an_old_copy_of_a_bootstrapd_is_refused),
        TEST(a_copy_of_a_bootstrapd_with_the_same_term_is_refused),
        TEST(another_cluster_is_told_so),
        TEST(a_restarted_server_has_its_records_and_a_higher_incarnation),
        TEST(a_restored_copy_says_so_and_serves_nothing),
        TEST(a_stopping_server_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
