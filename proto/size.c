/* SPDX-License-Identifier: MIT */
#include "proto/map.h"

#include <inttypes.h>
#include <stdio.h>

__extension__ typedef unsigned __int128 product;

static const struct unit {
    const char *name;
    uint64_t bytes;
} units[] = {
    {"PiB", UINT64_C(1) << 50},
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"PB", UINT64_C(1000000000000000)},
    {"TB", UINT64_C(1000000000000)},
    {"GB", UINT64_C(1000000000)},
    {"MB", UINT64_C(1000000)},
    {"KB", UINT64_C(1000)},
    {"B", 1},
    {"", 1},
};

#define UNIT_COUNT        (sizeof(units) / sizeof(units[0]))
#define BINARY_UNIT_COUNT 5

/* NULL when there is no such unit. */
static const struct unit *find_unit(struct bytes name)
{
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (bytes_equal(bytes_text(units[i].name), name)) {
            return &units[i];
        }
    }
    return NULL;
}

/*
 * Digits with at most one point between them: text is digits / scale. Returns the length taken,
 * 0 when there is no number or it has more digits than fit.
 */
static size_t parse_decimal(struct bytes text, uint64_t *digits, uint64_t *scale)
{
    const char *in = text.data;
    bool behind_point = false;
    size_t i = 0;
    *digits = 0;
    *scale = 1;
    for (; i < text.len; i++) {
        if (in[i] == '.' && i > 0 && !behind_point) {
            behind_point = true;
            continue;
        }
        if (in[i] < '0' || in[i] > '9') {
            break;
        }
        if (__builtin_mul_overflow(*digits, 10u, digits) ||
            __builtin_add_overflow(*digits, (uint64_t)(in[i] - '0'), digits) ||
            (behind_point && __builtin_mul_overflow(*scale, 10u, scale))) {
            return 0;
        }
    }
    return i > 0 && in[i - 1] != '.' ? i : 0;
}

bool size_parse(struct bytes text, uint64_t *size)
{
    const char *in = text.data;
    uint64_t digits;
    uint64_t scale;
    size_t len = parse_decimal(text, &digits, &scale);
    if (len == 0) {
        return false;
    }
    size_t unit_at = len;
    while (unit_at < text.len && in[unit_at] == ' ') {
        unit_at++;
    }
    const struct unit *unit = find_unit(bytes_of(in + unit_at, text.len - unit_at));
    if (!unit || (unit_at > len && unit_at == text.len)) {
        return false;
    }
    product bytes = (product)digits * unit->bytes;
    if (bytes % scale != 0 || bytes / scale > UINT64_MAX) {
        return false;
    }
    *size = (uint64_t)(bytes / scale);
    return true;
}

void size_print(uint64_t size, char text[SIZE_TEXT_LEN])
{
    const struct unit *unit = &units[UNIT_COUNT - 1];
    for (size_t i = BINARY_UNIT_COUNT; size > 0 && i-- > 0;) {
        if (size % units[i].bytes == 0) {
            unit = &units[i];
        }
    }
    (void)snprintf(text, SIZE_TEXT_LEN, "%" PRIu64 "%s", size / unit->bytes, unit->name);
}
