/* SPDX-License-Identifier: MIT */
#include "tests/sim/value.h"

#include "tests/sim/world.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIGITS_MAX = 24 };

/* Mostly some bytes, now and then more than a packet; rarely more than a window, where it fits. */
static size_t padding_len(int64_t number)
{
    uint64_t lot = (uint64_t)number / 1000 * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    bool has_room = world_swarm()->shard_size > 64u << 20 && world_swarm()->memory_kib > 1024;
    if (lot % 150 == 0 && has_room) {
        return 150000 + lot % 100000;
    }
    size_t usual = world_swarm()->shard_size > 64u << 10 ? world_swarm()->value_len : 0;
    return lot % 16 == 0 ? lot % 3000 : lot % 40 + usual * (lot % 3);
}

struct skv_value value_of_number(int64_t number, char **text)
{
    size_t padded = padding_len(number);
    char *written = malloc(DIGITS_MAX + padded);
    assert(written);
    size_t len = (size_t)snprintf(written, DIGITS_MAX, "%" PRId64 ":", number);
    memset(written + len, 'v', padded);
    *text = written;
    return skv_str(written, len + padded);
}

int64_t value_number(const struct skv_value *value)
{
    if (value->type == SKV_INT) {
        return value->integer;
    }
    char digits[DIGITS_MAX] = "";
    size_t digits_len = value->bytes.len < DIGITS_MAX - 1 ? value->bytes.len : DIGITS_MAX - 1;
    if (value->type != SKV_STR) {
        violation("a value of type %d, which nobody wrote", (int)value->type);
    }
    memcpy(digits, value->bytes.data, digits_len);
    int64_t number = strtoll(digits, NULL, 10);
    char *text = NULL;
    struct skv_value written = value_of_number(number, &text);
    if (written.bytes.len != value->bytes.len ||
        memcmp(written.bytes.data, value->bytes.data, value->bytes.len) != 0) {
        violation("a value that nobody wrote: %zu bytes, %.20s...", value->bytes.len, digits);
    }
    free(text);
    return number;
}
