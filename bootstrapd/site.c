/* SPDX-License-Identifier: MIT */
#include "bootstrapd/site.h"

#include <assert.h>

const char *site_state_text(enum site_state state)
{
    switch (state) {
    case SITE_DOWN:
        return "down";
    case SITE_UP:
        return "up";
    case SITE_DATA_MISSING:
        return "data missing";
    case SITE_WRONG_CLUSTER:
        return "wrong cluster";
    case SITE_REFUSED:
        return "refused";
    }
    assert(false);
    return "";
}

const struct map_entry *site_entry(const struct site *site, const struct site_entries *entries,
                                   uint32_t i)
{
    assert(i < site->entry_count);
    return &entries->map->entries[entries->order[site->first + i]];
}

static bool is_bound_to(const struct map_entry *entry, const uint8_t server[ID_LEN])
{
    return memcmp(entry->server, server, ID_LEN) == 0;
}

bool site_is_bound(const struct site *site, const struct site_entries *entries)
{
    for (uint32_t i = 0; i < site->entry_count; i++) {
        if (is_bound_to(site_entry(site, entries, i), site->hello.server)) {
            return true;
        }
    }
    return false;
}

static enum site_state state_of_refusal(enum status refusal)
{
    switch ((uint32_t)refusal) {
    case STATUS_WRONG_CLUSTER:
        return SITE_WRONG_CLUSTER;
    case STATUS_DATA_MISSING:
        return SITE_DATA_MISSING;
    case STATUS_TRY_LATER:
    case STATUS_SHUTTING_DOWN:
        return SITE_DOWN;
    default:
        return SITE_REFUSED;
    }
}

static enum site_state judge_cluster(const struct site *site, const struct map *map,
                                     struct text *problem)
{
    const uint8_t *theirs = site->hello.cluster;
    if (id_bytes_is_zero(theirs) || memcmp(theirs, map->cluster, ID_LEN) == 0) {
        return SITE_UP;
    }
    text_add(problem, "has data of cluster ");
    text_add_id(problem, theirs);
    text_add(problem, "; this is cluster ");
    text_add_id(problem, map->cluster);
    return SITE_WRONG_CLUSTER;
}

/* Whether it is bound, and its data is not at the site. */
static bool is_missing(const struct site *site, const struct site_entries *entries, uint32_t i)
{
    const struct map_entry *entry = site_entry(site, entries, i);
    if (is_bound_to(entry, site->hello.server)) {
        return entries->reports[entry - entries->map->entries].missing == entry->epoch;
    }
    return !id_bytes_is_zero(entry->server);
}

static void say_missing(const struct site *site, const struct map_entry *missing,
                        struct text *problem)
{
    if (is_bound_to(missing, site->hello.server)) {
        text_add(problem, "the server is the right one, and its data is gone");
    } else {
        text_add(problem, "the data is on server ");
        text_add_id(problem, missing->server);
        text_add(problem, ", and server ");
        text_add_id(problem, site->hello.server);
        text_add(problem, " answers here");
    }
    text_add(problem,
             ": bring its data directory back, or give the data up with: "
             "shardkv shard reset %s --accept-loss; ",
             missing->name);
}

static enum site_state judge_data(const struct site *site, const struct site_entries *entries,
                                  struct text *problem)
{
    /* A long list of names, behind the rest, must not push out what is to be done. */
    struct text names = {{0}};
    const struct map_entry *missing = NULL;
    for (uint32_t i = 0; i < site->entry_count; i++) {
        if (is_missing(site, entries, i)) {
            const struct map_entry *entry = site_entry(site, entries, i);
            text_add(&names, "%s%s", missing ? ", " : "not here: ", entry->name);
            missing = missing ? missing : entry;
        }
    }
    if (!missing) {
        return SITE_UP;
    }
    say_missing(site, missing, problem);
    text_add(problem, "%s", names.chars);
    return SITE_DATA_MISSING;
}

static bool is_old_copy(const struct site_hello *hello, const struct map_server *known)
{
    bool is_other_start = hello->incarnation == known->incarnation && known->start != 0 &&
                          hello->start != known->start;
    return hello->is_restored || is_other_start || hello->incarnation < known->incarnation;
}

static void say_restored(const struct site *site, const struct site_entries *entries,
                         const struct map_server *known, struct text *problem)
{
    const char *name = "NAME";
    for (uint32_t i = site->entry_count; i > 0; i--) {
        const struct map_entry *entry = site_entry(site, entries, i - 1);
        name = is_bound_to(entry, site->hello.server) ? entry->name : name;
    }
    text_add(
        problem,
        "an old copy of its data was restored: incarnation %llu was seen here, this is %llu%s; "
        "bring the newer data back, or take it as it is with: shardkv shard reset %s "
        "--accept-loss",
        (unsigned long long)known->incarnation, (unsigned long long)site->hello.incarnation,
        site->hello.incarnation < known->incarnation ? "" : ", of another history", name);
}

/* One with shards that another one has is judged by their data. */
static enum site_state judge_stranger(const struct site *site, const struct map *map,
                                      struct text *problem)
{
    for (uint32_t i = 0; i < map->server_count && site->entry_count == 0; i++) {
        if (address_equal(&map->servers[i].address, &site->address)) {
            text_add(problem, "server ");
            text_add_id(problem, site->hello.server);
            text_add(problem, " answers here, where the map has server ");
            text_add_id(problem, map->servers[i].id);
            text_add(problem, ", which owns nothing: remove that one to add this one");
            return SITE_REFUSED;
        }
    }
    return SITE_UP;
}

static enum site_state judge_server(struct site *site, const struct site_entries *entries,
                                    struct text *problem)
{
    const struct map_server *known = map_find_server(entries->map, site->hello.server);
    if (!known) {
        return judge_stranger(site, entries->map, problem);
    }
    if (!address_equal(&known->address, &site->address)) {
        text_add(problem, "server ");
        text_add_id(problem, known->id);
        text_add(problem, " answers here, which the map has at ");
        text_add_address(problem, &known->address);
        text_add(problem, ": a server has one address");
        return SITE_REFUSED;
    }
    if (is_old_copy(&site->hello, known)) {
        site->is_restored = true;
        say_restored(site, entries, known, problem);
        return SITE_REFUSED;
    }
    return SITE_UP;
}

static enum site_state judge_hello(struct site *site, const struct site_entries *entries,
                                   struct text *problem)
{
    enum site_state state = judge_cluster(site, entries->map, problem);
    if (state == SITE_UP) {
        state = judge_server(site, entries, problem);
    }
    site->is_accepted = state == SITE_UP;
    if (state == SITE_UP) {
        state = judge_data(site, entries, problem);
    }
    if (state == SITE_UP && site->refusal != STATUS_OK) {
        *problem = site->reason;
        state = state_of_refusal(site->refusal);
    }
    return state;
}

void site_judge(struct site *site, const struct site_entries *entries)
{
    struct text problem = {{0}};
    enum site_state state = SITE_DOWN;
    site->is_accepted = false;
    site->is_restored = false;
    switch (site->contact) {
    case CONTACT_NONE:
        problem = site->reason;
        break;
    case CONTACT_REFUSED:
        problem = site->reason;
        state = state_of_refusal(site->refusal);
        break;
    case CONTACT_HELLO:
        state = judge_hello(site, entries, &problem);
        break;
    }
    if (state != site->state || !text_equal(&problem, &site->problem)) {
        site->is_unsaid = true;
    }
    site->state = state;
    site->problem = problem;
}
