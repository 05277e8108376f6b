/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_SESSION_H
#define SHARDD_SESSION_H

/* The connections that this server has accepted, and which of them watch the map, or are bootstrapd's. */

#include "io/peer.h"

struct session;
struct sessions;

struct sessions *sessions_new(void);

/* Closes all connections and lets go of them: their peers have no session any more. NULL is allowed. */
void sessions_free(struct sessions *sessions);

/* Becomes the peer's data. `owner`: whatever session_owner is to give. */
void sessions_add(struct sessions *sessions, struct peer *peer, void *owner);

/* The peer has closed. */
void session_end(struct peer *peer);

/* NULL when its sessions have been freed. */
void *session_owner(const struct peer *peer);

/* From now on it gets what sessions_notify sends. */
void session_watch(struct peer *peer);

/* It has said hello as the bootstrapd of this number; 0: as none. */
void session_greet(struct peer *peer, uint64_t bootstrapd);

/* Of the last session_greet; 0 before it. */
uint64_t session_greeted(const struct peer *peer);

/* `frame`: a whole notification. */
void sessions_notify(struct sessions *sessions, struct bytes frame);

uint32_t sessions_count(const struct sessions *sessions);

/* Ends all: when their output is sent, or at once. `reason` must be static. */
void sessions_finish(struct sessions *sessions, const char *reason);
void sessions_cut(struct sessions *sessions, const char *reason);

#endif
