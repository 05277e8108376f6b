/* SPDX-License-Identifier: MIT */
#ifndef IO_CONN_H
#define IO_CONN_H

/*
 * A TCP connection on a loop: bytes in, bytes out, batched per turn (io/loop.h).
 *
 * Rules (DESIGN §4):
 *  - Output that the other side does not read stops its input at CONN_OUTPUT_PAUSE and ends the
 *    connection at CONN_OUTPUT_MAX.
 *  - Input that `on_input` leaves unconsumed is a message that has begun: CONN_PROGRESS_BYTES more
 *    must come in each CONN_PROGRESS_MS, or the connection closes. (Not while input is stopped.)
 *  - Freeing waits for the end of the turn, so closing is allowed anywhere.
 *
 * Two bodies: io/conn.c on raw libevent events, tests/sim/.
 */

#include "io/loop.h"
#include "proto/address.h"
#include "proto/buffer.h"

#define CONN_OUTPUT_PAUSE   (8u << 20)
#define CONN_OUTPUT_MAX     (64u << 20)
#define CONN_PROGRESS_BYTES (64u << 10)
#define CONN_PROGRESS_MS    10000

struct conn;

struct conn_handler {
    /* An outgoing connection is there. May be NULL. */
    void (*on_open)(void *context);
    /*
     * All bytes that are here and not yet consumed, from the first; returns how many it is done
     * with. Called when more have come, or when input goes on that was stopped; never else with the
     * same bytes. `input` ends with the call.
     */
    size_t (*on_input)(void *context, struct bytes input);
    /* The last callback: at the end of the turn in which the connection ended, for any reason. */
    void (*on_close)(void *context, const char *reason);
};

/*
 * Never NULL: failing to connect, or not in CONN_PROGRESS_MS, ends in on_close. `handler` must outlive
 * the connection. A host that is not numeric is looked up, which may block.
 */
struct conn *conn_connect(struct loop *loop, const struct address *address,
                          const struct conn_handler *handler, void *context);

/* For a connection that a listener gave; before the callback that gave it returns. */
void conn_set_handler(struct conn *conn, const struct conn_handler *handler, void *context);

/* What is appended here is sent at the end of the turn. Appending to a closed one does no harm. */
struct buffer *conn_output(struct conn *conn);

/* Ends it now; unsent output is dropped. `reason` must be static. */
void conn_close(struct conn *conn, const char *reason);

/* Ends it when all output is sent; input is no longer read. `reason` must be static. */
void conn_finish(struct conn *conn, const char *reason);

/* "127.0.0.1:40312"; lives as long as the connection. */
const char *conn_remote(const struct conn *conn);

#endif
