/* SPDX-License-Identifier: MIT */
#ifndef IO_PEER_H
#define IO_PEER_H

/*
 * MessagePack-RPC over a connection, both ways: whoever connected, either side may send requests.
 *
 *     bytes -> extent (proto/extent.h) -> frame -> rpc_decode -> on_request | the call it answers
 *
 * A frame that is malformed, or over FRAME_LEN_MAX, gets an INVALID or TOO_LARGE error with msgid 0
 * where one can still be sent, and ends the connection. Written above conn, so it has one body.
 */

#include "io/conn.h"
#include "proto/rpc.h"

struct peer;

struct peer_handler {
    /* May be NULL: for outgoing ones, the connection is there. */
    void (*on_open)(void *context, struct peer *peer);
    /* A request or notification. `message` ends with the call; what it points at, with the turn's hooks. */
    void (*on_request)(void *context, struct peer *peer, const struct rpc_message *message);
    /* The last callback. Open calls have had their on_reply, with NULL, before it. */
    void (*on_close)(void *context, struct peer *peer, const char *reason);
};

/*
 * `message` is the response, or NULL when none came (connection gone, or time out): whether it was
 * carried out is then unknown. Called exactly once.
 */
typedef void peer_reply(void *context, const struct rpc_message *message);

struct peer *peer_accept(struct loop *loop, struct conn *conn, const struct peer_handler *handler,
                         void *context);
struct peer *peer_connect(struct loop *loop, const struct address *address,
                          const struct peer_handler *handler, void *context);

/* Where replies and notifications are packed (proto/rpc.h). */
struct buffer *peer_output(struct peer *peer);

/* What was packed so far leaves when conn_release has reached `ticket` (io/conn.h). */
void peer_output_until(struct peer *peer, uint64_t ticket);

/* Bytes of output that it has not read; its requests rest for so long (io/conn.h). */
size_t peer_output_len(const struct peer *peer);
void peer_pause(struct peer *peer, uint32_t pause_ms);

/* Open calls of one peer; what is above gets no response. */
#define PEER_CALLS_MAX 1024

/*
 * `params`: one encoded array; its last bytes may be appended to peer_output instead, right behind the call. `on_reply`
 * never runs inside the call.
 */
void peer_call(struct peer *peer, const char *method, struct bytes params, uint32_t timeout_ms,
               peer_reply *on_reply, void *context);

/* An error reply with a nil detail. */
void peer_refuse(struct peer *peer, uint32_t msgid, enum status code, const char *text);

/*
 * A reply may be due after the connection has gone. A holder keeps the peer's memory; peer_output
 * of a closed peer swallows what it is given.
 */
void peer_hold(struct peer *peer);
void peer_release(struct peer *peer);
bool peer_is_open(const struct peer *peer);

/* `reason` must be static. on_close follows at the end of the turn. */
void peer_close(struct peer *peer, const char *reason);
void peer_finish(struct peer *peer, const char *reason); /* after the output so far is sent */

const char *peer_remote(const struct peer *peer);

/* The owner's own word per connection; NULL at first. */
void peer_set_data(struct peer *peer, void *data);
void *peer_data(const struct peer *peer);

#endif
