/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdlib.h>

#include "io/memory.h"
#include "proto/pack.h"
#include "shardd/result.h"
#include "shardd/retry_internal.h"

/* Lines and results that a collect looks at for each item that it may take. */
#define LOOKS_PER_ITEM 4

/* Bytes of results that one batch copies, but always one. */
#define BATCH_BYTES_MAX (4u << 20)

bool retries_are_dirty(const struct retries *retries)
{
    return retries->dirty.first;
}

/* --- collecting --- */

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
        (void)retry_log_done(retries, line);
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
        struct line *line = retries->dirty.first;
        if (!line || line->round == retries->round) {
            return true;
        }
        if (!take_line(retries, batch, line, durable)) {
            return false;
        }
        looks += line->kept_count;
        line_list_remove(&retries->dirty, LINE_DIRTY, line);
        line_list_add(&retries->dirty, LINE_DIRTY, line);
        line->round = retries->round;
    }
    return false;
}

struct retry_batch *retries_collect(struct retries *retries, uint64_t durable, uint32_t item_max,
                                    bool *is_end)
{
    assert(!retries->has_batch && item_max > 0);
    retry_end_recovery(retries);
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

/* --- on the worker --- */

static void seal_line(const struct item *item, struct bytes key, struct buffer *out)
{
    const struct line_state *state = &item->state;
    seal_begin(out, RETRY_LINE_FORMAT);
    pack_array(out, RETRY_LINE_FIELDS);
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

/* --- back on the loop --- */

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
        retry_settle(retries, line);
    }
    free_batch(batch);
    retries->is_in_round = retries->is_in_round && is_written;
    retries->has_batch = false;
    retries->batch_len = 0;
}
