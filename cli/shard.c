/* SPDX-License-Identifier: MIT */

/* shard list, resize; and reset, the way out when a server's data is lost (DESIGN §6). */

#include <stdio.h>

#include "cli/actions.h"
#include "cli/ask.h"
#include "cli/listing.h"
#include "cli/reply.h"

/* --- list --- */

struct listed {
    struct bytes name, when_full, address, move;
    uint64_t start, end, epoch, size;
    uint64_t records, bytes; /* UINT64_MAX: not known */
};

/* nil is not known. */
static uint64_t take_known(struct bytes encoded)
{
    struct unpack in = unpack_of(encoded);
    return encoded.len > 0 && unpack_peek(&in) == UNPACK_UINT ? unpack_uint(&in) : UINT64_MAX;
}

static void take_listed(struct unpack *in, struct listed *listed)
{
    struct bytes records = {0}, bytes = {0};
    *listed = (struct listed){0};
    const struct reply_field fields[] = {
        {"name", REPLY_TEXT, &listed->name},       {"start", REPLY_NUMBER, &listed->start},
        {"end", REPLY_NUMBER, &listed->end},       {"epoch", REPLY_NUMBER, &listed->epoch},
        {"size", REPLY_NUMBER, &listed->size},     {"when_full", REPLY_TEXT, &listed->when_full},
        {"address", REPLY_TEXT, &listed->address}, {"records", REPLY_ENCODED, &records},
        {"bytes", REPLY_ENCODED, &bytes},          {"move", REPLY_TEXT, &listed->move},
    };
    reply_take(in, fields, sizeof(fields) / sizeof(fields[0]));
    listed->records = take_known(records);
    listed->bytes = take_known(bytes);
}

static void write_known(struct json_writer *writer, const char *name, uint64_t number)
{
    if (number == UINT64_MAX) {
        json_writer_null(writer, name);
    } else {
        json_writer_number(writer, name, number);
    }
}

static void write_listed(struct unpack *in, struct json_writer *writer)
{
    struct listed listed;
    take_listed(in, &listed);
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "name", listed.name);
    json_writer_bound(writer, "start", listed.start);
    json_writer_bound(writer, "end", listed.end);
    json_writer_number(writer, "epoch", listed.epoch);
    json_writer_number(writer, "size", listed.size);
    json_writer_text(writer, "when_full", listed.when_full);
    json_writer_text(writer, "server", listed.address);
    write_known(writer, "records", listed.records);
    write_known(writer, "bytes", listed.bytes);
    if (listed.move.len) {
        json_writer_text(writer, "move", listed.move);
    } else {
        json_writer_null(writer, "move");
    }
    json_writer_close(writer, '}');
}

static void add_known(struct table *table, uint64_t number)
{
    if (number == UINT64_MAX) {
        table_cell(table, "-");
    } else {
        table_cell_number(table, number);
    }
}

static void add_listed(struct unpack *in, struct table *table)
{
    struct listed listed;
    char size[SIZE_TEXT_LEN];
    take_listed(in, &listed);
    table_cell_bytes(table, listed.name);
    table_cell_bound(table, listed.start);
    table_cell_bound(table, listed.end);
    table_cell_bytes(table, listed.address);
    add_known(table, listed.records);
    add_known(table, listed.bytes);
    size_print(listed.size, size);
    table_cell(table, size);
    table_cell_bytes(table, listed.when_full);
    table_cell_bytes(table, listed.move);
}

enum exit_code shard_list(struct session *session)
{
    static const char *const headings[] = {"SHARD", "START", "END",  "SERVER", "RECORDS",
                                           "BYTES", "SIZE",  "FULL", "MOVE"};
    const struct listing listing = {.name = "shards",
                                    .alignment = "lrrlrrrll",
                                    .headings = headings,
                                    .add = add_listed,
                                    .write = write_listed};
    struct ask ask;
    ask_begin(&ask, session, "shard.list", 0);
    return listing_print(&ask, &listing);
}

/* --- resize --- */

enum exit_code shard_resize(struct session *session)
{
    struct ask ask;
    char done[64];
    uint64_t size = 0;
    const char *text = session_word(session, 1);
    if (!size_parse(bytes_text(text), &size) || size < MAP_SIZE_MIN) {
        return session_say_usage(session, "SIZE is bytes like 1GiB, at least %d: not \"%s\"",
                                 MAP_SIZE_MIN, text);
    }
    ask_begin(&ask, session, "shard.resize", 2);
    pack_text(&ask.params, session_word(session, 0));
    pack_uint(&ask.params, size);
    (void)snprintf(done, sizeof(done), "has size %s", text);
    return ask_for_change(&ask, "shard", done);
}

/* --- reset --- */

enum exit_code shard_reset(struct session *session)
{
    struct ask ask;
    if (!session->arguments->accept_loss) {
        return session_say_usage(
            session,
            "what shard %s had and is not at its server is given up; say so with --accept-loss",
            session_word(session, 0));
    }
    ask_begin(&ask, session, "shard.reset", 2);
    pack_text(&ask.params, session_word(session, 0));
    pack_map(&ask.params, 1);
    pack_text(&ask.params, "accept_loss");
    pack_bool(&ask.params, true);
    return ask_for_change(&ask, "shard", "starts with what its server has");
}
