/* SPDX-License-Identifier: MIT */
#include "tests/torture/history.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/memory.h"

void history_init(struct history *history, uint32_t key_count)
{
    *history = (struct history){.key_count = key_count};
    history->courses = memory_get(key_count, sizeof(*history->courses));
}

void history_fini(struct history *history)
{
    for (uint32_t i = 0; i < history->key_count; i++) {
        free(history->courses[i].indexes);
    }
    free(history->courses);
    free(history->operations);
}

static void append_index(struct course *course, uint32_t index)
{
    if (course->count == course->capacity) {
        course->capacity = course->capacity ? 2 * course->capacity : 8;
        course->indexes =
            memory_resize(course->indexes, course->capacity, sizeof(*course->indexes));
    }
    course->indexes[course->count++] = index;
}

struct operation *history_add(struct history *history, const struct operation *operation)
{
    if (history->count == history->capacity) {
        history->capacity = history->capacity ? 2 * history->capacity : 1024;
        history->operations =
            memory_resize(history->operations, history->capacity, sizeof(*history->operations));
    }
    append_index(&history->courses[operation->key], history->count);
    history->operations[history->count] = *operation;
    return &history->operations[history->count++];
}

static bool fold_one(const struct operation *operation, struct state *state,
                     char text[HISTORY_TEXT_LEN])
{
    if (operation->is_refused) {
        return true;
    }
    struct state before = *state;
    struct reply expected = operation_apply(operation, state);
    if (operation_fits(operation, &before, &expected, &operation->reply)) {
        return true;
    }
    char asked[OPERATION_TEXT_LEN];
    operation_print(operation, asked);
    (void)snprintf(text, HISTORY_TEXT_LEN,
                   "%s%s; the key was %s, number %lld, version %llu, floors %llu and %llu", asked,
                   operation->reply.is_strange ? " (strange)" : "",
                   before.is_there ? "there" : "absent", (long long)before.number,
                   (unsigned long long)before.version, (unsigned long long)before.version_floor,
                   (unsigned long long)operation->version_floor);
    return false;
}

bool history_answer(struct history *history, uint32_t index, const struct reply *reply,
                    char text[HISTORY_TEXT_LEN])
{
    struct operation *operation = &history->operations[index];
    struct course *course = &history->courses[operation->key];
    operation_answer(operation, reply, clock_wall_ms());
    history->answered_count++;
    if (reply->version > history->version_max) {
        history->version_max = reply->version;
    }
    while (course->folded < course->count &&
           course_operation(history, course, course->folded)->is_answered) {
        if (!fold_one(course_operation(history, course, course->folded), &course->state, text)) {
            return false;
        }
        course->folded++;
    }
    return true;
}

void history_settle(struct history *history)
{
    for (uint32_t i = 0; i < history->key_count; i++) {
        struct course *course = &history->courses[i];
        course->base = course->state;
        course->count = 0;
        course->folded = 0;
    }
    history->count = 0;
}
