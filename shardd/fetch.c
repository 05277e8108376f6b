/* SPDX-License-Identifier: MIT */
#include "shardd/fetch.h"

#include <stdlib.h>

#include "io/clock.h"
#include "io/logline.h"
#include "io/memory.h"
#include "io/worker.h"
#include "proto/buffer.h"

/* Memory that is kept for the next job. */
#define FETCH_KEEP (256u << 10)

/* A key of a job. Its bytes, and then those of what is stored, stand in the job's buffer. */
struct item {
    uint64_t point;
    uint16_t table;
    uint16_t key_len;
    bool is_cancelled; /* the loop's, while the worker has the rest */
    bool is_there;
    size_t key_at;
    size_t stored_at;
    size_t stored_len;
};

struct wanted {
    struct item *items;
    uint32_t count;
    uint32_t capacity;
    struct buffer bytes;
};

struct fetch {
    struct job job; /* first */
    struct tree *tree;
    struct worker *worker;
    size_t len_max;
    fetch_done *on_done;
    void *context;
    bool is_busy;
    struct wanted next;    /* what the turns add to */
    struct wanted running; /* the worker's while busy */
    uint32_t run_count;
    enum tree_fault fault;
    uint64_t count;
};

static void run(struct job *job);
static void done(struct job *job);

struct fetch *fetch_new(struct loop *loop, struct tree *tree, size_t len_max, fetch_done *on_done,
                        void *context)
{
    struct fetch *fetch = memory_get(1, sizeof(*fetch));
    fetch->job = (struct job){.run = run, .done = done};
    fetch->tree = tree;
    fetch->len_max = len_max;
    fetch->worker = worker_new(loop, "fetch", WORKER_NORMAL);
    fetch->on_done = on_done;
    fetch->context = context;
    return fetch;
}

static void wanted_fini(struct wanted *wanted)
{
    free(wanted->items);
    buffer_fini(&wanted->bytes);
}

void fetch_free(struct fetch *fetch)
{
    if (!fetch) {
        return;
    }
    worker_free(fetch->worker);
    wanted_fini(&fetch->next);
    wanted_fini(&fetch->running);
    free(fetch);
}

uint64_t fetch_count(const struct fetch *fetch)
{
    return fetch->count;
}

size_t fetch_len(const struct fetch *fetch)
{
    size_t item_count = (size_t)fetch->next.capacity + fetch->running.capacity;
    return item_count * sizeof(struct item) + fetch->next.bytes.capacity +
           (fetch->is_busy ? fetch->len_max : 0);
}

static struct bytes key_of(const struct wanted *wanted, const struct item *item)
{
    return bytes_of(wanted->bytes.data + item->key_at, item->key_len);
}

void fetch_want(struct fetch *fetch, uint64_t point, uint16_t table, struct bytes key)
{
    struct wanted *next = &fetch->next;
    if (next->count == next->capacity) {
        next->capacity = next->capacity ? 2 * next->capacity : 64;
        next->items = memory_resize(next->items, next->capacity, sizeof(*next->items));
    }
    next->items[next->count++] = (struct item){
        .point = point,
        .table = table,
        .key_len = (uint16_t)key.len,
        .key_at = next->bytes.len,
    };
    buffer_append_bytes(&next->bytes, key);
    memory_must(!next->bytes.failed);
}

static void cancel(struct wanted *wanted, uint64_t first, uint64_t last)
{
    for (uint32_t i = 0; i < wanted->count; i++) {
        struct item *item = &wanted->items[i];
        item->is_cancelled |= item->point >= first && item->point <= last;
    }
}

void fetch_cancel(struct fetch *fetch, uint64_t first, uint64_t last)
{
    cancel(&fetch->next, first, last);
    cancel(&fetch->running, first, last);
}

/* In the tree's order: neighbours share pages. */
static int compare_items(const void *a, const void *b)
{
    uint64_t point_a = ((const struct item *)a)->point;
    uint64_t point_b = ((const struct item *)b)->point;
    return (point_a > point_b) - (point_a < point_b);
}

void fetch_turn(struct fetch *fetch)
{
    if (fetch->is_busy || fetch->next.count == 0) {
        return;
    }
    struct wanted empty = fetch->running;
    fetch->running = fetch->next;
    fetch->next = empty;
    fetch->next.count = 0;
    buffer_shrink(&fetch->next.bytes, FETCH_KEEP);
    qsort(fetch->running.items, fetch->running.count, sizeof(struct item), compare_items);
    fetch->is_busy = true;
    worker_submit(fetch->worker, &fetch->job);
}

/* --- on the worker --- */

static void read_one(struct tree_txn *txn, struct wanted *wanted, struct item *item)
{
    uint8_t key_bytes[TREE_KEY_LEN_MAX];
    struct bytes stored;
    size_t key_len = record_key_encode(item->point, item->table, key_of(wanted, item), key_bytes);
    item->is_there = tree_get(txn, TREE_RECORDS, bytes_of(key_bytes, key_len), &stored);
    if (item->is_there) {
        item->stored_at = wanted->bytes.len;
        item->stored_len = stored.len;
        buffer_append_bytes(&wanted->bytes, stored);
        memory_must(!wanted->bytes.failed);
    }
}

static bool is_job_over(const struct fetch *fetch, size_t len, uint64_t until_ms)
{
    return len >= fetch->len_max || clock_mono_ms() > until_ms;
}

/* Reads one at least. */
static void run(struct job *job)
{
    struct fetch *fetch = (struct fetch *)job;
    uint64_t until_ms = clock_mono_ms() + TREE_READ_MS_MAX;
    struct wanted *running = &fetch->running;
    size_t len_before = running->bytes.len;
    uint32_t i = 0;
    struct tree_txn *txn = tree_begin_read(fetch->tree);
    while (i < running->count &&
           (i == 0 || !is_job_over(fetch, running->bytes.len - len_before, until_ms))) {
        read_one(txn, running, &running->items[i++]);
    }
    fetch->run_count = i;
    fetch->fault = tree_txn_fault(txn);
    tree_abort(txn);
}

/* --- back on the loop --- */

static void tell(struct fetch *fetch, const struct item *item)
{
    struct wanted *running = &fetch->running;
    struct bytes key = key_of(running, item);
    struct fetched fetched = {.state = FETCHED_NOTHING};
    if (item->is_there) {
        uint8_t key_bytes[TREE_KEY_LEN_MAX];
        size_t key_len = record_key_encode(item->point, item->table, key, key_bytes);
        struct bytes stored = bytes_of(running->bytes.data + item->stored_at, item->stored_len);
        enum record_fault fault =
            record_decode(stored, bytes_of(key_bytes, key_len), &fetched.record);
        bool is_newer = fault == RECORD_NEWER_FORMAT;
        fetched.state = fault == RECORD_FINE ? FETCHED_RECORD
                        : is_newer           ? FETCHED_NEWER_FORMAT
                                             : FETCHED_DAMAGED;
        fetched.size = record_stored_size(key.len, stored);
    }
    fetched.record.point = item->point;
    fetched.record.table = item->table;
    fetched.record.key = key;
    fetch->on_done(fetch->context, &fetched);
}

static void done(struct job *job)
{
    struct fetch *fetch = (struct fetch *)job;
    struct wanted *running = &fetch->running;
    if (fetch->fault != TREE_FINE) {
        logline_die("tree: cannot read: %s", tree_fault_text(fetch->tree));
    }
    for (uint32_t i = fetch->run_count; i < running->count; i++) {
        const struct item *item = &running->items[i];
        if (!item->is_cancelled) {
            fetch_want(fetch, item->point, item->table, key_of(running, item));
        }
    }
    fetch->count += fetch->run_count;
    for (uint32_t i = 0; i < fetch->run_count; i++) {
        if (!running->items[i].is_cancelled) {
            tell(fetch, &running->items[i]);
        }
    }
    running->count = 0;
    buffer_shrink(&running->bytes, FETCH_KEEP);
    fetch->is_busy = false;
}
