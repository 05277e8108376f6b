/* SPDX-License-Identifier: MIT */
#include "bootstrapd/parts.h"

#include <stdio.h>

#include "io/memory.h"
#include "proto/json.h"
#include "proto/point.h"

static bool is_free(const struct map_entry *entry)
{
    return entry->move.phase == MOVE_NONE || entry->move.phase == MOVE_ABORTED;
}

static void say_entry(struct text *why, const struct map_entry *entry, const char *what)
{
    text_set(why, "shard %s: %s", entry->name, what);
}

/* Of NAME.N, where there is a NAME, that one's length: a part of a part is not NAME.N.M. */
static size_t base_len(const struct map *map, const char *name)
{
    const char *dot = strrchr(name, '.');
    bool is_part = dot && dot != name && dot[1] != '\0' &&
                   strspn(dot + 1, "0123456789") == strlen(dot + 1) &&
                   map_find_name(map, bytes_of(name, (size_t)(dot - name)));
    return is_part ? (size_t)(dot - name) : strlen(name);
}

/* NAME.N; where that is too long, NAME loses its end. */
static void find_name(const struct map *map, const char *name, char found[NAME_LEN_MAX + 1])
{
    size_t whole_len = base_len(map, name);
    memset(found, 0, NAME_LEN_MAX + 1);
    for (uint32_t n = 1;; n++) {
        char suffix[16];
        size_t suffix_len = (size_t)snprintf(suffix, sizeof(suffix), ".%u", n);
        size_t name_len = whole_len;
        if (name_len + suffix_len > NAME_LEN_MAX) {
            name_len = utf8_prefix_len(bytes_of(name, NAME_LEN_MAX - suffix_len));
        }
        memcpy(found, name, name_len);
        memcpy(found + name_len, suffix, suffix_len + 1);
        if (!map_find_name(map, bytes_text(found))) {
            return;
        }
    }
}

/* So that both parts of `whole` are shards. */
static uint64_t within(uint64_t size, uint64_t whole)
{
    size = size < MAP_SIZE_MIN ? MAP_SIZE_MIN : size;
    return size > whole - MAP_SIZE_MIN ? whole - MAP_SIZE_MIN : size;
}

/* Of `whole`, the share of one that weighs `weight` of `all`. */
static uint64_t share(uint64_t whole, uint64_t weight, uint64_t all)
{
    return (uint64_t)((double)whole * ((double)weight / (double)all));
}

static bool may_split(const struct map *map, const struct map_entry *entry, struct text *why)
{
    if (!is_free(entry)) {
        say_entry(why, entry, "a move of it goes on");
    } else if (entry->is_new || id_bytes_is_zero(entry->server)) {
        say_entry(why, entry, "was not opened yet");
    } else if (entry->size < UINT64_C(2) * MAP_SIZE_MIN) {
        say_entry(why, entry, "is too small to be split");
    } else if (map->entry_count == MAP_SHARDS_MAX) {
        say_entry(why, entry, "cannot be split: the map has as many shards as it may have");
    } else {
        return true;
    }
    return false;
}

bool parts_split(struct plan *plan, uint32_t index, uint64_t bound, struct text *why)
{
    struct map *map = &plan->next.map;
    if (!may_split(map, &map->entries[index], why)) {
        return false;
    }
    map->entries = memory_resize(map->entries, map->entry_count + 1, sizeof(*map->entries));
    struct map_entry *left = &map->entries[index];
    struct map_entry *right = left + 1;
    memmove(right, left, (map->entry_count - index) * sizeof(*left));
    map->entry_count++;
    struct map_entry *smaller = right->end - bound > bound - left->start ? left : right;
    char name[NAME_LEN_MAX + 1];
    find_name(map, left->name, name);
    memcpy(smaller->name, name, sizeof(name));
    left->size =
        within(share(left->size, bound - left->start, left->end - left->start), left->size);
    right->size -= left->size;
    left->end = bound;
    right->start = bound;
    left->move = (struct map_move){0};
    right->move = (struct map_move){0};
    plan_touch(plan, left);
    plan_touch(plan, right);
    cuts_add(&plan->next.cuts, bound);
    char printed[BOUND_TEXT_LEN];
    struct text line;
    bound_print(bound, printed);
    text_set(&line, "shard %s: split at %s, the other part is %s",
             smaller == left ? right->name : left->name, printed, smaller->name);
    plan_say(plan, &line);
    return true;
}

bool parts_may_join(const struct ledger *ledger, uint32_t index)
{
    const struct map_entry *left = &ledger->map.entries[index];
    const struct map_entry *right = left + 1;
    return index + 1 < ledger->map.entry_count && cuts_has(&ledger->cuts, right->start) &&
           memcmp(left->server, right->server, ID_LEN) == 0 &&
           left->when_full == right->when_full && left->is_new == right->is_new &&
           left->size + right->size <= MAP_SIZE_MAX && is_free(left) && is_free(right) &&
           !moves_touch(&ledger->moves, left->start, right->end);
}

void parts_join(struct plan *plan, uint32_t index)
{
    struct map *map = &plan->next.map;
    struct map_entry *left = &map->entries[index];
    struct map_entry *right = left + 1;
    struct text line;
    bool is_right_shorter = strlen(right->name) < strlen(left->name);
    text_set(&line, "shard %s: joined with %s", is_right_shorter ? right->name : left->name,
             is_right_shorter ? left->name : right->name);
    cuts_drop(&plan->next.cuts, right->start);
    if (is_right_shorter) {
        memcpy(left->name, right->name, sizeof(left->name));
    }
    left->end = right->end;
    left->size += right->size;
    left->move = (struct map_move){0};
    map->entry_count--;
    memmove(right, right + 1, (map->entry_count - index - 1) * sizeof(*right));
    plan_touch(plan, left);
    plan_say(plan, &line);
}

void parts_share_size(struct plan *plan, uint32_t index, uint64_t bytes, uint64_t next_bytes)
{
    struct map_entry *left = &plan->next.map.entries[index];
    struct map_entry *right = left + 1;
    uint64_t whole = left->size + right->size;
    uint64_t held = bytes + next_bytes;
    uint64_t size;
    if (held == 0) {
        return;
    }
    if (held < whole) {
        size = bytes + share(whole - held, left->end - left->start, right->end - left->start);
    } else {
        size = share(whole, bytes, held);
    }
    left->size = within(size, whole);
    right->size = whole - left->size;
    plan_touch(plan, left);
    plan_touch(plan, right);
}
