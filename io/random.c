/* SPDX-License-Identifier: MIT */
#include "io/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_fill(void *data, size_t len)
{
    uint8_t *next = data;
    while (len > 0) {
        ssize_t filled = getrandom(next, len, 0);
        if (filled < 0) {
            if (errno == EINTR) {
                continue;
            }
            abort();
        }
        next += filled;
        len -= (size_t)filled;
    }
}

uint64_t random_below(uint64_t below)
{
    assert(below > 0);
    /* 2^64 mod below: as many low values are drawn again, so that each remainder is equally likely. */
    uint64_t uneven = (0 - below) % below;
    uint64_t value;
    do {
        random_fill(&value, sizeof(value));
    } while (value < uneven);
    return value % below;
}
