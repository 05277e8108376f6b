/* SPDX-License-Identifier: MIT */
#include "cli/bench_io.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "io/socket.h"

#define CONNECT_TIMEOUT_MS 5000

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

uint64_t bench_now_ns(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * BENCH_NS_PER_S + (uint64_t)time.tv_nsec;
}

int bench_connect(const struct address *address, const char **problem)
{
    struct socket_targets targets;
    *problem = socket_resolve(address, &targets);
    int fd = *problem ? -1 : socket_connect(&targets, problem);
    if (fd < 0) {
        return -1;
    }
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int error_number =
        poll(&wait, 1, CONNECT_TIMEOUT_MS) == 1 ? socket_connect_result(fd) : ETIMEDOUT;
    if (error_number != 0) {
        *problem = socket_error_text(error_number);
        close(fd);
        return -1;
    }
    return fd;
}

bool bench_send(int fd, struct buffer *output, size_t *sent)
{
    if (output->len == *sent) {
        return true;
    }
    ssize_t len = write(fd, output->data + *sent, output->len - *sent);
    if (len < 0 && errno != EAGAIN && errno != EINTR) {
        return false;
    }
    *sent += len > 0 ? (size_t)len : 0;
    if (*sent == output->len) {
        buffer_clear(output);
        *sent = 0;
    }
    return true;
}

void bench_catch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

bool bench_is_interrupted(void)
{
    return interrupted != 0;
}
