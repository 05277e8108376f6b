/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_CHRONICLE_H
#define TORTURE_CHRONICLE_H

/*
 * What several client threads did to each key and what they were told; and whether that is linearizable,
 * by the simulator's checker, whose history is this one here.
 *
 *     thread A   |--- write 7 ---|              |- read: 7 -|
 *     thread B          |------- pop: no answer ever ------- ...
 *
 * Rules:
 *  - A moment is drawn under a lock before the request is sent, and another behind its answer.
 *  - Nothing is evicted. What has a time to live goes by this machine's one clock.
 */

#include <stdint.h>

struct chronicle;
struct operation; /* of tests/sim/history.h */

struct chronicle *chronicle_new(uint32_t key_count);
void chronicle_free(struct chronicle *chronicle); /* NULL is allowed */

/* Takes deed, key, argument, condition, time to live and after; its number within the key, from 1. */
uint32_t chronicle_ask(struct chronicle *chronicle, const struct operation *operation);

/* Takes what the answer fills. Whoever gets none does not call this: it may take effect at any time. */
void chronicle_answer(struct chronicle *chronicle, uint32_t number, const struct operation *answer);

/* The rest is for when all threads have ended. Operations of a key, to be read or spoilt. */
struct operation *chronicle_of_key(struct chronicle *chronicle, uint32_t key, uint32_t *count);

enum chronicle_verdict { CHRONICLE_LINEARIZABLE, CHRONICLE_BROKEN, CHRONICLE_GAVE_UP };

/* `furthest`: when broken, the first answer that no order explains (from 1). */
enum chronicle_verdict chronicle_check(const struct chronicle *chronicle, uint32_t key,
                                       uint32_t *furthest);

/* Operations of the key from one on until another, a line each, on standard output. */
void chronicle_print(const struct chronicle *chronicle, uint32_t key, uint32_t from,
                     uint32_t until);

#endif
