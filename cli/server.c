/* SPDX-License-Identifier: MIT */

/* server add, list, drain, remove, set-address: which servers the cluster has. */

#include <inttypes.h>
#include <stdio.h>

#include "cli/actions.h"
#include "cli/ask.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "cli/reply.h"
#include "cli/table.h"

static enum exit_code check_address(const struct session *session, const char *text)
{
    struct address address;
    return address_parse(bytes_text(text), &address)
               ? EXIT_CODE_DONE
               : session_say_usage(session, "\"%s\" is no HOST:PORT", text);
}

/* --- add --- */

static enum exit_code print_added(const struct session *session, const struct ask *ask)
{
    struct unpack in = ask_answer(ask);
    char id[ID_TEXT_LEN];
    uint32_t count = unpack_array(&in);
    struct bytes bytes = unpack_text(&in);
    if (count < 1 || bytes.len != ID_LEN) {
        return ask_say_odd(ask);
    }
    id_bytes_print(bytes.data, id);
    if (!session->arguments->json) {
        (void)printf("server %s is known, id %s\n", session_word(session, 0), id);
        return EXIT_CODE_DONE;
    }
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "address", bytes_text(session_word(session, 0)));
    json_writer_text(&writer, "id", bytes_text(id));
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

enum exit_code server_add(struct session *session)
{
    const char *text = session->arguments->capacity;
    uint64_t capacity = 0;
    struct ask ask;
    enum exit_code code = check_address(session, session_word(session, 0));
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    if (text && (!size_parse(bytes_text(text), &capacity) || capacity == 0)) {
        return session_say_usage(session, "--capacity is bytes like 100GiB, not \"%s\"", text);
    }
    ask_begin(&ask, session, "server.add", 2);
    pack_text(&ask.params, session_word(session, 0));
    pack_map(&ask.params, capacity > 0);
    if (capacity > 0) {
        pack_text(&ask.params, "capacity");
        pack_uint(&ask.params, capacity);
    }
    code = ask_send(&ask);
    if (code == EXIT_CODE_DONE) {
        code = output_finish_change(print_added(session, &ask), "the server was added");
    }
    ask_end(&ask);
    return code;
}

/* --- list --- */

struct member {
    struct bytes id, address, state, problem;
    uint64_t capacity, shards, records, bytes;
    bool is_draining;
};

static void take_member(struct unpack *in, struct member *member)
{
    *member = (struct member){0};
    const struct reply_field fields[] = {
        {"id", REPLY_TEXT, &member->id},
        {"address", REPLY_TEXT, &member->address},
        {"state", REPLY_TEXT, &member->state},
        {"problem", REPLY_TEXT, &member->problem},
        {"capacity", REPLY_NUMBER, &member->capacity},
        {"draining", REPLY_BOOL, &member->is_draining},
        {"shards", REPLY_NUMBER, &member->shards},
        {"records", REPLY_NUMBER, &member->records},
        {"bytes", REPLY_NUMBER, &member->bytes},
    };
    reply_take(in, fields, sizeof(fields) / sizeof(fields[0]));
}

static void print_id(const struct member *member, char text[ID_TEXT_LEN])
{
    text[0] = '\0';
    if (member->id.len == ID_LEN) {
        id_bytes_print(member->id.data, text);
    }
}

static void write_member(const struct member *member, struct json_writer *writer)
{
    char id[ID_TEXT_LEN];
    print_id(member, id);
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "address", member->address);
    json_writer_text(writer, "id", bytes_text(id));
    json_writer_text(writer, "state", member->state);
    if (member->problem.len) {
        json_writer_text(writer, "problem", member->problem);
    }
    json_writer_bool(writer, "draining", member->is_draining);
    if (member->capacity) {
        json_writer_number(writer, "capacity", member->capacity);
    } else {
        json_writer_null(writer, "capacity");
    }
    json_writer_number(writer, "shards", member->shards);
    json_writer_number(writer, "records", member->records);
    json_writer_number(writer, "bytes", member->bytes);
    json_writer_close(writer, '}');
}

static enum exit_code print_members_json(struct unpack *in, uint32_t count)
{
    struct json_writer writer = {0};
    struct member member;
    json_writer_open(&writer, NULL, '{');
    json_writer_open(&writer, "servers", '[');
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        take_member(in, &member);
        write_member(&member, &writer);
    }
    json_writer_close(&writer, ']');
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static void add_text(struct table *table, struct bytes text)
{
    char cell[256];
    reply_copy_text(text, cell, sizeof(cell));
    table_cell(table, cell);
}

static void add_member(struct table *table, const struct member *member)
{
    char id[ID_TEXT_LEN];
    char capacity[SIZE_TEXT_LEN];
    add_text(table, member->address);
    print_id(member, id);
    table_cell(table, id);
    add_text(table, member->state);
    table_cell(table, member->is_draining ? "draining" : "");
    size_print(member->capacity, capacity);
    table_cell(table, member->capacity ? capacity : "-");
    table_cell_number(table, member->shards);
    table_cell_number(table, member->records);
    table_cell_number(table, member->bytes);
    add_text(table, member->problem);
}

static enum exit_code print_members(struct unpack *in, uint32_t count)
{
    static const char *const headings[] = {"SERVER", "ID",      "STATE", "",       "CAPACITY",
                                           "SHARDS", "RECORDS", "BYTES", "PROBLEM"};
    struct table table;
    struct member member;
    table_init(&table, "llllrrrrl");
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++) {
        table_cell(&table, headings[i]);
    }
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        take_member(in, &member);
        add_member(&table, &member);
    }
    return table_print(&table);
}

enum exit_code server_list(struct session *session)
{
    struct ask ask;
    ask_begin(&ask, session, "server.list", 0);
    enum exit_code code = ask_send(&ask);
    if (code == EXIT_CODE_DONE) {
        struct unpack in = ask_answer(&ask);
        uint32_t count = unpack_array(&in);
        if (!unpack_is_fine(&in)) {
            code = ask_say_odd(&ask);
        } else {
            code = session->arguments->json ? print_members_json(&in, count)
                                            : print_members(&in, count);
        }
    }
    ask_end(&ask);
    return code;
}

/* --- drain, remove, set-address: [server, ...] to a revision --- */

static enum exit_code print_changed(const struct session *session, uint64_t revision,
                                    const char *what)
{
    struct json_writer writer = {0};
    const char *server = session_word(session, 0);
    if (!session->arguments->json) {
        (void)printf("server %s %s, map revision %" PRIu64 "\n", server, what, revision);
        return EXIT_CODE_DONE;
    }
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "server", bytes_text(server));
    json_writer_number(&writer, "map_revision", revision);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

/* The caller has packed what follows the server. */
static enum exit_code change(struct ask *ask, const char *what)
{
    uint64_t revision = 0;
    enum exit_code code = ask_send_for_number(ask, &revision);
    ask_end(ask);
    if (code == EXIT_CODE_DONE) {
        code = output_finish_change(print_changed(ask->session, revision, what),
                                    "the server was changed");
    }
    return code;
}

enum exit_code server_drain(struct session *session)
{
    struct ask ask;
    bool is_undo = session->arguments->undo;
    ask_begin(&ask, session, "server.drain", 2);
    pack_text(&ask.params, session_word(session, 0));
    pack_map(&ask.params, 1);
    pack_text(&ask.params, "undo");
    pack_bool(&ask.params, is_undo);
    return change(&ask, is_undo ? "is no longer drained"
                                : "is drained: see shardkv moves, then shardkv server remove");
}

enum exit_code server_remove(struct session *session)
{
    struct ask ask;
    ask_begin(&ask, session, "server.remove", 1);
    pack_text(&ask.params, session_word(session, 0));
    return change(&ask, "is removed");
}

enum exit_code server_set_address(struct session *session)
{
    struct ask ask;
    enum exit_code code = check_address(session, session_word(session, 1));
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    ask_begin(&ask, session, "server.set_address", 2);
    pack_text(&ask.params, session_word(session, 0));
    pack_text(&ask.params, session_word(session, 1));
    return change(&ask, "has a new address");
}
