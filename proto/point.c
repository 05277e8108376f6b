/* SPDX-License-Identifier: MIT */
#include "proto/point.h"

#include <assert.h>

#include "proto/hash.h"

uint64_t point_of_key(struct bytes key)
{
    return hash_bytes(key);
}

double point_fraction(uint64_t point)
{
    return (double)(point >> 11) * 0x1p-53;
}

bool bound_of_fraction(double fraction, uint64_t *bound)
{
    /* Written so that NaN fails, too. */
    if (!(fraction >= 0.0 && fraction <= 1.0)) {
        return false;
    }
    /* Exact, as adding a half before the cut would not be: 2^32 is a power of two. */
    double scaled = fraction * 0x1p32;
    uint64_t below = (uint64_t)scaled;
    *bound = below + (scaled - (double)below >= 0.5 ? 1 : 0);
    return true;
}

void bound_print(uint64_t bound, char text[BOUND_TEXT_LEN])
{
    assert(bound <= BOUND_END);
    uint64_t digits = bound >> 32; /* the decimal so far, times scale, cut off */
    uint64_t rest = bound & UINT32_MAX;
    uint64_t scale = 1;
    int digit_count = 0;
    uint64_t nearest;
    uint64_t read_back = 0;

    /* Ends by the tenth digit: 10^-10 is less than 2^-32. No printf of a double: the decimal
     * point is the locale's there. The quotient is what a correct reader makes of the text. */
    do {
        rest *= 10;
        digits = 10 * digits + (rest >> 32);
        rest &= UINT32_MAX;
        scale *= 10;
        digit_count++;
        nearest = digits + (rest >> 31);
        bound_of_fraction((double)nearest / (double)scale, &read_back);
    } while (read_back != bound);

    char *digit = text + 2 + digit_count;
    *digit = '\0';
    while (digit > text + 2) {
        *--digit = (char)('0' + nearest % 10);
        nearest /= 10;
    }
    text[1] = '.';
    text[0] = (char)('0' + nearest);
}
