/* SPDX-License-Identifier: MIT */
#include "bootstrapd/request_internal.h"

#include "bootstrapd/admission.h"

/* Lists for people: of moves, servers, shards, and of what was done. The longest are some megabytes, below a frame. */

static const struct cluster *cluster_of(const struct request *request)
{
    return coordinator_cluster(request->coordinator);
}

static const struct ledger *ledger_of(const struct request *request)
{
    return cluster_ledger(cluster_of(request));
}

static void pack_flag(struct buffer *out, const char *name, bool flag)
{
    pack_text(out, name);
    pack_bool(out, flag);
}

/* --- move.list --- */

static void pack_server(struct buffer *out, const char *name, const struct map *map,
                        const uint8_t id[ID_LEN])
{
    const struct map_server *server = map_find_server(map, id);
    if (server) {
        request_pack_address(out, name, &server->address);
    } else {
        char text[ID_TEXT_LEN];
        id_bytes_print(id, text);
        request_pack_text(out, name, text);
    }
}

static const struct map_entry *entry_of(const struct map *map, const struct move *move)
{
    const struct map_entry *entry = move_find_entry(move, map);
    return entry && move->id != 0 && entry->move.id == move->id ? entry : NULL;
}

/* Which of both servers' words tells how far it is. */
static const struct move_report *telling_report(const struct move_report *source,
                                                const struct move_report *target,
                                                enum move_phase phase)
{
    switch (phase) {
    case MOVE_COPY:
        return target && target->state == MOVE_TARGET_READY ? target : source;
    case MOVE_COMMITTED:
    case MOVE_UNDO:
        return target;
    case MOVE_OPENED:
        return source && source->state == MOVE_SOURCE_DELETING ? source : target;
    case MOVE_NONE:
    case MOVE_ABORTED:
        break;
    }
    return NULL;
}

/* That it can go on only when a server is back. */
static void say_away(const struct request *request, const uint8_t server[ID_LEN], const char *part,
                     struct text *reason)
{
    const struct map_server *known = map_find_server(&ledger_of(request)->map, server);
    const struct site *site = cluster_server_site(cluster_of(request), server);
    if (text_is_empty(reason) && known && site && !cluster_is_up(cluster_of(request), server)) {
        text_set(reason, "waits for the %s, ", part);
        text_add_address(reason, &known->address);
        text_add(reason, ": %s", site_state_text(site->state));
    }
}

/* Who must do something for the phase to end. */
static void find_away(const struct request *request, const struct map_entry *entry,
                      struct text *reason)
{
    enum move_phase phase = entry->move.phase;
    if (phase == MOVE_COPY || phase == MOVE_OPENED) {
        say_away(request, entry->move.source, "source", reason);
    }
    if (phase == MOVE_COPY || phase == MOVE_COMMITTED || phase == MOVE_UNDO) {
        say_away(request, entry->move.target, "target", reason);
    }
}

/* What people should know of a move: who is away, why a copy is not deleted, what became of the last try. */
static void find_reason(const struct request *request, const struct move *move,
                        const struct map_entry *entry, const struct move_report *source,
                        struct text *reason)
{
    text_clear(reason);
    if (entry) {
        find_away(request, entry, reason);
    }
    if (entry && entry->move.phase == MOVE_OPENED && source && text_is_empty(reason)) {
        text_add_foreign(reason, bytes_text(source->text));
    }
    if (text_is_empty(reason)) {
        text_set(reason, "%s", move->reason);
    }
    if (text_is_empty(reason) && move->course == COURSE_WAITING) {
        (void)admission_check(cluster_of(request), move, reason);
    }
}

struct sight {
    const char *state;
    struct move_report figures; /* zero when nobody has told */
    struct text reason;
};

static void look_at(const struct request *request, const struct move *move, struct sight *sight)
{
    const struct conduct *conduct = coordinator_conduct(request->coordinator);
    const struct map_entry *entry = entry_of(&ledger_of(request)->map, move);
    const struct move_report *source = conduct_report(conduct, move->source, move->id);
    const struct move_report *target = conduct_report(conduct, move->target, move->id);
    const struct move_report *telling =
        entry ? telling_report(source, target, entry->move.phase) : NULL;
    *sight = (struct sight){.state = telling ? move_state_text(telling->state) : ""};
    if (entry && source && entry->move.phase != MOVE_ABORTED) {
        sight->figures = *source;
    }
    if (target) {
        move_report_raise(&sight->figures, target);
    }
    find_reason(request, move, entry, source, &sight->reason);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void pack_move(struct buffer *out, const struct map *map, const struct move *move,
                      const struct sight *sight)
{
    const struct move_report *figures = &sight->figures;
    pack_map(out, 22);
    request_pack_uint(out, "number", move->number);
    request_pack_text(out, "shard", move->shard);
    request_pack_uint(out, "start", move->start);
    request_pack_uint(out, "end", move->end);
    pack_server(out, "from", map, move->source);
    pack_server(out, "to", map, move->target);
    request_pack_text(out, "course", move_course_text(move->course));
    request_pack_text(out, "state", sight->state);
    pack_flag(out, "paused", move->is_paused);
    request_pack_uint(out, "limit_bytes_per_s", move->bytes_per_s);
    request_pack_uint(out, "tries", move->try_count);
    request_pack_uint(out, "asked_ms", move->asked_ms);
    request_pack_uint(out, "begun_ms", move->begun_ms);
    request_pack_uint(out, "ended_ms", move->ended_ms);
    request_pack_uint(out, "records", larger(move->records, figures->records));
    request_pack_uint(out, "bytes", larger(move->bytes, figures->bytes));
    request_pack_uint(out, "records_left", figures->records_left);
    request_pack_uint(out, "bytes_per_s", figures->bytes_per_s);
    request_pack_uint(out, "waiting_bytes", figures->waiting_bytes);
    uint64_t hold_us[MOVE_HOLD_COUNT];
    memcpy(hold_us, figures->hold_us, sizeof(hold_us));
    move_hold_settle(hold_us);
    pack_text(out, "hold_us");
    pack_array(out, MOVE_HOLD_COUNT);
    for (uint32_t i = 0; i < MOVE_HOLD_COUNT; i++) {
        pack_uint(out, larger(move->hold_us[i], hold_us[i]));
    }
    request_pack_text(out, "who", move->who);
    request_pack_text(out, "reason", sight->reason.chars);
}

struct move_filter {
    uint64_t number; /* 0: any */
    bool has_ended;  /* those that are over, too */
};

static bool is_wanted(const struct move_filter *filter, const struct move *move)
{
    return filter->number == 0 || filter->number == move->number;
}

/* Returns how many there are; packs them if `out` is not NULL. */
static uint32_t list_moves(const struct request *request, const struct move_filter *filter,
                           struct buffer *out)
{
    const struct history *history = coordinator_history(request->coordinator);
    const struct ledger *ledger = ledger_of(request);
    uint32_t count = 0;
    for (uint32_t i = 0; i < history->move_count && filter->has_ended; i++) {
        const struct move *move = &history->moves[i].move;
        struct sight sight = {.state = ""};
        if (is_wanted(filter, move)) {
            count++;
            if (out) {
                text_set(&sight.reason, "%s", move->reason);
                pack_move(out, &ledger->map, move, &sight);
            }
        }
    }
    for (uint32_t i = 0; i < ledger->moves.count; i++) {
        const struct move *move = &ledger->moves.items[i];
        struct sight sight;
        if (is_wanted(filter, move)) {
            count++;
            if (out) {
                look_at(request, move, &sight);
                pack_move(out, &ledger->map, move, &sight);
            }
        }
    }
    return count;
}

void request_move_list(struct request *request)
{
    struct move_filter filter = {0};
    const struct request_option options[] = {
        {"number", REQUEST_UINT, &filter.number, NULL},
        {"all", REQUEST_BOOL, &filter.has_ended, NULL},
    };
    if (!request_take_options(&request->params, request->param_count > 0, options, 2)) {
        request_refuse(request, STATUS_INVALID, "move.list: options are number and all");
        return;
    }
    struct buffer *out = request_respond(request);
    pack_array(out, list_moves(request, &filter, NULL));
    (void)list_moves(request, &filter, out);
}

/* --- server.list --- */

struct holding {
    uint32_t shards;
    uint64_t records, bytes;
};

static struct holding holding_of(const struct request *request, const uint8_t server[ID_LEN])
{
    const struct map *map = &ledger_of(request)->map;
    struct holding holding = {0};
    for (uint32_t i = 0; i < map->entry_count; i++) {
        uint64_t records = 0;
        uint64_t bytes = 0;
        if (memcmp(map->entries[i].server, server, ID_LEN) == 0) {
            (void)cluster_count(cluster_of(request), &map->entries[i], false, &records, &bytes);
            holding.shards++;
            holding.records += records;
            holding.bytes += bytes;
        }
    }
    return holding;
}

void request_server_list(struct request *request)
{
    const struct map *map = &ledger_of(request)->map;
    struct buffer *out = request_respond(request);
    pack_array(out, map->server_count);
    for (uint32_t i = 0; i < map->server_count; i++) {
        const struct map_server *server = &map->servers[i];
        const struct site *site = cluster_server_site(cluster_of(request), server->id);
        struct holding holding = holding_of(request, server->id);
        pack_map(out, 9);
        request_pack_id(out, "id", server->id);
        request_pack_address(out, "address", &server->address);
        request_pack_text(out, "state", site_state_text(site->state));
        request_pack_problem(out, &site->problem);
        request_pack_uint(out, "capacity", server->capacity);
        pack_flag(out, "draining", server->is_draining);
        request_pack_uint(out, "shards", holding.shards);
        request_pack_uint(out, "records", holding.records);
        request_pack_uint(out, "bytes", holding.bytes);
    }
}

/* --- shard.list --- */

static void pack_count(struct buffer *out, const char *name, bool is_known, uint64_t count)
{
    pack_text(out, name);
    if (is_known) {
        pack_uint(out, count);
    } else {
        pack_nil(out);
    }
}

/* The map keeps ABORTED until the range moves again: for people it is over with its move. */
static bool is_in_a_move(const struct ledger *ledger, const struct map_entry *entry)
{
    return entry->move.phase != MOVE_NONE &&
           (entry->move.phase != MOVE_ABORTED || moves_find_id(&ledger->moves, entry->move.id));
}

static void pack_shard(const struct request *request, const struct map_entry *entry,
                       struct buffer *out)
{
    uint64_t records = 0;
    uint64_t bytes = 0;
    bool is_known = cluster_count(cluster_of(request), entry, false, &records, &bytes);
    pack_map(out, 10);
    request_pack_text(out, "name", entry->name);
    request_pack_uint(out, "start", entry->start);
    request_pack_uint(out, "end", entry->end);
    request_pack_uint(out, "epoch", entry->epoch);
    request_pack_uint(out, "size", entry->size);
    request_pack_text(out, "when_full", entry->when_full == WHEN_FULL_EVICT ? "evict" : "reject");
    request_pack_address(out, "address", &entry->address);
    pack_count(out, "records", is_known, records);
    pack_count(out, "bytes", is_known, bytes);
    pack_text(out, "move");
    if (is_in_a_move(ledger_of(request), entry)) {
        pack_text(out, move_phase_text(entry->move.phase));
    } else {
        pack_nil(out);
    }
}

void request_shard_list(struct request *request)
{
    const struct map *map = &ledger_of(request)->map;
    struct buffer *out = request_respond(request);
    pack_array(out, map->entry_count);
    for (uint32_t i = 0; i < map->entry_count; i++) {
        pack_shard(request, &map->entries[i], out);
    }
}

/* --- map.log --- */

void request_map_log(struct request *request)
{
    const struct history *history = coordinator_history(request->coordinator);
    uint64_t limit = HISTORY_MAX;
    const struct request_option option = {"limit", REQUEST_UINT, &limit, NULL};
    if (!request_take_options(&request->params, request->param_count > 0, &option, 1)) {
        request_refuse(request, STATUS_INVALID, "map.log: the option is limit");
        return;
    }
    uint32_t count = history->line_count < limit ? history->line_count : (uint32_t)limit;
    struct buffer *out = request_respond(request);
    pack_array(out, count);
    for (uint32_t i = history->line_count - count; i < history->line_count; i++) {
        const struct history_line *line = &history->lines[i];
        pack_map(out, 4);
        request_pack_uint(out, "revision", line->revision);
        request_pack_uint(out, "at_ms", line->at_ms);
        request_pack_text(out, "who", line->who);
        request_pack_text(out, "text", line->text);
    }
}
