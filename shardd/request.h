/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_REQUEST_H
#define SHARDD_REQUEST_H

/*
 * Requests, by a table of methods (PROTOCOL.md): what is about records becomes an operation and
 * goes to the store, the rest is answered here.
 */

#include "io/peer.h"
#include "shardd/membership.h"
#include "shardd/mover.h"
#include "shardd/session.h"
#include "shardd/store.h"

/* What requests act on; borrowed. Must outlive the operations that they submit. */
struct request_scope {
    struct store *store;
    struct membership *membership;
    struct mover *mover;
    struct sessions *sessions;
    bool is_stopping; /* all is answered with SHUTTING_DOWN */
};

/* Notifications are not answered, and nothing is done because of one. */
void request_take(struct request_scope *scope, struct peer *peer,
                  const struct rpc_message *message);

#endif
