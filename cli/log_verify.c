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

/* Exit status of a damaged log. */
#define EXIT_CODE_DAMAGED EXIT_CODE_NOT_FOUND

struct verify {
    struct table table;
    struct json_writer writer;
    struct buffer findings; /* lines of what is not fine */
    struct log_tally holds; /* of all segments */
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

static void write_tally(struct json_writer *writer, const struct log_tally *tally)
{
    json_writer_number(writer, "records", tally->records);
    json_writer_number(writer, "operations", tally->operations);
    json_writer_version(writer, "first", tally->first);
    json_writer_version(writer, "last", tally->last);
}

static void write_segment(struct json_writer *writer, const struct log_segment_report *report)
{
    char chain[17];
    (void)snprintf(chain, sizeof(chain), "%016" PRIx64, report->chain);
    json_writer_open(writer, NULL, '{');
    json_writer_number(writer, "number", report->number);
    json_writer_text(writer, "file", bytes_text(report->file));
    json_writer_text(writer, "state", bytes_text(state_text(report->state)));
    write_tally(writer, &report->holds);
    json_writer_version(writer, "durable", report->durable);
    json_writer_number(writer, "end", report->end);
    json_writer_number(writer, "len", report->len);
    json_writer_text(writer, "chain", bytes_text(chain));
    json_writer_bool(writer, "stopped", report->is_stopped);
    if (report->text[0]) {
        json_writer_text(writer, "damage", bytes_text(report->text));
    }
    if (report->state == LOG_STATE_DAMAGED) {
        json_writer_open(writer, "behind", '{');
        write_tally(writer, &report->behind);
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
                    "behind it: %" PRIu64 " whole records with %" PRIu64
                    " operations, stamps %" PRIu64 " to %" PRIu64 "\n",
                    behind->records, behind->operations, behind->first, behind->last);
        break;
    case LOG_STATE_MISSING:
        add_finding(verify, "damaged: %s is missing\n", report->file);
        break;
    }
}

static void add_tally(struct log_tally *sum, const struct log_tally *part)
{
    sum->records += part->records;
    sum->operations += part->operations;
    sum->first = sum->first ? sum->first : part->first;
    sum->last = part->last ? part->last : sum->last;
}

static bool on_segment(void *context, const struct log_segment_report *report)
{
    struct verify *verify = context;
    add_tally(&verify->holds, &report->holds);
    verify->is_damaged = verify->is_damaged || report->state == LOG_STATE_DAMAGED ||
                         report->state == LOG_STATE_MISSING;
    verify->is_stopped = report->is_stopped;
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
    table_init(&verify->table, "lrrrrrrrrl");
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        table_cell(&verify->table, titles[i]);
    }
}

static enum exit_code print(struct verify *verify)
{
    if (verify->is_json) {
        json_writer_close(&verify->writer, ']');
        write_tally(&verify->writer, &verify->holds);
        json_writer_bool(&verify->writer, "damaged", verify->is_damaged);
        json_writer_bool(&verify->writer, "stopped", verify->is_stopped);
        json_writer_close(&verify->writer, '}');
        return json_writer_print(&verify->writer);
    }
    add_finding(verify, "%" PRIu64 " records, %" PRIu64 " operations; the server was %s\n",
                verify->holds.records, verify->holds.operations,
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
    struct verify verify = {.is_json = session->arguments->json};
    const struct log_walker walker = {.context = &verify, .on_segment = on_segment};
    struct log_files files;
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
