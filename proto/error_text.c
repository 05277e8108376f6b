/* SPDX-License-Identifier: MIT */
#include "proto/error_text.h"

#include <stdio.h>

#include "proto/json.h"

void error_text_print(char *text, size_t size, const char *format, va_list arguments)
{
    (void)vsnprintf(text, size, format, arguments);
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < ' ' || c == 0x7f) {
            text[i] = '?';
        }
    }
    for (size_t i = 0; i < len; i++) {
        i += utf8_prefix_len(bytes_of(text + i, len - i));
        if (i < len) {
            text[i] = '?';
        }
    }
}
