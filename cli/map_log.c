/* SPDX-License-Identifier: MIT */

/* map log: who changed what, when. */

#include <stdio.h>
#include <time.h>

#include "cli/actions.h"
#include "cli/listing.h"
#include "cli/reply.h"

struct change {
    uint64_t revision, at_ms;
    struct bytes who, text;
};

static void take_change(struct unpack *in, struct change *change)
{
    *change = (struct change){0};
    const struct reply_field fields[] = {
        {"revision", REPLY_NUMBER, &change->revision},
        {"at_ms", REPLY_NUMBER, &change->at_ms},
        {"who", REPLY_TEXT, &change->who},
        {"text", REPLY_TEXT, &change->text},
    };
    reply_take(in, fields, sizeof(fields) / sizeof(fields[0]));
}

/* In local time, to the millisecond. */
static void print_time(uint64_t at_ms, char text[40])
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm parts;
    size_t len = 0;
    if (localtime_r(&seconds, &parts)) {
        len = strftime(text, 40, "%Y-%m-%d %H:%M:%S", &parts);
    }
    (void)snprintf(text + len, 40 - len, ".%03u", (unsigned)(at_ms % 1000));
}

static void add_change(struct unpack *in, struct table *table)
{
    struct change change;
    char time[40];
    take_change(in, &change);
    print_time(change.at_ms, time);
    table_cell_number(table, change.revision);
    table_cell(table, time);
    table_cell_bytes(table, change.who);
    table_cell_bytes(table, change.text);
}

static void write_change(struct unpack *in, struct json_writer *writer)
{
    struct change change;
    take_change(in, &change);
    json_writer_open(writer, NULL, '{');
    json_writer_number(writer, "map_revision", change.revision);
    json_writer_number(writer, "at_ms", change.at_ms);
    json_writer_text(writer, "who", change.who);
    json_writer_text(writer, "text", change.text);
    json_writer_close(writer, '}');
}

enum exit_code map_log(struct session *session)
{
    static const char *const headings[] = {"REVISION", "TIME", "WHO", "WHAT"};
    const struct listing listing = {
        .alignment = "rlll", .headings = headings, .add = add_change, .write = write_change};
    uint64_t limit = session->arguments->limit;
    struct ask ask;
    ask_begin(&ask, session, "map.log", 1);
    pack_map(&ask.params, limit > 0);
    if (limit > 0) {
        pack_text(&ask.params, "limit");
        pack_uint(&ask.params, limit);
    }
    return listing_print(&ask, &listing);
}
