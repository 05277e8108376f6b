/* SPDX-License-Identifier: MIT */
#include "io/peer.h"

#include <assert.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/memory.h"
#include "proto/extent.h"
#include "proto/pack.h"

/*
 * A msgid is `use << SLOT_BITS | slot`: its low bits find the call, the rest tells a late response
 * to an earlier call in that slot. The first use is 1, because msgid 0 answers what is no frame.
 */
#define SLOT_BITS 10
_Static_assert(PEER_CALLS_MAX == 1u << SLOT_BITS, "a slot must fit into its bits");

/* A call, or a free slot: then on_reply is NULL. */
struct call {
    uint32_t use;
    uint32_t next_free; /* a slot, or NO_SLOT */
    uint64_t deadline_ms;
    peer_reply *on_reply;
    void *context;
};

/* A closed one may be held for long: no large reply stays with it. */
#define SWALLOWED_KEEP 256

#define NO_SLOT UINT32_MAX
#define NEVER   UINT64_MAX

struct peer {
    struct loop *loop;
    struct conn *conn; /* NULL: on_close has run */
    const struct peer_handler *handler;
    void *context;
    void *data;
    char *remote;
    bool is_open;
    uint32_t holders; /* the connection, each open call, and who called peer_hold */
    struct extent extent;
    struct buffer swallowed; /* the output of a closed one */

    struct call *calls;
    uint32_t call_capacity;
    uint32_t first_free;
    struct timer *timer; /* made with the first call */
    uint64_t timer_ms;   /* when it is set for */
};

/* --- open calls --- */

static uint32_t msgid_of(const struct peer *peer, uint32_t slot)
{
    return peer->calls[slot].use << SLOT_BITS | slot;
}

static void add_slots(struct peer *peer)
{
    uint32_t capacity = peer->call_capacity ? 2 * peer->call_capacity : 4;
    peer->calls = memory_resize(peer->calls, capacity, sizeof(*peer->calls));
    for (uint32_t slot = capacity; slot-- > peer->call_capacity;) {
        peer->calls[slot] = (struct call){.next_free = peer->first_free};
        peer->first_free = slot;
    }
    peer->call_capacity = capacity;
}

static uint32_t take_slot(struct peer *peer)
{
    if (peer->first_free == NO_SLOT) {
        add_slots(peer);
    }
    uint32_t slot = peer->first_free;
    struct call *call = &peer->calls[slot];
    peer->first_free = call->next_free;
    /* It has 22 bits on the wire; 0 is left out. */
    call->use = call->use < UINT32_MAX >> SLOT_BITS ? call->use + 1 : 1;
    return slot;
}

/* The caller holds the peer: a call's own hold ends here. */
static void finish_call(struct peer *peer, uint32_t slot, const struct rpc_message *message)
{
    struct call *call = &peer->calls[slot];
    peer_reply *on_reply = call->on_reply;
    void *context = call->context;
    call->on_reply = NULL;
    call->next_free = peer->first_free;
    peer->first_free = slot;
    on_reply(context, message);
    assert(peer->holders > 1);
    peer_release(peer);
}

static void set_deadline(struct peer *peer, uint64_t deadline_ms, uint64_t now_ms)
{
    if (deadline_ms < peer->timer_ms) {
        peer->timer_ms = deadline_ms;
        timer_set(peer->timer, deadline_ms > now_ms ? deadline_ms - now_ms : 0);
    }
}

static void on_deadline(void *context)
{
    struct peer *peer = context;
    uint64_t now_ms = clock_mono_ms();
    uint64_t next_ms = NEVER;
    peer_hold(peer);
    peer->timer_ms = NEVER;
    /* A reply may open further calls; each sets the timer itself. */
    for (uint32_t slot = 0; slot < peer->call_capacity; slot++) {
        const struct call *call = &peer->calls[slot];
        if (call->on_reply == NULL) {
            continue;
        }
        if (call->deadline_ms <= now_ms) {
            finish_call(peer, slot, NULL);
        } else if (call->deadline_ms < next_ms) {
            next_ms = call->deadline_ms;
        }
    }
    set_deadline(peer, next_ms, now_ms);
    peer_release(peer);
}

static void fail_calls(struct peer *peer)
{
    for (uint32_t slot = 0; slot < peer->call_capacity; slot++) {
        if (peer->calls[slot].on_reply != NULL) {
            finish_call(peer, slot, NULL);
        }
    }
}

static void take_response(struct peer *peer, const struct rpc_message *message)
{
    uint32_t slot = message->msgid % PEER_CALLS_MAX;
    bool is_awaited = slot < peer->call_capacity && peer->calls[slot].on_reply != NULL &&
                      msgid_of(peer, slot) == message->msgid;
    /* Else it comes after its time-out, or was never asked for. */
    if (is_awaited) {
        finish_call(peer, slot, message);
    }
}

void peer_call(struct peer *peer, const char *method, struct bytes params, uint32_t timeout_ms,
               peer_reply *on_reply, void *context)
{
    uint64_t now_ms = clock_mono_ms();
    uint32_t slot = take_slot(peer);
    bool is_sent = peer->is_open && slot < PEER_CALLS_MAX;
    struct call *call = &peer->calls[slot];
    call->on_reply = on_reply;
    call->context = context;
    call->deadline_ms = is_sent ? now_ms + timeout_ms : now_ms;
    peer_hold(peer);
    if (is_sent) {
        struct buffer *output = peer_output(peer);
        rpc_request(output, msgid_of(peer, slot), method);
        pack_encoded(output, params);
    }
    if (peer->timer == NULL) {
        peer->timer = timer_new(peer->loop, on_deadline, peer);
    }
    set_deadline(peer, call->deadline_ms, now_ms);
}

/* --- input --- */

static void reject(struct peer *peer, enum unpack_fault fault, const char *text)
{
    enum status code = fault == UNPACK_SHORT ? STATUS_TOO_LARGE : STATUS_INVALID;
    peer_refuse(peer, 0, code, text);
    peer_finish(peer, text);
}

static void take_frame(struct peer *peer, struct bytes frame)
{
    struct rpc_message message;
    enum unpack_fault fault = rpc_decode(frame, &message);
    if (fault != UNPACK_FINE) {
        reject(peer, UNPACK_WRONG_TYPE, "not a MessagePack-RPC frame");
    } else if (message.type == RPC_RESPONSE) {
        take_response(peer, &message);
    } else {
        peer->handler->on_request(peer->context, peer, &message);
    }
}

/* The length of the frame at the start of `input`; 0 if it is not whole, or never can be. */
static size_t find_frame(struct peer *peer, struct bytes input)
{
    enum unpack_fault fault = UNPACK_FINE;
    size_t len = 0;
    switch (extent_scan(&peer->extent, input, FRAME_LEN_MAX, &fault)) {
    case EXTENT_WHOLE:
        len = peer->extent.scanned;
        extent_reset(&peer->extent);
        break;
    case EXTENT_PARTIAL:
        break;
    case EXTENT_BAD:
        reject(peer, fault,
               fault == UNPACK_SHORT ? "the frame is too large" : unpack_fault_text(fault));
        break;
    }
    return len;
}

static size_t on_input(void *context, struct bytes input)
{
    struct peer *peer = context;
    const uint8_t *data = input.data;
    size_t done = 0;
    peer_hold(peer);
    while (peer->is_open && done < input.len) {
        size_t len = find_frame(peer, bytes_of(data + done, input.len - done));
        if (len == 0) {
            break;
        }
        take_frame(peer, bytes_of(data + done, len));
        done += len;
        /* Small requests with large replies: the rest waits until these have been read. */
        if (peer->is_open &&
            (conn_is_output_full(peer->conn) || conn_is_input_paused(peer->conn))) {
            break;
        }
    }
    peer_release(peer);
    return done;
}

/* --- the connection --- */

static void on_open(void *context)
{
    struct peer *peer = context;
    if (peer->handler->on_open != NULL) {
        peer->handler->on_open(peer->context, peer);
    }
}

static void on_close(void *context, const char *reason)
{
    struct peer *peer = context;
    peer->is_open = false;
    fail_calls(peer);
    peer->conn = NULL;
    peer->handler->on_close(peer->context, peer, reason);
    peer_release(peer);
}

static const struct conn_handler conn_handler = {on_open, on_input, on_close};

static struct peer *new_peer(struct loop *loop, const struct peer_handler *handler, void *context)
{
    struct peer *peer = memory_get(1, sizeof(*peer));
    peer->loop = loop;
    peer->handler = handler;
    peer->context = context;
    peer->is_open = true;
    peer->holders = 1;
    peer->first_free = NO_SLOT;
    peer->timer_ms = NEVER;
    extent_reset(&peer->extent);
    return peer;
}

struct peer *peer_accept(struct loop *loop, struct conn *conn, const struct peer_handler *handler,
                         void *context)
{
    struct peer *peer = new_peer(loop, handler, context);
    peer->conn = conn;
    peer->remote = memory_copy_text(conn_remote(conn));
    conn_set_handler(conn, &conn_handler, peer);
    return peer;
}

struct peer *peer_connect(struct loop *loop, const struct address *address,
                          const struct peer_handler *handler, void *context)
{
    struct peer *peer = new_peer(loop, handler, context);
    peer->conn = conn_connect(loop, address, &conn_handler, peer);
    peer->remote = memory_copy_text(conn_remote(peer->conn));
    return peer;
}

/* --- for the owner --- */

struct buffer *peer_output(struct peer *peer)
{
    if (peer->conn != NULL) {
        return conn_output(peer->conn);
    }
    buffer_shrink(&peer->swallowed, SWALLOWED_KEEP);
    return &peer->swallowed;
}

void peer_output_until(struct peer *peer, uint64_t ticket)
{
    if (peer->conn != NULL) {
        conn_output_until(peer->conn, ticket);
    }
}

size_t peer_output_len(const struct peer *peer)
{
    return peer->conn != NULL ? conn_output_len(peer->conn) : 0;
}

void peer_pause(struct peer *peer, uint32_t pause_ms)
{
    if (peer->conn != NULL) {
        conn_pause_input(peer->conn, pause_ms);
    }
}

void peer_refuse(struct peer *peer, uint32_t msgid, enum status code, const char *text)
{
    struct buffer *output = peer_output(peer);
    rpc_error(output, msgid, code, text);
    pack_nil(output);
    rpc_error_end(output);
}

void peer_hold(struct peer *peer)
{
    peer->holders++;
}

void peer_release(struct peer *peer)
{
    assert(peer->holders > 0);
    peer->holders--;
    if (peer->holders > 0) {
        return;
    }
    timer_free(peer->timer);
    buffer_fini(&peer->swallowed);
    free(peer->calls);
    free(peer->remote);
    free(peer);
}

bool peer_is_open(const struct peer *peer)
{
    return peer->is_open;
}

void peer_close(struct peer *peer, const char *reason)
{
    peer->is_open = false;
    if (peer->conn != NULL) {
        conn_close(peer->conn, reason);
    }
}

void peer_finish(struct peer *peer, const char *reason)
{
    peer->is_open = false;
    if (peer->conn != NULL) {
        conn_finish(peer->conn, reason);
    }
}

const char *peer_remote(const struct peer *peer)
{
    return peer->remote;
}

void peer_set_data(struct peer *peer, void *data)
{
    peer->data = data;
}

void *peer_data(const struct peer *peer)
{
    return peer->data;
}
