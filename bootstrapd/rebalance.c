/* SPDX-License-Identifier: MIT */
#include "bootstrapd/rebalance.h"

#include <stdlib.h>

#include "io/memory.h"
#include "proto/noun.h"
#include "proto/pack.h"
#include "proto/point.h"

/* Moves that were done and tell the rate: the newest ones. */
#define RATE_MOVES 8

static const char *const by_words[] = {[BALANCE_BYTES] = "bytes", [BALANCE_LOAD] = "load"};

/* --- the cluster as the planner sees it --- */

static uint32_t find_server(const struct map *map, const uint8_t id[ID_LEN])
{
    const struct map_server *server = map_find_server(map, id);
    return server ? (uint32_t)(server - map->servers) : UINT32_MAX;
}

/* Nothing is there, and nothing is to come there. */
static bool is_empty(const struct ledger *ledger, const uint8_t server[ID_LEN])
{
    const struct map *map = &ledger->map;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (id_bytes_equal(map->entries[i].server, server)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < ledger->moves.count; i++) {
        if (id_bytes_equal(ledger->moves.items[i].target, server)) {
            return false;
        }
    }
    return true;
}

/* Who is away neither gives nor takes; what one holds that is not empty, nobody knows. */
static enum status check_servers(const struct cluster *cluster, struct text *why)
{
    const struct map *map = &cluster_ledger(cluster)->map;
    for (uint32_t i = 0; i < map->server_count; i++) {
        if (!cluster_is_up(cluster, map->servers[i].id) &&
            !is_empty(cluster_ledger(cluster), map->servers[i].id)) {
            text_set(why, "server ");
            text_add_address(why, &map->servers[i].address);
            text_add(why, ": does not answer, or is refused; for a plan all that own something "
                          "must be there");
            return STATUS_TRY_LATER;
        }
    }
    return STATUS_OK;
}

/* The first move that waits or goes and has points in [bound, end). */
static const struct move *next_move(const struct ledger *ledger, uint64_t bound, uint64_t end)
{
    const struct move *next = NULL;
    for (uint32_t i = 0; i < ledger->moves.count; i++) {
        const struct move *move = &ledger->moves.items[i];
        if (move->end > bound && move->start < end && (!next || move->start < next->start)) {
            next = move;
        }
    }
    return next;
}

struct survey {
    const struct cluster *cluster;
    const struct ledger *ledger;
    struct rebalance *rebalance;
    struct text *why;
};

static enum status take_load(const struct survey *survey, const struct map_entry *entry,
                             double share, struct balance_range *range)
{
    uint64_t load;
    if (!cluster_load(survey->cluster, entry, &load)) {
        text_set(survey->why, "shard %s: its server has not told yet how much it is used",
                 entry->name);
        return STATUS_TRY_LATER;
    }
    range->load = (uint64_t)((double)load * share + 0.5);
    return STATUS_OK;
}

/* What the part of the entry holds, as if its records lay evenly: they do, but for a very few large ones. */
static enum status weigh(const struct survey *survey, const struct map_entry *entry,
                         struct balance_range *range)
{
    uint64_t records;
    uint64_t bytes;
    /* Nobody looks at what is planned unasked: an old count, from before a split, must not set anything going. */
    bool is_exact = survey->rebalance->wish.is_patient;
    if (range->owner == UINT32_MAX ||
        !cluster_count(survey->cluster, entry, is_exact, &records, &bytes)) {
        text_set(survey->why, "shard %s: its server has not told yet what it holds", entry->name);
        return STATUS_TRY_LATER;
    }
    double share = (double)(range->end - range->start) / (double)(entry->end - entry->start);
    range->bytes = (uint64_t)((double)bytes * share + 0.5);
    return survey->rebalance->wish.by == BALANCE_LOAD ? take_load(survey, entry, share, range)
                                                      : STATUS_OK;
}

static enum status add_range(struct survey *survey, const struct map_entry *entry,
                             struct balance_range *range)
{
    struct rebalance *rebalance = survey->rebalance;
    enum status status = weigh(survey, entry, range);
    if (status == STATUS_OK) {
        rebalance->ranges = memory_resize(rebalance->ranges, rebalance->range_count + 1,
                                          sizeof(*rebalance->ranges));
        rebalance->ranges[rebalance->range_count++] = *range;
    }
    return status;
}

/* In one range, or in several where parts of it are about to move. */
static enum status add_entry(struct survey *survey, const struct map_entry *entry)
{
    const struct map *map = &survey->ledger->map;
    enum status status = STATUS_OK;
    for (uint64_t at = entry->start; at < entry->end && status == STATUS_OK;) {
        const struct move *move = next_move(survey->ledger, at, entry->end);
        bool is_moving = move && move->start <= at;
        uint64_t end = entry->end;
        if (move && (is_moving ? move->end : move->start) < end) {
            end = is_moving ? move->end : move->start;
        }
        struct balance_range range = {
            .start = at,
            .end = end,
            .owner = find_server(map, is_moving ? move->target : entry->server),
            .is_fixed =
                is_moving || (entry->move.phase != MOVE_NONE && entry->move.phase != MOVE_ABORTED),
        };
        status = add_range(survey, entry, &range);
        at = end;
    }
    return status;
}

static enum status take_map(struct survey *survey)
{
    const struct map *map = &survey->ledger->map;
    struct rebalance *rebalance = survey->rebalance;
    enum status status = STATUS_OK;
    rebalance->servers = memory_get(map->server_count, sizeof(*rebalance->servers));
    rebalance->is_away = memory_get(map->server_count, sizeof(*rebalance->is_away));
    for (uint32_t i = 0; i < map->server_count; i++) {
        bool is_away = !cluster_is_up(survey->cluster, map->servers[i].id);
        rebalance->is_away[i] = is_away;
        rebalance->servers[i] = (struct balance_server){
            .capacity = map->servers[i].capacity,
            .is_draining =
                map->servers[i].is_draining || is_away, /* it gets nothing, and has nothing */
        };
    }
    for (uint32_t i = 0; i < map->entry_count && status == STATUS_OK; i++) {
        status = add_entry(survey, &map->entries[i]);
    }
    return status;
}

/* Of the last moves that brought something. */
static uint64_t rate_seen(const struct history *history)
{
    uint64_t bytes = 0;
    uint64_t ms = 0;
    uint32_t seen = 0;
    for (uint32_t i = history->move_count; i > 0 && seen < RATE_MOVES; i--) {
        const struct move *move = &history->moves[i - 1].move;
        if (move->course == COURSE_DONE && move->bytes > 0 && move->ended_ms > move->begun_ms) {
            bytes += move->bytes;
            ms += move->ended_ms - move->begun_ms;
            seen++;
        }
    }
    uint64_t rate = ms > 0 ? bytes / ms * 1000 : 0;
    return rate > 0 ? rate : REBALANCE_BYTES_PER_S;
}

enum status rebalance_make(const struct cluster *cluster, const struct rebalance_wish *wish,
                           struct rebalance *rebalance, struct text *why)
{
    const struct ledger *ledger = cluster_ledger(cluster);
    enum status status = check_servers(cluster, why);
    if (status != STATUS_OK) {
        return status;
    }
    *rebalance = (struct rebalance){.wish = *wish};
    struct survey survey = {cluster, ledger, rebalance, why};
    status = take_map(&survey);
    if (status != STATUS_OK) {
        rebalance_fini(rebalance);
        return status;
    }
    const struct balance_cluster input = {
        .by = wish->by,
        .is_patient = wish->is_patient,
        .is_only_draining = wish->is_only_draining,
        .servers = rebalance->servers,
        .server_count = ledger->map.server_count,
        .ranges = rebalance->ranges,
        .range_count = rebalance->range_count,
    };
    balance_make(&input, &rebalance->plan);
    rebalance->bytes_per_s = rate_seen(&ledger->recent);
    rebalance->seconds =
        balance_seconds(&rebalance->plan, ledger->map.server_count, rebalance->bytes_per_s);
    return STATUS_OK;
}

void rebalance_fini(struct rebalance *rebalance)
{
    balance_fini(&rebalance->plan);
    free(rebalance->servers);
    free(rebalance->is_away);
    free(rebalance->ranges);
    *rebalance = (struct rebalance){0};
}

/* --- for people --- */

static void pack_number(struct buffer *out, const char *name, uint64_t number)
{
    pack_text(out, name);
    pack_uint(out, number);
}

static void pack_address(struct buffer *out, const char *name, const struct map_server *server)
{
    char address[ADDRESS_TEXT_LEN];
    address_print(&server->address, address);
    pack_text(out, name);
    pack_text(out, address);
}

static void pack_level(struct buffer *out, const struct map_server *server, bool is_away,
                       const struct balance_level *level)
{
    pack_map(out, 8);
    pack_text(out, "id");
    pack_bin(out, bytes_of(server->id, ID_LEN));
    pack_address(out, "address", server);
    pack_number(out, "capacity", server->capacity);
    pack_text(out, "draining");
    pack_bool(out, server->is_draining);
    pack_text(out, "away");
    pack_bool(out, is_away);
    pack_number(out, "before", (uint64_t)(level->before + 0.5));
    pack_number(out, "share", (uint64_t)(level->share + 0.5));
    pack_number(out, "after", (uint64_t)(level->after + 0.5));
}

static void pack_move(struct buffer *out, const struct map *map, const struct balance_move *move)
{
    pack_map(out, 6);
    pack_text(out, "shard");
    pack_text(out, map_find(map, point_of_bound(move->start))->name);
    pack_number(out, "start", move->start);
    pack_number(out, "end", move->end);
    pack_address(out, "from", &map->servers[move->source]);
    pack_address(out, "to", &map->servers[move->target]);
    pack_number(out, "bytes", move->bytes);
}

void rebalance_pack(const struct rebalance *rebalance, const struct map *map, uint64_t first,
                    uint32_t queued_count, struct buffer *out)
{
    const struct balance_plan *plan = &rebalance->plan;
    pack_map(out, 9);
    pack_text(out, "by");
    pack_text(out, by_words[rebalance->wish.by]);
    pack_number(out, "bytes", plan->bytes);
    pack_number(out, "least", (uint64_t)(plan->least + 0.5));
    pack_number(out, "seconds", rebalance->seconds);
    pack_number(out, "bytes_per_s", rebalance->bytes_per_s);
    pack_number(out, "first", first);
    pack_number(out, "queued", queued_count);
    pack_text(out, "servers");
    pack_array(out, map->server_count);
    for (uint32_t i = 0; i < map->server_count; i++) {
        pack_level(out, &map->servers[i], rebalance->is_away[i], &plan->levels[i]);
    }
    pack_text(out, "moves");
    pack_array(out, plan->move_count);
    for (uint32_t i = 0; i < plan->move_count; i++) {
        pack_move(out, map, &plan->moves[i]);
    }
}

bool rebalance_unpack_options(struct unpack *in, uint32_t param_count, enum balance_by *by)
{
    uint32_t pair_count = param_count > 0 ? unpack_map(in) : 0;
    *by = BALANCE_BYTES;
    for (uint32_t i = 0; i < pair_count; i++) {
        struct bytes name = unpack_text(in);
        struct bytes word = unpack_text(in);
        bool is_load = bytes_equal(word, bytes_text(by_words[BALANCE_LOAD]));
        if (!bytes_equal(name, bytes_text("by")) ||
            (!is_load && !bytes_equal(word, bytes_text(by_words[BALANCE_BYTES])))) {
            return false;
        }
        *by = is_load ? BALANCE_LOAD : BALANCE_BYTES;
    }
    return unpack_is_done(in);
}

/* --- the task --- */

static void queue_move(struct plan *plan, const struct balance_move *planned, const char *who,
                       uint64_t now_ms)
{
    struct ledger *next = &plan->next;
    struct move move = {
        .number = ++next->move_count,
        .start = planned->start,
        .end = planned->end,
        .course = COURSE_WAITING,
        .asked_ms = now_ms,
    };
    const struct map_entry *entry = map_find(&next->map, point_of_bound(planned->start));
    move_set_text(move.shard, sizeof(move.shard), entry->name);
    move_set_text(move.who, sizeof(move.who), who);
    memcpy(move.source, next->map.servers[planned->source].id, ID_LEN);
    memcpy(move.target, next->map.servers[planned->target].id, ID_LEN);
    moves_add(&next->moves, &move);
}

uint32_t rebalance_queue(const struct rebalance *rebalance, struct plan *plan, uint64_t now_ms)
{
    const struct balance_plan *planned = &rebalance->plan;
    struct text line = {{0}};
    uint32_t count = 0;
    while (count < planned->move_count && plan->next.moves.count < MOVES_MAX) {
        queue_move(plan, &planned->moves[count++], rebalance->wish.who, now_ms);
    }
    text_set(&line, "%s: %u %s, %llu %s in all", rebalance->wish.who, count,
             noun_of(count, "move", "moves"), (unsigned long long)planned->bytes,
             noun_of(planned->bytes, "byte", "bytes"));
    if (count > 0) {
        plan_note(plan);
        plan_say(plan, &line);
    }
    return count;
}

uint32_t rebalance_stop(struct plan *plan, uint64_t now_ms)
{
    const struct moves *moves = &plan->next.moves;
    struct text line = {{0}};
    uint32_t count = 0;
    for (uint32_t i = moves->count; i > 0; i--) {
        struct move *move = &moves->items[i - 1];
        if (move->course == COURSE_WAITING && strcmp(move->who, REBALANCE_WHO) == 0) {
            plan_end_move(plan, move, COURSE_ABORTED, "called off before it began", now_ms);
            count++;
        }
    }
    text_set(&line, REBALANCE_WHO ": stopped, %u %s that had not begun %s called off", count,
             noun_of(count, "move", "moves"), noun_of(count, "is", "are"));
    if (count > 0) {
        plan_say(plan, &line);
    }
    return count;
}

static bool has_draining(const struct map *map)
{
    bool has_any = false;
    for (uint32_t i = 0; i < map->server_count; i++) {
        has_any = has_any || map->servers[i].is_draining;
    }
    return has_any;
}

bool rebalance_next(const struct cluster *cluster, bool is_auto, uint64_t now_ms, struct plan *plan)
{
    const struct ledger *ledger = cluster_ledger(cluster);
    bool drains = has_draining(&ledger->map);
    struct rebalance_wish wish = {
        .is_patient = true,
        .is_only_draining = drains,
        .who = drains ? REBALANCE_WHO_DRAIN : REBALANCE_WHO,
    };
    struct rebalance rebalance = {0};
    struct text why = {{0}};
    if ((!drains && (!is_auto || ledger->moves.count > 0)) ||
        rebalance_make(cluster, &wish, &rebalance, &why) != STATUS_OK) {
        return false;
    }
    bool is_any = rebalance.plan.move_count > 0 && ledger->moves.count < MOVES_MAX;
    if (is_any) {
        plan_begin(plan, ledger);
        (void)rebalance_queue(&rebalance, plan, now_ms);
    }
    rebalance_fini(&rebalance);
    return is_any;
}
