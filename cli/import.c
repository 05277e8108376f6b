/* SPDX-License-Identifier: MIT */

/*
 * Writes the records of a file, a batch after another.
 *
 *     line ──> parse ──> batch ──> run ──> count, acknowledge, complain
 *               └ bad: said by number, and on
 *
 * A line is acknowledged in --acks only after the cluster has answered that it is durable. When a
 * batch stays without an answer for its whole time the import stops: the lines behind it are
 * counted as unsent, so that the counts are always those of the whole input.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/actions.h"
#include "cli/input.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/record_line.h"
#include "proto/noun.h"
#include "proto/table.h"

/* Large enough that a synced commit is shared by many, small enough to show progress. */
#define BATCH_LINES_MAX 2000
#define BATCH_BYTES_MAX (8u << 20)

/* A server that is restarted is back within this. */
#define BATCH_TIMEOUT_MS 30000

struct import_counts {
    uint64_t lines; /* looked at; blank ones are none */
    uint64_t done;
    uint64_t existing;
    uint64_t expired; /* lines of records whose time was over */
    uint64_t refused;
    uint64_t unknown;
    uint64_t unsent;
    uint64_t bad;
};

struct import {
    struct session *session;
    const char *path;
    enum record_line_format format;
    struct input *input;
    uint64_t line_number;
    struct record_line line;

    struct skv_batch *batch;
    struct skv_call call;
    uint64_t batch_lines[BATCH_LINES_MAX]; /* the number of each item's line */
    size_t batch_bytes;

    int acks; /* file descriptor, or -1 */
    struct buffer ack_text;

    struct import_counts counts;
    struct progress progress;
    bool is_stopped;
    enum exit_code code;
};

static void complain(struct import *import, enum exit_code code, uint64_t line_number,
                     const char *text)
{
    progress_clear(&import->progress);
    (void)failure_say(code, "import: %s: line %" PRIu64 ": %s", import->path, line_number, text);
    import->code = failure_worst(import->code, code);
}

static void stop(struct import *import, enum exit_code code)
{
    import->is_stopped = true;
    import->code = failure_worst(import->code, code);
}

/* --- a batch --- */

static void acknowledge(struct import *import, uint64_t line_number)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%" PRIu64 "\n", line_number);
    buffer_append(&import->ack_text, text, (size_t)len);
}

/* One write for all lines of the batch. */
static void write_acks(struct import *import)
{
    struct buffer *text = &import->ack_text;
    if (import->acks < 0 || text->len == 0) {
        return;
    }
    errno = text->failed ? ENOMEM : ENOSPC;
    ssize_t len = text->failed ? -1 : write(import->acks, text->data, text->len);
    if (len != (ssize_t)text->len) {
        progress_clear(&import->progress);
        stop(import, failure_say(EXIT_CODE_UNAVAILABLE, "import: cannot write %s: %s",
                                 import->session->arguments->acks, strerror(errno)));
    }
    buffer_clear(text);
}

/* Without an answer: each line that may have been written is named, of those that were not the first. */
static void count_unanswered(struct import *import, size_t index, enum exit_code code)
{
    struct import_counts *counts = &import->counts;
    const char *text = skv_batch_text(import->batch, index);
    if (code == EXIT_CODE_UNKNOWN) {
        counts->unknown++;
        complain(import, code, import->batch_lines[index], text);
    } else if (counts->unsent++ == 0) {
        complain(import, code, import->batch_lines[index], text);
    }
    stop(import, code);
}

static void count_item(struct import *import, size_t index)
{
    struct import_counts *counts = &import->counts;
    enum skv_status status = skv_batch_status(import->batch, index);
    enum exit_code code = failure_code(status);
    if (status == SKV_OK) {
        counts->done++;
        acknowledge(import, import->batch_lines[index]);
    } else if (status == SKV_CONDITION && import->call.if_absent) {
        counts->existing++;
    } else if (code == EXIT_CODE_REFUSED) {
        counts->refused++;
        complain(import, code, import->batch_lines[index], skv_batch_text(import->batch, index));
    } else {
        count_unanswered(import, index, code);
    }
}

static void run_batch(struct import *import)
{
    size_t count = skv_batch_count(import->batch);
    if (count == 0) {
        return;
    }
    /* Each item's own status tells more than the first failure of all. */
    enum skv_status first_failure = skv_batch_run(import->batch);
    (void)first_failure;
    for (size_t i = 0; i < count; i++) {
        count_item(import, i);
    }
    write_acks(import);
    skv_batch_clear(import->batch);
    import->batch_bytes = 0;
    progress_show(&import->progress, import->counts.lines, input_taken_bytes(import->input),
                  input_total_bytes(import->input));
}

/* --- lines --- */

static bool is_blank(struct bytes line)
{
    const char *bytes = line.data;
    for (size_t i = 0; i < line.len; i++) {
        if (bytes[i] != ' ' && bytes[i] != '\t' && bytes[i] != '\r') {
            return false;
        }
    }
    return true;
}

static void complain_bad(struct import *import, const char *text)
{
    import->counts.bad++;
    complain(import, EXIT_CODE_USAGE, import->line_number, text);
}

/* With the line's expiry: what was left of it is left of it. */
static struct skv_call call_of(const struct import *import)
{
    const struct record_expiry *expiry = &import->line.expiry;
    struct skv_call call = import->call;
    if (import->line.is_entity) {
        call.table = table_name(TABLE_ENTITIES);
        call.has_kind = true;
        call.kind = import->line.kind;
    }
    if (expiry->left_ms > 0) {
        call.ttl_ms = expiry->ttl_ms;
        call.left_ms = (uint64_t)expiry->left_ms;
        call.sliding = expiry->is_sliding;
    }
    return call;
}

static void add_line(struct import *import, struct bytes text)
{
    if (!record_line_parse(&import->line, import->format, text)) {
        complain_bad(import, import->line.error);
        return;
    }
    if (import->line.expiry.left_ms == 0) {
        import->counts.expired++;
        return;
    }
    const struct skv_call call = call_of(import);
    const struct buffer *key = &import->line.key;
    const struct buffer *value = &import->line.value;
    size_t index = skv_batch_count(import->batch);
    import->batch_lines[index] = import->line_number;
    skv_batch_write(import->batch, (struct skv_bytes){key->data, key->len},
                    skv_msgpack(value->data, value->len), &call);
    if (skv_batch_count(import->batch) == index) {
        import->counts.unsent++;
        stop(import, failure_say_no_memory());
        return;
    }
    import->batch_bytes += key->len + value->len;
    if (skv_batch_count(import->batch) == BATCH_LINES_MAX ||
        import->batch_bytes >= BATCH_BYTES_MAX) {
        run_batch(import);
    }
}

static void take_line(struct import *import, struct bytes text, bool is_too_long)
{
    import->line_number++;
    if (!is_too_long && is_blank(text)) {
        return;
    }
    import->counts.lines++;
    if (import->is_stopped) {
        import->counts.unsent++;
    } else if (is_too_long) {
        complain_bad(import, "longer than 12 MiB");
    } else {
        add_line(import, text);
    }
}

/* Reads to the end even when stopped: whoever writes into a pipe is not to be broken off. */
static void take_all(struct import *import)
{
    struct bytes text;
    enum input_result result = input_next_line(import->input, RECORD_LINE_LEN_MAX, &text);
    while (result == INPUT_DONE || result == INPUT_TOO_LONG) {
        take_line(import, text, result == INPUT_TOO_LONG);
        result = input_next_line(import->input, RECORD_LINE_LEN_MAX, &text);
    }
    if (result == INPUT_FAILED) {
        const char *reason = strerror(errno);
        progress_clear(&import->progress);
        stop(import,
             failure_say(EXIT_CODE_USAGE, "import: cannot read %s: %s", import->path, reason));
    }
    run_batch(import);
}

/* --- the whole --- */

static enum exit_code print_counts(const struct import *import)
{
    const struct import_counts *counts = &import->counts;
    double seconds = (double)progress_elapsed_ms(&import->progress) / 1000;
    const struct {
        const char *name;
        uint64_t count;
    } parts[] = {
        {"done", counts->done},       {"existing", counts->existing}, {"expired", counts->expired},
        {"refused", counts->refused}, {"unknown", counts->unknown},   {"unsent", counts->unsent},
        {"bad", counts->bad},
    };
    const size_t part_count = sizeof(parts) / sizeof(parts[0]);
    if (!import->session->arguments->json) {
        (void)printf("%" PRIu64 " %s in %.1f s:", counts->lines,
                     noun_of(counts->lines, "line", "lines"), seconds);
        for (size_t i = 0; i < part_count; i++) {
            (void)printf("%s %" PRIu64 " %s", i ? "," : "", parts[i].count, parts[i].name);
        }
        (void)puts("");
        return EXIT_CODE_DONE;
    }
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_number(&writer, "lines", counts->lines);
    for (size_t i = 0; i < part_count; i++) {
        json_writer_number(&writer, parts[i].name, parts[i].count);
    }
    json_writer_float(&writer, "seconds", seconds);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static enum exit_code choose_format(struct import *import)
{
    const char *format = import->session->arguments->format;
    if (!format || strcmp(format, "jsonl") == 0) {
        import->format = RECORD_LINE_JSONL;
    } else if (strcmp(format, "lines") == 0) {
        import->format = RECORD_LINE_LINES;
    } else {
        return session_say_usage(import->session, "--format is jsonl or lines, not \"%s\"", format);
    }
    return EXIT_CODE_DONE;
}

static enum exit_code open_files(struct import *import)
{
    const char *acks = import->session->arguments->acks;
    import->input = input_open(import->path);
    if (!import->input) {
        return failure_say(EXIT_CODE_USAGE, "import: cannot open %s: %s", import->path,
                           strerror(errno));
    }
    if (acks) {
        import->acks = open(acks, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (import->acks < 0) {
            return failure_say(EXIT_CODE_USAGE, "import: cannot open %s: %s", acks,
                               strerror(errno));
        }
    }
    return EXIT_CODE_DONE;
}

static enum exit_code begin(struct import *import)
{
    enum exit_code code = choose_format(import);
    if (code == EXIT_CODE_DONE) {
        code = open_files(import);
    }
    if (code == EXIT_CODE_DONE) {
        code = session_open(import->session);
    }
    if (code == EXIT_CODE_DONE) {
        import->batch = skv_batch_new(import->session->kv);
        code = import->batch ? EXIT_CODE_DONE : failure_say_no_memory();
    }
    return code;
}

enum exit_code import_run(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    struct import import = {
        .session = session,
        .path = session_word(session, 0),
        .acks = -1,
        .call = {.if_absent = arguments->if_absent,
                 .timeout_ms =
                     arguments->timeout_ms ? (uint32_t)arguments->timeout_ms : BATCH_TIMEOUT_MS},
    };
    import.code = begin(&import);
    if (import.code == EXIT_CODE_DONE) {
        progress_start(&import.progress);
        take_all(&import);
        progress_clear(&import.progress);
        if (import.counts.unsent > 0) {
            (void)failure_say(import.code,
                              "import: %s: stopped before its end; when the cluster is "
                              "well, import it again with --if-absent",
                              import.path);
        }
        import.code = failure_worst(
            import.code, output_finish_change(print_counts(&import),
                                              "the import has run, and its counts are lost"));
    }
    skv_batch_free(import.batch);
    if (import.acks >= 0) {
        (void)close(import.acks);
    }
    record_line_fini(&import.line);
    buffer_fini(&import.ack_text);
    input_close(import.input);
    return import.code;
}
