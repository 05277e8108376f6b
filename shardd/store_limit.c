/* SPDX-License-Identifier: MIT */
#include "shardd/store_internal.h"

#include "io/clock.h"
#include "io/conn.h"

/* The part of the memory as which results that are to be swept count at most. */
#define RESULTS_PART 8

/* What is left of the log's room when even what shrinks must wait: a part of a segment. */
#define LOG_LEFT_PART 4

/* Buckets that eviction looks at in one turn, and entries that it moves together: a quarter of a millisecond. */
#define EVICT_BUCKETS_MAX 4096
#define EVICT_MOVES_MAX   1024

/* Memory that is made ahead only as long as so much more may be held. */
#define SUPPLY_LEN ((size_t)4 << 20)

/* What clean records keep whatever the rest takes. */
#define HOT_PART 4

static uint64_t held_len(const struct store *store)
{
    struct loop *loop = store->config.loop;
    return hot_held(store->hot) + retries_len(store->retries) + store->waiting_len +
           fetch_len(store->fetch) + slices_len(store->slices) + store->hiding_len +
           conn_output_total(loop) + conn_input_total(loop) + log_queue_len(store->log) +
           store->moving_len;
}

/*
 * What the sweep and the log thread can make go away. Results stay when they are swept: they make the sweep go
 * round, but alone never slow or refuse anyone, who would then wait for their fifteen minutes.
 */
static uint64_t dirty_len(const struct store *store)
{
    uint64_t most = store->config.memory_limit / RESULTS_PART;
    uint64_t results = retries_are_dirty(store->retries) ? retries_len(store->retries) : 0;
    return hot_dirty_len(store->hot) + log_queue_len(store->log) +
           (results < most ? results : most);
}

/*
 * What the sweep can make go away. With nothing dirty all but the open segment has gone, which one long record
 * may have made longer than the limit: waiting would not help.
 */
static uint64_t sweepable_log(const struct store *store)
{
    bool is_dirty = hot_dirty_len(store->hot) > 0 || retries_are_dirty(store->retries);
    return is_dirty ? log_used(store->log) : 0;
}

void store_weigh(struct store *store)
{
    uint64_t now_ms = clock_mono_ms();
    if (log_last(store->log) != store->changed_stamp) {
        store->changed_stamp = log_last(store->log);
        store->changed_ms = now_ms;
    }
    const struct pressure_input input = {
        .log_used = sweepable_log(store),
        .log_limit = store->config.log_limit,
        .dirty_len = dirty_len(store),
        .memory_limit = store->config.memory_limit,
        .quiet_ms = now_ms - store->changed_ms,
        .is_disk_full = store->execution.is_disk_full,
    };
    store->pressure = pressure_of(&input);
    store->execution.is_memory_full = store->pressure.is_memory_full;
}

static uint64_t limit_sum(const struct store *store)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < store->accounts.count; i++) {
        uint64_t limit = store->accounts.items[i].range.limit;
        sum = limit < UINT64_MAX - sum ? sum + limit : UINT64_MAX;
    }
    return sum;
}

/* RULES F1. Clients hear it with each refusal. */
void store_look_at_disk(struct store *store)
{
    struct execution *execution = &store->execution;
    uint64_t now_ms = clock_mono_ms();
    bool is_refused = sweep_is_disk_full(store->sweep) || log_is_disk_full(store->log);
    if (room_is_due(store->room, is_refused, now_ms)) {
        room_look(store->room, limit_sum(store), is_refused, now_ms);
    }
    if (room_was_given(store->room)) {
        sweep_retry(store->sweep);
    }
    execution->is_disk_full = room_is_full(store->room);
    execution->is_log_full =
        execution->is_disk_full && log_room(store->log) < store->config.segment_len / LOG_LEFT_PART;
}

/* Clean records leave when the memory is full (DESIGN §5). */
void store_evict(struct store *store)
{
    uint64_t others = held_len(store) - hot_held(store->hot);
    uint64_t limit = store->config.memory_limit;
    uint64_t least = limit / HOT_PART;
    uint64_t target = others < limit - least ? limit - others : least;
    hot_trim(store->hot, target, EVICT_BUCKETS_MAX, EVICT_MOVES_MAX);
    if (hot_held(store->hot) + SUPPLY_LEN <= target) {
        supply_turn(store->supply);
    }
}
