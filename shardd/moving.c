/* SPDX-License-Identifier: MIT */
#include "shardd/moving.h"

#include <assert.h>
#include <stdlib.h>

#include "io/memory.h"

void movings_copy(const struct movings *movings, struct movings *copy)
{
    *copy = (struct movings){0};
    for (uint32_t i = 0; i < movings->count; i++) {
        movings_add(copy, &movings->items[i]);
    }
}

void movings_fini(struct movings *movings)
{
    free(movings->items);
    *movings = (struct movings){0};
}

void movings_add(struct movings *movings, const struct moving *moving)
{
    movings->items = memory_resize(movings->items, movings->count + 1, sizeof(*movings->items));
    movings->items[movings->count++] = *moving;
}

void movings_drop(struct movings *movings, struct moving *moving)
{
    assert(movings->items && movings->count > 0);
    *moving = movings->items[--movings->count];
}

struct moving *movings_find(const struct movings *movings, uint64_t id, enum moving_state state)
{
    for (uint32_t i = 0; i < movings->count; i++) {
        if (movings->items[i].id == id && movings->items[i].state == state) {
            return &movings->items[i];
        }
    }
    return NULL;
}

struct moving *movings_at(const struct movings *movings, uint64_t bound)
{
    for (uint32_t i = 0; i < movings->count; i++) {
        struct moving *moving = &movings->items[i];
        if (moving->state != MOVING_DELETING && bound >= moving->start && bound < moving->end) {
            return moving;
        }
    }
    return NULL;
}

static bool touches(const struct moving *moving, uint64_t start, uint64_t end)
{
    return moving->start < end && start < moving->end;
}

bool movings_touch(const struct movings *movings, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < movings->count; i++) {
        if (touches(&movings->items[i], start, end)) {
            return true;
        }
    }
    return false;
}

const struct moving *movings_find_closed(const struct movings *movings, uint64_t start,
                                         uint64_t end)
{
    for (uint32_t i = 0; i < movings->count; i++) {
        const struct moving *moving = &movings->items[i];
        if (moving->state == MOVING_CLOSED && touches(moving, start, end)) {
            return moving;
        }
    }
    return NULL;
}

/* --- the table --- */

static enum moving_fate follow_own(const struct moving *moving, const struct map_move *move)
{
    bool is_same = move->phase != MOVE_NONE && move->id == moving->id;
    switch (moving->state) {
    case MOVING_FROZEN:
        return is_same && move->phase == MOVE_COPY ? MOVING_STAYS : MOVING_IS_OWNED;
    case MOVING_CLOSED:
        return MOVING_IS_OWNED;
    case MOVING_READY:
        return is_same && move->phase == MOVE_COMMITTED ? MOVING_IS_OWNED : MOVING_STAYS;
    case MOVING_IMPORT:
    case MOVING_DELETING:
        break;
    }
    return MOVING_STAYS;
}

static void follow_anothers(struct moving *moving, const struct map_move *move)
{
    bool is_same_copy = move->phase == MOVE_COPY && move->id == moving->id;
    switch (moving->state) {
    case MOVING_FROZEN:
        moving->state = MOVING_CLOSED;
        break;
    case MOVING_IMPORT:
    case MOVING_READY:
        moving->state = is_same_copy ? moving->state : MOVING_DELETING;
        break;
    case MOVING_CLOSED:
    case MOVING_DELETING:
        break;
    }
}

enum moving_fate moving_follow(struct moving *moving, const struct map_entry *entry,
                               const uint8_t server[ID_LEN])
{
    if (memcmp(entry->server, server, ID_LEN) == 0) {
        return follow_own(moving, &entry->move);
    }
    follow_anothers(moving, &entry->move);
    return MOVING_STAYS;
}

const char *moving_state_text(enum moving_state state)
{
    switch (state) {
    case MOVING_FROZEN:
        return "frozen";
    case MOVING_CLOSED:
        return "closed";
    case MOVING_DELETING:
        return "deleting";
    case MOVING_IMPORT:
        return "importing";
    case MOVING_READY:
        return "ready";
    }
    return "unknown";
}
