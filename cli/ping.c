/* SPDX-License-Identifier: MIT */

/* Greets every daemon that is known: ping measures the way there and back, version asks what runs. */

#include <stdio.h>
#include <stdlib.h>

#include "cli/actions.h"
#include "cli/json_writer.h"
#include "cli/reply.h"
#include "cli/table.h"
#include "io/clock.h"

/* Whoever asks for the version of the program does not want to wait for a cluster that is not there. */
#define VERSION_TIMEOUT_MS 500

struct peer {
    struct address address;
    char program[32]; /* "shardd" */
    char version[32];
    uint64_t ping_us;
    char problem[512]; /* "" when it answered */
};

struct peers {
    struct peer *items;
    uint32_t count;
};

static void add_peer(struct peers *peers, const struct address *address)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        if (address_equal(&peers->items[i].address, address)) {
            return;
        }
    }
    peers->items[peers->count++].address = *address;
}

/* The addresses that were given, and behind them the servers of `map`, each once. */
static bool list_peers(const struct session *session, const struct map *map, struct peers *peers)
{
    const char *addresses = session->addresses;
    struct address address;
    size_t comma_count = 0;
    for (const char *at = addresses; *at; at++) {
        comma_count += *at == ',';
    }
    peers->items = calloc(comma_count + 1 + map->entry_count, sizeof(*peers->items));
    if (!peers->items) {
        return false;
    }
    while (session_next_address(&addresses, &address)) {
        add_peer(peers, &address);
    }
    for (uint32_t i = 0; i < map->entry_count; i++) {
        add_peer(peers, &map->entries[i].address);
    }
    return true;
}

static void unpack_hello(struct bytes encoded, struct peer *peer)
{
    struct unpack in = unpack_of(encoded);
    struct bytes program = {0}, version = {0};
    const struct reply_field fields[] = {
        {"program", REPLY_TEXT, &program},
        {"version", REPLY_TEXT, &version},
    };
    reply_take(&in, fields, sizeof(fields) / sizeof(fields[0]));
    reply_copy_text(program, peer->program, sizeof(peer->program));
    reply_copy_text(version, peer->version, sizeof(peer->version));
}

/* The first request also connects; the second is the one that is measured. */
static void greet(struct skv *kv, struct peer *peer)
{
    const struct skv_value no_params = {.type = SKV_NIL};
    struct skv_record record = {0};
    char server[ADDRESS_TEXT_LEN];
    address_print(&peer->address, server);
    bool has_answered = skv_request(kv, server, "hello", no_params, 0, &record) == SKV_OK;
    if (has_answered) {
        unpack_hello(session_bytes(record.encoded), peer);
        uint64_t begin_us = clock_mono_us();
        has_answered = skv_request(kv, server, "ping", no_params, 0, &record) == SKV_OK;
        peer->ping_us = clock_mono_us() - begin_us;
    }
    if (!has_answered) {
        reply_copy_text(bytes_text(skv_error()->text), peer->problem, sizeof(peer->problem));
    }
    skv_record_fini(&record);
}

static void greet_all(const struct session *session, const struct peers *peers)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        greet(session->kv, &peers->items[i]);
    }
}

/* Who it is; the object is left open. */
static void open_peer(struct json_writer *writer, const struct peer *peer)
{
    char address[ADDRESS_TEXT_LEN];
    address_print(&peer->address, address);
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "address", bytes_text(address));
    if (!*peer->problem) {
        json_writer_text(writer, "program", bytes_text(peer->program));
        json_writer_text(writer, "version", bytes_text(peer->version));
    }
}

/* --- ping --- */

static enum exit_code print_json(const struct peer *peer)
{
    struct json_writer writer = {0};
    open_peer(&writer, peer);
    if (*peer->problem) {
        json_writer_text(&writer, "problem", bytes_text(peer->problem));
    } else {
        json_writer_float(&writer, "ping_ms", (double)peer->ping_us / 1000);
    }
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static enum exit_code print_lines(const struct peers *peers)
{
    enum exit_code code = EXIT_CODE_DONE;
    for (uint32_t i = 0; i < peers->count && code == EXIT_CODE_DONE; i++) {
        code = print_json(&peers->items[i]);
    }
    return code;
}

static enum exit_code print_table(const struct peers *peers)
{
    struct table table;
    char text[ADDRESS_TEXT_LEN];
    table_init(&table, "llrl");
    for (uint32_t i = 0; i < peers->count; i++) {
        const struct peer *peer = &peers->items[i];
        address_print(&peer->address, text);
        table_cell(&table, text);
        table_cell(&table, *peer->problem ? "-" : peer->program);
        (void)snprintf(text, sizeof(text), "%.3f ms", (double)peer->ping_us / 1000);
        table_cell(&table, *peer->problem ? "-" : text);
        table_cell(&table, peer->problem);
    }
    return table_print(&table);
}

static enum exit_code print_pings(const struct session *session, const struct peers *peers)
{
    enum exit_code code = session->arguments->json ? print_lines(peers) : print_table(peers);
    for (uint32_t i = 0; i < peers->count; i++) {
        if (*peers->items[i].problem) {
            code = EXIT_CODE_UNAVAILABLE;
        }
    }
    return code;
}

/* With an address that one alone is asked, as itself the way to the cluster. */
enum exit_code ping_all(struct session *session)
{
    struct map map = {0};
    struct peers peers = {0};
    enum exit_code code;
    if (session->arguments->words.count > 0) {
        session->addresses = session_word(session, 0);
        code = session_open_without_map(session);
    } else {
        code = session_get_map(session, &map);
    }
    if (code == EXIT_CODE_DONE && !list_peers(session, &map, &peers)) {
        code = failure_say_no_memory();
    }
    if (code == EXIT_CODE_DONE) {
        greet_all(session, &peers);
        code = print_pings(session, &peers);
    }
    free(peers.items);
    map_fini(&map);
    return code;
}

/* --- version --- */

static enum exit_code print_versions_json(const struct peers *peers)
{
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "version", bytes_text(skv_version()));
    json_writer_open(&writer, "daemons", '[');
    for (uint32_t i = 0; i < peers->count; i++) {
        if (!*peers->items[i].problem) {
            open_peer(&writer, &peers->items[i]);
            json_writer_close(&writer, '}');
        }
    }
    json_writer_close(&writer, ']');
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static enum exit_code print_versions(const struct peers *peers)
{
    char address[ADDRESS_TEXT_LEN];
    (void)printf("shardkv %s\n", skv_version());
    for (uint32_t i = 0; i < peers->count; i++) {
        const struct peer *peer = &peers->items[i];
        if (!*peer->problem) {
            address_print(&peer->address, address);
            (void)printf("%s %s at %s\n", peer->program, peer->version, address);
        }
    }
    return EXIT_CODE_DONE;
}

/* What cannot be reached is left out: the question is about what runs. */
enum exit_code version_show(struct session *session)
{
    struct map map = {0};
    struct peers peers = {0};
    enum exit_code code = EXIT_CODE_DONE;
    uint64_t given_ms = session->arguments->timeout_ms;
    struct skv_options options = {.timeout_ms = given_ms ? (uint32_t)given_ms : VERSION_TIMEOUT_MS};
    if (skv_open(session->addresses, &options, &session->kv) == SKV_OK) {
        code = session_get_map(session, &map);
        if (code == EXIT_CODE_DONE && !list_peers(session, &map, &peers)) {
            code = failure_say_no_memory();
        }
        greet_all(session, &peers);
    }
    if (code == EXIT_CODE_DONE) {
        code = session->arguments->json ? print_versions_json(&peers) : print_versions(&peers);
    }
    free(peers.items);
    map_fini(&map);
    return code;
}
