/* SPDX-License-Identifier: MIT */
#include "bootstrapd/orders.h"

#include "bootstrapd/admission.h"
#include "proto/point.h"

/* Digits of an id that name a server, unless two begin with them. */
#define ID_DIGITS_MIN 8

static const struct map *map_of(const struct order_scope *scope)
{
    return &cluster_ledger(scope->cluster)->map;
}

static enum status check_changes(const struct cluster *cluster, struct text *why)
{
    *why = *cluster_behind(cluster);
    if (!text_is_empty(why)) {
        return STATUS_DENIED;
    }
    cluster_say_founding(cluster, why);
    return text_is_empty(why) ? STATUS_OK : STATUS_TRY_LATER;
}

static void begin(const struct order_scope *scope, struct plan *plan)
{
    plan_begin(plan, cluster_ledger(scope->cluster));
    move_set_text(plan->who, sizeof(plan->who), scope->who);
}

static bool is_named(const struct map_server *server, struct bytes name)
{
    char address[ADDRESS_TEXT_LEN];
    char id[ID_TEXT_LEN];
    address_print(&server->address, address);
    id_bytes_print(server->id, id);
    return bytes_equal(name, bytes_text(address)) ||
           (name.len >= ID_DIGITS_MIN && name.len < sizeof(id) &&
            memcmp(id, name.data, name.len) == 0);
}

/* The last of two at one address: the newer one (cluster_expected_server). */
static const struct map_server *find_server(const struct order_scope *scope, struct bytes name,
                                            struct text *why)
{
    const struct map *map = map_of(scope);
    const struct map_server *found = NULL;
    for (uint32_t i = 0; i < map->server_count; i++) {
        const struct map_server *server = &map->servers[i];
        if (!is_named(server, name)) {
            continue;
        }
        if (found && !address_equal(&found->address, &server->address)) {
            text_set(why, "two servers have an id that begins with ");
            text_add_foreign(why, name);
            return NULL;
        }
        found = server;
    }
    if (!found) {
        text_set(why, "no server has the address or id ");
        text_add_foreign(why, name);
    }
    return found;
}

static void say_server(struct plan *plan, const struct map_server *server, const char *what)
{
    struct text line;
    text_set(&line, "server ");
    text_add_address(&line, &server->address);
    text_add(&line, ": %s", what);
    plan_say(plan, &line);
}

/* --- moves --- */

static enum status take_range(const struct order_start *start, const struct map_entry *entry,
                              struct move *move, struct text *why)
{
    move->start = start->has_from ? start->from : entry->start;
    move->end = start->has_until ? start->until : entry->end;
    if (move->start >= entry->start && move->end <= entry->end && move->start < move->end) {
        return STATUS_OK;
    }
    char bounds[2][BOUND_TEXT_LEN];
    bound_print(entry->start, bounds[0]);
    bound_print(entry->end, bounds[1]);
    text_set(why, "shard %s goes from %s to %s: what moves must lie in it", entry->name, bounds[0],
             bounds[1]);
    return STATUS_INVALID;
}

static enum status check_start(const struct order_scope *scope, const struct move *move,
                               const struct map_entry *entry, const struct map_server *target,
                               struct text *why)
{
    const struct ledger *ledger = cluster_ledger(scope->cluster);
    text_set(why, "shard %s: ", entry->name);
    if (id_bytes_is_zero(entry->server) || entry->is_new) {
        text_add(why, "was not opened yet");
        return STATUS_TRY_LATER;
    }
    if (id_bytes_equal(entry->server, target->id)) {
        text_add(why, "server ");
        text_add_address(why, &target->address);
        text_add(why, " has it");
        return STATUS_INVALID;
    }
    if (moves_touch(&ledger->moves, move->start, move->end)) {
        text_add(why, "another move of it waits or goes on");
        return STATUS_CONFLICT;
    }
    if (entry->move.phase != MOVE_NONE && entry->move.phase != MOVE_ABORTED) {
        text_add(why, "a move of it goes on");
        return STATUS_CONFLICT;
    }
    if (target->is_draining) {
        text_add(why, "server ");
        text_add_address(why, &target->address);
        text_add(why, " is being drained");
        return STATUS_DENIED;
    }
    if (ledger->moves.count >= MOVES_MAX) {
        text_set(why, "%d moves wait or go on", MOVES_MAX);
        return STATUS_TRY_LATER;
    }
    text_clear(why);
    return admission_check(scope->cluster, move, why);
}

static void queue(const struct order_scope *scope, struct move *move, const char *warning,
                  struct plan *plan)
{
    struct text line;
    begin(scope, plan);
    move->number = ++plan->next.move_count;
    moves_add(&plan->next.moves, move);
    plan_note(plan);
    text_set(&line, "shard %s: move %llu to server ", move->shard,
             (unsigned long long)move->number);
    text_add_id(&line, move->target);
    text_add(&line, " asked for%s%s", *warning ? "; " : "", warning);
    plan_say(plan, &line);
}

enum status order_move_start(const struct order_scope *scope, const struct order_start *start,
                             struct plan *plan, uint64_t *number, struct text *why)
{
    enum status status = check_changes(scope->cluster, why);
    if (status != STATUS_OK) {
        return status;
    }
    const struct map_entry *entry = map_find_name(map_of(scope), start->shard);
    if (!entry) {
        text_set(why, "no shard has the name ");
        text_add_foreign(why, start->shard);
        return STATUS_INVALID;
    }
    const struct map_server *target = find_server(scope, start->target, why);
    struct move move = {.asked_ms = scope->now_ms,
                        .bytes_per_s = start->bytes_per_s,
                        .is_forced = start->is_forced};
    status = target ? take_range(start, entry, &move, why) : STATUS_INVALID;
    if (status != STATUS_OK) {
        return status;
    }
    memcpy(move.source, entry->server, ID_LEN);
    memcpy(move.target, target->id, ID_LEN);
    move_set_text(move.shard, sizeof(move.shard), entry->name);
    move_set_text(move.who, sizeof(move.who), scope->who);
    status = check_start(scope, &move, entry, target, why);
    if (status == STATUS_OK) {
        queue(scope, &move, why->chars, plan);
        *number = move.number;
    }
    return status;
}

/* Of the entry that has the move's id now; MOVE_NONE: none has. */
static enum move_phase phase_of(const struct order_scope *scope, const struct move *move)
{
    const struct map_entry *entry = move_find_entry(move, map_of(scope));
    return entry && move->id != 0 && entry->move.id == move->id ? entry->move.phase : MOVE_NONE;
}

static bool is_open(const struct order_scope *scope, const struct move *move)
{
    const struct move_report *report = conduct_report(scope->conduct, move->target, move->id);
    return report && report->state == MOVE_TARGET_OPEN;
}

static enum status check_change(const struct order_scope *scope, enum order_move order,
                                const struct move *move, struct text *why)
{
    enum move_phase phase = phase_of(scope, move);
    bool is_committed = phase == MOVE_COMMITTED || phase == MOVE_UNDO || phase == MOVE_OPENED;
    text_set(why, "move %llu: ", (unsigned long long)move->number);
    switch (order) {
    case ORDER_PAUSE:
    case ORDER_RESUME:
    case ORDER_THROTTLE:
    case ORDER_ABORT:
        text_add(why, "is committed: %s",
                 order == ORDER_ABORT ? "undo it, or let it end" : "nothing is copied any more");
        return is_committed ? STATUS_DENIED : STATUS_OK;
    case ORDER_UNDO:
    case ORDER_UNDO_LOSS:
        break;
    }
    if (!is_committed) {
        text_add(why, "is not committed: abort it");
        return STATUS_DENIED;
    }
    text_add(why, "the target has opened: move the range back");
    return phase == MOVE_OPENED || is_open(scope, move) ? STATUS_DENIED : STATUS_OK;
}

static const char *apply_order(struct move *move, enum order_move order, uint64_t bytes_per_s)
{
    switch (order) {
    case ORDER_PAUSE:
        move->is_paused = true;
        return "paused";
    case ORDER_RESUME:
        move->is_paused = false;
        return "resumed";
    case ORDER_ABORT:
        move->wish = WISH_ABORT;
        return "to be aborted";
    case ORDER_THROTTLE:
        move->bytes_per_s = bytes_per_s;
        return "has another limit of bytes a second";
    case ORDER_UNDO:
        move->wish = WISH_UNDO;
        return "to be undone";
    case ORDER_UNDO_LOSS:
        move->wish = WISH_UNDO_LOSS;
        return "to be undone, whatever the target has";
    }
    return "";
}

enum status order_move_change(const struct order_scope *scope, enum order_move order,
                              uint64_t number, uint64_t bytes_per_s, struct plan *plan,
                              struct text *why)
{
    enum status status = check_changes(scope->cluster, why);
    if (status != STATUS_OK) {
        return status;
    }
    const struct move *present = moves_find(&cluster_ledger(scope->cluster)->moves, number);
    if (!present) {
        text_set(why, "no move that waits or goes on has the number %llu",
                 (unsigned long long)number);
        return STATUS_INVALID;
    }
    status = check_change(scope, order, present, why);
    if (status != STATUS_OK) {
        return status;
    }
    struct text line;
    begin(scope, plan);
    struct move *move = moves_find(&plan->next.moves, number);
    const char *what = apply_order(move, order, bytes_per_s);
    text_set(&line, "shard %s: move %llu: %s", move->shard, (unsigned long long)number, what);
    plan_say(plan, &line);
    plan_note(plan);
    return STATUS_OK;
}

/* --- servers --- */

static bool owns_anything(const struct map *map, const uint8_t server[ID_LEN])
{
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (id_bytes_equal(map->entries[i].server, server)) {
            return true;
        }
    }
    return false;
}

/* The server has given the range away, and will not delete its copy: it is gone, or keeps it (RULES V6). */
static bool is_left_behind(const struct order_scope *scope, const struct map_entry *entry,
                           const uint8_t server[ID_LEN])
{
    const struct move_report *report = conduct_report(scope->conduct, server, entry->move.id);
    bool will_not = !cluster_is_up(scope->cluster, server) || (report && report->text[0]);
    return entry->move.phase == MOVE_OPENED && id_bytes_equal(entry->move.source, server) &&
           will_not;
}

static bool has_part(const struct order_scope *scope, const struct move *move,
                     const uint8_t server[ID_LEN])
{
    const struct map_entry *entry = move_find_entry(move, map_of(scope));
    bool is_last = entry && entry->move.id == move->id && is_left_behind(scope, entry, server);
    return (id_bytes_equal(move->source, server) || id_bytes_equal(move->target, server)) &&
           !is_last;
}

static bool is_in_moves(const struct order_scope *scope, const uint8_t server[ID_LEN])
{
    const struct moves *moves = &cluster_ledger(scope->cluster)->moves;
    const struct map *map = map_of(scope);
    bool is_in = false;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        const struct map_entry *entry = &map->entries[i];
        bool goes_on = entry->move.phase != MOVE_NONE && entry->move.phase != MOVE_ABORTED;
        bool is_part = id_bytes_equal(entry->move.source, server) ||
                       id_bytes_equal(entry->move.target, server);
        is_in |= goes_on && is_part && !is_left_behind(scope, entry, server);
    }
    for (uint32_t i = 0; i < moves->count; i++) {
        is_in |= has_part(scope, &moves->items[i], server);
    }
    return is_in;
}

/* They waited for this server alone, and nobody waits for one that is removed. */
static void end_left_behind(const struct order_scope *scope, struct plan *plan,
                            const uint8_t server[ID_LEN])
{
    for (uint32_t i = 0; i < plan->next.map.entry_count; i++) {
        struct map_entry *entry = &plan->next.map.entries[i];
        struct map_entry before = *entry;
        struct text line;
        if (!is_left_behind(scope, &before, server) ||
            !plan_set_phase(plan, entry, &before, MOVE_NONE)) {
            continue;
        }
        struct move *move = moves_find_id(&plan->next.moves, before.move.id);
        text_set(&line, "shard %s: done: the source is removed, its copy is not looked at",
                 entry->name);
        plan_say(plan, &line);
        if (move) {
            plan_end_move(plan, move, COURSE_DONE, "", scope->now_ms);
        }
    }
}

/* The server of that name in the plan, which is begun; NULL: *status and *why say why not. */
static struct map_server *begin_server(const struct order_scope *scope, struct bytes name,
                                       struct plan *plan, enum status *status, struct text *why)
{
    *status = check_changes(scope->cluster, why);
    if (*status != STATUS_OK) {
        return NULL;
    }
    const struct map_server *server = find_server(scope, name, why);
    if (!server) {
        *status = STATUS_INVALID;
        return NULL;
    }
    begin(scope, plan);
    return &plan->next.map.servers[server - map_of(scope)->servers];
}

enum status order_server_drain(const struct order_scope *scope, struct bytes server, bool is_undo,
                               struct plan *plan, struct text *why)
{
    enum status status;
    struct map_server *drained = begin_server(scope, server, plan, &status, why);
    if (drained && drained->is_draining == is_undo) {
        drained->is_draining = !is_undo;
        plan_touch_map(plan);
        say_server(plan, drained, is_undo ? "is no longer drained" : "is being drained");
    }
    return status;
}

enum status order_server_remove(const struct order_scope *scope, struct bytes server,
                                struct plan *plan, struct text *why)
{
    enum status status;
    const struct map_server *removed = begin_server(scope, server, plan, &status, why);
    if (!removed) {
        return status;
    }
    text_set(why, "server ");
    text_add_address(why, &removed->address);
    if (owns_anything(map_of(scope), removed->id)) {
        text_add(why, ": owns shards: drain it first");
    } else if (is_in_moves(scope, removed->id)) {
        text_add(why, ": has a part in a move that waits or goes on");
    } else {
        uint8_t id[ID_LEN];
        memcpy(id, removed->id, ID_LEN);
        say_server(plan, removed, "removed");
        end_left_behind(scope, plan, id);
        plan_drop_idle_server(plan, id);
        return STATUS_OK;
    }
    plan_fini(plan);
    return STATUS_DENIED;
}

enum status order_server_check_new(const struct cluster *cluster, const struct address *address,
                                   struct text *why)
{
    const struct map *map = &cluster_ledger(cluster)->map;
    enum status status = check_changes(cluster, why);
    if (status != STATUS_OK) {
        return status;
    }
    if (cluster_find_site(cluster, address)) {
        text_add_address(why, address);
        text_add(why, " is in the map");
        return STATUS_DENIED;
    }
    if (map->server_count == MAP_SERVERS_MAX) {
        text_set(why, "the map has as many servers as it may have");
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

enum status order_server_set_address(const struct order_scope *scope, struct bytes server,
                                     const struct address *address, struct plan *plan,
                                     struct text *why)
{
    enum status status;
    struct map_server *moved = begin_server(scope, server, plan, &status, why);
    if (!moved || address_equal(&moved->address, address)) {
        return status;
    }
    if (cluster_find_site(scope->cluster, address)) {
        text_clear(why);
        text_add_address(why, address);
        text_add(why, " is another server's");
        plan_fini(plan);
        return STATUS_DENIED;
    }
    struct map *next = &plan->next.map;
    struct text line;
    text_set(&line, "server ");
    text_add_address(&line, &moved->address);
    text_add(&line, ": address is ");
    text_add_address(&line, address);
    plan_say(plan, &line);
    moved->address = *address;
    plan_touch_map(plan);
    for (uint32_t i = 0; i < next->entry_count; i++) {
        if (id_bytes_equal(next->entries[i].server, moved->id)) {
            next->entries[i].address = *address;
            plan_touch(plan, &next->entries[i]);
        }
    }
    return STATUS_OK;
}

/* --- shards --- */

enum status order_shard_resize(const struct order_scope *scope, struct bytes name, uint64_t size,
                               struct plan *plan, struct text *why)
{
    enum status status = check_changes(scope->cluster, why);
    const struct map_entry *entry = map_find_name(map_of(scope), name);
    if (status != STATUS_OK) {
        return status;
    }
    if (!entry) {
        text_set(why, "no shard has the name ");
        text_add_foreign(why, name);
        return STATUS_INVALID;
    }
    if (size < MAP_SIZE_MIN) {
        text_set(why, "size: is below %d", MAP_SIZE_MIN);
        return STATUS_INVALID;
    }
    if (size > MAP_SIZE_MAX) {
        char most[SIZE_TEXT_LEN];
        size_print(MAP_SIZE_MAX, most);
        text_set(why, "size: is above %s", most);
        return STATUS_INVALID;
    }
    begin(scope, plan);
    if (entry->size == size) {
        return STATUS_OK;
    }
    struct map_entry *resized = &plan->next.map.entries[entry - map_of(scope)->entries];
    struct text line;
    char sizes[2][SIZE_TEXT_LEN];
    size_print(resized->size, sizes[0]);
    size_print(size, sizes[1]);
    text_set(&line, "shard %s: size %s -> %s", resized->name, sizes[0], sizes[1]);
    plan_say(plan, &line);
    resized->size = size;
    plan_touch(plan, resized);
    return STATUS_OK;
}
