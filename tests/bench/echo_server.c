/* SPDX-License-Identifier: MIT */

/*
 * The floor of the benchmark: a server that reads requests and writes as many bytes as were asked
 * for, and does nothing else. What it costs, no server can go below.
 *
 *     request  | own length u32 | reply's length u32 | filling |
 *     reply    | own length u32 | filling |                          big-endian
 *
 * One thread, epoll; once per readiness it reads once and writes once. Prints "ready: listening on
 * 127.0.0.1:PORT" on standard error; ends at SIGTERM.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_LEN   8
#define READ_LEN   (64u << 10)
#define FRAME_MAX  (16u << 20) /* bytes of a request, and of a reply */
#define EVENTS_MAX 512
#define BACKLOG    4096
#define FILES_MAX  65536

/* One connection. */
struct line {
    int fd;
    uint8_t *input;
    size_t input_len;
    size_t input_capacity;
    uint8_t *output;
    size_t output_len;
    size_t output_capacity;
    size_t sent;
};

struct server {
    int poller;
    int listener;
    struct line *lines[FILES_MAX]; /* by descriptor */
};

static void must(int is_fine, const char *what)
{
    if (!is_fine) {
        (void)fprintf(stderr, "echo_server: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
    }
}

static void reserve(uint8_t **bytes, size_t *capacity, size_t needed)
{
    if (needed > *capacity) {
        *capacity = 2 * needed;
        *bytes = realloc(*bytes, *capacity);
        must(*bytes != NULL, "memory");
    }
}

static uint32_t length_at(const uint8_t *bytes)
{
    uint32_t length;
    memcpy(&length, bytes, sizeof(length));
    return ntohl(length);
}

static void close_line(struct server *server, struct line *line)
{
    server->lines[line->fd] = NULL;
    close(line->fd);
    free(line->input);
    free(line->output);
    free(line);
}

static void append_reply(struct line *line, uint32_t len)
{
    uint32_t length = htonl(len);
    reserve(&line->output, &line->output_capacity, line->output_len + len);
    uint8_t *to = line->output + line->output_len;
    memset(to, 0, len);
    memcpy(to, &length, sizeof(length));
    line->output_len += len;
}

/* False when it is no request. */
static int answer(struct line *line)
{
    size_t used = 0;
    while (line->input_len - used >= HEAD_LEN) {
        uint32_t len = length_at(line->input + used);
        uint32_t reply_len = length_at(line->input + used + 4);
        if (len < HEAD_LEN || len > FRAME_MAX || reply_len < 4 || reply_len > FRAME_MAX) {
            return 0;
        }
        if (line->input_len - used < len) {
            break;
        }
        append_reply(line, reply_len);
        used += len;
    }
    line->input_len -= used;
    memmove(line->input, line->input + used, line->input_len);
    return 1;
}

static int send_some(int poller, struct line *line)
{
    ssize_t len = write(line->fd, line->output + line->sent, line->output_len - line->sent);
    if (len < 0 && errno != EAGAIN) {
        return 0;
    }
    int was_waiting = line->sent > 0;
    line->sent += len > 0 ? (size_t)len : 0;
    int is_waiting = line->sent < line->output_len;
    if (!is_waiting) {
        line->sent = line->output_len = 0;
    }
    if (is_waiting || was_waiting) {
        struct epoll_event event = {.events = is_waiting ? EPOLLOUT : EPOLLIN, .data.fd = line->fd};
        (void)epoll_ctl(poller, EPOLL_CTL_MOD, line->fd, &event);
    }
    return 1;
}

static int receive(struct line *line)
{
    reserve(&line->input, &line->input_capacity, line->input_len + READ_LEN);
    ssize_t len = read(line->fd, line->input + line->input_len, READ_LEN);
    if (len < 0) {
        return errno == EAGAIN;
    }
    line->input_len += (size_t)len;
    return len > 0 && answer(line);
}

static void serve(struct server *server, struct line *line, uint32_t events)
{
    int is_fine = !(events & (EPOLLIN | EPOLLERR | EPOLLHUP)) || receive(line);
    if (is_fine && line->output_len > 0) {
        is_fine = send_some(server->poller, line);
    }
    if (!is_fine) {
        close_line(server, line);
    }
}

static void accept_line(struct server *server)
{
    const int on = 1;
    int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 || fd >= FILES_MAX) {
        must(fd < 0, "too many connections");
        return;
    }
    struct line *line = calloc(1, sizeof(*line));
    must(line != NULL, "memory");
    line->fd = fd;
    server->lines[fd] = line;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    must(epoll_ctl(server->poller, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static int listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(listener >= 0, "socket");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(bind(listener, (const struct sockaddr *)&address, sizeof(address)) == 0, "bind");
    must(listen(listener, BACKLOG) == 0, "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &len) == 0, "getsockname");
    (void)fprintf(stderr, "ready: listening on 127.0.0.1:%u\n", (unsigned)ntohs(address.sin_port));
    return listener;
}

int main(void)
{
    static struct server server;
    struct epoll_event events[EVENTS_MAX];
    server.listener = listen_on_loopback();
    server.poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = server.listener};
    must(server.poller >= 0, "epoll_create1");
    must(epoll_ctl(server.poller, EPOLL_CTL_ADD, server.listener, &event) == 0, "epoll_ctl");
    for (;;) {
        int count = epoll_wait(server.poller, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == server.listener) {
                accept_line(&server);
            } else {
                serve(&server, server.lines[fd], events[i].events);
            }
        }
    }
}
