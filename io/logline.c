/* SPDX-License-Identifier: MIT */
#include "io/logline.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes of a message before escaping; longer ones end in "...". */
#define MESSAGE_LEN_MAX 2047

/* One escaped byte takes four: \x1b. */
#define LINE_LEN_MAX (MESSAGE_LEN_MAX * 4 + 64)

static const char *const level_names[] = {
    [LOGLINE_ERROR] = "error",
    [LOGLINE_WARNING] = "warning",
    [LOGLINE_INFO] = "info",
    [LOGLINE_DEBUG] = "debug",
};

/*
 * State of the process, not of a module: standard error is the process's own, whoever writes to it,
 * and the level is set once, before there is a second thread.
 */
static enum logline_level printed_level = LOGLINE_INFO;

void logline_set_level(enum logline_level level)
{
    printed_level = level;
}

/* Writes `byte` as it stands in the line to `out`; returns how many bytes that took, at most 4. */
static size_t escape(unsigned char byte, char *out)
{
    static const char hex[] = "0123456789abcdef";
    static const char escaped[] = "\"\\\n\t";
    static const char letters[] = "\"\\nt";
    const char *found = memchr(escaped, byte, sizeof(escaped) - 1);
    if (found != NULL) {
        out[0] = '\\';
        out[1] = letters[found - escaped];
        return 2;
    }
    if (byte < 0x20 || byte == 0x7f) {
        out[0] = '\\';
        out[1] = 'x';
        out[2] = hex[byte >> 4];
        out[3] = hex[byte & 15];
        return 4;
    }
    out[0] = (char)byte;
    return 1;
}

/* One write, so that lines of several threads and processes do not mix. */
static void write_line(const char *line, size_t line_len)
{
    while (write(STDERR_FILENO, line, line_len) < 0 && errno == EINTR) {
    }
}

static void print(enum logline_level level, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void print(enum logline_level level, const char *format, va_list arguments)
{
    char message[MESSAGE_LEN_MAX + 1];
    int message_len = vsnprintf(message, sizeof(message), format, arguments);
    if (message_len < 0) {
        return;
    }
    if (message_len > MESSAGE_LEN_MAX) {
        memcpy(message + MESSAGE_LEN_MAX - 3, "...", sizeof("..."));
    }
    char line[LINE_LEN_MAX];
    size_t len = (size_t)snprintf(line, sizeof(line), "level=%s msg=\"", level_names[level]);
    for (const char *next = message; *next != '\0'; next++) {
        len += escape((unsigned char)*next, line + len);
    }
    line[len++] = '"';
    line[len++] = '\n';
    write_line(line, len);
}

void logline(enum logline_level level, const char *format, ...)
{
    if (level > printed_level) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    print(level, format, arguments);
    va_end(arguments);
}

void logline_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print(LOGLINE_ERROR, format, arguments);
    va_end(arguments);
    /* Not exit(): any thread may call this while others are at work on what handlers would tear down. */
    _exit(1);
}
