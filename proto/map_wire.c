/* SPDX-License-Identifier: MIT */
#include "proto/map.h"

#include <inttypes.h>
#include <stdlib.h>

#include "proto/map_check.h"
#include "proto/pack.h"
#include "proto/point.h"

/* The form is in PROTOCOL.md, "The map". Arrays may grow at their end, the map by keys. */
#define SERVER_FIELDS 7 /* the last three are not in older ones */
#define ENTRY_FIELDS  11
#define MOVE_FIELDS   4

static void pack_id(struct buffer *out, const uint8_t id[ID_LEN])
{
    pack_bin(out, bytes_of(id, ID_LEN));
}

static void pack_move(struct buffer *out, const struct map_move *move)
{
    if (move->phase == MOVE_NONE) {
        pack_nil(out);
        return;
    }
    pack_array(out, MOVE_FIELDS);
    pack_uint(out, (uint64_t)move->phase);
    pack_uint(out, move->id);
    pack_id(out, move->source);
    pack_id(out, move->target);
}

void map_pack_entry(const struct map_entry *entry, struct buffer *out)
{
    pack_array(out, ENTRY_FIELDS);
    pack_text(out, entry->name);
    pack_uint(out, entry->start);
    pack_uint(out, entry->end);
    pack_uint(out, entry->epoch);
    pack_uint(out, entry->size);
    pack_uint(out, (uint64_t)entry->when_full);
    pack_bool(out, entry->is_new);
    pack_id(out, entry->server);
    pack_text(out, entry->address.host);
    pack_uint(out, entry->address.port);
    pack_move(out, &entry->move);
}

static void pack_server(struct buffer *out, const struct map_server *server)
{
    pack_array(out, SERVER_FIELDS);
    pack_id(out, server->id);
    pack_text(out, server->address.host);
    pack_uint(out, server->address.port);
    pack_uint(out, server->incarnation);
    pack_uint(out, server->start);
    pack_uint(out, server->capacity);
    pack_bool(out, server->is_draining);
}

void map_pack(const struct map *map, struct buffer *out)
{
    pack_map(out, 6);
    pack_text(out, "cluster");
    pack_id(out, map->cluster);
    pack_text(out, "instance");
    pack_id(out, map->instance);
    pack_text(out, "revision");
    pack_uint(out, map->revision);
    pack_text(out, "origin_ms");
    pack_uint(out, map->origin_ms);
    pack_text(out, "servers");
    pack_array(out, map->server_count);
    for (uint32_t i = 0; i < map->server_count; i++) {
        pack_server(out, &map->servers[i]);
    }
    pack_text(out, "shards");
    pack_array(out, map->entry_count);
    for (uint32_t i = 0; i < map->entry_count; i++) {
        map_pack_entry(&map->entries[i], out);
    }
}

static void unpack_address(struct unpack *in, struct address *address)
{
    unpack_string(in, address->host, sizeof(address->host));
    address->port = (uint16_t)unpack_uint_max(in, UINT16_MAX);
}

/* Count of an array that has at least `field_count` elements. */
static uint32_t unpack_fields(struct unpack *in, uint32_t field_count)
{
    uint32_t count = unpack_array(in);
    if (count < field_count) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return 0;
    }
    return count;
}

static void skip_fields(struct unpack *in, uint32_t count, uint32_t field_count)
{
    for (uint32_t i = field_count; i < count && unpack_is_fine(in); i++) {
        unpack_skip(in);
    }
}

static void unpack_move(struct unpack *in, struct map_move *move)
{
    if (unpack_peek(in) == UNPACK_NIL) {
        unpack_nil(in);
        return;
    }
    uint32_t count = unpack_fields(in, MOVE_FIELDS);
    move->phase = (enum move_phase)unpack_uint_max(in, MOVE_PHASE_LAST);
    if (move->phase == MOVE_NONE) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    move->id = unpack_uint(in);
    unpack_id(in, move->source);
    unpack_id(in, move->target);
    skip_fields(in, count, MOVE_FIELDS);
}

static void unpack_entry(struct unpack *in, struct map_entry *entry)
{
    *entry = (struct map_entry){0};
    uint32_t count = unpack_fields(in, ENTRY_FIELDS);
    unpack_string(in, entry->name, sizeof(entry->name));
    entry->start = unpack_uint_max(in, BOUND_END);
    entry->end = unpack_uint_max(in, BOUND_END);
    entry->epoch = unpack_uint(in);
    entry->size = unpack_uint(in);
    entry->when_full = (enum when_full)unpack_uint_max(in, WHEN_FULL_EVICT);
    entry->is_new = unpack_bool(in);
    unpack_id(in, entry->server);
    unpack_address(in, &entry->address);
    unpack_move(in, &entry->move);
    skip_fields(in, count, ENTRY_FIELDS);
}

static void unpack_server(struct unpack *in, struct map_server *server)
{
    *server = (struct map_server){0};
    uint32_t count = unpack_fields(in, SERVER_FIELDS - 3);
    unpack_id(in, server->id);
    unpack_address(in, &server->address);
    server->incarnation = unpack_uint(in);
    server->start = count >= SERVER_FIELDS - 2 ? unpack_uint(in) : 0;
    server->capacity = count >= SERVER_FIELDS - 1 ? unpack_uint(in) : 0;
    server->is_draining = count >= SERVER_FIELDS ? unpack_bool(in) : false;
    skip_fields(in, count, SERVER_FIELDS);
}

bool map_unpack_entry(struct unpack *in, struct map_entry *entry, struct map_error *error)
{
    struct map_entry unpacked;
    struct map_error fault;
    unpack_entry(in, &unpacked);
    if (!unpack_is_fine(in)) {
        map_error_set(error, "shard: %s", unpack_fault_text(in->fault));
        return false;
    }
    if (!map_check_entry(&unpacked, &fault)) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
        map_error_set(error, "shard \"%s\": %s", unpacked.name, fault.text);
        return false;
    }
    *entry = unpacked;
    return true;
}

/*
 * Count of an array, and zeroed memory for it; NULL when it is empty, too long, or there is no
 * memory. The last two are faults of *error.
 */
static void *unpack_list(struct unpack *in, const char *name, uint32_t count_max, size_t item_size,
                         uint32_t *count, struct map_error *error)
{
    uint32_t declared = unpack_array(in);
    *count = 0;
    if (declared == 0) {
        return NULL;
    }
    if (declared > count_max) {
        map_error_set(error, "%s: more than %" PRIu32, name, count_max);
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return NULL;
    }
    void *items = calloc(declared, item_size);
    if (!items) {
        map_error_set(error, "out of memory");
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return NULL;
    }
    *count = declared;
    return items;
}

static void unpack_shards(struct unpack *in, struct map *map, struct map_error *error)
{
    map->entries =
        unpack_list(in, "shards", MAP_SHARDS_MAX, sizeof(*map->entries), &map->entry_count, error);
    for (uint32_t i = 0; i < map->entry_count && unpack_is_fine(in); i++) {
        unpack_entry(in, &map->entries[i]);
        if (!unpack_is_fine(in)) {
            map_error_set(error, "shards[%" PRIu32 "]: %s", i, unpack_fault_text(in->fault));
        }
    }
}

static void unpack_servers(struct unpack *in, struct map *map, struct map_error *error)
{
    map->servers = unpack_list(in, "servers", MAP_SERVERS_MAX, sizeof(*map->servers),
                               &map->server_count, error);
    for (uint32_t i = 0; i < map->server_count && unpack_is_fine(in); i++) {
        unpack_server(in, &map->servers[i]);
        if (!unpack_is_fine(in)) {
            map_error_set(error, "servers[%" PRIu32 "]: %s", i, unpack_fault_text(in->fault));
        }
    }
}

enum map_key {
    KEY_CLUSTER,
    KEY_INSTANCE,
    KEY_REVISION,
    KEY_ORIGIN_MS,
    KEY_SERVERS,
    KEY_SHARDS,
    KEY_COUNT, /* any other */
};

static const char *const key_names[KEY_COUNT] = {"cluster",   "instance", "revision",
                                                 "origin_ms", "servers",  "shards"};

static enum map_key find_key(struct bytes name)
{
    uint32_t key = 0;
    while (key < KEY_COUNT && !bytes_equal(bytes_text(key_names[key]), name)) {
        key++;
    }
    return (enum map_key)key;
}

static void unpack_value(struct unpack *in, enum map_key key, struct map *map,
                         struct map_error *error)
{
    switch (key) {
    case KEY_CLUSTER:
        unpack_id(in, map->cluster);
        break;
    case KEY_INSTANCE:
        unpack_id(in, map->instance);
        break;
    case KEY_REVISION:
        map->revision = unpack_uint(in);
        break;
    case KEY_ORIGIN_MS:
        map->origin_ms = unpack_uint(in);
        break;
    case KEY_SERVERS:
        unpack_servers(in, map, error);
        break;
    case KEY_SHARDS:
        unpack_shards(in, map, error);
        break;
    case KEY_COUNT:
        unpack_skip(in);
        break;
    }
}

/* Each known key once. On a fault, *error may have a text that says more than the fault. */
static void unpack_pairs(struct unpack *in, struct map *map, struct map_error *error)
{
    bool seen[KEY_COUNT + 1] = {false};
    uint32_t pair_count = unpack_map(in);
    for (uint32_t i = 0; i < pair_count && unpack_is_fine(in); i++) {
        enum map_key key = find_key(unpack_text(in));
        if (seen[key] && key != KEY_COUNT) {
            map_error_set(error, "%s: repeated", key_names[key]);
            unpack_fail(in, UNPACK_WRONG_TYPE);
            return;
        }
        seen[key] = true;
        unpack_value(in, key, map, error);
    }
    for (uint32_t key = 0; key < KEY_COUNT && unpack_is_fine(in); key++) {
        if (!seen[key]) {
            map_error_set(error, "%s: missing", key_names[key]);
            unpack_fail(in, UNPACK_WRONG_TYPE);
        }
    }
}

bool map_unpack(struct unpack *in, struct map *map, struct map_error *error)
{
    struct map unpacked = {0};
    struct map_error fault = {0};
    unpack_pairs(in, &unpacked, &fault);
    bool is_fine = unpack_is_fine(in) && map_check(&unpacked, &fault);
    if (is_fine) {
        *map = unpacked;
        return true;
    }
    if (!fault.text[0]) {
        map_error_set(&fault, "map: %s", unpack_fault_text(in->fault));
    }
    unpack_fail(in, UNPACK_WRONG_TYPE);
    *error = fault;
    map_fini(&unpacked);
    return false;
}
