/* SPDX-License-Identifier: MIT */
#include "bootstrapd/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "proto/json.h"
#include "proto/map.h"

void text_clear(struct text *text)
{
    text->chars[0] = '\0';
}

/* `added`: what vsnprintf said of `room` bytes. A character of several bytes is cut as a whole. */
static void mark_cut(struct text *text, int added, size_t room)
{
    if (added < 0 || (size_t)added >= room) {
        size_t end = TEXT_LEN - sizeof("...");
        while (end > 0 && ((unsigned char)text->chars[end] & 0xc0) == 0x80) {
            end--;
        }
        memcpy(text->chars + end, "...", sizeof("..."));
    }
}

void text_add(struct text *text, const char *format, ...)
{
    size_t len = strlen(text->chars);
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(text->chars + len, TEXT_LEN - len, format, arguments);
    va_end(arguments);
    mark_cut(text, added, TEXT_LEN - len);
}

void text_set(struct text *text, const char *format, ...)
{
    va_list arguments;
    text_clear(text);
    va_start(arguments, format);
    int added = vsnprintf(text->chars, TEXT_LEN, format, arguments);
    va_end(arguments);
    mark_cut(text, added, TEXT_LEN);
}

void text_add_address(struct text *text, const struct address *address)
{
    char printed[ADDRESS_TEXT_LEN];
    address_print(address, printed);
    text_add(text, "%s", printed);
}

void text_add_id(struct text *text, const uint8_t id[ID_LEN])
{
    char printed[ID_TEXT_LEN];
    id_bytes_print(id, printed);
    text_add(text, "%s", printed);
}

void text_add_foreign(struct text *text, struct bytes foreign)
{
    const unsigned char *from = foreign.data;
    bool is_text = utf8_is_valid(foreign);
    for (size_t i = 0; i < foreign.len && i < TEXT_LEN; i++) {
        bool is_shown = from[i] >= ' ' && from[i] != 0x7f && (is_text || from[i] < 0x80);
        text_add(text, "%c", is_shown ? from[i] : '?');
    }
}

bool text_is_empty(const struct text *text)
{
    return text->chars[0] == '\0';
}

bool text_equal(const struct text *a, const struct text *b)
{
    return strcmp(a->chars, b->chars) == 0;
}
