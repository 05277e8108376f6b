/* SPDX-License-Identifier: MIT */
#include "libclient/client.h"
#include "libclient/exchange.h"

/* The calls on one record: each is an exchange of one task. */

static enum skv_status run(struct skv *kv, const struct task_wish *wish, struct skv_record *rec)
{
    struct cluster *cluster = client_enter(kv);
    struct task task;
    task_prepare(&task, wish, cluster->options.timeout_ms);
    task.record = rec;
    exchange_run(cluster, &task, 1);
    enum skv_status status = task_report(&task);
    task_fini(&task);
    return status;
}

enum skv_status skv_write(struct skv *kv, struct skv_bytes key, struct skv_value value,
                          const struct skv_call *call, struct skv_record *rec)
{
    return run(
        kv, &(struct task_wish){.kind = TASK_WRITE, .key = key, .value = value, .call = call}, rec);
}

enum skv_status skv_read(struct skv *kv, struct skv_bytes key, const struct skv_call *call,
                         struct skv_record *rec)
{
    return run(kv, &(struct task_wish){.kind = TASK_READ, .key = key, .call = call}, rec);
}

enum skv_status skv_pop(struct skv *kv, struct skv_bytes key, const struct skv_call *call,
                        struct skv_record *rec)
{
    return run(kv, &(struct task_wish){.kind = TASK_POP, .key = key, .call = call}, rec);
}

enum skv_status skv_delete(struct skv *kv, struct skv_bytes key, const struct skv_call *call)
{
    return run(kv, &(struct task_wish){.kind = TASK_DELETE, .key = key, .call = call}, NULL);
}

enum skv_status skv_exists(struct skv *kv, struct skv_bytes key, const struct skv_call *call)
{
    return run(kv, &(struct task_wish){.kind = TASK_EXISTS, .key = key, .call = call}, NULL);
}

enum skv_status skv_expire(struct skv *kv, struct skv_bytes key, uint64_t ttl_ms,
                           const struct skv_call *call, struct skv_record *rec)
{
    return run(kv,
               &(struct task_wish){.kind = TASK_EXPIRE, .key = key, .ttl_ms = ttl_ms, .call = call},
               rec);
}

enum skv_status skv_incr(struct skv *kv, struct skv_bytes key, int64_t by,
                         const struct skv_call *call, int64_t *result)
{
    struct skv_record rec = {.memory = NULL};
    enum skv_status status =
        run(kv, &(struct task_wish){.kind = TASK_INCR, .key = key, .by = by, .call = call}, &rec);
    if (status == SKV_OK && result) {
        *result = rec.value.integer;
    }
    skv_record_fini(&rec);
    return status;
}

enum skv_status skv_entity_put(struct skv *kv, uint32_t shard, uint16_t kind,
                               struct skv_value document, const struct skv_call *call, uint64_t *id)
{
    struct skv_record rec = {.memory = NULL};
    const struct task_wish wish = {.kind = TASK_PUT,
                                   .shard = shard,
                                   .entity_kind = kind,
                                   .value = document,
                                   .is_entity = true,
                                   .call = call};
    enum skv_status status = run(kv, &wish, &rec);
    if (status == SKV_OK && id) {
        *id = rec.id;
    }
    skv_record_fini(&rec);
    return status;
}

enum skv_status skv_entity_get(struct skv *kv, uint64_t id, const struct skv_call *call,
                               struct skv_record *rec)
{
    uint8_t key[SKV_ID_KEY_LEN];
    const struct task_wish wish = {
        .kind = TASK_READ, .key = skv_key_of_id(id, key), .is_entity = true, .call = call};
    return run(kv, &wish, rec);
}

enum skv_status skv_entity_update(struct skv *kv, uint64_t id, struct skv_value document,
                                  const struct skv_call *call, struct skv_record *rec)
{
    uint8_t key[SKV_ID_KEY_LEN];
    const struct task_wish wish = {.kind = TASK_UPDATE,
                                   .key = skv_key_of_id(id, key),
                                   .value = document,
                                   .is_entity = true,
                                   .call = call};
    return run(kv, &wish, rec);
}

enum skv_status skv_entity_delete(struct skv *kv, uint64_t id, const struct skv_call *call)
{
    uint8_t key[SKV_ID_KEY_LEN];
    const struct task_wish wish = {
        .kind = TASK_DELETE, .key = skv_key_of_id(id, key), .is_entity = true, .call = call};
    return run(kv, &wish, NULL);
}
