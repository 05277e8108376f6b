/* SPDX-License-Identifier: MIT */
#include "io/process.h"

#include <sys/resource.h>

static uint64_t ms_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000 + (uint64_t)time->tv_usec / 1000;
}

void process_cpu_ms(uint64_t *user_ms, uint64_t *system_ms)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    *user_ms = ms_of(&usage.ru_utime);
    *system_ms = ms_of(&usage.ru_stime);
}
