/* SPDX-License-Identifier: MIT */
#include "io/logline.h"

#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>

/* A daemon's lines go into the trace. */

static void add_line(const char *prefix, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void add_line(const char *prefix, const char *format, va_list arguments)
{
    char text[512];
    int len = snprintf(text, sizeof text, "%s: ", prefix);
    (void)vsnprintf(text + len, sizeof text - (size_t)len, format, arguments);
    trace_text(text);
}

void logline(enum logline_level level, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    va_list arguments;
    va_start(arguments, format);
    add_line(names[level], format, arguments);
    va_end(arguments);
}

/* A process ends, not the simulation. */
void logline_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_line("died", format, arguments);
    va_end(arguments);
    world_die();
}
