/* SPDX-License-Identifier: MIT */
#include "cli/log_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/endian.h"

#define NAME_PREFIX "log-"

enum { NAME_LEN = 4 + 16 };

enum { RECORD_AT_FIRST = 8 }; /* of a record's header, see proto/log.h: never 0 */

/* One segment while it is walked. */
struct visit {
    const struct log_walker *walker;
    struct log_segment_report *report;
    struct bytes bytes;
    struct log_segment_header header;      /* once it is known */
    const struct log_segment_header *next; /* NULL: there is none, or it cannot be read */
    bool is_last;
    bool goes_on;
};

struct walk {
    struct log_files *files;
    const struct log_walker *walker;
    struct log_scan scan;
    bool is_broken; /* nothing before is known to end where the next begins */
};

/* --- tallies --- */

void log_tally_add(struct log_tally *sum, const struct log_tally *part)
{
    sum->records += part->records;
    sum->operations += part->operations;
    sum->first = sum->first ? sum->first : part->first;
    sum->last = part->last ? part->last : sum->last;
}

void log_tally_write(struct json_writer *writer, const struct log_tally *tally)
{
    json_writer_number(writer, "records", tally->records);
    json_writer_number(writer, "operations", tally->operations);
    json_writer_version(writer, "first", tally->first);
    json_writer_version(writer, "last", tally->last);
}

/* --- the directory --- */

void log_files_name(uint64_t number, char name[LOG_FILE_NAME_LEN])
{
    (void)snprintf(name, LOG_FILE_NAME_LEN, NAME_PREFIX "%016" PRIx64, number);
}

static bool parse_name(const char *name, uint64_t *number)
{
    char same[LOG_FILE_NAME_LEN];
    char *end = NULL;
    if (strlen(name) != NAME_LEN) {
        return false;
    }
    uint64_t parsed = strtoull(name + strlen(NAME_PREFIX), &end, 16);
    log_files_name(parsed, same);
    *number = parsed;
    return strcmp(name, same) == 0;
}

static void on_name(void *context, const char *name)
{
    struct log_files *files = context;
    uint64_t number = 0;
    if (!parse_name(name, &number) || files->has_failed) {
        return;
    }
    if (files->count == files->capacity) {
        uint32_t capacity = files->capacity ? 2 * files->capacity : 16;
        uint64_t *numbers = reallocarray(files->numbers, capacity, sizeof(*numbers));
        if (!numbers) {
            files->has_failed = true;
            return;
        }
        files->numbers = numbers;
        files->capacity = capacity;
    }
    files->numbers[files->count++] = number;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;
    return (*left > *right) - (*left < *right);
}

static enum exit_code say_unreadable(const struct log_files *files, const char *name,
                                     int error_number)
{
    return failure_say(EXIT_CODE_UNAVAILABLE, "%s: cannot read %s/%s: %s", files->command,
                       dir_path(files->dir), name, strerror(error_number));
}

/* The first `len_max` bytes, or all. An errno. */
static int read_named(const struct log_files *files, const char *name, uint64_t len_max,
                      struct buffer *bytes)
{
    int error_number = 0;
    buffer_clear(bytes);
    struct file *file = file_open(files->dir, name, FILE_READ, &error_number);
    if (!file) {
        return error_number;
    }
    uint64_t len = file_len(file) < len_max ? file_len(file) : len_max;
    uint8_t *end = buffer_reserve(bytes, len);
    error_number = end ? file_read(file, 0, end, len) : ENOMEM;
    file_close(file);
    bytes->len = error_number ? 0 : len;
    return error_number;
}

static enum exit_code read_file(const struct log_files *files, uint64_t number, uint64_t len_max,
                                struct buffer *bytes)
{
    char name[LOG_FILE_NAME_LEN];
    log_files_name(number, name);
    int error_number = read_named(files, name, len_max, bytes);
    return error_number ? say_unreadable(files, name, error_number) : EXIT_CODE_DONE;
}

/* One byte more than it has: a longer one is none. */
static enum exit_code read_note(struct log_files *files)
{
    struct buffer bytes = {0};
    int error_number = read_named(files, LOG_NEWEST_NAME, LOG_NEWEST_LEN + 1, &bytes);
    files->note = LOG_NOTE_FINE;
    if (error_number == ENOENT) {
        files->note = LOG_NOTE_MISSING;
    } else if (!log_newest_decode(buffer_bytes(&bytes), &files->newest)) {
        files->note = LOG_NOTE_DAMAGED;
    }
    buffer_fini(&bytes);
    return error_number == 0 || error_number == ENOENT
               ? EXIT_CODE_DONE
               : say_unreadable(files, LOG_NEWEST_NAME, error_number);
}

/* No server leaves one that is: a new tree gets its name when it is whole. */
static bool is_empty(const struct log_files *files, const char *name)
{
    int error_number = 0;
    struct file *file = file_open(files->dir, name, FILE_READ, &error_number);
    bool is_without_bytes = file && file_len(file) == 0;
    file_close(file);
    return is_without_bytes;
}

static enum exit_code look(struct log_files *files)
{
    int error_number = dir_list(files->dir, NAME_PREFIX, on_name, files);
    if (error_number != 0) {
        return failure_say(EXIT_CODE_UNAVAILABLE, "%s: %s: %s", files->command,
                           dir_path(files->dir), strerror(error_number));
    }
    if (files->has_failed) {
        return failure_say_no_memory();
    }
    if (files->count > 0) {
        qsort(files->numbers, files->count, sizeof(*files->numbers), compare_numbers);
    }
    files->has_tree = dir_has(files->dir, LOG_TREE_NAME);
    files->is_tree_empty = files->has_tree && is_empty(files, LOG_TREE_NAME);
    enum exit_code code = read_note(files);
    if (files->count == 0 && files->note == LOG_NOTE_MISSING && !files->has_tree) {
        return failure_say(EXIT_CODE_USAGE, "%s: %s: no log is in it, nor anything of a server",
                           files->command, dir_path(files->dir));
    }
    return code;
}

enum exit_code log_files_open(struct log_files *files, const char *command, const char *path)
{
    char error[256];
    *files = (struct log_files){.command = command};
    files->dir = dir_open_existing(path, error, sizeof(error));
    if (!files->dir) {
        return failure_say(EXIT_CODE_USAGE, "%s: %s", command, error);
    }
    return look(files);
}

void log_files_close(struct log_files *files)
{
    dir_close(files->dir);
    free(files->numbers);
    *files = (struct log_files){0};
}

/* --- beside the segments --- */

static bool is_without_segments(const struct log_files *files)
{
    return files->count == 0 && (files->note != LOG_NOTE_FINE || files->newest > 0);
}

bool log_files_fault(const struct log_files *files, unsigned index, char text[LOG_FAULT_TEXT_LEN])
{
    const struct {
        bool is_there;
        const char *text;
    } faults[] = {
        {is_without_segments(files), "no segment is there: the log is missing"},
        {files->note == LOG_NOTE_MISSING,
         LOG_NEWEST_NAME " is missing: whether the newest segment is there cannot be told"},
        {files->note == LOG_NOTE_DAMAGED, LOG_NEWEST_NAME " is damaged: whether the newest segment "
                                                          "is there cannot be told"},
        {files->note == LOG_NOTE_FINE && files->count > 0 &&
             files->numbers[files->count - 1] > files->newest + 1,
         LOG_NEWEST_NAME " is damaged: it tells of a segment long before the newest"},
        {files->is_tree_empty, LOG_TREE_NAME " is empty: what is no longer in the log is lost"},
        {!files->has_tree && !dir_has(files->dir, LOG_NO_TREE_NAME),
         LOG_TREE_NAME " is missing, and with it what is no longer in the log"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        if (faults[i].is_there && index-- == 0) {
            (void)snprintf(text, LOG_FAULT_TEXT_LEN, "%s", faults[i].text);
            return true;
        }
    }
    return false;
}

void log_missing_print(const char *file, uint64_t number, uint64_t missing_count,
                       char text[LOG_FAULT_TEXT_LEN])
{
    char last[LOG_FILE_NAME_LEN];
    log_files_name(number + missing_count - 1, last);
    if (missing_count > 1) {
        (void)snprintf(text, LOG_FAULT_TEXT_LEN, "%s to %s", file, last);
    } else {
        (void)snprintf(text, LOG_FAULT_TEXT_LEN, "%s", file);
    }
}

/* False when there is no next, or it does not say where this one ends. */
static bool read_next_header(const struct log_files *files, uint32_t index,
                             struct log_segment_header *header)
{
    struct buffer bytes = {0};
    bool is_next = index + 1 < files->count &&
                   files->numbers[index + 1] == files->numbers[index] + 1 &&
                   read_file(files, files->numbers[index + 1], LOG_SEGMENT_HEADER_LEN, &bytes) ==
                       EXIT_CODE_DONE &&
                   bytes.len == LOG_SEGMENT_HEADER_LEN &&
                   log_segment_header_decode(bytes.data, header) == LOG_FINE &&
                   header->number == files->numbers[index + 1];
    buffer_fini(&bytes);
    return is_next;
}

/* --- one segment --- */

static void count(struct log_tally *tally, const struct log_record_header *header)
{
    tally->records++;
    tally->operations += header->type == LOG_OPERATIONS ? header->count : 0;
    if (header->count > 0) {
        tally->first = tally->first ? tally->first : header->first;
        tally->last = log_record_last(header);
    }
}

static void tell_record(struct visit *visit, const struct log_record_header *header,
                        struct bytes payload, uint64_t offset, bool is_behind)
{
    const struct log_seen seen = {&visit->header, visit->report->file, offset, is_behind, header,
                                  payload};
    count(is_behind ? &visit->report->behind : &visit->report->holds, header);
    visit->goes_on =
        !visit->walker->on_record || visit->walker->on_record(visit->walker->context, &seen);
}

static bool on_record(void *context, const struct log_record_header *header, struct bytes payload,
                      uint64_t offset)
{
    struct visit *visit = context;
    tell_record(visit, header, payload, offset, false);
    return visit->goes_on;
}

/* Where no payload tells what a record was, its header may: damage is mostly in what takes most room. */
static void count_headers(const struct visit *visit, uint64_t salt, struct log_gap *gap)
{
    struct log_record_header header;
    uint64_t at = gap->from;
    uint64_t to = gap->to < visit->bytes.len ? gap->to : visit->bytes.len; /* a file may be cut */
    while (at + LOG_RECORD_HEADER_LEN <= to) {
        const uint8_t *bytes = (const uint8_t *)visit->bytes.data + at;
        bool is_header = endian_get_le64(bytes + RECORD_AT_FIRST) != 0 &&
                         log_record_header_decode(bytes, salt, &header) &&
                         log_record_len(header.payload_len) <= gap->to - at;
        if (is_header) {
            count(&gap->told, &header);
        }
        at += is_header ? log_record_len(header.payload_len) : 8;
    }
}

/* `salt`: of the segment; NULL when it is not known. */
static void tell_gap(struct visit *visit, uint64_t from, uint64_t to, const uint64_t *salt)
{
    struct log_gap gap = {
        .file = visit->report->file, .number = visit->report->number, .from = from, .to = to};
    if (visit->goes_on && visit->walker->on_gap) {
        if (salt) {
            count_headers(visit, *salt, &gap);
        }
        visit->goes_on = visit->walker->on_gap(visit->walker->context, &gap);
    }
}

/* What lies behind a sealed end was cut by a recovery, and has perhaps been copied behind it. */
static bool is_behind_end(const struct visit *visit, const struct log_record_header *header)
{
    return visit->next && header->count > 0 && log_record_last(header) > visit->next->previous_last;
}

static void look_behind(struct visit *visit, uint64_t offset, uint64_t salt)
{
    struct log_record_header header;
    struct bytes payload;
    uint64_t end = offset;
    bool is_at_end = false;
    while (visit->goes_on && !is_at_end) {
        uint64_t found = log_scan_find(visit->bytes, end, salt, &header, &payload);
        if (found == visit->bytes.len || is_behind_end(visit, &header)) {
            break;
        }
        if (end < found) {
            tell_gap(visit, end, found, &salt);
        }
        if (visit->goes_on) {
            tell_record(visit, &header, payload, found, true);
        }
        end = found + log_record_len(header.payload_len);
        is_at_end = visit->next && header.chain == visit->next->previous_chain;
    }
    /* The last segment ends somewhere behind the last record that was found, unless it is cut. */
    uint64_t len = visit->header.len;
    bool is_cut = visit->bytes.len < len;
    len = is_cut ? len : visit->bytes.len;
    if (!is_at_end && end < len && (visit->next || end == offset || is_cut)) {
        tell_gap(visit, end, len, &salt);
    }
}

static enum log_state state_of(enum log_verdict verdict)
{
    switch (verdict) {
    case LOG_SCAN_FINE:
        return LOG_STATE_FINE;
    case LOG_SCAN_TORN:
        return LOG_STATE_TORN;
    case LOG_SCAN_DAMAGED:
        break;
    }
    return LOG_STATE_DAMAGED;
}

static enum log_verdict damaged_at(struct log_segment_report *report, uint64_t offset,
                                   const char *reason)
{
    (void)snprintf(report->text, sizeof(report->text), "offset %" PRIu64 ": %s", offset, reason);
    return LOG_SCAN_DAMAGED;
}

/* Behind damage the next segment stands alone: it must only be whole in itself. */
static bool scan_segment(struct walk *walk, struct visit *visit)
{
    struct log_segment_report *report = visit->report;
    if (walk->is_broken) {
        walk->scan = (struct log_scan){0};
    }
    struct log_scan *scan = &walk->scan;
    uint32_t begun = scan->segment_count;
    enum log_verdict verdict =
        log_scan_segment(scan, visit->bytes, visit->next, 0, on_record, visit, report->text);
    if (verdict == LOG_SCAN_TORN && !visit->is_last) {
        verdict = damaged_at(report, scan->end, "no whole record, and the end is not known");
    }
    if (verdict != LOG_SCAN_DAMAGED && scan->header.number != report->number) {
        verdict = damaged_at(report, 0, "a segment of another number");
    }
    report->state = state_of(verdict);
    if (scan->segment_count > begun) {
        report->end = scan->end;
        report->durable = scan->durable;
        report->chain = scan->chain;
        report->is_stopped = scan->is_stopped;
    }
    return verdict != LOG_SCAN_DAMAGED;
}

/* A header is mostly damaged elsewhere than in its salt: all else of it is then not believed, but the records are. */
static bool guess_salt(struct visit *visit)
{
    struct log_record_header header;
    struct bytes payload;
    if (visit->bytes.len < LOG_SEGMENT_HEADER_LEN || visit->report->is_newer) {
        return false;
    }
    uint64_t salt = log_segment_header_salt(visit->bytes.data);
    visit->header = (struct log_segment_header){
        .number = visit->report->number, .salt = salt, .len = visit->bytes.len};
    return log_scan_find(visit->bytes, LOG_SEGMENT_HEADER_LEN, salt, &header, &payload) <
           visit->bytes.len;
}

/* Of one whose header is damaged. */
static void look_without_header(struct visit *visit)
{
    if (!guess_salt(visit)) {
        tell_gap(visit, 0, visit->bytes.len, NULL);
        return;
    }
    tell_gap(visit, 0, LOG_SEGMENT_HEADER_LEN, NULL);
    look_behind(visit, LOG_SEGMENT_HEADER_LEN, visit->header.salt);
}

static void visit_segment(struct walk *walk, struct visit *visit)
{
    enum log_fault fault = visit->bytes.len < LOG_SEGMENT_HEADER_LEN
                               ? LOG_DAMAGED
                               : log_segment_header_decode(visit->bytes.data, &visit->header);
    bool has_header = fault == LOG_FINE;
    visit->report->is_newer = fault == LOG_NEWER_FORMAT;
    visit->report->follows = has_header ? visit->header.previous_last : 0;
    walk->is_broken = !scan_segment(walk, visit);
    if (!walk->is_broken || !visit->goes_on) {
        return;
    }
    if (has_header) {
        uint64_t end = visit->report->end;
        look_behind(visit, end ? end : LOG_SEGMENT_HEADER_LEN, visit->header.salt);
    } else {
        look_without_header(visit);
    }
}

static bool tell_segment(const struct visit *visit)
{
    return visit->goes_on && (!visit->walker->on_segment ||
                              visit->walker->on_segment(visit->walker->context, visit->report));
}

static bool tell_missing(struct walk *walk, uint64_t number, uint64_t missing_count)
{
    struct log_segment_report report = {
        .number = number, .missing_count = missing_count, .state = LOG_STATE_MISSING};
    const struct log_gap gap = {
        .file = report.file, .number = number, .missing_count = missing_count};
    const struct log_walker *walker = walk->walker;
    log_files_name(number, report.file);
    walk->is_broken = true;
    return (!walker->on_gap || walker->on_gap(walker->context, &gap)) &&
           (!walker->on_segment || walker->on_segment(walker->context, &report));
}

static enum exit_code walk_file(struct walk *walk, uint32_t index, struct buffer *bytes,
                                bool *goes_on)
{
    const struct log_files *files = walk->files;
    struct log_segment_report report = {.number = files->numbers[index]};
    struct log_segment_header next;
    enum exit_code code = read_file(files, report.number, UINT64_MAX, bytes);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    log_files_name(report.number, report.file);
    report.len = bytes->len;
    struct visit visit = {
        .walker = walk->walker,
        .report = &report,
        .bytes = buffer_bytes(bytes),
        .next = read_next_header(files, index, &next) ? &next : NULL,
        .is_last = index + 1 == files->count && files->newest <= report.number,
        .goes_on = true,
    };
    visit_segment(walk, &visit);
    /* With its successor's header lost, nobody knows where it ends. */
    walk->is_broken = walk->is_broken || (!visit.next && !visit.is_last);
    *goes_on = tell_segment(&visit);
    return EXIT_CODE_DONE;
}

enum exit_code log_files_walk(struct log_files *files, const struct log_walker *walker)
{
    struct walk walk = {.files = files, .walker = walker};
    struct buffer bytes = {0};
    enum exit_code code = EXIT_CODE_DONE;
    bool goes_on = true;
    uint64_t expected = files->count > 0 ? files->numbers[0] : files->newest;
    for (uint32_t i = 0; i < files->count && goes_on && code == EXIT_CODE_DONE; i++) {
        if (files->numbers[i] != expected) {
            goes_on = tell_missing(&walk, expected, files->numbers[i] - expected);
        }
        if (goes_on) {
            code = walk_file(&walk, i, &bytes, &goes_on);
        }
        expected = files->numbers[i] + 1;
    }
    if (goes_on && code == EXIT_CODE_DONE && files->newest > 0 && expected <= files->newest) {
        (void)tell_missing(&walk, expected, files->newest - expected + 1);
    }
    buffer_fini(&bytes);
    return code;
}
