/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "libclient/client.h"
#include "libclient/error.h"
#include "libclient/exchange.h"
#include "proto/id.h"

/*
 * Minting any count, in rounds of one exchange each, which may bring fewer ids than they asked for:
 *
 *     one shard:       | 65,536 |  then  | 65,536 |  then  | rest |       growing, so one after the other
 *     SKV_SHARD_ANY:   | n/256 | n/256 | ... all at once, each of a shard of its own
 *
 * A point is drawn for each piece, so that a slice that is split gives from all its parts. Pieces of several owners
 * are put in order at the end.
 */

/* Shards of a round with SKV_SHARD_ANY: enough that servers get about as much as they own, few enough to wait for. */
#define PIECES_MAX 256

/* Servers gave ids a moment ago: if none says more before the last round ends, most likely they wait for the clock. */
#define NO_MORE_YET "no more ids yet: a logical shard has 1,024 a millisecond, for all who ask"

struct minting {
    struct cluster *cluster;
    struct task_wish wish; /* but for its count */
    uint64_t *ids;
    size_t count;
    size_t done;
    uint64_t start_us;
    uint32_t timeout_ms;
};

/* The format's 1,024 in a millisecond and shard come on top of the time that the call may take. */
static uint32_t call_ms(const struct minting *minting, size_t asked)
{
    uint64_t ms = minting->timeout_ms + (uint64_t)asked / ID_SEQUENCE_COUNT;
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static uint32_t left_of(const struct minting *minting, uint32_t ms)
{
    uint64_t gone_ms = (clock_mono_us() - minting->start_us) / 1000;
    return gone_ms < ms ? ms - (uint32_t)gone_ms : 1;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t piece_count_of(const struct minting *minting)
{
    bool is_any = minting->wish.shard == SKV_SHARD_ANY;
    return is_any ? smaller(minting->count - minting->done, PIECES_MAX) : 1;
}

static void prepare_piece(struct minting *minting, struct task *task, size_t len, uint32_t ms)
{
    minting->wish.id_count = (uint32_t)len;
    task_prepare(task, &minting->wish, ms);
    task->timeout_ms = left_of(minting, ms);
    task->told_ms = ms;
    task->ids_came = minting->done;
    task->ids_wanted = minting->count;
    if (minting->done > 0) {
        task_note(task, bytes_text(NO_MORE_YET));
    }
}

static void prepare(struct minting *minting, struct task *tasks, size_t piece_count)
{
    size_t left = smaller(minting->count - minting->done, piece_count * TASK_MINT_MAX);
    uint64_t *ids = minting->ids + minting->done;
    uint32_t ms = call_ms(minting, minting->done + left);
    for (size_t i = 0; i < piece_count; i++) {
        size_t len = left / (piece_count - i);
        prepare_piece(minting, &tasks[i], len, ms);
        tasks[i].ids = ids;
        ids += len;
        left -= len;
    }
}

/* Behind those that are there: what a piece left out leaves no gap. */
static void take(struct minting *minting, const struct task *task)
{
    memmove(minting->ids + minting->done, task->ids, task->id_count * sizeof(*task->ids));
    minting->done += task->id_count;
}

static enum skv_status run_round(struct minting *minting, struct task *tasks)
{
    size_t piece_count = piece_count_of(minting);
    enum skv_status status = SKV_OK;
    prepare(minting, tasks, piece_count);
    exchange_run(minting->cluster, tasks, piece_count);
    for (size_t i = 0; i < piece_count; i++) {
        if (status == SKV_OK) {
            status = task_report(&tasks[i]);
        }
        if (status == SKV_OK) {
            take(minting, &tasks[i]);
        }
        task_fini(&tasks[i]);
    }
    return status;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t *first = a;
    const uint64_t *second = b;
    return (*first > *second) - (*first < *second);
}

static void sort(uint64_t *ids, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (ids[i] < ids[i - 1]) {
            qsort(ids, count, sizeof(*ids), compare_ids);
            return;
        }
    }
}

static enum skv_status run(struct minting *minting)
{
    struct task *tasks = calloc(piece_count_of(minting), sizeof(*tasks));
    enum skv_status status = SKV_OK;
    if (!tasks) {
        return error_say(SKV_NO_MEMORY, "mint: out of memory");
    }
    while (minting->done < minting->count && status == SKV_OK) {
        status = run_round(minting, tasks);
    }
    free(tasks);
    return status;
}

/* Of no ids, too: what can never work is refused, and not only once there is something to mint. */
static enum skv_status check(const struct minting *minting)
{
    struct task task;
    task_prepare(&task, &minting->wish, minting->timeout_ms);
    enum skv_status status = task.state == TASK_FINISHED ? task_report(&task) : SKV_OK;
    task_fini(&task);
    return status;
}

enum skv_status skv_mint(struct skv *kv, uint32_t shard, uint64_t *ids, size_t count,
                         const struct skv_call *call)
{
    struct cluster *cluster = client_enter(kv);
    struct minting minting = {
        .cluster = cluster,
        .wish = {.kind = TASK_MINT, .shard = shard, .is_entity = true, .call = call},
        .ids = ids,
        .count = count,
        .start_us = clock_mono_us(),
        .timeout_ms = call && call->timeout_ms ? call->timeout_ms : cluster->options.timeout_ms,
    };
    enum skv_status status = count > 0 ? run(&minting) : check(&minting);
    if (status == SKV_OK) {
        sort(ids, count);
    }
    return status;
}
