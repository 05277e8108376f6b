/* SPDX-License-Identifier: MIT */
#include "cli/server_stat.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/reply.h"

void server_stats_fini(struct server_stats *stats)
{
    for (uint32_t i = 0; i < stats->server_count; i++) {
        free(stats->servers[i].shards);
    }
    free(stats->servers);
    *stats = (struct server_stats){0};
}

static void set_text(char *out, size_t out_len, const char *text)
{
    reply_copy_text(bytes_text(text), out, out_len);
}

/* --- what the map says --- */

static struct server_stat *find_server(const struct server_stats *stats,
                                       const struct address *address)
{
    for (uint32_t i = 0; i < stats->server_count; i++) {
        if (address_equal(&stats->servers[i].address, address)) {
            return &stats->servers[i];
        }
    }
    return NULL;
}

static bool list_servers(const struct map *map, struct server_stats *stats)
{
    stats->servers = calloc(map->entry_count, sizeof(*stats->servers));
    for (uint32_t i = 0; stats->servers && i < map->entry_count; i++) {
        if (!find_server(stats, &map->entries[i].address)) {
            struct server_stat *server = &stats->servers[stats->server_count++];
            server->address = map->entries[i].address;
            server_numbers_init(&server->numbers);
        }
    }
    return stats->servers;
}

static struct shard_stat shard_of_entry(const struct map_entry *entry)
{
    struct shard_stat shard = {
        .start = entry->start,
        .end = entry->end,
        .epoch = entry->epoch,
        .size = entry->size,
        .evictions = SERVER_NUMBER_UNKNOWN,
        .expirations = SERVER_NUMBER_UNKNOWN,
    };
    set_text(shard.name, sizeof(shard.name), entry->name);
    set_text(shard.when_full, sizeof(shard.when_full),
             entry->when_full == WHEN_FULL_EVICT ? "evict" : "reject");
    return shard;
}

/* The shards of a server that has told of none. False when out of memory. */
static bool take_from_map(const struct map *map, struct server_stat *server)
{
    server->shards = calloc(map->entry_count, sizeof(*server->shards));
    for (uint32_t i = 0; server->shards && i < map->entry_count; i++) {
        const struct map_entry *entry = &map->entries[i];
        if (!address_equal(&entry->address, &server->address)) {
            continue;
        }
        server->shards[server->shard_count++] = shard_of_entry(entry);
        if (!*server->id && !id_bytes_is_zero(entry->server)) {
            id_bytes_print(entry->server, server->id);
        }
    }
    return server->shards;
}

/* --- what a server says --- */

static void unpack_shard(struct unpack *in, struct shard_stat *shard)
{
    struct bytes name = {0}, when_full = {0};
    const struct reply_field fields[] = {
        {"name", REPLY_TEXT, &name},
        {"when_full", REPLY_TEXT, &when_full},
        {"evictions", REPLY_NUMBER, &shard->evictions},
        {"expirations", REPLY_NUMBER, &shard->expirations},
        {"start", REPLY_NUMBER, &shard->start},
        {"end", REPLY_NUMBER, &shard->end},
        {"epoch", REPLY_NUMBER, &shard->epoch},
        {"size", REPLY_NUMBER, &shard->size},
        {"records", REPLY_NUMBER, &shard->records},
        {"bytes", REPLY_NUMBER, &shard->bytes},
    };
    shard->evictions = shard->expirations = SERVER_NUMBER_UNKNOWN;
    reply_take(in, fields, sizeof(fields) / sizeof(fields[0]));
    reply_copy_text(name, shard->name, sizeof(shard->name));
    reply_copy_text(when_full, shard->when_full, sizeof(shard->when_full));
    shard->is_counted = true;
}

/* False when it is no list of shards, or out of memory. */
static bool unpack_shards(struct bytes encoded, struct server_stat *server)
{
    struct unpack in = unpack_of(encoded);
    uint32_t count = unpack_array(&in);
    if (!unpack_is_fine(&in) || count > MAP_SHARDS_MAX) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    server->shards = calloc(count, sizeof(*server->shards));
    for (uint32_t i = 0; server->shards && i < count; i++) {
        unpack_shard(&in, &server->shards[i]);
    }
    server->shard_count = server->shards ? count : 0;
    return server->shards && unpack_is_done(&in);
}

static bool unpack_stat(struct bytes encoded, struct server_stat *server)
{
    struct unpack in = unpack_of(encoded);
    struct bytes id = {0}, state = {0}, shards = {0};
    const struct reply_field fields[] = {
        {"server", REPLY_TEXT, &id},
        {"state", REPLY_TEXT, &state},
        {"shards", REPLY_ENCODED, &shards},
    };
    reply_take(&in, fields, sizeof(fields) / sizeof(fields[0]));
    if (!unpack_is_done(&in) || !unpack_shards(shards, server) ||
        !server_numbers_take(&server->numbers, encoded)) {
        return false;
    }
    if (id.len == ID_LEN) {
        id_bytes_print(id.data, server->id);
    }
    reply_copy_text(state, server->state, sizeof(server->state));
    return true;
}

static void mark_down(struct server_stat *server, const char *problem)
{
    free(server->shards);
    server->shards = NULL;
    server->shard_count = 0;
    server_numbers_init(&server->numbers);
    set_text(server->state, sizeof(server->state), "down");
    set_text(server->problem, sizeof(server->problem), problem);
}

/* False when out of memory. */
static bool ask_server(struct session *session, const struct map *map, struct server_stat *server)
{
    const struct skv_value no_params = {.type = SKV_NIL};
    struct skv_record record = {0};
    char text[ADDRESS_TEXT_LEN];
    address_print(&server->address, text);
    if (skv_request(session->kv, text, "stat", no_params, 0, &record) != SKV_OK) {
        mark_down(server, skv_error()->text);
    } else if (!unpack_stat(session_bytes(record.encoded), server)) {
        mark_down(server, "its answer to stat is not understood");
    }
    skv_record_fini(&record);
    return server->shards || take_from_map(map, server);
}

/* --- what bootstrapd says --- */

/* Its view of a server counts where it differs from "up"; what the server itself said stays first. */
static void take_opinion(struct server_stat *server, struct bytes state, struct bytes problem)
{
    char text[sizeof(server->problem)];
    bool is_down = strcmp(server->state, "down") == 0;
    /* It looks at a server now and then: one that has just answered us is not down. */
    bool is_outdated = !is_down && bytes_equal(state, bytes_text("down"));
    if (state.len == 0 || is_outdated || bytes_equal(state, bytes_text("up"))) {
        return;
    }
    reply_copy_text(state, text, sizeof(text));
    if (is_down) {
        set_text(server->state, sizeof(server->state), text);
        return;
    }
    size_t len = strlen(text);
    if (problem.len && len + 3 < sizeof(text)) {
        memcpy(text + len, ": ", 3);
        reply_copy_text(problem, text + len + 2, sizeof(text) - len - 2);
    }
    set_text(server->problem, sizeof(server->problem), text);
}

static void unpack_opinion(struct unpack *in, const struct server_stats *stats)
{
    struct bytes address_text = {0}, state = {0}, problem = {0};
    struct address address;
    const struct reply_field fields[] = {
        {"address", REPLY_TEXT, &address_text},
        {"state", REPLY_TEXT, &state},
        {"problem", REPLY_TEXT, &problem},
    };
    reply_take(in, fields, sizeof(fields) / sizeof(fields[0]));
    if (address_parse(address_text, &address)) {
        struct server_stat *server = find_server(stats, &address);
        if (server) {
            take_opinion(server, state, problem);
        }
    }
}

static void unpack_opinions(struct bytes encoded, struct server_stats *stats)
{
    struct unpack in = unpack_of(encoded);
    struct bytes problem = {0}, servers = {0};
    const struct reply_field fields[] = {
        {"problem", REPLY_TEXT, &problem},
        {"servers", REPLY_ENCODED, &servers},
    };
    reply_take(&in, fields, sizeof(fields) / sizeof(fields[0]));
    reply_copy_text(problem, stats->problem, sizeof(stats->problem));
    struct unpack list = unpack_of(servers);
    uint32_t count = unpack_array(&list);
    for (uint32_t i = 0; i < count && unpack_is_fine(&list); i++) {
        unpack_opinion(&list, stats);
    }
}

/* --- all together --- */

/* Its status has the map even while the cluster is being founded, when nobody else gives one. */
static bool unpack_status_map(struct bytes encoded, struct map *map)
{
    struct unpack in = unpack_of(encoded);
    struct bytes map_encoded = {0};
    struct map_error error;
    const struct reply_field fields[] = {{"map", REPLY_ENCODED, &map_encoded}};
    reply_take(&in, fields, sizeof(fields) / sizeof(fields[0]));
    struct unpack map_in = unpack_of(map_encoded);
    return map_encoded.len > 0 && map_unpack(&map_in, map, &error);
}

static bool ask_servers(struct session *session, const struct map *map, struct server_stats *stats)
{
    bool has_memory = list_servers(map, stats);
    stats->map_revision = map->revision;
    for (uint32_t i = 0; has_memory && i < stats->server_count; i++) {
        has_memory = ask_server(session, map, &stats->servers[i]);
    }
    return has_memory;
}

enum exit_code server_stats_get(struct session *session, struct server_stats *stats)
{
    struct map map = {0};
    struct skv_record opinion = {0};
    enum exit_code code = session_open_without_map(session);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    /* The addresses may all be servers': then there is no opinion, and nothing wrong with that. */
    bool has_opinion =
        session_try_bootstrapd(session, "status", bytes_of(NULL, 0), &opinion) == SKV_OK;
    struct bytes said = session_bytes(opinion.encoded);
    if (!has_opinion || !unpack_status_map(said, &map)) {
        code = session_get_map(session, &map);
    }
    if (code == EXIT_CODE_DONE && !ask_servers(session, &map, stats)) {
        code = failure_say_no_memory();
    }
    if (code == EXIT_CODE_DONE && has_opinion) {
        unpack_opinions(said, stats);
    }
    skv_record_fini(&opinion);
    map_fini(&map);
    return code;
}

bool server_stat_is_serving(const struct server_stat *server)
{
    return strcmp(server->state, "serving") == 0;
}

uint64_t server_stats_records(const struct server_stats *stats)
{
    uint64_t records = 0;
    for (uint32_t i = 0; i < stats->server_count; i++) {
        for (uint32_t n = 0; n < stats->servers[i].shard_count; n++) {
            records += stats->servers[i].shards[n].records;
        }
    }
    return records;
}
