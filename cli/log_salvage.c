/* SPDX-License-Identifier: MIT */

/*
 * log salvage: a directory on which a server can start, from one whose log is damaged.
 *
 *     DIR   log-07 | C r r |   log-08 | C r x r r |   (09 missing)   log-0a | C r ~ |    tree
 *     NEW   log-07 | C r r |   log-08 | C r   r r |   log-09 | C r F |                   tree
 *
 * Rules:
 *  - Records keep their stamps and contents; segments, salts and the chain are new.
 *  - A segment begins where a checkpoint did. Without one its records go on in the segment before; what
 *    comes before the first of all checkpoints goes behind it.
 *  - A control state serves as a checkpoint where there was none before it. Where there is neither, the tree's copy does
 *    (RULES S11), which a server can read: the first record then says so, and all others come behind it.
 *  - Markers are left out, and one that is no stop's ends the log: the server goes on as after a crash,
 *    above the stamp that it tells (N2).
 *  - When something may be missing, or the last operation is in the tree alone, a tick F with a stamp above all
 *    that can have been given comes before it: no lost stamp is given twice, and the tree's durable stamp is not
 *    above the log's.
 *  - The first header says that nothing was before it, since nobody knows what the tree has (L2).
 *  - Accounts are those of before what is left behind: `recount` tells the server to count (S8). Without a
 *    tree, which only a person can want, `no-tree` tells it that an empty one is meant.
 *  - Nothing has its name before all is written. The oldest segment gets it last: until then what lies
 *    there is a log that lacks its beginning, and refused.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/actions.h"
#include "cli/log_files.h"
#include "cli/log_left.h"
#include "io/clock.h"
#include "io/random.h"
#include "proto/endian.h"
#include "proto/stamp.h"

#define UNNAMED     "salvage-"
#define COPY_LEN    (1u << 20)
#define FENCE_ABOVE (UINT64_C(1) << 33) /* twice what a start after a crash raises */

enum { UNNAMED_LEN = 40 };

struct salvage {
    const char *command;
    struct dir *to;
    struct log_left left;

    struct log_segment_header header; /* of the segment being gathered */
    struct log_segment_header first; /* of the first in which there was a record; zeros: none yet */
    bool is_begun;                   /* with its checkpoint */
    struct buffer records;           /* of it, encoded */
    struct buffer waiting;           /* header and payload of those before the first checkpoint */
    uint64_t chain;
    uint64_t last;    /* stamp taken */
    uint64_t highest; /* stamp told by anything */

    uint32_t segment_count;
    uint64_t record_count;
    uint64_t operation_count;
    bool is_damaged; /* something may be missing */
    bool has_newer;  /* a segment of a newer format */
    bool is_without_tree;
    bool begins_with_tree;
    enum exit_code code;
};

static bool fail(struct salvage *salvage, const char *name, int error_number)
{
    salvage->code =
        failure_say(EXIT_CODE_UNAVAILABLE, "%s: cannot write %s/%s: %s", salvage->command,
                    dir_path(salvage->to), name, strerror(error_number));
    return false;
}

static void unnamed(const char *name, char out[UNNAMED_LEN])
{
    (void)snprintf(out, UNNAMED_LEN, UNNAMED "%s", name);
}

/* --- segments --- */

static int write_new(struct dir *dir, const char *name, struct bytes header, struct bytes records,
                     uint64_t len)
{
    int error_number = 0;
    struct file *file = file_open(dir, name, FILE_NEW, &error_number);
    if (!file) {
        return error_number;
    }
    error_number = file_preallocate(file, len);
    if (error_number == 0) {
        error_number = file_write(file, 0, header.data, header.len);
    }
    if (error_number == 0) {
        error_number = file_write(file, header.len, records.data, records.len);
    }
    if (error_number == 0) {
        error_number = file_sync(file);
    }
    file_close(file);
    return error_number;
}

static bool end_segment(struct salvage *salvage)
{
    char name[LOG_FILE_NAME_LEN], file[UNNAMED_LEN];
    uint8_t header[LOG_SEGMENT_HEADER_LEN];
    if (!salvage->is_begun) {
        return true;
    }
    if (salvage->records.failed) {
        salvage->code = failure_say_no_memory();
        return false;
    }
    uint64_t used = LOG_SEGMENT_HEADER_LEN + salvage->records.len;
    uint64_t page = LOG_SEGMENT_HEADER_LEN;
    uint64_t needed = (used + page - 1) / page * page;
    salvage->header.len = salvage->header.len > needed ? salvage->header.len : needed;
    log_segment_header_encode(&salvage->header, header);
    log_files_name(salvage->header.number, name);
    unnamed(name, file);
    int error_number = write_new(salvage->to, file, bytes_of(header, sizeof header),
                                 buffer_bytes(&salvage->records), salvage->header.len);
    if (error_number != 0) {
        return fail(salvage, file, error_number);
    }
    salvage->segment_count++;
    buffer_clear(&salvage->records);
    return true;
}

/* Of a damaged header nothing is known: all segments are one server's. */
static void know_owner(struct log_segment_header *header, const struct log_segment_header *before)
{
    if (id_bytes_is_zero(header->server)) {
        memcpy(header->server, before->server, ID_LEN);
        memcpy(header->cluster, before->cluster, ID_LEN);
        header->incarnation = before->incarnation;
    }
}

/* `from`: the header of the segment in which the checkpoint was found. */
static bool begin_segment(struct salvage *salvage, const struct log_segment_header *from)
{
    uint64_t number = salvage->is_begun ? salvage->header.number + 1 : from->number;
    if (!end_segment(salvage)) {
        return false;
    }
    const struct log_segment_header before = salvage->header;
    salvage->header = *from;
    know_owner(&salvage->header, &before);
    salvage->header.number = number;
    salvage->header.previous_last = salvage->is_begun ? salvage->last : 0;
    salvage->header.previous_chain = salvage->chain;
    salvage->header.first = salvage->is_begun ? salvage->last + 1 : 1;
    random_fill(&salvage->header.salt, sizeof salvage->header.salt);
    salvage->is_begun = true;
    return true;
}

/* --- records --- */

static void append_record(struct salvage *salvage, struct log_record_header header,
                          struct bytes payload)
{
    uint64_t len = log_record_len(payload.len);
    uint8_t *end = buffer_reserve(&salvage->records, len);
    if (!end) {
        return;
    }
    memset(end, 0, len);
    log_record_header_encode(&header, payload, salvage->chain, salvage->header.salt, end);
    if (payload.len > 0) {
        memcpy(end + LOG_RECORD_HEADER_LEN, payload.data, payload.len);
    }
    salvage->records.len += len;
    salvage->chain = header.chain;
    salvage->record_count++;
    salvage->operation_count += header.type == LOG_OPERATIONS ? header.count : 0;
}

static void append_waiting(struct salvage *salvage)
{
    struct bytes rest = buffer_bytes(&salvage->waiting);
    while (rest.len > 0) {
        struct log_record_header header;
        memcpy(&header, rest.data, sizeof header);
        const uint8_t *payload = (const uint8_t *)rest.data + sizeof header;
        append_record(salvage, header, bytes_of(payload, header.payload_len));
        rest =
            bytes_of(payload + header.payload_len, rest.len - sizeof header - header.payload_len);
    }
    salvage->records.failed = salvage->records.failed || salvage->waiting.failed;
    buffer_fini(&salvage->waiting);
    salvage->waiting = (struct buffer){0};
}

static void keep_waiting(struct salvage *salvage, const struct log_record_header *header,
                         struct bytes payload)
{
    buffer_append(&salvage->waiting, header, sizeof *header);
    buffer_append_bytes(&salvage->waiting, payload);
}

static void raise(uint64_t *stamp, uint64_t to)
{
    *stamp = to > *stamp ? to : *stamp;
}

/* --- what the walk tells --- */

static bool on_gap(void *context, const struct log_gap *gap)
{
    struct salvage *salvage = context;
    log_left_gap(&salvage->left, gap, salvage->last);
    return true;
}

static bool on_segment(void *context, const struct log_segment_report *report)
{
    struct salvage *salvage = context;
    salvage->is_damaged = salvage->is_damaged || report->state == LOG_STATE_DAMAGED ||
                          report->state == LOG_STATE_MISSING;
    salvage->has_newer = salvage->has_newer || report->is_newer;
    return true;
}

static bool is_wanted(const struct salvage *salvage, const struct log_record_header *header)
{
    bool is_known = header->type == LOG_OPERATIONS || header->type == LOG_CONTROL ||
                    header->type == LOG_CHECKPOINT;
    return is_known && header->first > salvage->last && header->first < UINT64_MAX - header->count;
}

static bool begin_with_checkpoint(struct salvage *salvage, const struct log_segment_header *from,
                                  struct log_record_header header, struct bytes payload)
{
    if (!begin_segment(salvage, from)) {
        return false;
    }
    append_record(salvage, header, payload);
    append_waiting(salvage);
    return true;
}

/* The accounts, and behind the byte that says what it is the same as in a checkpoint. */
static bool begin_with_state(struct salvage *salvage, const struct log_seen *seen)
{
    struct log_record_header header = {
        .first = 1, .type = LOG_CHECKPOINT, .account_count = seen->header->account_count};
    struct buffer payload = {0};
    struct bytes accounts;
    struct bytes blob;
    if (!log_payload_split(seen->header, seen->payload, &accounts, &blob) || blob.len == 0 ||
        *(const uint8_t *)blob.data != LOG_STATE) {
        return true;
    }
    buffer_append_bytes(&payload, accounts);
    buffer_append(&payload, (const uint8_t *)blob.data + 1, blob.len - 1);
    salvage->records.failed = salvage->records.failed || payload.failed;
    bool is_begun = begin_with_checkpoint(salvage, seen->segment, header, buffer_bytes(&payload));
    salvage->record_count--;
    buffer_fini(&payload);
    return is_begun;
}

static bool on_record(void *context, const struct log_seen *seen)
{
    struct salvage *salvage = context;
    const struct log_record_header *header = seen->header;
    raise(&salvage->highest, header->durable);
    raise(&salvage->highest, header->first + header->count);
    if (!is_wanted(salvage, header)) {
        log_left_out(&salvage->left, header);
        return true;
    }
    if (header->count > 0) {
        log_left_end_gap(&salvage->left, header->first);
    }
    if (id_bytes_is_zero(salvage->first.server)) {
        salvage->first = *seen->segment;
    }
    bool is_first = seen->offset == LOG_SEGMENT_HEADER_LEN || !salvage->is_begun;
    if (header->type == LOG_CONTROL && !salvage->is_begun && !begin_with_state(salvage, seen)) {
        return false;
    }
    if (header->type == LOG_CHECKPOINT && is_first) {
        if (!begin_with_checkpoint(salvage, seen->segment, *header, seen->payload)) {
            return false;
        }
    } else if (salvage->is_begun) {
        append_record(salvage, *header, seen->payload);
    } else {
        keep_waiting(salvage, header, seen->payload);
    }
    if (header->count > 0) {
        salvage->last = log_record_last(header);
    }
    return true;
}

static void append_fence(struct salvage *salvage)
{
    uint8_t blob[] = {LOG_TICK};
    raise(&salvage->highest, stamp_of_ms(clock_wall_ms()));
    const struct log_record_header header = {
        .first = salvage->highest + FENCE_ABOVE,
        .durable = salvage->last,
        .count = 1,
        .type = LOG_CONTROL,
    };
    append_record(salvage, header, bytes_of(blob, sizeof blob));
    salvage->last = header.first;
    raise(&salvage->highest, header.first + 1);
    salvage->record_count--;
}

/* All before it is synced before it has a name. */
static void append_marker(struct salvage *salvage)
{
    const struct log_record_header header = {
        .first = salvage->highest, .durable = salvage->last, .type = LOG_MARKER};
    append_record(salvage, header, bytes_of(NULL, 0));
    salvage->record_count--;
}

/* --- the tree, and the names --- */

static int copy(struct file *from, struct file *to)
{
    uint8_t *piece = malloc(COPY_LEN);
    int error_number = piece ? 0 : ENOMEM;
    uint64_t len = file_len(from);
    for (uint64_t done = 0; done < len && error_number == 0; done += COPY_LEN) {
        size_t part = len - done < COPY_LEN ? (size_t)(len - done) : COPY_LEN;
        error_number = file_read(from, done, piece, part);
        if (error_number == 0) {
            error_number = file_write(to, done, piece, part);
        }
    }
    free(piece);
    return error_number ? error_number : file_sync(to);
}

static bool say_tree(struct salvage *salvage, struct dir *from, int error_number)
{
    salvage->code = failure_say(EXIT_CODE_UNAVAILABLE,
                                "%s: cannot read %s/" LOG_TREE_NAME
                                ": %s; to give up what only the tree had: --without-tree",
                                salvage->command, dir_path(from), strerror(error_number));
    return false;
}

static bool copy_tree(struct salvage *salvage, const struct log_files *files)
{
    int error_number = 0;
    struct dir *from = files->dir;
    if (salvage->is_without_tree) {
        return true;
    }
    if (files->is_tree_empty) {
        return say_tree(salvage, from, ENODATA);
    }
    struct file *source = file_open(from, LOG_TREE_NAME, FILE_READ, &error_number);
    if (!source) {
        return say_tree(salvage, from, error_number);
    }
    struct file *target = file_open(salvage->to, UNNAMED LOG_TREE_NAME, FILE_NEW, &error_number);
    if (target) {
        error_number = copy(source, target);
    }
    file_close(source);
    file_close(target);
    return error_number == 0 || fail(salvage, LOG_TREE_NAME, error_number);
}

static bool write_file(struct salvage *salvage, const char *name, struct bytes data)
{
    char file[UNNAMED_LEN];
    unnamed(name, file);
    int error_number = write_new(salvage->to, file, data, bytes_of(NULL, 0), data.len);
    return error_number == 0 || fail(salvage, file, error_number);
}

/* The number before stands in the other slot, as a server leaves it. */
static bool write_note(struct salvage *salvage)
{
    uint8_t note[LOG_NEWEST_LEN];
    uint64_t newest = salvage->header.number;
    log_newest_encode(newest, note + newest % 2 * LOG_NEWEST_SLOT_LEN);
    log_newest_encode(newest - 1, note + (newest - 1) % 2 * LOG_NEWEST_SLOT_LEN);
    return write_file(salvage, LOG_NEWEST_NAME, bytes_of(note, sizeof note));
}

static bool write_marks(struct salvage *salvage)
{
    return write_file(salvage, LOG_RECOUNT_NAME, bytes_of(NULL, 0)) &&
           (!salvage->is_without_tree || write_file(salvage, LOG_NO_TREE_NAME, bytes_of(NULL, 0)));
}

static bool give_name(struct salvage *salvage, const char *name)
{
    char file[UNNAMED_LEN];
    unnamed(name, file);
    int error_number = dir_rename(salvage->to, file, name);
    if (error_number == 0) {
        error_number = dir_sync(salvage->to);
    }
    return error_number == 0 || fail(salvage, name, error_number);
}

/* All that a log must have beside it. */
static bool give_other_names(struct salvage *salvage)
{
    return give_name(salvage, LOG_RECOUNT_NAME) &&
           give_name(salvage, salvage->is_without_tree ? LOG_NO_TREE_NAME : LOG_TREE_NAME) &&
           give_name(salvage, LOG_NEWEST_NAME);
}

static bool give_names(struct salvage *salvage)
{
    char name[LOG_FILE_NAME_LEN];
    for (uint32_t i = 0; i < salvage->segment_count; i++) {
        bool is_oldest = i + 1 == salvage->segment_count;
        if (is_oldest && !give_other_names(salvage)) {
            return false;
        }
        log_files_name(salvage->header.number - i, name);
        if (!give_name(salvage, name)) {
            return false;
        }
    }
    return true;
}

/* --- without a checkpoint --- */

/* NULL: the tree does. A newer server's log is no damaged one, though a damaged one may look like it. */
static const char *why_nothing_tells(const struct salvage *salvage, const struct log_files *files)
{
    if (salvage->has_newer) {
        return "a segment is of a newer version, whose shardkv can read it";
    }
    if (salvage->is_without_tree) {
        return "the tree is given up: nothing else tells what the server owns";
    }
    if (!files->has_tree || files->is_tree_empty) {
        return files->has_tree ? "the tree is empty: nothing else tells what the server owns"
                               : "the tree is missing: nothing else tells what the server owns";
    }
    return NULL;
}

static bool begin_with_tree(struct salvage *salvage, const struct log_files *files)
{
    const struct log_record_header header = {.first = 1, .type = LOG_CHECKPOINT};
    const char *why = why_nothing_tells(salvage, files);
    uint64_t oldest = files->count > 0 ? files->numbers[0] : files->newest;
    if (why) {
        salvage->code = failure_say(EXIT_CODE_UNAVAILABLE,
                                    "%s: no checkpoint can be read, and %s; nothing that a server "
                                    "could start on was written",
                                    salvage->command, why);
        return false;
    }
    salvage->begins_with_tree = true;
    salvage->first.number = oldest > 0 ? oldest : 1;
    bool is_begun =
        begin_with_checkpoint(salvage, &salvage->first, header, bytes_text(LOG_STATE_IN_TREE));
    salvage->record_count--;
    return is_begun;
}

/* --- all of it --- */

/*
 * Without its note nobody knows whether the newest segment is there. And what is in the tree alone is told as durable
 * by records that are kept: the log must not end below it.
 */
static bool needs_fence(const struct salvage *salvage, const struct log_files *files)
{
    return salvage->is_damaged || salvage->begins_with_tree || files->note != LOG_NOTE_FINE ||
           salvage->highest > salvage->last + 1;
}

static bool finish(struct salvage *salvage, const struct log_files *files)
{
    log_left_end_gap(&salvage->left, 0);
    if (!salvage->is_begun && !begin_with_tree(salvage, files)) {
        return false;
    }
    if (needs_fence(salvage, files)) {
        append_fence(salvage);
    }
    append_marker(salvage);
    return end_segment(salvage) && copy_tree(salvage, files) && write_note(salvage) &&
           write_marks(salvage) && give_names(salvage);
}

static enum exit_code print(struct salvage *salvage, const struct log_files *files)
{
    const struct log_saved saved = {
        .path = dir_path(salvage->to),
        .segments = salvage->segment_count,
        .records = salvage->record_count,
        .operations = salvage->operation_count,
        .has_tree = !salvage->is_without_tree,
        .begins_with_tree = salvage->begins_with_tree,
    };
    return log_left_print(&salvage->left, files, &saved);
}

static enum exit_code salvage_into(struct salvage *salvage, struct log_files *files)
{
    const struct log_walker walker = {
        .context = salvage, .on_record = on_record, .on_gap = on_gap, .on_segment = on_segment};
    enum exit_code code = log_files_walk(files, &walker);
    if (code == EXIT_CODE_DONE && salvage->code == EXIT_CODE_DONE && finish(salvage, files)) {
        code = print(salvage, files);
    }
    buffer_fini(&salvage->records);
    buffer_fini(&salvage->waiting);
    log_left_fini(&salvage->left);
    return code == EXIT_CODE_DONE ? salvage->code : code;
}

static enum exit_code open_target(struct session *session, struct salvage *salvage)
{
    char error[256];
    const char *path = session->arguments->to;
    salvage->to = dir_open(path, error, sizeof(error));
    if (!salvage->to) {
        return failure_say(EXIT_CODE_USAGE, "%s: %s", session->command, error);
    }
    return dir_is_empty(salvage->to) ? EXIT_CODE_DONE
                                     : session_say_usage(session, "%s is not empty", path);
}

enum exit_code log_salvage(struct session *session)
{
    struct salvage salvage = {.command = session->command,
                              .is_without_tree = session->arguments->without_tree};
    struct log_files files;
    if (!session->arguments->to) {
        return session_say_usage(session, "where? name a directory with --to");
    }
    enum exit_code code = log_files_open(&files, session->command, session_word(session, 0));
    if (code == EXIT_CODE_DONE) {
        salvage.is_without_tree = salvage.is_without_tree || dir_has(files.dir, LOG_NO_TREE_NAME);
        code = open_target(session, &salvage);
    }
    if (code == EXIT_CODE_DONE) {
        log_left_begin(&salvage.left, session->arguments->json);
        code = salvage_into(&salvage, &files);
    }
    dir_close(salvage.to);
    log_files_close(&files);
    return code;
}
