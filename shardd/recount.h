/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_RECOUNT_H
#define SHARDD_RECOUNT_H

/*
 * A directory that log salvage wrote has the accounts of before what it left behind. A file in it says so, and its
 * first start counts what is there, once: else replay never adds up (RULES S8).
 *
 *     recount ── replay ──> counted ──> LOG_STATE with the new accounts, durable ──> (removed)
 *        └── killed anywhere before: counted again
 */

#include "io/file.h"
#include "shardd/account.h"
#include "shardd/tally.h"

struct recount {
    struct dir *dir;
    uint64_t awaited; /* stamp that must be durable before the file goes; 0: none */
};

bool recount_is_due(const struct dir *dir);

/* After the replay, before anything is served: sets the numbers of all accounts. Blocks. */
void recount_accounts(const struct tally_sources *sources, struct accounts *accounts);

/* For the end of a turn: removes the file, if it is time. */
void recount_turn(struct recount *recount, uint64_t durable_stamp);

#endif
