/* SPDX-License-Identifier: MIT */
#include "io/hold.h"

#include <stdlib.h>
#include <string.h>

#include "io/memory.h"

#define CAPACITY_MIN 8

void hold_fini(struct hold *hold)
{
    free(hold->more);
    *hold = (struct hold){0};
}

static struct hold_mark *first_mark(struct hold *hold)
{
    return hold->capacity > 0 ? &hold->more[hold->start] : &hold->only;
}

static void grow(struct hold *hold)
{
    bool is_first = hold->capacity == 0;
    hold->capacity = is_first ? CAPACITY_MIN : 2 * hold->capacity;
    hold->more = memory_resize(hold->more, hold->capacity, sizeof(*hold->more));
    if (is_first) {
        hold->more[0] = hold->only;
    }
}

static void make_room(struct hold *hold)
{
    if (hold->start > hold->count) {
        memmove(hold->more, hold->more + hold->start, hold->count * sizeof(*hold->more));
        hold->start = 0;
    } else if (hold->capacity == 0 || hold->start + hold->count == hold->capacity) {
        grow(hold);
    }
}

void hold_add(struct hold *hold, uint64_t free_end, uint64_t end, uint64_t ticket)
{
    struct hold_mark mark = {end, ticket};
    if (hold->count == 0) {
        hold->free_end = free_end;
        hold->only = mark;
        hold->count = 1;
        return;
    }
    struct hold_mark *last = first_mark(hold) + hold->count - 1;
    bool is_new = ticket > last->ticket && end > last->end && hold->count < HOLD_MARK_MAX;
    if (is_new) {
        make_room(hold);
        hold->more[hold->start + hold->count++] = mark;
    } else {
        last->end = end;
        last->ticket = ticket > last->ticket ? ticket : last->ticket;
    }
}

bool hold_release(struct hold *hold, uint64_t ticket)
{
    uint32_t count = hold->count;
    const struct hold_mark *mark = first_mark(hold);
    while (hold->count > 0 && mark->ticket <= ticket) {
        hold->free_end = mark->end;
        hold->start++;
        hold->count--;
        mark++;
    }
    bool is_more = hold->count < count;
    if (hold->count == 0) {
        hold_fini(hold);
    }
    return is_more;
}
