/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_DICE_H
#define TESTS_UNIT_DICE_H

/*
 * Numbers that look random and follow from a seed (SplitMix64, Steele, Lea, Flood 2014). The seed
 * is fixed, or SEED from the environment, and is printed.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct dice {
    uint64_t state;
};

static inline struct dice dice_of(uint64_t seed)
{
    const char *given = getenv("SEED");
    struct dice dice = {given ? strtoull(given, NULL, 0) : seed};
    printf("# SEED=%" PRIu64 "\n", dice.state);
    return dice;
}

static inline uint64_t dice_roll(struct dice *dice)
{
    uint64_t mixed = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/* From 0 to limit - 1. */
static inline uint32_t dice_below(struct dice *dice, uint32_t limit)
{
    return (uint32_t)(dice_roll(dice) % limit);
}

#endif
