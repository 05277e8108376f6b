/* SPDX-License-Identifier: MIT */

/* server add, list, drain, remove, set-address: which servers the cluster has. */

#include <stdio.h>

#include "cli/actions.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/reply.h"

static enum exit_code check_address(const struct session *session, const char *text)
{
    struct address address;
    return address_parse(bytes_text(text), &address) && address.port != 0
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

static void write_member(struct unpack *in, struct json_writer *writer)
{
    char id[ID_TEXT_LEN];
    struct member member;
    take_member(in, &member);
    print_id(&member, id);
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "address", member.address);
    json_writer_text(writer, "id", bytes_text(id));
    json_writer_text(writer, "state", member.state);
    if (member.problem.len) {
        json_writer_text(writer, "problem", member.problem);
    }
    json_writer_bool(writer, "draining", member.is_draining);
    if (member.capacity) {
        json_writer_number(writer, "capacity", member.capacity);
    } else {
        json_writer_null(writer, "capacity");
    }
    json_writer_number(writer, "shards", member.shards);
    json_writer_number(writer, "records", member.records);
    json_writer_number(writer, "bytes", member.bytes);
    json_writer_close(writer, '}');
}

static void add_member(struct unpack *in, struct table *table)
{
    struct member member;
    char id[ID_TEXT_LEN];
    char capacity[SIZE_TEXT_LEN];
    take_member(in, &member);
    table_cell_bytes(table, member.address);
    print_id(&member, id);
    table_cell(table, id);
    table_cell_bytes(table, member.state);
    table_cell(table, member.is_draining ? "draining" : "");
    size_print(member.capacity, capacity);
    table_cell(table, member.capacity ? capacity : "-");
    table_cell_number(table, member.shards);
    table_cell_number(table, member.records);
    table_cell_number(table, member.bytes);
    table_cell_bytes(table, member.problem);
}

enum exit_code server_list(struct session *session)
{
    static const char *const headings[] = {"SERVER", "ID",      "STATE", "",       "CAPACITY",
                                           "SHARDS", "RECORDS", "BYTES", "PROBLEM"};
    const struct listing listing = {.name = "servers",
                                    .alignment = "llllrrrrl",
                                    .headings = headings,
                                    .add = add_member,
                                    .write = write_member};
    struct ask ask;
    ask_begin(&ask, session, "server.list", 0);
    return listing_print(&ask, &listing);
}

/* --- drain, remove, set-address --- */

enum exit_code server_drain(struct session *session)
{
    struct ask ask;
    bool is_undo = session->arguments->undo;
    ask_begin(&ask, session, "server.drain", 2);
    pack_text(&ask.params, session_word(session, 0));
    pack_map(&ask.params, 1);
    pack_text(&ask.params, "undo");
    pack_bool(&ask.params, is_undo);
    return ask_for_change(
        &ask, "server",
        is_undo ? "is no longer drained"
                : "is being drained: see shardkv moves, at the end shardkv server remove");
}

enum exit_code server_remove(struct session *session)
{
    struct ask ask;
    ask_begin(&ask, session, "server.remove", 1);
    pack_text(&ask.params, session_word(session, 0));
    return ask_for_change(&ask, "server", "is removed");
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
    return ask_for_change(&ask, "server", "has a new address");
}
