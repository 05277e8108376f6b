/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_HISTORY_H
#define TORTURE_HISTORY_H

/*
 * What was asked and answered, key by key, since the last state that is certain.
 *
 *     key     base ── o ── o ── o ── o ── ?       o answered, ? not yet
 *                  folded ^                       up to here all is answered and was as expected
 *
 * A key belongs to one connection, so its operations take effect in the order in which they were asked
 * (RULES R2): after a crash a key is as some prefix of its operations left it.
 */

#include "tests/torture/operation.h"

struct course {
    struct state base; /* before the first operation */
    uint32_t *indexes; /* of the key's operations, in order */
    uint32_t count;
    uint32_t capacity;
    uint32_t folded;
    struct state state; /* after the folded ones */
};

struct history {
    struct operation *operations;
    uint32_t count;
    uint32_t capacity;
    struct course *courses; /* by key */
    uint32_t key_count;
    uint64_t version_max; /* of all that were seen */
    uint64_t answered_count;
};

void history_init(struct history *history, uint32_t key_count);
void history_fini(struct history *history);

/* A copy at the end; valid until the next one. */
struct operation *history_add(struct history *history, const struct operation *operation);

/*
 * The operation has its reply. False with `text` filled: a reply that no order of what was asked explains.
 */
enum { HISTORY_TEXT_LEN = 512 };
bool history_answer(struct history *history, uint32_t index, const struct reply *reply,
                    char text[HISTORY_TEXT_LEN]);

/* All is forgotten but what each key holds: its state becomes its base. */
void history_settle(struct history *history);

static inline struct operation *course_operation(const struct history *history,
                                                 const struct course *course, uint32_t index)
{
    return &history->operations[course->indexes[index]];
}

#endif
