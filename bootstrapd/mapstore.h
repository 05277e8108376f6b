/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_MAPSTORE_H
#define BOOTSTRAPD_MAPSTORE_H

/*
 * Keeps the ledger in a data directory: one preallocated file `map` of two slots, written in turn.
 *
 *     | slot 0: sequence 6 | slot 1: sequence 7 |     each half of the file; next is slot 0
 *
 * Rules:
 *  - A write is durable before anyone is told (RULES M2); a torn one leaves the other slot.
 *  - `map` exists only once it has a valid slot: it is made as `map.new`, synced, renamed. Without
 *    a valid slot the cluster was founded and its map is lost: the start is refused (RULES M5).
 *  - A ledger that outgrows its slot gets a new file with larger ones, by the same way.
 *  - A failed write or sync of it ends the process (as RULES L5: the kernel has marked the pages clean).
 *  - After the start all writing is done by a worker, one write at a time.
 *
 * Beside it `history`, one slot with what is only for people (bootstrapd/history.h): made anew each time, by a disk that
 * has room for it, and no loss to anybody but them if it is damaged or gone.
 */

#include "bootstrapd/ledger.h"
#include "io/loop.h"

struct mapstore;

/* Locks the directory (made if need be). NULL with `error` filled. */
struct mapstore *mapstore_open(struct loop *loop, const char *path, char *error, size_t error_len);

/* Whether a cluster was founded here. */
bool mapstore_is_founded(const struct mapstore *store);

/* The newest ledger of a founded directory. False with `error` filled. */
bool mapstore_load(struct mapstore *store, struct ledger *ledger, char *error, size_t error_len);

/* Blocks; for the start, before the loop runs. Founds the directory if need be. */
bool mapstore_write_now(struct mapstore *store, const struct ledger *ledger, char *error,
                        size_t error_len);

/* `on_durable` runs on the loop; not before the next turn. No other write may be under way. */
void mapstore_write(struct mapstore *store, const struct ledger *ledger, loop_callback *on_durable,
                    void *context);

/* The payload of the last mapstore_keep; false: there is none that can be read, and *payload is empty. At the start. */
bool mapstore_load_history(struct mapstore *store, struct buffer *payload);

/* False: it could not be written, which was said; what was kept before is there. */
typedef void mapstore_kept(void *context, bool is_kept);

/* Behind a write that is under way, before one that comes. Calls back on the loop; one at a time. */
void mapstore_keep(struct mapstore *store, struct bytes payload, mapstore_kept *on_kept,
                   void *context);

/* Waits for a write that is under way, whose callback will not run. NULL is allowed. */
void mapstore_free(struct mapstore *store);

#endif
