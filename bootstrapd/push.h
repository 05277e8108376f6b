/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_PUSH_H
#define BOOTSTRAPD_PUSH_H

/*
 * One connection to each server in the map, opened from here, on which the map is pushed.
 *
 *     WAITING --> CONNECTING --> GREETING --hello--> SERVING: ping each second, map.push
 *        ^  50 ms .. 1 s                                |      when it is behind
 *        +----------------- closed ---------------------+
 *
 * All are asked for their numbers at once, every five seconds: so the loads that they tell are of the same time.
 *
 * What servers say goes to the cluster, and of moves to the conduct; what follows from it is the owner's. A server that is
 * refused is let go and asked again, so that what is known of it is at most about a second old.
 */

#include "bootstrapd/conduct.h"
#include "io/peer.h"

struct push;

struct push_handler {
    /* The cluster, or the conduct, has heard something. Must not call into push. */
    void (*on_heard)(void *context);
    /* All that push_count has asked have answered, or will not. Must not call into push. */
    void (*on_counted)(void *context);
    /* A request that a server sent over the connection. */
    void (*on_request)(void *context, struct peer *peer, const struct rpc_message *message);
    /* After push_stop: the last connection has gone. */
    void (*on_stopped)(void *context);
};

/* `cluster` and `conduct` must outlive it. Connects at the first push_follow. */
struct push *push_new(struct loop *loop, struct cluster *cluster, struct conduct *conduct,
                      const struct push_handler *handler, void *context);

/* The cluster's map is another one, or its sites are: connects, lets go and pushes accordingly. */
void push_follow(struct push *push);

/* Asks all servers for their numbers, beside the rounds in which they are asked anyway; on_counted follows, perhaps at once. */
void push_count(struct push *push);

/* Asks the servers that have a part in a move how far it is. */
void push_ask_moves(struct push *push);

/* Lets all go; on_stopped follows, perhaps at once. */
void push_stop(struct push *push);

/* No callback comes after it. NULL is allowed. */
void push_free(struct push *push);

#endif
