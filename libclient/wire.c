/* SPDX-License-Identifier: MIT */
#include "libclient/wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/extent.h"
#include "proto/map.h"
#include "proto/pack.h"

/* A msgid is `use << 8 | slot`; no two among 2^24 requests are alike. */
#define SLOT_BITS 8
#define USE_MAX   (UINT32_MAX >> SLOT_BITS)
_Static_assert(1 << SLOT_BITS == WIRE_REQUESTS_MAX, "a msgid names its slot");

/* Of use 0, which no other request has. 0 itself is for errors that answer no request. */
#define HELLO_MSGID 1

#define RECEIVE_LEN (64u << 10)

/* Taken in at one go, so that one busy server does not keep the others waiting. */
#define RECEIVE_TURN_LEN (1u << 20)

/* Memory that an idle connection keeps for each direction. */
#define IDLE_BUFFER_LEN (64u << 10)

struct slot {
    void *token;       /* NULL: forgotten */
    uint32_t msgid;    /* 0: free */
    size_t start, len; /* where its bytes are in all that was ever appended */
};

struct wire {
    struct net_socket *socket;
    enum wire_state state;
    bool is_greeted; /* hello has named our cluster */
    bool is_denied;
    bool is_retired;
    bool is_loose; /* what was sent was given up without an answer */
    char reason[256];

    struct buffer output;
    size_t output_sent; /* of `output` */
    size_t dropped;     /* bytes that stood before `output` */
    size_t begun;       /* where the request that is being appended starts in `output` */

    struct buffer input;
    size_t input_used; /* of `input` */
    struct extent extent;

    uint32_t use; /* 1 to USE_MAX */
    uint32_t in_flight;
    size_t in_flight_len;
    uint8_t free_slots[WIRE_REQUESTS_MAX]; /* a stack of WIRE_REQUESTS_MAX - in_flight */
    struct slot slots[WIRE_REQUESTS_MAX];
};

static void fail(struct wire *wire, const char *reason)
{
    if (wire->state != WIRE_CLOSED) {
        wire->state = WIRE_CLOSED;
        (void)snprintf(wire->reason, sizeof(wire->reason), "%s", reason);
    }
}

static void append_hello(struct wire *wire, const uint8_t cluster[ID_LEN])
{
    wire->state = WIRE_OPENING;
    wire->is_greeted = !id_bytes_is_zero(cluster);
    rpc_request(&wire->output, HELLO_MSGID, "hello");
    pack_array(&wire->output, 1);
    pack_map(&wire->output, wire->is_greeted ? 2 : 1);
    if (wire->is_greeted) {
        pack_text(&wire->output, "cluster");
        pack_bin(&wire->output, bytes_of(cluster, ID_LEN));
    }
    pack_text(&wire->output, "role");
    pack_text(&wire->output, "client");
}

struct wire *wire_open(const struct address *address, const uint8_t cluster[ID_LEN])
{
    struct wire *wire = calloc(1, sizeof(*wire));
    if (!wire) {
        return NULL;
    }
    for (uint32_t i = 0; i < WIRE_REQUESTS_MAX; i++) {
        wire->free_slots[i] = (uint8_t)(WIRE_REQUESTS_MAX - 1 - i);
    }
    extent_reset(&wire->extent);
    wire->use = 1;
    append_hello(wire, cluster);
    wire->socket = wire->output.failed ? NULL : net_connect(address);
    if (!wire->socket) {
        wire_close(wire);
        return NULL;
    }
    return wire;
}

void wire_greet(struct wire *wire, const uint8_t cluster[ID_LEN])
{
    assert(wire_is_idle(wire));
    if (wire->is_greeted || id_bytes_is_zero(cluster)) {
        return;
    }
    append_hello(wire, cluster);
    if (wire->output.failed) {
        buffer_clear(&wire->output);
        fail(wire, "out of memory");
    }
}

void wire_close(struct wire *wire)
{
    if (wire) {
        net_close(wire->socket);
        buffer_fini(&wire->output);
        buffer_fini(&wire->input);
        free(wire);
    }
}

void wire_abandon(struct wire *wire)
{
    net_close(wire->socket);
}

enum wire_state wire_state(const struct wire *wire)
{
    return wire->state;
}

const char *wire_reason(const struct wire *wire)
{
    return wire->reason;
}

bool wire_is_denied(const struct wire *wire)
{
    return wire->is_denied;
}

bool wire_has_room(const struct wire *wire)
{
    return wire->state == WIRE_OPEN && !wire->is_retired && wire->in_flight < WIRE_REQUESTS_MAX &&
           wire->in_flight_len < WIRE_BYTES_MAX;
}

static uint32_t next_slot(const struct wire *wire)
{
    return wire->free_slots[WIRE_REQUESTS_MAX - 1 - wire->in_flight];
}

static uint32_t next_msgid(const struct wire *wire)
{
    return wire->use << SLOT_BITS | next_slot(wire);
}

struct buffer *wire_begin(struct wire *wire, const char *method)
{
    assert(wire_has_room(wire));
    wire->begun = wire->output.len;
    rpc_request(&wire->output, next_msgid(wire), method);
    return &wire->output;
}

bool wire_end(struct wire *wire, void *token, uint32_t *msgid)
{
    if (wire->output.failed) {
        wire->output.len = wire->begun;
        wire->output.failed = false;
        return false;
    }
    *msgid = next_msgid(wire);
    struct slot *slot = &wire->slots[next_slot(wire)];
    *slot = (struct slot){.token = token,
                          .msgid = *msgid,
                          .start = wire->dropped + wire->begun,
                          .len = wire->output.len - wire->begun};
    wire->use = wire->use == USE_MAX ? 1 : wire->use + 1;
    wire->in_flight++;
    wire->in_flight_len += slot->len;
    return true;
}

/* NULL: nobody asked for this. */
static struct slot *slot_find(struct wire *wire, uint32_t msgid)
{
    struct slot *slot = &wire->slots[msgid % WIRE_REQUESTS_MAX];
    return msgid != 0 && slot->msgid == msgid ? slot : NULL;
}

static void *slot_free(struct wire *wire, struct slot *slot)
{
    wire->in_flight--;
    wire->in_flight_len -= slot->len;
    wire->free_slots[WIRE_REQUESTS_MAX - 1 - wire->in_flight] = (uint8_t)(slot - wire->slots);
    slot->msgid = 0;
    return slot->token;
}

void wire_forget(struct wire *wire, uint32_t msgid)
{
    struct slot *slot = slot_find(wire, msgid);
    assert(slot);
    slot->token = NULL;
}

void wire_retire(struct wire *wire)
{
    wire->is_retired = true;
}

void wire_break(struct wire *wire, const char *reason)
{
    fail(wire, reason);
}

void wire_flush(struct wire *wire)
{
    while (wire->state != WIRE_CLOSED && wire->output_sent < wire->output.len) {
        size_t len = 0;
        enum net_result result = net_write(wire->socket, wire->output.data + wire->output_sent,
                                           wire->output.len - wire->output_sent, &len);
        if (result == NET_CLOSED) {
            fail(wire, net_error(wire->socket));
        }
        if (result != NET_OK || len == 0) {
            break;
        }
        wire->output_sent += len;
    }
    /* Moving what is left at most as often as it has halved. */
    if (wire->output_sent > 0 && wire->output_sent >= wire->output.len - wire->output_sent) {
        buffer_consume(&wire->output, wire->output_sent);
        wire->dropped += wire->output_sent;
        wire->output_sent = 0;
    }
}

/* Makes room in front of what is about to come in; `message`s that pointed there have ended. */
static void drop_used_input(struct wire *wire)
{
    buffer_consume(&wire->input, wire->input_used);
    wire->input_used = 0;
}

void wire_receive(struct wire *wire)
{
    drop_used_input(wire);
    size_t received = 0;
    while (wire->state != WIRE_CLOSED && received < RECEIVE_TURN_LEN) {
        uint8_t *room = buffer_reserve(&wire->input, RECEIVE_LEN);
        if (!room) {
            fail(wire, "out of memory");
            return;
        }
        size_t len = 0;
        enum net_result result = net_read(wire->socket, room, RECEIVE_LEN, &len);
        if (result == NET_CLOSED) {
            fail(wire, net_error(wire->socket));
        }
        if (result != NET_OK) {
            return;
        }
        wire->input.len += len;
        received += len;
        if (len < RECEIVE_LEN) {
            return;
        }
    }
}

struct net_wait wire_wait(const struct wire *wire)
{
    return (struct net_wait){.socket = wire->socket,
                             .want_write = wire->output_sent < wire->output.len};
}

/* Bytes of the next whole frame; false when it is not here, or never will be. */
static bool next_frame(struct wire *wire, struct bytes *frame)
{
    struct bytes rest =
        bytes_of(wire->input.data + wire->input_used, wire->input.len - wire->input_used);
    enum unpack_fault fault = UNPACK_FINE;
    switch (rest.len ? extent_scan(&wire->extent, rest, FRAME_LEN_MAX, &fault) : EXTENT_PARTIAL) {
    case EXTENT_WHOLE:
        break;
    case EXTENT_PARTIAL:
        return false;
    case EXTENT_BAD:
        fail(wire, "malformed response");
        return false;
    }
    *frame = bytes_of(rest.data, wire->extent.scanned);
    wire->input_used += wire->extent.scanned;
    extent_reset(&wire->extent);
    return true;
}

static void fail_with_text(struct wire *wire, struct bytes text)
{
    char reason[sizeof(wire->reason)];
    (void)snprintf(reason, sizeof(reason), "%.*s", (int)(text.len < 200 ? text.len : 200),
                   (const char *)text.data);
    fail(wire, reason);
}

/* Responses that belong to no request of the caller's. */
static void on_own_response(struct wire *wire, const struct rpc_message *message)
{
    if (message->msgid == 0) {
        /* What the server could not make a request of; it closes the connection. */
        fail_with_text(wire, message->text);
    } else if (message->msgid == HELLO_MSGID && wire->state == WIRE_OPENING) {
        wire->state = WIRE_OPEN;
        if (message->code == STATUS_WRONG_CLUSTER || message->code == STATUS_DENIED) {
            wire->is_denied = true;
            fail_with_text(wire, message->text);
        }
    }
}

bool wire_next(struct wire *wire, struct rpc_message *message, void **token)
{
    struct bytes frame;
    /* Also of a closed one: what came before the end counts, unless it was malformed. */
    while (next_frame(wire, &frame)) {
        if (rpc_decode(frame, message) != UNPACK_FINE) {
            fail(wire, "malformed response");
            return false;
        }
        if (message->type != RPC_RESPONSE) {
            continue;
        }
        struct slot *slot = slot_find(wire, message->msgid);
        if (!slot) {
            on_own_response(wire, message);
            continue;
        }
        *token = slot_free(wire, slot);
        if (*token) {
            return true;
        }
    }
    return false;
}

void *wire_take_unanswered(struct wire *wire, bool *was_sent)
{
    assert(wire->state == WIRE_CLOSED);
    for (uint32_t i = 0; i < WIRE_REQUESTS_MAX && wire->in_flight > 0; i++) {
        struct slot *slot = &wire->slots[i];
        if (slot->msgid == 0) {
            continue;
        }
        *was_sent = slot->start < wire->dropped + wire->output_sent;
        wire->is_loose |= *was_sent;
        if (slot_free(wire, slot)) {
            return slot->token;
        }
    }
    return NULL;
}

uint32_t wire_in_flight(const struct wire *wire)
{
    return wire->in_flight;
}

bool wire_is_loose(const struct wire *wire)
{
    return wire->is_loose || wire->in_flight > 0;
}

bool wire_is_idle(const struct wire *wire)
{
    return wire->state == WIRE_OPEN && !wire->is_retired && wire->in_flight == 0 &&
           wire->output_sent == wire->output.len && wire->input_used == wire->input.len;
}

void wire_rest(struct wire *wire)
{
    assert(wire_is_idle(wire));
    buffer_shrink(&wire->output, IDLE_BUFFER_LEN);
    buffer_shrink(&wire->input, IDLE_BUFFER_LEN);
    wire->output_sent = 0;
    wire->input_used = 0;
}

bool wire_is_stale(const struct wire *wire)
{
    return net_is_stale(wire->socket);
}
