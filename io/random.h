/* SPDX-License-Identifier: MIT */
#ifndef IO_RANDOM_H
#define IO_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* From the kernel; aborts if it gives none. For ids and jitter alike. */
void random_fill(void *data, size_t len);

/* Uniform in [0, below); below > 0. */
uint64_t random_below(uint64_t below);

#endif
