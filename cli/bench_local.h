/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_LOCAL_H
#define CLI_BENCH_LOCAL_H

/*
 * A cluster of its own for a benchmark: bootstrapd and `count` shardd on loopback, ports as they come, in a scratch
 * directory (bench_child_scratch). The programs are those beside this one.
 */

#include "cli/failure.h"
#include "proto/address.h"

#include <sys/types.h>

enum { BENCH_LOCAL_MAX = 64 };

/* The zero value is none. */
struct bench_local {
    char home[4096];
    pid_t bootstrapd;
    pid_t servers[BENCH_LOCAL_MAX];
    unsigned count;
    char bootstrap[ADDRESS_TEXT_LEN];
};

/* Equal ranges, in the order of the servers. Says why when it cannot; bench_local_end is due all the same. */
enum exit_code bench_local_start(struct bench_local *local, unsigned count);

/* Ends the processes and removes the directory. */
void bench_local_end(struct bench_local *local);

#endif
