/* SPDX-License-Identifier: MIT */
#include "shardd/saving.h"

#include <assert.h>
#include <stdlib.h>

#include "io/memory.h"
#include "shardd/interval.h"
#include "shardd/tally.h"

enum stage {
    SAVING_NOTHING,
    SAVING_BEGUN,    /* to be looked at */
    SAVING_CLEAR,    /* a LOG_CLEAR is on its way to the disk */
    SAVING_EMPTYING, /* the tree is being emptied */
    SAVING_STATE,    /* the LOG_STATE is on its way to the disk */
    SAVING_GIVEN_UP, /* no room */
};

struct saving {
    struct saving_config config;
    enum stage stage;
    struct buffer control;
    struct range *ranges;
    uint32_t range_count;
    struct interval *gained;
    uint32_t gained_count;
    uint32_t retries_count; /* of these, where no retry results are any more, */
    uint32_t emptied_count; /* and where the tree is empty */
    uint64_t awaited;       /* stamp that must be durable before the next step */
    saving_done *on_done;
    void *context;
};

struct saving *saving_new(const struct saving_config *config)
{
    struct saving *saving = memory_get(1, sizeof(*saving));
    saving->config = *config;
    return saving;
}

void saving_free(struct saving *saving)
{
    if (saving) {
        buffer_fini(&saving->control);
        free(saving->ranges);
        free(saving->gained);
        free(saving);
    }
}

bool saving_is_busy(const struct saving *saving)
{
    return saving->stage != SAVING_NOTHING;
}

/* --- what is gained --- */

static void add_gained(struct saving *saving, uint64_t start, uint64_t end)
{
    if (start < end) {
        saving->gained =
            memory_resize(saving->gained, saving->gained_count + 1, sizeof(*saving->gained));
        saving->gained[saving->gained_count++] = (struct interval){start, end};
    }
}

/* The parts of `range` that no account covers. */
static void find_gained(struct saving *saving, const struct range *range)
{
    const struct accounts *accounts = saving->config.accounts;
    uint64_t at = range->start;
    for (uint32_t i = 0; i < accounts->count; i++) {
        const struct range *held = &accounts->items[i].range;
        if (held->end > at && held->start < range->end) {
            add_gained(saving, at, held->start);
            at = held->end;
        }
    }
    add_gained(saving, at, range->end);
}

void saving_start(struct saving *saving, struct bytes control, const struct range *ranges,
                  uint32_t range_count, saving_done *on_done, void *context)
{
    assert(saving->stage == SAVING_NOTHING);
    buffer_clear(&saving->control);
    buffer_append_bytes(&saving->control, control);
    memory_must(!saving->control.failed);
    saving->ranges = memory_resize(saving->ranges, range_count + 1, sizeof(*saving->ranges));
    if (range_count > 0) {
        memcpy(saving->ranges, ranges, range_count * sizeof(*ranges));
    }
    saving->range_count = range_count;
    saving->gained_count = saving->retries_count = saving->emptied_count = 0;
    for (uint32_t i = 0; i < range_count; i++) {
        find_gained(saving, &ranges[i]);
    }
    saving->on_done = on_done;
    saving->context = context;
    saving->stage = SAVING_BEGUN;
}

/* --- emptying --- */

/* What an earlier ownership left; RULES V2: an older log cannot bring it back. */
static void log_clears(struct saving *saving)
{
    const struct saving_config *config = &saving->config;
    for (uint32_t i = 0; i < saving->gained_count; i++) {
        const struct interval *gained = &saving->gained[i];
        config->on_clear(config->context, interval_first(gained), interval_last(gained));
        saving->awaited = interval_clear(gained, config->log, config->hot);
    }
    saving->stage = SAVING_CLEAR;
}

/* Before the tree is, so that no sweep puts any of it there again. False: there is more for the next turn. */
static bool clear_retries(struct saving *saving)
{
    while (saving->retries_count < saving->gained_count) {
        const struct interval *gained = &saving->gained[saving->retries_count];
        if (!retries_clear(saving->config.retries, interval_first(gained), interval_last(gained))) {
            return false;
        }
        saving->retries_count++;
    }
    return true;
}

static void on_emptied(void *context, bool is_done)
{
    struct saving *saving = context;
    const struct interval *gained = &saving->gained[saving->emptied_count++];
    if (!is_done) {
        saving->stage = SAVING_GIVEN_UP;
        return;
    }
    hot_clear(saving->config.hot, interval_first(gained), interval_last(gained), true);
    saving->stage = SAVING_CLEAR;
}

static void empty_next(struct saving *saving)
{
    const struct interval *gained = &saving->gained[saving->emptied_count];
    saving->stage = SAVING_EMPTYING;
    sweep_clear(saving->config.sweep, gained->start, gained->end, on_emptied, saving);
}

/* --- the new state --- */

/* A range was split. What was not counted before is counted here and now. */
static void count_part(void *context, uint64_t start, uint64_t end, uint64_t *used,
                       uint64_t *records)
{
    struct saving *saving = context;
    const struct saving_config *config = &saving->config;
    const struct tally_sources sources = {config->tree, config->hot, config->retries};
    if (!counting_find(config->counting, start, end, used, records)) {
        tally_interval(&sources, start, end, used, records);
    }
}

/* Steps of a move follow each other, and clients wait for their syncs: one copy in the tree is enough for them all. */
static uint64_t keep_within_ms(const struct saving *saving)
{
    for (uint32_t i = 0; i < saving->range_count; i++) {
        if (saving->ranges[i].state != RANGE_OPEN) {
            return 1000;
        }
    }
    return 0;
}

static void log_state(struct saving *saving)
{
    const struct saving_config *config = &saving->config;
    /* What this turn has done goes with the accounts of before: a torn log may end behind it (RULES S8). */
    log_turn_end(config->log);
    accounts_replace(config->accounts, saving->ranges, saving->range_count, count_part, saving);
    buffer_clear(config->control);
    buffer_append_bytes(config->control, buffer_bytes(&saving->control));
    memory_must(!config->control->failed);
    saving->awaited = log_add_control(config->log, LOG_STATE, buffer_bytes(config->control));
    sweep_keep_state(config->sweep, buffer_bytes(config->control), saving->awaited,
                     keep_within_ms(saving));
    saving->stage = SAVING_STATE;
}

/* The owner first: who waited for this is answered by what it then knows. */
static void tell(struct saving *saving, bool is_saved)
{
    const struct saving_config *config = &saving->config;
    saving->stage = SAVING_NOTHING;
    saving->on_done(saving->context, is_saved);
    if (is_saved) {
        accounts_settle(config->accounts);
        config->on_settled(config->context);
    }
}

void saving_turn(struct saving *saving)
{
    bool is_durable = log_durable(saving->config.log) >= saving->awaited;
    switch (saving->stage) {
    case SAVING_BEGUN:
        if (saving->gained_count == 0) {
            log_state(saving);
        } else if (!sweep_is_busy(saving->config.sweep)) { /* RULES V2 */
            log_clears(saving);
        }
        break;
    case SAVING_CLEAR:
        if (!clear_retries(saving)) {
            break;
        }
        if (is_durable && saving->emptied_count < saving->gained_count) {
            if (!sweep_is_clearing(saving->config.sweep)) {
                empty_next(saving);
            }
        } else if (is_durable) {
            log_state(saving);
        }
        break;
    case SAVING_STATE:
        if (is_durable) {
            tell(saving, true);
        }
        break;
    case SAVING_GIVEN_UP:
        tell(saving, false);
        break;
    case SAVING_EMPTYING:
    case SAVING_NOTHING:
        break;
    }
}
