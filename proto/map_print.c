/* SPDX-License-Identifier: MIT */
#include "proto/map.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "proto/id.h"
#include "proto/json.h"
#include "proto/move.h"
#include "proto/point.h"

/* Longer than any piece that is printed at once; texts of unknown length go through json_quote. */
#define PIECE_LEN_MAX 256

__attribute__((format(printf, 2, 3))) static void add(struct buffer *json, const char *format, ...)
{
    char piece[PIECE_LEN_MAX];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(piece, sizeof(piece), format, arguments);
    va_end(arguments);
    if (len > 0) {
        buffer_append(json, piece, (size_t)len);
    }
}

static void add_id(struct buffer *json, const char *name, const uint8_t id[ID_LEN])
{
    char text[ID_TEXT_LEN];
    id_bytes_print(id, text);
    add(json, "\"%s\": \"%s\"", name, text);
}

/* What a person may write. */
static void add_settings(struct buffer *json, const struct map_entry *entry)
{
    char start[BOUND_TEXT_LEN];
    char end[BOUND_TEXT_LEN];
    char size[SIZE_TEXT_LEN];
    bound_print(entry->start, start);
    bound_print(entry->end, end);
    size_print(entry->size, size);
    add(json, "\"name\": ");
    json_quote(bytes_text(entry->name), json);
    add(json, ", \"start\": %s, \"end\": %s, \"size\": \"%s\", \"host\": ", start, end, size);
    json_quote(bytes_text(entry->address.host), json);
    add(json, ", \"port\": %u", (unsigned)entry->address.port);
    if (entry->when_full == WHEN_FULL_EVICT) {
        add(json, ", \"when_full\": \"evict\"");
    }
}

static void add_move(struct buffer *json, const struct map_move *move)
{
    add(json, "\"move\": {\"phase\": \"%s\", \"id\": \"%" PRIu64 "\", ",
        move_phase_text(move->phase), move->id);
    add_id(json, "source", move->source);
    add(json, ", ");
    add_id(json, "target", move->target);
    add(json, "}");
}

/* What bootstrapd knows of it. */
static void add_state(struct buffer *json, const struct map_entry *entry)
{
    const uint64_t slice = id_shard_bound(1);
    add(json, "\"epoch\": \"%" PRIu64 "\"", entry->epoch);
    if (!id_bytes_is_zero(entry->server)) {
        add(json, ", ");
        add_id(json, "server", entry->server);
    }
    if (entry->start % slice == 0 && entry->end % slice == 0) {
        add(json, ", \"logical_shards\": \"%" PRIu64 "-%" PRIu64 "\"", entry->start / slice,
            entry->end / slice);
    }
    if (entry->is_new) {
        add(json, ", \"new\": true");
    }
    if (entry->move.phase != MOVE_NONE) {
        add(json, ",\n      ");
        add_move(json, &entry->move);
    }
}

static void add_server(struct buffer *json, const struct map_server *server)
{
    char address[ADDRESS_TEXT_LEN];
    address_print(&server->address, address);
    add(json, "    { ");
    add_id(json, "id", server->id);
    add(json, ", \"address\": ");
    json_quote(bytes_text(address), json);
    add(json, ", \"incarnation\": \"%" PRIu64 "\"", server->incarnation);
    if (server->capacity > 0) {
        char capacity[SIZE_TEXT_LEN];
        size_print(server->capacity, capacity);
        add(json, ", \"capacity\": \"%s\"", capacity);
    }
    add(json, server->is_draining ? ", \"draining\": true }" : " }");
}

static void add_header(struct buffer *json, const struct map *map)
{
    add(json, ",\n  ");
    add_id(json, "cluster", map->cluster);
    add(json, ",\n  ");
    add_id(json, "instance", map->instance);
    add(json, ",\n  \"revision\": \"%" PRIu64 "\"", map->revision);
    add(json, ",\n  \"servers\": [");
    for (uint32_t i = 0; i < map->server_count; i++) {
        add(json, i == 0 ? "\n" : ",\n");
        add_server(json, &map->servers[i]);
    }
    add(json, map->server_count > 0 ? "\n  ]" : "]");
}

void map_print(const struct map *map, struct buffer *json)
{
    add(json, "{\n  \"shards\": [");
    for (uint32_t i = 0; i < map->entry_count; i++) {
        const struct map_entry *entry = &map->entries[i];
        add(json, i == 0 ? "\n    { " : ",\n    { ");
        add_settings(json, entry);
        if (entry->epoch > 0) {
            add(json, ",\n      ");
            add_state(json, entry);
        }
        add(json, " }");
    }
    add(json, "\n  ]");
    if (map->origin_ms != ID_ORIGIN_MS) {
        add(json, ",\n  \"origin_ms\": %" PRIu64, map->origin_ms);
    }
    if (map->revision > 0) {
        add_header(json, map);
    }
    add(json, "\n}\n");
}
