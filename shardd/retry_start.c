/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "io/memory.h"
#include "proto/endian.h"
#include "proto/unpack.h"
#include "proto/varint.h"
#include "shardd/result.h"
#include "shardd/retry_internal.h"

enum { FIRST_LINE_FORMAT = 1 };

/* --- what the tree has --- */

/* The first format had no log beside it, and its fifth field was the list of its results. */
static bool decode_line(struct bytes stored, struct bytes key, struct line *line)
{
    struct bytes payload;
    if (seal_open(stored, key, RETRY_LINE_FORMAT, &payload) != SEAL_FINE) {
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
    return field_count >= RETRY_LINE_FIELDS && unpack_is_fine(&in);
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

/* --- what the log has --- */

/*
 * The tree may be ahead of what is replayed: then the line is as the tree has it (RULES S3), and only results go.
 * Those of them that a later operation made are replayed, too.
 */
static void replay_state(struct retries *retries, struct line *line, uint64_t stamp,
                         const struct line_state *state, bool has_ended)
{
    uint64_t last = state->done > state->forgotten ? state->done - 1 : state->forgotten;
    (void)retry_drop_through(retries, line, has_ended ? UINT64_MAX : last, false);
    if (stamp <= line->stamp) {
        return;
    }
    uint64_t highest = line->now.highest > state->forgotten ? line->now.highest : state->forgotten;
    line->now = *state;
    line->now.highest = has_ended ? 0 : highest;
    line->is_ended = has_ended;
    line->is_damaged = false; /* the log has all of it */
}

bool retry_decode(const struct log_op *op, struct told *told)
{
    struct bytes rest = op->value;
    *told = (struct told){.is_result = op->kind == LOG_RESULT};
    if (op->key.len != ID_LEN || !varint_get(&rest, &told->state.done) ||
        !varint_get(&rest, &told->state.forgotten) || !varint_get(&rest, &told->state.seen_ms)) {
        return false;
    }
    if (!told->is_result) {
        return rest.len == 0;
    }
    if (!varint_get(&rest, &told->seq) || !result_decode(rest, &told->result)) {
        return false;
    }
    told->encoded = rest;
    return true;
}

bool retries_replay(struct retries *retries, uint64_t stamp, const struct log_op *op)
{
    struct told told;
    if (!retry_decode(op, &told)) {
        return false;
    }
    retries->is_recovering = true;
    struct line *line = lines_get(&retries->lines, op->key.data);
    bool has_ended = !told.is_result && told.state.done == 0 && told.state.forgotten == 0;
    replay_state(retries, line, stamp, &told.state, has_ended);
    if (told.is_result && told.seq >= line->now.done && told.seq > line->now.forgotten) {
        retry_take_result(retries, line, told.seq, op->point, stamp, told.encoded)->is_held =
            told.result.held > 0;
    }
    retry_note_logged(retries, line, stamp > line->stamp ? stamp : line->stamp);
    retry_settle(retries, line);
    return true;
}

/* --- when all has been replayed --- */

/*
 * Which results are gone shows only now, for the tree may have the line of before, with newer results. Whatever went
 * had been logged if it counted.
 */
static void drop_what_is_gone(struct retries *retries, struct line *line)
{
    uint64_t done = line->now.done;
    uint64_t forgotten = line->now.forgotten;
    if (!line->is_damaged) {
        (void)retry_drop_through(retries, line, done > forgotten ? done - 1 : forgotten, false);
    }
    if (line->is_unlogged) {
        retry_note_logged(retries, line, line->stamp);
    }
}

static enum line_use use_of(const struct line *line)
{
    if (line->is_damaged || line->is_ended) {
        return line->is_damaged ? USE_DAMAGED : USE_NONE;
    }
    bool is_silent = line->kept_count == 0 && line->now.forgotten == line->now.highest;
    return is_silent ? USE_SILENT : USE_HEARD;
}

static int compare_use(const void *a, const void *b)
{
    uint64_t a_ms = (*(struct line *const *)a)->now.seen_ms;
    uint64_t b_ms = (*(struct line *const *)b)->now.seen_ms;
    return a_ms < b_ms ? -1 : a_ms > b_ms;
}

static void put_into_lists(struct retries *retries, struct line **lines, uint32_t count)
{
    if (count > 0) {
        qsort(lines, count, sizeof(struct line *), compare_use);
    }
    for (uint32_t i = 0; i < count; i++) {
        lines[i]->placed_ms = lines[i]->now.seen_ms;
        retry_set_use(retries, lines[i], use_of(lines[i]));
        retry_weigh(retries, lines[i]);
    }
}

void retry_end_recovery(struct retries *retries)
{
    if (!retries->is_recovering) {
        return;
    }
    uint32_t count = 0;
    struct line **lines = memory_get(retries->lines.line_count + 1, sizeof(struct line *));
    retries->is_recovering = false;
    for (uint32_t i = 0; i < retries->lines.bucket_count; i++) {
        struct line *line = lines_bucket(&retries->lines, i);
        for (; line; line = line->next) {
            drop_what_is_gone(retries, line);
            lines[count++] = line;
        }
    }
    put_into_lists(retries, lines, count);
    free(lines);
}
