/* SPDX-License-Identifier: MIT */
#ifndef IO_CONN_H
#define IO_CONN_H

/*
 * A TCP connection on a loop: bytes in, bytes out, batched per turn (io/loop.h).
 *
 * Rules (DESIGN §4):
 *  - Output that the other side does not read stops its input at CONN_OUTPUT_PAUSE and ends the
 *    connection at CONN_OUTPUT_MAX. Where all of a loop's have more than their limit (conn_set_limits),
 *    a share of that stops it.
 *  - Input that `on_input` leaves unconsumed is a message that has begun: CONN_PROGRESS_BYTES more
 *    must come in each CONN_PROGRESS_MS, or the connection closes. (Not while input is stopped.)
 *  - Where all of a loop's keep more of such input than their limit, all but one that have more than a
 *    share wait (io/budget.h). That one must go on even if its input is stopped.
 *  - Freeing waits for the end of the turn, so closing is allowed anywhere.
 *  - Output may have to wait for something (a reply for its record to be durable): it leaves, and all
 *    behind it on this connection, when conn_release has reached its ticket.
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

/* A longer pause is as long as this. */
#define CONN_PAUSE_MS_MAX 1000

struct conn;

struct conn_handler {
    /* An outgoing connection is there. May be NULL. */
    void (*on_open)(void *context);
    /*
     * All bytes that are here and not yet consumed, from the first; returns how many it is done
     * with. Called when more have come, or when input goes on that was stopped; never else with the
     * same bytes. `input` lives until the hooks of this turn have run, so that what it holds can
     * be carried out there, together with that of all other connections.
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

/* What was appended so far leaves when conn_release has reached `ticket`: tickets only grow. */
void conn_output_until(struct conn *conn, uint64_t ticket);

/* For all connections of the loop, those of later turns too. Below an earlier one: nothing happens. */
void conn_release(struct loop *loop, uint64_t ticket);

/* Bytes of output that no socket has taken yet, and whether they stop its input. */
size_t conn_output_len(const struct conn *conn);
bool conn_is_output_full(const struct conn *conn);

/* Memory that all connections of the loop take: for output, and for input that is kept over a turn. */
size_t conn_output_total(struct loop *loop);
size_t conn_input_total(struct loop *loop);

/* What these may come to, about (RULES F3). 0, as at first: whatever it is. */
void conn_set_limits(struct loop *loop, size_t input_len, size_t output_len);

/*
 * Input rests for so many milliseconds: who sends too fast is slowed. A pause that is under way is not made
 * longer, so that many requests of one turn cost one. What on_input was given it may still finish.
 */
void conn_pause_input(struct conn *conn, uint32_t pause_ms);
bool conn_is_input_paused(const struct conn *conn);

/* Ends it now; unsent output is dropped. `reason` must be static. */
void conn_close(struct conn *conn, const char *reason);

/* Ends it when all output is sent; input is no longer read. `reason` must be static. */
void conn_finish(struct conn *conn, const char *reason);

/* "127.0.0.1:40312"; lives as long as the connection. */
const char *conn_remote(const struct conn *conn);

#endif
