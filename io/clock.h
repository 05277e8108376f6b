/* SPDX-License-Identifier: MIT */
#ifndef IO_CLOCK_H
#define IO_CLOCK_H

#include <stdint.h>

/* Milliseconds since 1970; may step back. For stamps and expiry, never for waiting. */
uint64_t clock_wall_ms(void);

/* Microseconds from some start; never back. For deadlines and measuring. */
uint64_t clock_mono_us(void);

static inline uint64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

#endif
