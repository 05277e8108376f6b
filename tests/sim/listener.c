/* SPDX-License-Identifier: MIT */
#include "io/listener.h"

#include "tests/sim/accept.h"
#include "tests/sim/turn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* Connections that have knocked and wait for the next turn. */
#define BACKLOG_MAX 64

struct listener {
    struct loop *loop;
    struct door *door; /* NULL: closed */
    struct address address;
    uint32_t connection_max;
    uint32_t connection_count;
    listener_callback *on_accept;
    void *context;
    struct ready ready;
    struct endpoint *backlog[BACKLOG_MAX];
    unsigned backlog_count;
};

static void free_if_unused(struct listener *listener)
{
    if (!listener->door && listener->connection_count == 0) {
        free(listener);
    }
}

static void on_conn_free(void *context)
{
    struct listener *listener = context;
    listener->connection_count--;
    free_if_unused(listener);
}

static void accept_all(void *context)
{
    struct listener *listener = context;
    /* The callback may close the listener. */
    while (listener->door && listener->backlog_count) {
        struct endpoint *endpoint = listener->backlog[--listener->backlog_count];
        if (listener->connection_count >= listener->connection_max) {
            endpoint_close(endpoint);
            continue;
        }
        listener->connection_count++;
        struct conn *conn = conn_accepted(listener->loop, endpoint, on_conn_free, listener);
        listener->on_accept(listener->context, conn);
        assert(conn_has_handler(conn));
    }
}

static void on_knock(void *context, struct endpoint *endpoint)
{
    struct listener *listener = context;
    if (listener->backlog_count == BACKLOG_MAX) {
        endpoint_close(endpoint);
        return;
    }
    listener->backlog[listener->backlog_count++] = endpoint;
    loop_ready(listener->loop, &listener->ready);
}

struct listener *listener_open(struct loop *loop, const struct listener_config *config, char *error,
                               size_t error_len)
{
    struct listener *listener = calloc(1, sizeof *listener);
    assert(listener);
    listener->loop = loop;
    listener->address = *config->address;
    listener->connection_max = config->connection_max;
    listener->on_accept = config->on_accept;
    listener->context = config->context;
    listener->ready = (struct ready){.run = accept_all, .context = listener};
    listener->door = network_listen(loop_node(loop), config->address, on_knock, listener);
    if (!listener->door) {
        char text[ADDRESS_TEXT_LEN];
        address_print(config->address, text);
        (void)snprintf(error, error_len, "%s: Address already in use", text);
        free(listener);
        return NULL;
    }
    return listener;
}

const struct address *listener_address(const struct listener *listener)
{
    return &listener->address;
}

uint32_t listener_connection_count(const struct listener *listener)
{
    return listener->connection_count;
}

void listener_close(struct listener *listener)
{
    if (!listener) {
        return;
    }
    door_close(listener->door);
    listener->door = NULL;
    loop_unready(listener->loop, &listener->ready);
    while (listener->backlog_count) {
        endpoint_close(listener->backlog[--listener->backlog_count]);
    }
    free_if_unused(listener);
}

/* No file descriptors here. */
bool listener_raise_file_limit(uint32_t connection_max, char *error, size_t error_len)
{
    (void)error;
    (void)error_len;
    return connection_max > 0;
}
