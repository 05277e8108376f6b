/* SPDX-License-Identifier: MIT */

/* shard list, resize; and reset, the way out when a server's data is lost (DESIGN §6). */

#include <inttypes.h>
#include <stdio.h>

#include "cli/actions.h"
#include "cli/ask.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "cli/reply.h"
#include "cli/table.h"
#include "proto/point.h"

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

static void write_listed(const struct listed *listed, struct json_writer *writer)
{
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "name", listed->name);
    json_writer_bound(writer, "start", listed->start);
    json_writer_bound(writer, "end", listed->end);
    json_writer_number(writer, "epoch", listed->epoch);
    json_writer_number(writer, "size", listed->size);
    json_writer_text(writer, "when_full", listed->when_full);
    json_writer_text(writer, "server", listed->address);
    write_known(writer, "records", listed->records);
    write_known(writer, "bytes", listed->bytes);
    if (listed->move.len) {
        json_writer_text(writer, "move", listed->move);
    } else {
        json_writer_null(writer, "move");
    }
    json_writer_close(writer, '}');
}

static enum exit_code print_shards_json(struct unpack *in, uint32_t count)
{
    struct json_writer writer = {0};
    struct listed listed;
    json_writer_open(&writer, NULL, '{');
    json_writer_open(&writer, "shards", '[');
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        take_listed(in, &listed);
        write_listed(&listed, &writer);
    }
    json_writer_close(&writer, ']');
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static void add_text(struct table *table, struct bytes text)
{
    char cell[ADDRESS_TEXT_LEN];
    reply_copy_text(text, cell, sizeof(cell));
    table_cell(table, cell);
}

static void add_known(struct table *table, uint64_t number)
{
    if (number == UINT64_MAX) {
        table_cell(table, "-");
    } else {
        table_cell_number(table, number);
    }
}

static void add_listed(struct table *table, const struct listed *listed)
{
    char bound[BOUND_TEXT_LEN];
    char size[SIZE_TEXT_LEN];
    add_text(table, listed->name);
    bound_print(listed->start, bound);
    table_cell(table, bound);
    bound_print(listed->end, bound);
    table_cell(table, bound);
    add_text(table, listed->address);
    add_known(table, listed->records);
    add_known(table, listed->bytes);
    size_print(listed->size, size);
    table_cell(table, size);
    add_text(table, listed->when_full);
    add_text(table, listed->move);
}

static enum exit_code print_shards(struct unpack *in, uint32_t count)
{
    static const char *const headings[] = {"SHARD", "START", "END",  "SERVER", "RECORDS",
                                           "BYTES", "SIZE",  "FULL", "MOVE"};
    struct table table;
    struct listed listed;
    table_init(&table, "lrrlrrrll");
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++) {
        table_cell(&table, headings[i]);
    }
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        take_listed(in, &listed);
        add_listed(&table, &listed);
    }
    return table_print(&table);
}

enum exit_code shard_list(struct session *session)
{
    struct ask ask;
    ask_begin(&ask, session, "shard.list", 0);
    enum exit_code code = ask_send(&ask);
    if (code == EXIT_CODE_DONE) {
        struct unpack in = ask_answer(&ask);
        uint32_t count = unpack_array(&in);
        if (!unpack_is_fine(&in)) {
            code = ask_say_odd(&ask);
        } else {
            code =
                session->arguments->json ? print_shards_json(&in, count) : print_shards(&in, count);
        }
    }
    ask_end(&ask);
    return code;
}

/* --- resize --- */

static enum exit_code print_resized(const struct session *session, uint64_t revision)
{
    struct json_writer writer = {0};
    const char *name = session_word(session, 0);
    if (!session->arguments->json) {
        (void)printf("shard %s has size %s, map revision %" PRIu64 "\n", name,
                     session_word(session, 1), revision);
        return EXIT_CODE_DONE;
    }
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "shard", bytes_text(name));
    json_writer_number(&writer, "map_revision", revision);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

enum exit_code shard_resize(struct session *session)
{
    struct ask ask;
    uint64_t size = 0;
    uint64_t revision = 0;
    const char *text = session_word(session, 1);
    if (!size_parse(bytes_text(text), &size) || size < MAP_SIZE_MIN) {
        return session_say_usage(session, "SIZE is bytes like 1GiB, at least %d: not \"%s\"",
                                 MAP_SIZE_MIN, text);
    }
    ask_begin(&ask, session, "shard.resize", 2);
    pack_text(&ask.params, session_word(session, 0));
    pack_uint(&ask.params, size);
    enum exit_code code = ask_send_for_number(&ask, &revision);
    ask_end(&ask);
    if (code == EXIT_CODE_DONE) {
        code = output_finish_change(print_resized(session, revision), "the shard was resized");
    }
    return code;
}

/* --- reset --- */

static enum exit_code print_reset(const struct session *session, struct bytes encoded)
{
    struct unpack in = unpack_of(encoded);
    const char *name = session_word(session, 0);
    if (unpack_array(&in) < 1) {
        unpack_fail(&in, UNPACK_WRONG_TYPE);
    }
    uint64_t revision = unpack_uint(&in);
    if (!unpack_is_fine(&in)) {
        return failure_say(EXIT_CODE_UNKNOWN, "shard reset: the answer is not understood");
    }
    if (!session->arguments->json) {
        (void)printf("shard %s starts with what its server has, map revision %" PRIu64 "\n", name,
                     revision);
        return EXIT_CODE_DONE;
    }
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "shard", bytes_text(name));
    json_writer_number(&writer, "map_revision", revision);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

enum exit_code shard_reset(struct session *session)
{
    struct buffer params = {0};
    struct skv_record record = {0};
    if (!session->arguments->accept_loss) {
        return session_say_usage(
            session,
            "what shard %s had and is not at its server is given up; say so with --accept-loss",
            session_word(session, 0));
    }
    pack_array(&params, 2);
    pack_text(&params, session_word(session, 0));
    pack_map(&params, 1);
    pack_text(&params, "accept_loss");
    pack_bool(&params, true);
    enum exit_code code = params.failed ? failure_say_no_memory()
                                        : session_ask_bootstrapd(session, "shard.reset",
                                                                 buffer_bytes(&params), &record);
    if (code == EXIT_CODE_DONE) {
        code = output_finish_change(print_reset(session, session_bytes(record.encoded)),
                                    "the shard was reset");
    }
    skv_record_fini(&record);
    buffer_fini(&params);
    return code;
}
