/* SPDX-License-Identifier: MIT */
#include "bootstrapd/plan.h"

#include "io/memory.h"

void plan_begin(struct plan *plan, const struct ledger *present)
{
    *plan = (struct plan){.revision = present->map.revision + 1};
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
        *known = *server;
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
