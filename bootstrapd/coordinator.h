/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_COORDINATOR_H
#define BOOTSTRAPD_COORDINATOR_H

/*
 * Makes changes of the map, one after another, whoever asks for them:
 *
 *     servers: push -> cluster_next  \
 *     people: admin                  /  plan -> map store -> adopted -> servers, watchers, asker
 *
 * Nobody is told of a revision before it is durable (RULES M2), and while one is being written no
 * other is begun.
 */

#include "bootstrapd/cluster.h"
#include "bootstrapd/mapstore.h"
#include "io/peer.h"

struct coordinator;

struct coordinator_handler {
    /* The map is another one; its revision was `old_revision`. */
    void (*on_changed)(void *context, uint64_t old_revision);
    /* A request that came from a server in the map. */
    void (*on_request)(void *context, struct peer *peer, const struct rpc_message *message);
    /* After coordinator_stop. */
    void (*on_stopped)(void *context);
};

/* The plan is carried out. NULL: the coordinator was freed before; it may or may not be durable. */
typedef void coordinator_done(void *context, const struct plan *plan);

/* `store` must outlive it; takes the ledger's memory, which is the store's newest. */
struct coordinator *coordinator_new(struct loop *loop, struct mapstore *store,
                                    struct ledger *ledger,
                                    const struct coordinator_handler *handler, void *context);

/* Connects to the servers. */
void coordinator_start(struct coordinator *coordinator);

const struct cluster *coordinator_cluster(const struct coordinator *coordinator);

/*
 * STATUS_OK: `done` follows, perhaps at once (nothing to change, or a dry run). Else it was not
 * done and *why says why.
 */
enum status coordinator_apply(struct coordinator *coordinator, struct bytes json, bool is_dry_run,
                              coordinator_done *done, void *context, struct text *why);
enum status coordinator_reset(struct coordinator *coordinator, struct bytes name,
                              coordinator_done *done, void *context, struct text *why);

/* Begins no further change; when the one under way is done, lets the servers go: on_stopped. */
void coordinator_stop(struct coordinator *coordinator);

/* Waits for nothing but a write that has begun. NULL is allowed. */
void coordinator_free(struct coordinator *coordinator);

#endif
