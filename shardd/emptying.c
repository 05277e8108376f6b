/* SPDX-License-Identifier: MIT */
#include "shardd/emptying.h"

#include <assert.h>
#include <stdlib.h>

#include "io/memory.h"
#include "shardd/interval.h"

/* Records of one piece of the tree, about: the sweep waits for it. */
#define PIECE_RECORDS 16384

/* On a full disk it is tried again after so long. */
#define AGAIN_MS 1000

enum stage {
    EMPTYING_NOTHING,
    EMPTYING_BEGUN,
    EMPTYING_LOGGED, /* the LOG_CLEAR is on its way to the disk */
    EMPTYING_RESULTS,
    EMPTYING_TREE,
    EMPTYING_PIECE, /* the sweep's worker has one */
    EMPTYING_DONE,
};

struct emptying {
    struct emptying_config config;
    enum stage stage;
    struct interval interval;
    uint64_t at;        /* bound: the tree is empty up to here, */
    uint64_t piece_end; /* and will be up to here when the worker is done */
    uint64_t piece_len;
    uint64_t awaited;  /* stamp of the LOG_CLEAR */
    uint64_t again_ms; /* not before */
    bool was_full;
    void (*on_done)(void *context);
    void *context;
};

struct emptying *emptying_new(const struct emptying_config *config)
{
    struct emptying *emptying = memory_get(1, sizeof(*emptying));
    emptying->config = *config;
    return emptying;
}

void emptying_free(struct emptying *emptying)
{
    free(emptying);
}

bool emptying_is_busy(const struct emptying *emptying)
{
    return emptying->stage != EMPTYING_NOTHING;
}

void emptying_start(struct emptying *emptying, uint64_t start, uint64_t end, uint64_t records,
                    void (*on_done)(void *context), void *context)
{
    assert(emptying->stage == EMPTYING_NOTHING);
    uint64_t piece_len = (end - start) / (records / PIECE_RECORDS + 1);
    emptying->interval = (struct interval){start, end};
    emptying->at = start;
    emptying->piece_len = piece_len > 0 ? piece_len : 1;
    emptying->again_ms = 0;
    emptying->on_done = on_done;
    emptying->context = context;
    emptying->stage = EMPTYING_BEGUN;
}

/* RULES V2: what the log has of it from before is not replayed. Behind a batch of the sweep that may still write it. */
static void log_clear(struct emptying *emptying)
{
    const struct emptying_config *config = &emptying->config;
    const struct interval *interval = &emptying->interval;
    config->on_clear(config->context, interval_first(interval), interval_last(interval));
    emptying->awaited = interval_clear(interval, config->log, config->hot);
    emptying->stage = EMPTYING_LOGGED;
}

static void on_piece(void *context, bool is_done)
{
    struct emptying *emptying = context;
    emptying->was_full = !is_done;
    emptying->at = is_done ? emptying->piece_end : emptying->at;
    emptying->stage = emptying->at == emptying->interval.end ? EMPTYING_DONE : EMPTYING_TREE;
}

static void empty_piece(struct emptying *emptying)
{
    uint64_t left = emptying->interval.end - emptying->at;
    emptying->piece_end = emptying->at + (emptying->piece_len < left ? emptying->piece_len : left);
    emptying->stage = EMPTYING_PIECE;
    sweep_clear(emptying->config.sweep, emptying->at, emptying->piece_end, on_piece, emptying);
}

void emptying_turn(struct emptying *emptying, uint64_t now_ms)
{
    const struct emptying_config *config = &emptying->config;
    switch (emptying->stage) {
    case EMPTYING_BEGUN:
        if (!sweep_is_busy(config->sweep)) {
            log_clear(emptying);
        }
        break;
    case EMPTYING_LOGGED:
        if (log_durable(config->log) >= emptying->awaited) {
            emptying->stage = EMPTYING_RESULTS;
        }
        break;
    case EMPTYING_RESULTS:
        if (retries_clear(config->retries, interval_first(&emptying->interval),
                          interval_last(&emptying->interval))) {
            emptying->stage = EMPTYING_TREE;
        }
        break;
    case EMPTYING_TREE:
        if (emptying->was_full) {
            emptying->was_full = false;
            emptying->again_ms = now_ms + AGAIN_MS;
        }
        if (now_ms >= emptying->again_ms && !sweep_is_clearing(config->sweep)) {
            empty_piece(emptying);
        }
        break;
    case EMPTYING_DONE:
        emptying->stage = EMPTYING_NOTHING;
        emptying->on_done(emptying->context);
        break;
    case EMPTYING_PIECE:
    case EMPTYING_NOTHING:
        break;
    }
}
