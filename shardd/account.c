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

/* What an old account has, and who of the new ones take a part of it. */
struct estate {
    struct account *old;
    struct account *first, *end; /* all of these have points of it */
    struct account *heir;   /* gets what the rest of them has not; NULL: some points are nobody's */
    uint64_t used, records; /* not given yet */
};

/* Of the parts that have all of it together, the largest: it need not be counted. */
static void find_heir(struct estate *estate)
{
    const struct range *range = &estate->old->range;
    uint64_t width = 0;
    uint64_t widest = 0;
    estate->heir = NULL;
    for (struct account *account = estate->first; account < estate->end; account++) {
        struct interval part = range_overlap(range, &account->range);
        uint64_t common = interval_width(&part);
        width += common;
        estate->heir = common > widest ? account : estate->heir;
        widest = common > widest ? common : widest;
    }
    estate->heir = width == range->end - range->start ? estate->heir : NULL;
}

static void give(struct estate *estate, struct account *account, uint64_t used, uint64_t records)
{
    account->used += used;
    account->records += records;
    estate->used -= used < estate->used ? used : estate->used;
    estate->records -= records < estate->records ? records : estate->records;
}

static void count_part(struct estate *estate, struct account *account, accounts_split *split,
                       void *context)
{
    struct interval part = range_overlap(&estate->old->range, &account->range);
    uint64_t used = 0;
    uint64_t records = 0;
    split(context, part.start, part.end, &used, &records);
    give(estate, account, used, records);
}

/* Statistics go to whoever needs no counting; what belongs to the very range stays with it. */
static void carry_over(const struct estate *estate, struct account *account)
{
    const struct account *old = estate->old;
    if (account == estate->heir) {
        account->operations += old->operations;
        account->evicted += old->evicted;
        account->expired += old->expired;
    }
    if (account->range.start == old->range.start && account->range.end == old->range.end) {
        account->hands = old->hands;
        account->delay_ms = old->delay_ms;
    }
    account->is_settling |= old->is_settling || old->range.state != account->range.state;
}

static void share_out(struct estate *estate, accounts_split *split, void *context)
{
    estate->used = estate->old->used;
    estate->records = estate->old->records;
    find_heir(estate);
    for (struct account *account = estate->first; account < estate->end; account++) {
        carry_over(estate, account);
        if (account != estate->heir) {
            count_part(estate, account, split, context);
        }
    }
    if (estate->heir) {
        give(estate, estate->heir, estate->used, estate->records);
    }
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
    struct account *items_end = items + range_count;
    struct estate estate = {.first = items};
    for (uint32_t i = 0; i < range_count; i++) {
        items[i].range = ranges[i];
    }
    for (estate.old = accounts->items; estate.old < accounts->items + accounts->count;
         estate.old++) {
        const struct range *range = &estate.old->range;
        while (estate.first < items_end && estate.first->range.end <= range->start) {
            estate.first++;
        }
        estate.end = estate.first;
        while (estate.end < items_end && estate.end->range.start < range->end) {
            estate.end++;
        }
        share_out(&estate, split, context);
    }
    for (uint32_t i = 0; i < range_count; i++) {
        look_whether_open(&items[i]);
    }
    accounts_fini(accounts);
    accounts->items = items;
    accounts->count = range_count;
    accounts->delayed_count = count_delayed(items, range_count);
    index_parts(accounts);
}
