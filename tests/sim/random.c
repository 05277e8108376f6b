/* SPDX-License-Identifier: MIT */
#include "io/random.h"

#include "tests/sim/world.h"

void random_fill(void *data, size_t len)
{
    uint8_t *next = data;
    while (len) {
        uint64_t word = world_random();
        size_t part = len < sizeof word ? len : sizeof word;
        memcpy(next, &word, part);
        next += part;
        len -= part;
    }
}

uint64_t random_below(uint64_t below)
{
    return world_below(below);
}
