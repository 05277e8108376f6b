/* SPDX-License-Identifier: MIT */
#include "libclient/cursor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define POINT_DIGITS 16

void cursor_print(const struct cursor *cursor, char text[CURSOR_TEXT_LEN])
{
    if (cursor->is_end) {
        (void)snprintf(text, CURSOR_TEXT_LEN, "end");
        return;
    }
    (void)snprintf(text, CURSOR_TEXT_LEN, "%016" PRIx64 ".", cursor->point);
    char *digits = text + POINT_DIGITS + 1;
    for (size_t i = 0; i < cursor->key_len; i++) {
        (void)snprintf(digits + 2 * i, 3, "%02x", cursor->key[i]);
    }
}

static int digit_of(char character)
{
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    if (character >= 'a' && character <= 'f') {
        return character - 'a' + 10;
    }
    return -1;
}

/* False unless `count` bytes in hexadecimal stand there. */
static bool parse_bytes(const char *digits, size_t count, uint8_t *bytes)
{
    for (size_t i = 0; i < count; i++) {
        int high = digit_of(digits[2 * i]);
        int low = high < 0 ? -1 : digit_of(digits[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool cursor_parse(const char *text, struct cursor *cursor)
{
    struct cursor parsed = {.is_end = strcmp(text, "end") == 0};
    if (parsed.is_end) {
        *cursor = parsed;
        return true;
    }
    uint8_t point[POINT_DIGITS / 2];
    if (!parse_bytes(text, sizeof(point), point) || text[POINT_DIGITS] != '.') {
        return false;
    }
    for (size_t i = 0; i < sizeof(point); i++) {
        parsed.point = parsed.point << 8 | point[i];
    }
    const char *digits = text + POINT_DIGITS + 1;
    size_t digit_count = strlen(digits);
    parsed.key_len = digit_count / 2;
    if (digit_count % 2 != 0 || parsed.key_len > KEY_LEN_MAX ||
        !parse_bytes(digits, parsed.key_len, parsed.key)) {
        return false;
    }
    *cursor = parsed;
    return true;
}

void cursor_set(struct cursor *cursor, uint64_t point, struct bytes key)
{
    assert(key.len <= KEY_LEN_MAX);
    cursor->is_end = false;
    cursor->point = point;
    cursor->key_len = key.len;
    if (key.len > 0) {
        memcpy(cursor->key, key.data, key.len);
    }
}

bool cursor_is_before(const struct cursor *a, const struct cursor *b)
{
    if (a->is_end || b->is_end) {
        return !a->is_end && b->is_end;
    }
    if (a->point != b->point) {
        return a->point < b->point;
    }
    return bytes_compare(bytes_of(a->key, a->key_len), bytes_of(b->key, b->key_len)) < 0;
}
