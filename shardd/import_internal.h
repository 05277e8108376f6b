/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_IMPORT_INTERNAL_H
#define SHARDD_IMPORT_INTERNAL_H

/*
 * The parts of shardd/import.h: import.c (what arrives, and a turn), import_record.c (slices), import_change.c (what
 * was changed behind them).
 *
 *     messages   first ──── to_store ──── last
 *                  │           └ records of these are on their way into the tree, or wait
 *                  └ changes of these are being made, from made_count on
 */

#include "io/worker.h"
#include "proto/point.h"
#include "shardd/import.h"

/* Changes that are made in one turn of the loop: a quarter of a millisecond. By their bytes, or one. */
#define IMPORT_CHANGES_MAX     256
#define IMPORT_CHANGES_LEN_MAX (256u << 10)

enum { IMPORT_TEXT_LEN = 200 };

struct message {
    struct message *next;
    uint64_t seq;
    uint64_t stamp;      /* the highest in it */
    uint64_t arrived_ms; /* monotonic */
    uint32_t record_count;
    uint32_t change_count;
    uint32_t change_capacity;
    uint32_t *changes; /* where each item begins that is no record */
    struct import_reply reply;
    bool has_reply;
    size_t len;
    uint8_t items[];
};

/* Records of messages on their way into the tree. */
struct storing {
    struct job job; /* first */
    struct import *import;
    bool is_busy;
    struct message *first;
    uint32_t count;        /* of messages */
    uint32_t stored_count; /* of these: the others wait for the next transaction */
    struct range_sum sum;
    uint8_t last_key[TREE_KEY_LEN_MAX]; /* of all that was stored */
    size_t last_key_len;
    bool has_expiring;
    bool has_met_present;
    enum tree_fault fault;
    char damage[IMPORT_TEXT_LEN]; /* of a record, in words; "": none */
};

/* What the tree has of a change's key, where the hot table has nothing. */
struct found {
    bool is_there;
    uint64_t version;
    struct range_sum taken; /* the record that is there, taken from a sum of nothing */
    size_t stored_at;       /* of a touched one, in looking.stored */
    size_t stored_len;
};

struct change {
    struct message *message;
    struct stream_unit unit;
    struct range_sum added; /* the record that it puts, added to a sum of nothing */
    bool was_hot;
    struct found found;
};

/* Changes whose keys are being looked up. */
struct looking {
    struct job job; /* first */
    struct import *import;
    bool is_busy;
    bool is_done; /* they are to be made */
    struct tree_txn *txn;
    struct change changes[IMPORT_CHANGES_MAX];
    uint32_t count;
    struct buffer stored;
    enum tree_fault fault;
};

struct import {
    struct import_config config;
    struct worker *worker;
    struct message *first; /* in order of seq */
    struct message *last;
    struct message *to_store; /* the first whose records are not in the tree; NULL: none */
    uint32_t made_count;      /* of the first one's changes */
    uint64_t received_seq;
    uint64_t applied_seq;
    size_t waiting_len;   /* bytes of messages */
    uint64_t begun_stamp; /* this server's last as it began, or the source's */
    struct storing storing;
    struct looking looking;
    struct range_sum sum;
    bool has_end;
    struct range_sum end_sum;
    uint64_t end_stamp;
    enum status fault; /* STATUS_OK: none */
    char text[IMPORT_TEXT_LEN];
    bool is_told;
    bool is_freed; /* a transaction runs that is not awaited */
};

static inline bool import_is_within(const struct import *import, uint64_t point)
{
    return point_in(point, import->config.start, import->config.end);
}

/* Whether it is of a record, and not of a client. */
static inline bool import_is_record(enum log_kind kind)
{
    return kind == LOG_PUT || kind == LOG_DELETE || kind == LOG_EVICT || kind == LOG_EXPIRE ||
           kind == LOG_TOUCH;
}

/* The first fault counts. */
void import_fail(struct import *import, enum status status, const char *text);

/* Messages are applied when their records are stored and their changes are made. */
void import_settle(struct import *import);

/* A record that is stored or made: to the sum, and RULES S8: it counts as any other. */
void import_count(struct import *import, const struct range_sum *difference);

/* Nothing is left of it. */
void import_destroy(struct import *import);

/* --- import_record.c --- */

void import_init_storing(struct import *import);

/* Records of what has arrived, if none are on their way. */
void import_begin_storing(struct import *import);

/* --- import_change.c --- */

void import_init_looking(struct import *import);

/* Makes what was looked up. */
void import_make_changes(struct import *import);

/* Changes behind records that are stored, if none are being looked up. */
void import_begin_looking(struct import *import);

#endif
