/* SPDX-License-Identifier: MIT */
#ifndef CLI_LISTING_H
#define CLI_LISTING_H

/* A list that bootstrapd answers, printed as a table, or with --json as {"NAME":[{...},...]}. */

#include "cli/ask.h"
#include "cli/json_writer.h"
#include "cli/table.h"

struct listing {
    const char *name;            /* NULL: an object a line, and no list around them */
    const char *alignment;       /* cli/table.h */
    const char *const *headings; /* one for each column */
    /* Says that there is nothing, in place of a table without rows; NULL: its headings do. */
    enum exit_code (*say_nothing)(struct session *session);

    /* Take the next element and add it: its cells, or an object without a name. */
    void (*add)(struct unpack *in, struct table *table);
    void (*write)(struct unpack *in, struct json_writer *writer);
};

/* Sends `ask`, to which all parameters are packed, prints the answer and ends `ask`. */
enum exit_code listing_print(struct ask *ask, const struct listing *listing);

#endif
