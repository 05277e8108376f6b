/* SPDX-License-Identifier: MIT */
#include "proto/json.h"

/* RFC 4648 section 4, padded. Reading takes the one form that printing gives. */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_print(struct bytes data, struct buffer *text)
{
    const uint8_t *in = data.data;
    size_t len = (data.len + 2) / 3 * 4;
    uint8_t *out = buffer_reserve(text, len);
    if (!out) {
        return;
    }
    for (size_t i = 0; i < data.len; i += 3) {
        size_t left = data.len - i;
        uint32_t group = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                         (left > 2 ? in[i + 2] : 0);
        *out++ = (uint8_t)digits[group >> 18];
        *out++ = (uint8_t)digits[group >> 12 & 63];
        *out++ = (uint8_t)(left > 1 ? digits[group >> 6 & 63] : '=');
        *out++ = (uint8_t)(left > 2 ? digits[group & 63] : '=');
    }
    text->len += len;
}

/* 64: no digit. */
static uint32_t digit_value(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z') {
        return (uint32_t)(digit - 'A');
    }
    if (digit >= 'a' && digit <= 'z') {
        return (uint32_t)(digit - 'a') + 26;
    }
    if (digit >= '0' && digit <= '9') {
        return (uint32_t)(digit - '0') + 52;
    }
    return digit == '+' ? 62 : digit == '/' ? 63 : 64;
}

/* Four digits, of which the last `padding` are '='. False when one is none, or bits are left over. */
static bool parse_group(const uint8_t *in, size_t padding, uint8_t out[3])
{
    uint32_t group = 0;
    for (size_t k = 0; k < 4; k++) {
        uint32_t value = k < 4 - padding ? digit_value(in[k]) : 0;
        if (value > 63) {
            return false;
        }
        group = group << 6 | value;
    }
    out[0] = (uint8_t)(group >> 16);
    out[1] = (uint8_t)(group >> 8);
    out[2] = (uint8_t)group;
    return (padding < 1 || out[2] == 0) && (padding < 2 || out[1] == 0);
}

bool base64_parse(struct bytes text, struct buffer *data)
{
    const uint8_t *in = text.data;
    if (text.len % 4 != 0) {
        return false;
    }
    if (text.len == 0) {
        return true;
    }
    size_t padding = 0;
    while (padding < 2 && in[text.len - 1 - padding] == '=') {
        padding++;
    }
    uint8_t *out = buffer_reserve(data, text.len / 4 * 3);
    if (!out) {
        return true;
    }
    for (size_t i = 0; i < text.len; i += 4, out += 3) {
        if (!parse_group(in + i, i + 4 == text.len ? padding : 0, out)) {
            return false;
        }
    }
    data->len += text.len / 4 * 3 - padding;
    return true;
}
