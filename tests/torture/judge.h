/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_JUDGE_H
#define TORTURE_JUDGE_H

/*
 * Whether what is found after a crash can be. Pure.
 *
 *     course     base   o0   o1   o2   o3        operations of one key, in order
 *     prefix     0    1    2    3    4           how many of them survived
 *
 * A prefix fits when replaying it leads to what is seen, with each answer that was given. It must reach
 * to `required`: behind the last operation whose answer has been given out, reads included (RULES R1).
 * At level `os` a power cut may take answered ones, but then everywhere from one stamp on: each
 * prefix that fits says between which two stamps that one lies.
 *
 *     o0 done   o1 ?   o2 done                  o1 was refused (FULL, TRY_LATER), and that answer was lost
 *
 * A refusal leaves those behind it as they are, so of the operations without an answer any subset may have
 * taken place where the server may refuse: each is tried.
 */

#include "tests/torture/history.h"
#include "tests/torture/picture.h"

/* Fills fits[0 .. count] (count: of the course); how many do. */
uint32_t judge_prefixes(const struct history *history, const struct course *course,
                        uint32_t required, const struct picture *picture, uint32_t key, bool *fits);

/* Whether the key is in the picture as the state has it. */
bool judge_is_seen(const struct state *state, const struct picture *picture, uint32_t key);

/*
 * Those that were sent again after the crash, by their place in the course; NULL: not sent again. Each must
 * have taken place exactly once: prefixes in which one did not, or that do not lead to what is seen
 * afterwards, no longer fit (RULES Q1). *left: what the key then holds. False when no prefix is left.
 */
struct repeats {
    const struct operation *const *operations;
    const struct picture *before;
    const struct picture *after;
};

bool judge_repeats(const struct history *history, const struct course *course,
                   const struct repeats *repeats, uint32_t key, bool *fits, struct state *left);

enum judgement { JUDGEMENT_LOST, JUDGEMENT_NOT_ONCE, JUDGEMENT_FINE };

/*
 * Both of these for a key whose answers have all been given out: JUDGEMENT_LOST when no prefix fits,
 * JUDGEMENT_NOT_ONCE when none does with what was sent again. `may_refuse`: those without an answer may have been
 * refused. The history is changed meanwhile, and then is as it was.
 */
enum judgement judge_settled(struct history *history, const struct course *course,
                             const struct repeats *repeats, uint32_t key, bool may_refuse,
                             struct state *left);

/* How many of the first operations must be there: up to the last one with an answer. */
uint32_t judge_required(const struct history *history, const struct course *course);

/* Effects with a stamp above `low` and below `high` are gone from the second one on: [low, high). */
struct cut {
    uint64_t low, high;
};

/* The cuts that fitting prefixes allow, joined; at most count + 1. Returns how many. */
uint32_t judge_cuts(const struct history *history, const struct course *course, const bool *fits,
                    struct cut *cuts);

/* Whether one stamp lies in one cut of each key. `cuts` is sorted in place; of all keys together. */
bool judge_has_common_cut(struct cut *cuts, uint32_t cut_count, uint32_t key_count);

/* A key whose prefixes do not fit, operation by operation, on standard output. */
void judge_explain(const struct history *history, const struct course *course, uint32_t required,
                   const struct picture *picture, uint32_t key);

#endif
