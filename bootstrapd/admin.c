/* SPDX-License-Identifier: MIT */
#include "bootstrapd/admin.h"

#include "proto/hash.h"
#include "proto/point.h"

static bool is_behind(const struct cluster *cluster, struct text *why)
{
    *why = *cluster_behind(cluster);
    return !text_is_empty(why);
}

/* --- apply --- */

static enum status check_origin(const struct map *present, const struct map *wanted,
                                struct text *why)
{
    if (wanted->origin_ms != present->origin_ms) {
        text_set(why, "origin_ms: is chosen once, %llu: ids count from it",
                 (unsigned long long)present->origin_ms);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

/* Both tile the circle: where one has more entries, a bound differs before the other one ends. */
static enum status check_bounds(const struct map *present, const struct map *wanted,
                                struct text *why)
{
    for (uint32_t i = 0; i < present->entry_count && i < wanted->entry_count; i++) {
        const struct map_entry *old = &present->entries[i];
        const struct map_entry *new = &wanted->entries[i];
        if (old->start != new->start || old->end != new->end) {
            char bounds[4][BOUND_TEXT_LEN];
            bound_print(new->start, bounds[0]);
            bound_print(new->end, bounds[1]);
            bound_print(old->start, bounds[2]);
            bound_print(old->end, bounds[3]);
            text_set(why,
                     "shard %s: bounds %s to %s, and the map has %s from %s to %s: points change "
                     "servers with shardkv move",
                     new->name, bounds[0], bounds[1], old->name, bounds[2], bounds[3]);
            return STATUS_DENIED;
        }
    }
    return STATUS_OK;
}

/* The owner is its id; an address may change with it, but not to where another server is. */
static enum status check_owner(const struct cluster *cluster, const struct map_entry *old,
                               const struct map_entry *new, struct text *why)
{
    bool is_bound = !id_bytes_is_zero(old->server);
    if (is_bound && !address_equal(&old->address, &new->address) &&
        cluster_find_site(cluster, &new->address)) {
        text_set(why, "shard %s: ", new->name);
        text_add_address(why, &new->address);
        text_add(why, " is another server: give the shard to it with shardkv move");
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

static void say_change(struct plan *plan, const char *name, const char *what,
                       const struct text *from, const struct text *to)
{
    struct text line = {{0}};
    text_set(&line, "shard %s: %s %s -> %s", name, what, from->chars, to->chars);
    plan_say(plan, &line);
}

static void apply_address(struct plan *plan, struct map_entry *entry, const struct address *address)
{
    struct text from = {{0}};
    struct text to = {{0}};
    if (address_equal(&entry->address, address)) {
        return;
    }
    text_add_address(&from, &entry->address);
    text_add_address(&to, address);
    entry->address = *address;
    plan_touch(plan, entry);
    say_change(plan, entry->name, "address", &from, &to);
}

static void apply_size(struct plan *plan, struct map_entry *entry, uint64_t size)
{
    char printed[2][SIZE_TEXT_LEN];
    struct text from = {{0}};
    struct text to = {{0}};
    if (entry->size == size) {
        return;
    }
    size_print(entry->size, printed[0]);
    size_print(size, printed[1]);
    text_set(&from, "%s", printed[0]);
    text_set(&to, "%s", printed[1]);
    entry->size = size;
    plan_touch(plan, entry);
    say_change(plan, entry->name, "size", &from, &to);
}

static void apply_when_full(struct plan *plan, struct map_entry *entry, enum when_full when_full)
{
    static const char *const words[] = {[WHEN_FULL_REJECT] = "reject", [WHEN_FULL_EVICT] = "evict"};
    struct text from = {{0}};
    struct text to = {{0}};
    if (entry->when_full == when_full) {
        return;
    }
    text_set(&from, "%s", words[entry->when_full]);
    text_set(&to, "%s", words[when_full]);
    entry->when_full = when_full;
    plan_touch(plan, entry);
    say_change(plan, entry->name, "when_full", &from, &to);
}

static void apply_name(struct plan *plan, struct map_entry *entry, const char *name)
{
    struct text from = {{0}};
    struct text to = {{0}};
    if (strcmp(entry->name, name) == 0) {
        return;
    }
    text_set(&from, "%s", entry->name);
    text_set(&to, "%s", name);
    memcpy(entry->name, name, sizeof(entry->name));
    plan_touch(plan, entry);
    say_change(plan, from.chars, "name", &from, &to);
}

/* The shards of one server change address together, and no two servers come to one address. */
static enum status place_servers(struct plan *plan, struct text *why)
{
    struct map *next = &plan->next.map;
    for (uint32_t i = 0; i < next->entry_count; i++) {
        const struct map_entry *entry = &next->entries[i];
        const struct map_server *known = map_find_server(next, entry->server);
        if (!known || address_equal(&known->address, &entry->address)) {
            continue;
        }
        for (uint32_t j = 0; j < next->entry_count; j++) {
            const struct map_entry *other = &next->entries[j];
            if (!id_bytes_is_zero(other->server) &&
                id_bytes_equal(entry->server, other->server) !=
                    address_equal(&entry->address, &other->address)) {
                text_set(why, "shards %s and %s: ", entry->name, other->name);
                text_add(why, id_bytes_equal(entry->server, other->server)
                                  ? "are on one server, so both have its address"
                                  : "are on two servers, which cannot have one address");
                return STATUS_DENIED;
            }
        }
        struct map_server moved = *known;
        moved.address = entry->address;
        plan_set_server(plan, &moved);
    }
    return STATUS_OK;
}

static enum status apply_entries(const struct cluster *cluster, const struct map *wanted,
                                 struct plan *plan, struct text *why)
{
    struct map *next = &plan->next.map;
    for (uint32_t i = 0; i < next->entry_count; i++) {
        struct map_entry *entry = &next->entries[i];
        const struct map_entry *new = &wanted->entries[i];
        enum status status = check_owner(cluster, entry, new, why);
        if (status != STATUS_OK) {
            return status;
        }
        apply_name(plan, entry, new->name);
        apply_size(plan, entry, new->size);
        apply_when_full(plan, entry, new->when_full);
        apply_address(plan, entry, &new->address);
    }
    return place_servers(plan, why);
}

static enum status apply_map(const struct cluster *cluster, const struct map *wanted,
                             struct plan *plan, struct text *why)
{
    const struct map *present = &cluster_ledger(cluster)->map;
    enum status status = check_origin(present, wanted, why);
    if (status == STATUS_OK) {
        status = check_bounds(present, wanted, why);
    }
    struct map_error error;
    if (status == STATUS_OK && !ledger_check_addresses(wanted, &error)) {
        text_set(why, "%s", error.text);
        status = STATUS_INVALID;
    }
    return status == STATUS_OK ? apply_entries(cluster, wanted, plan, why) : status;
}

enum status admin_plan_apply(const struct cluster *cluster, struct bytes json, struct plan *plan,
                             struct text *why)
{
    struct map wanted;
    struct map_error error;
    if (is_behind(cluster, why)) {
        return STATUS_DENIED;
    }
    if (!map_parse(json, &wanted, &error)) {
        text_set(why, "%s", error.text);
        return STATUS_INVALID;
    }
    plan_begin(plan, cluster_ledger(cluster));
    enum status status = apply_map(cluster, &wanted, plan, why);
    if (status == STATUS_OK) {
        plan->next.applied_hash = hash_bytes(json);
    } else {
        plan_fini(plan);
    }
    map_fini(&wanted);
    return status;
}

/* --- reset --- */

static enum status check_lost(const struct cluster *cluster, const struct site *site,
                              const struct map_entry *entry, struct text *why)
{
    text_set(why, "shard %s: ", entry->name);
    if (site->contact != CONTACT_HELLO) {
        text_add(why, "the server that shall have it does not answer at ");
        text_add_address(why, &site->address);
        text_add(why, ": %s", site->problem.chars);
        return STATUS_TRY_LATER;
    }
    if (site->is_restored && id_bytes_equal(entry->server, site->hello.server)) {
        return STATUS_OK;
    }
    if (!site->is_accepted) {
        text_add(why, "the server at its address cannot have it: %s", site->problem.chars);
        return STATUS_DENIED;
    }
    bool is_elsewhere = !id_bytes_equal(entry->server, site->hello.server);
    if (id_bytes_is_zero(entry->server) || (!is_elsewhere && !cluster_is_missing(cluster, entry))) {
        text_add(why, "its data is not missing; there is nothing to reset");
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

static void plan_reset(struct plan *plan, struct map_entry *entry, const struct site *site)
{
    uint8_t lost[ID_LEN];
    struct text line = {{0}};
    struct map_server server = {.address = site->address,
                                .incarnation = site->hello.incarnation,
                                .start = site->hello.start};
    memcpy(lost, entry->server, ID_LEN);
    memcpy(server.id, site->hello.server, ID_LEN);
    memcpy(entry->server, site->hello.server, ID_LEN);
    entry->is_new = true;
    entry->move = (struct map_move){0};
    plan_touch(plan, entry);
    plan_set_server(plan, &server);
    plan_drop_idle_server(plan, lost);
    text_set(&line, "shard %s: reset, its data on server ", entry->name);
    text_add_id(&line, lost);
    text_add(&line, " is given up; empty on server ");
    text_add_id(&line, entry->server);
    plan_say(plan, &line);
}

/* From the next hello on, what is there is what was seen: with all the shards that are on it. */
static void plan_accept(struct plan *plan, const struct site *site)
{
    struct text line = {{0}};
    struct map_server server = {.address = site->address,
                                .incarnation = site->hello.incarnation,
                                .start = site->hello.start};
    memcpy(server.id, site->hello.server, ID_LEN);
    plan_set_server(plan, &server);
    text_set(&line, "server ");
    text_add_id(&line, server.id);
    text_add(&line, " at ");
    text_add_address(&line, &server.address);
    text_add(&line, ": its restored copy is taken as it is, for all its shards; what was written "
                    "since is given up");
    plan_say(plan, &line);
}

enum status admin_plan_reset(const struct cluster *cluster, struct bytes name, struct plan *plan,
                             struct text *why)
{
    const struct map *map = &cluster_ledger(cluster)->map;
    if (is_behind(cluster, why)) {
        return STATUS_DENIED;
    }
    const struct map_entry *entry = map_find_name(map, name);
    if (!entry) {
        text_set(why, "no shard has the name ");
        text_add_foreign(why, name);
        return STATUS_INVALID;
    }
    if (entry->move.phase != MOVE_NONE && entry->move.phase != MOVE_ABORTED) {
        text_set(why, "shard %s: a move of it goes on: abort or undo that first", entry->name);
        return STATUS_DENIED;
    }
    const struct site *site = cluster_find_site(cluster, &entry->address);
    enum status status = check_lost(cluster, site, entry, why);
    if (status == STATUS_OK) {
        plan_begin(plan, cluster_ledger(cluster));
        if (site->is_restored) {
            plan_accept(plan, site);
        } else {
            plan_reset(plan, &plan->next.map.entries[entry - map->entries], site);
        }
    }
    return status;
}
