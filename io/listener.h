/* SPDX-License-Identifier: MIT */
#ifndef IO_LISTENER_H
#define IO_LISTENER_H

/* Accepts connections. Over `connection_max` they are closed at once. */

#include "io/conn.h"

struct listener;

typedef void listener_callback(void *context, struct conn *conn);

struct listener_config {
    const struct address *address; /* port 0 picks a free one */
    uint32_t connection_max;
    listener_callback *on_accept; /* must give the connection a handler */
    void *context;
};

/* NULL with `error` filled ("127.0.0.1:5050: Address already in use"). */
struct listener *listener_open(struct loop *loop, const struct listener_config *config, char *error,
                               size_t error_len);

/* Where it really listens. */
const struct address *listener_address(const struct listener *listener);

uint32_t listener_connection_count(const struct listener *listener);

/* Connections that it gave live on. NULL is allowed. */
void listener_close(struct listener *listener);

/*
 * Raises the soft limit of open files to what `connection_max` needs; false with `error` filled
 * when the hard limit is below.
 */
bool listener_raise_file_limit(uint32_t connection_max, char *error, size_t error_len);

#endif
