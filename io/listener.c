/* SPDX-License-Identifier: MIT */
#include "io/listener.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/conn_internal.h"
#include "io/logline.h"
#include "io/memory.h"
#include "io/socket.h"

/* Connections accepted in one turn, so that a storm of them does not hold up those that are there. */
#define ACCEPT_MAX 64

/* When the process or the system is out of descriptors: the time until the next attempt. */
#define ACCEPT_PAUSE_MS 100

/* Descriptors of a daemon that are no accepted connections: files, threads, outgoing connections. */
#define OTHER_FILE_COUNT 128

/* Freed when it is closed and the last of its connections is. */
struct listener {
    struct loop *loop;
    int fd; /* -1: closed */
    struct event *event;
    struct timer *pause_timer;
    struct address address;
    uint32_t connection_max;
    uint32_t connection_count;
    listener_callback *on_accept;
    void *context;
};

static void free_if_unused(struct listener *listener)
{
    if (listener->fd < 0 && listener->connection_count == 0) {
        free(listener);
    }
}

static void on_conn_free(void *context)
{
    struct listener *listener = context;
    listener->connection_count--;
    free_if_unused(listener);
}

static void start_accepting(void *context)
{
    const struct listener *listener = context;
    if (event_add(listener->event, NULL) != 0) {
        logline_die("out of memory");
    }
}

static void pause_accepting(struct listener *listener)
{
    event_del(listener->event);
    timer_set(listener->pause_timer, ACCEPT_PAUSE_MS);
}

static void welcome(struct listener *listener, int fd, const struct sockaddr_storage *from)
{
    if (listener->connection_count >= listener->connection_max) {
        close(fd);
        return;
    }
    struct address remote;
    socket_address(from, &remote);
    socket_tune(fd);
    listener->connection_count++;
    struct conn *conn = conn_accepted(listener->loop, fd, &remote, on_conn_free, listener);
    listener->on_accept(listener->context, conn);
    assert(conn_has_handler(conn));
}

static bool is_shortage(int error_number)
{
    return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS ||
           error_number == ENOMEM;
}

static void on_acceptable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct listener *listener = context;
    /* The callback may close the listener. */
    for (unsigned i = 0; i < ACCEPT_MAX && listener->fd >= 0; i++) {
        struct sockaddr_storage from = {0};
        socklen_t from_len = sizeof(from);
        int accepted =
            accept4(fd, (struct sockaddr *)&from, &from_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            welcome(listener, accepted, &from);
            continue;
        }
        if (is_shortage(errno)) {
            pause_accepting(listener);
        }
        return; /* else there is none, or one that has gone already: the next turn looks again */
    }
}

/* An errno. */
static int open_socket(struct listener *listener, const struct socket_target *target)
{
    listener->fd = socket_listen(target);
    if (listener->fd < 0) {
        return errno;
    }
    struct sockaddr_storage own = {0};
    socklen_t own_len = sizeof(own);
    if (getsockname(listener->fd, (struct sockaddr *)&own, &own_len) != 0) {
        return errno;
    }
    socket_address(&own, &listener->address);
    return 0;
}

struct listener *listener_open(struct loop *loop, const struct listener_config *config, char *error,
                               size_t error_len)
{
    struct listener *listener = memory_get(1, sizeof(*listener));
    struct socket_targets targets;
    listener->fd = -1;
    const char *problem = socket_resolve(config->address, &targets);
    if (problem == NULL) {
        int error_number = open_socket(listener, &targets.all[0]);
        problem = error_number ? socket_error_text(error_number) : NULL;
    }
    if (problem != NULL) {
        char text[ADDRESS_TEXT_LEN];
        address_print(config->address, text);
        (void)snprintf(error, error_len, "%s: %s", text, problem);
        listener_close(listener);
        return NULL;
    }
    listener->loop = loop;
    listener->connection_max = config->connection_max;
    listener->on_accept = config->on_accept;
    listener->context = config->context;
    listener->pause_timer = timer_new(loop, start_accepting, listener);
    listener->event =
        event_new(loop_base(loop), listener->fd, EV_READ | EV_PERSIST, on_acceptable, listener);
    if (listener->event == NULL) {
        logline_die("out of memory");
    }
    start_accepting(listener);
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
    if (listener == NULL) {
        return;
    }
    if (listener->event != NULL) {
        event_free(listener->event);
    }
    timer_free(listener->pause_timer);
    if (listener->fd >= 0) {
        close(listener->fd);
        listener->fd = -1;
    }
    free_if_unused(listener);
}

bool listener_raise_file_limit(uint32_t connection_max, char *error, size_t error_len)
{
    rlim_t needed = (rlim_t)connection_max + OTHER_FILE_COUNT;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        (void)snprintf(error, error_len, "cannot read the limit of open files: %s",
                       strerror(errno));
        return false;
    }
    if (limit.rlim_cur >= needed) {
        return true;
    }
    if (limit.rlim_max < needed) {
        (void)snprintf(
            error, error_len,
            "%u connections need %llu open files, but the hard limit is %llu (ulimit -Hn)",
            (unsigned)connection_max, (unsigned long long)needed,
            (unsigned long long)limit.rlim_max);
        return false;
    }
    limit.rlim_cur = needed;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        (void)snprintf(error, error_len, "cannot raise the limit of open files to %llu: %s",
                       (unsigned long long)needed, strerror(errno));
        return false;
    }
    return true;
}
