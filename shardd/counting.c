/* SPDX-License-Identifier: MIT */
#include "shardd/counting.h"

#include <assert.h>
#include <stdlib.h>

#include "io/memory.h"
#include "proto/point.h"

struct part {
    struct interval interval;
    struct hand *hand;
};

struct counting {
    struct counting_config config;
    struct part parts[DIVISION_PARTS_MAX];
    uint32_t count;
    bool is_told;
    struct timer *timer; /* tells it again */
    loop_callback *on_counted;
    void *context;
};

/* Its turn tells. */
static void on_timer(void *context)
{
    struct counting *counting = context;
    counting->is_told = false;
}

struct counting *counting_new(const struct counting_config *config)
{
    struct counting *counting = memory_get(1, sizeof(*counting));
    counting->config = *config;
    counting->timer = timer_new(config->loop, on_timer, counting);
    return counting;
}

void counting_on_counted(struct counting *counting, loop_callback *on_counted, void *context)
{
    counting->on_counted = on_counted;
    counting->context = context;
}

static struct account *account_of(const struct counting *counting, const struct part *part)
{
    return accounts_find(counting->config.accounts, interval_first(&part->interval));
}

/* Not when the account has become another: it was told nothing since. */
static bool is_attached(const struct counting *counting, const struct part *part)
{
    const struct account *account = account_of(counting, part);
    return account && hands_have(account->hands, part->hand);
}

static void begin(struct counting *counting, struct part *part)
{
    const struct hand_config config = {
        .loop = counting->config.loop,
        .tree = counting->config.tree,
        .hot = counting->config.hot,
        .retries = counting->config.retries,
        .start = part->interval.start,
        .end = part->interval.end,
    };
    struct account *account = account_of(counting, part);
    part->hand = hand_new(&config);
    if (account) {
        hands_add(&account->hands, part->hand);
    }
}

static void end(const struct counting *counting, struct part *part)
{
    struct account *account = account_of(counting, part);
    if (account) {
        hands_remove(&account->hands, part->hand);
    }
    hand_free(part->hand);
}

void counting_free(struct counting *counting)
{
    if (counting) {
        counting_want(counting, NULL, 0);
        timer_free(counting->timer);
        free(counting);
    }
}

static bool is_same(const struct interval *a, const struct interval *b)
{
    return a->start == b->start && a->end == b->end;
}

static const struct part *find(const struct counting *counting, const struct interval *interval)
{
    for (uint32_t i = 0; i < counting->count; i++) {
        if (is_same(&counting->parts[i].interval, interval)) {
            return &counting->parts[i];
        }
    }
    return NULL;
}

static void drop_unwanted(struct counting *counting, const struct interval *parts, uint32_t count)
{
    uint32_t kept_count = 0;
    for (uint32_t i = 0; i < counting->count; i++) {
        struct part *part = &counting->parts[i];
        bool is_wanted = false;
        for (uint32_t j = 0; j < count; j++) {
            is_wanted |= is_same(&part->interval, &parts[j]);
        }
        if (is_wanted) {
            counting->parts[kept_count++] = *part;
        } else {
            end(counting, part);
        }
    }
    counting->count = kept_count;
}

void counting_want(struct counting *counting, const struct interval *parts, uint32_t count)
{
    assert(count <= DIVISION_PARTS_MAX);
    drop_unwanted(counting, parts, count);
    for (uint32_t i = 0; i < count; i++) {
        if (!find(counting, &parts[i])) {
            struct part *part = &counting->parts[counting->count++];
            *part = (struct part){.interval = parts[i]};
            begin(counting, part);
            counting->is_told = false;
        }
    }
}

/* Values that are kept for retries count in the account, and are no records. */
bool counting_find(const struct counting *counting, uint64_t start, uint64_t end, uint64_t *used,
                   uint64_t *records)
{
    const struct interval interval = {start, end};
    const struct part *part = find(counting, &interval);
    if (!part || !hand_is_at_end(part->hand) || !is_attached(counting, part)) {
        return false;
    }
    const struct range_sum *sum = hand_sum(part->hand);
    *used = sum->bytes + retries_held(counting->config.retries, interval_first(&interval),
                                      interval_last(&interval));
    *records = sum->records;
    return true;
}

void counting_turn(struct counting *counting, uint64_t last_stamp, uint64_t now_ms)
{
    bool is_counted = counting->count > 0;
    for (uint32_t i = 0; i < counting->count; i++) {
        struct part *part = &counting->parts[i];
        if (!is_attached(counting, part)) {
            end(counting, part);
            begin(counting, part);
        }
        hand_turn(part->hand, last_stamp, now_ms, true);
        is_counted &= hand_is_at_end(part->hand);
    }
    if (is_counted && !counting->is_told) {
        counting->is_told = true;
        timer_set(counting->timer, COUNTING_TELL_MS);
        counting->on_counted(counting->context);
    }
}
