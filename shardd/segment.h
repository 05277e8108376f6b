/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_SEGMENT_H
#define SHARDD_SEGMENT_H

/*
 * The files of the log, made and given up by a worker (RULES L2, L7).
 *
 *     (nothing) ── zeros, a piece at a time ──> prepared-N ── header, first records, sync ──> log-NUMBER
 *                                                   ^                                           │
 *                                                   └───────── renamed as it is ────────────────┤ freed
 *     (nothing) <────────────────────────────────── unlinked ───────────────────────────────────┘
 *
 * Rules:
 *  - What has the name of a segment was synced before, and the directory after. Then its number goes into
 *    log.newest, which is synced, and only then is it told: nothing was acknowledged in one that is not noted.
 *  - Segments are given up in order, each durably before the next: none is ever missing between two.
 *  - A used file is not filled again: its next salt makes what it holds no records.
 *  - A disk that is full stops the preparing, which is tried again each second; it is no fault.
 *    Any other failure ends the process (L5).
 */

#include "io/file.h"
#include "io/loop.h"
#include "proto/buffer.h"

/* The next segment, and the spare that only shrinking operations may enter (RULES F1). */
#define SEGMENTS_PREPARED_MIN 2

/* One more is kept of those that were used, so that a log that runs in a circle fills none. */
#define SEGMENTS_PREPARED_MAX 3

/* Bytes filled and synced at a time: group commits in between wait a few ms at most. */
#define SEGMENT_PIECE_LEN (1u << 20)

enum { SEGMENT_NAME_LEN = 32 };

void segment_name(uint64_t number, char name[SEGMENT_NAME_LEN]);

/* The numbers of all segments, ascending, for free(). What has another form of name is left out. */
int segment_list(struct dir *dir, uint64_t **numbers, uint32_t *count);

/* What log.newest tells; 0: there was none yet. ENOENT: there is no such file; EBADMSG: none of its slots is valid. */
int segment_read_newest(struct dir *dir, uint64_t *number);

struct segments;

/*
 * Takes stock of what is prepared and strikes what is of no use; what has the name of a segment is noted as
 * the newest, durably. Blocks. NULL with `error` filled.
 */
struct segments *segments_open(struct loop *loop, struct dir *dir, uint64_t segment_len,
                               char *error, size_t error_len);

/* Waits for the worker; runs no more callbacks. NULL is allowed. */
void segments_close(struct segments *segments);

/*
 * How long the segment that segments_make_now makes can be: as others are, unless the disk is too full for
 * that; then shorter, but not below `least`, and `least` after one could not be made. One that is prepared stays as
 * long as it is; so it is asked anew after each that could not be made.
 */
uint64_t segments_len_now(const struct segments *segments, uint64_t least);

/*
 * A segment of `len` bytes that begins with `bytes`, synced, then named, then the directory synced, then
 * noted. Blocks: for the start. NULL with `error` filled: nothing but segments_had_no_room allows another try (L5).
 */
struct file *segments_make_now(struct segments *segments, uint64_t number, uint64_t len,
                               struct bytes bytes, char *error, size_t error_len);

/* The last segments_make_now failed for want of room, and nothing has the name. */
bool segments_had_no_room(const struct segments *segments);

/* On the loop. The file is given away. */
typedef void segments_made(void *context, struct file *file);

/* The same on the worker, as soon as a file is prepared. Takes `bytes`. One at a time. */
void segments_make(struct segments *segments, uint64_t number, uint64_t len, struct buffer *bytes,
                   segments_made *on_made, void *context);

/* Of a segment that nobody has open. */
void segments_retire(struct segments *segments, uint64_t number, uint64_t len);

/* Has files prepared from now on, until there are SEGMENTS_PREPARED_MIN. */
void segments_prepare(struct segments *segments);

/* The worker has the file of the one that is made. */
bool segments_is_making(const struct segments *segments);

uint32_t segments_prepared_count(const struct segments *segments);

/* The last attempt to prepare one failed for want of room. */
bool segments_is_disk_full(const struct segments *segments);

#endif
