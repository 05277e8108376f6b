/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_CONDUCT_H
#define BOOTSTRAPD_CONDUCT_H

/*
 * bootstrapd's part in moves (RULES V; tests/model/move.pml has all parts). Pure: no I/O, no clock.
 *
 *     entry        what is known                                    becomes     owner
 *     COPY         asked to abort                                   ABORTED     source
 *     COPY         target is READY for this id                      COMMITTED   target
 *     COPY         source or target has LOST this id                ABORTED     source
 *     COMMITTED    target is OPEN for this id                       OPENED      target
 *     COMMITTED    asked to undo                                    UNDO        target
 *     UNDO         target is OPEN for this id                       OPENED      target
 *     UNDO         target has taken this epoch, is READY            ABORTED     source
 *     COMMITTED, UNDO   asked to undo whatever is lost; target away ABORTED     source
 *     OPENED       source has taken this epoch, lists it no more    NONE        target
 *     NONE, ABORTED     its turn has come, or that of the next try  COPY        source
 *
 * Rules:
 *  - It looks at what is known, not at what has just happened (as bootstrapd/cluster.h), so that a restart at any row
 *    goes on by the map alone, once the servers have said again where they are.
 *  - Every change of phase compares epoch, id and phase (RULES M2).
 *  - What a server said holds while its connection does.
 *  - A server copies in one move at a time; the others wait, by number. What it only deletes (OPENED) is behind the move.
 *    A try that came to nothing is made again under a new id (RULES V3), TRIES_MAX times, after a pause that doubles.
 *  - The shard of a part is split first, in a change of its own, while another goes on if need be, and parts of one
 *    owner that nothing is to happen to join again (bootstrapd/parts.h).
 */

#include "bootstrapd/cluster.h"

/* The last pause is then about 32 s, and a minute has passed. */
#define CONDUCT_TRIES_MAX    9
#define CONDUCT_PAUSE_MIN_MS 125

/* What a source may have left to delete when the next move begins: it takes up its disk. */
#define CONDUCT_DELETING_MAX 8

/*
 * After a split: for the owner's count of both parts, by which they share the size. It takes the split when they are
 * counted (RULES V8), which it does at some million records a second.
 */
#define CONDUCT_COUNT_WITHIN_MS 30000

/* --- a row of the table --- */

/* What a server said of one id. */
struct conduct_word {
    bool is_known;         /* it said something, and its connection is there */
    bool is_current;       /* it had taken the entry's epoch then */
    enum move_state state; /* 0: not listed */
};

enum conduct_verdict {
    CONDUCT_STAYS,
    CONDUCT_COMMIT,
    CONDUCT_ABORT, /* owner is the source, or is so again */
    CONDUCT_UNDO,
    CONDUCT_OPENED,
    CONDUCT_OVER,
};

/* Of an entry in a phase other than NONE and ABORTED. */
enum conduct_verdict conduct_judge(enum move_phase phase, enum move_wish wish,
                                   const struct conduct_word *source,
                                   const struct conduct_word *target);

/* --- what is known --- */

struct conduct;

struct conduct *conduct_new(void);
void conduct_free(struct conduct *conduct); /* NULL is allowed */

/* All that the server has a part in. Takes the reports and zeroes them. */
void conduct_on_reports(struct conduct *conduct, const uint8_t server[ID_LEN],
                        struct move_reports *reports);

/* Its connection is gone. */
void conduct_on_gone(struct conduct *conduct, const uint8_t server[ID_LEN]);

/* NULL: it did not say. Valid until the server's next report. */
const struct move_report *conduct_report(const struct conduct *conduct,
                                         const uint8_t server[ID_LEN], uint64_t id);

/* --- what follows --- */

/* The next change of the map. False: nothing, and no plan. */
bool conduct_next(struct conduct *conduct, const struct cluster *cluster, uint64_t now_ms,
                  struct plan *plan);

/* Whether there is a move that waits or goes on: to be looked at again from time to time. */
bool conduct_is_busy(const struct cluster *cluster);

/* Whether the server has a part in one that goes on: to be asked where it is. */
bool conduct_has_part(const struct cluster *cluster, const uint8_t server[ID_LEN]);

/* Whether what its shards hold is waited for: it has not said yet, or not since one was split for a move. */
bool conduct_wants_count(const struct cluster *cluster, const uint8_t server[ID_LEN]);

/*
 * How fast the next move whose source is `server` may go, if that was not told on this connection. Counts as told from
 * then on, until the server is gone or conduct_untell.
 */
bool conduct_take_pace(struct conduct *conduct, const struct cluster *cluster,
                       const uint8_t server[ID_LEN], struct move_pace *pace);
void conduct_untell(struct conduct *conduct, const uint8_t server[ID_LEN], uint64_t id);

#endif
