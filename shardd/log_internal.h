/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_LOG_INTERNAL_H
#define SHARDD_LOG_INTERNAL_H

/* What log_recovery.c leaves to log.c: the same log, found and then written. */

#include "shardd/log.h"
#include "shardd/segment.h"

/*
 * A live segment, from the oldest to the one that records go to:
 *
 *     found or done ... | open: has the file | making: the worker has it | gathering: in memory
 */
struct segment {
    struct segment *next;
    struct log_segment_header header;
    uint64_t last;        /* the last stamp in it or before it */
    uint64_t end;         /* offset behind its last record */
    uint64_t last_ticket; /* of its last record */
    /* While it is not open: its records from `gathered_from` on. */
    struct buffer gathered;
    uint64_t gathered_from;
};

/* A step in which things became durable: when `ticket` is done, `last` is, and `raised` counts. */
struct pending {
    uint64_t ticket;
    uint64_t last;
    uint64_t raised;
};

struct pending_ring {
    struct pending *items;
    uint32_t first;
    uint32_t count;
    uint32_t capacity; /* a power of two */
};

struct log {
    struct log_config config;
    struct log_identity identity;
    struct log_owner owner;
    struct segments *segments;
    struct appender *appender;

    /* Live segments. `open` is NULL before the start. */
    struct segment *oldest;
    struct segment *open;
    struct segment *newest;
    struct file *file; /* of `open` */
    uint64_t made_ticket;
    size_t gathered_len; /* bytes of records in memory because their segment is not open */

    /* The record of this turn: room for its header and accounts, then operations. */
    struct buffer record;
    uint64_t record_first;
    struct buffer accounts;
    struct buffer scratch; /* control records and checkpoints */
    uint64_t checkpoint_len;

    /* Stamps; see next_stamp. */
    uint64_t now_ms;
    uint64_t last;        /* given */
    uint64_t placed_last; /* of the last record that has its place */
    uint64_t floor;       /* the next is above it */
    uint64_t raising; /* the highest floor that a marker or checkpoint holds, perhaps not durably */
    uint64_t raised;  /* and durably */
    uint64_t durable;
    uint64_t released;
    uint64_t chain;

    /* Tickets count records; the appender is given them in order. */
    uint64_t ticket;
    uint64_t written_ticket; /* by the loop, of the open segment */
    uint64_t given_ticket;   /* to the appender, or to the worker with a new segment */
    uint64_t done_ticket;
    struct pending_ring pending;
    uint64_t unsynced_len; /* at level os */
    uint64_t own_sync_us;  /* what a sync in the loop took lately */

    struct timer *sync_timer; /* at level os */
    struct timer *quiet_timer;
    uint64_t quiet_ticket;

    void (*on_stopped)(void *context);
    void *stop_context;
    uint64_t stop_ticket; /* of the marker; 0: not there yet */

    uint32_t op_count;   /* of the record of this turn */
    bool is_making;      /* open->next: the worker has it */
    bool is_behind;      /* a stamp was held below the clock */
    bool is_to_submit;   /* the appender has something that it does not know of */
    bool is_alone;       /* the loop may sync in this turn */
    bool is_sync_wanted; /* at level os: a control record (RULES L6) */
    bool is_quiet_timed;
    bool is_new;
    bool was_stopped;

    /* The segment that recovery looked at last, as file_map has it; none: 0. */
    void *read;
    size_t read_len;
    uint64_t read_number;

    /* What log_open found. */
    uint64_t applied;
    uint64_t found_count; /* operations above it */
    uint64_t found_chain; /* at the end of all that holds */
    uint64_t proven_end;  /* of the last segment, and what stands there */
    uint64_t proven_last;
    uint64_t proven_chain;
};

static inline uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Makes `segment` the newest. */
void log_append_segment(struct log *log, struct segment *segment);

/* Room in front of a payload for the header of its record. */
void log_begin_payload(struct buffer *out);

/*
 * Fills in the header in front of the payload that begins at out->data + start +
 * LOG_RECORD_HEADER_LEN, and pads. Moves log->chain on.
 */
void log_finish_record(struct log *log, struct log_record_header *header, uint64_t salt,
                       struct buffer *out, size_t start);

/* The log is written from here on: `open` is the newest, all in it durable. */
void log_begin_writing(struct log *log);

#endif
