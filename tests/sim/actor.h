/* SPDX-License-Identifier: MIT */
#ifndef SIM_ACTOR_H
#define SIM_ACTOR_H

/*
 * A client's machine with one process, which is a fiber: killed at any moment it waits, and begun
 * anew. What it knows and its process does not stays outside of it.
 */

#include "tests/sim/world.h"

struct actor;

/* `body` runs to its end, or until the actor is killed; `context` must outlive the actor. */
struct actor *actor_new(const char *name, uint16_t port, world_callback *body, void *context);
void actor_free(struct actor *actor);

struct node *actor_node(const struct actor *actor);
bool actor_is_done(const struct actor *actor);

/* Its process is killed and a new one begins `body` again. Not from within. */
void actor_restart(struct actor *actor);

#endif
