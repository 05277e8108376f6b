/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_POOL_H
#define LIBCLIENT_POOL_H

/*
 * The servers that were ever asked: for each its connections, and a line of numbers for the
 * operations that change something (libclient/sequence.h).
 *
 *     wires   | idle, the last given back at the end | in use |      at most pool_max
 *
 * A line per server, each with a client id of its own: a server that does not answer holds up the
 * numbers of its own operations alone. An operation keeps its number when another server gets it.
 *
 * At the end servers are told what is answered, and forget the lines at once (RULES Q2) if no request was given up
 * without an answer anywhere: else one may arrive late, and would be taken for new.
 * Servers live as long as the pool. All functions may be called by any thread.
 */

#include "libclient/wire.h"

struct pool;
struct server;

/* `wire_max`: connections for each server. NULL: no memory. */
struct pool *pool_new(uint32_t wire_max);

/* No wire may be in use, no operation open. Servers are told that all are answered. NULL is allowed. */
void pool_free(struct pool *pool);

/*
 * In a child after fork, when no other thread runs: closes the parent's connections here without
 * a word on them, and draws new client ids.
 */
void pool_after_fork(struct pool *pool);

/* NULL: no memory. */
struct server *pool_server(struct pool *pool, const struct address *address);

enum pool_took {
    POOL_TOOK_IDLE,
    POOL_TOOK_NEW,
    POOL_EXHAUSTED,
    POOL_NO_MEMORY,
};

/* A connection to `server`, the caller's until pool_give. `cluster`: as wire_open. */
enum pool_took pool_take(struct pool *pool, struct server *server, const uint8_t cluster[ID_LEN],
                         struct wire **wire);

/* Takes the wire back: kept if it is idle, else closed. */
void pool_give(struct pool *pool, struct server *server, struct wire **wire);

/* Blocks until `server` may have a wire to give, or the deadline. For a thread that holds none itself. */
void pool_wait(struct pool *pool, struct server *server, uint64_t deadline_us);

const struct address *server_address(const struct server *server);
const uint8_t *server_client_id(const struct server *server);

/* As sequence_take, sequence_answer and `done`. */
bool server_take_number(struct pool *pool, struct server *server, uint64_t *number);
void server_answer_number(struct pool *pool, struct server *server, uint64_t number);
uint64_t server_done(struct pool *pool, struct server *server);

#endif
