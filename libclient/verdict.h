/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_VERDICT_H
#define LIBCLIENT_VERDICT_H

/*
 * What follows from an error, a lost connection or the deadline. Pure.
 *
 *     sent -> error    -> FAIL | RESEND (another owner) | WAIT, then send again
 *          -> lost     -> RESEND, with the same number if it changes something (RULES Q3)
 *          -> deadline -> SKV_UNKNOWN or SKV_UNAVAILABLE
 *
 * Rules:
 *  - Once an operation may have been done, a refusal that did not look its number up (TRY_LATER,
 *    another cluster) leaves it so: it ends as SKV_UNKNOWN, never as "certainly not done".
 *  - An operation without a number that changes something is never sent twice.
 */

#include "libclient/shardkv.h"

/* Redirects followed at once, without a pause: a map that changes while it is asked for. */
#define VERDICT_REDIRECTS_MAX 5

/* Pauses are drawn from 0 to a bound that doubles from the first to the second of these. */
#define VERDICT_BACKOFF_MIN_US UINT64_C(5000)
#define VERDICT_BACKOFF_MAX_US UINT64_C(1000000)

/* What is known of an operation from its attempts so far. */
struct attempt {
    bool changes;       /* it changes something */
    bool can_repeat;    /* it may be sent again: it changes nothing, or goes with a number */
    bool may_be_done;   /* an attempt may have been carried out unheard */
    uint32_t redirects; /* since the last pause */
    uint32_t refusals;
};

enum verdict_action { VERDICT_FAIL, VERDICT_RESEND, VERDICT_WAIT };

struct verdict {
    enum verdict_action action;
    enum skv_status status; /* VERDICT_FAIL */
    uint64_t wait_max_us;   /* VERDICT_WAIT: draw from 0 to this */
    bool needs_map;         /* the map should be fetched anew */
};

/* `code` is not STATUS_OK. `owner_is_other`: by now the map names another server than the one that answered. */
struct verdict verdict_on_error(struct attempt *attempt, uint32_t code, bool owner_is_other);

/* `was_sent`: at least a part of the request went out. */
struct verdict verdict_on_loss(struct attempt *attempt, bool was_sent);

/* `is_under_way`: an attempt is sent and not answered. */
enum skv_status verdict_on_deadline(const struct attempt *attempt, bool is_under_way);

/* The bound of the pause after `failures` earlier ones. */
uint64_t verdict_backoff_us(uint32_t failures);

#endif
