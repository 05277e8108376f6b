/* SPDX-License-Identifier: MIT */
#include "cli/bench_process.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool bench_processes_parse(const char *text, struct bench_processes *processes)
{
    processes->count = 0;
    while (text && *text) {
        char *end = NULL;
        long pid = strtol(text, &end, 10);
        bool is_number = *text >= '0' && *text <= '9' && pid > 0 && pid <= INT_MAX;
        if (!is_number || (*end && *end != ',') || processes->count == BENCH_PIDS_MAX) {
            return false;
        }
        processes->pids[processes->count++] = (pid_t)pid;
        text = end + (*end == ',');
    }
    return true;
}

/* The file's first bytes as text; false when it cannot be read. */
static bool read_start(const char *path, char *text, size_t text_len)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    size_t len = fread(text, 1, text_len - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    return len > 0;
}

/* The first number of schedstat: nanoseconds on a CPU. */
static bool thread_cpu_ns(pid_t pid, const char *thread, uint64_t *cpu_ns)
{
    char path[64 + NAME_MAX];
    char text[128];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, thread);
    if (!read_start(path, text, sizeof(text))) {
        return false;
    }
    *cpu_ns += strtoull(text, NULL, 10);
    return true;
}

/* A thread that ends meanwhile is not counted: the daemons keep theirs. */
static bool exact_cpu_ns(pid_t pid, uint64_t *cpu_ns)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    bool has_any = false;
    if (!threads) {
        return false;
    }
    for (struct dirent *entry = readdir(threads); entry; entry = readdir(threads)) {
        if (entry->d_name[0] != '.') {
            has_any = thread_cpu_ns(pid, entry->d_name, cpu_ns) || has_any;
        }
    }
    closedir(threads);
    return has_any;
}

/* Fields 14 and 15, in clock ticks; field 2, the name in brackets, may hold blanks. */
static bool coarse_cpu_ns(pid_t pid, uint64_t *cpu_ns)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    const char *at = read_start(path, text, sizeof(text)) ? strrchr(text, ')') : NULL;
    for (unsigned field = 2; at && field < 14; field++) {
        at = strchr(at + 1, ' ');
    }
    if (!at) {
        return false;
    }
    char *next = NULL;
    uint64_t ticks = strtoull(at, &next, 10);
    ticks += strtoull(next, NULL, 10);
    *cpu_ns += ticks * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
    return true;
}

bool bench_processes_cpu_ns(const struct bench_processes *processes, uint64_t *cpu_ns)
{
    uint64_t sum_ns = 0;
    for (unsigned i = 0; i < processes->count; i++) {
        pid_t pid = processes->pids[i];
        if (!exact_cpu_ns(pid, &sum_ns) && !coarse_cpu_ns(pid, &sum_ns)) {
            return false;
        }
    }
    *cpu_ns = sum_ns;
    return true;
}

bool bench_processes_memory(const struct bench_processes *processes, uint64_t *bytes)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < processes->count; i++) {
        char path[64];
        char text[4096];
        (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)processes->pids[i]);
        const char *line = read_start(path, text, sizeof(text)) ? strstr(text, "\nRssAnon:") : NULL;
        if (!line) {
            return false;
        }
        sum += strtoull(line + strlen("\nRssAnon:"), NULL, 10) << 10;
    }
    *bytes = sum;
    return true;
}

uint64_t bench_process_own_cpu_ns(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}
