/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_COORDINATOR_H
#define BOOTSTRAPD_COORDINATOR_H

/*
 * Makes changes of the map, one after another, whoever asks for them:
 *
 *     servers: push -> cluster_next, conduct_next  \
 *     people: admin, orders                         |  plan -> map store -> adopted -> servers, watchers, asker
 *     nobody: rebalance_next                       /
 *
 * Nobody is told of a revision before it is durable (RULES M2), and while one is being written no
 * other is begun. What servers say is followed in the same turn, and what became durable is pushed in the turn in which
 * that is known: requests are held meanwhile.
 */

#include "bootstrapd/orders.h"
#include "bootstrapd/rebalance.h"
#include "bootstrapd/mapstore.h"
#include "bootstrapd/recover.h"
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

struct coordinator_asker {
    const char *who; /* copied */
    coordinator_done *done;
    void *context;
};

/*
 * `store` must outlive it; takes the ledger's memory, which is the store's newest. `is_auto`: rebalances unasked
 * (bootstrapd/rebalance.h).
 */
struct coordinator *coordinator_new(struct loop *loop, struct mapstore *store,
                                    struct ledger *ledger, bool is_auto,
                                    const struct coordinator_handler *handler, void *context);

/* Connects to the servers. */
void coordinator_start(struct coordinator *coordinator);

const struct cluster *coordinator_cluster(const struct coordinator *coordinator);
const struct conduct *coordinator_conduct(const struct coordinator *coordinator);

/* The log of the map and the moves that are over. Valid until the next change. */
const struct history *coordinator_history(const struct coordinator *coordinator);

/*
 * Makes a plan, when its turn has come. STATUS_OK: *plan is taken, and may change nothing. Else there is none, and *why.
 */
typedef enum status coordinator_make(void *context, const struct order_scope *scope,
                                     struct plan *plan, struct text *why);

/*
 * STATUS_OK: the plan is carried out and durable. `why` may have something for people. Else it was not done, or, with
 * STATUS_SHUTTING_DOWN, that is not known.
 */
typedef void coordinator_made(void *context, enum status status, const struct plan *plan,
                              const struct text *why);

/* Behind the change that is being written, and those asked for before. `who` is copied; `made` may come from inside. */
void coordinator_order(struct coordinator *coordinator, const char *who, coordinator_make *make,
                       coordinator_made *made, void *context);

/* The same, when all servers have told what they hold now, or could have: what it plans goes by that. */
void coordinator_order_counted(struct coordinator *coordinator, const char *who,
                               coordinator_make *make, coordinator_made *made, void *context);

/*
 * The same, when all servers have told which map they hold, or could have: inside `make` coordinator_answers has that.
 * One at a time.
 */
void coordinator_order_surveyed(struct coordinator *coordinator, const char *who,
                                coordinator_make *make, coordinator_made *made, void *context);
const struct recover_answers *coordinator_answers(const struct coordinator *coordinator);

/* Plans that wait for one another. */
#define COORDINATOR_ORDERS_MAX 1024

/* Looks for an empty server at the address and takes it into the map, in whose ledger it then is; one at a time. */
void coordinator_add_server(struct coordinator *coordinator, const struct address *address,
                            uint64_t capacity, const char *who, coordinator_made *made,
                            void *context);

/*
 * STATUS_OK: `done` follows, perhaps at once (nothing to change, or a dry run). Else it was not
 * done and *why says why.
 */
enum status coordinator_apply(struct coordinator *coordinator, struct bytes json, bool is_dry_run,
                              const struct coordinator_asker *asker, struct text *why);
enum status coordinator_reset(struct coordinator *coordinator, struct bytes name,
                              const struct coordinator_asker *asker, struct text *why);

/* Begins no further change; when the one under way is done, lets the servers go: on_stopped. */
void coordinator_stop(struct coordinator *coordinator);

/* Waits for nothing but a write that has begun. NULL is allowed. */
void coordinator_free(struct coordinator *coordinator);

#endif
