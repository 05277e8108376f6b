/* SPDX-License-Identifier: MIT */
#include "shardd/store_internal.h"

#include "shardd/hand.h"
#include "shardd/import.h"

/* What moves need of the store: ranges by the bound at which they start. */

/* --- a source --- */

struct hand *store_hand_new(struct store *store, uint64_t start, uint64_t end, hand_emit *emit,
                            void (*on_fault)(void *context, const char *text), void *context)
{
    const struct hand_config config = {
        .loop = store->config.loop,
        .tree = store->tree,
        .hot = store->hot,
        .retries = store->retries,
        .start = start,
        .end = end,
        .emit = emit,
        .on_fault = on_fault,
        .context = context,
    };
    return hand_new(&config);
}

void store_hand_turn(struct store *store, struct hand *hand, bool may_go_on)
{
    store_begin_turn(store);
    hand_turn(hand, log_last(store->log), store->execution.now_ms, may_go_on);
}

uint64_t store_operations(const struct store *store)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < store->accounts.count; i++) {
        sum += store->accounts.items[i].operations;
    }
    return sum;
}

void store_count(struct store *store, const struct interval *parts, uint32_t count)
{
    counting_want(store->counting, parts, count);
}

bool store_has_counted(const struct store *store, const struct interval *part)
{
    uint64_t used;
    uint64_t records;
    return counting_find(store->counting, part->start, part->end, &used, &records);
}

void store_on_counted(struct store *store, loop_callback *on_counted, void *context)
{
    counting_on_counted(store->counting, on_counted, context);
}

void store_add_hand(struct store *store, struct hand *hand)
{
    struct account *account = accounts_find_range(&store->accounts, hand_start(hand));
    if (account) {
        hands_add(&account->hands, hand);
    }
}

void store_remove_hand(struct store *store, const struct hand *hand)
{
    struct account *account = accounts_find_range(&store->accounts, hand_start(hand));
    if (account) {
        hands_remove(&account->hands, hand);
    }
}

void store_set_delay(struct store *store, uint64_t start, uint32_t delay_ms)
{
    accounts_set_delay(&store->accounts, start, delay_ms);
}

void store_freeze(struct store *store, uint64_t start)
{
    accounts_freeze(&store->accounts, start);
}

void store_thaw(struct store *store, uint64_t start)
{
    accounts_thaw(&store->accounts, start);
    store_run_held(store);
}

bool store_empty(struct store *store, uint64_t start, uint64_t end, uint64_t records,
                 loop_callback *on_done, void *context)
{
    if (emptying_is_busy(store->emptying)) {
        return false;
    }
    emptying_start(store->emptying, start, end, records, on_done, context);
    return true;
}

uint64_t store_stream_len_max(const struct store *store)
{
    uint64_t part = store->config.memory_limit / STORE_STREAM_PART;
    return part < STREAM_WAITING_LEN_MAX ? part : STREAM_WAITING_LEN_MAX;
}

void store_set_moving_len(struct store *store, uint64_t len)
{
    store->moving_len = len;
}

/* --- a target --- */

struct import *store_import_new(struct store *store, const struct store_import *wanted)
{
    const struct import_config config = {
        .loop = store->config.loop,
        .tree = store->tree,
        .sweep = store->sweep,
        .execution = &store->execution,
        .start = wanted->start,
        .end = wanted->end,
        .stamp = wanted->stamp,
        .on_answer = wanted->on_answer,
        .on_whole = wanted->on_whole,
        .on_broken = wanted->on_broken,
        .context = wanted->context,
    };
    return import_new(&config);
}

void store_import_turn(struct store *store, struct import *import)
{
    store_begin_turn(store);
    import_turn(import);
}

/* --- ids --- */

void store_set_origin(struct store *store, uint64_t origin_ms)
{
    minter_set_origin(store->minter, origin_ms);
}

uint64_t store_given_ms(const struct store *store, uint64_t start, uint64_t end)
{
    return minter_given_ms(store->minter, start, end);
}

void store_take_over_ids(struct store *store, uint64_t start, uint64_t end, uint64_t ms)
{
    minter_take_over(store->minter, start, end, ms);
}

/* --- stamps --- */

uint64_t store_durable_stamp(const struct store *store)
{
    return log_durable(store->log);
}

void store_raise_stamp(struct store *store, uint64_t stamp)
{
    (void)log_lift(store->log, stamp);
}
