/* SPDX-License-Identifier: MIT */
#include "shardd/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "io/logline.h"
#include "io/memory.h"
#include "io/random.h"
#include "proto/stamp.h"
#include "shardd/log_internal.h"

/* In front of operations: the header, and accounts if they are few, so that nothing is moved. */
#define ACCOUNTS_ROOM ((size_t)128 * LOG_ACCOUNT_LEN)
#define RECORD_FRONT  (LOG_RECORD_HEADER_LEN + ACCOUNTS_ROOM)

/* What the builder keeps between turns. */
#define RECORD_CAPACITY_KEPT (LOG_RECORD_LEN_TARGET + (LOG_RECORD_LEN_TARGET >> 1))

/* Small segments (tests have them) hold several records, too. */
#define RECORDS_PER_SEGMENT_MIN 8

/*
 * RULES N2: no stamp is more than 2^32 above the durable one. The clock lifts one at most so far; what is
 * left is for counting on while the disk is slow, and memory ends long before 2^30 operations do.
 */
#define LIFT_MAX ((UINT64_C(1) << 32) - (UINT64_C(1) << 30))

/* Level os: a power cut costs a second, and the kernel never has much to write at once. */
#define SYNC_MS          1000
#define UNSYNCED_LEN_MAX (8u << 20)

#define QUIET_MS 100

/* Slower syncs are the log thread's alone: meanwhile the loop would serve nobody. */
#define OWN_SYNC_US_MAX 400

static bool is_disk(const struct log *log)
{
    return log->config.durability == DURABILITY_DISK;
}

/* --- stamps --- */

static uint64_t highest_lift(const struct log *log)
{
    return max(log->durable, log->raised) + LIFT_MAX;
}

/*
 * max(last + 1, now << 16), but the clock lifts it to LIFT_MAX above what is durable only. After long
 * quiet a first stamp may so stay behind the clock; it need not wait. When all is durable, a marker whose
 * `first` is at the clock makes up for it (see catch_up), or, in a busy log, each group that becomes
 * durable does.
 *
 * A marker's or checkpoint's `first` is no place in the log: records behind it may have lower stamps. It is a
 * floor, under which a recovery gives none. So log_durable never shows a stamp that was not given.
 */
static uint64_t next_stamp(struct log *log)
{
    uint64_t below = max(log->last, log->floor);
    uint64_t stamp = stamp_next(below, log->now_ms);
    if (stamp > highest_lift(log)) {
        log->is_behind = true;
        return max(below + 1, highest_lift(log));
    }
    return stamp;
}

/* Of a record that takes none: where a recovery would go on at the least. */
static uint64_t floor_stamp(const struct log *log)
{
    return max(max(log->last, log->floor), log->raising) + 1;
}

/* --- what is not durable yet --- */

static void grow_ring(struct pending_ring *ring)
{
    uint32_t capacity = ring->capacity ? 2 * ring->capacity : 64;
    struct pending *items = memory_get(capacity, sizeof(*items));
    for (uint32_t i = 0; i < ring->count; i++) {
        items[i] = ring->items[(ring->first + i) & (ring->capacity - 1)];
    }
    free(ring->items);
    *ring = (struct pending_ring){items, 0, ring->count, capacity};
}

/* Records that nobody asked to sync yet become durable together. */
static void add_pending(struct log *log, uint64_t last, uint64_t raised)
{
    struct pending_ring *ring = &log->pending;
    uint64_t ticket = ++log->ticket;
    if (ring->count > 0) {
        struct pending *tail = &ring->items[(ring->first + ring->count - 1) & (ring->capacity - 1)];
        if (tail->ticket > log->given_ticket) {
            *tail = (struct pending){ticket, last, max(tail->raised, raised)};
            return;
        }
    }
    if (ring->count == ring->capacity) {
        grow_ring(ring);
    }
    ring->items[(ring->first + ring->count++) & (ring->capacity - 1)] =
        (struct pending){ticket, last, raised};
}

/* True when something that may be said has grown. */
static bool complete(struct log *log, uint64_t ticket)
{
    struct pending_ring *ring = &log->pending;
    uint64_t durable = log->durable;
    uint64_t released = log->released;
    log->done_ticket = max(log->done_ticket, ticket);
    while (ring->count > 0 && ring->items[ring->first].ticket <= ticket) {
        log->durable = ring->items[ring->first].last;
        log->raised = max(log->raised, ring->items[ring->first].raised);
        ring->first = (ring->first + 1) & (ring->capacity - 1);
        ring->count--;
    }
    log->released = max(log->released, log->durable);
    return log->durable != durable || log->released != released;
}

/* --- writing to the open segment --- */

static void give(struct log *log, struct bytes data, uint64_t offset, uint64_t ticket)
{
    appender_write(log->appender, log->file, offset, data, ticket);
    log->given_ticket = ticket;
    log->is_to_submit = true;
}

static void write_self(struct log *log, struct bytes data, uint64_t offset, uint64_t ticket)
{
    int error_number = file_write(log->file, offset, data.data, data.len);
    if (error_number != 0) {
        logline_die("log: %s/%s: cannot write: %s", dir_path(log->config.dir), file_name(log->file),
                    strerror(error_number));
    }
    log->written_ticket = ticket;
}

/* Level os: what is written may be said; it becomes durable within the second. */
static void write_os(struct log *log, struct bytes data, uint64_t offset, uint64_t ticket)
{
    write_self(log, data, offset, ticket);
    if (log->unsynced_len == 0) {
        timer_set(log->sync_timer, SYNC_MS);
    }
    log->unsynced_len += data.len;
}

/* Here and now; nothing else is on its way. */
static void write_synced(struct log *log, struct bytes data, uint64_t offset, uint64_t ticket)
{
    uint64_t begun_us = clock_mono_us();
    write_self(log, data, offset, ticket);
    int error_number = file_sync(log->file);
    if (error_number != 0) {
        logline_die("log: %s/%s: cannot sync: %s", dir_path(log->config.dir), file_name(log->file),
                    strerror(error_number));
    }
    uint64_t duration_us = clock_mono_us() - begun_us;
    log->own_sync_us = (3 * log->own_sync_us + duration_us) / 4;
    appender_note_sync(log->appender, data.len, duration_us);
    log->given_ticket = ticket;
    complete(log, ticket);
}

static bool may_sync_itself(const struct log *log)
{
    return log->is_alone && log->pending.count == 1 && log->done_ticket == log->given_ticket;
}

static void write_open(struct log *log, struct bytes data, uint64_t offset, uint64_t ticket)
{
    if (may_sync_itself(log)) {
        write_synced(log, data, offset, ticket);
    } else if (is_disk(log)) {
        give(log, data, offset, ticket);
    } else {
        write_os(log, data, offset, ticket);
        log->released = max(log->released, log->open->last);
    }
}

/* What the loop wrote itself becomes durable: at level os, and a marker of quiet at both. */
static void sync_open(struct log *log)
{
    if (log->written_ticket > log->given_ticket) {
        appender_sync(log->appender, log->file, log->written_ticket);
        log->given_ticket = log->written_ticket;
        log->is_to_submit = true;
    }
    log->unsynced_len = 0;
}

static void submit(struct log *log)
{
    if (log->is_to_submit) {
        log->is_to_submit = false;
        appender_submit(log->appender);
    }
}

/* --- records --- */

void log_begin_payload(struct buffer *out)
{
    static const uint8_t nothing[LOG_RECORD_HEADER_LEN];
    buffer_append(out, nothing, sizeof(nothing));
}

void log_finish_record(struct log *log, struct log_record_header *header, uint64_t salt,
                       struct buffer *out, size_t start)
{
    static const uint8_t zeros[8];
    size_t payload_len = out->len - start - LOG_RECORD_HEADER_LEN;
    buffer_append(out, zeros, log_record_len(payload_len) - LOG_RECORD_HEADER_LEN - payload_len);
    memory_must(!out->failed);
    uint8_t *at = out->data + start;
    log_record_header_encode(header, bytes_of(at + LOG_RECORD_HEADER_LEN, payload_len), log->chain,
                             salt, at);
    log->chain = header->chain;
}

static void gather(struct log *log, struct bytes data)
{
    buffer_append_bytes(&log->newest->gathered, data);
    memory_must(!log->newest->gathered.failed);
    log->gathered_len += data.len;
}

/* Gives the record that begins at out->data + start its place in the newest segment. */
static void place(struct log *log, struct log_record_header *header, struct buffer *out,
                  size_t start, bool is_quiet)
{
    struct segment *segment = log->newest;
    uint64_t offset = segment->end;
    header->durable = log->durable;
    log_finish_record(log, header, segment->header.salt, out, start);
    if (header->count > 0) {
        log->placed_last = log_record_last(header);
    }
    add_pending(log, log->placed_last, header->count > 0 ? 0 : header->first - 1);
    struct bytes data = bytes_of(out->data + start, out->len - start);
    segment->end += data.len;
    segment->last = log->placed_last;
    segment->last_ticket = log->ticket;
    assert(segment->end <= segment->header.len);
    if (segment != log->open) {
        gather(log, data);
    } else if (is_quiet) {
        write_self(log, data, offset, log->ticket);
    } else {
        write_open(log, data, offset, log->ticket);
    }
}

/* --- segments --- */

void log_append_segment(struct log *log, struct segment *segment)
{
    if (log->newest) {
        log->newest->next = segment;
    } else {
        log->oldest = segment;
    }
    log->newest = segment;
}

static struct log_segment_header next_header(const struct log *log, uint64_t record_len)
{
    struct log_segment_header header = {
        .incarnation = log->identity.incarnation,
        .number = log->newest->header.number + 1,
        .first = log->placed_last + 1,
        .previous_last = log->placed_last,
        .previous_chain = log->chain,
        .created_ms = log->now_ms,
    };
    memcpy(header.cluster, log->identity.cluster, ID_LEN);
    memcpy(header.server, log->identity.server, ID_LEN);
    random_fill(&header.salt, sizeof(header.salt));
    /* As long as needed: a checkpoint takes half of a segment at most, and the end has its marker. */
    uint64_t needed = LOG_SEGMENT_HEADER_LEN + 2 * log->checkpoint_len + record_len +
                      UINT64_C(2) * LOG_RECORD_HEADER_LEN;
    header.len = max(log->config.segment_len, (needed + 7) & ~UINT64_C(7));
    return header;
}

/*
 * The newest segment is full: the next begins, in memory. The checkpoint shows what the owner has now; the record
 * for which this is done may be older by some operations, so both are in the file before it is named,
 * and never one without the other.
 */
static void begin_segment(struct log *log, uint64_t record_len)
{
    struct log_owner *owner = &log->owner;
    uint32_t account_count = 0;
    buffer_clear(&log->scratch);
    log_begin_payload(&log->scratch);
    owner->put_checkpoint(owner->context, &log->scratch, &account_count);
    assert(account_count <= UINT16_MAX);
    log->checkpoint_len = log_record_len(log->scratch.len - LOG_RECORD_HEADER_LEN);
    struct segment *segment = memory_get(1, sizeof(*segment));
    segment->header = next_header(log, record_len);
    segment->end = LOG_SEGMENT_HEADER_LEN;
    segment->gathered_from = LOG_SEGMENT_HEADER_LEN;
    log_append_segment(log, segment);
    struct log_record_header header = {
        .type = LOG_CHECKPOINT,
        .first = floor_stamp(log),
        .account_count = (uint16_t)account_count,
    };
    log->raising = header.first - 1;
    place(log, &header, &log->scratch, 0, false);
}

/* A segment always keeps room for the marker of a clean stop. */
static uint64_t room(const struct segment *segment)
{
    uint64_t left = segment->header.len - segment->end;
    return left < LOG_RECORD_HEADER_LEN ? 0 : left - LOG_RECORD_HEADER_LEN;
}

static void make_room(struct log *log, uint64_t record_len)
{
    if (record_len > room(log->newest)) {
        begin_segment(log, record_len);
    }
}

static void on_made(void *context, struct file *file);

/* The header and all that has gathered so far: durable before the name. */
static void make_next(struct log *log)
{
    struct segment *next = log->open->next;
    struct buffer bytes = {0};
    uint8_t *header = buffer_reserve(&bytes, LOG_SEGMENT_HEADER_LEN + next->gathered.len);
    memory_must(header != NULL);
    log_segment_header_encode(&next->header, header);
    bytes.len += LOG_SEGMENT_HEADER_LEN;
    buffer_append_bytes(&bytes, buffer_bytes(&next->gathered));
    next->gathered_from += next->gathered.len;
    buffer_fini(&next->gathered);
    log->is_making = true;
    log->given_ticket = log->made_ticket = next->last_ticket;
    segments_make(log->segments, next->header.number, next->header.len, &bytes, on_made, log);
}

/* RULES L2: the next is named when the one before is durable and nothing more goes there. */
static void advance(struct log *log)
{
    struct segment *open = log->open;
    if (!open->next || log->is_making) {
        return;
    }
    sync_open(log);
    if (log->done_ticket >= open->last_ticket) {
        make_next(log);
    }
}

static void write_gathered(struct log *log)
{
    struct segment *open = log->open;
    if (open->gathered.len > 0) {
        write_open(log, buffer_bytes(&open->gathered), open->gathered_from, open->last_ticket);
        buffer_fini(&open->gathered);
    }
    if (!is_disk(log)) {
        sync_open(log);
    }
}

static void settle(struct log *log, bool has_progress);

static void on_made(void *context, struct file *file)
{
    struct log *log = context;
    file_close(log->file);
    log->file = file;
    log->open = log->open->next;
    log->is_making = false;
    log->gathered_len -=
        log->open->gathered_from - LOG_SEGMENT_HEADER_LEN + log->open->gathered.len;
    uint64_t released = log->released;
    bool has_progress = complete(log, log->made_ticket);
    write_gathered(log);
    settle(log, has_progress || log->released != released);
}

/* --- markers and quiet --- */

/* `first`: under which a recovery gives no stamp. All that was placed is durable. */
static void place_marker(struct log *log, uint64_t first, uint8_t flags, bool is_quiet)
{
    struct log_record_header header = {.type = LOG_MARKER, .flags = flags, .first = first};
    buffer_clear(&log->scratch);
    log_begin_payload(&log->scratch);
    place(log, &header, &log->scratch, 0, is_quiet);
    log->raising = max(log->raising, first - 1);
}

/* A stamp was held below the clock, unless the log has caught up: the next one need not be. */
static void catch_up(struct log *log)
{
    log->is_behind = false;
    if (stamp_of_ms(log->now_ms) <= highest_lift(log)) {
        return;
    }
    make_room(log, LOG_RECORD_HEADER_LEN);
    place_marker(log, max(stamp_of_ms(log->now_ms), floor_stamp(log)), 0, false);
    sync_open(log);
}

static void place_stop(struct log *log)
{
    place_marker(log, floor_stamp(log), LOG_IS_STOP, false);
    log->stop_ticket = log->ticket;
    sync_open(log);
}

/* Looked at again when it fires: setting a timer for each group would cost more. */
static void time_quiet(struct log *log)
{
    log->quiet_ticket = log->ticket;
    log->is_quiet_timed = true;
    timer_set(log->quiet_timer, QUIET_MS);
}

static bool has_stop(const struct log *log)
{
    return log->stop_ticket != 0 && log->done_ticket >= log->stop_ticket;
}

/* Without its marker when the disk has no room for it: the end is unclean then, as a crash would be. */
static void tell_stopped(struct log *log)
{
    if (!log->on_stopped || !(has_stop(log) || log_is_stuck(log))) {
        return;
    }
    if (!has_stop(log)) {
        logline(LOGLINE_WARNING,
                "log: %s: the disk is full: it ends without what has no room, which nobody was "
                "told is done",
                dir_path(log->config.dir));
    }
    void (*on_stopped)(void *) = log->on_stopped;
    log->on_stopped = NULL;
    on_stopped(log->stop_context);
}

/* A disk that is found to be full completes nothing. */
static void look_at_stop(struct log *log)
{
    tell_stopped(log);
    if (log->on_stopped && !log->is_quiet_timed) {
        time_quiet(log);
    }
}

static bool is_all_durable(const struct log *log)
{
    return log->pending.count == 0 && log->op_count == 0;
}

/*
 * RULES L3: a marker tells a later recovery that all before it was durable. It waits in the kernel
 * for the next sync: if it is lost, so is nothing.
 */
static void on_quiet(void *context)
{
    struct log *log = context;
    log->is_quiet_timed = false;
    if (log->on_stopped) {
        look_at_stop(log);
        return;
    }
    if (!is_all_durable(log) || log->stop_ticket != 0) {
        return;
    }
    if (log->ticket != log->quiet_ticket) {
        time_quiet(log);
    } else if (room(log->newest) >= LOG_RECORD_HEADER_LEN) {
        place_marker(log, floor_stamp(log), 0, true);
    }
}

static void on_sync(void *context)
{
    struct log *log = context;
    sync_open(log);
    submit(log);
}

/* After anything became durable, or might be begun. */
static void settle(struct log *log, bool has_progress)
{
    if (is_all_durable(log) && log->stop_ticket == 0 && log->is_behind) {
        catch_up(log);
    }
    /* Not behind a marker that is on its way: the end would vouch for it (RULES L3). */
    if (is_all_durable(log) && log->stop_ticket == 0) {
        if (log->on_stopped) {
            place_stop(log);
        } else if (!log->is_quiet_timed) {
            time_quiet(log);
        }
    }
    advance(log);
    submit(log);
    if (has_progress) {
        log->owner.on_progress(log->owner.context);
    }
    tell_stopped(log);
}

static void on_done(void *context, uint64_t ticket)
{
    struct log *log = context;
    settle(log, complete(log, ticket));
}

/* --- a turn --- */

void log_turn_begin(struct log *log, uint64_t now_ms)
{
    log->now_ms = now_ms;
}

static void begin_record(struct log *log)
{
    buffer_shrink(&log->record, RECORD_CAPACITY_KEPT);
    memory_must(buffer_reserve(&log->record, RECORD_FRONT) != NULL);
    log->record.len = RECORD_FRONT;
    log->record_first = next_stamp(log);
}

/* Puts the accounts right before the operations; returns where the record begins. */
static size_t put_accounts(struct log *log, uint16_t *account_count)
{
    buffer_clear(&log->accounts);
    uint32_t count = log->owner.put_accounts(log->owner.context, &log->accounts);
    memory_must(!log->accounts.failed && !log->record.failed);
    size_t len = log->accounts.len;
    assert(count <= UINT16_MAX && len == (size_t)count * LOG_ACCOUNT_LEN);
    if (len > ACCOUNTS_ROOM) {
        size_t more = len - ACCOUNTS_ROOM;
        memory_must(buffer_reserve(&log->record, more) != NULL);
        memmove(log->record.data + LOG_RECORD_HEADER_LEN + len, log->record.data + RECORD_FRONT,
                log->record.len - RECORD_FRONT);
        log->record.len += more;
    }
    size_t start = len > ACCOUNTS_ROOM ? 0 : ACCOUNTS_ROOM - len;
    if (len > 0) {
        memcpy(log->record.data + start + LOG_RECORD_HEADER_LEN, log->accounts.data, len);
    }
    *account_count = (uint16_t)count;
    return start;
}

static void close_record(struct log *log)
{
    if (log->op_count == 0) {
        return;
    }
    struct log_record_header header = {
        .type = LOG_OPERATIONS,
        .first = log->record_first,
        .count = log->op_count,
    };
    size_t start = put_accounts(log, &header.account_count);
    log->op_count = 0;
    make_room(log, log_record_len(log->record.len - start - LOG_RECORD_HEADER_LEN));
    place(log, &header, &log->record, start, false);
    buffer_clear(&log->record);
    advance(log);
}

static uint64_t len_target(const struct log *log)
{
    uint64_t part = log->config.segment_len / RECORDS_PER_SEGMENT_MIN;
    return part < LOG_RECORD_LEN_TARGET ? part : LOG_RECORD_LEN_TARGET;
}

/* A result stands in the record of its operation (RULES Q1): either both are lost or none is. */
static bool may_begin_record(const struct log_op *op)
{
    return op->kind != LOG_RESULT && op->kind != LOG_DONE;
}

uint64_t log_add(struct log *log, const struct log_op *op)
{
    assert(!log->on_stopped);
    if (log->op_count > 0 && may_begin_record(op) &&
        log->record.len - RECORD_FRONT + op->key.len + op->value.len > len_target(log)) {
        close_record(log);
    }
    if (log->op_count == 0) {
        begin_record(log);
    }
    log_op_encode(op, &log->record);
    log->last = log->record_first + log->op_count++;
    return log->last;
}

/*
 * The floor in memory is enough as far as stamps may be above what is durable. Beyond it a marker makes a floor
 * durable; where something is always on its way to the disk there is no place for one, but each group that becomes
 * durable lets the next go further.
 */
bool log_lift(struct log *log, uint64_t stamp)
{
    if (stamp <= max(log->last, log->floor)) {
        return true;
    }
    close_record(log); /* its further stamps would count on from its first */
    uint64_t highest = highest_lift(log);
    log->floor = max(log->floor, stamp < highest ? stamp : highest);
    if (log->floor >= stamp) {
        return true;
    }
    if (is_all_durable(log) && log->stop_ticket == 0 && log->raising < stamp) {
        make_room(log, LOG_RECORD_HEADER_LEN);
        place_marker(log, stamp + 1, 0, false);
    }
    sync_open(log); /* a marker of quiet, too, behind which nothing else may come */
    return false;
}

/* Appends all accounts, without the control state that the owner puts behind them. */
static uint16_t put_all_accounts(struct log *log, struct buffer *out)
{
    uint32_t count = 0;
    size_t start = out->len;
    log->owner.put_checkpoint(log->owner.context, out, &count);
    memory_must(!out->failed);
    assert(count <= UINT16_MAX && out->len - start >= (size_t)count * LOG_ACCOUNT_LEN);
    out->len = start + (size_t)count * LOG_ACCOUNT_LEN;
    return (uint16_t)count;
}

uint64_t log_add_control(struct log *log, enum log_control what, struct bytes blob)
{
    assert(!log->on_stopped);
    close_record(log);
    struct buffer *out = &log->record;
    struct log_record_header header = {.type = LOG_CONTROL, .count = 1};
    uint8_t first_byte = (uint8_t)what;
    header.first = log->last = next_stamp(log);
    log_begin_payload(out);
    header.account_count = what == LOG_STATE ? put_all_accounts(log, out) : 0;
    buffer_append(out, &first_byte, 1);
    buffer_append_bytes(out, blob);
    memory_must(!out->failed);
    make_room(log, log_record_len(out->len - LOG_RECORD_HEADER_LEN));
    place(log, &header, out, 0, false);
    buffer_clear(out);
    log->is_sync_wanted = true;
    advance(log);
    return log->last;
}

void log_turn_end(struct log *log)
{
    close_record(log);
    if (!is_disk(log) && (log->is_sync_wanted || log->unsynced_len >= UNSYNCED_LEN_MAX)) {
        sync_open(log);
    }
    log->is_sync_wanted = false;
    submit(log);
}

void log_turn_end_alone(struct log *log)
{
    log->is_alone = is_disk(log) && log->own_sync_us <= OWN_SYNC_US_MAX;
    log->own_sync_us -= log->own_sync_us / 64; /* it is tried again some time */
    log_turn_end(log);
    log->is_alone = false;
    settle(log, false);
}

/* --- what has become of it --- */

uint64_t log_last(const struct log *log)
{
    return log->last;
}

uint64_t log_durable(const struct log *log)
{
    return log->durable;
}

uint64_t log_released(const struct log *log)
{
    return log->released;
}

/* Behind `open` no checkpoint is durable yet. */
void log_free(struct log *log, uint64_t applied)
{
    while (log->oldest != log->open && log->oldest->last <= applied) {
        struct segment *oldest = log->oldest;
        log->oldest = oldest->next;
        segments_retire(log->segments, oldest->header.number, oldest->header.len);
        free(oldest);
    }
}

void log_begin_writing(struct log *log)
{
    log->sync_timer = timer_new(log->config.loop, on_sync, log);
    log->quiet_timer = timer_new(log->config.loop, on_quiet, log);
    log->appender = appender_new(log->config.loop, on_done, log);
    segments_prepare(log->segments);
    time_quiet(log);
}

void log_stop(struct log *log, void (*on_stopped)(void *context), void *context)
{
    close_record(log);
    log->on_stopped = on_stopped;
    log->stop_context = context;
    sync_open(log);
    settle(log, false);
    look_at_stop(log);
}

void log_close(struct log *log)
{
    if (!log) {
        return;
    }
    segments_close(log->segments);
    appender_free(log->appender);
    timer_free(log->sync_timer);
    timer_free(log->quiet_timer);
    file_close(log->file);
    while (log->oldest) {
        struct segment *oldest = log->oldest;
        log->oldest = oldest->next;
        buffer_fini(&oldest->gathered);
        free(oldest);
    }
    file_unmap(log->read, log->read_len);
    buffer_fini(&log->record);
    buffer_fini(&log->accounts);
    buffer_fini(&log->scratch);
    free(log->pending.items);
    free(log);
}

uint64_t log_used(const struct log *log)
{
    uint64_t used = 0;
    for (const struct segment *segment = log->oldest; segment; segment = segment->next) {
        used += segment->end - LOG_SEGMENT_HEADER_LEN;
    }
    return used;
}

uint64_t log_queue_len(const struct log *log)
{
    return log->gathered_len + log->record.len + appender_queue_len(log->appender);
}

void log_stat(const struct log *log, struct log_stat *out)
{
    *out = (struct log_stat){.used = log_used(log)};
    for (const struct segment *segment = log->oldest; segment; segment = segment->next) {
        out->len += segment->header.len;
        out->segment_count++;
    }
    if (log->appender) {
        out->queue_len = log_queue_len(log);
        appender_stat(log->appender, &out->appender);
    }
}

/* Of the newest segment, if it has a file or is to get one of those that are prepared, and of the others. */
uint64_t log_room(const struct log *log)
{
    uint32_t count = segments_prepared_count(log->segments);
    uint64_t taken = LOG_SEGMENT_HEADER_LEN + log->checkpoint_len + LOG_RECORD_HEADER_LEN;
    uint64_t segment_len = log->config.segment_len;
    uint64_t each = segment_len > taken ? segment_len - taken : 0;
    if (log->newest != log->open && !segments_is_making(log->segments)) {
        if (count == 0) {
            return 0;
        }
        count--;
    }
    return room(log->newest) + count * each;
}

bool log_is_stuck(const struct log *log)
{
    return log->is_making && !segments_is_making(log->segments) &&
           segments_is_disk_full(log->segments);
}

bool log_is_disk_full(const struct log *log)
{
    return segments_is_disk_full(log->segments);
}
