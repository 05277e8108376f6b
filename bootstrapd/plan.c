/* SPDX-License-Identifier: MIT */
#include "bootstrapd/plan.h"

#include <assert.h>

#include "io/memory.h"

void plan_begin(struct plan *plan, const struct ledger *present)
{
    *plan = (struct plan){.revision = present->map.revision + 1, .who = "bootstrapd"};
    ledger_copy(present, &plan->next);
}

void plan_fini(struct plan *plan)
{
    ledger_fini(&plan->next);
    buffer_fini(&plan->lines);
}

void plan_touch_map(struct plan *plan)
{
    plan->is_changed = true;
    plan->next.map.revision = plan->revision;
}

void plan_touch(struct plan *plan, struct map_entry *entry)
{
    plan_touch_map(plan);
    entry->epoch = plan->revision;
}

void plan_say(struct plan *plan, const struct text *line)
{
    buffer_append_bytes(&plan->lines, bytes_text(line->chars));
    buffer_append(&plan->lines, "\n", 1);
    memory_must(!plan->lines.failed);
    plan->line_count++;
}

void plan_note(struct plan *plan)
{
    plan->is_noted = true;
}

/* --- moves --- */

static bool is_owner_target(enum move_phase phase)
{
    return phase == MOVE_COMMITTED || phase == MOVE_UNDO || phase == MOVE_OPENED;
}

static void set_owner(const struct map *map, struct map_entry *entry, const uint8_t id[ID_LEN])
{
    const struct map_server *server = map_find_server(map, id);
    if (server && memcmp(entry->server, id, ID_LEN) != 0) {
        memcpy(entry->server, id, ID_LEN);
        entry->address = server->address;
    }
}

bool plan_set_phase(struct plan *plan, struct map_entry *entry, const struct map_entry *seen,
                    enum move_phase phase)
{
    if (entry->epoch != seen->epoch || entry->move.id != seen->move.id ||
        entry->move.phase != seen->move.phase) {
        return false;
    }
    if (phase == MOVE_NONE) {
        entry->move = (struct map_move){0};
    } else {
        entry->move.phase = phase;
        set_owner(&plan->next.map, entry,
                  is_owner_target(phase) ? entry->move.target : entry->move.source);
    }
    plan_touch(plan, entry);
    return true;
}

void plan_begin_try(struct plan *plan, struct map_entry *entry, struct move *move)
{
    assert(entry->move.phase == MOVE_NONE || entry->move.phase == MOVE_ABORTED);
    plan_touch(plan, entry);
    entry->move = (struct map_move){.phase = MOVE_COPY, .id = entry->epoch};
    memcpy(entry->move.source, move->source, ID_LEN);
    memcpy(entry->move.target, move->target, ID_LEN);
    move->id = entry->epoch;
    move->course = COURSE_GOING;
    move->is_cut = false;
    move->try_count++;
    move->reason[0] = '\0';
}

void plan_end_move(struct plan *plan, struct move *move, enum move_course course,
                   const char *reason, uint64_t now_ms)
{
    struct history_move ended = {.number = ++plan->next.history_count};
    move->course = course;
    move->ended_ms = now_ms;
    if (*reason) {
        move_set_text(move->reason, sizeof(move->reason), reason);
    }
    ended.move = *move;
    history_add_move(&plan->next.recent, &ended);
    moves_drop(&plan->next.moves, (uint32_t)(move - plan->next.moves.items));
    plan_note(plan);
}

void plan_log(struct plan *plan, uint64_t now_ms)
{
    struct bytes said = {0};
    while (plan_next_line(plan, &said)) {
        struct text text;
        struct history_line line = {.number = ++plan->next.history_count,
                                    .revision = plan->next.map.revision,
                                    .at_ms = now_ms};
        text_set(&text, "%.*s", (int)said.len, (const char *)said.data);
        move_set_text(line.who, sizeof(line.who), plan->who);
        move_set_text(line.text, sizeof(line.text), text.chars);
        history_add_line(&plan->next.recent, &line);
    }
}

/* --- servers --- */

static struct map_server *find_server(struct map *map, const uint8_t id[ID_LEN])
{
    for (uint32_t i = 0; i < map->server_count; i++) {
        if (memcmp(map->servers[i].id, id, ID_LEN) == 0) {
            return &map->servers[i];
        }
    }
    return NULL;
}

void plan_set_server(struct plan *plan, const struct map_server *server)
{
    struct map *map = &plan->next.map;
    struct map_server *known = find_server(map, server->id);
    if (!known) {
        map->servers = memory_resize(map->servers, map->server_count + 1, sizeof(*map->servers));
        map->servers[map->server_count++] = *server;
        plan_touch_map(plan);
        return;
    }
    if (!address_equal(&known->address, &server->address) ||
        known->incarnation < server->incarnation || known->start != server->start) {
        known->address = server->address;
        known->incarnation = server->incarnation;
        known->start = server->start;
        plan_touch_map(plan);
    }
}

void plan_drop_idle_server(struct plan *plan, const uint8_t id[ID_LEN])
{
    struct map *map = &plan->next.map;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (memcmp(map->entries[i].server, id, ID_LEN) == 0) {
            return;
        }
    }
    struct map_server *idle = find_server(map, id);
    if (idle) {
        const struct map_server *end = map->servers + map->server_count;
        memmove(idle, idle + 1, (size_t)(end - (idle + 1)) * sizeof(*idle));
        map->server_count--;
        plan_touch_map(plan);
    }
}

bool plan_next_line(const struct plan *plan, struct bytes *line)
{
    const char *begin = (const char *)plan->lines.data;
    const char *end = begin + plan->lines.len;
    const char *next = line->data ? (const char *)line->data + line->len + 1 : begin;
    if (next == end) {
        return false;
    }
    const char *line_end = memchr(next, '\n', (size_t)(end - next));
    *line = bytes_of(next, (size_t)(line_end - next));
    return true;
}
