/* SPDX-License-Identifier: MIT */
#include "tests/sim/client.h"

#include "tests/sim/entity.h"
#include "tests/sim/fiber.h"
#include "tests/sim/heap.h"
#include "tests/sim/value.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define CLIENT_PORT 6000

/* Written numbers are this far apart, so that sums never meet another value. */
#define NUMBER_STEP   1000
#define NUMBER_CLIENT INT64_C(1000000000000)

enum { BATCH_MAX = 12, SESSION_ROUNDS_MEAN = 40 };

/* What a client does next; a seed draws how often each. */
enum choice {
    CHOICE_READ,
    CHOICE_EXISTS,
    CHOICE_WRITE,
    CHOICE_IF_ABSENT,
    CHOICE_IF_VERSION,
    CHOICE_POP,
    CHOICE_DELETE,
    CHOICE_EXPIRE,
    CHOICE_BATCH,
    CHOICE_SCAN,
    CHOICE_ENTITY,
    CHOICE_COUNT,
};

struct client {
    const struct scene *scene;
    uint32_t number;
    int64_t last_number;
    uint32_t weights[CHOICE_COUNT];
    uint64_t *versions; /* last seen, by key */
};

/* --- opening --- */

struct skv *client_open(const struct scene *scene, uint32_t timeout_ms, uint64_t deadline_us)
{
    const struct skv_options options = {.timeout_ms = timeout_ms};
    while (world_now_us() < deadline_us) {
        /* Any address of the cluster will do; sometimes a second is known. */
        char addresses[2 * ADDRESS_TEXT_LEN];
        const char *first = daemon_address(scene->daemons[world_below(scene->daemon_count)]);
        const char *second = daemon_address(scene->daemons[world_below(scene->daemon_count)]);
        if (world_below(2)) {
            (void)snprintf(addresses, sizeof addresses, "%s,%s", first, second);
        } else {
            (void)snprintf(addresses, sizeof addresses, "%s", first);
        }
        struct skv *kv = NULL;
        enum skv_status status = skv_open(addresses, &options, &kv);
        if (status == SKV_OK) {
            return kv;
        }
        if (status != SKV_UNAVAILABLE) {
            violation("skv_open: %s: %s", skv_status_name(status), skv_error()->text);
        }
        fiber_sleep(world_around(SECOND_US / 2));
    }
    return NULL;
}

/* --- what is told --- */

static bool changes_nothing(const struct operation *operation)
{
    return operation->deed == DEED_READ || operation->deed == DEED_EXISTS;
}

static void note_done(struct operation *operation, const struct skv_record *record)
{
    operation->was_there = true;
    if (!record) {
        return;
    }
    operation->version = record->version;
    if (operation->deed == DEED_READ || operation->deed == DEED_POP ||
        operation->deed == DEED_INCR) {
        operation->result = value_number(&record->value);
    }
}

static void note_answer(uint32_t key, struct operation *operation, enum skv_status status,
                        const struct skv_record *record)
{
    switch (status) {
    case SKV_OK:
        count(COUNT_OP_DONE);
        note_done(operation, record);
        break;
    case SKV_NOT_FOUND:
        count(COUNT_OP_NOT_FOUND);
        break;
    case SKV_CONDITION:
        count(COUNT_OP_CONDITION);
        operation->is_refused = true;
        operation->version = record ? record->version : 0;
        break;
    case SKV_FULL:
        count(COUNT_OP_FULL);
        operation->is_void = true;
        break;
    case SKV_UNAVAILABLE:
    case SKV_UNKNOWN:
        count(COUNT_OP_UNAVAILABLE);
        operation->is_void = true;
        break;
    case SKV_INVALID:
    case SKV_DENIED:
    case SKV_NO_MEMORY:
        violation("key %u: %s: %s", key, skv_status_name(status), skv_error()->text);
    }
}

void client_note(uint32_t key, uint32_t number, enum skv_status status,
                 const struct skv_record *record)
{
    uint32_t count_of_key;
    if (status == SKV_UNKNOWN &&
        !changes_nothing(&history_of_key(key, &count_of_key)[number - 1])) {
        count(COUNT_OP_UNKNOWN);
        history_leave_open(key, number);
        return;
    }
    struct operation *operation = history_answer(key, number);
    note_answer(key, operation, status, record);
    history_check_version(key, number);
}

/* --- single operations --- */

static int64_t next_number(struct client *client)
{
    client->last_number += NUMBER_STEP;
    return client->last_number;
}

static enum skv_status run_incr(struct skv *kv, const struct operation *operation,
                                struct skv_bytes key, struct skv_record *record)
{
    int64_t sum = 0;
    enum skv_status status = skv_incr(kv, key, operation->argument, NULL, &sum);
    record->version = 0;
    record->value = skv_int(sum);
    return status;
}

static enum skv_status run_write(struct skv *kv, const struct operation *operation,
                                 struct skv_bytes key, struct skv_record *record)
{
    const struct skv_call call = {
        .if_absent = operation->deed == DEED_WRITE_IF_ABSENT,
        .if_version = operation->condition_version,
        .ttl_ms = operation->ttl_ms,
        .sliding = operation->is_sliding,
    };
    char *text = NULL;
    struct skv_value value = value_of_number(operation->argument, &text);
    enum skv_status status = skv_write(kv, key, value, &call, record);
    free(text);
    if (status == SKV_CONDITION) {
        record->version = skv_error()->version;
    }
    return status;
}

static enum skv_status run(struct skv *kv, const struct operation *operation,
                           struct skv_record *record)
{
    char text[KEY_LEN_MAX + 1];
    struct bytes bytes = key_text(operation->key, text);
    struct skv_bytes key = {bytes.data, bytes.len};
    switch (operation->deed) {
    case DEED_READ:
        return skv_read(kv, key, NULL, record);
    case DEED_EXISTS:
        return skv_exists(kv, key, NULL);
    case DEED_WRITE:
    case DEED_WRITE_IF_ABSENT:
    case DEED_WRITE_IF_VERSION:
        return run_write(kv, operation, key, record);
    case DEED_POP:
        return skv_pop(kv, key, NULL, record);
    case DEED_DELETE:
        return skv_delete(kv, key, NULL);
    case DEED_EXPIRE:
        return skv_expire(kv, key, operation->ttl_ms,
                          &(struct skv_call){.sliding = operation->is_sliding}, record);
    case DEED_INCR:
        break;
    }
    return run_incr(kv, operation, key, record);
}

static void do_single(struct client *client, struct skv *kv, const struct operation *operation)
{
    struct skv_record record = {0};
    uint32_t number = history_ask(operation);
    enum skv_status status = run(kv, operation, &record);
    bool has_record = operation->deed != DEED_EXISTS && operation->deed != DEED_DELETE;
    client_note(operation->key, number, status, has_record ? &record : NULL);
    if (has_record && status == SKV_OK && record.version) {
        client->versions[operation->key] = record.version;
    }
    skv_record_fini(&record);
}

/* A counter lives for ever: whether it began anew could not be told from an open `incr`. */
static void draw_time_to_live(struct operation *operation, bool is_wanted)
{
    uint32_t ttl_ms = world_swarm()->ttl_ms;
    if (ttl_ms && (is_wanted || world_below(2))) {
        operation->ttl_ms = world_around(ttl_ms) + 1;
        operation->is_sliding = world_below(3) == 0;
        count(COUNT_TIME_TO_LIVE);
    }
}

void client_draw_time_to_live(struct operation *operation)
{
    draw_time_to_live(operation, false);
}

static struct operation draw_operation(struct client *client, enum choice choice)
{
    static const enum deed deeds[] = {
        [CHOICE_READ] = DEED_READ,
        [CHOICE_EXISTS] = DEED_EXISTS,
        [CHOICE_WRITE] = DEED_WRITE,
        [CHOICE_IF_ABSENT] = DEED_WRITE_IF_ABSENT,
        [CHOICE_IF_VERSION] = DEED_WRITE_IF_VERSION,
        [CHOICE_POP] = DEED_POP,
        [CHOICE_DELETE] = DEED_DELETE,
        [CHOICE_EXPIRE] = DEED_EXPIRE,
    };
    struct operation operation = {
        .deed = deeds[choice],
        .key = (uint32_t)world_below(world_swarm()->key_count),
    };
    bool writes = choice >= CHOICE_WRITE && choice <= CHOICE_IF_VERSION;
    if (writes && key_is_counter(operation.key)) {
        operation.deed = DEED_INCR;
        operation.argument = (int64_t)world_between(1, 9);
    } else if (writes) {
        operation.argument = next_number(client);
        operation.condition_version =
            choice == CHOICE_IF_VERSION ? client->versions[operation.key] : 0;
        if (choice == CHOICE_IF_VERSION && !operation.condition_version) {
            operation.deed = DEED_WRITE;
        }
        draw_time_to_live(&operation, false);
    } else if (choice == CHOICE_EXPIRE && key_is_counter(operation.key)) {
        operation.deed = DEED_READ;
    } else if (choice == CHOICE_EXPIRE) {
        draw_time_to_live(&operation, world_below(4) != 0);
    }
    return operation;
}

/* --- batches --- */

struct batch_item {
    struct operation operation;
    uint32_t number;
};

/* On one key items take effect in their order, hence `after`. */
static void ask_item(struct batch_item *items, uint32_t index)
{
    struct operation *operation = &items[index].operation;
    for (uint32_t i = 0; i < index; i++) {
        if (items[i].operation.key == operation->key) {
            operation->after = items[i].number;
        }
    }
    items[index].number = history_ask(operation);
}

static void add_item(struct skv_batch *batch, const struct operation *operation)
{
    char text[KEY_LEN_MAX + 1];
    struct bytes bytes = key_text(operation->key, text);
    struct skv_bytes key = {bytes.data, bytes.len};
    const struct skv_call call = {
        .if_absent = operation->deed == DEED_WRITE_IF_ABSENT,
        .ttl_ms = operation->deed == DEED_EXPIRE ? 0 : operation->ttl_ms,
        .sliding = operation->is_sliding,
    };
    char *written = NULL;
    struct skv_value value;
    switch (operation->deed) {
    case DEED_READ:
    case DEED_EXISTS:
        skv_batch_read(batch, key, NULL);
        break;
    case DEED_WRITE:
    case DEED_WRITE_IF_ABSENT:
    case DEED_WRITE_IF_VERSION:
        value = value_of_number(operation->argument, &written);
        skv_batch_write(batch, key, value, &call);
        free(written);
        break;
    case DEED_POP:
        skv_batch_pop(batch, key, NULL);
        break;
    case DEED_DELETE:
        skv_batch_delete(batch, key, NULL);
        break;
    case DEED_INCR:
        skv_batch_incr(batch, key, operation->argument, NULL);
        break;
    case DEED_EXPIRE:
        skv_batch_expire(batch, key, operation->ttl_ms, &call);
        break;
    }
}

/* Returns how many items got an answer. */
static uint32_t run_batch(struct skv *kv, struct batch_item *items, uint32_t item_count)
{
    uint32_t answered = 0;
    struct skv_batch *batch = skv_batch_new(kv);
    assert(batch);
    for (uint32_t i = 0; i < item_count; i++) {
        ask_item(items, i);
        add_item(batch, &items[i].operation);
    }
    count(COUNT_BATCH);
    enum skv_status whole = skv_batch_run(batch);
    for (uint32_t i = 0; i < item_count; i++) {
        const struct operation *operation = &items[i].operation;
        enum skv_status status = skv_batch_status(batch, i);
        const struct skv_record *record = skv_batch_record(batch, i);
        bool has_record = status == SKV_OK && operation->deed != DEED_DELETE;
        if (has_record && !record) {
            violation("a batch's item %u is done and has no record", i);
        }
        if (status != SKV_OK && whole == SKV_OK) {
            violation("a batch is done, its item %u is not", i);
        }
        client_note(operation->key, items[i].number, status, has_record ? record : NULL);
        answered += status == SKV_OK || status == SKV_NOT_FOUND;
    }
    skv_batch_free(batch);
    return answered;
}

static void do_batch(struct client *client, struct skv *kv)
{
    struct batch_item items[BATCH_MAX];
    uint32_t item_count = (uint32_t)world_between(1, BATCH_MAX);
    for (uint32_t i = 0; i < item_count; i++) {
        struct operation operation = draw_operation(client, (enum choice)world_below(CHOICE_BATCH));
        if (operation.deed == DEED_EXISTS) {
            operation.deed = DEED_READ;
        } else if (operation.deed == DEED_WRITE_IF_VERSION) {
            operation.deed = DEED_WRITE;
            operation.condition_version = 0;
        }
        items[i].operation = operation;
    }
    run_batch(kv, items, item_count);
}

bool client_read_keys(struct skv *kv, const uint32_t *keys, uint32_t key_count)
{
    struct batch_item *items = calloc(key_count, sizeof *items);
    assert(items);
    for (uint32_t i = 0; i < key_count; i++) {
        items[i].operation = (struct operation){.deed = DEED_READ, .key = keys[i]};
    }
    bool is_answered = run_batch(kv, items, key_count) == key_count;
    free(items);
    return is_answered;
}

/* --- scans --- */

static void take_scanned(uint32_t *numbers, const struct skv_record *record)
{
    uint32_t key;
    if (!key_of_text(bytes_of(record->key.data, record->key.len), &key)) {
        violation("a scan brought a key that nobody wrote");
    }
    if (!numbers[key]) {
        violation("a scan brought key %u twice", key);
    }
    client_note(key, numbers[key], SKV_OK, record);
    numbers[key] = 0;
}

static bool scan_all(struct skv *kv, uint32_t *numbers, client_visit *visit, void *context)
{
    struct skv_scan *scan = NULL;
    if (skv_scan_open(kv, NULL, &scan) != SKV_OK) {
        return false;
    }
    uint64_t point = 0;
    const struct skv_record *record;
    while ((record = skv_scan_next(scan)) != NULL) {
        if (record->point < point) {
            violation("a scan went back, from point %llu to %llu", (unsigned long long)point,
                      (unsigned long long)record->point);
        }
        point = record->point;
        take_scanned(numbers, record);
        if (visit) {
            visit(context, record);
        }
    }
    return skv_scan_close(scan) == SKV_OK;
}

bool client_scan(struct skv *kv, client_visit *visit, void *context)
{
    uint32_t key_count = world_swarm()->key_count;
    uint32_t *numbers = calloc(key_count, sizeof *numbers);
    assert(numbers);
    for (uint32_t key = 0; key < key_count; key++) {
        numbers[key] = history_ask(&(struct operation){.deed = DEED_READ, .key = key});
    }
    bool is_whole = scan_all(kv, numbers, visit, context);
    for (uint32_t key = 0; key < key_count; key++) {
        if (numbers[key]) {
            client_note(key, numbers[key], is_whole ? SKV_NOT_FOUND : SKV_UNAVAILABLE, NULL);
        }
    }
    free(numbers);
    is_whole = is_whole && entity_scan(kv, visit, context);
    count_if(is_whole, COUNT_SCAN);
    return is_whole;
}

/* --- the process --- */

static enum choice draw_choice(const struct client *client)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < CHOICE_COUNT; i++) {
        total += client->weights[i];
    }
    uint64_t lot = world_below(total);
    uint32_t choice = 0;
    while (lot >= client->weights[choice]) {
        lot -= client->weights[choice++];
    }
    return (enum choice)choice;
}

static void do_one(struct client *client, struct skv *kv)
{
    enum choice choice = draw_choice(client);
    if (choice == CHOICE_BATCH) {
        do_batch(client, kv);
    } else if (choice == CHOICE_SCAN) {
        client_scan(kv, NULL, NULL);
    } else if (choice == CHOICE_ENTITY) {
        entity_act(kv);
    } else {
        struct operation operation = draw_operation(client, choice);
        do_single(client, kv, &operation);
    }
}

static void live(void *context)
{
    static const uint32_t timeouts_ms[] = {200, 1000, 2000, 5000};
    struct client *client = context;
    while (!world_is_calm()) {
        struct skv *kv = client_open(client->scene, timeouts_ms[world_below(4)],
                                     world_now_us() + 10 * SECOND_US);
        uint64_t rounds = kv ? world_around(SESSION_ROUNDS_MEAN) : 0;
        while (rounds-- && !world_is_calm()) {
            do_one(client, kv);
            fiber_sleep(world_around((uint64_t)world_swarm()->think_ms * 1000));
        }
        skv_close(kv);
    }
}

static void draw_weights(struct client *client)
{
    static const uint32_t weights[] = {1, 5, 20, 60};
    for (uint32_t i = 0; i < CHOICE_SCAN; i++) {
        client->weights[i] = weights[world_below(4)];
    }
    /* A scan is a read of every key: more of them would only make histories long. */
    client->weights[CHOICE_SCAN] = 1;
    client->weights[CHOICE_ENTITY] = 2 * weights[world_below(4)];
}

struct client *client_new(struct scene *scene, uint32_t number)
{
    static const char *const names[] = {"client-1", "client-2", "client-3", "client-4",
                                        "client-5", "client-6", "client-7", "client-8"};
    struct client *client = world_get(1, sizeof *client);
    client->scene = scene;
    client->number = number;
    client->last_number = (number + 1) * NUMBER_CLIENT;
    client->versions = world_get(world_swarm()->key_count, sizeof(uint64_t));
    draw_weights(client);
    scene->actors[scene->actor_count++] =
        actor_new(names[number], (uint16_t)(CLIENT_PORT + number), live, client);
    return client;
}

void client_free(struct client *client)
{
    world_put(client->versions);
    world_put(client);
}
