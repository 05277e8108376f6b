/* SPDX-License-Identifier: MIT */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

/*
 * The command line: words and options in any order, options described by tables.
 *
 *     shardkv -b 127.0.0.1:5050 write --if-absent KEY VALUE
 *             global            word  of write    words
 *
 * `--name VALUE`, `--name=VALUE`, `-x VALUE`, `-xVALUE`; all behind `--` are words, and so are `-`
 * and whatever begins like a negative number. The global options are understood everywhere.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/bench_options.h"

enum argument_kind {
    ARGUMENT_FLAG,
    ARGUMENT_TEXT,
    ARGUMENT_NUMBER, /* whole, above 0 */
    ARGUMENT_COUNT,  /* the same, or 1 when no number follows */
    ARGUMENT_LIST,   /* may be given again and again */
};

struct argument_list {
    const char **items;
    unsigned count;
};

/* Texts are borrowed from argv. What was not given is zero. */
struct arguments {
    const char *bootstrap;
    uint64_t timeout_ms;
    bool json;
    bool help;
    bool version;

    bool bytes;
    bool if_absent;
    uint64_t if_version;
    bool raw;
    bool dry_run;
    bool accept_loss;
    bool accept_missing;
    bool resume;
    bool verify;
    bool merge;
    bool skip_damaged;
    bool without_tree;
    const char *prefix;
    const char *format;
    const char *acks;
    const char *size;
    const char *ttl;
    bool sliding;
    bool never;
    const char *kind;
    uint64_t origin_ms;
    uint64_t watch_s;
    uint64_t count;
    uint64_t from_stamp;
    uint64_t limit;
    uint64_t from_piece;
    const char *capacity;
    const char *part;
    const char *from;
    const char *until;
    const char *rate;
    const char *by;
    bool force;
    bool detach;
    bool undo;
    bool all;
    bool run;
    bool stop;
    const char *to;
    struct bench_options bench;
    struct argument_list servers;
    struct argument_list words;

    char **next; /* in argv, which ends with NULL */
    bool options_ended;
    char error[200]; /* after ARGUMENTS_WRONG: what, and what to do */
};

struct argument_spec {
    const char *name; /* without its dashes */
    char letter;      /* 0: none */
    enum argument_kind kind;
    size_t offset;       /* of its field in struct arguments */
    const char *operand; /* "ADDR"; NULL for a flag */
    const char *help;
};

struct argument_table {
    const struct argument_spec *specs;
    unsigned count;
};

extern const struct argument_table arguments_global;

enum arguments_result { ARGUMENTS_WORD, ARGUMENTS_END, ARGUMENTS_WRONG };

/* False when out of memory. `argv` as main has it. */
bool arguments_init(struct arguments *arguments, int argc, char **argv);
void arguments_fini(struct arguments *arguments);

/* Takes options up to the next word. `table`: of the command, NULL while it is not known. */
enum arguments_result arguments_next(struct arguments *arguments,
                                     const struct argument_table *table, const char **word);

/* Takes all that is left; the words go to arguments->words. False: arguments->error. */
bool arguments_take_rest(struct arguments *arguments, const struct argument_table *table);

#endif
