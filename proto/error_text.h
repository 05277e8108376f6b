/* SPDX-License-Identifier: MIT */
#ifndef PROTO_ERROR_TEXT_H
#define PROTO_ERROR_TEXT_H

/* One line of text that may quote a stranger's input. Inside proto only. */

#include <stdarg.h>
#include <stddef.h>

/* As vsnprintf, but control characters and what is no UTF-8 (a character that is cut) become '?'. */
void error_text_print(char *text, size_t size, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

#endif
