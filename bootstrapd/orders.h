/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_ORDERS_H
#define BOOTSTRAPD_ORDERS_H

/*
 * What people ask for about moves, servers and shards: each makes the plan that follows, or says why not. Pure.
 *
 * STATUS_OK: *plan is the caller's, and may change nothing. Else *why; there is no plan then. People name a move by its
 * number, a server by its address or its id in hexadecimal digits, of which the first eight are enough.
 */

#include "bootstrapd/conduct.h"

struct order_scope {
    const struct cluster *cluster;
    const struct conduct *conduct;
    uint64_t now_ms;
    const char *who; /* the address of who asks */
};

struct order_start {
    struct bytes shard;
    struct bytes target;
    bool has_from, has_until; /* else from where the shard begins, to where it ends */
    uint64_t from, until;
    uint64_t bytes_per_s;
    bool is_forced;
};

/* *number: the move's. What V8 and V9 refuse is refused at once; that a server is away, too. */
enum status order_move_start(const struct order_scope *scope, const struct order_start *start,
                             struct plan *plan, uint64_t *number, struct text *why);

enum order_move {
    ORDER_PAUSE,
    ORDER_RESUME,
    ORDER_ABORT,
    ORDER_THROTTLE,  /* `bytes_per_s` */
    ORDER_UNDO,      /* STATUS_DENIED where the target has opened, or nothing is to be undone yet */
    ORDER_UNDO_LOSS, /* the same, and what the target has is given up if it does not answer */
};

enum status order_move_change(const struct order_scope *scope, enum order_move order,
                              uint64_t number, uint64_t bytes_per_s, struct plan *plan,
                              struct text *why);

/* What it has goes elsewhere (bootstrapd/rebalance.h), and nothing comes; `is_undo`: no longer. */
enum status order_server_drain(const struct order_scope *scope, struct bytes server, bool is_undo,
                               struct plan *plan, struct text *why);

/*
 * One that owns nothing and has no part in a move; but that it should still delete what it gave away, and is gone or
 * keeps its copy, is no reason to stay: these moves are then done.
 */
enum status order_server_remove(const struct order_scope *scope, struct bytes server,
                                struct plan *plan, struct text *why);

enum status order_server_set_address(const struct order_scope *scope, struct bytes server,
                                     const struct address *address, struct plan *plan,
                                     struct text *why);

/* Whether one may be looked for at the address (cluster_invite). */
enum status order_server_check_new(const struct cluster *cluster, const struct address *address,
                                   struct text *why);

enum status order_shard_resize(const struct order_scope *scope, struct bytes name, uint64_t size,
                               struct plan *plan, struct text *why);

#endif
