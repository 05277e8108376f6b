/* SPDX-License-Identifier: MIT */

/* Shows every server and its shards; what bootstrapd knows to be wrong stands beside. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/actions.h"
#include "cli/json_writer.h"
#include "cli/server_stat.h"
#include "cli/table.h"
#include "proto/point.h"

/* --- JSON --- */

static void write_shard(struct json_writer *writer, const struct shard_stat *shard)
{
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "name", bytes_text(shard->name));
    json_writer_bound(writer, "start", shard->start);
    json_writer_bound(writer, "end", shard->end);
    json_writer_number(writer, "epoch", shard->epoch);
    if (shard->is_counted) {
        json_writer_number(writer, "records", shard->records);
        json_writer_number(writer, "bytes", shard->bytes);
    } else {
        json_writer_null(writer, "records");
        json_writer_null(writer, "bytes");
    }
    json_writer_number(writer, "size", shard->size);
    json_writer_close(writer, '}');
}

static void write_problem(struct json_writer *writer, const char *problem)
{
    if (*problem) {
        json_writer_text(writer, "problem", bytes_text(problem));
    }
}

static void write_server(struct json_writer *writer, const struct server_stat *server)
{
    char address[ADDRESS_TEXT_LEN];
    address_print(&server->address, address);
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "address", bytes_text(address));
    json_writer_text(writer, "id", bytes_text(server->id));
    json_writer_text(writer, "state", bytes_text(server->state));
    write_problem(writer, server->problem);
    json_writer_open(writer, "shards", '[');
    for (uint32_t i = 0; i < server->shard_count; i++) {
        write_shard(writer, &server->shards[i]);
    }
    json_writer_close(writer, ']');
    json_writer_close(writer, '}');
}

static enum exit_code print_json(const struct server_stats *stats)
{
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_number(&writer, "map_revision", stats->map_revision);
    write_problem(&writer, stats->problem);
    json_writer_open(&writer, "servers", '[');
    for (uint32_t i = 0; i < stats->server_count; i++) {
        write_server(&writer, &stats->servers[i]);
    }
    json_writer_close(&writer, ']');
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

/* --- a table --- */

static void add_shard(struct table *table, const struct shard_stat *shard)
{
    char bound[BOUND_TEXT_LEN];
    char size[SIZE_TEXT_LEN];
    table_cell(table, shard->name);
    bound_print(shard->start, bound);
    table_cell(table, bound);
    bound_print(shard->end, bound);
    table_cell(table, bound);
    table_cell_number(table, shard->epoch);
    if (shard->is_counted) {
        table_cell_number(table, shard->records);
        table_cell_number(table, shard->bytes);
    } else {
        table_cell(table, "-");
        table_cell(table, "-");
    }
    size_print(shard->size, size);
    table_cell(table, size);
}

static void add_server(struct table *table, const struct server_stat *server)
{
    char address[ADDRESS_TEXT_LEN];
    address_print(&server->address, address);
    for (uint32_t i = 0; i < server->shard_count; i++) {
        table_cell(table, i ? "" : address);
        table_cell(table, i ? "" : server->state);
        add_shard(table, &server->shards[i]);
    }
}

static enum exit_code print_table(const struct server_stats *stats)
{
    static const char *const headings[] = {"SERVER", "STATE",   "SHARD", "START", "END",
                                           "EPOCH",  "RECORDS", "BYTES", "SIZE"};
    struct table table;
    table_init(&table, "llllrrrrr");
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++) {
        table_cell(&table, headings[i]);
    }
    for (uint32_t i = 0; i < stats->server_count; i++) {
        add_server(&table, &stats->servers[i]);
    }
    (void)printf("map revision %" PRIu64 "\n", stats->map_revision);
    return table_print(&table);
}

/* --- both --- */

/* Bootstrapd's first "server ADDRESS: ..." repeats, or is older than, what stands with that server. */
static bool is_of_a_server(const struct server_stats *stats)
{
    char address[ADDRESS_TEXT_LEN];
    char start[ADDRESS_TEXT_LEN + 16];
    for (uint32_t i = 0; i < stats->server_count; i++) {
        address_print(&stats->servers[i].address, address);
        int len = snprintf(start, sizeof(start), "server %s: ", address);
        if (strncmp(stats->problem, start, (size_t)len) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_own_problem(const struct server_stats *stats)
{
    return *stats->problem && !is_of_a_server(stats);
}

/* What is wrong, one line each, where a person looks for it; --json has it in its place. */
static void say_problems(const struct server_stats *stats)
{
    char address[ADDRESS_TEXT_LEN];
    if (has_own_problem(stats)) {
        (void)failure_say(EXIT_CODE_UNAVAILABLE, "status: %s", stats->problem);
    }
    for (uint32_t i = 0; i < stats->server_count; i++) {
        const struct server_stat *server = &stats->servers[i];
        address_print(&server->address, address);
        if (*server->problem) {
            (void)failure_say(EXIT_CODE_UNAVAILABLE, "status: server %s: %s", address,
                              server->problem);
        }
    }
}

static enum exit_code overall(const struct server_stats *stats)
{
    for (uint32_t i = 0; i < stats->server_count; i++) {
        const struct server_stat *server = &stats->servers[i];
        if (!server_stat_is_serving(server) || *server->problem) {
            return EXIT_CODE_UNAVAILABLE;
        }
    }
    return has_own_problem(stats) ? EXIT_CODE_UNAVAILABLE : EXIT_CODE_DONE;
}

enum exit_code status_show(struct session *session)
{
    struct server_stats stats = {0};
    enum exit_code code = server_stats_get(session, &stats);
    if (code == EXIT_CODE_DONE) {
        code = session->arguments->json ? print_json(&stats) : print_table(&stats);
        say_problems(&stats);
        code = failure_worst(code, overall(&stats));
    }
    server_stats_fini(&stats);
    return code;
}
