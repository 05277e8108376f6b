/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_MOVER_H
#define SHARDD_MOVER_H

/*
 * Conducts this server's part in the moves of ranges (DESIGN §7, RULES V; tests/model/move.pml has the protocol):
 *
 *     map, taken durably ──> mover ──> source: hand ─> stream ─────────────> target: import      (bytes)
 *                             │  └───> steps of membership: FROZEN, CLOSED, IMPORT, READY, ...  (what is durable)
 *                             └──────> reports to bootstrapd
 *
 * What is durable decides: the map's entry and struct moving. What stands in here beside them is of this run only; a
 * move that it has nothing of is lost, which is reported, and bootstrapd begins it anew (V3).
 *
 *     the source   COPY is mine and new      the hand begins, the stream greets the target
 *                  the hand has arrived      bootstrapd and target answer now: what is asked of the range waits, FREEZE
 *                  FROZEN is durable         end of the stream
 *                  CLOSED, and OPENED        a walk of the copy; its sum agrees: DELETING, and all goes
 *     the target   import.begin              IMPORT, emptied
 *                  import.end, sums agree    READY; bootstrapd is told at once
 *                  an entry that ends it     DELETING, and all goes
 */

#include "io/peer.h"
#include "proto/move.h"
#include "proto/range_sum.h"
#include "shardd/membership.h"
#include "shardd/store.h"

struct mover;

/* Both must outlive it. After the start: what it then finds under way was begun in an earlier run. */
struct mover *mover_new(struct loop *loop, struct store *store, struct membership *membership);

/* Its own connections close with the turn, in which it must not be freed. There is no mover_turn behind it. */
void mover_stop(struct mover *mover);

/* Nothing is answered any more. NULL is allowed. */
void mover_free(struct mover *mover);

/* For the end of a turn, before store_turn_end. */
void mover_turn(struct mover *mover);

/* Of every move that this server has a part in; the caller frees it. */
void mover_report(const struct mover *mover, struct move_reports *reports);

/* Of the source. False: there is no such move here. */
bool mover_pace(struct mover *mover, const struct move_pace *pace);

/* --- what a source asks; answered now or later --- */

/* params: [id, start, end, server of the source, its last stamp] */
struct import_greeting {
    uint64_t id;
    uint64_t start, end; /* bounds */
    uint8_t source[ID_LEN];
    uint64_t stamp;
};

/* params: [id, seq, records, bytes, high and low of the sum, the source's last stamp, time of its last id] */
struct import_ending {
    uint64_t id;
    uint64_t seq;
    struct range_sum sum;
    uint64_t stamp;
    uint64_t ids_ms;
};

void mover_import_begin(struct mover *mover, struct peer *peer, uint32_t msgid,
                        const struct import_greeting *greeting);
void mover_import_data(struct mover *mover, struct peer *peer, uint32_t msgid, uint64_t id,
                       uint64_t seq, struct bytes items);
void mover_import_end(struct mover *mover, struct peer *peer, uint32_t msgid,
                      const struct import_ending *ending);

/* The connection is gone. */
void mover_left(struct mover *mover, const struct peer *peer);

#endif
