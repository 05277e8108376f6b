/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_SEQUENCE_H
#define LIBCLIENT_SEQUENCE_H

/*
 * The numbers of operations that change something (RULES Q1), so that a retry is known as one.
 *
 *     1 ........ done ................ newest
 *     answered   | some answered, some open    at most RETRY_OPEN_MAX wide
 *
 * `done` is the lowest number not yet answered: the server forgets the results below it, so a
 * number is answered only when nobody will send it again. Pure; the owner locks.
 */

#include "proto/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct sequence {
    uint64_t newest;                        /* 0 before the first */
    uint64_t done;                          /* newest + 1 when all are answered */
    uint64_t answered[RETRY_OPEN_MAX / 64]; /* a bit for each of done .. newest, at number % 512 */
};

void sequence_init(struct sequence *sequence);

/* False while the distance from `done` is at its limit: an older operation must be answered first. */
bool sequence_take(struct sequence *sequence, uint64_t *number);

/* `number` was taken, and not answered before. */
void sequence_answer(struct sequence *sequence, uint64_t number);

#endif
