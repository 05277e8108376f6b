/* SPDX-License-Identifier: MIT */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

/*
 * What the clients did to each key and what they were told, in the order in which it happened.
 *
 *     client A   |--- write 7 ---|              |- read: 7 -|
 *     client B          |------- pop: no answer ever ------- ...
 *
 * Moments are numbers of their own, one for each asking and each answer, so that of two operations
 * of one client the later one is known to begin after the other's end even at the same virtual time.
 */

#include <stdbool.h>
#include <stdint.h>

/* Still open: it may take effect at any time from its asking on, or never. */
#define MOMENT_NEVER UINT64_MAX

enum deed {
    DEED_READ,
    DEED_EXISTS,
    DEED_WRITE,
    DEED_WRITE_IF_ABSENT,
    DEED_WRITE_IF_VERSION,
    DEED_POP,
    DEED_DELETE,
    DEED_INCR,
};

struct operation {
    enum deed deed;
    uint32_t key;
    int64_t argument;           /* what is written, or added */
    uint64_t condition_version; /* DEED_WRITE_IF_VERSION */
    uint32_t after;             /* of the same key, from 1: takes effect behind that one; 0: none */
    uint64_t asked;
    uint64_t answered;

    /* The answer: */
    bool is_refused; /* the condition did not hold */
    bool was_there;  /* read, exists, pop, delete */
    bool is_void;    /* certainly not done */
    int64_t result;  /* what was read, popped or is the sum */
    uint64_t
        version; /* of the record written, read, popped or in the way; 0: not told, or nothing there */
};

/* `keys` are numbered from 0. */
void history_begin(uint32_t key_count);
void history_end(void);

/* Takes deed, key, argument, condition_version and after; returns its number within the key, from 1. */
uint32_t history_ask(const struct operation *operation);

/* For filling in the answer; until the next history_ask. */
struct operation *history_answer(uint32_t key, uint32_t number);

/* As answered, but it remains open. */
void history_leave_open(uint32_t key, uint32_t number);

uint32_t history_key_count(void);
const struct operation *history_of_key(uint32_t key, uint32_t *count);

#endif
