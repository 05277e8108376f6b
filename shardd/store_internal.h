/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_STORE_INTERNAL_H
#define SHARDD_STORE_INTERNAL_H

/*
 * The store's parts: store.c (a turn, the start, the end), store_run.c (operations, those that wait, what a
 * scan hid), store_removal.c (what goes by itself), store_limit.c (memory, log and disk), store_stat.c.
 */

#include "shardd/execute.h"
#include "shardd/fetch.h"
#include "shardd/measure.h"
#include "shardd/patrol.h"
#include "shardd/pressure.h"
#include "shardd/recovery.h"
#include "shardd/room.h"
#include "shardd/saving.h"
#include "shardd/slice.h"
#include "shardd/store.h"
#include "shardd/supply.h"
#include "shardd/sweep.h"

/*
 * Operations that are carried out together: their cache misses overlap. More would not fit into the
 * first-level cache.
 */
#define BATCH_OPS 64

/*
 * Bytes of replies in one turn from which on operations are carried out one by one, so that who sends them can
 * be stopped.
 */
#define OUTPUT_LARGE (1u << 20)

struct store {
    struct store_config config;
    struct arena *arena;
    struct supply *supply;
    struct hot *hot;
    struct accounts accounts;
    struct retries *retries;
    struct tree *tree;
    struct log *log;
    struct fetch *fetch;
    struct slices *slices;
    struct sweep *sweep;
    struct patrol *patrol;
    struct saving *saving;
    struct room *room;
    struct measure *measure;
    struct recovery *recovery; /* until store_start */
    struct buffer control;     /* as in the log */
    struct execution execution;

    bool is_turn;    /* the clock of this turn has been read */
    bool is_stopped; /* the log has its end: nothing may be added */
    struct op batch[BATCH_OPS];
    uint32_t batch_count;
    uint32_t turn_ops; /* in this turn so far, and */
    uint32_t turn_changes;
    struct op *newest_waiting; /* of the operations that were copied to wait */
    size_t waiting_len;        /* their bytes */
    size_t output_len;         /* bytes of replies that are not sent, as far as this turn knows */
    size_t turn_output_len;    /* of these, values of this turn */
    uint32_t one_by_one;       /* turns in which operations are not gathered */

    uint32_t leaving_count; /* records on their way out because they are not hot */
    uint64_t leaving_len;   /* what they count, about */
    bool was_for_room;      /* the last patrol of a tick, not for what is due */
    bool is_all_hot;        /* the patrol found nothing to evict, or has not come back yet */

    struct timer *tick;
    struct pressure pressure;
    uint64_t weighed_ms; /* the turn's time when the pressure was weighed last: not in each turn */
    uint64_t changed_ms; /* monotonic: when an operation was logged last */
    uint64_t changed_stamp;
};

/* --- store_run.c --- */

/* Reads the clock, once a turn: before anything is carried out. */
void store_begin_turn(struct store *store);

/* Carries out `op`, or copies it to wait. Within a turn. */
void store_run(struct store *store, const struct op *op);

/* fetch_done and slice_done; saving_config.on_clear. */
void store_on_fetched(void *context, const struct fetched *fetched);
void store_on_slice_done(void *context, struct op *op, const struct outcome *outcome,
                         const struct slice_hidden *hidden, uint32_t hidden_count);
void store_refuse_within(void *context, uint64_t first, uint64_t last);

/* All that waits, as SHUTTING_DOWN. */
void store_refuse_waiting(struct store *store);

/* --- store_removal.c --- */

/* patrol_visit. */
void store_on_found(void *context, const struct patrol_found *found);

/* Each tick: the patrol's next piece. */
void store_patrol(struct store *store);

/* Before store_weigh, which takes note of what has changed. */
void store_evict_ahead(struct store *store);

/* --- store_limit.c: at the end of a turn --- */

void store_look_at_disk(struct store *store);
void store_weigh(struct store *store);
void store_evict(struct store *store);

#endif
