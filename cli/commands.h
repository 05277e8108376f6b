/* SPDX-License-Identifier: MIT */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

/* The table of commands: what is run, and what `shardkv help` prints. */

#include "cli/actions.h"

struct command {
    const char *name;     /* "write", "map get" */
    const char *operands; /* "KEY VALUE"; "" for none */
    const char *summary;  /* one line, without a full stop */
    const char *detail;   /* lines that only its own help shows; NULL: none */
    struct argument_table options;
    unsigned words_min, words_max; /* behind the name */
    action *run;
};

extern const struct command commands[];
extern const unsigned command_count;

/* `second` may be NULL. NULL when there is no such command. */
const struct command *commands_find(const char *first, const char *second);

/* Whether commands of two words begin with `first`, such as "map". */
bool commands_is_group(const char *first);

/* The name of the command that was probably meant; NULL when nothing is near. */
const char *commands_suggest(const char *word);

#endif
