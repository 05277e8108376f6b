/* SPDX-License-Identifier: MIT */
#include "shardd/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "io/memory.h"
#include "io/random.h"
#include "proto/log_scan.h"
#include "proto/map.h"
#include "proto/stamp.h"
#include "shardd/log_internal.h"

/* RULES N2: above every stamp that an unclean end may have taken back. */
#define UNCLEAN_LIFT (UINT64_C(1) << 32)

/* Where texts for the operator go. */
struct fault_text {
    const struct log *log;
    char *text;
    size_t len;
};

/* "data/a/log-0000000000000007: offset 8192: ..." */
static void name_fault(const struct fault_text *fault, uint64_t number, const char *reason)
{
    char name[SEGMENT_NAME_LEN];
    segment_name(number, name);
    (void)snprintf(fault->text, fault->len, "%s/%s: %s", dir_path(fault->log->config.dir), name,
                   reason);
}

/* --- files --- */

static struct file *open_file(const struct log *log, uint64_t number,
                              const struct fault_text *fault)
{
    char name[SEGMENT_NAME_LEN];
    int error_number = 0;
    segment_name(number, name);
    struct file *file = file_open(log->config.dir, name, FILE_READ, &error_number);
    if (!file) {
        name_fault(fault, number, strerror(error_number));
    }
    return file;
}

/* What the header's faults are called. */
static const char *header_fault_text(enum log_fault log_fault)
{
    switch (log_fault) {
    case LOG_FINE:
        break;
    case LOG_NOT_A_SEGMENT:
        return "offset 0: not a segment of a log";
    case LOG_NEWER_FORMAT:
        return "offset 0: written by a newer version of shardd";
    case LOG_DAMAGED:
        return "offset 0: the segment's header is damaged";
    }
    return NULL;
}

static const char *read_header(struct file *file, struct log_segment_header *header)
{
    uint8_t bytes[LOG_SEGMENT_HEADER_LEN];
    if (file_len(file) < sizeof(bytes)) {
        return "offset 0: too short for a segment";
    }
    int error_number = file_read(file, 0, bytes, sizeof(bytes));
    if (error_number != 0) {
        return strerror(error_number);
    }
    return header_fault_text(log_segment_header_decode(bytes, header));
}

static bool add_found(struct log *log, uint64_t number, const struct fault_text *fault)
{
    struct file *file = open_file(log, number, fault);
    if (!file) {
        return false;
    }
    struct segment *segment = memory_get(1, sizeof(*segment));
    const char *reason = read_header(file, &segment->header);
    file_read_ahead(file);
    file_close(file);
    log_append_segment(log, segment);
    if (!reason && segment->header.number != number) {
        reason = "offset 0: its header tells another number than its name";
    }
    if (reason) {
        name_fault(fault, number, reason);
    }
    return reason == NULL;
}

static bool add_all_found(struct log *log, const uint64_t *numbers, uint32_t count,
                          const struct fault_text *fault)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && numbers[i] != numbers[i - 1] + 1) {
            name_fault(fault, numbers[i - 1] + 1, "this segment is missing");
            return false;
        }
        if (!add_found(log, numbers[i], fault)) {
            return false;
        }
    }
    return true;
}

static bool find_segments(struct log *log, const struct fault_text *fault)
{
    uint64_t *numbers = NULL;
    uint32_t count = 0;
    int error_number = segment_list(log->config.dir, &numbers, &count);
    if (error_number != 0) {
        (void)snprintf(fault->text, fault->len, "%s: %s", dir_path(log->config.dir),
                       strerror(error_number));
        return false;
    }
    bool is_found = add_all_found(log, numbers, count, fault);
    free(numbers);
    return is_found;
}

static void forget_segment(struct log *log)
{
    file_unmap(log->read, log->read_len);
    log->read = NULL;
    log->read_number = 0;
}

/* One at a time, as its file is: a copy would cost more than all that is made of it. */
static bool read_segment(struct log *log, const struct segment *segment,
                         const struct fault_text *fault)
{
    uint64_t number = segment->header.number;
    if (log->read_number == number) {
        return true;
    }
    forget_segment(log);
    struct file *file = open_file(log, number, fault);
    if (!file) {
        return false;
    }
    uint64_t len = file_len(file);
    if (len != segment->header.len) {
        file_close(file);
        name_fault(fault, number, "offset 0: its file has another length than its header tells");
        return false;
    }
    int error_number = file_map(file, len, &log->read);
    file_close(file);
    if (error_number != 0) {
        name_fault(fault, number, strerror(error_number));
        return false;
    }
    log->read_len = len;
    log->read_number = number;
    return true;
}

/* --- the newest --- */

static bool refuse_newest(const struct fault_text *fault, const char *reason)
{
    (void)snprintf(fault->text, fault->len, "%s/" LOG_NEWEST_NAME ": %s",
                   dir_path(fault->log->config.dir), reason);
    return false;
}

static bool refuse_missing(uint64_t number, const struct fault_text *fault)
{
    char reason[80];
    (void)snprintf(reason, sizeof(reason), "missing: the newest segment was number %" PRIu64,
                   number);
    name_fault(fault, number, reason);
    return false;
}

/*
 * RULES L2: nothing was acknowledged in a segment before its number was noted, so only the one behind the noted
 * one may be there and not be noted. A directory of an earlier version has neither segments nor a note.
 */
static bool has_newest(const struct log *log, const struct fault_text *fault)
{
    uint64_t found = log->newest ? log->newest->header.number : 0;
    uint64_t noted = 0;
    int error_number = segment_read_newest(log->config.dir, &noted);
    if (error_number == ENOENT) {
        return !log->newest ||
               refuse_newest(fault, "missing: nothing tells which segment was the newest");
    }
    if (error_number == EBADMSG) {
        return refuse_newest(fault, "damaged: nothing tells which segment was the newest");
    }
    if (error_number != 0) {
        return refuse_newest(fault, strerror(error_number));
    }
    if (found < noted) {
        return refuse_missing(noted, fault);
    }
    return found - noted <= 1 ||
           refuse_newest(fault, "damaged: it tells of a segment long before the newest");
}

/* --- looking --- */

struct replay {
    struct log *log;
    const struct log_visitor *visitor;
    char reason[LOG_SCAN_TEXT_LEN];
};

static bool refuse(struct replay *replay, uint64_t offset, const char *reason)
{
    (void)snprintf(replay->reason, sizeof(replay->reason), "offset %" PRIu64 ": %s", offset,
                   reason);
    return false;
}

static bool tell_control(struct replay *replay, const struct log_record_header *header,
                         struct bytes payload, uint64_t offset)
{
    const struct log_visitor *visitor = replay->visitor;
    struct bytes accounts;
    struct bytes blob;
    if (header->type == LOG_MARKER) {
        return true;
    }
    if (!log_payload_split(header, payload, &accounts, &blob)) {
        return refuse(replay, offset, "too short for its accounts");
    }
    if (header->type == LOG_OPERATIONS) {
        return visitor->on_accounts(visitor->context, accounts) ||
               refuse(replay, offset, "accounts that cannot be taken");
    }
    return visitor->on_control(visitor->context, header, accounts, blob) ||
           refuse(replay, offset, "control state that cannot be taken");
}

/* `first` is what recovery must not go below: see next_stamp in log.c. */
static bool look_at(void *context, const struct log_record_header *header, struct bytes payload,
                    uint64_t offset)
{
    struct replay *replay = context;
    struct log *log = replay->log;
    if (header->count == 0) {
        log->floor = max(log->floor, header->first - 1);
    } else if (header->first > log->applied) {
        log->found_count += header->count;
    }
    return tell_control(replay, header, payload, offset);
}

static bool scan_one(struct replay *replay, struct segment *segment, struct log_scan *scan,
                     uint64_t tree_durable, const struct fault_text *fault)
{
    struct log *log = replay->log;
    char text[LOG_SCAN_TEXT_LEN];
    if (!read_segment(log, segment, fault)) {
        return false;
    }
    const struct log_segment_header *next = segment->next ? &segment->next->header : NULL;
    enum log_verdict verdict = log_scan_segment(scan, bytes_of(log->read, log->read_len), next,
                                                tree_durable, look_at, replay, text);
    if (verdict == LOG_SCAN_DAMAGED) {
        name_fault(fault, segment->header.number, text[0] != '\0' ? text : replay->reason);
        return false;
    }
    segment->last = scan->last;
    segment->end = scan->end;
    return true;
}

static bool scan_all(struct log *log, const struct log_visitor *visitor, uint64_t tree_durable,
                     const struct fault_text *fault)
{
    struct replay replay = {.log = log, .visitor = visitor};
    struct log_scan scan = {0};
    for (struct segment *segment = log->oldest; segment; segment = segment->next) {
        if (!scan_one(&replay, segment, &scan, tree_durable, fault)) {
            return false;
        }
    }
    log->last = scan.last;
    log->found_chain = scan.chain;
    log->was_stopped = scan.is_stopped;
    log->proven_end = scan.proven_end;
    log->proven_last = scan.proven_last;
    log->proven_chain = scan.proven_chain;
    return true;
}

/* RULES L2: what stood in segments before the oldest must be in the tree. */
static bool reaches_the_tree(const struct log *log, const struct fault_text *fault)
{
    const struct log_segment_header *oldest = &log->oldest->header;
    if (oldest->previous_last <= log->applied) {
        return true;
    }
    char reason[160];
    (void)snprintf(reason, sizeof(reason),
                   "offset 0: it follows stamp %" PRIu64 ", but the tree has all up to %" PRIu64
                   " only: older segments are missing",
                   oldest->previous_last, log->applied);
    name_fault(fault, oldest->number, reason);
    return false;
}

/* A tree that knows of later stamps than it has applied was written beside a log. */
static bool may_be_new(struct log *log, uint64_t tree_durable, const struct fault_text *fault)
{
    log->is_new = true;
    log->was_stopped = true;
    log->last = log->proven_last = log->floor = log->applied;
    if (tree_durable <= log->applied) {
        return true;
    }
    (void)snprintf(fault->text, fault->len,
                   "%s: the log is missing: the tree has all up to stamp %" PRIu64
                   " only, and was written when %" PRIu64 " was durable",
                   dir_path(log->config.dir), log->applied, tree_durable);
    return false;
}

/*
 * What log salvage wrote lacks something, and that was said: it need not show what the tree knows of. But no stamp
 * up to there is given again (RULES N2), and the file that says so stays until a later one is durable.
 */
static uint64_t must_be_shown(struct log *log, uint64_t tree_durable)
{
    uint64_t durable = max(tree_durable, log->applied);
    if (!dir_has(log->config.dir, LOG_RECOUNT_NAME)) {
        return durable;
    }
    log_raise(log, durable);
    return 0;
}

static bool look(struct log *log, const struct log_visitor *visitor, uint64_t tree_durable,
                 const struct fault_text *fault)
{
    if (!find_segments(log, fault) || !has_newest(log, fault)) {
        return false;
    }
    if (!log->oldest) {
        return may_be_new(log, tree_durable, fault);
    }
    return reaches_the_tree(log, fault) &&
           scan_all(log, visitor, must_be_shown(log, tree_durable), fault);
}

struct log *log_open(const struct log_config *config, uint64_t applied, uint64_t tree_durable,
                     const struct log_visitor *visitor, char *error, size_t error_len)
{
    struct log *log = memory_get(1, sizeof(*log));
    struct fault_text fault = {log, error, error_len};
    log->config = *config;
    log->config.segment_len = max(config->segment_len, LOG_SEGMENT_LEN_MIN) & ~UINT64_C(7);
    log->applied = applied;
    if (!look(log, visitor, tree_durable, &fault)) {
        log_close(log);
        return NULL;
    }
    return log;
}

bool log_is_new(const struct log *log)
{
    return log->is_new;
}

bool log_was_stopped(const struct log *log)
{
    return log->was_stopped;
}

uint64_t log_recovered_last(const struct log *log)
{
    return log->last;
}

uint64_t log_found_count(const struct log *log)
{
    return log->found_count;
}

/* --- telling --- */

/* Up to OPS_TOLD_MAX of those above `applied`. */
static bool tell_some(struct replay *replay, uint64_t *stamp, uint64_t end, struct bytes *rest,
                      uint64_t offset)
{
    const struct log_visitor *visitor = replay->visitor;
    struct log_op ops[OPS_TOLD_MAX];
    uint32_t count = 0;
    uint64_t first = max(*stamp, replay->log->applied + 1);
    for (; *stamp < end && count < OPS_TOLD_MAX; ++*stamp) {
        if (!log_op_next(rest, &ops[count])) {
            return refuse(replay, offset, "an operation that cannot be read");
        }
        count += *stamp >= first;
    }
    return count == 0 || visitor->on_ops(visitor->context, first, ops, count) ||
           refuse(replay, offset, "an operation that cannot be taken");
}

static bool tell_each_op(struct replay *replay, const struct log_record_header *header,
                         struct bytes rest, uint64_t offset)
{
    uint64_t stamp = header->first;
    uint64_t end = header->first + header->count;
    while (stamp < end) {
        if (!tell_some(replay, &stamp, end, &rest, offset)) {
            return false;
        }
    }
    return rest.len == 0 || refuse(replay, offset, "more operations than it tells");
}

static bool tell_ops(void *context, const struct log_record_header *header, struct bytes payload,
                     uint64_t offset)
{
    struct replay *replay = context;
    struct bytes accounts;
    struct bytes rest;
    if (header->type != LOG_OPERATIONS || log_record_last(header) <= replay->log->applied) {
        return true;
    }
    if (!log_payload_split(header, payload, &accounts, &rest)) {
        return refuse(replay, offset, "too short for its accounts");
    }
    return tell_each_op(replay, header, rest, offset);
}

/*
 * Again what log_open has looked at: the last segment ends where it was found to end. Behind log_start: the
 * one that it began has the end of what was found, and nothing was added yet.
 */
static bool visit_segment(struct log *log, const struct segment *segment, log_visit *visit,
                          void *context, const struct fault_text *fault)
{
    if (!read_segment(log, segment, fault)) {
        return false;
    }
    struct log_segment_header end = {
        .number = segment->header.number + 1,
        .previous_last = log->open ? log->placed_last : log->last,
        .previous_chain = log->open ? log->chain : log->found_chain,
    };
    struct log_scan scan = {0};
    char text[LOG_SCAN_TEXT_LEN];
    enum log_verdict verdict =
        log_scan_segment(&scan, bytes_of(log->read, log->read_len),
                         segment->next ? &segment->next->header : &end, 0, visit, context, text);
    if (verdict != LOG_SCAN_FINE && text[0] != '\0') {
        name_fault(fault, segment->header.number, text);
    }
    return verdict == LOG_SCAN_FINE;
}

static bool replay_all(struct log *log, const struct log_visitor *visitor,
                       const struct fault_text *fault)
{
    struct replay replay = {.log = log, .visitor = visitor};
    for (const struct segment *segment = log->oldest; segment; segment = segment->next) {
        if (segment->last > log->applied &&
            !visit_segment(log, segment, tell_ops, &replay, fault)) {
            if (replay.reason[0] != '\0') {
                name_fault(fault, segment->header.number, replay.reason);
            }
            return false;
        }
    }
    return true;
}

bool log_replay(struct log *log, const struct log_visitor *visitor, char *error, size_t error_len)
{
    struct fault_text fault = {log, error, error_len};
    bool is_told = replay_all(log, visitor, &fault);
    forget_segment(log);
    return is_told;
}

/* --- going on --- */

/* The new segment as it comes to be in memory: header, checkpoint, copies, marker. */
struct beginning {
    struct log *log;
    struct segment *segment;
    struct buffer bytes;
    struct bytes accounts; /* of the checkpoint, with */
    struct bytes state;
    uint16_t account_count;
    uint32_t copy_count;
};

static void finish(struct beginning *beginning, struct log_record_header *header, size_t start)
{
    log_finish_record(beginning->log, header, beginning->segment->header.salt, &beginning->bytes,
                      start);
}

/* It stands above the copies' stamps: recovery gives none below it, and this one none at all. */
static void put_checkpoint(struct beginning *beginning, const struct buffer *checkpoint)
{
    struct log *log = beginning->log;
    struct log_record_header header = {
        .type = LOG_CHECKPOINT,
        .first = log->floor + 1,
        .durable = log->last, /* the copies' last: they are synced with it */
        .account_count = beginning->account_count,
    };
    size_t start = beginning->bytes.len;
    log_begin_payload(&beginning->bytes);
    buffer_append_bytes(&beginning->bytes, buffer_bytes(checkpoint));
    finish(beginning, &header, start);
    log->checkpoint_len = beginning->bytes.len - start;
}

/*
 * The control state of an earlier time must not come behind the checkpoint: the checkpoint's stands
 * here again, so that every stamp that was found is found again.
 */
static void put_state(struct beginning *beginning, struct log_record_header *header)
{
    uint8_t first_byte = LOG_STATE;
    header->account_count = beginning->account_count;
    buffer_append_bytes(&beginning->bytes, beginning->accounts);
    buffer_append(&beginning->bytes, &first_byte, 1);
    buffer_append_bytes(&beginning->bytes, beginning->state);
}

static bool is_state(const struct log_record_header *header, struct bytes payload)
{
    struct bytes accounts;
    struct bytes blob;
    return header->type == LOG_CONTROL && log_payload_split(header, payload, &accounts, &blob) &&
           blob.len > 0 && *(const uint8_t *)blob.data == LOG_STATE;
}

static bool copy_unproven(void *context, const struct log_record_header *header,
                          struct bytes payload, uint64_t offset)
{
    struct beginning *beginning = context;
    struct log_record_header copy = *header;
    if (offset < beginning->log->proven_end || header->count == 0) {
        return true;
    }
    size_t start = beginning->bytes.len;
    log_begin_payload(&beginning->bytes);
    if (is_state(header, payload)) {
        put_state(beginning, &copy);
    } else {
        buffer_append_bytes(&beginning->bytes, payload);
    }
    finish(beginning, &copy, start);
    beginning->copy_count++;
    return true;
}

/* For the copies: all is synced before the file is named, and so before it can be found. */
static void vouch(struct beginning *beginning)
{
    struct log *log = beginning->log;
    struct log_record_header header = {
        .type = LOG_MARKER,
        .first = log->floor + 1,
        .durable = log->last,
    };
    size_t start = beginning->bytes.len;
    log_begin_payload(&beginning->bytes);
    finish(beginning, &header, start);
}

static struct segment *new_segment(const struct log *log)
{
    struct segment *segment = memory_get(1, sizeof(*segment));
    segment->header = (struct log_segment_header){
        .incarnation = log->identity.incarnation,
        .number = log->newest ? log->newest->header.number + 1 : 1,
        .first = log->proven_last + 1,
        .previous_last = log->proven_last,
        .previous_chain = log->proven_chain,
        .created_ms = log->now_ms,
    };
    memcpy(segment->header.cluster, log->identity.cluster, ID_LEN);
    memcpy(segment->header.server, log->identity.server, ID_LEN);
    random_fill(&segment->header.salt, sizeof(segment->header.salt));
    segment->last = log->last;
    return segment;
}

static struct file *make_with_len(struct beginning *beginning, uint64_t len,
                                  const struct fault_text *fault)
{
    struct log_segment_header *header = &beginning->segment->header;
    header->len = len;
    log_segment_header_encode(header, beginning->bytes.data);
    beginning->segment->end = beginning->bytes.len;
    return segments_make_now(beginning->log->segments, header->number, len,
                             buffer_bytes(&beginning->bytes), fault->text, fault->len);
}

/* On a full disk as short as may be: deletions must be possible (RULES F1). */
static struct file *make_first(struct beginning *beginning, const struct fault_text *fault)
{
    struct log *log = beginning->log;
    uint64_t needed =
        beginning->bytes.len + log->checkpoint_len + UINT64_C(2) * LOG_RECORD_HEADER_LEN;
    uint64_t least = (needed + 7) & ~UINT64_C(7);
    uint64_t len = segments_len_now(log->segments, least);
    struct file *file = make_with_len(beginning, len, fault);
    while (!file && segments_had_no_room(log->segments) && len > least) {
        len = segments_len_now(log->segments, least);
        file = make_with_len(beginning, len, fault);
    }
    return file;
}

static bool put_records(struct beginning *beginning, const struct buffer *checkpoint,
                        const struct fault_text *fault)
{
    struct log *log = beginning->log;
    memory_must(buffer_reserve(&beginning->bytes, LOG_SEGMENT_HEADER_LEN) != NULL);
    beginning->bytes.len = LOG_SEGMENT_HEADER_LEN;
    log->chain = log->proven_chain;
    put_checkpoint(beginning, checkpoint);
    if (log->newest && !visit_segment(log, log->newest, copy_unproven, beginning, fault)) {
        return false;
    }
    if (beginning->copy_count > 0) {
        vouch(beginning);
    }
    return true;
}

/* Asks the owner for the checkpoint, and puts everything into *beginning. */
static bool fill(struct beginning *beginning, const struct fault_text *fault)
{
    struct log *log = beginning->log;
    struct buffer checkpoint = {0};
    uint32_t count = 0;
    log->owner.put_checkpoint(log->owner.context, &checkpoint, &count);
    memory_must(!checkpoint.failed);
    struct log_record_header split = {.account_count = (uint16_t)count};
    bool is_whole =
        count <= UINT16_MAX && log_payload_split(&split, buffer_bytes(&checkpoint),
                                                 &beginning->accounts, &beginning->state);
    assert(is_whole);
    beginning->account_count = (uint16_t)count;
    bool is_filled = put_records(beginning, &checkpoint, fault);
    buffer_fini(&checkpoint);
    return is_filled;
}

static void take_over(struct log *log, struct segment *segment, struct file *file)
{
    if (log->newest) {
        log->newest->last = log->proven_last;
        log->newest->end = log->proven_end;
    }
    log_append_segment(log, segment);
    log->open = segment;
    log->file = file;
    log->placed_last = log->durable = log->released = log->last;
    log->raising = log->raised = log->floor;
    log_begin_writing(log);
}

static bool begin(struct log *log, const struct fault_text *fault)
{
    struct beginning beginning = {.log = log, .segment = new_segment(log)};
    struct file *file = NULL;
    if (fill(&beginning, fault)) {
        file = make_first(&beginning, fault);
    }
    buffer_fini(&beginning.bytes);
    if (!file) {
        free(beginning.segment);
        return false;
    }
    take_over(log, beginning.segment, file);
    return true;
}

static bool is_of_this_server(const struct log *log)
{
    const struct log_segment_header *found = &log->newest->header;
    return (id_bytes_is_zero(found->cluster) ||
            memcmp(found->cluster, log->identity.cluster, ID_LEN) == 0) &&
           (id_bytes_is_zero(found->server) ||
            memcmp(found->server, log->identity.server, ID_LEN) == 0);
}

void log_raise(struct log *log, uint64_t stamp)
{
    log->floor = max(log->floor, stamp);
}

/* Not below the clock either: otherwise the first stamps after a long rest would be (RULES N2). */
static void raise_floor(struct log *log)
{
    log->now_ms = clock_wall_ms();
    log->floor = max(log->floor, log->last);
    if (!log->was_stopped) {
        log->floor += UNCLEAN_LIFT;
    }
    log->floor = max(log->floor, stamp_of_ms(log->now_ms) - 1);
}

bool log_start(struct log *log, const struct log_identity *identity, const struct log_owner *owner,
               char *error, size_t error_len)
{
    struct fault_text fault = {log, error, error_len};
    log->identity = *identity;
    log->owner = *owner;
    if (log->newest && !is_of_this_server(log)) {
        name_fault(&fault, log->newest->header.number, "of another server");
        return false;
    }
    log->segments =
        segments_open(log->config.loop, log->config.dir, log->config.segment_len, error, error_len);
    if (!log->segments) {
        return false;
    }
    raise_floor(log);
    return begin(log, &fault);
}
