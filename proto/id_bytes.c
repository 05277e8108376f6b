/* SPDX-License-Identifier: MIT */
#include "proto/map.h"

void id_bytes_print(const uint8_t id[ID_LEN], char text[ID_TEXT_LEN])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < ID_LEN; i++) {
        text[2 * i] = digits[id[i] >> 4];
        text[2 * i + 1] = digits[id[i] & 15];
    }
    text[ID_TEXT_LEN - 1] = '\0';
}

/* 16: no lower-case hexadecimal digit. */
static unsigned digit_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return (unsigned)(digit - '0');
    }
    return digit >= 'a' && digit <= 'f' ? (unsigned)(digit - 'a') + 10 : 16;
}

bool id_bytes_parse(struct bytes text, uint8_t id[ID_LEN])
{
    const char *digits = text.data;
    uint8_t parsed[ID_LEN];
    if (text.len != ID_TEXT_LEN - 1) {
        return false;
    }
    for (size_t i = 0; i < ID_LEN; i++) {
        unsigned high = digit_value(digits[2 * i]);
        unsigned low = digit_value(digits[2 * i + 1]);
        if (high > 15 || low > 15) {
            return false;
        }
        parsed[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(id, parsed, ID_LEN);
    return true;
}

bool id_bytes_is_zero(const uint8_t id[ID_LEN])
{
    static const uint8_t zero[ID_LEN];
    return memcmp(id, zero, ID_LEN) == 0;
}
