/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_MOVER_INTERNAL_H
#define SHARDD_MOVER_INTERNAL_H

/*
 * The mover's parts: mover.c (what the map asks for, reports, what goes), mover_source.c, mover_target.c.
 */

#include "shardd/hand.h"
#include "shardd/import.h"
#include "shardd/mover.h"
#include "shardd/stream.h"

/* This run's part in a move as its source. */
struct outgoing {
    struct outgoing *next;
    struct mover *mover;
    uint64_t id;
    uint64_t start, end; /* bounds */
    struct hand *hand;   /* NULL: lost */
    struct stream *stream;
    struct asking *asking; /* bootstrapd, whether it is there */
    bool is_begun;         /* the target has emptied its interval */
    bool is_freezing;      /* operations wait; FROZEN is on its way to the disk */
    bool is_frozen;
    bool is_ended;    /* the target has all */
    bool is_losing;   /* it is to be stopped where nothing of it is in use */
    bool is_stepping; /* a step of membership is under way: it must not be freed */
    bool is_over;
    bool is_paced; /* bootstrapd has told how fast: not before is there a slice */
    struct move_pace pace;
    uint64_t slice_us;         /* monotonic: when the slice that is read was begun; 0: none is */
    uint64_t slice_operations; /* store_operations then */
    uint64_t arrived_ms;       /* monotonic: when the hand was at the end first; 0: not yet */
    uint64_t answered_ms;      /* when bootstrapd did, last */
    uint64_t freeze_us;        /* monotonic: when operations began to wait, */
    uint64_t frozen_us;        /* FROZEN was durable, */
    uint64_t ready_us;         /* the target had all and had said so */
    uint64_t hold_us[MOVE_HOLD_COUNT];
    struct range_sum sum;     /* of what has gone over, once the hand is no more */
    char text[MOVE_TEXT_LEN]; /* why it was lost */
};

/* And as its target. */
struct incoming {
    struct incoming *next;
    struct mover *mover;
    uint64_t id;
    uint64_t start, end;
    uint64_t stamp; /* the source's last, as it greeted */
    struct import
        *import;        /* NULL: IMPORT is on its way to the disk, or all has come, or it is lost */
    struct peer *link;  /* the last connection that greeted: others are not heard; held */
    struct peer *asker; /* of import.begin or import.end, while its answer waits; held */
    uint32_t msgid;
    bool is_ready;
    bool is_stepping;
    bool is_over;
    bool is_broken;    /* the import is to be freed where nothing of it is in use */
    uint64_t whole_us; /* monotonic: when all had come, */
    uint64_t ready_us; /* and READY was durable */
    uint64_t hold_us[MOVE_HOLD_COUNT];
    struct range_sum sum;
    char text[MOVE_TEXT_LEN];
};

/* A copy that is looked through once more before it goes (RULES V6). */
struct checking {
    uint64_t id; /* 0: none */
    struct hand *hand;
    char text[MOVE_TEXT_LEN]; /* why it is kept; "": nothing is wrong so far */
};

/* One that is not what was handed over: until the next start nobody looks through it again. */
struct kept {
    uint64_t id;
    char text[MOVE_TEXT_LEN];
};

struct mover {
    struct loop *loop;
    struct store *store;
    struct membership *membership;
    struct outgoing *outgoing;
    struct incoming *incoming;
    struct checking checking; /* one at a time */
    struct kept *kept;
    uint32_t kept_count;
    uint64_t emptying_id; /* 0: none */
    bool is_emptied;
    bool is_striking; /* the step that strikes it is under way */
    bool is_due;      /* the map has changed: look through all */
    bool has_news;    /* for bootstrapd */
};

/* Something that bootstrapd hears has changed. */
void mover_note(struct mover *mover);

/* Tells it now. */
void mover_tell(struct mover *mover);

/* --- mover_source.c --- */

/* At the start: what an earlier run was copying. */
void mover_find_lost(struct mover *mover);
void mover_follow_sources(struct mover *mover);
void mover_turn_sources(struct mover *mover);
uint64_t mover_sources_len(const struct mover *mover); /* bytes in memory (RULES F3) */
void mover_stop_sources(struct mover *mover);
void mover_free_sources(struct mover *mover);
struct outgoing *mover_find_outgoing(const struct mover *mover, uint64_t id);
void mover_report_outgoing(const struct outgoing *outgoing, struct move_report *report);

/* --- mover_target.c --- */

void mover_follow_targets(struct mover *mover);
void mover_turn_targets(struct mover *mover);
uint64_t mover_targets_len(const struct mover *mover); /* as mover_sources_len */
void mover_free_targets(struct mover *mover);
struct incoming *mover_find_incoming(const struct mover *mover, uint64_t id);
bool mover_is_importing(const struct incoming *incoming);
void mover_report_incoming(const struct incoming *incoming, struct move_report *report);

#endif
