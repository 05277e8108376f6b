/* SPDX-License-Identifier: MIT */
#include "tests/sim/trace.h"

#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Enough to see what led to a violation: a few hundred milliseconds of a busy cluster. */
enum { TRACE_KEPT = 400, TRACE_TEXT_LEN = 200 };

struct trace_line {
    uint64_t at_us;
    const char *node;
    const char *what; /* NULL: text */
    uint64_t a, b;
    char text[TRACE_TEXT_LEN];
};

static struct {
    struct trace_line lines[TRACE_KEPT];
    uint64_t count;
    uint64_t hash;
    bool is_verbose;
} kept;

void trace_begin(bool is_verbose)
{
    kept.count = 0;
    kept.hash = 0;
    kept.is_verbose = is_verbose;
}

static void fold(uint64_t word)
{
    kept.hash = (kept.hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    kept.hash ^= kept.hash >> 29;
}

void trace_bytes(const void *data, size_t len)
{
    const uint8_t *next = data;
    for (; len >= 8; next += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        fold(word);
    }
    for (; len; next++, len--) {
        fold(*next);
    }
}

static void print_line(const struct trace_line *line)
{
    printf("# %4" PRIu64 ".%06" PRIu64 " %-10s ", line->at_us / SECOND_US, line->at_us % SECOND_US,
           line->node);
    if (line->what) {
        printf("%s %" PRIu64 " %" PRIu64 "\n", line->what, line->a, line->b);
    } else {
        printf("%s\n", line->text);
    }
}

static struct trace_line *add_line(void)
{
    struct trace_line *line = &kept.lines[kept.count++ % TRACE_KEPT];
    const struct node *node = world_current();
    line->at_us = world_now_us();
    line->node = node ? node->name : "-";
    fold(line->at_us);
    fold(node ? node->index + 1 : 0);
    return line;
}

void trace(const char *what, uint64_t a, uint64_t b)
{
    struct trace_line *line = add_line();
    line->what = what;
    line->a = a;
    line->b = b;
    trace_bytes(what, strlen(what));
    fold(a);
    fold(b);
    if (kept.is_verbose) {
        print_line(line);
    }
}

void trace_text(const char *text)
{
    struct trace_line *line = add_line();
    line->what = NULL;
    (void)snprintf(line->text, sizeof line->text, "%s", text);
    trace_bytes(line->text, strlen(line->text));
    if (kept.is_verbose) {
        print_line(line);
    }
}

uint64_t trace_hash(void)
{
    return kept.hash;
}

void trace_print(void)
{
    uint64_t first = kept.count > TRACE_KEPT ? kept.count - TRACE_KEPT : 0;
    for (uint64_t i = first; i < kept.count; i++) {
        print_line(&kept.lines[i % TRACE_KEPT]);
    }
}

void violation(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    trace_print();
    swarm_print(world_swarm());
    printf("not ok 1 - seed %" PRIu64 ": %s\n# again: make sim SEED=%" PRIu64 "\n", world_seed(),
           text, world_seed());
    exit(1);
}
