/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_MINTER_H
#define SHARDD_MINTER_H

/*
 * The ids that this server gives (RULES I, proto/id.h). Pure: it is told the time, and what is durable.
 *
 *     time      ──────── given ────────| now ── at most a second ahead ──|
 *     reserve   ─────────────── durable ─────────────| ─── on its way ───|
 *                                       500 ms before its end the next one, 1500 ms further, is asked for
 *
 * Rules:
 *  - The reserve is one time for all slices: ids up to it may have been given. No id above what is durable of it leaves
 *    (I2), and after a start nothing is given that it covers. It stands in the log (LOG_RESERVE) and, with how far the
 *    tree is swept, in the tree (shardd/swept.h).
 *  - Of each slice the last id is known: what comes is above it, whichever range it is for (I1).
 *  - Ids are given for one range: their points are in it. Where that is a part of its slice, what falls beside it is
 *    passed over: it may be another server's.
 */

#include "proto/id.h"

/* RULES I3; ahead of the latest clock since the start, or of what had passed when it started. */
#define MINTER_AHEAD_MS  UINT64_C(1000)
#define MINTER_BEHIND_MS UINT64_C(600000) /* ten minutes */

/* How far a reserve reaches, and how near its end the next is asked for: so at most one a second. */
#define MINTER_RESERVE_MS UINT64_C(1500)
#define MINTER_EXTEND_MS  UINT64_C(500)

/* Of one call. */
#define MINTER_COUNT_MAX 65536

/* Ids that are tried for one call, where few have their point in the range: a third of a millisecond. */
#define MINTER_LOOKS_MAX 32768

/* Makes it durable that ids up to `ms`, since the origin, may have been given; returns the stamp of that. */
typedef uint64_t minter_reserve(void *context, uint64_t ms);

struct minter;

/* `reserved_ms`: the highest reserve that was ever made, 0 for none. */
struct minter *minter_new(uint64_t reserved_ms, minter_reserve *reserve, void *context);
void minter_free(struct minter *minter); /* NULL is allowed */

/* Of the map: milliseconds since 1970. Nothing is given before it is told. */
void minter_set_origin(struct minter *minter, uint64_t origin_ms);

/* What the tree is to keep: durable or on its way. */
uint64_t minter_reserved_ms(const struct minter *minter);

/* How far it is ahead of the clock (ms since 1970); 0: it is not. Above MINTER_BEHIND_MS nothing is given. */
uint64_t minter_ahead_ms(const struct minter *minter, uint64_t now_ms);

struct mint_wish {
    uint64_t point;      /* in the slice, */
    uint64_t start, end; /* and in the range: bounds */
    uint32_t count;      /* 1 to MINTER_COUNT_MAX */
    uint64_t now_ms;     /* wall clock, since 1970 */
    uint64_t durable;    /* the log's durable stamp */
};

/* Ids that follow each other: first, first + 1, ... */
struct mint_run {
    uint64_t first;
    uint32_t count;
};

enum mint_result {
    MINT_DONE, /* at least one, at most as many as wished */
    MINT_LATER, /* none yet: too far ahead, or the reserve is not durable; to be asked again in a millisecond */
    MINT_BEHIND, /* the clock is more than MINTER_BEHIND_MS behind the reserve, or outside of all that ids can tell */
};

/* The id that a mint at this point will most likely be given next: for a prefetch. */
uint64_t minter_guess(const struct minter *minter, uint64_t point, uint64_t now_ms);

/* *runs, *run_count: what was given, in growing order; until the next call. */
enum mint_result minter_mint(struct minter *minter, const struct mint_wish *wish,
                             const struct mint_run **runs, uint32_t *run_count);

/*
 * The highest time, in ms since the origin, of the ids that may have been given in slices of [start, end): what a move
 * hands over (RULES I2).
 */
uint64_t minter_given_ms(const struct minter *minter, uint64_t start, uint64_t end);

/* Somebody else has given ids of these slices up to `ms`: what is given here is above. Reserved for before it returns. */
void minter_take_over(struct minter *minter, uint64_t start, uint64_t end, uint64_t ms);

/*
 * A record with an id that may not be from here is to be stored: what is given later is above it. MINT_DONE: it may;
 * MINT_LATER: not yet; MINT_BEHIND: it is more than MINTER_BEHIND_MS ahead of the clock.
 */
enum mint_result minter_meet(struct minter *minter, uint64_t id, const struct mint_wish *wish);

#endif
