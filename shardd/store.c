/* SPDX-License-Identifier: MIT */
#include "shardd/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/logline.h"
#include "io/memory.h"
#include "io/worker.h"
#include "shardd/engine.h"

/* First in, first out; linked by op->next. */
struct queue {
    struct op *first;
    struct op *last;
};

/* What the worker runs: a group of operations, or a save. */
struct group_job {
    struct job job; /* first */
    struct store *store;
    struct op *ops[STORE_GROUP_OPS_MAX];
    uint32_t op_count;
    uint32_t run_count;
    enum tree_fault fault;
};

struct save_job {
    struct job job; /* first */
    struct store *store;
    struct buffer control;
    struct range *ranges;
    uint32_t range_count;
    store_saved *on_saved; /* NULL: there is no save */
    void *context;
    enum tree_fault fault;
};

struct store {
    struct engine *engine;
    struct worker *worker;
    bool is_busy; /* one of the jobs is the worker's */
    bool is_disk_full;
    struct group_job group;
    struct save_job save;
    struct queue queue;
    size_t queue_len;      /* bytes of all operations that are not answered, and */
    uint32_t op_count;     /* how many they are */
    struct accounts shown; /* the engine's, as of the last job */
    uint64_t last_stamp;
};

static void push(struct queue *queue, struct op *op)
{
    op->next = NULL;
    if (queue->first) {
        queue->last->next = op;
    } else {
        queue->first = op;
    }
    queue->last = op;
}

static void push_front(struct queue *queue, struct op *op)
{
    op->next = queue->first;
    queue->last = queue->first ? queue->last : op;
    queue->first = op;
}

static struct op *pop(struct queue *queue)
{
    struct op *op = queue->first;
    if (op) {
        queue->first = op->next;
    }
    return op;
}

/* --- opening --- */

static void run_group(struct job *job);
static void group_done(struct job *job);
static void run_save(struct job *job);
static void save_done(struct job *job);

/* Copies what the loop shows while the engine is the worker's. */
static void show(struct store *store)
{
    const struct accounts *accounts = engine_accounts(store->engine);
    store->shown.items =
        memory_resize(store->shown.items, accounts->count + 1, sizeof(*store->shown.items));
    for (uint32_t i = 0; i < accounts->count; i++) {
        store->shown.items[i] = accounts->items[i];
    }
    store->shown.count = accounts->count;
    store->last_stamp = engine_last_stamp(store->engine);
}

struct store *store_open(struct loop *loop, const char *path, char *error, size_t error_len)
{
    struct engine *engine = engine_open(path, error, error_len);
    if (!engine) {
        return NULL;
    }
    struct store *store = memory_get(1, sizeof(*store));
    store->engine = engine;
    store->worker = worker_new(loop, "store");
    store->group.store = store;
    store->group.job = (struct job){.run = run_group, .done = group_done};
    store->save.store = store;
    store->save.job = (struct job){.run = run_save, .done = save_done};
    return store;
}

void store_free(struct store *store)
{
    if (!store) {
        return;
    }
    worker_free(store->worker);
    engine_close(store->engine);
    for (uint32_t i = store->group.op_count; i > 0; i--) {
        push_front(&store->queue, store->group.ops[i - 1]);
    }
    struct op *op;
    while ((op = pop(&store->queue))) {
        op_reset(op);
        op_refuse(op, STATUS_SHUTTING_DOWN, OP_REASON_NONE);
        op->done(op);
    }
    buffer_fini(&store->save.control);
    free(store->save.ranges);
    accounts_fini(&store->shown);
    free(store);
}

bool store_load_control(struct store *store, struct buffer *control, char *error, size_t error_len)
{
    return engine_load(store->engine, control, error, error_len);
}

bool store_start(struct store *store, struct bytes control, const struct range *ranges,
                 uint32_t range_count, char *error, size_t error_len)
{
    if (!engine_start(store->engine, ranges, range_count, error, error_len)) {
        return false;
    }
    if (engine_save(store->engine, control, ranges, range_count) != TREE_FINE) {
        (void)snprintf(error, error_len, "tree: cannot commit: %s",
                       engine_fault_text(store->engine));
        return false;
    }
    show(store);
    return true;
}

/* --- operations --- */

bool store_has_room(const struct store *store, size_t op_len)
{
    return store->queue_len + op_len <= STORE_QUEUE_LEN_MAX;
}

void store_submit(struct store *store, struct op *op)
{
    push(&store->queue, op);
    store->queue_len += op_len(op);
    store->op_count++;
}

bool store_is_idle(const struct store *store)
{
    return store->op_count == 0 && !store->save.on_saved;
}

static void give_back(struct store *store, struct op *op)
{
    store->queue_len -= op_len(op);
    store->op_count--;
    op->done(op);
}

/* RULES L5: no retry, no reply. */
static void end_if_broken(const struct store *store, enum tree_fault fault)
{
    if (fault == TREE_BROKEN) {
        logline_die("tree: cannot commit: %s", engine_fault_text(store->engine));
    }
}

static void run_group(struct job *job)
{
    struct group_job *group = (struct group_job *)job;
    group->fault = engine_run(group->store->engine, group->ops, group->op_count, &group->run_count);
}

/* Clients hear it with each refusal, the operator once. */
static void tell_fullness(struct store *store)
{
    bool is_full = engine_is_disk_full(store->engine);
    if (is_full && !store->is_disk_full) {
        logline(LOGLINE_WARNING, "the disk is full (%s): what grows is refused",
                engine_fault_text(store->engine));
    } else if (!is_full && store->is_disk_full) {
        logline(LOGLINE_INFO, "the disk has room again");
    }
    store->is_disk_full = is_full;
}

static void group_done(struct job *job)
{
    struct group_job *group = (struct group_job *)job;
    struct store *store = group->store;
    end_if_broken(store, group->fault);
    tell_fullness(store);
    show(store);
    uint32_t op_count = group->op_count;
    group->op_count = 0;
    store->is_busy = false;
    for (uint32_t i = op_count; i > group->run_count; i--) {
        push_front(&store->queue, group->ops[i - 1]);
    }
    for (uint32_t i = 0; i < group->run_count; i++) {
        give_back(store, group->ops[i]);
    }
}

/* It would be carried out for nothing. What changes something was sent to be done. */
static bool is_abandoned(const struct op *op)
{
    return !op_changes(op) && op->is_awaited && !op->is_awaited(op);
}

static void put_off(struct store *store, struct op *op, enum op_reason reason)
{
    op_refuse(op, STATUS_TRY_LATER, reason);
    give_back(store, op);
}

static void fill_group(struct store *store)
{
    struct group_job *group = &store->group;
    uint64_t now_us = clock_mono_us();
    size_t len = 0;
    while (store->queue.first && group->op_count < STORE_GROUP_OPS_MAX &&
           len < STORE_GROUP_LEN_MAX) {
        struct op *op = pop(&store->queue);
        if (op->deadline_us != 0 && op->deadline_us < now_us) {
            put_off(store, op, OP_REASON_WAITED_TOO_LONG);
        } else if (is_abandoned(op)) {
            put_off(store, op, OP_REASON_NONE);
        } else {
            len += op_len(op);
            group->ops[group->op_count++] = op;
        }
    }
}

void store_turn_end(struct store *store)
{
    if (store->is_busy) {
        return;
    }
    if (store->save.on_saved) {
        store->is_busy = true;
        worker_submit(store->worker, &store->save.job);
        return;
    }
    fill_group(store);
    if (store->group.op_count > 0) {
        store->is_busy = true;
        worker_submit(store->worker, &store->group.job);
    }
}

/* --- control state --- */

void store_save_control(struct store *store, struct bytes control, const struct range *ranges,
                        uint32_t range_count, store_saved *on_saved, void *context)
{
    struct save_job *save = &store->save;
    assert(!save->on_saved);
    buffer_clear(&save->control);
    buffer_append_bytes(&save->control, control);
    memory_must(!save->control.failed);
    save->ranges = memory_resize(save->ranges, range_count + 1, sizeof(*save->ranges));
    for (uint32_t i = 0; i < range_count; i++) {
        save->ranges[i] = ranges[i];
    }
    save->range_count = range_count;
    save->on_saved = on_saved;
    save->context = context;
}

static void run_save(struct job *job)
{
    struct save_job *save = (struct save_job *)job;
    save->fault = engine_save(save->store->engine, buffer_bytes(&save->control), save->ranges,
                              save->range_count);
}

static void save_done(struct job *job)
{
    struct save_job *save = (struct save_job *)job;
    struct store *store = save->store;
    end_if_broken(store, save->fault);
    show(store);
    store->is_busy = false;
    store_saved *on_saved = save->on_saved;
    save->on_saved = NULL;
    on_saved(save->context, save->fault == TREE_FINE);
}

/* --- what is shown --- */

const struct account *store_account(const struct store *store, uint64_t point)
{
    return accounts_find(&store->shown, point);
}

uint64_t store_last_stamp(const struct store *store)
{
    return store->last_stamp;
}
