/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_FETCH_H
#define SHARDD_FETCH_H

/*
 * Reads records that are not hot from the tree, on a worker, so that a page fault never stalls the
 * loop (RULES S5). What is wanted while a job runs goes in the next, and so does what it has no time for (S6).
 */

#include "io/loop.h"
#include "proto/record.h"
#include "shardd/tree.h"

struct fetch;

enum fetched_state { FETCHED_RECORD, FETCHED_NOTHING, FETCHED_DAMAGED, FETCHED_NEWER_FORMAT };

/* All borrowed for the call. */
struct fetched {
    enum fetched_state state;
    struct record record; /* its point, table and key always */
    uint64_t size;        /* what it counts; of a damaged one, too */
};

/* On the loop, once for each key. */
typedef void fetch_done(void *context, const struct fetched *fetched);

/* `len_max`: bytes that a job brings, but always one record. */
struct fetch *fetch_new(struct loop *loop, struct tree *tree, size_t len_max, fetch_done *on_done,
                        void *context);

/* Waits for a job that runs; on_done is not called any more. NULL is allowed. */
void fetch_free(struct fetch *fetch);

/* The key is copied. */
void fetch_want(struct fetch *fetch, uint64_t point, uint16_t table, struct bytes key);

/* What is wanted of [first, last] is not told any more: it was emptied. */
void fetch_cancel(struct fetch *fetch, uint64_t first, uint64_t last);

/* For the end of a turn. */
void fetch_turn(struct fetch *fetch);

uint64_t fetch_count(const struct fetch *fetch); /* since the start */

/* Bytes of memory that what is wanted takes, and what a job may bring that runs. */
size_t fetch_len(const struct fetch *fetch);

#endif
