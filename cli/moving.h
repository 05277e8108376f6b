/* SPDX-License-Identifier: MIT */
#ifndef CLI_MOVING_H
#define CLI_MOVING_H

/* A move as bootstrapd tells of it (PROTOCOL.md "Moves and servers"), and what people see of it. */

#include "cli/json_writer.h"
#include "proto/address.h"
#include "proto/limits.h"
#include "proto/move.h"
#include "proto/unpack.h"

struct moving {
    uint64_t number;
    char shard[NAME_LEN_MAX + 1];
    uint64_t start, end; /* bounds */
    char from[ADDRESS_TEXT_LEN], to[ADDRESS_TEXT_LEN];
    char course[16]; /* "waiting", "going"; over: "done", "aborted", "undone", "failed" */
    char state[16];  /* "copying", ...; "" when no server has told */
    bool is_paused;
    uint64_t limit_bytes_per_s; /* 0: none */
    uint64_t tries;
    uint64_t asked_ms, begun_ms, ended_ms; /* since 1970; 0: not yet */
    uint64_t records, bytes;               /* that have gone over */
    uint64_t records_left;
    uint64_t bytes_per_s;
    uint64_t waiting_bytes; /* in the stream */
    uint64_t hold_us[MOVE_HOLD_COUNT];
    char who[80];
    char reason[MOVE_TEXT_LEN]; /* what went wrong, or why it waits; "" */
};

/* The next of an array of moves. Errors stick in `in`. */
void moving_take(struct unpack *in, struct moving *moving);

bool moving_is_over(const struct moving *moving);
bool moving_is_done(const struct moving *moving);

/* About; 0 when nothing is known. */
uint64_t moving_bytes_left(const struct moving *moving);

/* From 0 to 100; when over, 100. */
unsigned moving_percent(const struct moving *moving);

/* As an element of an open array, or the outermost object. */
void moving_write(const struct moving *moving, struct json_writer *writer);

enum { MOVING_TEXT_LEN = 400 };

/* "45 %, 5000 records, 6000 left (1.2 MB), 12.3 MB/s, 65 KB waiting, 2 s left" */
void moving_print_progress(const struct moving *moving, char text[MOVING_TEXT_LEN]);

/* What came of it, in two lines: records, bytes, seconds, rate, and the hold. Of one that is not done, one: why. */
void moving_print_end(const struct moving *moving, struct buffer *out);

enum { AMOUNT_TEXT_LEN = 32 };

/* "12.3 MB": powers of 1000. */
void moving_print_amount(uint64_t bytes, char text[AMOUNT_TEXT_LEN]);

#endif
