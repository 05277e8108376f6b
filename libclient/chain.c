/* SPDX-License-Identifier: MIT */
#include "libclient/chain.h"

#include <stdlib.h>

/* Where the newest task of the key stands in the table, or is to stand. */
static struct task **newest_of(struct task **table, size_t mask, const struct task *task)
{
    size_t i = (size_t)task->point & mask;
    while (table[i] && !bytes_equal(table[i]->key, task->key)) {
        i = (i + 1) & mask;
    }
    return &table[i];
}

bool chain_all(struct task *tasks, size_t task_count)
{
    if (task_count < 2) {
        return true;
    }
    size_t size = 4; /* a power of two, at most half full */
    while (size < 2 * task_count) {
        size *= 2;
    }
    struct task **table = calloc(size, sizeof(struct task *));
    if (!table) {
        return false;
    }
    for (size_t i = 0; i < task_count; i++) {
        struct task *task = &tasks[i];
        if (task->state == TASK_FINISHED || task->key.len == 0) {
            continue;
        }
        struct task **newest = newest_of(table, size - 1, task);
        task->ahead = *newest;
        if (task->ahead) {
            task->ahead->behind = task;
        }
        *newest = task;
    }
    free(table);
    return true;
}

struct task *chain_leave(struct task *task)
{
    struct task *ahead = task->ahead;
    struct task *behind = task->behind;
    task->ahead = NULL;
    task->behind = NULL;
    if (ahead) {
        ahead->behind = behind;
    }
    if (behind) {
        behind->ahead = ahead;
    }
    return ahead ? NULL : behind;
}
