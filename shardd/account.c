/* SPDX-License-Identifier: MIT */
#include "shardd/account.h"

#include <assert.h>
#include <stdlib.h>

#include "io/memory.h"

void accounts_fini(struct accounts *accounts)
{
    free(accounts->items);
    *accounts = (struct accounts){0};
}

struct account *accounts_find(const struct accounts *accounts, uint64_t point)
{
    uint64_t bound = point_bound(point);
    for (uint32_t i = accounts->parts[bound >> ACCOUNT_PART_SHIFT]; i < accounts->count; i++) {
        struct account *account = &accounts->items[i];
        if (bound < account->range.end) {
            return bound >= account->range.start ? account : NULL;
        }
    }
    return NULL;
}

static void index_parts(struct accounts *accounts)
{
    uint32_t i = 0;
    for (uint64_t part = 0; part < ACCOUNT_PART_COUNT; part++) {
        while (i < accounts->count && accounts->items[i].range.end <= part << ACCOUNT_PART_SHIFT) {
            i++;
        }
        accounts->parts[part] = i;
    }
}

void account_change(struct accounts *accounts, struct account *account, int64_t used,
                    int64_t records)
{
    assert(used >= 0 || account->used >= (uint64_t)-used);
    assert(records >= 0 || account->records >= (uint64_t)-records);
    account->used += (uint64_t)used;
    account->records += (uint64_t)records;
    if (!account->is_changed) {
        account->is_changed = true;
        account->next_changed = accounts->first_changed;
        accounts->first_changed = account;
    }
}

/* --- in the log --- */

static void put(const struct account *account, struct buffer *out)
{
    const struct log_account numbers = {
        .start = account->range.start,
        .epoch = account->range.epoch,
        .used = account->used,
        .records = account->records,
    };
    log_account_encode(&numbers, out);
}

uint32_t accounts_put_changed(struct accounts *accounts, struct buffer *out)
{
    uint32_t count = 0;
    struct account *account;
    while ((account = accounts->first_changed)) {
        accounts->first_changed = account->next_changed;
        account->is_changed = false;
        put(account, out);
        count++;
    }
    return count;
}

uint32_t accounts_put_all(const struct accounts *accounts, struct buffer *out)
{
    for (uint32_t i = 0; i < accounts->count; i++) {
        put(&accounts->items[i], out);
    }
    return accounts->count;
}

struct account *accounts_find_range(const struct accounts *accounts, uint64_t start)
{
    struct account *account =
        start < BOUND_END ? accounts_find(accounts, point_of_bound(start)) : NULL;
    return account && account->range.start == start ? account : NULL;
}

void accounts_set(struct accounts *accounts, const struct log_account *numbers)
{
    struct account *account = accounts_find_range(accounts, numbers->start);
    if (account) {
        account->used = numbers->used;
        account->records = numbers->records;
    }
}

/* --- states --- */

static void look_whether_open(struct account *account)
{
    account->is_open = account->range.state == RANGE_OPEN && !account->is_settling;
}

static void change_state(struct accounts *accounts, uint64_t start, enum range_state from,
                         enum range_state to)
{
    struct account *account = accounts_find_range(accounts, start);
    if (account && account->range.state == from) {
        account->range.state = to;
        look_whether_open(account);
    }
}

void accounts_freeze(struct accounts *accounts, uint64_t start)
{
    change_state(accounts, start, RANGE_OPEN, RANGE_FROZEN);
}

void accounts_thaw(struct accounts *accounts, uint64_t start)
{
    change_state(accounts, start, RANGE_FROZEN, RANGE_OPEN);
}

void accounts_settle(struct accounts *accounts)
{
    for (uint32_t i = 0; i < accounts->count; i++) {
        accounts->items[i].is_settling = false;
        look_whether_open(&accounts->items[i]);
    }
}

void accounts_set_delay(struct accounts *accounts, uint64_t start, uint32_t delay_ms)
{
    struct account *account = accounts_find_range(accounts, start);
    if (account) {
        accounts->delayed_count -= account->delay_ms > 0;
        accounts->delayed_count += delay_ms > 0;
        account->delay_ms = delay_ms;
    }
}

/* --- when the ranges change --- */

static void take_part(const struct account *old, struct account *account, accounts_split *split,
                      void *context)
{
    const struct range *from = &old->range;
    const struct range *to = &account->range;
    uint64_t used = old->used;
    uint64_t records = old->records;
    if (from->start < to->start || from->end > to->end) {
        uint64_t start = from->start > to->start ? from->start : to->start;
        uint64_t end = from->end < to->end ? from->end : to->end;
        used = records = 0;
        split(context, start, end, &used, &records);
    } else {
        account->operations += old->operations;
        account->evicted += old->evicted;
        account->expired += old->expired;
    }
    if (from->start == to->start && from->end == to->end) {
        account->hand = old->hand;
        account->delay_ms = old->delay_ms;
    }
    account->is_settling |= old->is_settling || from->state != to->state;
    account->used += used;
    account->records += records;
}

static uint32_t count_delayed(const struct account *items, uint32_t count)
{
    uint32_t delayed_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        delayed_count += items[i].delay_ms > 0;
    }
    return delayed_count;
}

void accounts_replace(struct accounts *accounts, const struct range *ranges, uint32_t range_count,
                      accounts_split *split, void *context)
{
    struct account *items = memory_get(range_count + 1, sizeof(*items));
    uint32_t first = 0;
    for (uint32_t i = 0; i < range_count; i++) {
        items[i].range = ranges[i];
        while (first < accounts->count && accounts->items[first].range.end <= ranges[i].start) {
            first++;
        }
        for (uint32_t j = first;
             j < accounts->count && accounts->items[j].range.start < ranges[i].end; j++) {
            take_part(&accounts->items[j], &items[i], split, context);
        }
        look_whether_open(&items[i]);
    }
    accounts_fini(accounts);
    accounts->items = items;
    accounts->count = range_count;
    accounts->delayed_count = count_delayed(items, range_count);
    index_parts(accounts);
}
