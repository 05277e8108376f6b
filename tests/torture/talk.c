/* SPDX-License-Identifier: MIT */
#include "tests/torture/talk.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/memory.h"
#include "io/net.h"
#include "proto/extent.h"
#include "proto/pack.h"

#define READ_LEN         (256u << 10)
#define TALKS_MAX        64
#define CALL_PATIENCE_US UINT64_C(10000000)

struct talk {
    struct net_socket *socket;
    bool is_open;
    struct buffer output;
    struct buffer input;
    size_t input_start; /* what is before has been handed over */
    struct extent extent;
};

struct talk *talk_open(uint16_t port)
{
    struct talk *talk = memory_get(1, sizeof(*talk));
    struct address address = {.port = port};
    (void)snprintf(address.host, sizeof(address.host), "127.0.0.1");
    talk->socket = net_connect(&address);
    memory_must(talk->socket != NULL);
    talk->is_open = true;
    extent_reset(&talk->extent);
    return talk;
}

void talk_close(struct talk *talk)
{
    if (talk) {
        net_close(talk->socket);
        buffer_fini(&talk->output);
        buffer_fini(&talk->input);
        free(talk);
    }
}

struct buffer *talk_output(struct talk *talk)
{
    return &talk->output;
}

bool talk_is_open(const struct talk *talk)
{
    return talk->is_open;
}

static void send_some(struct talk *talk)
{
    size_t len = 0;
    memory_must(!talk->output.failed);
    while (talk->output.len > 0 &&
           net_write(talk->socket, talk->output.data, talk->output.len, &len) == NET_OK) {
        buffer_consume(&talk->output, len);
    }
}

/* Hands over what is whole. A stream that is none ends the connection. */
static bool hand_over(struct talk *talk, talk_reply *on_reply, void *context)
{
    bool has_come = false;
    enum unpack_fault fault;
    struct rpc_message message;
    buffer_consume(&talk->input, talk->input_start);
    talk->input_start = 0;
    for (;;) {
        struct bytes left =
            bytes_of(talk->input.data + talk->input_start, talk->input.len - talk->input_start);
        enum extent_result result =
            left.len ? extent_scan(&talk->extent, left, FRAME_LEN_MAX, &fault) : EXTENT_PARTIAL;
        if (result == EXTENT_PARTIAL) {
            return has_come;
        }
        struct bytes frame = bytes_of(left.data, talk->extent.scanned);
        if (result == EXTENT_BAD || rpc_decode(frame, &message) != UNPACK_FINE) {
            (void)fprintf(stderr, "torture: the server sends what is no frame\n");
            abort();
        }
        talk->input_start += frame.len;
        extent_reset(&talk->extent);
        has_come = true;
        if (message.type == RPC_RESPONSE) {
            on_reply(context, &message);
        }
    }
}

static bool receive(struct talk *talk, talk_reply *on_reply, void *context)
{
    enum net_result result;
    size_t len = 0;
    do {
        uint8_t *into = buffer_reserve(&talk->input, READ_LEN);
        memory_must(into != NULL);
        result = net_read(talk->socket, into, READ_LEN, &len);
        talk->input.len += result == NET_OK ? len : 0;
    } while (result == NET_OK && len == READ_LEN);
    talk->is_open = result != NET_CLOSED;
    return hand_over(talk, on_reply, context) || !talk->is_open;
}

bool talk_wait(struct talk **talks, size_t count, uint64_t deadline_us, talk_reply *on_reply,
               void *context)
{
    struct net_wait waits[TALKS_MAX];
    struct talk *waiting[TALKS_MAX];
    bool has_come = false;
    while (!has_come) {
        size_t open_count = 0;
        for (size_t i = 0; i < count && open_count < TALKS_MAX; i++) {
            if (talks[i]->is_open) {
                send_some(talks[i]);
                waits[open_count] =
                    (struct net_wait){talks[i]->socket, talks[i]->output.len > 0, false};
                waiting[open_count++] = talks[i];
            }
        }
        if (open_count == 0 || !net_wait(waits, open_count, deadline_us)) {
            return false;
        }
        for (size_t i = 0; i < open_count; i++) {
            has_come |= waits[i].is_ready && receive(waiting[i], on_reply, context);
        }
    }
    return true;
}

struct call {
    bool has_come;
    struct rpc_message *message;
};

static void on_called(void *context, const struct rpc_message *message)
{
    struct call *call = context;
    call->has_come = true;
    *call->message = *message;
}

bool talk_call(struct talk *talk, const char *method, struct bytes params,
               struct rpc_message *message)
{
    struct call call = {false, message};
    uint64_t deadline_us = clock_mono_us() + CALL_PATIENCE_US;
    rpc_request(&talk->output, 0, method);
    pack_encoded(&talk->output, params);
    while (!call.has_come && talk->is_open && clock_mono_us() < deadline_us) {
        (void)talk_wait(&talk, 1, deadline_us, on_called, &call);
    }
    return call.has_come;
}
