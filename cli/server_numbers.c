/* SPDX-License-Identifier: MIT */
#include "cli/server_numbers.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/duration.h"
#include "cli/reply.h"

/* Ten minutes (RULES N2, I3). */
#define CLOCK_BEHIND_MS_MAX UINT64_C(600000)

enum kind { KIND_COUNT, KIND_BYTES, KIND_US, KIND_MS, KIND_STAMP };

static const struct number {
    const char *name;
    const char *row;
    const char *what;
    enum kind kind;
    size_t offset;
} table[] = {
#define X(name, row, what, kind)                                                                   \
    {#name, row, what, KIND_##kind, offsetof(struct server_numbers, name)},
    SERVER_NUMBER_TABLE(X)
#undef X
};

enum { NUMBER_COUNT = sizeof(table) / sizeof(table[0]), TEXT_LEN = DURATION_TEXT_LEN };

static uint64_t *field_of(struct server_numbers *numbers, size_t index)
{
    return (uint64_t *)(void *)((uint8_t *)numbers + table[index].offset);
}

static uint64_t value_of(const struct server_numbers *numbers, size_t index)
{
    return *(const uint64_t *)(const void *)((const uint8_t *)numbers + table[index].offset);
}

void server_numbers_init(struct server_numbers *numbers)
{
    *numbers = (struct server_numbers){0};
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        *field_of(numbers, i) = SERVER_NUMBER_UNKNOWN;
    }
}

bool server_numbers_take(struct server_numbers *numbers, struct bytes reply)
{
    struct unpack in = unpack_of(reply);
    struct bytes durability = {0};
    struct reply_field fields[NUMBER_COUNT + 2];
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        fields[i] = (struct reply_field){table[i].name, REPLY_NUMBER, field_of(numbers, i)};
    }
    fields[NUMBER_COUNT] = (struct reply_field){"durability", REPLY_TEXT, &durability};
    fields[NUMBER_COUNT + 1] =
        (struct reply_field){"disk_full", REPLY_BOOL, &numbers->is_disk_full};
    reply_take(&in, fields, NUMBER_COUNT + 2);
    reply_copy_text(durability, numbers->durability, sizeof(numbers->durability));
    return unpack_is_done(&in);
}

/* --- JSON --- */

void server_numbers_write(const struct server_numbers *numbers, struct json_writer *writer)
{
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        uint64_t value = value_of(numbers, i);
        if (value == SERVER_NUMBER_UNKNOWN) {
            json_writer_null(writer, table[i].name);
        } else if (table[i].kind == KIND_STAMP) {
            json_writer_version(writer, table[i].name, value);
        } else {
            json_writer_number(writer, table[i].name, value);
        }
    }
    if (*numbers->durability) {
        json_writer_text(writer, "durability", bytes_text(numbers->durability));
        json_writer_bool(writer, "disk_full", numbers->is_disk_full);
    } else {
        json_writer_null(writer, "durability");
        json_writer_null(writer, "disk_full");
    }
}

/* --- text --- */

/* "12.3 MiB": to be read, not to be added up. */
static void print_bytes(uint64_t count, char text[TEXT_LEN])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double size = (double)count;
    while (size >= 1024) {
        size /= 1024;
        unit++;
    }
    (void)snprintf(text, TEXT_LEN, "%.*f %s", unit > 0 && size < 100, size, units[unit]);
}

static void print_value(uint64_t value, enum kind kind, char text[TEXT_LEN])
{
    if (value == SERVER_NUMBER_UNKNOWN) {
        (void)snprintf(text, TEXT_LEN, "-");
        return;
    }
    switch (kind) {
    case KIND_BYTES:
        print_bytes(value, text);
        break;
    case KIND_MS:
        duration_print(value, text);
        break;
    case KIND_US:
        (void)snprintf(text, TEXT_LEN, "%" PRIu64 " us", value);
        break;
    case KIND_COUNT:
    case KIND_STAMP:
        (void)snprintf(text, TEXT_LEN, "%" PRIu64, value);
        break;
    }
}

static void add(struct buffer *text, const char *piece)
{
    buffer_append_bytes(text, bytes_text(piece));
}

static bool is_row(size_t index, const char *row)
{
    return index < NUMBER_COUNT && strcmp(table[index].row, row) == 0;
}

/* What in these rows is no number. */
static void add_rest(const struct server_numbers *numbers, const char *row, struct buffer *text)
{
    if (strcmp(row, "log") == 0) {
        add(text, ", durability ");
        add(text, *numbers->durability ? numbers->durability : "-");
    } else if (strcmp(row, "disk") == 0 && numbers->is_disk_full) {
        add(text, ", full");
    }
}

void server_numbers_print(const struct server_numbers *numbers, struct buffer *text)
{
    for (size_t i = 0; i < NUMBER_COUNT;) {
        const char *row = table[i].row;
        char piece[TEXT_LEN];
        (void)snprintf(piece, sizeof(piece), "  %-8s", row);
        add(text, piece);
        for (const char *gap = " "; is_row(i, row); i++) {
            print_value(value_of(numbers, i), table[i].kind, piece);
            add(text, gap);
            add(text, table[i].what);
            add(text, " ");
            add(text, piece);
            gap = ", ";
        }
        add_rest(numbers, row, text);
        add(text, "\n");
    }
}

/* --- warnings --- */

static bool is_too_much(uint64_t ms)
{
    return ms != SERVER_NUMBER_UNKNOWN && ms > CLOCK_BEHIND_MS_MAX;
}

unsigned server_numbers_warn(const struct server_numbers *numbers,
                             char texts[SERVER_WARNINGS_MAX][SERVER_WARNING_LEN])
{
    unsigned count = 0;
    char behind[DURATION_TEXT_LEN];
    if (is_too_much(numbers->clock_behind_ms)) {
        duration_print(numbers->clock_behind_ms, behind);
        /* Each unclean end lifts the stamps, too (RULES N2). */
        (void)snprintf(
            texts[count++], SERVER_WARNING_LEN,
            "its stamps are %s ahead of its clock: the clock is behind, or the server was "
            "killed often in a short time",
            behind);
    }
    if (is_too_much(numbers->ids_ahead_ms)) {
        duration_print(numbers->ids_ahead_ms, behind);
        (void)snprintf(texts[count++], SERVER_WARNING_LEN,
                       "its clock is %s behind the ids that it gave: it gives none until the "
                       "clock is set right",
                       behind);
    }
    if (numbers->is_disk_full) {
        (void)snprintf(texts[count++], SERVER_WARNING_LEN,
                       "its disk is full: growing writes are refused");
    }
    return count;
}
