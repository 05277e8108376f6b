/* SPDX-License-Identifier: MIT */

/* map log: who changed what, when. */

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cli/actions.h"
#include "cli/ask.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "cli/reply.h"
#include "cli/table.h"

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

static enum exit_code print_text(struct unpack *in, uint32_t count)
{
    struct table table;
    struct change change;
    char cell[512];
    table_init(&table, "rlll");
    table_cell(&table, "REVISION");
    table_cell(&table, "TIME");
    table_cell(&table, "WHO");
    table_cell(&table, "WHAT");
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        take_change(in, &change);
        table_cell_number(&table, change.revision);
        print_time(change.at_ms, cell);
        table_cell(&table, cell);
        reply_copy_text(change.who, cell, sizeof(cell));
        table_cell(&table, cell);
        reply_copy_text(change.text, cell, sizeof(cell));
        table_cell(&table, cell);
    }
    return table_print(&table);
}

/* An object for each change. */
static enum exit_code print_json(struct unpack *in, uint32_t count)
{
    enum exit_code code = EXIT_CODE_DONE;
    struct change change;
    for (uint32_t i = 0; i < count && unpack_is_fine(in) && code == EXIT_CODE_DONE; i++) {
        struct json_writer writer = {0};
        take_change(in, &change);
        json_writer_open(&writer, NULL, '{');
        json_writer_number(&writer, "map_revision", change.revision);
        json_writer_number(&writer, "at_ms", change.at_ms);
        json_writer_text(&writer, "who", change.who);
        json_writer_text(&writer, "text", change.text);
        json_writer_close(&writer, '}');
        code = json_writer_print(&writer);
    }
    return code;
}

enum exit_code map_log(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    struct ask ask;
    ask_begin(&ask, session, "map.log", 1);
    pack_map(&ask.params, arguments->limit > 0);
    if (arguments->limit > 0) {
        pack_text(&ask.params, "limit");
        pack_uint(&ask.params, arguments->limit);
    }
    enum exit_code code = ask_send(&ask);
    if (code == EXIT_CODE_DONE) {
        struct unpack in = ask_answer(&ask);
        uint32_t count = unpack_array(&in);
        if (!unpack_is_fine(&in)) {
            code = ask_say_odd(&ask);
        } else {
            code = arguments->json ? print_json(&in, count) : print_text(&in, count);
        }
    }
    ask_end(&ask);
    return code;
}
