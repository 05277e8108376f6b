/* SPDX-License-Identifier: MIT */
#include "tests/sim/raw.h"

#include "io/conn.h"
#include "io/net.h"
#include "io/random.h"
#include "proto/extent.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/rpc.h"
#include "tests/sim/client.h"
#include "tests/sim/entity.h"
#include "tests/sim/fiber.h"

#include <assert.h>

#define DOUBLER_PORT 6200
#define DAWDLER_PORT 6201

/* How late the second copy may be; and how long both are waited for. */
#define SECOND_COPY_US (SECOND_US / 2)
#define ANSWER_US      (2 * SECOND_US)

#define PROGRESS_US (UINT64_C(1000) * CONN_PROGRESS_MS)

/* --- a request on a connection of its own --- */

struct call {
    struct net_socket *socket;
    struct buffer request;
    size_t sent;
    struct buffer reply;
    bool is_over;
    bool is_answered;
    uint32_t code;
    int64_t sum; /* the result's first number: of a put, its id */
};

static void call_begin(struct call *call, const struct address *address, struct bytes request)
{
    *call = (struct call){.socket = net_connect(address)};
    assert(call->socket);
    buffer_append_bytes(&call->request, request);
}

static void call_fini(struct call *call)
{
    net_close(call->socket);
    buffer_fini(&call->request);
    buffer_fini(&call->reply);
}

static void take_reply(struct call *call)
{
    struct extent extent;
    enum unpack_fault fault;
    extent_reset(&extent);
    if (extent_scan(&extent, buffer_bytes(&call->reply), FRAME_LEN_MAX, &fault) != EXTENT_WHOLE) {
        return;
    }
    struct rpc_message message;
    fault = rpc_decode(bytes_of(call->reply.data, extent.scanned), &message);
    if (fault != UNPACK_FINE || message.type != RPC_RESPONSE) {
        violation("a server's reply is none: %s", unpack_fault_text(fault));
    }
    call->is_over = call->is_answered = true;
    call->code = message.code;
    if (message.code == STATUS_OK) {
        struct unpack in = unpack_of(message.result);
        unpack_array(&in);
        call->sum = unpack_int(&in);
    }
}

static void move_on(struct call *call)
{
    size_t len = 0;
    if (call->sent < call->request.len) {
        enum net_result result = net_write(call->socket, call->request.data + call->sent,
                                           call->request.len - call->sent, &len);
        call->sent += result == NET_OK ? len : 0;
        call->is_over |= result == NET_CLOSED;
    }
    uint8_t *to = buffer_reserve(&call->reply, 4096);
    assert(to);
    enum net_result result = net_read(call->socket, to, 4096, &len);
    if (result == NET_OK) {
        call->reply.len += len;
        take_reply(call);
    }
    call->is_over |= result == NET_CLOSED;
}

static void run_calls(struct call *calls, size_t call_count, uint64_t deadline_us)
{
    while (world_now_us() < deadline_us) {
        struct net_wait waits[2];
        size_t open = 0;
        for (size_t i = 0; i < call_count; i++) {
            if (!calls[i].is_over) {
                move_on(&calls[i]);
            }
            if (!calls[i].is_over) {
                waits[open++] =
                    (struct net_wait){calls[i].socket, calls[i].sent < calls[i].request.len, false};
            }
        }
        if (!open) {
            return;
        }
        net_wait(waits, open, deadline_us);
    }
}

/* --- the doubler --- */

static void pack_identity(struct buffer *out, const uint8_t client[ID_LEN], uint64_t seq)
{
    pack_map(out, 3);
    pack_text(out, "client");
    pack_bin(out, bytes_of(client, ID_LEN));
    pack_text(out, "seq");
    pack_uint(out, seq);
    pack_text(out, "done");
    pack_uint(out, seq);
    assert(!out->failed);
}

static void pack_incr(struct buffer *out, const struct operation *operation,
                      const uint8_t client[ID_LEN], uint64_t seq)
{
    char text[KEY_LEN_MAX + 1];
    rpc_request(out, (uint32_t)seq, "incr");
    pack_array(out, 3);
    pack_bin(out, key_text(operation->key, text));
    pack_int(out, operation->argument);
    pack_identity(out, client, seq);
}

static void pack_put(struct buffer *out, const struct entity_wish *wish,
                     const uint8_t client[ID_LEN], uint64_t seq)
{
    rpc_request(out, (uint32_t)seq, "put");
    pack_array(out, 4);
    pack_uint(out, wish->point);
    pack_uint(out, wish->kind);
    pack_encoded(out, buffer_bytes(&wish->document));
    pack_identity(out, client, seq);
}

static bool is_settled(const struct call *call)
{
    return call->is_answered && (call->code == STATUS_OK || call->code == STATUS_FULL);
}

/* Whoever is told that it was not done must be able to rely on it. */
static void check_alike(uint32_t key, const struct call calls[2], enum counter counter)
{
    const struct call *one = &calls[0];
    const struct call *other = &calls[1];
    if (!is_settled(one) || !is_settled(other) || history_is_torn(key)) {
        return;
    }
    if (one->code != other->code || one->sum != other->sum) {
        violation("key %u: one request was answered with code %u, %lld and with code %u, %lld", key,
                  one->code, (long long)one->sum, other->code, (long long)other->sum);
    }
    count_if(one->code == STATUS_OK || counter != COUNT_PUT_DOUBLED, counter);
}

/* A copy that got no answer may still be carried out later, unless the other one was. */
static enum skv_status status_of(const struct call calls[2], int64_t *sum)
{
    enum skv_status status = SKV_UNAVAILABLE;
    for (int i = 0; i < 2; i++) {
        const struct call *call = &calls[i];
        bool may_be_done = !call->is_answered || status_class(call->code) == STATUS_CLASS_UNKNOWN;
        if (call->is_answered && call->code == STATUS_OK) {
            *sum = call->sum;
            return SKV_OK;
        }
        status = may_be_done ? SKV_UNKNOWN : status;
    }
    return status;
}

static void run_twice(const struct scene *scene, uint64_t point, struct bytes request,
                      struct call calls[2])
{
    call_begin(&calls[0], &daemon_node(scene_owner(scene, point))->address, request);
    run_calls(calls, 1, world_now_us() + world_below(SECOND_COPY_US));
    call_begin(&calls[1], &daemon_node(scene_owner(scene, point))->address, request);
    run_calls(calls, 2, world_now_us() + ANSWER_US);
}

static uint32_t draw_counter_key(void)
{
    uint32_t counter_count = world_swarm()->key_count / 4;
    return (uint32_t)world_below(counter_count) * 4 + 3;
}

static void double_incr(const struct scene *scene, const uint8_t client[ID_LEN], uint64_t seq)
{
    char text[KEY_LEN_MAX + 1];
    struct operation operation = {.deed = DEED_INCR, .key = draw_counter_key(), .argument = 1};
    uint64_t point = point_of_key(key_text(operation.key, text));
    struct skv_record record = {0};
    struct buffer request = {0};
    struct call calls[2];
    int64_t sum = 0;
    pack_incr(&request, &operation, client, seq);
    uint32_t number = history_ask(&operation);
    count(COUNT_DOUBLED);
    run_twice(scene, point, buffer_bytes(&request), calls);
    enum skv_status status = status_of(calls, &sum);
    record.value = skv_int(sum);
    client_note(operation.key, number, status, &record);
    check_alike(operation.key, calls, COUNT_DOUBLED_ANSWERED);
    call_fini(&calls[0]);
    call_fini(&calls[1]);
    buffer_fini(&request);
}

static void double_put(const struct scene *scene, const uint8_t client[ID_LEN], uint64_t seq)
{
    struct entity_wish wish;
    struct buffer request = {0};
    struct call calls[2];
    int64_t id = 0;
    entity_wish(&wish);
    pack_put(&request, &wish, client, seq);
    run_twice(scene, wish.point, buffer_bytes(&request), calls);
    enum skv_status status = status_of(calls, &id);
    entity_note(&wish, status, (uint64_t)id);
    check_alike(wish.key, calls, COUNT_PUT_DOUBLED);
    call_fini(&calls[0]);
    call_fini(&calls[1]);
    buffer_fini(&request);
    buffer_fini(&wish.document);
}

static void live_doubled(void *context)
{
    const struct scene *scene = context;
    uint8_t client[ID_LEN];
    random_fill(client, ID_LEN);
    for (uint64_t seq = 1; !world_is_calm(); seq++) {
        if (world_below(2)) {
            double_incr(scene, client, seq);
        } else {
            double_put(scene, client, seq);
        }
        fiber_sleep(world_around(SECOND_US / 4));
    }
}

void doubler_new(struct scene *scene)
{
    scene->actors[scene->actor_count++] = actor_new("doubler", DOUBLER_PORT, live_doubled, scene);
}

/* --- the dawdler --- */

/* The beginning of [0, 1, "read", ["..."]], whose key never comes; a byte now and then is no progress. */
static void dawdle(const struct daemon *daemon, bool is_to_end)
{
    static const uint8_t beginning[] = {0x94, 0x00, 0x01, 0xa4, 'r', 'e',
                                        'a',  'd',  0x91, 0xd9, 0xff};
    struct call call;
    uint64_t limit_us = world_now_us() + 2 * PROGRESS_US + SECOND_US;
    call_begin(&call, &daemon_node(daemon)->address, bytes_of(beginning, sizeof beginning));
    while (!call.is_over && world_now_us() < limit_us) {
        run_calls(&call, 1, world_now_us() + 3 * SECOND_US);
        buffer_append(&call.request, "k", 1);
    }
    if (is_to_end && !call.is_over) {
        violation("%s keeps a connection that makes no progress", daemon_address(daemon));
    }
    call_fini(&call);
}

static void live_dawdling(void *context)
{
    const struct scene *scene = context;
    while (!world_is_calm()) {
        dawdle(scene->daemons[world_below(scene->daemon_count)], false);
        fiber_sleep(world_around(SECOND_US));
    }
    dawdle(scene->daemons[world_below(scene->daemon_count)], true);
}

void dawdler_new(struct scene *scene)
{
    scene->actors[scene->actor_count++] = actor_new("dawdler", DAWDLER_PORT, live_dawdling, scene);
}
