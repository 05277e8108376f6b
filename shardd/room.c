/* SPDX-License-Identifier: MIT */
#include "shardd/room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/logline.h"
#include "io/memory.h"
#include "io/worker.h"

#define RESERVE_NAME "reserve"

/* What the tree needs to go on at all, beside the log's next segment and its spare. */
#define FULL_LEN ((uint64_t)4 << 20)
#define ROOM_LEN ((uint64_t)8 << 20)

#define LOOK_MS 1000

/* After a reserve could not be made. */
#define RETRY_MS 60000

/* A shorter one is not worth its name. */
#define RESERVE_LEN_WORTH ((uint64_t)1 << 20)

struct reserve_job {
    struct job job; /* first */
    struct room *room;
    bool is_giving;
    uint64_t len; /* to be made */
    int error_number;
};

struct room {
    struct dir *dir;
    struct worker *worker;
    uint64_t segment_len;
    struct reserve_job reserve;
    bool is_busy;
    bool is_kept;       /* there is a reserve, of reserve.len bytes */
    bool was_given;     /* and nobody has asked */
    bool is_said;       /* that it is short, or cannot be made */
    uint64_t given_len; /* of the one that was given up */
    uint64_t retry_ms;

    bool is_full;
    bool was_refused;
    bool was_looked_at;
    uint64_t looked_ms;
    uint64_t free_len;
};

/* --- pure --- */

static uint64_t wanted_len(uint64_t limit_sum)
{
    uint64_t len = limit_sum / ROOM_RESERVE_PART;
    len = len > ROOM_RESERVE_LEN_MIN ? len : ROOM_RESERVE_LEN_MIN;
    return len < ROOM_RESERVE_LEN_MAX ? len : ROOM_RESERVE_LEN_MAX;
}

uint64_t room_reserve_len(uint64_t limit_sum, uint64_t free_len, uint64_t segment_len)
{
    uint64_t wanted = wanted_len(limit_sum);
    uint64_t kept = 4 * segment_len + ROOM_LEN;
    uint64_t left = free_len > kept ? free_len - kept : 0;
    if (left >= wanted) {
        return wanted;
    }
    uint64_t len = left / 2 / RESERVE_LEN_WORTH * RESERVE_LEN_WORTH;
    return len < wanted ? len : wanted;
}

bool room_is_full_at(const struct room_input *input)
{
    if (input->is_refused) {
        return true;
    }
    uint64_t least = input->was_full ? input->given_len + 4 * input->segment_len + ROOM_LEN
                                     : 2 * input->segment_len + FULL_LEN;
    return input->free_len < least;
}

/* --- the reserve --- */

static bool is_no_space(int error_number)
{
    return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

static int give_up(struct dir *dir)
{
    int error_number = dir_unlink(dir, RESERVE_NAME);
    if (error_number == ENOENT) {
        return 0;
    }
    return error_number ? error_number : dir_sync(dir);
}

static int make(struct dir *dir, uint64_t len)
{
    int error_number = 0;
    struct file *file = file_open(dir, RESERVE_NAME, FILE_NEW, &error_number);
    if (!file) {
        return error_number;
    }
    error_number = file_allocate(file, len);
    file_close(file);
    error_number = error_number ? error_number : dir_sync(dir);
    if (error_number != 0) {
        (void)give_up(dir);
    }
    return error_number;
}

static void run(struct job *job)
{
    struct reserve_job *reserve = (struct reserve_job *)job;
    struct dir *dir = reserve->room->dir;
    reserve->error_number = reserve->is_giving ? give_up(dir) : make(dir, reserve->len);
}

static void given(struct room *room)
{
    if (room->reserve.error_number != 0) {
        logline_die("%s/" RESERVE_NAME ": %s", dir_path(room->dir),
                    strerror(room->reserve.error_number));
    }
    room->is_kept = false;
    room->was_given = true;
    room->given_len = room->reserve.len;
    room->was_looked_at = false;
}

/* Without one the disk may be full a little earlier and harder; a broken disk shows in the log. */
static void made(struct room *room)
{
    room->is_kept = room->reserve.error_number == 0;
    if (room->is_kept) {
        room->given_len = 0;
        return;
    }
    room->retry_ms = room->looked_ms + RETRY_MS;
    if (!room->is_said) {
        room->is_said = true;
        logline(LOGLINE_WARNING, "%s/" RESERVE_NAME ": none of %llu MiB can be made: %s",
                dir_path(room->dir), (unsigned long long)room->reserve.len >> 20,
                is_no_space(room->reserve.error_number) ? "no room"
                                                        : strerror(room->reserve.error_number));
    }
}

static void done(struct job *job)
{
    struct reserve_job *reserve = (struct reserve_job *)job;
    reserve->room->is_busy = false;
    if (reserve->is_giving) {
        given(reserve->room);
    } else {
        made(reserve->room);
    }
}

static void submit(struct room *room, bool is_giving)
{
    room->is_busy = true;
    room->reserve.is_giving = is_giving;
    worker_submit(room->worker, &room->reserve.job);
}

static void begin_reserve(struct room *room, uint64_t limit_sum)
{
    uint64_t len = room_reserve_len(limit_sum, room->free_len, room->segment_len);
    if (len < wanted_len(limit_sum) && !room->is_said) {
        room->is_said = true;
        logline(LOGLINE_WARNING,
                "%s/" RESERVE_NAME ": the disk has room for %llu MiB of the %llu that are kept for "
                "when it is full",
                dir_path(room->dir), (unsigned long long)len >> 20,
                (unsigned long long)wanted_len(limit_sum) >> 20);
    }
    if (len > 0) {
        room->reserve.len = len;
        submit(room, false);
    }
}

/* --- a turn --- */

static void look(struct room *room, bool is_refused, uint64_t now_ms)
{
    uint64_t total_len = 0;
    uint64_t free_len = 0;
    room->was_looked_at = true;
    room->was_refused = is_refused;
    room->looked_ms = now_ms;
    if (dir_space(room->dir, &free_len, &total_len) == 0) {
        room->free_len = free_len;
    }
    bool was_full = room->is_full;
    const struct room_input input = {was_full, is_refused, room->free_len, room->given_len,
                                     room->segment_len};
    room->is_full = room_is_full_at(&input);
    if (room->is_full && !was_full) {
        logline(LOGLINE_WARNING, "%s: the disk is full (%llu MiB are free): what grows is refused",
                dir_path(room->dir), (unsigned long long)room->free_len >> 20);
    } else if (!room->is_full && was_full) {
        logline(LOGLINE_INFO, "%s: the disk has room again", dir_path(room->dir));
    }
}

bool room_is_due(const struct room *room, bool is_refused, uint64_t now_ms)
{
    bool is_new = is_refused && !room->was_refused;
    return !room->was_looked_at || is_new || now_ms - room->looked_ms >= LOOK_MS;
}

void room_look(struct room *room, uint64_t limit_sum, bool is_refused, uint64_t now_ms)
{
    look(room, is_refused, now_ms);
    if (room->is_busy) {
        return;
    }
    if (room->is_full && room->is_kept) {
        submit(room, true);
    } else if (!room->is_full && !room->is_kept && now_ms >= room->retry_ms) {
        begin_reserve(room, limit_sum);
    }
}

bool room_is_full(const struct room *room)
{
    return room->is_full;
}

uint64_t room_free_len(const struct room *room)
{
    return room->free_len;
}

bool room_was_given(struct room *room)
{
    bool was_given = room->was_given;
    room->was_given = false;
    return was_given;
}

/* --- opening --- */

/* One that a crash left half made is a shorter one. */
static int find_reserve(struct room *room)
{
    int error_number = 0;
    struct file *file = file_open(room->dir, RESERVE_NAME, FILE_READ, &error_number);
    if (!file) {
        return error_number == ENOENT ? 0 : error_number;
    }
    room->is_kept = true;
    room->reserve.len = file_len(file);
    file_close(file);
    return 0;
}

/* Recovery makes a segment, and may have to sweep. */
static int begin(struct room *room)
{
    int error_number = find_reserve(room);
    if (error_number != 0) {
        return error_number;
    }
    look(room, false, 0);
    room->was_looked_at = false;
    if (!room->is_full || !room->is_kept) {
        return 0;
    }
    room->is_kept = false;
    room->given_len = room->reserve.len;
    return give_up(room->dir);
}

struct room *room_open(struct loop *loop, struct dir *dir, uint64_t segment_len, char *error,
                       size_t error_len)
{
    struct room *room = memory_get(1, sizeof(*room));
    room->dir = dir;
    room->segment_len = segment_len;
    int error_number = begin(room);
    if (error_number != 0) {
        (void)snprintf(error, error_len, RESERVE_NAME ": %s", strerror(error_number));
        free(room);
        return NULL;
    }
    room->reserve.room = room;
    room->reserve.job = (struct job){.run = run, .done = done};
    room->worker = worker_new(loop, "room", WORKER_NORMAL);
    return room;
}

void room_free(struct room *room)
{
    if (room) {
        worker_free(room->worker);
        free(room);
    }
}
