/* SPDX-License-Identifier: MIT */
#include "bootstrapd/admission.h"

#include <stdlib.h>

#include "proto/noun.h"

static void say_server(struct text *why, const struct cluster *cluster,
                       const uint8_t server[ID_LEN])
{
    const struct map_server *known = map_find_server(&cluster_ledger(cluster)->map, server);
    text_set(why, "server ");
    if (known) {
        text_add_address(why, &known->address);
    } else {
        text_add_id(why, server);
    }
}

static enum status check_server(const struct cluster *cluster, const uint8_t server[ID_LEN],
                                struct text *why)
{
    if (!map_find_server(&cluster_ledger(cluster)->map, server)) {
        say_server(why, cluster, server);
        text_add(why, " is not known");
        return STATUS_DENIED;
    }
    if (!cluster_is_up(cluster, server)) {
        const struct site *site = cluster_server_site(cluster, server);
        say_server(why, cluster, server);
        text_add(why, ": %s", site ? site_state_text(site->state) : "down");
        return STATUS_TRY_LATER;
    }
    return STATUS_OK;
}

/* Sizes of what it owns, and of what is on its way there; without the range itself. */
static uint64_t planned_size(const struct cluster *cluster, const struct move *move)
{
    const struct ledger *ledger = cluster_ledger(cluster);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < ledger->map.entry_count; i++) {
        const struct map_entry *entry = &ledger->map.entries[i];
        bool comes = entry->move.phase == MOVE_COPY && entry->move.id != move->id &&
                     id_bytes_equal(entry->move.target, move->target);
        sum += id_bytes_equal(entry->server, move->target) || comes ? entry->size : 0;
    }
    return sum;
}

static uint64_t part_of(uint64_t whole, const struct move *move, const struct map_entry *entry)
{
    return (uint64_t)((double)whole *
                      ((double)(move->end - move->start) / (double)(entry->end - entry->start)));
}

static enum status check_capacity(const struct cluster *cluster, const struct move *move,
                                  const struct map_entry *entry, struct text *why)
{
    const struct map_server *target = map_find_server(&cluster_ledger(cluster)->map, move->target);
    uint64_t planned_bytes = planned_size(cluster, move);
    uint64_t size = part_of(entry->size, move, entry);
    if (target->capacity > 0 && planned_bytes + size > target->capacity) {
        char sizes[2][SIZE_TEXT_LEN];
        size_print(target->capacity, sizes[0]);
        size_print(planned_bytes + size, sizes[1]);
        say_server(why, cluster, move->target);
        text_add(why, ": has a capacity of %s, and its shards would have %s", sizes[0], sizes[1]);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

/* The tree's pages are fuller than half, and what comes is in the log, too, for a while. */
static enum status check_disk(const struct cluster *cluster, const struct move *move,
                              const struct map_entry *entry, struct text *why)
{
    const struct site *target = cluster_server_site(cluster, move->target);
    const struct site_numbers *numbers = &target->numbers;
    uint64_t records = 0;
    uint64_t bytes = 0;
    if (!numbers->is_there || !cluster_count(cluster, entry, false, &records, &bytes)) {
        return STATUS_OK;
    }
    uint64_t needed = 2 * part_of(bytes, move, entry);
    uint64_t room = numbers->disk_free_bytes + numbers->tree_reusable_bytes;
    if (!numbers->is_disk_full && room >= needed) {
        return STATUS_OK;
    }
    room = numbers->is_disk_full ? 0 : room;
    say_server(why, cluster, move->target);
    text_add(why, ": its disk has room for %llu %s, and %llu %s needed", (unsigned long long)room,
             noun_of(room, "byte", "bytes"), (unsigned long long)needed,
             noun_of(needed, "is", "are"));
    return STATUS_DENIED;
}

/* By how much its clock, or its last stamp, is before this clock (RULES V9). */
static int64_t clock_ahead_ms(const struct site *site)
{
    return (int64_t)site->hello.now_ms - (int64_t)site->hello.heard_ms;
}

static int64_t stamp_ahead_ms(const struct site *site)
{
    return (int64_t)(site->hello.stamp >> 16) - (int64_t)site->hello.heard_ms;
}

static enum status check_clocks(const struct cluster *cluster, const struct move *move,
                                struct text *why)
{
    const struct site *source = cluster_server_site(cluster, move->source);
    const struct site *target = cluster_server_site(cluster, move->target);
    int64_t clock_ms = llabs(clock_ahead_ms(source) - clock_ahead_ms(target));
    int64_t stamp_ms = stamp_ahead_ms(source) - clock_ahead_ms(target);
    text_clear(why);
    if (source->hello.now_ms == 0 || target->hello.now_ms == 0 || move->try_count > 0) {
        return STATUS_OK;
    }
    if (clock_ms > ADMISSION_CLOCK_TOLD_MS) {
        text_set(why, "the clocks of source and target are %lld ms apart", (long long)clock_ms);
    } else if (stamp_ms > ADMISSION_STAMP_TOLD_MS) {
        text_set(why, "the source's last stamp is %lld ms ahead of the target's clock",
                 (long long)stamp_ms);
    }
    bool is_too_far =
        clock_ms > ADMISSION_CLOCK_REFUSED_MS || stamp_ms > ADMISSION_STAMP_REFUSED_MS;
    return is_too_far && !move->is_forced ? STATUS_DENIED : STATUS_OK;
}

enum status admission_check(const struct cluster *cluster, const struct move *move,
                            struct text *why)
{
    const struct map *map = &cluster_ledger(cluster)->map;
    const struct map_entry *entry = move_find_entry(move, map);
    enum status status = check_server(cluster, move->source, why);
    if (status == STATUS_OK) {
        status = check_server(cluster, move->target, why);
    }
    if (status == STATUS_OK && entry) {
        status = check_capacity(cluster, move, entry, why);
    }
    if (status == STATUS_OK && entry) {
        status = check_disk(cluster, move, entry, why);
    }
    return status == STATUS_OK ? check_clocks(cluster, move, why) : status;
}
