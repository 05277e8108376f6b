/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "io/memory.h"
#include "proto/varint.h"
#include "shardd/result.h"
#include "shardd/retry_internal.h"

/* Of one tick, for each list: a line counts as so many results. */
#define TICK_WORK (RETRY_ROUND_LINES * LINE_WORK)
#define LINE_WORK 16

/* Lines and results that one step of retries_clear looks at: a quarter of a millisecond. */
#define CLEAR_LOOKS 4096

/* What the value in the making keeps between operations: a large popped one would count as memory for ever. */
#define VALUE_CAPACITY_KEPT (64u << 10)

struct retries *retries_new(struct accounts *accounts, retry_log *log, void *context)
{
    struct retries *retries = memory_get(1, sizeof(*retries));
    retries->accounts = accounts;
    retries->log = log;
    retries->context = context;
    retries->limits = (struct retry_limits){UINT64_MAX, UINT64_MAX};
    lines_init(&retries->lines);
    return retries;
}

void retries_free(struct retries *retries)
{
    if (retries) {
        lines_fini(&retries->lines);
        buffer_fini(&retries->value);
        free(retries);
    }
}

size_t retries_len(const struct retries *retries)
{
    return sizeof(*retries) + retries->lines.len + retries->value.capacity + retries->batch_len;
}

/* --- lists --- */

void retry_set_use(struct retries *retries, struct line *line, enum line_use use)
{
    if (line->use != USE_NONE) {
        if (retries->clear_at == line) {
            retries->clear_at = line_next(line, LINE_BY_USE);
        }
        line_list_remove(&retries->by_use[line->use], LINE_BY_USE, line);
    }
    line->use = (uint8_t)use;
    if (use != USE_NONE) {
        line_list_add(&retries->by_use[use], LINE_BY_USE, line);
    }
    if (use == USE_HEARD && retries->is_clearing && !retries->clear_at) {
        retries->clear_at = line;
    }
}

void retry_mark_listed(struct retries *retries, struct line *line)
{
    if (!line->is_listed) {
        line_list_add(&retries->dirty, LINE_DIRTY, line);
        line->is_listed = true;
        line->round = retries->round;
    }
}

static void mark_dirty(struct retries *retries, struct line *line)
{
    line->is_dirty = true;
    retry_mark_listed(retries, line);
}

static void remove_line(struct retries *retries, struct line *line)
{
    line_fit(&retries->lines, line);
    retry_weigh(retries, line);
    retry_set_use(retries, line, USE_NONE);
    lines_remove(&retries->lines, line);
}

void retry_settle(struct retries *retries, struct line *line)
{
    if (line->is_taken || line->gone_count > 0) {
        return;
    }
    bool is_over = line->is_ended && !line->is_in_tree;
    bool is_clean = !line->is_dirty && line->kept_dirty_count == 0;
    if (line->is_listed && (is_over || is_clean)) {
        line_list_remove(&retries->dirty, LINE_DIRTY, line);
        line->is_listed = false;
    }
    if (is_over) {
        remove_line(retries, line);
    }
}

/* --- the log --- */

/* Room for what a log value begins with, reserved in retries->value. */
static uint8_t *put_state(struct retries *retries, const struct line *line)
{
    buffer_clear(&retries->value);
    uint8_t *to = buffer_reserve(&retries->value, 4 * VARINT_LEN_MAX);
    memory_must(to);
    to = varint_put(to, line->now.done);
    to = varint_put(to, line->now.forgotten);
    return varint_put(to, line->now.seen_ms);
}

size_t retry_begin_result(struct retries *retries, const struct line *line, uint64_t seq)
{
    const uint8_t *behind = varint_put(put_state(retries, line), seq);
    retries->value.len = (size_t)(behind - retries->value.data);
    return retries->value.len;
}

void retry_note_logged(struct retries *retries, struct line *line, uint64_t stamp)
{
    line->stamp = stamp;
    for (uint32_t i = 0; line->is_unlogged && i < line->gone_count; i++) {
        if (line->gone[i].stamp == GONE_UNLOGGED) {
            line->gone[i].stamp = stamp;
        }
    }
    line->is_unlogged = false;
    mark_dirty(retries, line);
}

static uint64_t log_value(struct retries *retries, struct line *line, enum log_kind kind,
                          uint64_t point)
{
    const struct log_op op = {
        .kind = kind,
        .point = point,
        .key = bytes_of(line->client, ID_LEN),
        .value = buffer_bytes(&retries->value),
    };
    uint64_t stamp = retries->log(retries->context, &op);
    retry_note_logged(retries, line, stamp);
    return stamp;
}

uint64_t retry_log_done(struct retries *retries, struct line *line)
{
    const uint8_t *state_end = put_state(retries, line);
    retries->value.len = (size_t)(state_end - retries->value.data);
    return log_value(retries, line, LOG_DONE, 0);
}

uint64_t retry_log_result(struct retries *retries, struct line *line, uint64_t seq, uint64_t point,
                          struct bytes encoded)
{
    (void)retry_begin_result(retries, line, seq);
    buffer_append_bytes(&retries->value, encoded);
    memory_must(!retries->value.failed);
    uint64_t stamp = log_value(retries, line, LOG_RESULT, point);
    buffer_shrink(&retries->value, VALUE_CAPACITY_KEPT);
    return stamp;
}

/* --- results that go --- */

/*
 * Why most of this needs no log operation of its own (RULES Q2): what went because of a `done` that a power
 * cut takes back is there again after it, for the log still has its LOG_RESULT, or the tree the result, since
 *  - the tree forgets a result only when the `done` that passed it is durable, in the log or in the tree
 *    (struct gone), and
 *  - a result that was never in the tree is given up with its part of the log only after a round of the sweep,
 *    which has then met the line: it wrote it, `done` included; or left it for its newer stamp, which the round's
 *    E covers, and what that stamp stands for has the `done` (take_line sees to it).
 * A line that recovers longer than it was is harmless: its client never asks for those results, and a late
 * duplicate is answered from them.
 */
bool retry_drop_through(struct retries *retries, struct line *line, uint64_t last, bool is_counted)
{
    bool was_held = false;
    while (line->kept_count > 0 && line_at(line, 0)->seq <= last) {
        const struct kept *kept = line_at(line, 0);
        struct account *account;
        struct result result;
        if (is_counted && kept->is_held && result_decode(kept_encoded(kept), &result) &&
            (account = accounts_find(retries->accounts, kept->point))) {
            account_change(retries->accounts, account, -(int64_t)result.held, 0);
            was_held = true;
        }
        if (kept->is_in_tree || kept->is_taken) {
            struct gone gone = {kept->seq, kept->point, GONE_UNLOGGED, false};
            line_add_gone(&retries->lines, line, &gone);
        }
        line_drop_first(&retries->lines, line);
        line->is_unlogged = true;
    }
    retry_weigh(retries, line);
    return was_held;
}

/* `done` is taken. Returns the stamp of what had to be logged, or 0. */
static uint64_t take_done(struct retries *retries, struct line *line, uint64_t done)
{
    if (done <= line->now.done) {
        return 0;
    }
    line->now.done = done;
    return retry_drop_through(retries, line, done - 1, true) ? retry_log_done(retries, line) : 0;
}

/* --- silence --- */

static uint64_t silence_of(const struct line *line, uint64_t now_ms)
{
    bool is_new = line->now.seen_ms == 0;
    return !is_new && now_ms > line->now.seen_ms ? now_ms - line->now.seen_ms : 0;
}

/* RULES Q2: what long silence undoes. A clock that went back makes nobody silent. */
static void forget(struct retries *retries, struct line *line, uint64_t now_ms)
{
    bool has_some = line->kept_count > 0 || line->now.forgotten != line->now.highest;
    if (has_some && silence_of(line, now_ms) >= RETRY_SILENT_MS) {
        line->now.forgotten = line->now.highest;
        (void)retry_drop_through(retries, line, UINT64_MAX, true);
        (void)retry_log_done(retries, line);
        line_fit(&retries->lines, line);
        retry_weigh(retries, line);
    }
}

static void end_line(struct line *line)
{
    line->now = (struct line_state){.seen_ms = line->now.seen_ms};
    line->is_ended = true;
}

/* Logged, so that what comes from this client later, if ever, is not taken for more of the old line. */
static void end(struct retries *retries, struct line *line)
{
    end_line(line);
    retry_set_use(retries, line, USE_NONE);
    (void)retry_log_done(retries, line);
    retry_settle(retries, line);
}

/* Who was heard by a clock that was set back since goes to the end, and holds up nobody. */
static bool is_ahead(const struct line *line, uint64_t now_ms)
{
    return line->now.seen_ms == 0 || line->now.seen_ms > now_ms;
}

/* The first of its list, if it has been silent for so long; NULL: nobody has, or this tick's work is done. */
static struct line *find_silent(struct retries *retries, enum line_use use, uint64_t silence_ms,
                                uint64_t now_ms, uint32_t *work)
{
    struct line *line;
    while (*work < TICK_WORK && (line = retries->by_use[use].first)) {
        *work += LINE_WORK + line->kept_count;
        if (!is_ahead(line, now_ms)) {
            return silence_of(line, now_ms) >= silence_ms ? line : NULL;
        }
        retry_set_use(retries, line, use);
    }
    return NULL;
}

void retries_tick(struct retries *retries, uint64_t now_ms)
{
    struct line *line;
    uint32_t work = 0;
    retry_end_recovery(retries);
    while ((line = find_silent(retries, USE_HEARD, RETRY_SILENT_MS, now_ms, &work))) {
        forget(retries, line, now_ms);
        retry_set_use(retries, line, USE_SILENT);
    }
    const uint64_t over_ms = RETRY_SILENT_MS + RETRY_REMEMBERED_MS;
    work = 0;
    while ((line = find_silent(retries, USE_SILENT, over_ms, now_ms, &work))) {
        end(retries, line);
    }
    retry_give_up(retries, NULL, 0);
}

/* --- operations --- */

static void note_heard(struct retries *retries, struct line *line, uint64_t now_ms)
{
    line->is_ended = false;
    line->now.seen_ms = now_ms;
    if (line->use != USE_HEARD || now_ms - line->placed_ms >= RETRY_PLACE_MS) {
        line->placed_ms = now_ms;
        retry_set_use(retries, line, USE_HEARD);
    }
}

/* The line of a client that we hear from. NULL: there is no room for it. */
static struct line *hear(struct retries *retries, const struct op *op, uint64_t now_ms)
{
    retry_end_recovery(retries);
    struct line *line = lines_find(&retries->lines, op->identity.client);
    if (!line && retry_is_full(retries)) {
        return NULL;
    }
    line = line ? line : lines_get(&retries->lines, op->identity.client);
    if (line->is_damaged) {
        return line;
    }
    forget(retries, line, now_ms);
    note_heard(retries, line, now_ms);
    mark_dirty(retries, line);
    return line;
}

/* Of whom nothing is known, nothing has run here: there is nothing to be forgotten. */
uint64_t retry_done(struct retries *retries, const struct op *op, uint64_t now_ms)
{
    bool is_last = op->identity.done == RETRY_DONE_LAST;
    if (is_last && !lines_find(&retries->lines, op->identity.client)) {
        return 0;
    }
    struct line *line = hear(retries, op, now_ms);
    if (!line || line->is_damaged) {
        return 0;
    }
    uint64_t need = take_done(retries, line, op->identity.done);
    if (is_last) {
        end(retries, line);
    }
    return need;
}

/* From the stored result. Returns the stamp that the answer depends on. */
static uint64_t recall(const struct kept *kept, enum op_kind kind, struct outcome *outcome)
{
    struct result result;
    if (!result_decode(kept_encoded(kept), &result)) {
        outcome_refuse(outcome, STATUS_DAMAGED, OP_REASON_RETRY_DAMAGED);
    } else if (result.op_kind != kind) {
        outcome_refuse(outcome, STATUS_INVALID, OP_REASON_SEQ_REUSED);
    } else {
        *outcome = result.outcome;
    }
    return kept->stamp;
}

/*
 * RULES R1: a stored answer depends on its LOG_RESULT, a STALE one on what says so, which is no younger than the
 * line's newest stamp (or is the request itself). Too many open results, or clients, are certain to have changed
 * nothing.
 */
bool retry_answer(struct retries *retries, const struct op *op, uint64_t now_ms,
                  struct outcome *outcome, uint64_t *need)
{
    struct line *line = hear(retries, op, now_ms);
    uint64_t depends_on = 0;
    uint64_t seq = op->identity.seq;
    if (!line) {
        outcome_refuse(outcome, STATUS_TRY_LATER, OP_REASON_TOO_MANY_CLIENTS);
    } else if (line->is_damaged) {
        outcome_refuse(outcome, STATUS_DAMAGED, OP_REASON_RETRY_DAMAGED);
    } else {
        (void)take_done(retries, line, op->identity.done);
        const struct kept *kept = line_find(line, seq);
        if (seq < line->now.done || seq <= line->now.forgotten) {
            outcome_refuse(outcome, STATUS_STALE, OP_REASON_RESULT_GONE);
            depends_on = line->stamp;
        } else if (kept) {
            depends_on = recall(kept, op->kind, outcome);
        } else if (line->kept_count >= RETRY_OPEN_MAX) {
            outcome_refuse(outcome, STATUS_TRY_LATER, OP_REASON_TOO_MANY_OPEN);
        } else {
            return false;
        }
    }
    outcome->need = depends_on;
    *need = depends_on;
    return true;
}

struct kept *retry_take_result(struct retries *retries, struct line *line, uint64_t seq,
                               uint64_t point, uint64_t stamp, struct bytes encoded)
{
    struct kept *kept = line_keep(&retries->lines, line, seq, encoded);
    line->kept_dirty_count += kept->is_dirty ? 0 : 1;
    kept->point = point;
    kept->stamp = stamp;
    kept->is_dirty = true;
    if (line->gone_count > 0 && line_take_gone(line, seq, point)) {
        kept->is_in_tree = true;
    }
    if (seq > line->now.highest) {
        line->now.highest = seq;
    }
    retry_weigh(retries, line);
    return kept;
}

uint64_t retry_keep(struct retries *retries, const struct op *op, const struct outcome *outcome,
                    uint64_t held, uint64_t now_ms)
{
    struct line *line = lines_get(&retries->lines, op->identity.client);
    uint64_t seq = op->identity.seq;
    note_heard(retries, line, now_ms);
    size_t state_len = retry_begin_result(retries, line, seq);
    result_encode(op->kind, outcome, held, &retries->value);
    struct bytes encoded =
        bytes_of(retries->value.data + state_len, retries->value.len - state_len);
    uint64_t stamp = log_value(retries, line, LOG_RESULT, op->point);
    retry_take_result(retries, line, seq, op->point, stamp, encoded)->is_held = held > 0;
    buffer_shrink(&retries->value, VALUE_CAPACITY_KEPT);
    if (retry_has_too_much(retries)) {
        retry_give_up(retries, line, seq);
    }
    return stamp;
}

/* --- intervals --- */

static void clear_line(struct retries *retries, struct line *line, uint64_t start, uint64_t last)
{
    line_drop_points(&retries->lines, line, start, last);
    retry_weigh(retries, line);
    retry_settle(retries, line);
}

static void begin_clearing(struct retries *retries, uint64_t start, uint64_t last)
{
    struct line *next;
    retries->is_clearing = true;
    retries->clear_at = retries->by_use[USE_HEARD].first;
    for (struct line *line = retries->by_use[USE_DAMAGED].first; line; line = next) {
        next = line_next(line, LINE_BY_USE);
        clear_line(retries, line, start, last);
    }
}

bool retries_clear(struct retries *retries, uint64_t start, uint64_t last)
{
    retry_end_recovery(retries);
    if (retries->has_batch) {
        return false;
    }
    if (!retries->is_clearing) {
        begin_clearing(retries, start, last);
    }
    for (uint32_t looks = 0; retries->clear_at && looks < CLEAR_LOOKS; looks++) {
        struct line *line = retries->clear_at;
        retries->clear_at = line_next(line, LINE_BY_USE);
        looks += line->kept_count;
        clear_line(retries, line, start, last);
    }
    retries->is_clearing = retries->clear_at;
    return !retries->is_clearing;
}

static uint64_t count_held(const struct line *line, uint64_t start, uint64_t last)
{
    uint64_t held = 0;
    for (uint32_t i = 0; i < line->kept_count; i++) {
        const struct kept *kept = line_at(line, i);
        struct result result;
        if (kept->is_held && kept->point >= start && kept->point <= last &&
            result_decode(kept_encoded(kept), &result)) {
            held += result.held;
        }
    }
    return held;
}

uint64_t retries_held(struct retries *retries, uint64_t start, uint64_t last)
{
    uint64_t held = 0;
    retry_end_recovery(retries);
    for (unsigned use = USE_NONE; use < USE_COUNT; use++) {
        const struct line *line = retries->by_use[use].first;
        for (; line; line = line_next(line, LINE_BY_USE)) {
            held += count_held(line, start, last);
        }
    }
    return held;
}
