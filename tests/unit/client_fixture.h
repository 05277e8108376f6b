/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CLIENT_FIXTURE_H
#define TESTS_UNIT_CLIENT_FIXTURE_H

/*
 * The library against two scripted servers: the first owns the lower half of the circle, the
 * second the upper one. Included behind cmocka.h.
 */

#include "libclient/shardkv.h"
#include "proto/json.h"
#include "tests/unit/fake_server.h"

struct fixture {
    struct fake *servers[2];
    struct skv *kv;
};

/* Short enough to wait for in a test that needs the deadline to pass. */
static const struct skv_call BRIEF = {.timeout_ms = 150};

/* Long enough that a test which needs it has failed. */
static const struct skv_call PATIENT = {.timeout_ms = 20000};

static inline enum fake_act answer(struct fake *fake, const struct fake_request *request)
{
    (void)fake;
    (void)request;
    return FAKE_ANSWER;
}

static inline struct map map_of(struct fake *const servers[2])
{
    struct map map = {.cluster = {0xcc}, .instance = {0xdd}, .revision = 2, .origin_ms = 1};
    map.entries = calloc(2, sizeof(*map.entries));
    map.servers = calloc(2, sizeof(*map.servers));
    map.entry_count = 2;
    map.server_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        struct map_entry *entry = &map.entries[i];
        (void)snprintf(entry->name, sizeof(entry->name), "shard%u", i);
        entry->start = i * (BOUND_END / 2);
        entry->end = (i + 1) * (BOUND_END / 2);
        entry->epoch = 1 + i;
        entry->size = 1 << 20;
        memset(entry->server, 1 + (int)i, ID_LEN);
        entry->address = servers[i]->address;
        memcpy(map.servers[i].id, entry->server, ID_LEN);
        map.servers[i].address = entry->address;
        map.servers[i].incarnation = 1;
    }
    return map;
}

static inline void open_client(struct fixture *fixture, const struct skv_options *options)
{
    char addresses[2 * ADDRESS_TEXT_LEN];
    (void)snprintf(addresses, sizeof(addresses), "127.0.0.1:%u,127.0.0.1:%u",
                   fixture->servers[0]->address.port, fixture->servers[1]->address.port);
    assert_int_equal(skv_open(addresses, options, &fixture->kv), SKV_OK);
}

static inline int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    *state = fixture;
    for (int i = 0; i < 2; i++) {
        fixture->servers[i] = fake_new();
        fixture->servers[i]->script = answer;
    }
    for (int i = 0; i < 2; i++) {
        fixture->servers[i]->map = map_of(fixture->servers);
        fake_start(fixture->servers[i]);
    }
    open_client(fixture, NULL);
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;
    skv_close(fixture->kv);
    fake_free(fixture->servers[0]);
    fake_free(fixture->servers[1]);
    free(fixture);
    return 0;
}

/* While no call is under way the server's thread only waits, but the lock makes it so for tools. */
static inline void set_script(struct fake *fake,
                              enum fake_act (*script)(struct fake *fake,
                                                      const struct fake_request *))
{
    pthread_mutex_lock(&fake->lock);
    fake->script = script;
    fake->asked_count = 0;
    fake->trace[0] = '\0';
    pthread_mutex_unlock(&fake->lock);
}

static inline void assert_trace(struct fake *fake, const char *expected)
{
    char trace[sizeof(fake->trace)];
    pthread_mutex_lock(&fake->lock);
    memcpy(trace, fake->trace, sizeof(trace));
    pthread_mutex_unlock(&fake->lock);
    assert_string_equal(trace, expected);
}

static inline uint32_t asked_count(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    uint32_t count = fake->asked_count;
    pthread_mutex_unlock(&fake->lock);
    return count;
}

/* Good until the next call. */
static inline const char *key_in(uint32_t half, uint32_t index)
{
    static char text[16];
    fake_print_key(half, index, text);
    return text;
}

static inline enum fake_act redirect(struct fake *fake, const struct fake_request *request)
{
    (void)fake;
    (void)request;
    return FAKE_REDIRECT;
}

static inline void move_to(struct fake *from, const struct fake *to, uint32_t half)
{
    pthread_mutex_lock(&from->lock);
    from->redirect = to->map.entries[half];
    from->redirect.epoch = 9;
    from->redirect.address = to->address;
    pthread_mutex_unlock(&from->lock);
}

static inline enum fake_act drop_first(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count == 1 ? FAKE_DROP : FAKE_ANSWER;
}

/* The params of the last request, as JSON. */
static char last_params[512];

static inline enum fake_act keep_params(struct fake *fake, const struct fake_request *request)
{
    struct buffer json = {0};
    (void)fake;
    assert(json_print(request->params, &json));
    (void)snprintf(last_params, sizeof(last_params), "%.*s", (int)json.len,
                   (const char *)json.data);
    buffer_fini(&json);
    return FAKE_ANSWER;
}

static inline enum fake_act silence(struct fake *fake, const struct fake_request *request)
{
    (void)fake;
    (void)request;
    return FAKE_SILENT;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
