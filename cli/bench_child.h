/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_CHILD_H
#define CLI_BENCH_CHILD_H

/* Programs that a benchmark starts and ends: they end with it, whatever its end. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Starts argv[0], found as the shell would, without input, its output and errors in the file `output`, which is made
 * anew. -1 when it cannot; a program that is not there ends with 127.
 */
pid_t bench_child_start(const char *const argv[], const char *output);

/* A process of this program: runs `body` and ends with what it returns. -1 when it cannot. */
pid_t bench_child_fork(int (*body)(void *context), void *context);

/*
 * A name for a scratch file or directory, for mkstemp or mkdtemp: under $TMPDIR, else /var/tmp, which is on a disk
 * where /tmp may be none.
 */
void bench_child_scratch(char *path, size_t path_len);

/* Its exit status, 128 and the signal for one that a signal ended. Waits. */
int bench_child_wait(pid_t child);

/* Whether it runs; not to be asked again once it does not. */
bool bench_child_runs(pid_t child);

/* SIGTERM, SIGKILL after 10 s; nothing for 0 and -1. */
void bench_child_end(pid_t child);

/* The end of the file, as one line. */
void bench_child_last_words(const char *output, char *text, size_t text_len);

#endif
