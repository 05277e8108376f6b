/* SPDX-License-Identifier: MIT */
#include "io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A host that went away without a word is noticed within two minutes. */
#define KEEPALIVE_IDLE_S     60
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_COUNT      4

/* Connections that wait to be accepted; the kernel's own limit is usually 4096. */
#define BACKLOG 4096

const char *socket_error_text(int error_number)
{
    const char *text = strerrordesc_np(error_number);
    return text ? text : "unknown error";
}

static bool resolve_numeric(const struct address *address, struct socket_target *target)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    if (inet_pton(AF_INET, address->host, &v4.sin_addr) == 1) {
        memcpy(&target->address, &v4, sizeof(v4));
        target->len = sizeof(v4);
        return true;
    }
    if (inet_pton(AF_INET6, address->host, &v6.sin6_addr) == 1) {
        memcpy(&target->address, &v6, sizeof(v6));
        target->len = sizeof(v6);
        return true;
    }
    return false;
}

const char *socket_resolve(const struct address *address, struct socket_targets *targets)
{
    *targets = (struct socket_targets){0};
    if (resolve_numeric(address, &targets->all[0])) {
        targets->count = 1;
        return NULL;
    }
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int result = getaddrinfo(address->host, port, &hints, &found);
    if (result != 0) {
        return result == EAI_SYSTEM ? socket_error_text(errno) : gai_strerror(result);
    }
    for (const struct addrinfo *one = found; one != NULL; one = one->ai_next) {
        if (targets->count < SOCKET_TARGETS_MAX) {
            struct socket_target *target = &targets->all[targets->count++];
            memcpy(&target->address, one->ai_addr, one->ai_addrlen);
            target->len = one->ai_addrlen;
        }
    }
    freeaddrinfo(found);
    return NULL;
}

static int open_socket(const struct socket_target *target)
{
    return socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static const struct sockaddr *sockaddr_of(const struct socket_target *target)
{
    return (const struct sockaddr *)&target->address;
}

int socket_connect(struct socket_targets *targets, const char **problem)
{
    while (targets->next < targets->count) {
        const struct socket_target *target = &targets->all[targets->next++];
        int fd = open_socket(target);
        if (fd < 0) {
            *problem = socket_error_text(errno);
            continue;
        }
        socket_tune(fd);
        if (connect(fd, sockaddr_of(target), target->len) == 0 || errno == EINPROGRESS) {
            return fd;
        }
        *problem = socket_error_text(errno);
        close(fd);
    }
    return -1;
}

int socket_connect_result(int fd)
{
    int error_number = 0;
    socklen_t len = sizeof(error_number);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &len) != 0) {
        return errno;
    }
    return error_number;
}

static void set_option(int fd, int level, int name, int value)
{
    /* Each only makes things better; there is nothing to do about a refusal. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

int socket_listen(const struct socket_target *target)
{
    int fd = open_socket(target);
    if (fd < 0) {
        return -1;
    }
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(fd, sockaddr_of(target), target->len) != 0 || listen(fd, BACKLOG) != 0) {
        int error_number = errno;
        close(fd);
        errno = error_number;
        return -1;
    }
    return fd;
}

void socket_tune(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
}

void socket_address(const struct sockaddr_storage *from, struct address *address)
{
    *address = (struct address){0};
    if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof(v6));
        inet_ntop(AF_INET6, &v6.sin6_addr, address->host, sizeof(address->host));
        address->port = ntohs(v6.sin6_port);
    } else {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof(v4));
        inet_ntop(AF_INET, &v4.sin_addr, address->host, sizeof(address->host));
        address->port = ntohs(v4.sin_port);
    }
}
