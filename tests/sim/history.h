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
    DEED_EXPIRE,
};

struct operation {
    enum deed deed;
    uint32_t key;
    int64_t argument;           /* what is written, or added */
    uint64_t condition_version; /* DEED_WRITE_IF_VERSION; 0: any, but something must be there */
    uint64_t ttl_ms;            /* writes, expire; 0: it lives for ever */
    uint32_t after;             /* of the same key, from 1: takes effect behind that one; 0: none */
    bool is_sliding;

    /* The answer: */
    bool is_refused; /* the condition did not hold */
    bool was_there;  /* read, exists, pop, delete */
    bool is_void;    /* certainly not done */
    int64_t result;  /* what was read, popped or is the sum */
    uint64_t
        version; /* of the record written, read, popped or in the way; 0: not told, or nothing there */

    /* When: */
    uint64_t asked;
    uint64_t answered;
    uint64_t asked_us; /* the same in virtual time */
    uint64_t answered_us;
    uint64_t told_version; /* when it was asked: the highest that anybody had from this server */
};

struct node;

/* `keys` are numbered from 0. */
void history_begin(uint32_t key_count);

/* One more, behind the others; to be placed. */
void history_add_key(void);

/*
 * The key's server, NULL for whichever has it just then, and whether it may remove the record for want of room.
 * Before anything is asked of it.
 */
void history_place(uint32_t key, const struct node *server, bool may_evict);

/* One by whose clock a key that moves may live. */
void history_add_server(const struct node *server);
bool history_may_evict(uint32_t key);

/*
 * The disks of two servers are in each other's machine from now on; the second time, they are back. Meanwhile
 * each server has the other's clock, by which what is due goes for good.
 */
void history_exchange(const struct node *one, const struct node *other);

/* What the server answered for was lost as its level allows: its keys are not checked. */
void history_tear(const struct node *server);
bool history_is_torn(uint32_t key);

/*
 * Whether the record to which `writer` gave its time to live can, or must, have expired by the clock of
 * its server when `seer` was carried out.
 */
bool history_may_expire(const struct operation *writer, const struct operation *seer);
bool history_must_expire(const struct operation *writer, const struct operation *seer);
void history_end(void);

/* Takes deed, key, argument, condition_version and after; returns its number within the key, from 1. */
uint32_t history_ask(const struct operation *operation);

/* For filling in the answer; until the next history_ask. */
struct operation *history_answer(uint32_t key, uint32_t number);

/* As answered, but it remains open. */
void history_leave_open(uint32_t key, uint32_t number);

/* Behind history_answer, with all of it filled in: versions only grow (RULES N2). */
void history_check_version(uint32_t key, uint32_t number);

uint32_t history_key_count(void);
const struct operation *history_of_key(uint32_t key, uint32_t *count);

#endif
