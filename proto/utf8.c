/* SPDX-License-Identifier: MIT */
#include "proto/json.h"

/*
 * Length of the sequence that `head` begins, and the bounds of its second byte, which shut out
 * long forms, surrogates and what is above U+10FFFF (Unicode 15, table 3-7). 0: begins none.
 */
static size_t sequence_len(uint8_t head, uint8_t *second_min, uint8_t *second_max)
{
    *second_min = 0x80;
    *second_max = 0xbf;
    if (head < 0x80) {
        return 1;
    }
    if (head >= 0xc2 && head <= 0xdf) {
        return 2;
    }
    if (head >= 0xe0 && head <= 0xef) {
        *second_min = head == 0xe0 ? 0xa0 : 0x80;
        *second_max = head == 0xed ? 0x9f : 0xbf;
        return 3;
    }
    if (head >= 0xf0 && head <= 0xf4) {
        *second_min = head == 0xf0 ? 0x90 : 0x80;
        *second_max = head == 0xf4 ? 0x8f : 0xbf;
        return 4;
    }
    return 0;
}

/* Whether `len` bytes that begin with the right head go on as they must. */
static bool goes_on(const uint8_t *data, size_t len, uint8_t second_min, uint8_t second_max)
{
    if (len > 1 && (data[1] < second_min || data[1] > second_max)) {
        return false;
    }
    for (size_t i = 2; i < len; i++) {
        if ((data[i] & 0xc0) != 0x80) {
            return false;
        }
    }
    return true;
}

size_t utf8_prefix_len(struct bytes text)
{
    const uint8_t *data = text.data;
    size_t i = 0;
    while (i < text.len) {
        uint8_t second_min;
        uint8_t second_max;
        size_t len = sequence_len(data[i], &second_min, &second_max);
        if (len == 0 || len > text.len - i || !goes_on(data + i, len, second_min, second_max)) {
            break;
        }
        i += len;
    }
    return i;
}

bool utf8_is_valid(struct bytes text)
{
    return utf8_prefix_len(text) == text.len;
}
