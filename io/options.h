/* SPDX-License-Identifier: MIT */
#ifndef IO_OPTIONS_H
#define IO_OPTIONS_H

/*
 * Command-line options of the daemons, from a table: `--name VALUE` or `--name=VALUE`, and flags.
 * Each program's table is also its --help.
 */

#include <stdbool.h>
#include <stdint.h>

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_NUMBER };

struct option_spec {
    const char *name; /* "listen" */
    char letter;      /* 'n', or 0 */
    enum option_kind kind;
    const char *argument; /* "HOST:PORT"; NULL for a flag */
    const char *help;     /* "where to listen (port 0 picks a free one)" */
    union {
        bool *flag;
        const char **text;
        uint64_t *number;
    } out; /* keeps its value when the option is not given */
};

enum options_result {
    OPTIONS_RUN,
    OPTIONS_EXIT,  /* --help or --version was printed */
    OPTIONS_USAGE, /* what is wrong was printed to standard error; exit 2 */
};

/* --help and --version are added. `summary`: one sentence. Arguments that are no options are wrong. */
enum options_result options_parse(int argc, char **argv, const char *program, const char *summary,
                                  const struct option_spec *specs, unsigned spec_count);

#endif
