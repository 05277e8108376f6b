/* SPDX-License-Identifier: MIT */
#include "tests/torture/chronicle.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/memory.h"
#include "tests/sim/checker.h"
#include "tests/sim/heap.h"

/* A moment of expiry is looked at when the server comes to it, and its clock counts milliseconds. */
#define SLACK_US 5000

struct key_course {
    struct operation *operations;
    uint32_t count;
    uint32_t capacity;
};

struct chronicle {
    pthread_mutex_t lock;
    uint64_t moment;
    uint32_t key_count;
    struct key_course *keys;
};

/* --- the checker's surroundings, which the simulator has otherwise --- */

void *world_get(size_t count, size_t len)
{
    return memory_get(count ? count : 1, len);
}

void *world_resize(void *memory, size_t len)
{
    return memory_resize(memory, 1, len);
}

void world_put(void *memory)
{
    free(memory);
}

bool history_may_evict(uint32_t key)
{
    (void)key;
    return false;
}

bool history_may_expire(const struct operation *writer, const struct operation *seer)
{
    uint64_t due_us = writer->asked_us + writer->ttl_ms * 1000;
    return seer->answered == MOMENT_NEVER || seer->answered_us + SLACK_US >= due_us;
}

/* A slide may have gone on to the last. */
bool history_must_expire(const struct operation *writer, const struct operation *seer)
{
    return !writer->is_sliding && writer->answered != MOMENT_NEVER &&
           seer->asked_us > writer->answered_us + writer->ttl_ms * 1000 + SLACK_US;
}

/* --- what is noted --- */

struct chronicle *chronicle_new(uint32_t key_count)
{
    struct chronicle *chronicle = memory_get(1, sizeof(*chronicle));
    chronicle->keys = memory_get(key_count, sizeof(*chronicle->keys));
    chronicle->key_count = key_count;
    (void)pthread_mutex_init(&chronicle->lock, NULL);
    return chronicle;
}

void chronicle_free(struct chronicle *chronicle)
{
    for (uint32_t i = 0; chronicle && i < chronicle->key_count; i++) {
        free(chronicle->keys[i].operations);
    }
    if (chronicle) {
        (void)pthread_mutex_destroy(&chronicle->lock);
        free(chronicle->keys);
        free(chronicle);
    }
}

static struct operation *add(struct key_course *course)
{
    if (course->count == course->capacity) {
        course->capacity = course->capacity ? 2 * course->capacity : 64;
        course->operations =
            memory_resize(course->operations, course->capacity, sizeof(*course->operations));
    }
    return &course->operations[course->count++];
}

uint32_t chronicle_ask(struct chronicle *chronicle, const struct operation *operation)
{
    struct key_course *course = &chronicle->keys[operation->key];
    (void)pthread_mutex_lock(&chronicle->lock);
    struct operation *asked = add(course);
    *asked = *operation;
    asked->asked = ++chronicle->moment;
    asked->answered = MOMENT_NEVER;
    asked->asked_us = clock_mono_us();
    asked->answered_us = UINT64_MAX;
    uint32_t number = course->count;
    (void)pthread_mutex_unlock(&chronicle->lock);
    return number;
}

void chronicle_answer(struct chronicle *chronicle, uint32_t number, const struct operation *answer)
{
    (void)pthread_mutex_lock(&chronicle->lock);
    struct operation *operation = &chronicle->keys[answer->key].operations[number - 1];
    operation->is_refused = answer->is_refused;
    operation->was_there = answer->was_there;
    operation->is_void = answer->is_void;
    operation->result = answer->result;
    operation->version = answer->version;
    operation->answered = ++chronicle->moment;
    operation->answered_us = clock_mono_us();
    (void)pthread_mutex_unlock(&chronicle->lock);
}

/* --- what is made of it --- */

struct operation *chronicle_of_key(struct chronicle *chronicle, uint32_t key, uint32_t *count)
{
    *count = chronicle->keys[key].count;
    return chronicle->keys[key].operations;
}

enum chronicle_verdict chronicle_check(const struct chronicle *chronicle, uint32_t key,
                                       uint32_t *furthest)
{
    const struct key_course *course = &chronicle->keys[key];
    switch (checker_run(course->operations, course->count, furthest)) {
    case CHECKER_LINEARIZABLE:
        return CHRONICLE_LINEARIZABLE;
    case CHECKER_BROKEN:
        return CHRONICLE_BROKEN;
    case CHECKER_GAVE_UP:
        break;
    }
    return CHRONICLE_GAVE_UP;
}

static void print_answer(const struct operation *operation)
{
    if (operation->answered == MOMENT_NEVER) {
        printf("no answer\n");
    } else if (operation->is_void) {
        printf("not done\n");
    } else {
        printf("%s%s %" PRId64 " version %" PRIx64 " at %" PRIu64 " us %" PRIu64 "\n",
               operation->is_refused ? "refused, " : "", operation->was_there ? "there:" : "absent",
               operation->result, operation->version, operation->answered, operation->answered_us);
    }
}

void chronicle_print(const struct chronicle *chronicle, uint32_t key, uint32_t from, uint32_t until)
{
    static const char *const words[] = {
        [DEED_READ] = "read",
        [DEED_EXISTS] = "exists",
        [DEED_WRITE] = "write",
        [DEED_WRITE_IF_ABSENT] = "write if absent",
        [DEED_WRITE_IF_VERSION] = "write if version",
        [DEED_POP] = "pop",
        [DEED_DELETE] = "delete",
        [DEED_INCR] = "incr",
        [DEED_EXPIRE] = "expire",
    };
    const struct key_course *course = &chronicle->keys[key];
    for (uint32_t i = from; i < until && i < course->count; i++) {
        const struct operation *operation = &course->operations[i];
        printf("#   %u: at %" PRIu64 " us %" PRIu64 " %s %" PRId64 " if %" PRIx64 " ttl %" PRIu64
               "%s: ",
               i + 1, operation->asked, operation->asked_us, words[operation->deed],
               operation->argument, operation->condition_version, operation->ttl_ms,
               operation->is_sliding ? " sliding" : "");
        print_answer(operation);
    }
}
