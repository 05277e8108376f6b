/* SPDX-License-Identifier: MIT */
#include "io/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What every program has. */
static const struct option_spec standard_specs[] = {
    {.name = "help", .kind = OPTION_FLAG, .help = "print this and exit"},
    {.name = "version", .kind = OPTION_FLAG, .help = "print the version and exit"},
};

struct table {
    const char *program;
    const struct option_spec *specs;
    unsigned spec_count;
};

/* The arguments that are still to be read. */
struct arguments {
    char **next;
    char **end;
};

/* Of "--listen HOST:PORT". */
static int option_width(const struct option_spec *spec)
{
    size_t argument_len = spec->argument ? 1 + strlen(spec->argument) : 0;
    return (int)(2 + strlen(spec->name) + argument_len);
}

static void print_row(const struct option_spec *spec, int width)
{
    const char letter[] = {'-', spec->letter, ',', '\0'};
    (void)printf("  %3s --%s%s%s", spec->letter ? letter : "", spec->name,
                 spec->argument ? " " : "", spec->argument ? spec->argument : "");
    (void)printf("%*s  %s\n", width - option_width(spec), "", spec->help);
}

static void print_help(const struct table *table, const char *summary)
{
    int width = option_width(&standard_specs[1]);
    for (unsigned i = 0; i < table->spec_count; i++) {
        int own = option_width(&table->specs[i]);
        width = own > width ? own : width;
    }
    (void)printf("usage: %s [options]\n\n%s\n\n", table->program, summary);
    for (unsigned i = 0; i < table->spec_count; i++) {
        print_row(&table->specs[i], width);
    }
    print_row(&standard_specs[0], width);
    print_row(&standard_specs[1], width);
}

static enum options_result complain(const struct table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum options_result complain(const struct table *table, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "%s: ", table->program);
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, " (see %s --help)\n", table->program);
    va_end(arguments);
    return OPTIONS_USAGE;
}

/* `name_len` bytes of `name`: "listen" of "listen=127.0.0.1:0". */
static const struct option_spec *find_by_name(const struct option_spec *specs, unsigned spec_count,
                                              const char *name, size_t name_len)
{
    for (unsigned i = 0; i < spec_count; i++) {
        if (strlen(specs[i].name) == name_len && memcmp(specs[i].name, name, name_len) == 0) {
            return &specs[i];
        }
    }
    return NULL;
}

static const struct option_spec *find_by_letter(const struct table *table, char letter)
{
    for (unsigned i = 0; i < table->spec_count; i++) {
        if (letter != '\0' && table->specs[i].letter == letter) {
            return &table->specs[i];
        }
    }
    return NULL;
}

/* Decimal digits and nothing else: strtoull alone takes signs and spaces. */
static bool parse_number(const char *text, uint64_t *number)
{
    if (*text == '\0' || text[strspn(text, "0123456789")] != '\0') {
        return false;
    }
    errno = 0;
    unsigned long long value = strtoull(text, NULL, 10);
    if (errno != 0) {
        return false;
    }
    *number = value;
    return true;
}

/* `value` is what stands behind the `=`, or NULL. */
static enum options_result take(const struct table *table, const struct option_spec *spec,
                                const char *value, struct arguments *arguments)
{
    if (spec->kind == OPTION_FLAG) {
        if (value != NULL) {
            return complain(table, "--%s takes no argument", spec->name);
        }
        *spec->out.flag = true;
        return OPTIONS_RUN;
    }
    if (value == NULL) {
        if (arguments->next == arguments->end) {
            return complain(table, "--%s needs an argument: %s", spec->name, spec->argument);
        }
        value = *arguments->next++;
    }
    if (spec->kind == OPTION_TEXT) {
        *spec->out.text = value;
    } else if (!parse_number(value, spec->out.number)) {
        return complain(table, "--%s: not a number: %s", spec->name, value);
    }
    return OPTIONS_RUN;
}

static enum options_result take_long(const struct table *table, const char *text,
                                     struct arguments *arguments)
{
    size_t name_len = strcspn(text, "=");
    const char *value = text[name_len] == '=' ? text + name_len + 1 : NULL;
    const struct option_spec *spec = find_by_name(table->specs, table->spec_count, text, name_len);
    if (spec == NULL) {
        return complain(table, "unknown option --%.*s", (int)name_len, text);
    }
    return take(table, spec, value, arguments);
}

static enum options_result take_argument(const struct table *table, const char *text,
                                         struct arguments *arguments)
{
    if (text[0] != '-' || text[1] == '\0' || strcmp(text, "--") == 0) {
        return complain(table, "unexpected argument: %s", text);
    }
    if (text[1] == '-') {
        return take_long(table, text + 2, arguments);
    }
    const struct option_spec *spec = find_by_letter(table, text[1]);
    if (spec == NULL || text[2] != '\0') {
        return complain(table, "unknown option %s", text);
    }
    return take(table, spec, NULL, arguments);
}

enum options_result options_parse(int argc, char **argv, const char *program, const char *summary,
                                  const struct option_spec *specs, unsigned spec_count)
{
    struct table table = {program, specs, spec_count};
    struct arguments arguments = {argv + 1, argv + argc};
    while (arguments.next < arguments.end) {
        const char *text = *arguments.next++;
        if (strcmp(text, "--help") == 0) {
            print_help(&table, summary);
            return OPTIONS_EXIT;
        }
        if (strcmp(text, "--version") == 0) {
            (void)printf("%s %s\n", program, SHARDKV_VERSION);
            return OPTIONS_EXIT;
        }
        enum options_result result = take_argument(&table, text, &arguments);
        if (result != OPTIONS_RUN) {
            return result;
        }
    }
    return OPTIONS_RUN;
}
