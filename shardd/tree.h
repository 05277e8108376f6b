/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_TREE_H
#define SHARDD_TREE_H

/*
 * The server's one tree on disk (LMDB): all records in hash order (RULES N4), and beside them the
 * retry results, the clients' lines and the control state, each a database of its own in the same
 * environment, so that one transaction covers them all.
 *
 * Errors stick to the transaction: after the first fault reads find nothing, writes do nothing and
 * tree_commit reports the fault. One write transaction at a time; readers on any thread.
 *
 * Two bodies: shardd/tree.c, tests/sim/tree.c where a commit becomes durable at a later virtual time.
 */

#include "proto/bytes.h"

enum tree_database {
    TREE_RECORDS, /* point | table | key -> record (proto/record.h) */
    TREE_RESULTS, /* point | client | seq -> stored result (RULES Q1) */
    TREE_LINES,   /* client -> its line (RULES Q2) */
    TREE_META,    /* "swept", "state" -> shardd/swept.h */
    TREE_DATABASE_COUNT,
};

enum tree_fault {
    TREE_FINE,
    TREE_NO_SPACE, /* the disk or the map is full: nothing was changed, smaller transactions may work */
    TREE_BROKEN, /* anything else: the process must end (RULES L5) */
};

struct tree;
struct tree_txn;
struct tree_cursor;

/* `path`: the locked data directory. NULL with `error` filled ("data/a/tree: ..."). */
struct tree *tree_open(const char *path, char *error, size_t error_len);
void tree_close(struct tree *tree); /* NULL is allowed */

/*
 * Writes the file anew without its free pages (RULES F2), beside the old one, which it then replaces: a crash
 * leaves either. Nobody may have it open. *before and *after: bytes of the file; both 0 when there is none.
 * False with `error` filled, and all as it was: no room for the second file, or the old one is damaged.
 */
bool tree_compact(const char *path, uint64_t *before, uint64_t *after, char *error,
                  size_t error_len);

/* --- a damaged one: shardd/mend.h --- */

/*
 * Only for reading, and whatever it is: reading may raise SIGSEGV, SIGBUS or SIGABRT, and so may tree_find_databases.
 * NULL with `error` filled: not even its first pages hold.
 */
struct tree *tree_open_damaged(const char *path, char *error, size_t error_len);

/* To be called first. False: none can be found. */
bool tree_find_databases(struct tree *damaged);

/* A new one beside it, empty. NULL with `error` filled. */
struct tree *tree_open_beside(const char *path, char *error, size_t error_len);

/* Closes that, which is durable then and takes the place of the damaged one: a crash leaves either. */
bool tree_replace(struct tree *beside, const char *path, char *error, size_t error_len);

struct tree_txn *tree_begin_write(struct tree *tree);
struct tree_txn *tree_begin_read(struct tree *tree);

/* After so long a reading transaction ends, and who has not read all goes on in another: half of what S6 allows. */
#define TREE_READ_MS_MAX 500

/* The value lives until the transaction's next write or end. */
bool tree_get(struct tree_txn *txn, enum tree_database database, struct bytes key,
              struct bytes *value);

/* `head` and `tail` are stored one behind the other. */
void tree_put(struct tree_txn *txn, enum tree_database database, struct bytes key,
              struct bytes head, struct bytes tail);

/*
 * tree_put, unless something is there that `is_newer`. Cheapest when the keys of a transaction go up.
 */
typedef bool tree_is_newer(struct bytes stored, const void *context);
void tree_put_newer(struct tree_txn *txn, enum tree_database database, struct bytes key,
                    struct bytes head, struct bytes tail, tree_is_newer *is_newer,
                    const void *context);

/*
 * The same for a transaction whose keys all go up into an interval where there is nothing. Behind the last key of all
 * they fill their pages, which others leave half empty.
 */
void tree_put_next(struct tree_txn *txn, enum tree_database database, struct bytes key,
                   struct bytes value, tree_is_newer *is_newer, const void *context);

/* tree_delete, unless what is there `is_newer`. */
void tree_delete_older(struct tree_txn *txn, enum tree_database database, struct bytes key,
                       tree_is_newer *is_newer, const void *context);

/* Whether it was there. */
bool tree_delete(struct tree_txn *txn, enum tree_database database, struct bytes key);

/* Durable when it returns TREE_FINE. The transaction has ended either way. */
enum tree_fault tree_commit(struct tree_txn *txn);
void tree_abort(struct tree_txn *txn); /* also ends a reading one */

/* Bytes of the file: those of pages in use, and of free ones that can be used again. */
struct tree_space {
    uint64_t file_len;
    uint64_t used_len;
    uint64_t free_len;
    uint64_t record_count;
};

void tree_measure(struct tree_txn *txn, struct tree_space *space);

/* What went wrong so far. */
enum tree_fault tree_txn_fault(const struct tree_txn *txn);

/* The last fault of any transaction, in words ("MDB_MAP_FULL: ..."); "" if none. Static storage. */
const char *tree_fault_text(const struct tree *tree);

/* Cursors end before their transaction. Key and value live until it moves or the txn writes. */
struct tree_cursor *tree_cursor_open(struct tree_txn *txn, enum tree_database database);
bool tree_cursor_seek(struct tree_cursor *cursor, struct bytes key); /* first at or behind key */
bool tree_cursor_next(struct tree_cursor *cursor);
struct bytes tree_cursor_key(const struct tree_cursor *cursor);
struct bytes tree_cursor_value(const struct tree_cursor *cursor);
void tree_cursor_close(struct tree_cursor *cursor);

#endif
