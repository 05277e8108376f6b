/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_WIRE_H
#define LIBCLIENT_WIRE_H

/*
 * One connection to a server: requests out, responses in, matched by msgid.
 *
 *     OPENING ── hello answered ──> OPEN ──> CLOSED     from anywhere: lost, malformed, denied
 *
 * Until hello is answered nothing else is sent, and hello names our cluster as soon as we know it:
 * what a foreign server, or one that cannot be reached, is asked is certainly not done. Nothing
 * here blocks; one thread at a time.
 */

#include "io/net.h"
#include "proto/buffer.h"
#include "proto/limits.h"
#include "proto/rpc.h"

/* In flight on one connection: bounds what a server has to hold for us, and what a loss repeats. */
#define WIRE_REQUESTS_MAX 256
#define WIRE_BYTES_MAX    (1u << 20)

enum wire_state { WIRE_OPENING, WIRE_OPEN, WIRE_CLOSED };

struct wire;

/* Begins to connect. A `cluster` of zeros is not yet known, and not asked for. NULL: no memory. */
struct wire *wire_open(const struct address *address, const uint8_t cluster[ID_LEN]);

/* An idle one that was opened before the cluster was known is OPENING again. */
void wire_greet(struct wire *wire, const uint8_t cluster[ID_LEN]);

void wire_close(struct wire *wire); /* NULL is allowed */

/*
 * In a child after fork, of a wire that a thread of the parent was using: closes the socket here
 * and leaves the rest, which that thread may have been changing, where it is.
 */
void wire_abandon(struct wire *wire);

enum wire_state wire_state(const struct wire *wire);

/* Why it is closed: "Connection refused". */
const char *wire_reason(const struct wire *wire);

/* Closed because the server is not for us. */
bool wire_is_denied(const struct wire *wire);

/* Open, and within the bounds above. */
bool wire_has_room(const struct wire *wire);

/* Begins a request: the caller appends its params (an array), then ends it. Needs room. */
struct buffer *wire_begin(struct wire *wire, const char *method);

/* `token` comes back with the response. False: no memory, and nothing was added. */
bool wire_end(struct wire *wire, void *token, uint32_t *msgid);

/* The response, if it still comes, is dropped. */
void wire_forget(struct wire *wire, uint32_t msgid);

/* No more requests: the server asked for a new connection. */
void wire_retire(struct wire *wire);

/* Closes it for what the server did; `reason` is static. */
void wire_break(struct wire *wire, const char *reason);

/* Sends what goes out now; takes in what is here now. */
void wire_flush(struct wire *wire);
void wire_receive(struct wire *wire);
struct net_wait wire_wait(const struct wire *wire);

/*
 * The next response among what was taken in, with its token; false when there is none. *message
 * points into the wire: until the next wire_receive.
 */
bool wire_next(struct wire *wire, struct rpc_message *message, void **token);

/* Of a closed one: takes out a request that got no answer. NULL: no more. */
void *wire_take_unanswered(struct wire *wire, bool *was_sent);

uint32_t wire_in_flight(const struct wire *wire);

/* Whether the server may yet come upon a request that was sent here and got no answer. */
bool wire_is_loose(const struct wire *wire);

/* Open, and nothing under way in either direction. */
bool wire_is_idle(const struct wire *wire);

/* Gives back what memory an idle one does not need. */
void wire_rest(struct wire *wire);

/* An idle one that the other side has closed meanwhile. */
bool wire_is_stale(const struct wire *wire);

#endif
