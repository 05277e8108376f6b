/* SPDX-License-Identifier: MIT */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

/* What the kernel counts of this process. Two bodies: io/process.c, tests/sim/. */

#include <stdint.h>

/* Processor time of all threads since the start, in ms. */
void process_cpu_ms(uint64_t *user_ms, uint64_t *system_ms);

#endif
