/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_PLAIN_SOCKET_H
#define TESTS_UNIT_PLAIN_SOCKET_H

/* The other side of a connection that is tested: a socket that blocks, without anything of io/. After cmocka.h. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/address.h"

/* The caller closes it. */
static inline int plain_socket_connect(const struct address *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

#endif
