/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "libclient/client.h"
#include "libclient/error.h"
#include "libclient/exchange.h"

#define CAPACITY_MIN 16

struct skv_batch {
    struct skv *kv;
    struct task *tasks;
    struct skv_record *records; /* of each task; their memory is kept from round to round */
    size_t task_count;
    size_t run_count; /* those that have run */
    size_t capacity;
    bool is_short_of_memory; /* an item could not be added */
};

struct skv_batch *skv_batch_new(struct skv *kv)
{
    struct skv_batch *batch = calloc(1, sizeof(*batch));
    if (batch) {
        batch->kv = kv;
    }
    return batch;
}

static bool grow(struct skv_batch *batch)
{
    size_t capacity = batch->capacity ? 2 * batch->capacity : CAPACITY_MIN;
    struct task *tasks = reallocarray(batch->tasks, capacity, sizeof(*tasks));
    if (tasks) {
        batch->tasks = tasks;
    }
    struct skv_record *records = reallocarray(batch->records, capacity, sizeof(*records));
    if (records) {
        batch->records = records;
    }
    if (!tasks || !records) {
        return false;
    }
    memset(records + batch->capacity, 0, (capacity - batch->capacity) * sizeof(*records));
    batch->capacity = capacity;
    return true;
}

static void add(struct skv_batch *batch, const struct task_wish *wish)
{
    if (batch->task_count == batch->capacity && !grow(batch)) {
        batch->is_short_of_memory = true;
        return;
    }
    uint32_t timeout_ms = client_enter(batch->kv)->options.timeout_ms;
    task_prepare(&batch->tasks[batch->task_count++], wish, timeout_ms);
}

void skv_batch_write(struct skv_batch *batch, struct skv_bytes key, struct skv_value value,
                     const struct skv_call *call)
{
    add(batch, &(struct task_wish){.kind = TASK_WRITE, .key = key, .value = value, .call = call});
}

void skv_batch_read(struct skv_batch *batch, struct skv_bytes key, const struct skv_call *call)
{
    add(batch, &(struct task_wish){.kind = TASK_READ, .key = key, .call = call});
}

void skv_batch_pop(struct skv_batch *batch, struct skv_bytes key, const struct skv_call *call)
{
    add(batch, &(struct task_wish){.kind = TASK_POP, .key = key, .call = call});
}

void skv_batch_delete(struct skv_batch *batch, struct skv_bytes key, const struct skv_call *call)
{
    add(batch, &(struct task_wish){.kind = TASK_DELETE, .key = key, .call = call});
}

void skv_batch_incr(struct skv_batch *batch, struct skv_bytes key, int64_t by,
                    const struct skv_call *call)
{
    add(batch, &(struct task_wish){.kind = TASK_INCR, .key = key, .by = by, .call = call});
}

void skv_batch_expire(struct skv_batch *batch, struct skv_bytes key, uint64_t ttl_ms,
                      const struct skv_call *call)
{
    add(batch,
        &(struct task_wish){.kind = TASK_EXPIRE, .key = key, .ttl_ms = ttl_ms, .call = call});
}

void skv_batch_entity_put(struct skv_batch *batch, uint32_t shard, uint16_t kind,
                          struct skv_value document, const struct skv_call *call)
{
    add(batch, &(struct task_wish){.kind = TASK_PUT,
                                   .shard = shard,
                                   .entity_kind = kind,
                                   .value = document,
                                   .is_entity = true,
                                   .call = call});
}

/* What has an id for a key; the task copies it. */
static void add_of_id(struct skv_batch *batch, uint64_t id, struct task_wish wish)
{
    uint8_t key[SKV_ID_KEY_LEN];
    wish.key = skv_key_of_id(id, key);
    wish.is_entity = true;
    add(batch, &wish);
}

void skv_batch_entity_get(struct skv_batch *batch, uint64_t id, const struct skv_call *call)
{
    add_of_id(batch, id, (struct task_wish){.kind = TASK_READ, .call = call});
}

void skv_batch_entity_update(struct skv_batch *batch, uint64_t id, struct skv_value document,
                             const struct skv_call *call)
{
    add_of_id(batch, id, (struct task_wish){.kind = TASK_UPDATE, .value = document, .call = call});
}

void skv_batch_entity_delete(struct skv_batch *batch, uint64_t id, const struct skv_call *call)
{
    add_of_id(batch, id, (struct task_wish){.kind = TASK_DELETE, .call = call});
}

enum skv_status skv_batch_run(struct skv_batch *batch)
{
    size_t first = batch->run_count;
    for (size_t i = first; i < batch->task_count; i++) {
        batch->tasks[i].record = &batch->records[i];
    }
    if (batch->task_count > first) {
        exchange_run(client_enter(batch->kv), batch->tasks + first, batch->task_count - first);
    }
    batch->run_count = batch->task_count;
    for (size_t i = 0; i < batch->task_count; i++) {
        if (batch->tasks[i].status != SKV_OK) {
            return task_report(&batch->tasks[i]);
        }
    }
    if (batch->is_short_of_memory) {
        return error_say(SKV_NO_MEMORY, "batch: out of memory for its items behind number %zu",
                         batch->task_count);
    }
    return SKV_OK;
}

size_t skv_batch_count(const struct skv_batch *batch)
{
    return batch->task_count;
}

enum skv_status skv_batch_status(const struct skv_batch *batch, size_t index)
{
    return index < batch->task_count ? batch->tasks[index].status : SKV_INVALID;
}

const char *skv_batch_text(const struct skv_batch *batch, size_t index)
{
    if (index >= batch->task_count) {
        return "the batch has no such item";
    }
    const struct task *task = &batch->tasks[index];
    if (task->status == SKV_OK) {
        return "";
    }
    if (task->text) {
        return task->text;
    }
    return index < batch->run_count ? "out of memory" : "not run yet";
}

static bool brings_record(enum task_kind kind)
{
    return kind == TASK_WRITE || kind == TASK_READ || kind == TASK_POP || kind == TASK_INCR ||
           kind == TASK_EXPIRE || kind == TASK_PUT || kind == TASK_UPDATE;
}

const struct skv_record *skv_batch_record(const struct skv_batch *batch, size_t index)
{
    if (index >= batch->run_count || batch->tasks[index].status != SKV_OK ||
        !brings_record(batch->tasks[index].kind)) {
        return NULL;
    }
    return &batch->records[index];
}

void skv_batch_clear(struct skv_batch *batch)
{
    for (size_t i = 0; i < batch->task_count; i++) {
        task_fini(&batch->tasks[i]);
    }
    batch->task_count = 0;
    batch->run_count = 0;
    batch->is_short_of_memory = false;
}

void skv_batch_free(struct skv_batch *batch)
{
    if (!batch) {
        return;
    }
    skv_batch_clear(batch);
    for (size_t i = 0; i < batch->capacity; i++) {
        skv_record_fini(&batch->records[i]);
    }
    free(batch->tasks);
    free(batch->records);
    free(batch);
}
