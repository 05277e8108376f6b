/* SPDX-License-Identifier: MIT */
#include "bootstrapd/ledger.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/memory.h"
#include "proto/hash.h"
#include "proto/pack.h"

#define LEDGER_FIELDS_MIN 5 /* of the first version */
#define LEDGER_FIELDS     10

void ledger_fini(struct ledger *ledger)
{
    map_fini(&ledger->map);
    moves_fini(&ledger->moves);
    history_fini(&ledger->recent);
    free(ledger->cuts.bounds);
    ledger->cuts = (struct cuts){0};
}

static void cuts_copy(const struct cuts *cuts, struct cuts *copy)
{
    *copy = (struct cuts){memory_get(cuts->count + 1, sizeof(*cuts->bounds)), cuts->count};
    if (cuts->count > 0) {
        memcpy(copy->bounds, cuts->bounds, cuts->count * sizeof(*cuts->bounds));
    }
}

void ledger_copy(const struct ledger *ledger, struct ledger *copy)
{
    struct map map;
    memory_must(map_copy(&ledger->map, &map));
    *copy = *ledger;
    copy->map = map;
    moves_copy(&ledger->moves, &copy->moves);
    history_copy(&ledger->recent, &copy->recent);
    cuts_copy(&ledger->cuts, &copy->cuts);
}

/* Its place, or that of the next higher one. */
static uint32_t cuts_place(const struct cuts *cuts, uint64_t bound)
{
    uint32_t i = 0;
    while (i < cuts->count && cuts->bounds[i] < bound) {
        i++;
    }
    return i;
}

bool cuts_has(const struct cuts *cuts, uint64_t bound)
{
    uint32_t i = cuts_place(cuts, bound);
    return i < cuts->count && cuts->bounds[i] == bound;
}

void cuts_add(struct cuts *cuts, uint64_t bound)
{
    uint32_t i = cuts_place(cuts, bound);
    if (cuts_has(cuts, bound)) {
        return;
    }
    cuts->bounds = memory_resize(cuts->bounds, cuts->count + 1, sizeof(*cuts->bounds));
    memmove(cuts->bounds + i + 1, cuts->bounds + i, (cuts->count - i) * sizeof(*cuts->bounds));
    cuts->bounds[i] = bound;
    cuts->count++;
}

void cuts_drop(struct cuts *cuts, uint64_t bound)
{
    uint32_t i = cuts_place(cuts, bound);
    if (cuts_has(cuts, bound)) {
        cuts->count--;
        memmove(cuts->bounds + i, cuts->bounds + i + 1, (cuts->count - i) * sizeof(*cuts->bounds));
    }
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
    moves_pack(&ledger->moves, out);
    pack_uint(out, ledger->move_count);
    pack_array(out, ledger->cuts.count);
    for (uint32_t i = 0; i < ledger->cuts.count; i++) {
        pack_uint(out, ledger->cuts.bounds[i]);
    }
    history_pack(&ledger->recent, out);
    pack_uint(out, ledger->history_count);
}

static void unpack_cuts(struct unpack *in, struct cuts *cuts)
{
    uint32_t count = unpack_array(in);
    if (count > MAP_SHARDS_MAX) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        cuts_add(cuts, unpack_uint(in));
    }
}

/* What a ledger of the first version does not have. */
static void unpack_work(struct unpack *in, struct ledger *ledger)
{
    if (!moves_unpack(in, MOVES_MAX, &ledger->moves)) {
        return;
    }
    ledger->move_count = unpack_uint(in);
    unpack_cuts(in, &ledger->cuts);
    if (history_unpack(in, &ledger->recent)) {
        ledger->history_count = unpack_uint(in);
    }
}

bool ledger_unpack(struct bytes packed, struct ledger *ledger, struct map_error *error)
{
    struct unpack in = unpack_of(packed);
    struct ledger read = {0};
    uint32_t field_count = unpack_array(&in);
    if (field_count < LEDGER_FIELDS_MIN) {
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
    uint32_t known_count = LEDGER_FIELDS_MIN;
    if (field_count >= LEDGER_FIELDS) {
        known_count = LEDGER_FIELDS;
        unpack_work(&in, &read);
    }
    for (uint32_t i = known_count; i < field_count; i++) {
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
