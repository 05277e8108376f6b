/* SPDX-License-Identifier: MIT */
#ifndef IO_SOCKET_H
#define IO_SOCKET_H

/* TCP sockets for conn, listener and net: never blocking, O_CLOEXEC, without Nagle's delay. */

#include <sys/socket.h>

#include "proto/address.h"

/* A name may stand for several addresses; they are tried in the order of the look-up. */
#define SOCKET_TARGETS_MAX 4

struct socket_target {
    struct sockaddr_storage address;
    socklen_t len;
};

struct socket_targets {
    unsigned count;
    unsigned next;
    struct socket_target all[SOCKET_TARGETS_MAX];
};

/* "Connection refused". Static storage, unlike strerror's. */
const char *socket_error_text(int error_number);

/* NULL when there is at least one, else why not. A host that is not numeric may block. */
const char *socket_resolve(const struct address *address, struct socket_targets *targets);

/*
 * Starts to connect to the next target that can be started with. -1 when none is left; *problem,
 * which may be set on entry to what went wrong before, is then why.
 */
int socket_connect(struct socket_targets *targets, const char **problem);

/* Of a socket that was connecting and has become writable: an errno, 0 when it is connected. */
int socket_connect_result(int fd);

/* -1 with errno set. */
int socket_listen(const struct socket_target *target);

void socket_tune(int fd);

/* The numeric form. */
void socket_address(const struct sockaddr_storage *from, struct address *address);

#endif
