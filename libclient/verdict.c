/* SPDX-License-Identifier: MIT */
#include "libclient/verdict.h"

#include <assert.h>

#include "proto/status.h"

static enum skv_status status_of_refusal(uint32_t code)
{
    switch (code) {
    case STATUS_CONDITION:
    case STATUS_CONFLICT: /* a compare-and-swap that did not hold, too */
        return SKV_CONDITION;
    case STATUS_FULL:
        return SKV_FULL;
    case STATUS_DENIED:
    case STATUS_WRONG_CLUSTER:
        return SKV_DENIED;
    case STATUS_DAMAGED:
    case STATUS_CLOCK_BEHIND:
        return SKV_UNAVAILABLE;
    default:
        return SKV_INVALID;
    }
}

/* Answered after the stored result was looked up, or the same whenever it is asked. */
static bool refusal_settles(uint32_t code)
{
    switch (code) {
    case STATUS_CONDITION:
    case STATUS_FULL:
    case STATUS_INVALID:
    case STATUS_TOO_LARGE:
    case STATUS_NO_TABLE:
        return true;
    default:
        return false;
    }
}

static struct verdict fail(enum skv_status status)
{
    return (struct verdict){.action = VERDICT_FAIL, .status = status};
}

static struct verdict on_retry(struct attempt *attempt, uint32_t code, bool owner_is_other)
{
    if (!attempt->can_repeat) {
        return fail(SKV_UNAVAILABLE);
    }
    if (code == STATUS_WRONG_SHARD && owner_is_other &&
        attempt->redirects < VERDICT_REDIRECTS_MAX) {
        attempt->redirects++;
        return (struct verdict){.action = VERDICT_RESEND};
    }
    attempt->redirects = 0;
    return (struct verdict){.action = VERDICT_WAIT,
                            .wait_max_us = verdict_backoff_us(attempt->refusals++),
                            .needs_map = code != STATUS_TRY_LATER};
}

struct verdict verdict_on_error(struct attempt *attempt, uint32_t code, bool owner_is_other)
{
    assert(code != STATUS_OK);
    switch (status_class(code)) {
    case STATUS_CLASS_RETRY:
        return on_retry(attempt, code, owner_is_other);
    case STATUS_CLASS_REFUSED:
        if (attempt->may_be_done && !refusal_settles(code)) {
            return fail(SKV_UNKNOWN);
        }
        return fail(status_of_refusal(code));
    case STATUS_CLASS_DONE: /* never an error */
    case STATUS_CLASS_UNKNOWN:
        break;
    }
    return fail(attempt->changes ? SKV_UNKNOWN : SKV_UNAVAILABLE);
}

struct verdict verdict_on_loss(struct attempt *attempt, bool was_sent)
{
    if (was_sent && attempt->changes) {
        attempt->may_be_done = true;
    }
    if (was_sent && !attempt->can_repeat) {
        return fail(SKV_UNKNOWN);
    }
    return (struct verdict){.action = VERDICT_RESEND, .needs_map = true};
}

enum skv_status verdict_on_deadline(const struct attempt *attempt, bool is_under_way)
{
    bool may_be_done = attempt->may_be_done || (is_under_way && attempt->changes);
    return may_be_done ? SKV_UNKNOWN : SKV_UNAVAILABLE;
}

uint64_t verdict_backoff_us(uint32_t failures)
{
    uint64_t bound_us = VERDICT_BACKOFF_MIN_US;
    for (uint32_t i = 0; i < failures && bound_us < VERDICT_BACKOFF_MAX_US; i++) {
        bound_us *= 2;
    }
    return bound_us < VERDICT_BACKOFF_MAX_US ? bound_us : VERDICT_BACKOFF_MAX_US;
}
