/* SPDX-License-Identifier: MIT */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

/*
 * Rows of text, each column as wide as its widest cell. Cells are added one after another; control
 * bytes in them become blanks. table_print ends it.
 */

#include "cli/failure.h"
#include "proto/buffer.h"

enum { TABLE_COLUMNS_MAX = 12 };

struct table {
    const char *alignment; /* a letter for each column: l or r */
    struct buffer cells;   /* zero-terminated, one after another */
};

void table_init(struct table *table, const char *alignment);

/* The same with a first row: a heading for each column. */
void table_init_headed(struct table *table, const char *alignment, const char *const *headings);

void table_cell(struct table *table, const char *text);
void table_cell_bytes(struct table *table, struct bytes text);
void table_cell_number(struct table *table, uint64_t number);
/* A range's bound as a fraction (RULES N3). */
void table_cell_bound(struct table *table, uint64_t bound);

/* Prints whole rows on standard output and frees the table. Out of memory: says so, prints nothing. */
enum exit_code table_print(struct table *table);

#endif
