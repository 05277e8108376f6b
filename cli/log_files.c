/* SPDX-License-Identifier: MIT */
#include "cli/log_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_PREFIX "log-"

enum { NAME_LEN = 4 + 16 };

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

enum exit_code log_files_open(struct log_files *files, const char *command, const char *path)
{
    char error[256];
    *files = (struct log_files){.command = command};
    files->dir = dir_open_existing(path, error, sizeof(error));
    if (!files->dir) {
        return failure_say(EXIT_CODE_USAGE, "%s: %s", command, error);
    }
    int error_number = dir_list(files->dir, NAME_PREFIX, on_name, files);
    if (error_number != 0) {
        return failure_say(EXIT_CODE_UNAVAILABLE, "%s: %s: %s", command, path,
                           strerror(error_number));
    }
    if (files->has_failed) {
        return failure_say_no_memory();
    }
    if (files->count == 0) {
        return failure_say(EXIT_CODE_USAGE, "%s: %s: no log is in it", command, path);
    }
    qsort(files->numbers, files->count, sizeof(*files->numbers), compare_numbers);
    return EXIT_CODE_DONE;
}

void log_files_close(struct log_files *files)
{
    dir_close(files->dir);
    free(files->numbers);
    *files = (struct log_files){0};
}

static enum exit_code say_unreadable(const struct log_files *files, const char *name,
                                     int error_number)
{
    return failure_say(EXIT_CODE_UNAVAILABLE, "%s: cannot read %s/%s: %s", files->command,
                       dir_path(files->dir), name, strerror(error_number));
}

/* The first `len_max` bytes, or all. */
static enum exit_code read_file(const struct log_files *files, uint64_t number, uint64_t len_max,
                                struct buffer *bytes)
{
    char name[LOG_FILE_NAME_LEN];
    int error_number = 0;
    log_files_name(number, name);
    buffer_clear(bytes);
    struct file *file = file_open(files->dir, name, FILE_READ, &error_number);
    if (!file) {
        return say_unreadable(files, name, error_number);
    }
    uint64_t len = file_len(file) < len_max ? file_len(file) : len_max;
    uint8_t *end = buffer_reserve(bytes, len);
    error_number = end ? file_read(file, 0, end, len) : ENOMEM;
    file_close(file);
    if (error_number != 0) {
        return say_unreadable(files, name, error_number);
    }
    bytes->len = len;
    return EXIT_CODE_DONE;
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

static void tell_gap(struct visit *visit, uint64_t from, uint64_t to)
{
    if (visit->goes_on && from < to && visit->walker->on_gap) {
        visit->goes_on =
            visit->walker->on_gap(visit->walker->context, visit->report->file, from, to);
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
        tell_gap(visit, end, found);
        if (visit->goes_on) {
            tell_record(visit, &header, payload, found, true);
        }
        end = found + log_record_len(header.payload_len);
        is_at_end = visit->next && header.chain == visit->next->previous_chain;
    }
    /* The last segment ends somewhere behind the last record that was found. */
    if (!is_at_end && (visit->next || end == offset)) {
        tell_gap(visit, end, visit->bytes.len);
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

static void visit_segment(struct walk *walk, struct visit *visit)
{
    bool has_header = visit->bytes.len >= LOG_SEGMENT_HEADER_LEN &&
                      log_segment_header_decode(visit->bytes.data, &visit->header) == LOG_FINE;
    walk->is_broken = !scan_segment(walk, visit);
    if (!walk->is_broken || !visit->goes_on) {
        return;
    }
    if (has_header) {
        uint64_t end = visit->report->end;
        look_behind(visit, end ? end : LOG_SEGMENT_HEADER_LEN, visit->header.salt);
    } else {
        tell_gap(visit, 0, visit->bytes.len);
    }
}

static bool tell_segment(const struct visit *visit)
{
    return visit->goes_on && (!visit->walker->on_segment ||
                              visit->walker->on_segment(visit->walker->context, visit->report));
}

static bool tell_missing(struct walk *walk, uint64_t number)
{
    struct log_segment_report report = {.number = number, .state = LOG_STATE_MISSING};
    const struct log_walker *walker = walk->walker;
    log_files_name(number, report.file);
    walk->is_broken = true;
    return (!walker->on_gap || walker->on_gap(walker->context, report.file, 0, 0)) &&
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
        .is_last = index + 1 == files->count,
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
    for (uint32_t i = 0; i < files->count && goes_on && code == EXIT_CODE_DONE; i++) {
        uint64_t expected = i > 0 ? files->numbers[i - 1] + 1 : files->numbers[0];
        if (files->numbers[i] != expected) {
            goes_on = tell_missing(&walk, expected);
        }
        if (goes_on) {
            code = walk_file(&walk, i, &bytes, &goes_on);
        }
    }
    buffer_fini(&bytes);
    return code;
}
