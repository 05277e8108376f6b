/* SPDX-License-Identifier: MIT */
#include "io/net.h"

#include "tests/sim/fiber.h"
#include "tests/sim/network.h"

#include <stdlib.h>

struct net_socket {
    struct endpoint *endpoint;
    struct fiber *fiber; /* that waits for it; NULL: none does */
};

static void on_change(void *context)
{
    const struct net_socket *socket = context;
    if (socket->fiber) {
        fiber_wake(socket->fiber);
    }
}

struct net_socket *net_connect(const struct address *address)
{
    struct net_socket *socket = calloc(1, sizeof *socket);
    if (!socket) {
        return NULL;
    }
    socket->endpoint = network_connect(world_current(), address);
    endpoint_set_callback(socket->endpoint, on_change, socket);
    return socket;
}

enum net_result net_read(struct net_socket *socket, void *data, size_t capacity, size_t *len)
{
    size_t arrived = endpoint_arrived(socket->endpoint);
    if (!arrived) {
        bool has_ended = endpoint_state(socket->endpoint) == ENDPOINT_ENDED;
        return has_ended ? NET_CLOSED : NET_AGAIN;
    }
    size_t most = arrived < capacity ? arrived : capacity;
    if (most > 1 && world_chance(world_swarm()->split_ppm)) {
        most = (size_t)world_between(1, most);
    }
    *len = endpoint_read(socket->endpoint, data, most);
    return NET_OK;
}

enum net_result net_write(struct net_socket *socket, const void *data, size_t data_len, size_t *len)
{
    switch (endpoint_state(socket->endpoint)) {
    case ENDPOINT_CONNECTING:
        return NET_AGAIN;
    case ENDPOINT_ENDED:
        return NET_CLOSED;
    case ENDPOINT_OPEN:
        break;
    }
    size_t written = endpoint_write(socket->endpoint, data, data_len);
    if (!written && data_len) {
        return NET_AGAIN;
    }
    *len = written;
    return NET_OK;
}

static bool is_ready(const struct net_wait *wait)
{
    const struct endpoint *endpoint = wait->socket->endpoint;
    return endpoint_arrived(endpoint) || endpoint_state(endpoint) == ENDPOINT_ENDED ||
           (wait->want_write && endpoint_has_room(endpoint));
}

static bool mark_ready(struct net_wait *waits, size_t count)
{
    bool is_any = false;
    for (size_t i = 0; i < count; i++) {
        waits[i].is_ready = is_ready(&waits[i]);
        is_any |= waits[i].is_ready;
    }
    return is_any;
}

static void set_waiting(const struct net_wait *waits, size_t count, struct fiber *fiber)
{
    for (size_t i = 0; i < count; i++) {
        waits[i].socket->fiber = fiber;
    }
}

bool net_wait(struct net_wait *waits, size_t count, uint64_t deadline_us)
{
    bool is_any = mark_ready(waits, count);
    set_waiting(waits, count, fiber_current());
    while (!is_any && world_now_us() < deadline_us) {
        fiber_park(deadline_us);
        is_any = mark_ready(waits, count);
    }
    set_waiting(waits, count, NULL);
    return is_any;
}

bool net_is_stale(struct net_socket *socket)
{
    return endpoint_arrived(socket->endpoint) || endpoint_state(socket->endpoint) == ENDPOINT_ENDED;
}

const char *net_error(const struct net_socket *socket)
{
    const char *error = endpoint_error(socket->endpoint);
    return error ? error : "no error";
}

void net_close(struct net_socket *socket)
{
    if (socket) {
        endpoint_close(socket->endpoint);
        free(socket);
    }
}
