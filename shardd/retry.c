/* SPDX-License-Identifier: MIT */
#include "shardd/retry.h"

#include <stdlib.h>

#include "io/memory.h"
#include "proto/pack.h"
#include "proto/unpack.h"
#include "shardd/result.h"

enum { LINE_FORMAT = 1, LINE_FIELDS = 5 };

/* A group has at most some thousand operations, and so many clients. */
#define BUCKET_COUNT 256

/* A result that is kept. */
struct kept {
    uint64_t seq;
    uint64_t point;
    uint64_t held;
};

struct line {
    struct line *next; /* in its bucket */
    uint8_t client[ID_LEN];
    bool is_damaged;
    bool is_changed;    /* to be written */
    bool is_gone;       /* nothing is to be remembered */
    uint64_t done;      /* results below it are gone */
    uint64_t highest;   /* seq that was kept */
    uint64_t forgotten; /* results at or below it are gone, by silence */
    uint64_t seen_ms;
    struct kept *kept;
    uint32_t kept_count;
    uint32_t kept_capacity;
};

struct retry {
    struct tree_txn *txn;
    struct accounts *accounts;
    uint64_t now_ms;
    struct buffer stored;
    struct line *buckets[BUCKET_COUNT];
};

struct retry *retry_new(struct tree_txn *txn, struct accounts *accounts, uint64_t now_ms)
{
    struct retry *retry = memory_get(1, sizeof(*retry));
    retry->txn = txn;
    retry->accounts = accounts;
    retry->now_ms = now_ms;
    return retry;
}

static void free_line(struct line *line)
{
    free(line->kept);
    free(line);
}

void retry_free(struct retry *retry)
{
    if (!retry) {
        return;
    }
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        struct line *line;
        while ((line = retry->buckets[i])) {
            retry->buckets[i] = line->next;
            free_line(line);
        }
    }
    buffer_fini(&retry->stored);
    free(retry);
}

/* --- lines --- */

static struct kept *add_kept(struct line *line)
{
    if (line->kept_count == line->kept_capacity) {
        line->kept_capacity = line->kept_capacity ? 2 * line->kept_capacity : 8;
        line->kept = memory_resize(line->kept, line->kept_capacity, sizeof(*line->kept));
    }
    return &line->kept[line->kept_count++];
}

static bool decode_line(struct bytes stored, struct line *line)
{
    struct bytes payload;
    struct bytes key = bytes_of(line->client, ID_LEN);
    if (seal_open(stored, key, LINE_FORMAT, &payload) != SEAL_FINE) {
        return false;
    }
    struct unpack in = unpack_of(payload);
    uint32_t field_count = unpack_array(&in);
    line->done = unpack_uint(&in);
    line->highest = unpack_uint(&in);
    line->forgotten = unpack_uint(&in);
    line->seen_ms = unpack_uint(&in);
    uint32_t number_count = unpack_array(&in);
    for (uint32_t i = 0; i + 3 <= number_count && unpack_is_fine(&in); i += 3) {
        struct kept *kept = add_kept(line);
        kept->seq = unpack_uint(&in);
        kept->point = unpack_uint(&in);
        kept->held = unpack_uint(&in);
    }
    return field_count >= LINE_FIELDS && unpack_is_fine(&in);
}

static void write_line(struct retry *retry, const struct line *line)
{
    struct bytes key = bytes_of(line->client, ID_LEN);
    if (line->is_gone) {
        tree_delete(retry->txn, TREE_LINES, key);
        return;
    }
    seal_begin(&retry->stored, LINE_FORMAT);
    pack_array(&retry->stored, LINE_FIELDS);
    pack_uint(&retry->stored, line->done);
    pack_uint(&retry->stored, line->highest);
    pack_uint(&retry->stored, line->forgotten);
    pack_uint(&retry->stored, line->seen_ms);
    pack_array(&retry->stored, 3 * line->kept_count);
    for (uint32_t i = 0; i < line->kept_count; i++) {
        pack_uint(&retry->stored, line->kept[i].seq);
        pack_uint(&retry->stored, line->kept[i].point);
        pack_uint(&retry->stored, line->kept[i].held);
    }
    seal_end(&retry->stored, key);
    tree_put(retry->txn, TREE_LINES, key, buffer_bytes(&retry->stored), bytes_of(NULL, 0));
}

/* Removes the result, and gives back what its popped value counted. */
static void drop_result(struct retry *retry, const struct line *line, const struct kept *kept)
{
    uint8_t key[RESULT_KEY_LEN];
    result_key_encode(kept->point, line->client, kept->seq, key);
    bool was_there = tree_delete(retry->txn, TREE_RESULTS, bytes_of(key, sizeof(key)));
    struct account *account = accounts_find(retry->accounts, kept->point);
    if (was_there && account) {
        account->used -= kept->held;
    }
}

static void drop_below(struct retry *retry, struct line *line, uint64_t seq)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < line->kept_count; i++) {
        if (line->kept[i].seq < seq) {
            drop_result(retry, line, &line->kept[i]);
        } else {
            line->kept[left++] = line->kept[i];
        }
    }
    line->kept_count = left;
}

/* RULES Q2: what long silence undoes. A clock that went back makes nobody silent. */
static void expire(struct retry *retry, struct line *line)
{
    uint64_t silent_ms = retry->now_ms > line->seen_ms ? retry->now_ms - line->seen_ms : 0;
    if (silent_ms < RETRY_SILENT_MS) {
        return;
    }
    drop_below(retry, line, UINT64_MAX);
    line->is_changed = line->forgotten != line->highest;
    line->forgotten = line->highest;
    if (silent_ms >= RETRY_SILENT_MS + RETRY_REMEMBERED_MS) {
        line->done = line->highest = line->forgotten = 0;
        line->is_changed = line->is_gone = true;
    }
}

static struct line *get_line(struct retry *retry, const uint8_t client[ID_LEN])
{
    struct line **bucket = &retry->buckets[client[0] % BUCKET_COUNT];
    for (struct line *line = *bucket; line; line = line->next) {
        if (memcmp(line->client, client, ID_LEN) == 0) {
            return line;
        }
    }
    struct bytes stored;
    struct line *line = memory_get(1, sizeof(*line));
    memcpy(line->client, client, ID_LEN);
    line->next = *bucket;
    *bucket = line;
    line->seen_ms = retry->now_ms;
    if (tree_get(retry->txn, TREE_LINES, bytes_of(client, ID_LEN), &stored)) {
        line->is_damaged = !decode_line(stored, line);
    }
    if (!line->is_damaged) {
        expire(retry, line);
    }
    return line;
}

/* --- operations --- */

/* True when there is a stored result; the outcome is then filled in. */
static bool recall(struct retry *retry, struct op *op)
{
    uint8_t key_bytes[RESULT_KEY_LEN];
    struct bytes key = bytes_of(key_bytes, sizeof(key_bytes));
    struct bytes stored;
    struct result result;
    result_key_encode(op->point, op->identity.client, op->identity.seq, key_bytes);
    if (!tree_get(retry->txn, TREE_RESULTS, key, &stored)) {
        return false;
    }
    if (result_decode(stored, key, &result) != SEAL_FINE) {
        op_refuse(op, STATUS_DAMAGED, OP_REASON_RETRY_DAMAGED);
    } else if (result.op_kind != op->kind) {
        op_refuse(op, STATUS_INVALID, OP_REASON_SEQ_REUSED);
    } else {
        op->outcome = result.outcome;
        buffer_append_bytes(&op->outcome.value, result.value);
        memory_must(!op->outcome.value.failed);
    }
    return true;
}

/* The line of a client that we hear from, with its `done` taken. NULL: damaged, and refused. */
static struct line *hear(struct retry *retry, struct op *op)
{
    struct line *line = get_line(retry, op->identity.client);
    if (line->is_damaged) {
        op_refuse(op, STATUS_DAMAGED, OP_REASON_RETRY_DAMAGED);
        return NULL;
    }
    line->is_changed = true;
    line->is_gone = false;
    line->seen_ms = retry->now_ms;
    if (op->identity.done > line->done) {
        line->done = op->identity.done;
        drop_below(retry, line, line->done);
    }
    return line;
}

void retry_done(struct retry *retry, struct op *op)
{
    (void)hear(retry, op);
}

bool retry_answer(struct retry *retry, struct op *op)
{
    const struct line *line = hear(retry, op);
    if (!line) {
        return true;
    }
    if (op->identity.seq < line->done || op->identity.seq <= line->forgotten) {
        op_refuse(op, STATUS_STALE, OP_REASON_RESULT_GONE);
        return true;
    }
    if (recall(retry, op)) {
        return true;
    }
    if (line->kept_count >= RETRY_OPEN_MAX) {
        op_refuse(op, STATUS_TRY_LATER, OP_REASON_TOO_MANY_OPEN);
        return true;
    }
    return false;
}

void retry_keep(struct retry *retry, const struct op *op, uint64_t held)
{
    struct line *line = get_line(retry, op->identity.client);
    uint8_t key_bytes[RESULT_KEY_LEN];
    struct bytes key = bytes_of(key_bytes, sizeof(key_bytes));
    result_key_encode(op->point, op->identity.client, op->identity.seq, key_bytes);
    result_encode(op, held, key, &retry->stored);
    tree_put(retry->txn, TREE_RESULTS, key, buffer_bytes(&retry->stored), bytes_of(NULL, 0));
    *add_kept(line) = (struct kept){op->identity.seq, op->point, held};
    line->highest = op->identity.seq > line->highest ? op->identity.seq : line->highest;
}

/* --- the end of a transaction --- */

/* The next clients from the hand on; the hand goes behind them, or back to the start. */
static uint32_t next_clients(struct retry *retry, struct retry_hand *hand,
                             uint8_t clients[RETRY_ROUND_LINES][ID_LEN])
{
    uint32_t count = 0;
    struct tree_cursor *cursor = tree_cursor_open(retry->txn, TREE_LINES);
    bool more = tree_cursor_seek(cursor, bytes_of(hand->client, ID_LEN));
    while (more && count < RETRY_ROUND_LINES) {
        struct bytes key = tree_cursor_key(cursor);
        if (key.len == ID_LEN) {
            memcpy(clients[count++], key.data, ID_LEN);
        }
        more = tree_cursor_next(cursor);
    }
    *hand = (struct retry_hand){{0}};
    if (more) {
        memcpy(hand->client, tree_cursor_key(cursor).data, ID_LEN);
    }
    tree_cursor_close(cursor);
    return count;
}

void retry_write(struct retry *retry, struct retry_hand *hand)
{
    uint8_t clients[RETRY_ROUND_LINES][ID_LEN];
    uint32_t count = next_clients(retry, hand, clients);
    for (uint32_t i = 0; i < count; i++) {
        get_line(retry, clients[i]);
    }
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        for (const struct line *line = retry->buckets[i]; line; line = line->next) {
            if (line->is_changed) {
                write_line(retry, line);
            }
        }
    }
}
