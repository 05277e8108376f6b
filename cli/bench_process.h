/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_PROCESS_H
#define CLI_BENCH_PROCESS_H

/* What processes of this machine have used, from /proc: the servers' cost of an operation. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { BENCH_PIDS_MAX = 64 };

struct bench_processes {
    pid_t pids[BENCH_PIDS_MAX];
    unsigned count;
};

/* "PID[,PID...]", empty or NULL for none. False when it is something else, or too many. */
bool bench_processes_parse(const char *text, struct bench_processes *processes);

/*
 * User and system time of all threads together: exact where the kernel keeps
 * /proc/PID/task/TID/schedstat, else in hundredths of a second from /proc/PID/stat. False when one of
 * the processes is not there.
 */
bool bench_processes_cpu_ns(const struct bench_processes *processes, uint64_t *cpu_ns);

/* RssAnon: what they have allocated, without files. False when one of them is not there. */
bool bench_processes_memory(const struct bench_processes *processes, uint64_t *bytes);

/* Of this process. */
uint64_t bench_process_own_cpu_ns(void);

#endif
