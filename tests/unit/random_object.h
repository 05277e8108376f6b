/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_RANDOM_OBJECT_H
#define TESTS_UNIT_RANDOM_OBJECT_H

/* Appends one random MessagePack object of any types, nested at most `depth` deep. */

#include "proto/pack.h"
#include "tests/unit/dice.h"

static inline void random_scalar(struct dice *dice, struct buffer *out)
{
    uint8_t body[300];
    size_t len = dice_below(dice, dice_below(dice, 4) ? 20 : sizeof body);
    for (size_t i = 0; i < len; i++) {
        body[i] = (uint8_t)dice_roll(dice);
    }
    uint64_t number = dice_roll(dice) >> dice_below(dice, 64);
    switch (dice_below(dice, 8)) {
    case 0:
        pack_nil(out);
        break;
    case 1:
        pack_bool(out, number & 1);
        break;
    case 2:
        pack_uint(out, number);
        break;
    case 3:
        pack_int(out, -(int64_t)(number >> 1));
        break;
    case 4:
        pack_float(out, (double)number / 3);
        break;
    case 5:
        pack_str(out, bytes_of(body, len));
        break;
    case 6:
        pack_bin(out, bytes_of(body, len));
        break;
    default:
        pack_ext(out, (int8_t)number, bytes_of(body, len));
        break;
    }
}

static inline void random_object(struct dice *dice, struct buffer *out, uint32_t depth)
{
    if (depth == 0 || dice_below(dice, 3) > 0) {
        random_scalar(dice, out);
        return;
    }
    bool is_map = dice_below(dice, 2);
    uint32_t count = dice_below(dice, 6);
    if (is_map) {
        pack_map(out, count);
    } else {
        pack_array(out, count);
    }
    for (uint32_t i = 0; i < (is_map ? 2 * count : count); i++) {
        random_object(dice, out, depth - 1);
    }
}

#endif
