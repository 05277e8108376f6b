/* SPDX-License-Identifier: MIT */
#include "cli/key_text.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/endian.h"
#include "proto/json.h"
#include "proto/table.h"

static bool is_control(uint8_t byte)
{
    return byte < ' ' || byte == 0x7f;
}

static bool is_plain(struct bytes key)
{
    const uint8_t *bytes = key.data;
    if (!utf8_is_valid(key) || (key.len >= 2 && memcmp(bytes, "$'", 2) == 0)) {
        return false;
    }
    for (size_t i = 0; i < key.len; i++) {
        if (is_control(bytes[i])) {
            return false;
        }
    }
    return true;
}

static void print_escaped(struct bytes key, struct buffer *text)
{
    const uint8_t *bytes = key.data;
    char escape[5];
    buffer_append(text, "$'", 2);
    for (size_t i = 0; i < key.len; i++) {
        if (bytes[i] == '\'' || bytes[i] == '\\') {
            buffer_append(text, "\\", 1);
            buffer_append(text, &bytes[i], 1);
        } else if (bytes[i] == '\n') {
            buffer_append(text, "\\n", 2);
        } else if (is_control(bytes[i]) || bytes[i] >= 0x80) {
            (void)snprintf(escape, sizeof(escape), "\\x%02x", bytes[i]);
            buffer_append(text, escape, 4);
        } else {
            buffer_append(text, &bytes[i], 1);
        }
    }
    buffer_append(text, "'", 1);
}

void key_text_print(struct bytes key, struct buffer *text)
{
    if (is_plain(key)) {
        buffer_append_bytes(text, key);
    } else {
        print_escaped(key, text);
    }
}

void key_text_quote(struct bytes key, struct buffer *text)
{
    if (!is_plain(key) || memchr(key.data, '"', key.len)) {
        print_escaped(key, text);
        return;
    }
    buffer_append(text, "\"", 1);
    buffer_append_bytes(text, key);
    buffer_append(text, "\"", 1);
}

void key_text_name(struct bytes key, bool is_id, struct buffer *text)
{
    char id[32];
    if (!is_id || key.len != ID_KEY_LEN) {
        buffer_append_bytes(text, bytes_text("key "));
        key_text_print(key, text);
        return;
    }
    (void)snprintf(id, sizeof(id), "id %" PRIu64, endian_get_be64(key.data));
    buffer_append_bytes(text, bytes_text(id));
}
