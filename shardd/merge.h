/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_MERGE_H
#define SHARDD_MERGE_H

/*
 * A run of records in hash order, of the hot table over the tree (RULES S6): of a scan, and of a move.
 *
 *     loop      merge_copy: the dirty entries of the interval; and the caller begins its transaction, in one turn
 *     worker    merge_open; what stands next, and on; merge_close      what is dirty hides what the tree has
 *
 * Only dirty entries need copying: what is clean is in the tree as it is here. Where there are more than are copied,
 * the run ends with the last of these.
 */

#include "proto/buffer.h"
#include "shardd/hot.h"
#include "shardd/tree.h"

/* Dirty entries copied for one run, and bytes of them, but always one: a third of a millisecond. */
#define MERGE_DIRTY_MAX     4096
#define MERGE_DIRTY_LEN_MAX (1u << 20)

struct merge_interval {
    struct bytes from; /* the first key behind it is the first of the run */
    uint64_t last;     /* point: the last of the interval */
    bool keys_only;    /* dirty records have no value, but its length */
};

/* A dirty entry, its bytes in the merge's buffer: tree key, value. */
struct merge_dirty {
    struct record record; /* but for key and value */
    bool is_deleted;
    size_t key_at, key_len;
    size_t value_at, value_len;
};

struct merge {
    uint8_t from[TREE_KEY_LEN_MAX];
    size_t from_len;
    uint64_t last;
    bool keys_only;
    bool is_capped; /* the run ends with the last dirty entry */
    struct merge_dirty dirty[MERGE_DIRTY_MAX];
    uint32_t dirty_count;
    struct buffer copies;

    /* The worker's. */
    struct tree_cursor *cursor;
    bool has_stored; /* the cursor stands in the interval */
    bool is_hidden;  /* where it stands, the next dirty entry does, too */
    uint32_t next;   /* of dirty */
};

/* The zero value needs no merge_fini. */
void merge_fini(struct merge *merge);

/* On the loop, no longer than the worker has it. `interval` is copied. */
void merge_copy(struct merge *merge, const struct hot *hot, const struct merge_interval *interval);

/* --- on the worker --- */

void merge_open(struct merge *merge, struct tree_txn *txn);
void merge_close(struct merge *merge);

enum merge_kind {
    MERGE_STORED,  /* a record of the tree; or what stands in its place */
    MERGE_RECORD,  /* a dirty one */
    MERGE_DELETED, /* nothing is there */
    MERGE_CAPPED,  /* the run is over, and the next goes on behind what was met last */
    MERGE_END,     /* all of the interval has been met */
};

/* What stands next; does not move. */
enum merge_kind merge_look(struct merge *merge);

/* Of it, unless the run is over. Keys and values live until merge_pass. */
struct bytes merge_key(const struct merge *merge, enum merge_kind kind);
struct bytes merge_stored(const struct merge *merge);

/* Of a MERGE_RECORD; *value_len is told with keys_only, too. */
void merge_record(const struct merge *merge, struct record *record, size_t *value_len);

void merge_pass(struct merge *merge, enum merge_kind kind);

#endif
