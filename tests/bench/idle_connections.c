/* SPDX-License-Identifier: MIT */

/*
 * idle_connections PORT COUNT: holds so many connections to 127.0.0.1 that say nothing. Prints
 * "ready: COUNT connections" on standard error once all are there; ends at SIGTERM.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT_MAX 60000

/* Beside connections: standard files. */
#define OTHER_FILES 16

static void must(int is_fine, const char *what)
{
    if (!is_fine) {
        (void)fprintf(stderr, "idle_connections: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
    }
}

static void raise_file_limit(rlim_t count)
{
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    if (limit.rlim_cur < count) {
        limit.rlim_cur = count;
        if (limit.rlim_max < count) {
            limit.rlim_max = count;
        }
        must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "limit of open files");
    }
}

int main(int argc, char **argv)
{
    long port = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (port < 1 || port > 65535 || count < 1 || count > COUNT_MAX) {
        (void)fprintf(stderr, "usage: idle_connections PORT COUNT\n");
        return 2;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    raise_file_limit((rlim_t)count + OTHER_FILES);
    for (long i = 0; i < count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(fd >= 0, "socket");
        must(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    }
    (void)fprintf(stderr, "ready: %ld connections\n", count);
    for (;;) {
        (void)pause();
    }
}
