/* SPDX-License-Identifier: MIT */
#include "shardd/retry_internal.h"

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The line of a client of whom another server tells. NULL: there is no room for it. */
static struct line *find_or_add(struct retries *retries, const uint8_t client[ID_LEN])
{
    retry_end_recovery(retries);
    struct line *line = lines_find(&retries->lines, client);
    if (line || retry_is_full(retries)) {
        return line;
    }
    return lines_get(&retries->lines, client);
}

/*
 * What cannot be told of a line is whether something has run: so all that was asked so far counts as forgotten. That
 * stands in the log, where damage has no place.
 */
static void end_doubt(struct line *line)
{
    line->now.forgotten = UINT64_MAX;
    line->is_damaged = false;
}

/* Returns whether the log must be told yet. */
static bool merge(struct retries *retries, struct line *line, const struct line_state *state)
{
    struct line_state *now = &line->now;
    const struct line_state before = *now;
    bool is_in_doubt = line->is_damaged;
    if (is_in_doubt) {
        end_doubt(line);
    }
    now->done = greater(now->done, state->done);
    now->forgotten = greater(now->forgotten, state->forgotten);
    now->highest = greater(greater(now->highest, state->highest), now->forgotten);
    now->seen_ms = greater(now->seen_ms, state->seen_ms);
    line->is_ended = false;
    line->placed_ms = now->seen_ms;
    retry_set_use(retries, line, USE_HEARD);
    uint64_t gone_last = greater(now->done > 0 ? now->done - 1 : 0, now->forgotten);
    /* At once: what follows goes with its range where that move is aborted (RULES V2), and the account has changed. */
    if (retry_drop_through(retries, line, gone_last, true)) {
        (void)retry_log_done(retries, line);
        return false;
    }
    return is_in_doubt || now->done != before.done || now->forgotten != before.forgotten;
}

static void count_held(struct retries *retries, uint64_t point, const struct result *result,
                       bool is_more)
{
    struct account *account = accounts_find(retries->accounts, point);
    if (account && result->held > 0) {
        int64_t held = (int64_t)result->held;
        account_change(retries->accounts, account, is_more ? held : -held, 0);
    }
}

/* It came before, with a slice. */
static void drop_same(struct retries *retries, const struct line *line, uint64_t seq)
{
    const struct kept *kept = line_find(line, seq);
    struct result result;
    if (kept && kept->is_held && result_decode(kept_encoded(kept), &result)) {
        count_held(retries, kept->point, &result, false);
    }
}

enum retry_taken retries_take_result(struct retries *retries, const struct log_op *op)
{
    struct told told;
    if (op->kind != LOG_RESULT || !retry_decode(op, &told)) {
        return RETRY_NOT_ONE;
    }
    struct line *line = find_or_add(retries, op->key.data);
    if (!line) {
        return RETRY_NO_ROOM;
    }
    bool is_to_log = merge(retries, line, &told.state);
    if (told.seq >= line->now.done && told.seq > line->now.forgotten) {
        drop_same(retries, line, told.seq);
        uint64_t stamp = retry_log_result(retries, line, told.seq, op->point, told.encoded);
        retry_take_result(retries, line, told.seq, op->point, stamp, told.encoded)->is_held =
            told.result.held > 0;
        count_held(retries, op->point, &told.result, true);
    } else if (is_to_log) {
        (void)retry_log_done(retries, line);
    }
    return RETRY_TAKEN;
}

enum retry_taken retries_take_line(struct retries *retries, const struct stream_line *told)
{
    const struct line_state state = {
        .done = told->done,
        .highest = told->highest,
        .forgotten = told->is_damaged ? UINT64_MAX : told->forgotten,
        .seen_ms = told->seen_ms,
    };
    if (state.done == 0 && state.forgotten == 0) {
        return RETRY_TAKEN; /* nothing of it is to be remembered, and the log would call it ended */
    }
    struct line *line = find_or_add(retries, told->client);
    if (!line) {
        return RETRY_NO_ROOM;
    }
    if (merge(retries, line, &state)) {
        (void)retry_log_done(retries, line);
    }
    return RETRY_TAKEN;
}
