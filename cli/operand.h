/* SPDX-License-Identifier: MIT */
#ifndef CLI_OPERAND_H
#define CLI_OPERAND_H

/* A word of the command line that stands for a text; `-`: all of standard input, to the last byte. */

#include "cli/session.h"

/* `memory` holds what was read; *text is good as long as both it and argv. Says why there is none. */
enum exit_code operand_text(const struct session *session, unsigned index, struct buffer *memory,
                            struct bytes *text);

#endif
