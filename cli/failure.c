/* SPDX-License-Identifier: MIT */
#include "cli/failure.h"

#include <stdarg.h>
#include <stdio.h>

/* Longer than the library's longest text with a shard's and a file's name. */
#define LINE_LEN_MAX 1200

enum exit_code failure_code(enum skv_status status)
{
    switch (status) {
    case SKV_OK:
        return EXIT_CODE_DONE;
    case SKV_NOT_FOUND:
        return EXIT_CODE_NOT_FOUND;
    case SKV_CONDITION:
    case SKV_FULL:
    case SKV_INVALID:
    case SKV_DENIED:
        return EXIT_CODE_REFUSED;
    case SKV_UNAVAILABLE:
    case SKV_NO_MEMORY:
        return EXIT_CODE_UNAVAILABLE;
    case SKV_UNKNOWN:
        break;
    }
    return EXIT_CODE_UNKNOWN;
}

static int attention(enum exit_code code)
{
    static const int attentions[] = {
        [EXIT_CODE_DONE] = 0,    [EXIT_CODE_NOT_FOUND] = 1,   [EXIT_CODE_USAGE] = 2,
        [EXIT_CODE_REFUSED] = 3, [EXIT_CODE_UNAVAILABLE] = 4, [EXIT_CODE_UNKNOWN] = 5,
    };
    return attentions[code];
}

enum exit_code failure_worst(enum exit_code a, enum exit_code b)
{
    return attention(a) >= attention(b) ? a : b;
}

/* A server's words or a file's name must not move the cursor or begin a line of their own. */
static void blank_control_bytes(char *line)
{
    for (; *line; line++) {
        unsigned char byte = (unsigned char)*line;
        if (byte < ' ' || byte == 0x7f) {
            *line = ' ';
        }
    }
}

enum exit_code failure_say(enum exit_code code, const char *format, ...)
{
    char line[LINE_LEN_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    blank_control_bytes(line);
    /* Where both go to one terminal or file, what was printed before stands before. */
    (void)fflush(stdout);
    (void)fprintf(stderr, "shardkv: %s\n", line);
    return code;
}

enum exit_code failure_say_call(void)
{
    const struct skv_error *error = skv_error();
    return failure_say(failure_code(error->status), "%s", error->text);
}

enum exit_code failure_say_no_memory(void)
{
    return failure_say(EXIT_CODE_UNAVAILABLE, "out of memory");
}
