/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_ACCOUNT_H
#define SHARDD_ACCOUNT_H

/*
 * What each range that this server owns holds: bytes and records, exactly (RULES S8). The numbers change
 * with the operations on the loop, stand in the log records of these, and are never added up anew.
 */

#include "proto/buffer.h"
#include "proto/log.h"
#include "proto/point.h"
#include "shardd/range.h"

/* Whether a shard that evicts has anything that is not hot, as far as the patrol knows. */
enum account_cold {
    ACCOUNT_COLD_UNKNOWN = 0,
    ACCOUNT_COLD_SOME,
    ACCOUNT_COLD_NONE,
};

struct hand;

/* What each operation looks at stands first. */
struct account {
    struct range range;
    /*
     * Operations are carried out. Not while a change of what may be done here is becoming durable, so that those that
     * waited for it come before those that arrive meanwhile (RULES R2).
     */
    bool is_open;
    bool is_settling;
    uint64_t operations; /* of clients, since the start */
    struct hand *hands;  /* that walk this range or parts of it (shardd/hand.h); NULL: none */
    uint32_t delay_ms;   /* RULES V1: for who changes something here while a stream is at its cap */
    uint64_t used;       /* bytes: records, and popped values that are kept as results (RULES Q2) */
    uint64_t records;
    uint64_t evicted;      /* since the start */
    uint64_t evicted_cold; /* of these, not hot: ahead of need */
    uint64_t expired;      /* since the start */
    uint64_t wanted;       /* bytes by which operations that wait would grow */
    uint64_t patrol_point; /* where the patrol goes on */
    uint64_t barren_turn;  /* of struct execution: nothing that may go was found in it */
    enum account_cold cold;
    bool is_changed;              /* used or records, since accounts_put_changed */
    struct account *next_changed; /* if so */
};

/* The circle in so many equal parts, each knowing its first account. */
#define ACCOUNT_PART_COUNT 4096
#define ACCOUNT_PART_SHIFT 20 /* of a bound's 32 bits */

struct accounts {
    struct account *items; /* by start, disjoint */
    uint32_t count;
    struct account *first_changed;
    uint32_t delayed_count; /* of those with a delay_ms: mostly 0, and nobody need look for one */
    uint32_t parts[ACCOUNT_PART_COUNT]; /* index of the first that ends behind the part's start */
};

void accounts_fini(struct accounts *accounts);

/* NULL when nobody's point. Valid until the accounts are replaced. */
struct account *accounts_find(const struct accounts *accounts, uint64_t point);

/* Of many, those of a turn are seldom in the cache. */
static inline void accounts_prefetch(const struct accounts *accounts, uint64_t point)
{
    uint32_t index = accounts->parts[point_bound(point) >> ACCOUNT_PART_SHIFT];
    if (index < accounts->count) {
        __builtin_prefetch(&accounts->items[index]);
        __builtin_prefetch(&accounts->items[index].operations);
    }
}

/* Whether its operations must wait for a step of a move (RULES V4). */
static inline bool account_is_held(const struct account *account)
{
    return account->is_settling || account->range.state == RANGE_FROZEN ||
           account->range.state == RANGE_READY;
}

/* The one that begins at the bound `start`, or NULL. Valid as accounts_find's. */
struct account *accounts_find_range(const struct accounts *accounts, uint64_t start);

/* What is asked of an open range waits from now on, until the accounts are replaced; and the way back. */
void accounts_freeze(struct accounts *accounts, uint64_t start);
void accounts_thaw(struct accounts *accounts, uint64_t start);

/* Of the one that begins at the bound `start`; nothing happens when there is none. */
void accounts_set_delay(struct accounts *accounts, uint64_t start, uint32_t delay_ms);

/* What has changed is durable: all accounts are as their states say. */
void accounts_settle(struct accounts *accounts);

/* `used` and `records` by these differences; never below zero. */
void account_change(struct accounts *accounts, struct account *account, int64_t used,
                    int64_t records);

/* As log accounts; returns how many. */
uint32_t accounts_put_changed(struct accounts *accounts, struct buffer *out);
uint32_t accounts_put_all(const struct accounts *accounts, struct buffer *out);

/*
 * From now on `ranges` are owned. What an old account covers goes along, undivided where it can: of one that is
 * divided the parts are counted with `split`, but for the largest, which has the rest if the parts are all of it; what no
 * old account covers is empty. `split` counts the records of an interval: *used and *records. What has another state than before is settling.
 */
typedef void accounts_split(void *context, uint64_t start, uint64_t end, uint64_t *used,
                            uint64_t *records);
void accounts_replace(struct accounts *accounts, const struct range *ranges, uint32_t range_count,
                      accounts_split *split, void *context);

/* The account that begins at `start` gets these numbers; nothing happens when there is none. */
void accounts_set(struct accounts *accounts, const struct log_account *numbers);

#endif
