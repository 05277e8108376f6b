/* SPDX-License-Identifier: MIT */
#include "cli/log_left.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/output.h"
#include "proto/noun.h"

void log_left_begin(struct log_left *left, bool is_json)
{
    *left = (struct log_left){.is_json = is_json};
    if (is_json) {
        json_writer_open(&left->writer, NULL, '{');
        json_writer_open(&left->writer, "left_behind", '[');
    }
}

void log_left_fini(struct log_left *left)
{
    buffer_fini(&left->writer.text);
}

/* --- gaps --- */

__attribute__((format(printf, 2, 3))) static void say(struct log_left *left, const char *format,
                                                      ...)
{
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    buffer_append(&left->writer.text, line, strlen(line));
}

void log_left_end_gap(struct log_left *left, uint64_t below)
{
    if (!left->is_in_gap) {
        return;
    }
    left->is_in_gap = false;
    if (left->is_json) {
        json_writer_version(&left->writer, "above", left->above);
        if (below) {
            json_writer_version(&left->writer, "below", below);
        }
        json_writer_close(&left->writer, '}');
        return;
    }
    say(left, ", stamps above %" PRIu64, left->above);
    if (below) {
        say(left, " and below %" PRIu64, below);
    }
    say(left, "\n");
}

/* Closed by log_left_end_gap. */
static void write_gap(struct json_writer *writer, const struct log_gap *gap)
{
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "file", bytes_text(gap->file));
    json_writer_bool(writer, "missing", gap->missing_count > 0);
    json_writer_number(writer, "segments", gap->missing_count);
    json_writer_number(writer, "from", gap->from);
    json_writer_number(writer, "to", gap->to);
    json_writer_open(writer, "headers", '{');
    log_tally_write(writer, &gap->told);
    json_writer_close(writer, '}');
}

static void say_gap(struct log_left *left, const struct log_gap *gap)
{
    const struct log_tally *told = &gap->told;
    if (gap->missing_count > 0) {
        char missing[LOG_FAULT_TEXT_LEN];
        log_missing_print(gap->file, gap->number, gap->missing_count, missing);
        say(left, "left behind: %s, which %s missing", missing,
            gap->missing_count > 1 ? "are" : "is");
        return;
    }
    say(left, "left behind: %s:%" PRIu64 " to %" PRIu64 ", %" PRIu64 " %s", gap->file, gap->from,
        gap->to, gap->to - gap->from, noun_of(gap->to - gap->from, "byte", "bytes"));
    if (told->records > 0) {
        say(left,
            ", with the headers of %" PRIu64 " %s of %" PRIu64 " %s, stamps %" PRIu64
            " to %" PRIu64,
            told->records, noun_of(told->records, "record", "records"), told->operations,
            noun_of(told->operations, "operation", "operations"), told->first, told->last);
    }
}

void log_left_gap(struct log_left *left, const struct log_gap *gap, uint64_t above)
{
    log_left_end_gap(left, 0);
    left->is_in_gap = true;
    left->above = above;
    left->gap_count++;
    left->segments += gap->missing_count;
    left->len += gap->to - gap->from;
    log_tally_add(&left->told, &gap->told);
    if (left->is_json) {
        write_gap(&left->writer, gap);
    } else {
        say_gap(left, gap);
    }
}

void log_left_out(struct log_left *left, const struct log_record_header *header)
{
    const struct log_tally one = {
        .records = 1,
        .operations = header->type == LOG_OPERATIONS ? header->count : 0,
        .first = header->count > 0 ? header->first : 0,
        .last = header->count > 0 ? log_record_last(header) : 0,
    };
    if (header->type != LOG_MARKER) {
        log_tally_add(&left->out, &one);
    }
}

/* --- all of it --- */

static void write_totals(struct log_left *left, const struct log_saved *saved)
{
    struct json_writer *writer = &left->writer;
    json_writer_close(writer, ']');
    json_writer_number(writer, "left_behind_len", left->len);
    json_writer_number(writer, "left_behind_segments", left->segments);
    json_writer_open(writer, "left_behind_headers", '{');
    log_tally_write(writer, &left->told);
    json_writer_close(writer, '}');
    json_writer_open(writer, "left_out", '{');
    log_tally_write(writer, &left->out);
    json_writer_close(writer, '}');
    json_writer_number(writer, "segments", saved->segments);
    json_writer_number(writer, "records", saved->records);
    json_writer_number(writer, "operations", saved->operations);
    json_writer_bool(writer, "tree", saved->has_tree);
    json_writer_text(writer, "begins_with",
                     bytes_text(saved->begins_with_tree ? "tree" : "checkpoint"));
    json_writer_text(writer, "to", bytes_text(saved->path));
}

static void say_totals(struct log_left *left, const struct log_saved *saved)
{
    const struct log_tally *out = &left->out;
    if (!saved->has_tree) {
        say(left, "left behind: " LOG_TREE_NAME ", and with it what was no longer in the log\n");
    }
    if (left->gap_count > 0) {
        say(left,
            "left behind in all: %" PRIu64 " %s, and %" PRIu64 " %s with the headers of %" PRIu64
            " %s of %" PRIu64 " %s\n",
            left->segments, noun_of(left->segments, "segment", "segments"), left->len,
            noun_of(left->len, "byte", "bytes"), left->told.records,
            noun_of(left->told.records, "record", "records"), left->told.operations,
            noun_of(left->told.operations, "operation", "operations"));
    }
    if (out->records > 0) {
        say(left,
            "left out: %" PRIu64 " %s of %" PRIu64 " %s, stamps %" PRIu64 " to %" PRIu64
            ": such stamps stand before them\n",
            out->records, noun_of(out->records, "record", "records"), out->operations,
            noun_of(out->operations, "operation", "operations"), out->first, out->last);
    }
    if (saved->begins_with_tree) {
        say(left, "no checkpoint can be read: the server begins with the tree: it says at its "
                  "start up to which\nstamp it has all; what was acknowledged after that may be "
                  "missing, but for the following\n");
    }
    say(left, "%" PRIu64 " %s with %" PRIu64 " %s in %u %s%s %s in %s\n", saved->records,
        noun_of(saved->records, "record", "records"), saved->operations,
        noun_of(saved->operations, "operation", "operations"), saved->segments,
        noun_of(saved->segments, "segment", "segments"),
        !saved->has_tree ? ", and no tree," : ", and the tree,",
        noun_of(saved->records, "is", "are"), saved->path);
}

/* What is wrong beside the segments. The tree has its own words. */
static void tell_faults(struct log_left *left, const struct log_files *files)
{
    char text[LOG_FAULT_TEXT_LEN];
    if (left->is_json) {
        json_writer_open(&left->writer, "faults", '[');
    }
    for (unsigned i = 0; log_files_fault(files, i, text); i++) {
        if (left->is_json) {
            json_writer_text(&left->writer, NULL, bytes_text(text));
        } else {
            say(left, "damaged: %s\n", text);
        }
    }
    if (left->is_json) {
        json_writer_close(&left->writer, ']');
    }
}

enum exit_code log_left_print(struct log_left *left, const struct log_files *files,
                              const struct log_saved *saved)
{
    if (left->is_json) {
        write_totals(left, saved);
        tell_faults(left, files);
        json_writer_close(&left->writer, '}');
        return json_writer_print(&left->writer);
    }
    tell_faults(left, files);
    say_totals(left, saved);
    return output_print(&left->writer.text);
}
