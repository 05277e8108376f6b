/* SPDX-License-Identifier: MIT */
#include "libclient/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "io/clock.h"
#include "io/random.h"
#include "libclient/sequence.h"
#include "proto/pack.h"

struct server {
    struct address address;
    uint8_t client_id[ID_LEN];
    struct sequence sequence;
    uint32_t idle_count;
    uint32_t wire_count;
    uint32_t opening_count; /* room in `wires` for what is being opened */
    struct wire **wires;    /* wire_max of them: idle ones, then those in use */
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t given; /* a wire was given back or closed */
    uint32_t wire_max;
    bool has_loose; /* a wire that was closed was */
    uint32_t server_count;
    struct server **servers; /* sorted by address */
};

static void init_locks(struct pool *pool)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->given, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&pool->lock, NULL);
}

struct pool *pool_new(uint32_t wire_max)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    if (pool) {
        init_locks(pool);
        pool->wire_max = wire_max;
    }
    return pool;
}

/*
 * The server need not keep results for retries that cannot come: a popped value would go on to count
 * against its shard (RULES Q2). Not waited for, since nothing depends on it.
 */
static void tell_done(const struct pool *pool, struct server *server)
{
    struct wire *wire = server->idle_count ? server->wires[server->idle_count - 1] : NULL;
    uint32_t msgid;
    if (server->sequence.newest == 0 || !wire || wire_is_stale(wire)) {
        return;
    }
    struct buffer *out = wire_begin(wire, "done");
    pack_array(out, 2);
    pack_bin(out, bytes_of(server->client_id, ID_LEN));
    pack_uint(out, pool->has_loose ? server->sequence.done : RETRY_DONE_LAST);
    if (wire_end(wire, server, &msgid)) {
        wire_flush(wire);
    }
}

void pool_free(struct pool *pool)
{
    if (!pool) {
        return;
    }
    for (uint32_t i = 0; i < pool->server_count; i++) {
        struct server *server = pool->servers[i];
        assert(server->idle_count == server->wire_count && server->opening_count == 0);
        tell_done(pool, server);
        for (uint32_t j = 0; j < server->wire_count; j++) {
            wire_close(server->wires[j]);
        }
        free(server->wires);
        free(server);
    }
    free(pool->servers);
    pthread_cond_destroy(&pool->given);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static void begin_line(struct server *server)
{
    random_fill(server->client_id, ID_LEN);
    sequence_init(&server->sequence);
}

static void server_after_fork(struct server *server)
{
    for (uint32_t i = 0; i < server->wire_count; i++) {
        if (i < server->idle_count) {
            wire_close(server->wires[i]);
        } else {
            wire_abandon(server->wires[i]);
        }
    }
    server->idle_count = 0;
    server->wire_count = 0;
    server->opening_count = 0;
    begin_line(server);
}

void pool_after_fork(struct pool *pool)
{
    if (pthread_mutex_trylock(&pool->lock) == 0) {
        for (uint32_t i = 0; i < pool->server_count; i++) {
            server_after_fork(pool->servers[i]);
        }
    } else {
        /* Held by a thread that is not here: what it was changing cannot be trusted, nor freed. */
        pool->server_count = 0;
        pool->servers = NULL;
    }
    pool->has_loose = false; /* what the parent has sent is of other lines */
    init_locks(pool);
}

/* Where in `servers` the address is, or would be put. */
static uint32_t place_of(const struct pool *pool, const struct address *address)
{
    uint32_t low = 0;
    uint32_t high = pool->server_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (address_compare(&pool->servers[middle]->address, address) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct server *server_new(const struct address *address, uint32_t wire_max)
{
    struct server *server = calloc(1, sizeof(*server));
    struct wire **wires = calloc(wire_max, sizeof(struct wire *));
    if (!server || !wires) {
        free(server);
        free(wires);
        return NULL;
    }
    server->address = *address;
    server->wires = wires;
    begin_line(server);
    return server;
}

static struct server *add_server(struct pool *pool, const struct address *address, uint32_t place)
{
    size_t count = pool->server_count;
    struct server **servers = realloc(pool->servers, (count + 1) * sizeof(struct server *));
    if (!servers) {
        return NULL;
    }
    pool->servers = servers;
    struct server *server = server_new(address, pool->wire_max);
    if (server) {
        memmove(servers + place + 1, servers + place, (count - place) * sizeof(struct server *));
        servers[place] = server;
        pool->server_count++;
    }
    return server;
}

struct server *pool_server(struct pool *pool, const struct address *address)
{
    pthread_mutex_lock(&pool->lock);
    uint32_t place = place_of(pool, address);
    struct server *server = NULL;
    if (place < pool->server_count &&
        address_compare(&pool->servers[place]->address, address) == 0) {
        server = pool->servers[place];
    } else {
        server = add_server(pool, address, place);
    }
    pthread_mutex_unlock(&pool->lock);
    return server;
}

/* Needs the lock. The wire leaves the pool. */
static void remove_used(struct server *server, const struct wire *wire)
{
    uint32_t i = server->idle_count;
    while (server->wires[i] != wire) {
        i++;
        assert(i < server->wire_count);
    }
    server->wires[i] = server->wires[--server->wire_count];
}

/* An idle one that still lives, or NULL. */
static struct wire *take_idle(struct pool *pool, struct server *server)
{
    for (;;) {
        pthread_mutex_lock(&pool->lock);
        struct wire *wire = server->idle_count ? server->wires[--server->idle_count] : NULL;
        pthread_mutex_unlock(&pool->lock);
        if (!wire || !wire_is_stale(wire)) {
            return wire;
        }
        pthread_mutex_lock(&pool->lock);
        remove_used(server, wire);
        pthread_mutex_unlock(&pool->lock);
        wire_close(wire);
    }
}

static bool begin_opening(struct pool *pool, struct server *server)
{
    pthread_mutex_lock(&pool->lock);
    bool has_room = server->wire_count + server->opening_count < pool->wire_max;
    server->opening_count += has_room;
    pthread_mutex_unlock(&pool->lock);
    return has_room;
}

static void end_opening(struct pool *pool, struct server *server, struct wire *wire)
{
    pthread_mutex_lock(&pool->lock);
    server->opening_count--;
    if (wire) {
        server->wires[server->wire_count++] = wire;
    } else {
        pthread_cond_broadcast(&pool->given);
    }
    pthread_mutex_unlock(&pool->lock);
}

enum pool_took pool_take(struct pool *pool, struct server *server, const uint8_t cluster[ID_LEN],
                         struct wire **wire)
{
    struct wire *taken = take_idle(pool, server);
    if (taken) {
        wire_greet(taken, cluster);
        *wire = taken;
        return POOL_TOOK_IDLE;
    }
    if (!begin_opening(pool, server)) {
        return POOL_EXHAUSTED;
    }
    taken =
        wire_open(server_address(server), cluster); /* without the lock: it may look up a name */
    end_opening(pool, server, taken);
    if (!taken) {
        return POOL_NO_MEMORY;
    }
    *wire = taken;
    return POOL_TOOK_NEW;
}

void pool_give(struct pool *pool, struct server *server, struct wire **wire)
{
    struct wire *given = *wire;
    *wire = NULL;
    bool is_kept = wire_is_idle(given);
    if (is_kept) {
        wire_rest(given);
    }
    pthread_mutex_lock(&pool->lock);
    remove_used(server, given);
    pool->has_loose |= wire_is_loose(given);
    if (is_kept) {
        /* The first of those in use makes way. */
        server->wires[server->wire_count++] = server->wires[server->idle_count];
        server->wires[server->idle_count++] = given;
    }
    pthread_cond_broadcast(&pool->given);
    pthread_mutex_unlock(&pool->lock);
    if (!is_kept) {
        wire_close(given);
    }
}

static struct timespec monotonic_time(uint64_t deadline_us)
{
    uint64_t now_us = clock_mono_us();
    uint64_t left_us = deadline_us > now_us ? deadline_us - now_us : 0;
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    uint64_t nanoseconds = (uint64_t)time.tv_nsec + left_us % 1000000 * 1000;
    time.tv_sec += (time_t)(left_us / 1000000 + nanoseconds / 1000000000);
    time.tv_nsec = (long)(nanoseconds % 1000000000);
    return time;
}

void pool_wait(struct pool *pool, struct server *server, uint64_t deadline_us)
{
    struct timespec until = monotonic_time(deadline_us);
    pthread_mutex_lock(&pool->lock);
    int result = 0;
    while (result == 0 && server->idle_count == 0 &&
           server->wire_count + server->opening_count >= pool->wire_max) {
        result = pthread_cond_timedwait(&pool->given, &pool->lock, &until);
    }
    pthread_mutex_unlock(&pool->lock);
}

const struct address *server_address(const struct server *server)
{
    return &server->address;
}

const uint8_t *server_client_id(const struct server *server)
{
    return server->client_id;
}

bool server_take_number(struct pool *pool, struct server *server, uint64_t *number)
{
    pthread_mutex_lock(&pool->lock);
    bool took = sequence_take(&server->sequence, number);
    pthread_mutex_unlock(&pool->lock);
    return took;
}

void server_answer_number(struct pool *pool, struct server *server, uint64_t number)
{
    pthread_mutex_lock(&pool->lock);
    sequence_answer(&server->sequence, number);
    pthread_mutex_unlock(&pool->lock);
}

uint64_t server_done(struct pool *pool, struct server *server)
{
    pthread_mutex_lock(&pool->lock);
    uint64_t done = server->sequence.done;
    pthread_mutex_unlock(&pool->lock);
    return done;
}
