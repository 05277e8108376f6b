/* SPDX-License-Identifier: MIT */
#include "cli/duration.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/limits.h"

#define SECOND_MS UINT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

static const struct {
    const char *name;
    uint64_t ms;
} units[] = {{"ms", 1},        {"s", SECOND_MS}, {"", SECOND_MS},
             {"m", MINUTE_MS}, {"h", HOUR_MS},   {"d", DAY_MS}};

/* In ms; 0 when it is no unit. */
static uint64_t unit_of(const char *name)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(units[i].name, name) == 0) {
            return units[i].ms;
        }
    }
    return 0;
}

bool duration_parse(const char *text, uint64_t *ms)
{
    uint64_t number = 0;
    for (; isdigit((unsigned char)*text); text++) {
        number = 10 * number + (uint64_t)(*text - '0');
        if (number > TTL_MS_MAX) {
            return false;
        }
    }
    /* Without digits the number is 0, which is refused, too. */
    uint64_t unit_ms = unit_of(text);
    if (number == 0 || unit_ms == 0 || number > TTL_MS_MAX / unit_ms) {
        return false;
    }
    *ms = number * unit_ms;
    return true;
}

/* The finer part is left out when it is 0. */
static void print_two(uint64_t ms, uint64_t unit_ms, const char *unit, uint64_t finer_ms,
                      const char *finer, char text[DURATION_TEXT_LEN])
{
    uint64_t finer_count = ms % unit_ms / finer_ms;
    int len = snprintf(text, DURATION_TEXT_LEN, "%" PRIu64 " %s", ms / unit_ms, unit);
    if (finer_count > 0) {
        (void)snprintf(text + len, DURATION_TEXT_LEN - (size_t)len, " %" PRIu64 " %s", finer_count,
                       finer);
    }
}

static void print_seconds(uint64_t ms, char text[DURATION_TEXT_LEN])
{
    uint64_t tenths = ms % SECOND_MS / 100;
    int len = snprintf(text, DURATION_TEXT_LEN, "%" PRIu64, ms / SECOND_MS);
    if (tenths > 0) {
        len += snprintf(text + len, DURATION_TEXT_LEN - (size_t)len, ".%" PRIu64, tenths);
    }
    (void)snprintf(text + len, DURATION_TEXT_LEN - (size_t)len, " s");
}

void duration_print(uint64_t ms, char text[DURATION_TEXT_LEN])
{
    if (ms < SECOND_MS) {
        (void)snprintf(text, DURATION_TEXT_LEN, "%" PRIu64 " ms", ms);
    } else if (ms < MINUTE_MS) {
        print_seconds(ms, text);
    } else if (ms < HOUR_MS) {
        print_two(ms, MINUTE_MS, "min", SECOND_MS, "s", text);
    } else if (ms < DAY_MS) {
        print_two(ms, HOUR_MS, "h", MINUTE_MS, "min", text);
    } else {
        print_two(ms, DAY_MS, "d", HOUR_MS, "h", text);
    }
}
