/* SPDX-License-Identifier: MIT */
#include "tests/sim/history.h"

#include "tests/sim/heap.h"
#include "tests/sim/world.h"

#include <assert.h>
#include <inttypes.h>

struct key_history {
    struct operation *operations;
    uint32_t count;
    uint32_t capacity;
    const struct node *server;
    uint64_t told_version; /* of one that moves */
    bool may_evict;
};

static struct {
    struct key_history *keys;
    uint32_t key_count;
    uint32_t key_capacity;
    uint64_t moment;
    uint64_t told_versions[NODE_MAX]; /* by the server's index */
    bool is_torn[NODE_MAX];
    const struct node *servers[NODE_MAX];
    uint32_t server_count;
    const struct node *exchanged[2]; /* whose disks are, or were; NULL: none */
    uint64_t exchanged_us;
    uint64_t returned_us; /* UINT64_MAX: not yet */
} history;

void history_begin(uint32_t key_count)
{
    history.keys = world_get(key_count, sizeof(struct key_history));
    history.key_count = history.key_capacity = key_count;
    history.moment = 0;
    memset(history.told_versions, 0, sizeof history.told_versions);
    memset(history.is_torn, 0, sizeof history.is_torn);
    memset(history.exchanged, 0, sizeof history.exchanged);
    history.server_count = 0;
}

void history_add_key(void)
{
    if (history.key_count == history.key_capacity) {
        history.key_capacity *= 2;
        history.keys =
            world_resize(history.keys, history.key_capacity * sizeof(struct key_history));
    }
    history.keys[history.key_count++] = (struct key_history){0};
}

void history_end(void)
{
    for (uint32_t i = 0; i < history.key_count; i++) {
        world_put(history.keys[i].operations);
    }
    world_put(history.keys);
    history.keys = NULL;
    history.key_count = 0;
}

/* Versions grow at a server, and with a key wherever it goes (RULES N2). */
static uint64_t *told_version(struct key_history *key)
{
    return key->server ? &history.told_versions[key->server->index] : &key->told_version;
}

uint32_t history_ask(const struct operation *operation)
{
    assert(operation->key < history.key_count);
    struct key_history *key = &history.keys[operation->key];
    if (key->count == key->capacity) {
        key->capacity = key->capacity ? 2 * key->capacity : 4;
        key->operations = world_resize(key->operations, key->capacity * sizeof(struct operation));
    }
    struct operation *asked = &key->operations[key->count++];
    *asked = *operation;
    asked->asked = ++history.moment;
    asked->answered = MOMENT_NEVER;
    asked->asked_us = world_now_us();
    asked->answered_us = UINT64_MAX;
    asked->told_version = *told_version(key);
    trace("ask", operation->key, (uint64_t)operation->argument);
    return key->count;
}

struct operation *history_answer(uint32_t key, uint32_t number)
{
    struct operation *operation = &history.keys[key].operations[number - 1];
    assert(operation->answered == MOMENT_NEVER);
    operation->answered = ++history.moment;
    operation->answered_us = world_now_us();
    trace("answer", key, number);
    return operation;
}

void history_leave_open(uint32_t key, uint32_t number)
{
    trace("no answer", key, number);
}

void history_place(uint32_t key, const struct node *server, bool may_evict)
{
    history.keys[key].server = server;
    history.keys[key].may_evict = may_evict;
}

void history_add_server(const struct node *server)
{
    history.servers[history.server_count++] = server;
}

bool history_may_evict(uint32_t key)
{
    return history.keys[key].may_evict;
}

void history_tear(const struct node *server)
{
    history.is_torn[server->index] = true;
}

static bool is_any_torn(void)
{
    bool is_torn = false;
    for (uint32_t i = 0; i < history.server_count; i++) {
        is_torn |= history.is_torn[history.servers[i]->index];
    }
    return is_torn;
}

bool history_is_torn(uint32_t key)
{
    const struct node *server = history.keys[key].server;
    return server ? history.is_torn[server->index] : is_any_torn();
}

/* --- time to live: by a clock that is stepped --- */

void history_exchange(const struct node *one, const struct node *other)
{
    if (history.exchanged[0]) {
        history.returned_us = world_now_us();
        return;
    }
    history.exchanged[0] = one;
    history.exchanged[1] = other;
    history.exchanged_us = world_now_us();
    history.returned_us = UINT64_MAX;
}

/* In whose machine the server's disk was between the two; NULL: in none but its own. */
static const struct node *find_host(const struct node *server, uint64_t *from_us, uint64_t *to_us)
{
    if (!history.exchanged[0] || *to_us < history.exchanged_us || *from_us > history.returned_us) {
        return NULL;
    }
    *from_us = *from_us > history.exchanged_us ? *from_us : history.exchanged_us;
    *to_us = *to_us < history.returned_us ? *to_us : history.returned_us;
    return server == history.exchanged[0]   ? history.exchanged[1]
           : server == history.exchanged[1] ? history.exchanged[0]
                                            : NULL;
}

static uint64_t least_wall_ms(const struct node *server, uint64_t from_us, uint64_t to_us)
{
    uint64_t own_ms = world_least_wall_ms(server, from_us, to_us);
    const struct node *host = find_host(server, &from_us, &to_us);
    uint64_t host_ms = host ? world_least_wall_ms(host, from_us, to_us) : own_ms;
    return host_ms < own_ms ? host_ms : own_ms;
}

static uint64_t most_wall_ms(const struct node *server, uint64_t from_us, uint64_t to_us)
{
    uint64_t own_ms = world_most_wall_ms(server, from_us, to_us);
    const struct node *host = find_host(server, &from_us, &to_us);
    uint64_t host_ms = host ? world_most_wall_ms(host, from_us, to_us) : own_ms;
    return host_ms > own_ms ? host_ms : own_ms;
}

/* By the clock of whichever server it lay at, one deadline and all. */
static uint64_t least_of_key_ms(uint32_t key, uint64_t from_us, uint64_t to_us)
{
    const struct node *server = history.keys[key].server;
    uint64_t least_ms = server ? least_wall_ms(server, from_us, to_us) : UINT64_MAX;
    for (uint32_t i = 0; i < history.server_count && !server; i++) {
        uint64_t ms = least_wall_ms(history.servers[i], from_us, to_us);
        least_ms = ms < least_ms ? ms : least_ms;
    }
    return least_ms;
}

static uint64_t most_of_key_ms(uint32_t key, uint64_t from_us, uint64_t to_us)
{
    const struct node *server = history.keys[key].server;
    uint64_t most_ms = server ? most_wall_ms(server, from_us, to_us) : 0;
    for (uint32_t i = 0; i < history.server_count && !server; i++) {
        uint64_t ms = most_wall_ms(history.servers[i], from_us, to_us);
        most_ms = ms > most_ms ? ms : most_ms;
    }
    return most_ms;
}

static uint64_t end_us(const struct operation *operation)
{
    return operation->answered_us < world_now_us() ? operation->answered_us : world_now_us();
}

bool history_may_expire(const struct operation *writer, const struct operation *seer)
{
    uint64_t written_ms = least_of_key_ms(writer->key, writer->asked_us, end_us(writer));
    return most_of_key_ms(writer->key, writer->asked_us, end_us(seer)) >=
           written_ms + writer->ttl_ms;
}

/* A slide may have gone on to the last. */
bool history_must_expire(const struct operation *writer, const struct operation *seer)
{
    if (writer->is_sliding || writer->answered == MOMENT_NEVER) {
        return false;
    }
    uint64_t written_ms = most_of_key_ms(writer->key, writer->asked_us, writer->answered_us);
    return least_of_key_ms(writer->key, seer->asked_us, end_us(seer)) > written_ms + writer->ttl_ms;
}

/* --- versions --- */

static bool gives_version(const struct operation *operation)
{
    return (operation->deed == DEED_WRITE || operation->deed == DEED_WRITE_IF_ABSENT ||
            operation->deed == DEED_WRITE_IF_VERSION || operation->deed == DEED_EXPIRE) &&
           operation->was_there && !operation->is_refused && !operation->is_void;
}

void history_check_version(uint32_t key, uint32_t number)
{
    const struct operation *operation = &history.keys[key].operations[number - 1];
    uint64_t *told = told_version(&history.keys[key]);
    if (gives_version(operation) && operation->version &&
        operation->version <= operation->told_version) {
        const struct node *server = history.keys[key].server;
        violation("key %u: %s gave version %" PRIu64 ", and had told of %" PRIu64 " before", key,
                  server ? server->name : "its server", operation->version,
                  operation->told_version);
    }
    *told = operation->version > *told ? operation->version : *told;
}

uint32_t history_key_count(void)
{
    return history.key_count;
}

const struct operation *history_of_key(uint32_t key, uint32_t *count)
{
    *count = history.keys[key].count;
    return history.keys[key].operations;
}
