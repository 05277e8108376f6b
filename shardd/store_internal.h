/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_STORE_INTERNAL_H
#define SHARDD_STORE_INTERNAL_H

/*
 * The store's parts: store.c (a turn, the start, the end), store_run.c (operations, those that wait, what a
 * scan hid), store_wanting.c (those that wait for room), store_hold.c (those of a range that is being handed over),
 * store_move.c (what moves need), store_removal.c (what goes by itself), store_limit.c (memory, log and disk),
 * store_stat.c.
 */

#include "shardd/counting.h"
#include "shardd/emptying.h"
#include "shardd/execute.h"
#include "shardd/fetch.h"
#include "shardd/measure.h"
#include "shardd/patrol.h"
#include "shardd/pressure.h"
#include "shardd/recount.h"
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
    struct minter *minter;
    struct tree *tree;
    struct log *log;
    struct fetch *fetch;
    struct slices *slices;
    struct sweep *sweep;
    struct patrol *patrol;
    struct saving *saving;
    struct counting *counting;
    struct emptying *emptying;
    struct room *room;
    struct measure *measure;
    struct recovery *recovery; /* until store_start */
    struct recount recount;
    struct buffer control; /* as in the log */
    struct execution execution;

    bool is_turn;    /* the clock of this turn has been read */
    bool is_stopped; /* the log has its end: nothing may be added */
    struct op batch[BATCH_OPS];
    uint32_t batch_count;
    uint32_t turn_ops; /* in this turn so far, and */
    uint32_t turn_changes;
    struct op *newest_waiting; /* of the operations that were copied to wait */
    size_t waiting_len;        /* their bytes */
    size_t output_len;         /* bytes of replies that are not sent, as far as this turn knows, */
    size_t hiding_len;         /* with those of scans that wait for what they hid */
    size_t turn_output_len;    /* of these, values of this turn */
    uint32_t one_by_one;       /* turns in which operations are not gathered */

    uint32_t leaving_count; /* records on their way out because they are not hot */
    uint64_t leaving_len;   /* what they count, about */
    bool was_for_room;      /* the last patrol of a tick, not for what is due */
    bool is_for_room;       /* a patrol whose findings are not noted yet: */
    bool has_found_cold;
    uint32_t patrolled;       /* index of the account, as the accounts were then */
    uint64_t patrolled_point; /* a point of it */

    struct op *first_wanting; /* in their order, linked by next */
    struct op **wanting_end;
    uint32_t wanting_count;
    size_t wanting_len;      /* their bytes */
    uint64_t wanting_points; /* a bit for each, of 64: most operations are behind none of them */
    uint64_t wanting_ms;     /* the turn's time when they were tried last */
    struct timer *again;     /* makes a turn for them */

    struct op *first_held; /* in their order, linked by next */
    struct op **held_end;
    size_t held_len; /* their bytes */

    uint64_t
        moving_len; /* what moves keep beside all this: changes behind a hand, streams, imports */

    struct timer *tick;
    struct pressure pressure;
    uint64_t weighed_ms; /* the turn's time when the pressure was weighed last: not in each turn */
    uint64_t changed_ms; /* monotonic: when an operation was logged last */
    uint64_t changed_stamp;
};

/* --- store_run.c --- */

/* Reads the clock, once a turn: before anything is carried out. */
void store_begin_turn(struct store *store);

/* Whether replies leave room for one more that is large (RULES F3). Within a turn. */
bool store_has_output_room(const struct store *store);

/* Carries out `op`, or copies it to wait. Within a turn. */
void store_run(struct store *store, const struct op *op);

/* Carries out an operation that has waited, or lets it wait on. `late`: why it did, if it has waited too long. */
void store_run_waiter(struct store *store, struct op *op, const struct execute_damage *damage,
                      enum op_reason late, uint64_t now_us);

/* fetch_done and slice_done; saving_config.on_clear. */
void store_on_fetched(void *context, const struct fetched *fetched);
void store_on_slice_done(void *context, struct op *op, const struct outcome *outcome,
                         const struct slice_hidden *hidden, uint32_t hidden_count);
void store_refuse_within(void *context, uint64_t first, uint64_t last);

/* All that waits, as SHUTTING_DOWN. */
void store_refuse_waiting(struct store *store);

/* --- store_wanting.c: writes for which a shard that evicts has no room yet, or that wait for an id --- */

/* Whether one more may wait. */
bool store_can_want(const struct store *store, const struct op *op);

/* What `op` would overtake: it waits, of the same key and the same connection (RULES R2). NULL: nothing. */
const struct op *store_ahead_of(const struct store *store, const struct op *op);

/* Takes `op`. */
void store_want(struct store *store, struct op *op);

/* For a turn's end: who has waited longest comes first. */
void store_run_wanting(struct store *store);

/* Takes those within [first, last] out. */
void store_forget_wanting(struct store *store, uint64_t first, uint64_t last);

/* --- store_hold.c: operations of a range that is being handed over --- */

/* Whether one more may wait. */
bool store_can_hold(const struct store *store, const struct op *op);

/* Takes `op`. */
void store_hold(struct store *store, struct op *op);

/* What a range may do has changed, or some have waited long. */
void store_run_held(struct store *store);

/* Takes those within [first, last] out, but no scans. */
void store_forget_held(struct store *store, uint64_t first, uint64_t last);

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
