/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_TRACE_H
#define TORTURE_TRACE_H

/*
 * What a recorded server did to its data directory and told its clients, in one file:
 *
 *     | struct trace_record | payload, len bytes | struct trace_record | ...
 *
 * Each record is one write() to a file that is open for appending, so records of several threads follow
 * each other whole. Order:
 *  - a write, a rename, ... is recorded when it is done; a close, and what is sent, before;
 *  - a sync is recorded twice: it covers what was recorded before its begin, and counts from its end.
 * So whatever caused something else stands before it.
 */

#include <stdint.h>

/* The file, and the data directory. From the environment; without them nothing is recorded. */
#define TRACE_FILE "TORTURE_TRACE"
#define TRACE_DATA "TORTURE_DATA"

/* Each sync takes so many microseconds more: writes gather that are not synced. */
#define TRACE_SYNC_US "TORTURE_SYNC_US"

enum trace_type {
    TRACE_OPEN = 1,   /* fd; payload: name */
    TRACE_OPEN_DIR,   /* fd: the data directory itself */
    TRACE_CLOSE,      /* fd */
    TRACE_WRITE,      /* fd, number: offset; payload: data */
    TRACE_LEN,        /* fd, number: the file's new length */
    TRACE_EXTEND,     /* fd, number: its length is at least that */
    TRACE_SYNC_BEGIN, /* fd, number: of the sync */
    TRACE_SYNC_END,   /* fd, number: of the sync */
    TRACE_RENAME,     /* payload: from, NUL, to */
    TRACE_UNLINK,     /* payload: name */
    TRACE_ACCEPT,     /* fd: of a client */
    TRACE_SEND,       /* fd; payload: what is about to be sent */
    TRACE_SENT,       /* fd, number: how much of it was taken */
};

enum trace_flag {
    TRACE_IS_NEW = 1,   /* open: made by it */
    TRACE_IS_DSYNC = 2, /* write: durable when it was recorded (O_DSYNC, O_SYNC) */
    TRACE_IS_CUT = 4,   /* open: O_TRUNC */
};

/* Packed: payloads have any length, so a record begins anywhere. */
struct __attribute__((packed)) trace_record {
    uint8_t type;
    uint8_t flags;
    uint16_t magic;
    int32_t fd;
    uint64_t number;
    uint64_t len;
};

#define TRACE_MAGIC 0x7254

#endif
