/* SPDX-License-Identifier: MIT */
#ifndef CLI_HELP_H
#define CLI_HELP_H

/* What is printed for help: all of it comes from the tables of commands and options. */

#include <stdio.h>

#include "cli/commands.h"

void help_print_all(FILE *stream);
void help_print_command(const struct command *command, FILE *stream);

/* The commands whose first word is `first`. */
void help_print_group(const char *first, FILE *stream);

/* `help`, `help COMMAND`; with --json an object for each command. */
action help_run;

/* Says that there is no such command, and which may have been meant. */
enum exit_code help_say_unknown(const char *word);

#endif
