/* SPDX-License-Identifier: MIT */
#ifndef PROTO_MOVE_H
#define PROTO_MOVE_H

/*
 * What a server tells bootstrapd of the moves in which it has a part, and how fast a move may go.
 *
 *     reports   [revision, [report, ...]]      all that it has a part in, at the same moment
 *     report    [id, state, records, bytes, records_left, bytes_per_s, waiting_bytes,
 *                [freeze, drain, sync, commit, open], text]
 *     pace      [id, bytes_per_s, is_paused]
 *
 * Rules:
 *  - `revision` is that of the map that the server has durably taken, and a state is durable before it is
 *    told (RULES L6): so what was told stays true until the map ends the move, and a late report is as good
 *    as a fresh one.
 *  - A move that is not listed is over at that server, or has not begun there: which of both, `revision` tells.
 *  - Reports are the params of `move.changed`, the result of `move.status`, and stand at the end of the answer
 *    to `map.push`; a pace is the params of `move.pace`. Arrays may be longer in later versions, and a report
 *    as short as [id, state].
 */

#include "proto/buffer.h"
#include "proto/map.h"
#include "proto/unpack.h"

/* A server's part. Numbers are never reused. */
enum move_state {
    MOVE_SOURCE_COPYING = 1,  /* owned; the hand goes over it */
    MOVE_SOURCE_FROZEN = 2,   /* owned; operations wait */
    MOVE_SOURCE_CLOSED = 3,   /* another's; the copy is kept */
    MOVE_SOURCE_DELETING = 4, /* the copy goes */
    MOVE_SOURCE_LOST =
        5, /* owned; this try has come to nothing: started again, or the link is given up */
    MOVE_TARGET_IMPORTING = 11,
    MOVE_TARGET_READY = 12, /* all is here, operations wait */
    MOVE_TARGET_OPEN = 13,  /* owned and served; told until the map ends the move */
    MOVE_TARGET_LOST = 14,  /* this try has come to nothing */
    MOVE_TARGET_DELETING = 15,
};

/*
 * How long requests were held, by what they waited for, one after another. What one server measures contains what the
 * other does within it: the source's DRAIN the target's SYNC, the target's OPEN the source's COMMIT. Of both together
 * move_hold_settle makes parts.
 */
enum move_hold {
    MOVE_HOLD_FREEZE, /* until the freeze was durable */
    MOVE_HOLD_DRAIN,  /* until the target had the rest of the stream */
    MOVE_HOLD_SYNC,   /* until READY was durable */
    MOVE_HOLD_COMMIT, /* until the map said so */
    MOVE_HOLD_OPEN,   /* until OPEN was durable */
    MOVE_HOLD_COUNT,
};

enum { MOVE_TEXT_LEN = 200 };

struct move_report {
    uint64_t id; /* map_move's */
    enum move_state state;
    uint64_t records, bytes; /* that have gone over, or come, in this try */
    uint64_t records_left;   /* about */
    uint64_t bytes_per_s;
    uint64_t waiting_bytes; /* in the stream, not acknowledged */
    uint64_t hold_us[MOVE_HOLD_COUNT];
    char text
        [MOVE_TEXT_LEN]; /* of a state that is LOST: why; else empty, or what people should know */
};

/* Of one server, those that only delete included: as many as it keeps (shardd/moving.h). */
#define MOVE_REPORTS_MAX 1024

struct move_reports {
    uint64_t revision;
    struct move_report *items; /* in no order */
    uint32_t count;
};

void move_reports_fini(struct move_reports *reports);

/* As [revision, [report, ...]]. */
void move_reports_pack(const struct move_reports *reports, struct buffer *out);

/*
 * False when malformed, more than MOVE_REPORTS_MAX, or no memory; *reports is then untouched, else the caller's. A
 * state that this version does not know is passed over.
 */
bool move_reports_unpack(struct unpack *in, struct move_reports *reports);

/* NULL when the move is not listed. Valid as long as the reports. */
const struct move_report *move_reports_find(const struct move_reports *reports, uint64_t id);

/* Each number the greater of both: what two servers, or one at two times, know of one move. */
void move_report_raise(struct move_report *report, const struct move_report *other);

/* Of what both servers have measured: parts whose sum is the whole. */
void move_hold_settle(uint64_t hold_us[MOVE_HOLD_COUNT]);

/* "copying"; the same word for people of both parts. Static storage. */
const char *move_state_text(enum move_state state);

bool move_state_is_known(uint64_t state);
bool move_state_is_source(enum move_state state);

/* "copy", "committed", ... as in the JSON of a map; "none". Static storage. */
const char *move_phase_text(enum move_phase phase);

struct move_pace {
    uint64_t id;
    uint64_t bytes_per_s; /* 0: no limit of its own */
    bool is_paused;       /* the hand stands (RULES V7) */
};

void move_pace_pack(const struct move_pace *pace, struct buffer *out);

/* False when malformed; *pace is then untouched. */
bool move_pace_unpack(struct unpack *in, struct move_pace *pace);

#endif
