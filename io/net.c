/* SPDX-License-Identifier: MIT */
#include "io/net.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/socket.h"

/* Sockets that are waited for without taking memory. */
#define WAIT_SMALL 64

struct net_socket {
    int fd; /* -1: ended, or never begun */
    bool is_connecting;
    const char *error;
    struct socket_targets targets;
};

static void end(struct net_socket *socket, const char *error)
{
    if (socket->fd >= 0) {
        close(socket->fd);
        socket->fd = -1;
    }
    socket->error = error;
}

static void connect_next(struct net_socket *socket, const char *problem)
{
    end(socket, NULL);
    socket->fd = socket_connect(&socket->targets, &problem);
    socket->is_connecting = socket->fd >= 0;
    socket->error = socket->fd < 0 ? problem : NULL;
}

struct net_socket *net_connect(const struct address *address)
{
    struct net_socket *socket = calloc(1, sizeof(*socket));
    if (socket == NULL) {
        return NULL;
    }
    socket->fd = -1;
    const char *problem = socket_resolve(address, &socket->targets);
    connect_next(socket, problem);
    return socket;
}

static bool has_events(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    return poll(&one, 1, 0) > 0;
}

/* Whether data can be sent and received now; else *result is what to answer. */
static bool is_usable(struct net_socket *socket, enum net_result *result)
{
    *result = NET_AGAIN;
    if (socket->fd >= 0 && socket->is_connecting && has_events(socket->fd, POLLOUT)) {
        int error_number = socket_connect_result(socket->fd);
        socket->is_connecting = false;
        if (error_number != 0) {
            connect_next(socket, socket_error_text(error_number));
        }
    }
    if (socket->fd < 0) {
        *result = NET_CLOSED;
        return false;
    }
    return !socket->is_connecting;
}

/* After a failed call: nothing for now, or the end. */
static enum net_result fail(struct net_socket *socket)
{
    if (errno == EAGAIN || errno == EINTR) {
        return NET_AGAIN;
    }
    end(socket, socket_error_text(errno));
    return NET_CLOSED;
}

enum net_result net_read(struct net_socket *socket, void *data, size_t capacity, size_t *len)
{
    enum net_result result;
    if (!is_usable(socket, &result)) {
        return result;
    }
    ssize_t done = recv(socket->fd, data, capacity, 0);
    if (done < 0) {
        return fail(socket);
    }
    if (done == 0) {
        end(socket, "closed by the other side");
        return NET_CLOSED;
    }
    *len = (size_t)done;
    return NET_OK;
}

enum net_result net_write(struct net_socket *socket, const void *data, size_t data_len, size_t *len)
{
    enum net_result result;
    if (!is_usable(socket, &result)) {
        return result;
    }
    ssize_t done = send(socket->fd, data, data_len, MSG_NOSIGNAL);
    if (done < 0) {
        return fail(socket);
    }
    *len = (size_t)done;
    return NET_OK;
}

static short wanted_events(const struct net_wait *wait)
{
    if (wait->socket->is_connecting) {
        return POLLOUT;
    }
    return wait->want_write ? POLLIN | POLLOUT : POLLIN;
}

/* As poll, but until a point in time, and over interruptions; 0 is the deadline. */
static int poll_until(struct pollfd *polls, size_t count, uint64_t deadline_us)
{
    int result;
    do {
        uint64_t now_us = clock_mono_us();
        uint64_t left_us = deadline_us > now_us ? deadline_us - now_us : 0;
        struct timespec left = {
            .tv_sec = (time_t)(left_us / 1000000),
            .tv_nsec = (long)(left_us % 1000000) * 1000,
        };
        result = ppoll(polls, count, &left, NULL);
    } while (result < 0 && errno == EINTR);
    return result;
}

static bool wait_with(struct net_wait *waits, struct pollfd *polls, size_t count,
                      uint64_t deadline_us)
{
    bool is_any_ended = false;
    for (size_t i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = waits[i].socket->fd, .events = wanted_events(&waits[i])};
        is_any_ended |= polls[i].fd < 0;
    }
    /* A socket that has ended is ready: reading says so. */
    int ready_count = poll_until(polls, count, is_any_ended ? 0 : deadline_us);
    for (size_t i = 0; i < count; i++) {
        /* When poll itself fails (no memory), trying each one is slow but right. */
        waits[i].is_ready = polls[i].fd < 0 || ready_count < 0 || polls[i].revents != 0;
    }
    return is_any_ended || ready_count != 0;
}

bool net_wait(struct net_wait *waits, size_t count, uint64_t deadline_us)
{
    struct pollfd small[WAIT_SMALL];
    if (count <= WAIT_SMALL) {
        return wait_with(waits, small, count, deadline_us);
    }
    struct pollfd *polls = calloc(count, sizeof(*polls));
    if (polls == NULL) {
        for (size_t i = 0; i < count; i++) {
            waits[i].is_ready = true; /* as above */
        }
        return true;
    }
    bool is_ready = wait_with(waits, polls, count, deadline_us);
    free(polls);
    return is_ready;
}

bool net_is_stale(struct net_socket *socket)
{
    enum net_result result;
    if (!is_usable(socket, &result)) {
        return result == NET_CLOSED;
    }
    char byte;
    ssize_t len = recv(socket->fd, &byte, 1, MSG_PEEK);
    return len >= 0 || (errno != EAGAIN && errno != EINTR);
}

const char *net_error(const struct net_socket *socket)
{
    return socket->error ? socket->error : "no error";
}

void net_close(struct net_socket *socket)
{
    if (socket == NULL) {
        return;
    }
    end(socket, NULL);
    free(socket);
}
