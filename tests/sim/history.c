/* SPDX-License-Identifier: MIT */
#include "tests/sim/history.h"

#include "tests/sim/heap.h"
#include "tests/sim/trace.h"

#include <assert.h>

struct key_history {
    struct operation *operations;
    uint32_t count;
    uint32_t capacity;
};

static struct {
    struct key_history *keys;
    uint32_t key_count;
    uint64_t moment;
} history;

void history_begin(uint32_t key_count)
{
    history.keys = world_get(key_count, sizeof(struct key_history));
    history.key_count = key_count;
    history.moment = 0;
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

uint32_t history_ask(const struct operation *operation)
{
    assert(operation->key < history.key_count);
    struct key_history *key = &history.keys[operation->key];
    if (key->count == key->capacity) {
        key->capacity = key->capacity ? 2 * key->capacity : 16;
        key->operations = world_resize(key->operations, key->capacity * sizeof(struct operation));
    }
    struct operation *asked = &key->operations[key->count++];
    *asked = *operation;
    asked->asked = ++history.moment;
    asked->answered = MOMENT_NEVER;
    trace("ask", operation->key, (uint64_t)operation->argument);
    return key->count;
}

struct operation *history_answer(uint32_t key, uint32_t number)
{
    struct operation *operation = &history.keys[key].operations[number - 1];
    assert(operation->answered == MOMENT_NEVER);
    operation->answered = ++history.moment;
    trace("answer", key, number);
    return operation;
}

void history_leave_open(uint32_t key, uint32_t number)
{
    trace("no answer", key, number);
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
