/* SPDX-License-Identifier: MIT */
#include "tests/sim/actor.h"

#include "tests/sim/fiber.h"
#include "tests/sim/heap.h"
#include "tests/sim/network.h"

struct actor {
    struct node *node;
    struct fiber *fiber;
    world_callback *body;
    void *context;
};

struct actor *actor_new(const char *name, uint16_t port, world_callback *body, void *context)
{
    struct actor *actor = world_get(1, sizeof *actor);
    struct address address = {.host = "127.0.0.1", .port = port};
    actor->node = world_add_node(name, &address);
    actor->body = body;
    actor->context = context;
    actor->fiber = fiber_new(actor->node, body, context);
    return actor;
}

static void end_process(struct actor *actor)
{
    fiber_free(actor->fiber);
    world_drop_events(actor->node);
    network_drop_node(actor->node, false);
    heap_drop(actor->node);
}

void actor_free(struct actor *actor)
{
    end_process(actor);
    world_put(actor);
}

struct node *actor_node(const struct actor *actor)
{
    return actor->node;
}

bool actor_is_done(const struct actor *actor)
{
    return fiber_is_done(actor->fiber);
}

void actor_restart(struct actor *actor)
{
    end_process(actor);
    actor->fiber = fiber_new(actor->node, actor->body, actor->context);
}
