/* SPDX-License-Identifier: MIT */
#include "shardd/patrol.h"

#include <stdlib.h>

#include "io/clock.h"
#include "io/logline.h"
#include "io/memory.h"
#include "io/worker.h"
#include "proto/point.h"
#include "proto/record.h"

struct item {
    uint8_t key[TREE_KEY_LEN_MAX];
    uint16_t key_len;
    bool is_due;
    uint64_t version;
    uint64_t size;
};

struct patrol {
    struct job job; /* first */
    struct tree *tree;
    struct worker *worker;
    patrol_visit *on_found;
    void *context;
    bool is_busy;

    /* The piece. */
    bool is_for_any;
    uint64_t now_ms;
    uint64_t first, last; /* points */
    uint8_t from[TREE_KEY_LEN_MAX];
    size_t from_len;
    struct item items[PATROL_FOUND_MAX];
    uint32_t count;
    bool is_end;
    bool has_expiring;
    enum tree_fault fault;

    /* The round, and where a piece for any has ended. */
    uint8_t hand[TREE_KEY_LEN_MAX];
    size_t hand_len;
    uint64_t victim_point;
    bool has_met_expiring; /* in this round */
    bool is_needless;
};

static void run(struct job *job);
static void done(struct job *job);

struct patrol *patrol_new(struct loop *loop, struct tree *tree, patrol_visit *on_found,
                          void *context)
{
    struct patrol *patrol = memory_get(1, sizeof(*patrol));
    patrol->job = (struct job){.run = run, .done = done};
    patrol->tree = tree;
    patrol->worker = worker_new(loop, "patrol", WORKER_NORMAL);
    patrol->on_found = on_found;
    patrol->context = context;
    patrol->hand_len = 1; /* before all keys */
    return patrol;
}

void patrol_free(struct patrol *patrol)
{
    if (patrol) {
        worker_free(patrol->worker);
        free(patrol);
    }
}

bool patrol_is_busy(const struct patrol *patrol)
{
    return patrol->is_busy;
}

uint64_t patrol_point(const struct patrol *patrol)
{
    return patrol->victim_point;
}

bool patrol_is_needless(const struct patrol *patrol)
{
    return patrol->is_needless;
}

void patrol_note(struct patrol *patrol)
{
    patrol->is_needless = false;
    patrol->has_met_expiring = true;
}

static void begin_at_point(struct patrol *patrol, const struct range *range, uint64_t point)
{
    patrol->first = point_of_bound(range->start);
    patrol->last = point_of_bound(range->end) - 1;
    bool is_within = point >= patrol->first && point <= patrol->last;
    uint8_t key[TREE_KEY_LEN_MAX];
    (void)record_key_encode(is_within ? point : patrol->first, 0, bytes_of(NULL, 0), key);
    memcpy(patrol->from, key, sizeof(uint64_t));
    patrol->from_len = sizeof(uint64_t);
}

static void begin_at_hand(struct patrol *patrol)
{
    patrol->first = 0;
    patrol->last = UINT64_MAX;
    memcpy(patrol->from, patrol->hand, patrol->hand_len);
    patrol->from_len = patrol->hand_len;
}

bool patrol_start(struct patrol *patrol, const struct range *range, uint64_t point, uint64_t now_ms)
{
    if (patrol->is_busy) {
        return false;
    }
    patrol->is_for_any = range != NULL;
    patrol->now_ms = now_ms;
    if (range) {
        begin_at_point(patrol, range, point);
    } else {
        begin_at_hand(patrol);
    }
    patrol->is_busy = true;
    worker_submit(patrol->worker, &patrol->job);
    return true;
}

/* --- on the worker --- */

static void look(struct patrol *patrol, struct bytes key, const struct record *record)
{
    bool is_due = record->expiry_ms != 0 && record->expiry_ms <= patrol->now_ms;
    patrol->has_expiring |= record->expiry_ms != 0;
    if (is_due || patrol->is_for_any) {
        struct item *item = &patrol->items[patrol->count++];
        memcpy(item->key, key.data, key.len);
        item->key_len = (uint16_t)key.len;
        item->is_due = is_due;
        item->version = record->version;
        item->size = record_size(record->key.len, record->value.len);
    }
}

/* A damaged record is for those who ask for it. */
static bool look_at_next(struct patrol *patrol, const struct tree_cursor *cursor)
{
    struct record record = {0};
    struct bytes key = tree_cursor_key(cursor);
    if (!record_key_decode(key, &record) || record.point > patrol->last) {
        return false;
    }
    if (record_decode(tree_cursor_value(cursor), key, &record) == RECORD_FINE) {
        look(patrol, key, &record);
    }
    memcpy(patrol->from, key.data, key.len);
    patrol->from_len = key.len;
    return true;
}

/* The next piece begins with the record that this one ends with: two at least, or the hand would stand. */
static bool is_piece_over(const struct patrol *patrol, uint32_t examined_count, uint64_t until_ms)
{
    return examined_count == PATROL_EXAMINED_MAX || patrol->count == PATROL_FOUND_MAX ||
           (examined_count > 1 && clock_mono_ms() > until_ms);
}

static void run(struct job *job)
{
    struct patrol *patrol = (struct patrol *)job;
    uint64_t until_ms = clock_mono_ms() + TREE_READ_MS_MAX;
    uint32_t examined_count = 0;
    patrol->count = 0;
    patrol->has_expiring = false;
    struct tree_txn *txn = tree_begin_read(patrol->tree);
    struct tree_cursor *cursor = tree_cursor_open(txn, TREE_RECORDS);
    bool more = tree_cursor_seek(cursor, bytes_of(patrol->from, patrol->from_len));
    while (more && !is_piece_over(patrol, examined_count++, until_ms)) {
        more = look_at_next(patrol, cursor) && tree_cursor_next(cursor);
    }
    patrol->is_end = !more;
    tree_cursor_close(cursor);
    patrol->fault = tree_txn_fault(txn);
    tree_abort(txn);
}

/* --- back on the loop --- */

static void move_hand(struct patrol *patrol)
{
    patrol->has_met_expiring |= patrol->has_expiring;
    if (!patrol->is_end) {
        memcpy(patrol->hand, patrol->from, patrol->from_len);
        patrol->hand_len = patrol->from_len;
        return;
    }
    patrol->hand[0] = 0;
    patrol->hand_len = 1;
    patrol->is_needless = !patrol->has_met_expiring;
    patrol->has_met_expiring = false;
}

static void done(struct job *job)
{
    struct patrol *patrol = (struct patrol *)job;
    struct record record = {0};
    if (patrol->fault != TREE_FINE) {
        logline_die("tree: cannot read: %s", tree_fault_text(patrol->tree));
    }
    patrol->is_busy = false;
    if (!patrol->is_for_any) {
        move_hand(patrol);
    } else if (record_key_decode(bytes_of(patrol->from, patrol->from_len), &record)) {
        patrol->victim_point = patrol->is_end ? patrol->first : record.point;
    }
    for (uint32_t i = 0; i < patrol->count; i++) {
        const struct item *item = &patrol->items[i];
        (void)record_key_decode(bytes_of(item->key, item->key_len), &record);
        const struct patrol_found found = {record.point,  record.table, record.key,
                                           item->version, item->size,   item->is_due};
        patrol->on_found(patrol->context, &found);
    }
}
