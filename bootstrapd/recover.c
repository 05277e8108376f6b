/* SPDX-License-Identifier: MIT */
#include "bootstrapd/recover.h"

#include <stdlib.h>

#include "io/memory.h"
#include "proto/noun.h"
#include "proto/point.h"

struct recovery {
    const struct cluster *cluster;
    const struct recover_answers *answers;
    uint64_t now_ms;
    uint64_t revision; /* the highest that was seen, epochs included */
    uint64_t term;     /* likewise */
    struct map joined;
    struct map_error error; /* empty: `joined` is a map */
    struct text missing;    /* empty: none */
    bool is_anyone_there;   /* of those that the lists name */
    struct plan *plan;
};

void recover_answers_fini(struct recover_answers *answers)
{
    for (uint32_t i = 0; i < answers->count; i++) {
        map_fini(&answers->items[i].map);
    }
    free(answers->items);
    *answers = (struct recover_answers){0};
}

static const struct map *own_map(const struct recovery *recovery)
{
    return &cluster_ledger(recovery->cluster)->map;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* --- what was seen --- */

static void look(struct recovery *recovery)
{
    recovery->revision =
        higher(own_map(recovery)->revision, cluster_seen_revision(recovery->cluster));
    recovery->term =
        higher(cluster_ledger(recovery->cluster)->term, cluster_seen_term(recovery->cluster));
    for (uint32_t i = 0; i < recovery->answers->count; i++) {
        const struct recover_answer *answer = &recovery->answers->items[i];
        recovery->revision = higher(recovery->revision, answer->hello.epoch);
        recovery->revision = higher(recovery->revision, answer->hello.revision);
        recovery->revision = higher(recovery->revision, answer->map.revision);
        recovery->term = higher(recovery->term, answer->hello.term);
    }
}

static bool find_other(const struct recovery *recovery, struct text *why)
{
    for (uint32_t i = 0; i < recovery->answers->count; i++) {
        const struct recover_answer *answer = &recovery->answers->items[i];
        if (!id_bytes_is_zero(answer->hello.at_work) &&
            !id_bytes_equal(answer->hello.at_work, own_map(recovery)->instance)) {
            text_set(why, "another bootstrapd is at work at server ");
            text_add_address(why, &answer->address);
            text_add(why, " (instance ");
            text_add_id(why, answer->hello.at_work);
            text_add(why, "): use that one, or stop it first");
            return true;
        }
    }
    return false;
}

static bool is_newer(const struct map *own, const struct map *other)
{
    struct map copy;
    memory_must(map_copy(own, &copy));
    bool is_newer = map_take_all(&copy, other) != MAP_TOOK_NOTHING;
    map_fini(&copy);
    return is_newer;
}

static bool is_behind(const struct recovery *recovery)
{
    bool is_behind = !text_is_empty(cluster_behind(recovery->cluster)) ||
                     recovery->revision > own_map(recovery)->revision ||
                     recovery->term > cluster_ledger(recovery->cluster)->term;
    for (uint32_t i = 0; i < recovery->answers->count && !is_behind; i++) {
        is_behind = is_newer(own_map(recovery), &recovery->answers->items[i].map);
    }
    return is_behind;
}

/* --- joining --- */

/* NULL: none has a map. */
static const struct map *newest_map(const struct recover_answers *answers)
{
    const struct map *newest = NULL;
    for (uint32_t i = 0; i < answers->count; i++) {
        const struct map *map = &answers->items[i].map;
        if (map->revision > 0 && (!newest || map->revision > newest->revision)) {
            newest = map;
        }
    }
    return newest;
}

static void fault(struct recovery *recovery, const char *text)
{
    move_set_text(recovery->error.text, sizeof(recovery->error.text), text);
}

static void take(struct recovery *recovery, const struct map *map)
{
    const struct map *own = own_map(recovery);
    if (!id_bytes_equal(map->cluster, own->cluster) || map->origin_ms != own->origin_ms) {
        fault(recovery, "a server has the map of another cluster");
    } else if (map_take_all(&recovery->joined, map) == MAP_TOOK_NO_MEMORY) {
        fault(recovery, "what the servers hold is in too many pieces");
    }
}

static struct map_server *find_server(const struct map *map, const uint8_t id[ID_LEN])
{
    for (uint32_t i = 0; i < map->server_count; i++) {
        if (id_bytes_equal(map->servers[i].id, id)) {
            return &map->servers[i];
        }
    }
    return NULL;
}

/* The last start that was seen (RULES M4): an older map than the newest has none that is later, but the own one may. */
static void raise_starts(struct map *joined, const struct map *map)
{
    for (uint32_t i = 0; i < map->server_count; i++) {
        const struct map_server *seen = &map->servers[i];
        struct map_server *server = find_server(joined, seen->id);
        if (server && server->incarnation < seen->incarnation) {
            server->incarnation = seen->incarnation;
            server->start = seen->start;
        }
    }
}

/* Who owns something is where the list of servers has him. */
static void place_entries(struct recovery *recovery)
{
    struct map *joined = &recovery->joined;
    for (uint32_t i = 0; i < joined->entry_count; i++) {
        struct map_entry *entry = &joined->entries[i];
        const struct map_server *owner = find_server(joined, entry->server);
        bool is_moving = entry->move.phase != MOVE_NONE;
        if ((!owner && !id_bytes_is_zero(entry->server)) ||
            (is_moving && (!find_server(joined, entry->move.source) ||
                           !find_server(joined, entry->move.target)))) {
            fault(recovery, "a shard is of a server that no list of servers has");
        } else if (owner) {
            entry->address = owner->address;
        }
    }
}

/* Servers first: what they have taken of an epoch, they act on. */
static void join(struct recovery *recovery)
{
    const struct recover_answers *answers = recovery->answers;
    const struct map *own = own_map(recovery);
    const struct map *newest = newest_map(answers);
    memory_must(map_copy(newest ? newest : own, &recovery->joined));
    for (uint32_t i = 0; i < answers->count; i++) {
        if (answers->items[i].map.revision > 0) {
            take(recovery, &answers->items[i].map);
        }
    }
    take(recovery, own);
    raise_starts(&recovery->joined, own);
    if (!recovery->error.text[0]) {
        place_entries(recovery);
    }
    if (!recovery->error.text[0]) {
        (void)map_check(&recovery->joined, &recovery->error);
    }
}

/* --- who is not there --- */

static bool is_server_there(const struct recover_answers *answers, const uint8_t id[ID_LEN])
{
    for (uint32_t i = 0; i < answers->count; i++) {
        if (answers->items[i].is_there && id_bytes_equal(answers->items[i].hello.server, id)) {
            return true;
        }
    }
    return false;
}

static bool is_address_there(const struct recover_answers *answers, const struct address *address)
{
    for (uint32_t i = 0; i < answers->count; i++) {
        if (answers->items[i].is_there && address_equal(&answers->items[i].address, address)) {
            return true;
        }
    }
    return false;
}

static void miss(struct recovery *recovery, const struct address *address)
{
    text_add(&recovery->missing, "%s", text_is_empty(&recovery->missing) ? "" : ", ");
    text_add_address(&recovery->missing, address);
}

static void seek_server(struct recovery *recovery, const struct map_server *server)
{
    if (is_server_there(recovery->answers, server->id)) {
        recovery->is_anyone_there = true;
    } else {
        char id[ID_TEXT_LEN];
        id_bytes_print(server->id, id);
        miss(recovery, &server->address);
        text_add(&recovery->missing, " (%.8s)", id);
    }
}

/* Of an entry that no server is bound to yet. */
static void seek_address(struct recovery *recovery, const struct address *address)
{
    if (is_address_there(recovery->answers, address)) {
        recovery->is_anyone_there = true;
    } else {
        miss(recovery, address);
    }
}

static void find_missing(struct recovery *recovery)
{
    const struct map *own = own_map(recovery);
    const struct map *joined = &recovery->joined;
    for (uint32_t i = 0; i < joined->server_count; i++) {
        seek_server(recovery, &joined->servers[i]);
    }
    for (uint32_t i = 0; i < own->server_count; i++) {
        if (!map_find_server(joined, own->servers[i].id)) {
            seek_server(recovery, &own->servers[i]);
        }
    }
    for (uint32_t i = 0; i < joined->entry_count; i++) {
        const struct map_entry *entry = &joined->entries[i];
        if (id_bytes_is_zero(entry->server)) {
            seek_address(recovery, &entry->address);
        }
    }
}

/* --- the plan --- */

static void say_recovered(struct recovery *recovery)
{
    struct text line;
    uint32_t there_count = 0;
    for (uint32_t i = 0; i < recovery->answers->count; i++) {
        there_count += recovery->answers->items[i].map.revision > 0;
    }
    text_set(&line, "recovered from the servers: %u %s, up to revision %llu; this map was of %llu",
             there_count, noun_of(there_count, "map", "maps"),
             (unsigned long long)recovery->revision,
             (unsigned long long)own_map(recovery)->revision);
    plan_say(recovery->plan, &line);
    if (!text_is_empty(&recovery->missing)) {
        text_set(&line, "given up: what only these servers knew, which were not there: %s",
                 recovery->missing.chars);
        plan_say(recovery->plan, &line);
    }
}

static bool is_same_range(const struct map_entry *entry, const struct map_entry *own)
{
    return own && own->start == entry->start && own->end == entry->end;
}

static bool is_same_owner(const struct map_entry *entry, const struct map_entry *own)
{
    return id_bytes_equal(own->server, entry->server) &&
           address_equal(&own->address, &entry->address);
}

static bool is_same_move(const struct map_move *move, const struct map_move *own)
{
    return own->phase == move->phase && own->id == move->id &&
           id_bytes_equal(own->source, move->source) && id_bytes_equal(own->target, move->target);
}

/* All fields: a copy that was changed and the lost map may have given one epoch to different entries. */
static bool is_same(const struct map_entry *entry, const struct map_entry *own)
{
    return is_same_range(entry, own) && own->epoch == entry->epoch && is_same_owner(entry, own) &&
           strcmp(own->name, entry->name) == 0 && own->size == entry->size &&
           own->when_full == entry->when_full && own->is_new == entry->is_new &&
           is_same_move(&entry->move, &own->move);
}

static void add_change(struct text *line, const char *what, const char *from, const char *to)
{
    if (strcmp(from, to) != 0) {
        text_add(line, ", %s %s -> %s", what, from, to);
    }
}

static const char *when_full_text(const struct map_entry *entry)
{
    return entry->when_full == WHEN_FULL_EVICT ? "evict" : "reject";
}

/* What the copy had: of a part of a range, or of several, it would mislead. */
static void add_changes(struct text *line, const struct map_entry *entry,
                        const struct map_entry *own)
{
    char sizes[2][SIZE_TEXT_LEN];
    size_print(own->size, sizes[0]);
    size_print(entry->size, sizes[1]);
    add_change(line, "name", own->name, entry->name);
    add_change(line, "size", sizes[0], sizes[1]);
    add_change(line, "when_full", when_full_text(own), when_full_text(entry));
    add_change(line, "new", own->is_new ? "true" : "false", entry->is_new ? "true" : "false");
    add_change(line, "move", move_phase_text(own->move.phase), move_phase_text(entry->move.phase));
}

/* `own`: what the copy has where it begins, or NULL. */
static void say_entry(struct recovery *recovery, const struct map_entry *entry,
                      const struct map_entry *own)
{
    struct text line;
    char bounds[2][BOUND_TEXT_LEN];
    char size[SIZE_TEXT_LEN];
    bound_print(entry->start, bounds[0]);
    bound_print(entry->end, bounds[1]);
    size_print(entry->size, size);
    text_set(&line, "shard %s: %s to %s, %s, on server ", entry->name, bounds[0], bounds[1], size);
    text_add_address(&line, &entry->address);
    text_add(&line, ", as of revision %llu", (unsigned long long)entry->epoch);
    if (is_same_range(entry, own)) {
        add_changes(&line, entry, own);
    }
    plan_say(recovery->plan, &line);
}

/* Before they are touched. */
static void say_changes(struct recovery *recovery)
{
    const struct map *own = own_map(recovery);
    const struct map *joined = &recovery->plan->next.map;
    for (uint32_t i = 0; i < joined->entry_count; i++) {
        const struct map_entry *entry = &joined->entries[i];
        const struct map_entry *before = map_find(own, point_of_bound(entry->start));
        if (!is_same(entry, before)) {
            say_entry(recovery, entry, before);
        }
    }
}

static bool is_going_on(const struct map_entry *entry)
{
    return entry->move.phase != MOVE_NONE && entry->move.phase != MOVE_ABORTED;
}

static bool goes_on(const struct move *move, const struct map *map)
{
    const struct map_entry *entry = move_find_entry(move, map);
    return entry && move->course == COURSE_GOING && is_going_on(entry) &&
           entry->move.id == move->id;
}

/* Backwards: what ends leaves the list. */
static void end_moves(struct recovery *recovery)
{
    struct ledger *next = &recovery->plan->next;
    for (uint32_t i = next->moves.count; i > 0; i--) {
        struct move *move = &next->moves.items[i - 1];
        struct text line;
        if (goes_on(move, &next->map)) {
            continue;
        }
        text_set(&line, "shard %s: move %llu: given up: what became of it since is not known",
                 move->shard, (unsigned long long)move->number);
        plan_say(recovery->plan, &line);
        plan_end_move(recovery->plan, move, COURSE_FAILED,
                      "the map was recovered from the servers: ask for it again if need be",
                      recovery->now_ms);
    }
}

/* Those that were asked for since: a source copies nothing before it is told how fast, and people must see them. */
static void add_moves(struct recovery *recovery)
{
    struct ledger *next = &recovery->plan->next;
    for (uint32_t i = 0; i < next->map.entry_count; i++) {
        const struct map_entry *entry = &next->map.entries[i];
        if (!is_going_on(entry) || moves_find_id(&next->moves, entry->move.id) ||
            next->moves.count >= MOVES_MAX) {
            continue;
        }
        struct move move = {.number = ++next->move_count,
                            .id = entry->move.id,
                            .start = entry->start,
                            .end = entry->end,
                            .course = COURSE_GOING,
                            .try_count = 1,
                            .asked_ms = recovery->now_ms,
                            .begun_ms = recovery->now_ms};
        memcpy(move.source, entry->move.source, ID_LEN);
        memcpy(move.target, entry->move.target, ID_LEN);
        move_set_text(move.shard, sizeof(move.shard), entry->name);
        move_set_text(move.who, sizeof(move.who), "map recover");
        moves_add(&next->moves, &move);
        plan_note(recovery->plan);
    }
}

static bool is_bound(const struct map *map, uint64_t bound)
{
    const struct map_entry *entry = bound < BOUND_END ? map_find(map, point_of_bound(bound)) : NULL;
    return entry && entry->start == bound;
}

/* Bounds that are gone. Of those that are new it is not known who drew them: they stay. */
static void drop_cuts(struct recovery *recovery)
{
    struct ledger *next = &recovery->plan->next;
    for (uint32_t i = next->cuts.count; i > 0; i--) {
        uint64_t bound = next->cuts.bounds[i - 1];
        if (!is_bound(&next->map, bound)) {
            cuts_drop(&next->cuts, bound);
        }
    }
}

static void make_plan(struct recovery *recovery)
{
    struct plan *plan = recovery->plan;
    const struct map *own = own_map(recovery);
    plan_begin(plan, cluster_ledger(recovery->cluster));
    plan->is_recovery = true;
    plan->revision = recovery->revision + RECOVER_REVISIONS;
    map_fini(&plan->next.map);
    plan->next.map = recovery->joined;
    recovery->joined = (struct map){0};
    plan->next.term = recovery->term + RECOVER_TERMS;
    memcpy(plan->next.map.instance, own->instance, ID_LEN);
    say_recovered(recovery);
    say_changes(recovery);
    for (uint32_t i = 0; i < plan->next.map.entry_count; i++) {
        plan_touch(plan, &plan->next.map.entries[i]);
    }
    end_moves(recovery);
    add_moves(recovery);
    drop_cuts(recovery);
}

static enum status check_missing(const struct recovery *recovery, bool accepts_missing,
                                 struct text *why)
{
    if (!text_is_empty(&recovery->missing) && !accepts_missing) {
        text_set(why,
                 "not in reach: %s: what only they know, and hold, would be lost: start them, or "
                 "go on without them: --accept-missing",
                 recovery->missing.chars);
        return STATUS_DENIED;
    }
    if (!recovery->is_anyone_there) {
        text_set(why, "no server has answered: nothing is known of what they hold: %s",
                 recovery->missing.chars);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

static enum status judge(struct recovery *recovery, bool accepts_missing, struct text *why)
{
    if (find_other(recovery, why)) {
        return STATUS_DENIED;
    }
    join(recovery);
    find_missing(recovery);
    return check_missing(recovery, accepts_missing, why);
}

/* Whether anybody is ahead is asked only here: of those who are not there nobody knows it. */
static enum status conclude(struct recovery *recovery, struct text *why)
{
    if (!is_behind(recovery)) {
        plan_begin(recovery->plan, cluster_ledger(recovery->cluster));
        return STATUS_OK;
    }
    if (recovery->error.text[0]) {
        text_set(why, "what the servers hold makes no map: %s", recovery->error.text);
        return STATUS_CONFLICT;
    }
    make_plan(recovery);
    return STATUS_OK;
}

/* A peer may tell any number. */
#define NUMBER_MAX (UINT64_MAX / 2)

enum status recover_plan(const struct cluster *cluster, const struct recover_answers *answers,
                         bool accepts_missing, uint64_t now_ms, struct plan *plan, struct text *why)
{
    struct recovery recovery = {
        .cluster = cluster, .answers = answers, .now_ms = now_ms, .plan = plan};
    look(&recovery);
    if (recovery.revision > NUMBER_MAX || recovery.term > NUMBER_MAX) {
        text_set(why, "a server tells a revision or term that no bootstrapd can have given");
        return STATUS_CONFLICT;
    }
    enum status status = judge(&recovery, accepts_missing, why);
    if (status == STATUS_OK) {
        status = conclude(&recovery, why);
    }
    map_fini(&recovery.joined);
    return status;
}
