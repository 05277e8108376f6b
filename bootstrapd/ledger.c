/* SPDX-License-Identifier: MIT */
#include "bootstrapd/ledger.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/memory.h"
#include "proto/hash.h"
#include "proto/pack.h"

#define LEDGER_FIELDS 5

void ledger_fini(struct ledger *ledger)
{
    map_fini(&ledger->map);
}

void ledger_copy(const struct ledger *ledger, struct ledger *copy)
{
    struct map map;
    memory_must(map_copy(&ledger->map, &map));
    *copy = *ledger;
    copy->map = map;
}

static int compare_addresses(const void *a, const void *b)
{
    return address_compare(a, b);
}

bool ledger_check_addresses(const struct map *map, struct map_error *error)
{
    struct address *addresses = memory_get(map->entry_count, sizeof(*addresses));
    for (uint32_t i = 0; i < map->entry_count; i++) {
        addresses[i] = map->entries[i].address;
    }
    qsort(addresses, map->entry_count, sizeof(*addresses), compare_addresses);
    uint32_t count = 0;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        count += i == 0 || !address_equal(&addresses[i - 1], &addresses[i]);
    }
    free(addresses);
    if (count > MAP_SERVERS_MAX) {
        (void)snprintf(error->text, sizeof(error->text), "shards: on %u servers, more than %d",
                       count, MAP_SERVERS_MAX);
        return false;
    }
    return true;
}

bool ledger_found(struct bytes config, const uint8_t cluster[ID_LEN],
                  const uint8_t instance[ID_LEN], struct ledger *ledger, struct map_error *error)
{
    struct map map;
    if (!map_parse(config, &map, error)) {
        return false;
    }
    if (!ledger_check_addresses(&map, error)) {
        map_fini(&map);
        return false;
    }
    memcpy(map.cluster, cluster, ID_LEN);
    memcpy(map.instance, instance, ID_LEN);
    map.revision = 1;
    for (uint32_t i = 0; i < map.entry_count; i++) {
        map.entries[i].epoch = map.revision;
        map.entries[i].is_new = true;
    }
    *ledger = (struct ledger){
        .map = map,
        .term = 1,
        .config_hash = hash_bytes(config),
        .applied_hash = hash_bytes(config),
    };
    return true;
}

void ledger_pack(const struct ledger *ledger, struct buffer *out)
{
    pack_array(out, LEDGER_FIELDS);
    map_pack(&ledger->map, out);
    pack_uint(out, ledger->term);
    pack_uint(out, ledger->config_hash);
    pack_bool(out, ledger->is_founded);
    pack_uint(out, ledger->applied_hash);
}

bool ledger_unpack(struct bytes packed, struct ledger *ledger, struct map_error *error)
{
    struct unpack in = unpack_of(packed);
    struct ledger read = {0};
    uint32_t field_count = unpack_array(&in);
    if (field_count < LEDGER_FIELDS) {
        (void)snprintf(error->text, sizeof(error->text), "%u fields instead of %d", field_count,
                       LEDGER_FIELDS);
        return false;
    }
    if (!map_unpack(&in, &read.map, error)) {
        return false;
    }
    read.term = unpack_uint(&in);
    read.config_hash = unpack_uint(&in);
    read.is_founded = unpack_bool(&in);
    read.applied_hash = unpack_uint(&in);
    for (uint32_t i = LEDGER_FIELDS; i < field_count; i++) {
        unpack_skip(&in);
    }
    if (!unpack_is_done(&in)) {
        (void)snprintf(error->text, sizeof(error->text), "behind the map: %s",
                       unpack_fault_text(in.fault));
        ledger_fini(&read);
        return false;
    }
    *ledger = read;
    return true;
}
