/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_IO_H
#define CLI_BENCH_IO_H

/* What the load generators do with the outside: connections, a fine clock, being interrupted. */

#include <stdbool.h>

#include "proto/address.h"
#include "proto/buffer.h"

#define BENCH_NS_PER_S UINT64_C(1000000000)

/* Finer than io/clock.h: a reply on loopback takes some ten microseconds. */
uint64_t bench_now_ns(void);

/* A socket that is connected and does not block; -1 with *problem set, after 5 s at most. */
int bench_connect(const struct address *address, const char **problem);

/*
 * Sends of output what lies behind *sent, as much as the kernel takes, and empties it when that is all. False: an
 * errno tells why the connection is broken.
 */
bool bench_send(int fd, struct buffer *output, size_t *sent);

/* From now on SIGINT and SIGTERM only set what bench_is_interrupted tells; SIGPIPE is ignored. */
void bench_catch_signals(void);
bool bench_is_interrupted(void);

#endif
