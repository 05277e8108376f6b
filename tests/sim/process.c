/* SPDX-License-Identifier: MIT */
#include "io/process.h"

/* Two runs of a seed must not differ by what they cost. */
void process_cpu_ms(uint64_t *user_ms, uint64_t *system_ms)
{
    *user_ms = 0;
    *system_ms = 0;
}
