/* SPDX-License-Identifier: MIT */

/* log verify: whether the log of a directory is whole, and what is known behind damage (RULES L3). */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/actions.h"
#include "cli/json_writer.h"
#include "cli/log_files.h"
#include "cli/output.h"
#include "cli/table.h"
#include "proto/noun.h"

/* Exit status of a damaged log. */
#define EXIT_CODE_DAMAGED EXIT_CODE_NOT_FOUND

struct verify {
    struct table table;
    struct json_writer writer;
    struct buffer findings; /* lines of what is not fine */
    struct log_tally holds; /* of all segments */
    const struct log_files *files;
    uint64_t follows; /* stamp: all up to it must be in the tree (RULES L2) */
    bool has_oldest;  /* it was told */
    bool is_json;
    bool is_damaged;
    bool is_stopped;
};

static const char *state_text(enum log_state state)
{
    switch (state) {
    case LOG_STATE_FINE:
        return "fine";
    case LOG_STATE_TORN:
        return "torn";
    case LOG_STATE_DAMAGED:
        return "damaged";
    case LOG_STATE_MISSING:
        break;
    }
    return "missing";
}

static void write_segment(struct json_writer *writer, const struct log_segment_report *report)
{
    char chain[17];
    (void)snprintf(chain, sizeof(chain), "%016" PRIx64, report->chain);
    json_writer_open(writer, NULL, '{');
    json_writer_number(writer, "number", report->number);
    json_writer_text(writer, "file", bytes_text(report->file));
    json_writer_text(writer, "state", bytes_text(state_text(report->state)));
    log_tally_write(writer, &report->holds);
    json_writer_version(writer, "durable", report->durable);
    json_writer_number(writer, "end", report->end);
    json_writer_number(writer, "len", report->len);
    json_writer_text(writer, "chain", bytes_text(chain));
    json_writer_bool(writer, "stopped", report->is_stopped);
    if (report->state == LOG_STATE_MISSING) {
        json_writer_number(writer, "missing", report->missing_count);
    }
    if (report->text[0]) {
        json_writer_text(writer, "damage", bytes_text(report->text));
    }
    if (report->state == LOG_STATE_DAMAGED) {
        json_writer_open(writer, "behind", '{');
        log_tally_write(writer, &report->behind);
        json_writer_close(writer, '}');
    }
    json_writer_close(writer, '}');
}

static void add_row(struct table *table, const struct log_segment_report *report)
{
    table_cell(table, report->file);
    table_cell_number(table, report->number);
    table_cell_number(table, report->holds.records);
    table_cell_number(table, report->holds.operations);
    table_cell_number(table, report->holds.first);
    table_cell_number(table, report->holds.last);
    table_cell_number(table, report->durable);
    table_cell_number(table, report->end);
    table_cell_number(table, report->len);
    table_cell(table, state_text(report->state));
}

__attribute__((format(printf, 2, 3))) static void add_finding(struct verify *verify,
                                                              const char *format, ...)
{
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    buffer_append(&verify->findings, line, strlen(line));
}

static void add_findings(struct verify *verify, const struct log_segment_report *report)
{
    const struct log_tally *behind = &report->behind;
    char missing[LOG_FAULT_TEXT_LEN];
    switch (report->state) {
    case LOG_STATE_FINE:
        break;
    case LOG_STATE_TORN:
        add_finding(verify, "torn at %s:%" PRIu64 " (a crash; the server cuts it at start)\n",
                    report->file, report->end);
        break;
    case LOG_STATE_DAMAGED:
        add_finding(verify, "damaged: %s: %s\n", report->file, report->text);
        add_finding(verify,
                    "behind it: %" PRIu64 " whole %s with %" PRIu64 " %s, stamps %" PRIu64
                    " to %" PRIu64 "\n",
                    behind->records, noun_of(behind->records, "record", "records"),
                    behind->operations, noun_of(behind->operations, "operation", "operations"),
                    behind->first, behind->last);
        break;
    case LOG_STATE_MISSING:
        log_missing_print(report->file, report->number, report->missing_count, missing);
        add_finding(verify, "damaged: %s is missing%s\n", missing,
                    report->number + report->missing_count - 1 == verify->files->newest
                        ? ": " LOG_NEWEST_NAME " tells of it"
                        : "");
        break;
    }
}

static bool on_segment(void *context, const struct log_segment_report *report)
{
    struct verify *verify = context;
    log_tally_add(&verify->holds, &report->holds);
    verify->is_damaged = verify->is_damaged || report->state == LOG_STATE_DAMAGED ||
                         report->state == LOG_STATE_MISSING;
    verify->is_stopped = report->is_stopped;
    if (!verify->has_oldest) {
        verify->has_oldest = true;
        verify->follows = report->follows;
    }
    if (verify->is_json) {
        write_segment(&verify->writer, report);
    } else {
        add_row(&verify->table, report);
        add_findings(verify, report);
    }
    return true;
}

static void begin(struct verify *verify)
{
    static const char *const titles[] = {"FILE", "NUMBER",  "RECORDS", "OPERATIONS", "FIRST",
                                         "LAST", "DURABLE", "END",     "LENGTH",     "STATE"};
    if (verify->is_json) {
        json_writer_open(&verify->writer, NULL, '{');
        json_writer_open(&verify->writer, "segments", '[');
        return;
    }
    table_init_headed(&verify->table, "lrrrrrrrrl", titles);
}

/* --- what is beside the segments --- */

static const char *note_text(enum log_note note)
{
    switch (note) {
    case LOG_NOTE_FINE:
        return "fine";
    case LOG_NOTE_MISSING:
        return "missing";
    case LOG_NOTE_DAMAGED:
        break;
    }
    return "damaged";
}

static void write_faults(struct verify *verify)
{
    struct json_writer *writer = &verify->writer;
    char text[LOG_FAULT_TEXT_LEN];
    json_writer_open(writer, "newest", '{');
    json_writer_text(writer, "state", bytes_text(note_text(verify->files->note)));
    json_writer_number(writer, "number", verify->files->newest);
    json_writer_close(writer, '}');
    json_writer_bool(writer, "tree", verify->files->has_tree);
    json_writer_version(writer, "follows", verify->follows);
    json_writer_open(writer, "faults", '[');
    for (unsigned i = 0; log_files_fault(verify->files, i, text); i++) {
        json_writer_text(writer, NULL, bytes_text(text));
    }
    json_writer_close(writer, ']');
}

static void add_faults(struct verify *verify)
{
    char text[LOG_FAULT_TEXT_LEN];
    for (unsigned i = 0; log_files_fault(verify->files, i, text); i++) {
        add_finding(verify, "damaged: %s\n", text);
    }
    if (verify->follows > 0) {
        add_finding(verify,
                    "the oldest segment follows stamp %" PRIu64
                    ": whether the tree has all up to it, the server tells at start\n",
                    verify->follows);
    }
}

static enum exit_code print(struct verify *verify)
{
    char text[LOG_FAULT_TEXT_LEN];
    verify->is_damaged = verify->is_damaged || log_files_fault(verify->files, 0, text);
    if (verify->is_json) {
        json_writer_close(&verify->writer, ']');
        write_faults(verify);
        log_tally_write(&verify->writer, &verify->holds);
        json_writer_bool(&verify->writer, "damaged", verify->is_damaged);
        json_writer_bool(&verify->writer, "stopped", verify->is_stopped);
        json_writer_close(&verify->writer, '}');
        return json_writer_print(&verify->writer);
    }
    add_faults(verify);
    add_finding(verify, "%" PRIu64 " %s, %" PRIu64 " %s; the server was %s\n",
                verify->holds.records, noun_of(verify->holds.records, "record", "records"),
                verify->holds.operations,
                noun_of(verify->holds.operations, "operation", "operations"),
                verify->is_stopped ? "stopped" : "not stopped");
    if (verify->findings.failed) {
        return failure_say_no_memory();
    }
    enum exit_code code = table_print(&verify->table);
    return failure_worst(code, output_print(&verify->findings));
}

static void fini(struct verify *verify)
{
    buffer_fini(&verify->table.cells);
    buffer_fini(&verify->writer.text);
    buffer_fini(&verify->findings);
}

enum exit_code log_verify(struct session *session)
{
    struct log_files files;
    struct verify verify = {.files = &files, .is_json = session->arguments->json};
    const struct log_walker walker = {.context = &verify, .on_segment = on_segment};
    enum exit_code code = log_files_open(&files, session->command, session_word(session, 0));
    begin(&verify);
    if (code == EXIT_CODE_DONE) {
        code = log_files_walk(&files, &walker);
    }
    if (code == EXIT_CODE_DONE) {
        code = print(&verify);
    }
    log_files_close(&files);
    fini(&verify);
    return code == EXIT_CODE_DONE && verify.is_damaged ? EXIT_CODE_DAMAGED : code;
}
