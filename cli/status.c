/* SPDX-License-Identifier: MIT */

/*
 * Shows every server and its shards; what bootstrapd knows to be wrong stands beside. With --watch
 * again and again.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/actions.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "cli/server_stat.h"
#include "cli/table.h"
#include "proto/point.h"

/* A day: longer is not watching. */
#define WATCH_SECONDS_MAX 86400

/* --- JSON --- */

static void write_known(struct json_writer *writer, const char *name, uint64_t number)
{
    if (number == SERVER_NUMBER_UNKNOWN) {
        json_writer_null(writer, name);
    } else {
        json_writer_number(writer, name, number);
    }
}

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
    if (*shard->when_full) {
        json_writer_text(writer, "when_full", bytes_text(shard->when_full));
    } else {
        json_writer_null(writer, "when_full");
    }
    write_known(writer, "evictions", shard->evictions);
    write_known(writer, "expirations", shard->expirations);
    json_writer_close(writer, '}');
}

static void write_problem(struct json_writer *writer, const char *problem)
{
    if (*problem) {
        json_writer_text(writer, "problem", bytes_text(problem));
    }
}

static void write_warnings(struct json_writer *writer, const struct server_numbers *numbers)
{
    char texts[SERVER_WARNINGS_MAX][SERVER_WARNING_LEN];
    unsigned count = server_numbers_warn(numbers, texts);
    json_writer_open(writer, "warnings", '[');
    for (unsigned i = 0; i < count; i++) {
        json_writer_text(writer, NULL, bytes_text(texts[i]));
    }
    json_writer_close(writer, ']');
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
    write_warnings(writer, &server->numbers);
    server_numbers_write(&server->numbers, writer);
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

/* --- a table of shards, and lines for each server --- */

static void add_known(struct table *table, uint64_t number)
{
    if (number == SERVER_NUMBER_UNKNOWN) {
        table_cell(table, "-");
    } else {
        table_cell_number(table, number);
    }
}

static void add_shard(struct table *table, const struct shard_stat *shard)
{
    char size[SIZE_TEXT_LEN];
    table_cell(table, shard->name);
    table_cell_bound(table, shard->start);
    table_cell_bound(table, shard->end);
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
    table_cell(table, *shard->when_full ? shard->when_full : "-");
    add_known(table, shard->evictions);
    add_known(table, shard->expirations);
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
    static const char *const headings[] = {"SERVER", "STATE", "SHARD",   "START",
                                           "END",    "EPOCH", "RECORDS", "BYTES",
                                           "SIZE",   "FULL",  "EVICTED", "EXPIRED"};
    struct table table;
    table_init_headed(&table, "llllrrrrrlrr", headings);
    for (uint32_t i = 0; i < stats->server_count; i++) {
        add_server(&table, &stats->servers[i]);
    }
    (void)printf("map revision %" PRIu64 "\n", stats->map_revision);
    return table_print(&table);
}

/* Of those that answered. */
static enum exit_code print_numbers(const struct server_stats *stats)
{
    struct buffer text = {0};
    char address[ADDRESS_TEXT_LEN];
    for (uint32_t i = 0; i < stats->server_count; i++) {
        const struct server_stat *server = &stats->servers[i];
        if (server->numbers.stamp != SERVER_NUMBER_UNKNOWN) {
            address_print(&server->address, address);
            buffer_append_bytes(&text, bytes_text("\n"));
            buffer_append_bytes(&text, bytes_text(address));
            buffer_append_bytes(&text, bytes_text("\n"));
            server_numbers_print(&server->numbers, &text);
        }
    }
    return output_print(&text);
}

static enum exit_code print_text(const struct server_stats *stats)
{
    enum exit_code code = print_table(stats);
    return failure_worst(code, print_numbers(stats));
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

static void say_warnings(const struct server_stats *stats)
{
    char texts[SERVER_WARNINGS_MAX][SERVER_WARNING_LEN];
    char address[ADDRESS_TEXT_LEN];
    for (uint32_t i = 0; i < stats->server_count; i++) {
        const struct server_stat *server = &stats->servers[i];
        unsigned count = server_numbers_warn(&server->numbers, texts);
        address_print(&server->address, address);
        for (unsigned n = 0; n < count; n++) {
            (void)failure_say(EXIT_CODE_DONE, "status: server %s: warning: %s", address, texts[n]);
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

static enum exit_code show_once(struct session *session)
{
    struct server_stats stats = {0};
    enum exit_code code = server_stats_get(session, &stats);
    if (code == EXIT_CODE_DONE) {
        code = session->arguments->json ? print_json(&stats) : print_text(&stats);
        say_problems(&stats);
        say_warnings(&stats);
        code = failure_worst(code, overall(&stats));
    }
    server_stats_fini(&stats);
    return code;
}

/* --- watching --- */

static void wait_seconds(uint64_t seconds)
{
    const struct timespec time = {.tv_sec = (time_t)seconds};
    (void)nanosleep(&time, NULL);
}

/* On a terminal in the place of what was shown before, else behind it. */
static void begin_anew(const struct session *session)
{
    if (session->arguments->json) {
        return;
    }
    (void)fputs(isatty(STDOUT_FILENO) ? "\033[H\033[J" : "\n", stdout);
}

/* What cannot be had now may be there the next time: only the last one's outcome counts. */
static enum exit_code watch(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    enum exit_code code = show_once(session);
    for (uint64_t shown = 1; shown != arguments->count; shown++) {
        if (fflush(stdout) != 0) {
            break; /* nobody watches any more */
        }
        wait_seconds(arguments->watch_s);
        begin_anew(session);
        code = show_once(session);
    }
    return code;
}

enum exit_code status_show(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    if (arguments->count > 0 && arguments->watch_s == 0) {
        return session_say_usage(session, "--count needs --watch");
    }
    if (arguments->watch_s > WATCH_SECONDS_MAX) {
        return session_say_usage(session, "--watch is at most %d seconds", WATCH_SECONDS_MAX);
    }
    return arguments->watch_s > 0 ? watch(session) : show_once(session);
}
