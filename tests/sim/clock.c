/* SPDX-License-Identifier: MIT */
#include "io/clock.h"

#include "tests/sim/world.h"

uint64_t clock_wall_ms(void)
{
    const struct node *node = world_current();
    int64_t offset_ms = node ? node->clock_offset_ms : 0;
    return (uint64_t)((int64_t)(WALL_START_MS + world_now_us() / 1000) + offset_ms);
}

/* The machines' counters run alike; only what they call the time of day differs. */
uint64_t clock_mono_us(void)
{
    return world_now_us();
}
