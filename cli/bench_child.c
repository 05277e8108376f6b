/* SPDX-License-Identifier: MIT */
#include "cli/bench_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOT_STARTED     127
#define END_TRIES       10000
#define END_WAIT_NS     1000000
#define LAST_WORDS_SEEN 400

static void reset_signals(pid_t parent)
{
    (void)signal(SIGINT, SIG_IGN); /* of a terminal: the parent ends us in order */
    (void)signal(SIGTERM, SIG_DFL);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(NOT_STARTED);
    }
}

static void become(const char *const argv[], const char *output)
{
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in >= 0 && out >= 0 && dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        dup2(out, STDERR_FILENO) >= 0) {
        /* execvp changes none of the words; its type is older than const. */
        (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
        (void)fprintf(stderr, "cannot start %s: %s\n", argv[0], strerror(errno));
    }
}

pid_t bench_child_start(const char *const argv[], const char *output)
{
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        reset_signals(parent);
        become(argv, output);
        (void)fflush(stderr);
        _exit(NOT_STARTED);
    }
    return child;
}

pid_t bench_child_fork(int (*body)(void *context), void *context)
{
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        reset_signals(parent);
        _exit(body(context));
    }
    return child;
}

static int status_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int bench_child_wait(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return NOT_STARTED;
        }
    }
    return status_of(status);
}

bool bench_child_runs(pid_t child)
{
    int status = 0;
    return waitpid(child, &status, WNOHANG) == 0;
}

void bench_child_end(pid_t child)
{
    const struct timespec moment = {.tv_nsec = END_WAIT_NS};
    if (child <= 0 || kill(child, SIGTERM) != 0) {
        return;
    }
    for (unsigned i = 0; i < END_TRIES; i++) {
        if (!bench_child_runs(child)) {
            return;
        }
        (void)nanosleep(&moment, NULL);
    }
    (void)kill(child, SIGKILL);
    (void)bench_child_wait(child);
}

void bench_child_last_words(const char *output, char *text, size_t text_len)
{
    char seen[LAST_WORDS_SEEN + 1] = "";
    FILE *file = fopen(output, "re");
    size_t len = 0;
    if (file) {
        (void)fseek(file, 0, SEEK_END);
        if (ftell(file) > LAST_WORDS_SEEN) {
            (void)fseek(file, -LAST_WORDS_SEEN, SEEK_END);
        } else {
            (void)fseek(file, 0, SEEK_SET);
        }
        len = fread(seen, 1, LAST_WORDS_SEEN, file);
        (void)fclose(file);
    }
    seen[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if (seen[i] == '\n') {
            seen[i] = ' ';
        }
    }
    (void)snprintf(text, text_len, "%s", seen);
}

void bench_child_scratch(char *path, size_t path_len)
{
    const char *under = getenv("TMPDIR");
    (void)snprintf(path, path_len, "%.4000s/shardkv-bench-XXXXXX",
                   under && *under ? under : "/var/tmp");
}
