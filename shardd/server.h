/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_SERVER_H
#define SHARDD_SERVER_H

/*
 * A shard server on a loop: listener, connections, and what they stand on.
 *
 *     open ──> serving ── shardd_stop ──> stopping ── all answered and sent ──> on_stopped
 *
 * While it stops, new requests get SHUTTING_DOWN. Several servers may live in one process, each
 * on a loop of its own.
 */

#include "io/loop.h"
#include "proto/address.h"
#include "shardd/store.h"

struct shardd_config {
    struct address listen; /* port 0 picks a free one */
    const char *data;      /* directory */
    uint32_t connection_max;
    enum durability durability;
    uint64_t memory_limit; /* bytes; at least STORE_MEMORY_MIN */
    uint64_t log_limit;    /* bytes; at least four segments */
    uint64_t segment_len;  /* bytes; at least LOG_SEGMENT_LEN_MIN */
    bool is_to_compact;    /* the tree's file, before anything is served (RULES F2) */
    bool is_to_mend;       /* the tree, before that: shardd/mend.h */
};

struct shardd;

/* Serves when it returns. Blocks. NULL with `error` filled: what is wrong, and where. */
struct shardd *shardd_open(struct loop *loop, const struct shardd_config *config, char *error,
                           size_t error_len);

/* Where it really listens. */
const struct address *shardd_address(const struct shardd *shardd);

/* Whether it would carry out a request for this point. */
bool shardd_serves(const struct shardd *shardd, uint64_t point);

/* What holds durably. Valid until the loop's next turn. */
struct ownership;
const struct ownership *shardd_ownership(const struct shardd *shardd);

/* Later calls change nothing. `on_stopped` may not free the server. */
void shardd_stop(struct shardd *shardd, loop_callback *on_stopped, void *context);

/*
 * Ends it where it stands: connections are cut, nothing more is answered, a running commit is
 * waited for. The loop must be freed next: it still has the server's turn-end hook, and lets go of
 * the connections. NULL is allowed.
 */
void shardd_free(struct shardd *shardd);

#endif
