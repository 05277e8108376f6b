/* SPDX-License-Identifier: MIT */
#include "shardd/minter.h"

#include <stdlib.h>

#include "io/memory.h"
#include "proto/point.h"

/* Milliseconds and more in one call: a run for each, and many more where ids are passed over. */
enum { RUNS_MAX = 4096 };

struct minter {
    minter_reserve *reserve;
    void *context;
    uint64_t origin_ms;
    uint64_t reserved_ms;
    uint64_t stamp;      /* of the reserve's record */
    uint64_t durable_ms; /* up to here it is known to be durable */
    uint64_t passed_ms;  /* up to here ids may have been given before the start, or by another */
    uint64_t seen_ms;    /* the latest clock since the start, by which ids were given */
    uint64_t *last;      /* by slice: the last that was given, or may have been */
    struct mint_run *runs;
    uint32_t run_count;
};

static uint64_t last_of(uint64_t ms, uint32_t shard)
{
    uint64_t id = 0;
    (void)id_compose(ms < ID_TIME_MAX ? ms : ID_TIME_MAX, shard, ID_SEQUENCE_COUNT - 1, &id);
    return id;
}

static void raise(struct minter *minter, uint32_t shard, uint64_t id)
{
    minter->last[shard] = id > minter->last[shard] ? id : minter->last[shard];
}

struct minter *minter_new(uint64_t reserved_ms, minter_reserve *reserve, void *context)
{
    struct minter *minter = memory_get(1, sizeof(*minter));
    minter->reserve = reserve;
    minter->context = context;
    minter->reserved_ms = minter->durable_ms = minter->passed_ms = reserved_ms;
    minter->last = memory_get(ID_SHARD_COUNT, sizeof(*minter->last));
    minter->runs = memory_get(RUNS_MAX, sizeof(*minter->runs));
    for (uint32_t shard = 0; shard < ID_SHARD_COUNT && reserved_ms > 0; shard++) {
        raise(minter, shard, last_of(reserved_ms, shard));
    }
    return minter;
}

void minter_free(struct minter *minter)
{
    if (minter) {
        free(minter->last);
        free(minter->runs);
        free(minter);
    }
}

void minter_set_origin(struct minter *minter, uint64_t origin_ms)
{
    minter->origin_ms = origin_ms;
}

uint64_t minter_reserved_ms(const struct minter *minter)
{
    return minter->reserved_ms;
}

uint64_t minter_ahead_ms(const struct minter *minter, uint64_t now_ms)
{
    uint64_t reserved_ms = minter->origin_ms + minter->reserved_ms;
    bool is_any = minter->origin_ms > 0 && minter->reserved_ms > 0;
    return is_any && reserved_ms > now_ms ? reserved_ms - now_ms : 0;
}

/* --- the reserve --- */

static void reserve_to(struct minter *minter, uint64_t ms)
{
    ms = ms < ID_TIME_MAX ? ms : ID_TIME_MAX;
    if (ms <= minter->reserved_ms) {
        return; /* the end of time is reserved once */
    }
    minter->reserved_ms = ms;
    minter->stamp = minter->reserve(minter->context, minter->reserved_ms);
}

static void note_durable(struct minter *minter, uint64_t durable)
{
    if (durable >= minter->stamp) {
        minter->durable_ms = minter->reserved_ms;
    }
}

/* One that is on its way is waited for, or there would be another in each turn. */
static void extend_for(struct minter *minter, uint64_t ms)
{
    bool is_settled = minter->durable_ms == minter->reserved_ms;
    if (is_settled && ms + MINTER_EXTEND_MS > minter->reserved_ms) {
        reserve_to(minter, ms + MINTER_RESERVE_MS);
    }
}

/* --- giving --- */

/* Nor is there time for ids before the origin, and behind all that they can tell. */
static bool is_behind(const struct minter *minter, const struct mint_wish *wish)
{
    return wish->now_ms < minter->origin_ms || wish->now_ms > minter->origin_ms + ID_TIME_MAX ||
           wish->now_ms + MINTER_BEHIND_MS < minter->origin_ms + minter->reserved_ms;
}

/*
 * RULES I3: up to here, since the origin. What has passed is in the past, or a start would wait for a clock behind. The
 * last millisecond of all is not given, so that there is always one behind what was.
 */
static uint64_t limit_of(const struct minter *minter, const struct mint_wish *wish)
{
    uint64_t time_ms = wish->now_ms - minter->origin_ms;
    time_ms = minter->seen_ms > time_ms ? minter->seen_ms : time_ms;
    time_ms = minter->passed_ms > time_ms ? minter->passed_ms : time_ms;
    return time_ms + MINTER_AHEAD_MS < ID_TIME_MAX ? time_ms + MINTER_AHEAD_MS : ID_TIME_MAX - 1;
}

/* The first that may be given now; UINT64_MAX: there is none any more. */
static uint64_t first_of(const struct minter *minter, uint32_t shard, uint64_t now_ms)
{
    uint64_t id = UINT64_MAX;
    uint64_t last = minter->last[shard];
    bool is_in_time = id_compose(now_ms, shard, 0, &id);
    if (last == 0 || (is_in_time && id > last)) {
        return id;
    }
    if (id_sequence(last) + 1 < ID_SEQUENCE_COUNT) {
        return last + 1;
    }
    return id_compose(id_ms(last) + 1, shard, 0, &id) ? id : UINT64_MAX;
}

uint64_t minter_guess(const struct minter *minter, uint64_t point, uint64_t now_ms)
{
    uint64_t since_ms = now_ms > minter->origin_ms ? now_ms - minter->origin_ms : 0;
    return first_of(minter, id_shard_of_point(point), since_ms);
}

/* RULES I3: past 1023 the next millisecond. */
static uint64_t step(uint64_t id, uint32_t count)
{
    if (id_sequence(id) + count < ID_SEQUENCE_COUNT) {
        return id + count;
    }
    uint64_t next = 0;
    (void)id_compose(id_ms(id) + 1, id_shard(id), 0, &next);
    return next;
}

static void add_run(struct minter *minter, uint64_t first, uint32_t count)
{
    struct mint_run *last = minter->run_count > 0 ? &minter->runs[minter->run_count - 1] : NULL;
    if (last && last->first + last->count == first) {
        last->count += count;
    } else {
        minter->runs[minter->run_count++] = (struct mint_run){first, count};
    }
}

/* How many, from this one on, are given together: of a slice that is all in the range, what is left of the millisecond. */
static uint32_t run_len(const struct mint_wish *wish, uint64_t id, uint32_t left)
{
    uint32_t shard = id_shard(id);
    bool is_whole = id_shard_bound(shard) >= wish->start && id_shard_bound(shard + 1) <= wish->end;
    if (is_whole) {
        uint32_t rest = ID_SEQUENCE_COUNT - id_sequence(id);
        return left < rest ? left : rest;
    }
    return point_in(id_point(id), wish->start, wish->end);
}

static enum mint_result give(struct minter *minter, const struct mint_wish *wish, uint64_t first,
                             uint64_t until_ms)
{
    uint32_t left = wish->count;
    uint64_t id = first;
    minter->run_count = 0;
    for (uint32_t looks = 0; left > 0 && id_ms(id) <= until_ms && looks < MINTER_LOOKS_MAX &&
                             minter->run_count < RUNS_MAX;
         looks++) {
        uint32_t count = run_len(wish, id, left);
        if (count > 0) {
            add_run(minter, id, count);
            left -= count;
        }
        raise(minter, id_shard(id), count > 0 ? id + count - 1 : id);
        id = step(id, count > 0 ? count : 1);
    }
    return minter->run_count > 0 ? MINT_DONE : MINT_LATER;
}

enum mint_result minter_mint(struct minter *minter, const struct mint_wish *wish,
                             const struct mint_run **runs, uint32_t *run_count)
{
    *runs = minter->runs;
    *run_count = 0;
    note_durable(minter, wish->durable);
    if (minter->origin_ms == 0) {
        return MINT_LATER; /* the first map, which tells it, is becoming durable */
    }
    if (is_behind(minter, wish)) {
        return MINT_BEHIND;
    }
    uint64_t since_ms = wish->now_ms - minter->origin_ms;
    minter->seen_ms = since_ms > minter->seen_ms ? since_ms : minter->seen_ms;
    uint64_t ahead_ms = limit_of(minter, wish);
    uint64_t first = first_of(minter, id_shard_of_point(wish->point), since_ms);
    if (id_ms(first) > ahead_ms) {
        return MINT_LATER;
    }
    extend_for(minter, id_ms(first));
    enum mint_result result =
        give(minter, wish, first, ahead_ms < minter->durable_ms ? ahead_ms : minter->durable_ms);
    *run_count = minter->run_count;
    return result;
}

/* --- others' ids --- */

static uint32_t first_slice(uint64_t start)
{
    return id_shard_of_point(point_of_bound(start));
}

static uint32_t last_slice(uint64_t end)
{
    return id_shard_of_point(point_of_bound(end) - 1); /* BOUND_END: 0 - 1 is the last point */
}

uint64_t minter_given_ms(const struct minter *minter, uint64_t start, uint64_t end)
{
    uint64_t ms = 0;
    for (uint32_t shard = first_slice(start); shard <= last_slice(end); shard++) {
        uint64_t given_ms = id_ms(minter->last[shard]);
        ms = given_ms > ms ? given_ms : ms;
    }
    return ms;
}

void minter_take_over(struct minter *minter, uint64_t start, uint64_t end, uint64_t ms)
{
    if (ms == 0) {
        return;
    }
    for (uint32_t shard = first_slice(start); shard <= last_slice(end); shard++) {
        raise(minter, shard, last_of(ms, shard));
    }
    minter->passed_ms = ms > minter->passed_ms ? ms : minter->passed_ms;
    /* And above it, or the first who asks would wait for a reserve. */
    if (ms + MINTER_EXTEND_MS > minter->reserved_ms) {
        reserve_to(minter, ms + MINTER_RESERVE_MS);
    }
}

enum mint_result minter_meet(struct minter *minter, uint64_t id, const struct mint_wish *wish)
{
    note_durable(minter, wish->durable);
    if (minter->origin_ms == 0) {
        return MINT_LATER;
    }
    if (wish->now_ms < minter->origin_ms ||
        id_ms(id) + minter->origin_ms > wish->now_ms + MINTER_BEHIND_MS) {
        return MINT_BEHIND;
    }
    if (id_ms(id) > limit_of(minter, wish)) {
        return MINT_LATER;
    }
    if (id_ms(id) > minter->durable_ms) {
        extend_for(minter, id_ms(id));
        return MINT_LATER;
    }
    raise(minter, id_shard(id), id);
    return MINT_DONE;
}
