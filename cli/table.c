/* SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "cli/output.h"
#include "proto/point.h"

#define GAP "  "

void table_init(struct table *table, const char *alignment)
{
    assert(strlen(alignment) <= TABLE_COLUMNS_MAX);
    *table = (struct table){.alignment = alignment};
}

void table_init_headed(struct table *table, const char *alignment, const char *const *headings)
{
    table_init(table, alignment);
    for (size_t i = 0; alignment[i]; i++) {
        table_cell(table, headings[i]);
    }
}

void table_cell_bytes(struct table *table, struct bytes text)
{
    size_t start = table->cells.len;
    buffer_append_bytes(&table->cells, text);
    buffer_append(&table->cells, "", 1);
    for (size_t i = start; i + 1 < table->cells.len; i++) {
        uint8_t *byte = &table->cells.data[i];
        if (*byte < ' ' || *byte == 0x7f) {
            *byte = ' ';
        }
    }
}

void table_cell(struct table *table, const char *text)
{
    table_cell_bytes(table, bytes_text(text));
}

void table_cell_number(struct table *table, uint64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRIu64, number);
    table_cell(table, text);
}

void table_cell_bound(struct table *table, uint64_t bound)
{
    char text[BOUND_TEXT_LEN];
    bound_print(bound, text);
    table_cell(table, text);
}

static void measure(const struct table *table, size_t widths[TABLE_COLUMNS_MAX])
{
    size_t column_count = strlen(table->alignment);
    size_t index = 0;
    for (size_t at = 0; at < table->cells.len; index++) {
        size_t width = strlen((const char *)table->cells.data + at);
        size_t *widest = &widths[index % column_count];
        *widest = width > *widest ? width : *widest;
        at += width + 1;
    }
}

static void append_blanks(struct buffer *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffer_append(out, " ", 1);
    }
}

/* An empty last cell leaves nothing at the end of the line. */
static void trim_blanks(struct buffer *out)
{
    while (out->len && out->data[out->len - 1] == ' ') {
        out->len--;
    }
}

static void append_cell(const struct table *table, size_t column, size_t width, const char *text,
                        struct buffer *out)
{
    bool is_last = table->alignment[column + 1] == '\0';
    size_t len = strlen(text);
    if (table->alignment[column] == 'r') {
        append_blanks(out, width - len);
    }
    buffer_append(out, text, len);
    if (table->alignment[column] == 'l' && !is_last) {
        append_blanks(out, width - len);
    }
    if (is_last) {
        trim_blanks(out);
    }
    buffer_append_bytes(out, bytes_text(is_last ? "\n" : GAP));
}

enum exit_code table_print(struct table *table)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    size_t column_count = strlen(table->alignment);
    size_t index = 0;
    struct buffer out = {.failed = table->cells.failed};
    measure(table, widths);
    for (size_t at = 0; at < table->cells.len; index++) {
        const char *text = (const char *)table->cells.data + at;
        size_t column = index % column_count;
        append_cell(table, column, widths[column], text, &out);
        at += strlen(text) + 1;
    }
    buffer_fini(&table->cells);
    return output_print(&out);
}
