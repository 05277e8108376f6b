/* SPDX-License-Identifier: MIT */
#include "shardd/retry.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/memory.h"
#include "proto/endian.h"
#include "proto/pack.h"
#include "proto/unpack.h"
#include "proto/varint.h"
#include "shardd/line.h"
#include "shardd/result.h"

enum { FIRST_LINE_FORMAT = 1, LINE_FORMAT = 2, LINE_FIELDS = 5 };

/* Buckets that a tick walks at most: some are empty. */
#define TICK_BUCKETS (2 * RETRY_ROUND_LINES)

/* Lines and results that a collect looks at for each item that it may take. */
#define LOOKS_PER_ITEM 4

/* What the value in the making keeps between operations: a large popped one would count as memory for ever. */
#define VALUE_CAPACITY_KEPT (64u << 10)

/* Bytes of results that one batch copies, but always one. */
#define BATCH_BYTES_MAX (4u << 20)

struct retries {
    struct accounts *accounts;
    retry_log *log;
    void *context;
    struct lines lines;
    struct buffer value;  /* of the log operation that is being made */
    uint32_t tick_bucket; /* where the search for silent clients goes on */
    struct line *dirty_first;
    struct line *dirty_last;
    uint64_t round; /* of the sweep; a line that it has looked at has this number */
    bool is_in_round;
    bool has_batch;
    bool is_recovering; /* there may be results that their line says are gone */
    size_t batch_len;   /* bytes */
};

struct retries *retries_new(struct accounts *accounts, retry_log *log, void *context)
{
    struct retries *retries = memory_get(1, sizeof(*retries));
    retries->accounts = accounts;
    retries->log = log;
    retries->context = context;
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

/* --- what is dirty: first in, first out --- */

static void unlist(struct retries *retries, struct line *line)
{
    struct line **before =
        line->dirty_previous ? &line->dirty_previous->dirty_next : &retries->dirty_first;
    struct line **after =
        line->dirty_next ? &line->dirty_next->dirty_previous : &retries->dirty_last;
    *before = line->dirty_next;
    *after = line->dirty_previous;
    line->is_listed = false;
}

static void list_last(struct retries *retries, struct line *line)
{
    line->dirty_previous = retries->dirty_last;
    line->dirty_next = NULL;
    *(retries->dirty_last ? &retries->dirty_last->dirty_next : &retries->dirty_first) = line;
    retries->dirty_last = line;
    line->is_listed = true;
    line->round = retries->round;
}

static void mark_listed(struct retries *retries, struct line *line)
{
    if (!line->is_listed) {
        list_last(retries, line);
    }
}

static void mark_dirty(struct retries *retries, struct line *line)
{
    line->is_dirty = true;
    mark_listed(retries, line);
}

bool retries_are_dirty(const struct retries *retries)
{
    return retries->dirty_first;
}

/* After a change that may have left nothing for the sweep to do. Perhaps frees the line. */
static void settle(struct retries *retries, struct line *line)
{
    if (line->is_taken || line->gone_count > 0) {
        return;
    }
    bool is_over = line->is_ended && !line->is_in_tree;
    bool is_clean = !line->is_dirty && line->kept_dirty_count == 0;
    if (line->is_listed && (is_over || is_clean)) {
        unlist(retries, line);
    }
    if (is_over) {
        lines_remove(&retries->lines, line);
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

/* The log has the line as it is, so what went is covered by `stamp`. */
static void note_logged(struct retries *retries, struct line *line, uint64_t stamp)
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
    note_logged(retries, line, stamp);
    return stamp;
}

static uint64_t log_done(struct retries *retries, struct line *line)
{
    const uint8_t *state_end = put_state(retries, line);
    retries->value.len = (size_t)(state_end - retries->value.data);
    return log_value(retries, line, LOG_DONE, 0);
}

/* --- results that go --- */

/*
 * The results up to and with `last` go; `is_counted`: their popped values no longer count. Returns whether one did.
 *
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
static bool drop_through(struct retries *retries, struct line *line, uint64_t last, bool is_counted)
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
    return was_held;
}

/* `done` is taken. Returns the stamp of what had to be logged, or 0. */
static uint64_t take_done(struct retries *retries, struct line *line, uint64_t done)
{
    if (done <= line->now.done) {
        return 0;
    }
    line->now.done = done;
    return drop_through(retries, line, done - 1, true) ? log_done(retries, line) : 0;
}

/*
 * After recovery: which results are gone shows when all of the log has been replayed, for the tree may have the
 * line of before, with newer results. Whatever went had been logged if it counted.
 */
static void end_recovery(struct retries *retries)
{
    retries->is_recovering = false;
    for (uint32_t i = 0; i < retries->lines.bucket_count; i++) {
        struct line *line = lines_bucket(&retries->lines, i);
        for (; line; line = line->next) {
            uint64_t done = line->now.done;
            uint64_t forgotten = line->now.forgotten;
            if (!line->is_damaged) {
                (void)drop_through(retries, line, done > forgotten ? done - 1 : forgotten, false);
            }
            if (line->is_unlogged) {
                note_logged(retries, line, line->stamp);
            }
        }
    }
}

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
        (void)drop_through(retries, line, UINT64_MAX, true);
        (void)log_done(retries, line);
    }
}

static void end_line(struct line *line)
{
    line->now = (struct line_state){.seen_ms = line->now.seen_ms};
    line->is_ended = true;
}

/* Logged, so that what comes from this client later, if ever, is not taken for more of the old line. */
static void end(struct retries *retries, struct line *line, uint64_t now_ms)
{
    if (silence_of(line, now_ms) >= RETRY_SILENT_MS + RETRY_REMEMBERED_MS) {
        end_line(line);
        (void)log_done(retries, line);
    }
}

void retries_tick(struct retries *retries, uint64_t now_ms)
{
    uint32_t line_count = 0;
    if (retries->is_recovering) {
        end_recovery(retries);
    }
    for (uint32_t i = 0; i < TICK_BUCKETS && line_count < RETRY_ROUND_LINES; i++) {
        struct line *next;
        if (retries->tick_bucket >= retries->lines.bucket_count) {
            retries->tick_bucket = 0;
        }
        struct line *line = lines_bucket(&retries->lines, retries->tick_bucket++);
        for (; line; line = next) {
            next = line->next;
            line_count++;
            if (!line->is_damaged && !line->is_ended) {
                forget(retries, line, now_ms);
                end(retries, line, now_ms);
                settle(retries, line);
            }
        }
    }
}

/* --- operations --- */

/* The line of a client that we hear from. */
static struct line *hear(struct retries *retries, const struct op *op, uint64_t now_ms)
{
    if (retries->is_recovering) {
        end_recovery(retries);
    }
    struct line *line = lines_get(&retries->lines, op->identity.client);
    if (line->is_damaged) {
        return line;
    }
    line->is_ended = false;
    forget(retries, line, now_ms);
    line->now.seen_ms = now_ms;
    mark_dirty(retries, line);
    return line;
}

uint64_t retry_done(struct retries *retries, const struct op *op, uint64_t now_ms)
{
    struct line *line = hear(retries, op, now_ms);
    return line->is_damaged ? 0 : take_done(retries, line, op->identity.done);
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
 * line's newest stamp (or is the request itself). That too many are open is certain to have changed nothing.
 */
bool retry_answer(struct retries *retries, const struct op *op, uint64_t now_ms,
                  struct outcome *outcome, uint64_t *need)
{
    struct line *line = hear(retries, op, now_ms);
    uint64_t depends_on = 0;
    uint64_t seq = op->identity.seq;
    if (line->is_damaged) {
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

/* Whether it is held is the caller's to say. */
static struct kept *keep(struct retries *retries, struct line *line, uint64_t seq, uint64_t point,
                         uint64_t stamp, struct bytes encoded)
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
    return kept;
}

uint64_t retry_keep(struct retries *retries, const struct op *op, const struct outcome *outcome,
                    uint64_t held, uint64_t now_ms)
{
    struct line *line = lines_get(&retries->lines, op->identity.client);
    uint64_t seq = op->identity.seq;
    line->now.seen_ms = now_ms;
    line->is_ended = false;
    const uint8_t *state_end = varint_put(put_state(retries, line), seq);
    size_t state_len = (size_t)(state_end - retries->value.data);
    retries->value.len = state_len;
    result_encode(op->kind, outcome, held, &retries->value);
    struct bytes encoded =
        bytes_of(retries->value.data + state_len, retries->value.len - state_len);
    uint64_t stamp = log_value(retries, line, LOG_RESULT, op->point);
    keep(retries, line, seq, op->point, stamp, encoded)->is_held = held > 0;
    buffer_shrink(&retries->value, VALUE_CAPACITY_KEPT);
    return stamp;
}

void retries_clear(struct retries *retries, uint64_t start, uint64_t last)
{
    assert(!retries->has_batch);
    /* From the last bucket: as lines go the table shrinks, and its last ones' lines go to others. */
    for (uint32_t i = retries->lines.bucket_count; i-- > 0;) {
        struct line *next;
        bool is_there = i < retries->lines.bucket_count;
        for (struct line *line = is_there ? lines_bucket(&retries->lines, i) : NULL; line;
             line = next) {
            next = line->next;
            line_drop_points(&retries->lines, line, start, last);
            settle(retries, line);
        }
    }
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
    if (retries->is_recovering) {
        end_recovery(retries);
    }
    uint64_t held = 0;
    for (uint32_t i = 0; i < retries->lines.bucket_count; i++) {
        const struct line *line = lines_bucket(&retries->lines, i);
        for (; line; line = line->next) {
            held += count_held(line, start, last);
        }
    }
    return held;
}

/* --- start --- */

/* The first format had no log beside it, and its fifth field was the list of its results. */
static bool decode_line(struct bytes stored, struct bytes key, struct line *line)
{
    struct bytes payload;
    if (seal_open(stored, key, LINE_FORMAT, &payload) != SEAL_FINE) {
        return false;
    }
    bool is_first_format = ((const uint8_t *)stored.data)[SEAL_LEN - 1] == FIRST_LINE_FORMAT;
    struct unpack in = unpack_of(payload);
    uint32_t field_count = unpack_array(&in);
    line->now.done = unpack_uint(&in);
    line->now.highest = unpack_uint(&in);
    line->now.forgotten = unpack_uint(&in);
    line->now.seen_ms = unpack_uint(&in);
    line->stamp = is_first_format ? 0 : unpack_uint(&in);
    return field_count >= LINE_FIELDS && unpack_is_fine(&in);
}

static void load_line(struct retries *retries, struct bytes key, struct bytes stored)
{
    if (key.len != ID_LEN) {
        return;
    }
    struct line *line = lines_get(&retries->lines, key.data);
    line->is_in_tree = true;
    line->is_damaged = !decode_line(stored, key, line);
    if (line->is_damaged) {
        line->now = (struct line_state){0};
        line->stamp = 0;
    }
    line->tree_done = line->now.done;
}

/*
 * A result without a line has it in the log, or something is wrong: then its client must not be answered as if
 * nothing were known of it but this.
 */
static struct line *get_loaded(struct retries *retries, const uint8_t client[ID_LEN])
{
    uint32_t line_count = retries->lines.line_count;
    struct line *line = lines_get(&retries->lines, client);
    if (retries->lines.line_count > line_count) {
        line->is_damaged = true;
    }
    return line;
}

/* Accounts are as the log says: they are left alone here and in replay (RULES S8). */
static void load_result(struct retries *retries, struct bytes key, struct bytes stored)
{
    if (key.len != RESULT_KEY_LEN) {
        return;
    }
    const uint8_t *bytes = key.data;
    uint64_t point = endian_get_be64(bytes);
    uint64_t seq = endian_get_be64(bytes + 8 + ID_LEN);
    struct line *line = get_loaded(retries, bytes + 8);
    struct result result = {0};
    if (result_open(stored, key, &retries->value) != SEAL_FINE ||
        !result_decode(buffer_bytes(&retries->value), &result)) {
        buffer_clear(&retries->value);
    }
    struct kept *kept = line_keep(&retries->lines, line, seq, buffer_bytes(&retries->value));
    kept->point = point;
    kept->is_in_tree = true;
    kept->is_held = result.held > 0;
    if (seq > line->now.highest) {
        line->now.highest = seq;
    }
}

typedef void load_one(struct retries *retries, struct bytes key, struct bytes stored);

static void load_all(struct retries *retries, struct tree_txn *txn, enum tree_database database,
                     load_one *load)
{
    static const uint8_t first[1];
    struct tree_cursor *cursor = tree_cursor_open(txn, database);
    bool more = tree_cursor_seek(cursor, bytes_of(first, sizeof(first)));
    for (; more; more = tree_cursor_next(cursor)) {
        load(retries, tree_cursor_key(cursor), tree_cursor_value(cursor));
    }
    tree_cursor_close(cursor);
}

bool retries_load(struct retries *retries, struct tree_txn *txn, char *error, size_t error_len)
{
    retries->is_recovering = true;
    load_all(retries, txn, TREE_LINES, load_line);
    load_all(retries, txn, TREE_RESULTS, load_result);
    buffer_shrink(&retries->value, 0);
    if (tree_txn_fault(txn) != TREE_FINE) {
        (void)snprintf(error, error_len, "the stored retry results cannot be read");
        return false;
    }
    return true;
}

/*
 * The tree may be ahead of what is replayed: then the line is as the tree has it (RULES S3), and only results go.
 * Those of them that a later operation made are replayed, too.
 */
static void replay_state(struct retries *retries, struct line *line, uint64_t stamp,
                         const struct line_state *state, bool has_ended)
{
    uint64_t last = state->done > state->forgotten ? state->done - 1 : state->forgotten;
    (void)drop_through(retries, line, has_ended ? UINT64_MAX : last, false);
    if (stamp <= line->stamp) {
        return;
    }
    uint64_t highest = line->now.highest > state->forgotten ? line->now.highest : state->forgotten;
    line->now = *state;
    line->now.highest = has_ended ? 0 : highest;
    line->is_ended = has_ended;
    line->is_damaged = false; /* the log has all of it */
}

bool retries_replay(struct retries *retries, uint64_t stamp, const struct log_op *op)
{
    struct line_state state = {0};
    struct bytes rest = op->value;
    struct result result = {0};
    uint64_t seq = 0;
    if (op->key.len != ID_LEN || !varint_get(&rest, &state.done) ||
        !varint_get(&rest, &state.forgotten) || !varint_get(&rest, &state.seen_ms)) {
        return false;
    }
    bool is_result = op->kind == LOG_RESULT;
    if (is_result ? !varint_get(&rest, &seq) || !result_decode(rest, &result) : rest.len > 0) {
        return false;
    }
    struct line *line = lines_get(&retries->lines, op->key.data);
    bool has_ended = !is_result && state.done == 0 && state.forgotten == 0;
    replay_state(retries, line, stamp, &state, has_ended);
    if (is_result && seq >= line->now.done && seq > line->now.forgotten) {
        keep(retries, line, seq, op->point, stamp, rest)->is_held = result.held > 0;
    }
    note_logged(retries, line, stamp > line->stamp ? stamp : line->stamp);
    settle(retries, line);
    return true;
}

/* --- the sweep --- */

enum item_kind { ITEM_LINE, ITEM_LINE_ENDED, ITEM_RESULT, ITEM_GONE };

struct item {
    struct line *line; /* the loop's; items of one line stand together */
    enum item_kind kind;
    uint8_t client[ID_LEN];
    struct line_state state; /* ITEM_LINE, with the next */
    uint64_t stamp;
    uint64_t seq;
    uint64_t point;
    size_t offset; /* of the encoded result in the batch's bytes */
    size_t len;
};

struct retry_batch {
    struct item *items;
    uint32_t count;
    uint32_t item_max;
    struct buffer encoded;
};

/* NULL when the batch is full. */
static struct item *add_item(struct retry_batch *batch, struct line *line, enum item_kind kind)
{
    if (batch->count == batch->item_max || batch->encoded.len >= BATCH_BYTES_MAX) {
        return NULL;
    }
    struct item *item = &batch->items[batch->count++];
    *item = (struct item){.line = line, .kind = kind, .state = line->now, .stamp = line->stamp};
    memcpy(item->client, line->client, ID_LEN);
    return item;
}

static bool take_state(struct retry_batch *batch, struct line *line)
{
    if (!line->is_dirty || line->is_taken) {
        return true;
    }
    line->is_taken = add_item(batch, line, line->is_ended ? ITEM_LINE_ENDED : ITEM_LINE);
    return line->is_taken;
}

/* What is covered by something durable; `done`: the tree's, when this batch is in it. */
static bool take_gone(struct retry_batch *batch, struct line *line, uint64_t durable, uint64_t done)
{
    for (uint32_t i = 0; i < line->gone_count; i++) {
        struct gone *gone = &line->gone[i];
        if (gone->is_taken || (gone->stamp > durable && gone->seq >= done)) {
            continue;
        }
        struct item *item = add_item(batch, line, ITEM_GONE);
        if (!item) {
            return false;
        }
        item->seq = gone->seq;
        item->point = gone->point;
        gone->is_taken = true;
    }
    return true;
}

static bool take_results(struct retry_batch *batch, struct line *line, uint64_t durable)
{
    for (uint32_t i = 0; i < line->kept_count && line->kept_dirty_count > 0; i++) {
        struct kept *kept = line_at(line, i);
        if (!kept->is_dirty || kept->is_taken || kept->stamp > durable) {
            continue;
        }
        struct item *item = add_item(batch, line, ITEM_RESULT);
        if (!item) {
            return false;
        }
        item->seq = kept->seq;
        item->point = kept->point;
        item->offset = batch->encoded.len;
        item->len = kept->len;
        buffer_append_bytes(&batch->encoded, kept_encoded(kept));
        kept->is_taken = true;
    }
    return true;
}

/*
 * False: there was not room for all that may be taken. The line itself goes first, so that the tree never has
 * results without it, unless the log has; for the same reason it is the last to go when it has ended.
 */
static bool take_line(struct retries *retries, struct retry_batch *batch, struct line *line,
                      uint64_t durable)
{
    /* Or the log would be freed of results that nothing says are done. */
    if (line->is_unlogged && line->stamp > durable) {
        (void)log_done(retries, line);
    }
    bool is_durable = line->stamp <= durable;
    if (line->is_ended) {
        return !is_durable || (take_gone(batch, line, durable, 0) && take_state(batch, line));
    }
    if (is_durable && !take_state(batch, line)) {
        return false;
    }
    return take_gone(batch, line, durable, is_durable ? line->now.done : line->tree_done) &&
           take_results(batch, line, durable);
}

static void free_batch(struct retry_batch *batch)
{
    buffer_fini(&batch->encoded);
    free(batch->items);
    free(batch);
}

/* Whole lines from the front of the list, which then go to its end. Returns whether the round is over. */
static bool take_lines(struct retries *retries, struct retry_batch *batch, uint64_t durable)
{
    uint64_t looks_max = LOOKS_PER_ITEM * (uint64_t)batch->item_max;
    for (uint64_t looks = 0; looks < looks_max; looks++) {
        struct line *line = retries->dirty_first;
        if (!line || line->round == retries->round) {
            return true;
        }
        if (!take_line(retries, batch, line, durable)) {
            return false;
        }
        looks += line->kept_count;
        unlist(retries, line);
        list_last(retries, line);
    }
    return false;
}

struct retry_batch *retries_collect(struct retries *retries, uint64_t durable, uint32_t item_max,
                                    bool *is_end)
{
    assert(!retries->has_batch && item_max > 0);
    if (retries->is_recovering) {
        end_recovery(retries);
    }
    struct retry_batch *batch = memory_get(1, sizeof(*batch));
    batch->items = memory_resize(NULL, item_max, sizeof(*batch->items));
    batch->item_max = item_max;
    retries->round += retries->is_in_round ? 0 : 1;
    *is_end = take_lines(retries, batch, durable);
    retries->is_in_round = !*is_end;
    memory_must(!batch->encoded.failed);
    if (batch->count == 0) {
        free_batch(batch);
        return NULL;
    }
    retries->has_batch = true;
    retries->batch_len =
        sizeof(*batch) + item_max * sizeof(*batch->items) + batch->encoded.capacity;
    return batch;
}

static void seal_line(const struct item *item, struct bytes key, struct buffer *out)
{
    const struct line_state *state = &item->state;
    seal_begin(out, LINE_FORMAT);
    pack_array(out, LINE_FIELDS);
    pack_uint(out, state->done);
    pack_uint(out, state->highest);
    pack_uint(out, state->forgotten);
    pack_uint(out, state->seen_ms);
    pack_uint(out, item->stamp);
    seal_end(out, key);
}

static void write_item(const struct retry_batch *batch, const struct item *item,
                       struct tree_txn *txn, struct buffer *stored)
{
    uint8_t key_bytes[RESULT_KEY_LEN];
    struct bytes client = bytes_of(item->client, ID_LEN);
    struct bytes key = bytes_of(key_bytes, sizeof(key_bytes));
    result_key_encode(item->point, item->client, item->seq, key_bytes);
    switch (item->kind) {
    case ITEM_LINE:
        seal_line(item, client, stored);
        tree_put(txn, TREE_LINES, client, buffer_bytes(stored), bytes_of(NULL, 0));
        break;
    case ITEM_LINE_ENDED:
        (void)tree_delete(txn, TREE_LINES, client);
        break;
    case ITEM_RESULT:
        result_seal(bytes_of(batch->encoded.data + item->offset, item->len), key, stored);
        tree_put(txn, TREE_RESULTS, key, buffer_bytes(stored), bytes_of(NULL, 0));
        break;
    case ITEM_GONE:
        (void)tree_delete(txn, TREE_RESULTS, key);
        break;
    }
}

void retry_batch_write(const struct retry_batch *batch, struct tree_txn *txn)
{
    struct buffer stored = {0};
    for (uint32_t i = 0; i < batch->count; i++) {
        write_item(batch, &batch->items[i], txn, &stored);
    }
    buffer_fini(&stored);
}

static bool is_same(const struct line_state *a, const struct line_state *b)
{
    return a->done == b->done && a->highest == b->highest && a->forgotten == b->forgotten &&
           a->seen_ms == b->seen_ms;
}

static void state_swept(struct line *line, const struct item *item, bool is_written)
{
    line->is_taken = false;
    if (!is_written) {
        return;
    }
    bool has_ended = item->kind == ITEM_LINE_ENDED;
    line->is_in_tree = !has_ended;
    line->tree_done = has_ended ? 0 : item->state.done;
    line->is_dirty = line->is_ended != has_ended || line->stamp != item->stamp ||
                     !is_same(&line->now, &item->state);
}

/* What went meanwhile is not found; what came anew with its seq was not taken. */
static void result_swept(struct line *line, const struct item *item, bool is_written)
{
    struct kept *kept = line_find(line, item->seq);
    if (!kept || !kept->is_taken) {
        return;
    }
    kept->is_taken = false;
    if (is_written) {
        kept->is_dirty = false;
        kept->is_in_tree = true;
        line->kept_dirty_count--;
    }
}

static void item_swept(struct line *line, const struct item *item, bool is_written)
{
    if (item->kind == ITEM_RESULT) {
        result_swept(line, item, is_written);
    } else if (item->kind != ITEM_GONE) {
        state_swept(line, item, is_written);
    }
}

void retries_swept(struct retries *retries, struct retry_batch *batch, bool is_written)
{
    for (uint32_t i = 0; i < batch->count;) {
        struct line *line = batch->items[i].line;
        for (; i < batch->count && batch->items[i].line == line; i++) {
            item_swept(line, &batch->items[i], is_written);
        }
        line_gone_swept(&retries->lines, line, is_written);
        settle(retries, line);
    }
    free_batch(batch);
    retries->is_in_round = retries->is_in_round && is_written;
    retries->has_batch = false;
    retries->batch_len = 0;
}
