/* SPDX-License-Identifier: MIT */
#include "libclient/client.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "libclient/error.h"
#include "libclient/exchange.h"

#define TIMEOUT_MS_DEFAULT   2000
#define POOL_WAIT_MS_DEFAULT 5000
#define POOL_MAX_DEFAULT     10
#define POOL_MAX_LIMIT       1024 /* far above what helps: requests are pipelined */

struct skv {
    struct cluster cluster;
    _Atomic pid_t pid; /* whose connections and ids these are; negative while it takes over */
};

struct cluster *client_enter(struct skv *kv)
{
    pid_t self = getpid();
    pid_t owner = atomic_load(&kv->pid);
    while (owner != self) {
        if (owner == -self) {
            sched_yield(); /* another thread is at it, and will not be long */
            owner = atomic_load(&kv->pid);
        } else if (atomic_compare_exchange_weak(&kv->pid, &owner, -self)) {
            pool_after_fork(kv->cluster.pool);
            route_after_fork(kv->cluster.route);
            atomic_store(&kv->pid, self);
            owner = self;
        }
    }
    return &kv->cluster;
}

static enum skv_status fill_options(const struct skv_options *given, struct skv_options *options)
{
    *options = given ? *given : (struct skv_options){.timeout_ms = 0};
    for (size_t i = 0; i < sizeof(options->reserved) / sizeof(options->reserved[0]); i++) {
        if (options->reserved[i] != 0) {
            return error_say(SKV_INVALID, "open: a reserved field of skv_options is not 0");
        }
    }
    if (options->pool_max > POOL_MAX_LIMIT) {
        return error_say(SKV_INVALID, "open: pool_max %u is above %d", options->pool_max,
                         POOL_MAX_LIMIT);
    }
    options->timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_MS_DEFAULT;
    options->pool_wait_ms = options->pool_wait_ms ? options->pool_wait_ms : POOL_WAIT_MS_DEFAULT;
    options->pool_max = options->pool_max ? options->pool_max : POOL_MAX_DEFAULT;
    return SKV_OK;
}

static uint32_t count_addresses(const char *text)
{
    uint32_t count = 1;
    for (; *text; text++) {
        count += *text == ',';
    }
    return count;
}

/* "a:1,b:2" into an array that the caller frees. */
static enum skv_status parse_addresses(const char *text, struct address **addresses,
                                       uint32_t *address_count)
{
    uint32_t count = count_addresses(text);
    struct address *parsed = calloc(count, sizeof(*parsed));
    if (!parsed) {
        return error_say(SKV_NO_MEMORY, "open: out of memory");
    }
    const char *next = text;
    for (uint32_t i = 0; i < count; i++) {
        size_t len = strcspn(next, ",");
        if (!address_parse(bytes_of(next, len), &parsed[i])) {
            free(parsed);
            return error_say(SKV_INVALID,
                             "open: address %u of \"%.200s\" is not HOST:PORT, like 127.0.0.1:5040",
                             i + 1, text);
        }
        next += len + 1;
    }
    *addresses = parsed;
    *address_count = count;
    return SKV_OK;
}

static enum skv_status fetch_map(struct cluster *cluster)
{
    struct task task;
    task_prepare_raw(&task, TASK_MAP, NULL, cluster->options.timeout_ms);
    task.target = TARGET_ANYONE;
    task.order = ROUTE_GIVEN_FIRST;
    exchange_run(cluster, &task, 1);
    enum skv_status status = task_report(&task);
    task_fini(&task);
    return status;
}

static struct skv *client_new(const struct skv_options *options, const struct address *addresses,
                              uint32_t address_count)
{
    struct skv *kv = calloc(1, sizeof(*kv));
    if (!kv) {
        return NULL;
    }
    kv->cluster.options = *options;
    kv->cluster.pool = pool_new(options->pool_max);
    kv->cluster.route = route_new(addresses, address_count);
    atomic_init(&kv->pid, getpid());
    if (!kv->cluster.pool || !kv->cluster.route) {
        skv_close(kv);
        return NULL;
    }
    return kv;
}

enum skv_status skv_open(const char *addresses, const struct skv_options *options, struct skv **kv)
{
    struct skv_options filled;
    struct address *parsed = NULL;
    uint32_t parsed_count = 0;
    enum skv_status status = fill_options(options, &filled);
    if (status == SKV_OK) {
        status = parse_addresses(addresses, &parsed, &parsed_count);
    }
    if (status != SKV_OK) {
        return status;
    }
    struct skv *opened = client_new(&filled, parsed, parsed_count);
    free(parsed);
    if (!opened) {
        return error_say(SKV_NO_MEMORY, "open: out of memory");
    }
    status = filled.without_map ? SKV_OK : fetch_map(&opened->cluster);
    if (status != SKV_OK) {
        skv_close(opened);
        return status;
    }
    *kv = opened;
    return SKV_OK;
}

void skv_close(struct skv *kv)
{
    if (!kv) {
        return;
    }
    if (kv->cluster.pool && kv->cluster.route) {
        (void)client_enter(kv); /* what a forked child closes is its own */
    }
    pool_free(kv->cluster.pool);
    route_free(kv->cluster.route);
    free(kv);
}

const char *skv_version(void)
{
    return SHARDKV_VERSION;
}
