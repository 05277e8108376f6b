/* SPDX-License-Identifier: MIT */

/*
 * log dump: a line for each record of a log, and for each operation in it.
 *
 *     log-0000000000000007:4096 checkpoint below 1001 durable 1000 accounts 1, 5 bytes
 *     log-0000000000000007:4184 operations 1001 durable 1000 accounts 1, 47 bytes
 *       1001 put table 0 key some key size 82 expiry 1757000000123 ttl 5000
 *       1002 put table 32768 id 307821103844175873 kind 7 size 83
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/actions.h"
#include "cli/json_writer.h"
#include "cli/key_text.h"
#include "cli/log_files.h"
#include "cli/output.h"
#include "proto/endian.h"
#include "proto/json.h"
#include "proto/noun.h"
#include "proto/record.h"
#include "proto/table.h"

struct dump {
    bool is_json;
    bool is_damaged;
    uint64_t from;  /* stamps */
    uint64_t limit; /* lines; 0: none */
    uint64_t lines;
    enum exit_code code;
    struct buffer text;
};

static const char *type_text(enum log_type type)
{
    switch (type) {
    case LOG_OPERATIONS:
        return "operations";
    case LOG_CHECKPOINT:
        return "checkpoint";
    case LOG_MARKER:
        return "marker";
    case LOG_CONTROL:
        return "control";
    }
    return "unknown";
}

static const char *kind_text(enum log_kind kind)
{
    switch (kind) {
    case LOG_PUT:
        return "put";
    case LOG_DELETE:
        return "delete";
    case LOG_EVICT:
        return "evict";
    case LOG_EXPIRE:
        return "expire";
    case LOG_TOUCH:
        return "touch";
    case LOG_RESULT:
        return "result";
    case LOG_DONE:
        return "done";
    }
    return "unknown";
}

__attribute__((format(printf, 2, 3))) static void add(struct dump *dump, const char *format, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    buffer_append(&dump->text, text, (size_t)len);
}

/* What a control record is, by the first byte of its blob. */
static const char *control_text(struct bytes blob)
{
    switch (blob.len > 0 ? *(const uint8_t *)blob.data : 0) {
    case LOG_STATE:
        return "state";
    case LOG_CLEAR:
        return "clear";
    case LOG_TICK:
        return "tick";
    case LOG_RESERVE:
        return "reserve";
    }
    return "unknown";
}

/* False when the last line that was asked for is printed. */
static bool end_line(struct dump *dump, enum exit_code code)
{
    dump->lines++;
    dump->code = failure_worst(dump->code, code);
    return dump->code == EXIT_CODE_DONE && (dump->limit == 0 || dump->lines < dump->limit);
}

/* --- records --- */

static bool print_record_json(struct dump *dump, const struct log_seen *seen, struct bytes rest)
{
    const struct log_record_header *header = seen->header;
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "record", bytes_text(type_text(header->type)));
    json_writer_text(&writer, "file", bytes_text(seen->file));
    json_writer_number(&writer, "offset", seen->offset);
    json_writer_version(&writer, "stamp", header->first);
    json_writer_number(&writer, "count", header->count);
    json_writer_version(&writer, "durable", header->durable);
    json_writer_number(&writer, "accounts", header->account_count);
    json_writer_number(&writer, "len", rest.len);
    if (header->type == LOG_CONTROL) {
        json_writer_text(&writer, "control", bytes_text(control_text(rest)));
    }
    json_writer_bool(&writer, "stop", header->flags & LOG_IS_STOP);
    json_writer_bool(&writer, "behind_damage", seen->is_behind);
    json_writer_close(&writer, '}');
    return end_line(dump, json_writer_print(&writer));
}

static bool print_record(struct dump *dump, const struct log_seen *seen, struct bytes rest)
{
    const struct log_record_header *header = seen->header;
    if (dump->is_json) {
        return print_record_json(dump, seen, rest);
    }
    add(dump, "%s:%" PRIu64 " %s%s %s%" PRIu64, seen->file, seen->offset, type_text(header->type),
        header->flags & LOG_IS_STOP ? " of a stop" : "", header->count ? "" : "below ",
        header->first);
    if (header->type == LOG_CONTROL) {
        add(dump, " %s", control_text(rest));
    }
    if (header->count > 1) {
        add(dump, " to %" PRIu64, log_record_last(header));
    }
    add(dump, " durable %" PRIu64 " accounts %u, %zu %s%s\n", header->durable,
        header->account_count, rest.len, noun_of(rest.len, "byte", "bytes"),
        seen->is_behind ? ", behind damage" : "");
    return end_line(dump, output_print(&dump->text));
}

/* --- operations --- */

static bool has_size(const struct log_op *op)
{
    return op->kind == LOG_PUT || op->kind == LOG_RESULT || op->kind == LOG_DONE;
}

static bool has_id(const struct log_op *op)
{
    return table_has_ids(op->table) && op->key.len == ID_KEY_LEN;
}

static void print_key_json(struct json_writer *writer, const struct log_op *op)
{
    if (has_id(op)) {
        json_writer_version(writer, "id", endian_get_be64(op->key.data));
    } else {
        json_writer_key(writer, op->key);
    }
    if (op->record_kind != 0) {
        json_writer_number(writer, "record_kind", op->record_kind);
    }
}

static void print_key(struct dump *dump, const struct log_op *op)
{
    if (has_id(op)) {
        add(dump, "id %" PRIu64, endian_get_be64(op->key.data));
    } else {
        add(dump, "key ");
        key_text_print(op->key, &dump->text);
    }
    if (op->record_kind != 0) {
        add(dump, " kind %u", op->record_kind);
    }
}

static bool print_op_json(struct dump *dump, uint64_t stamp, const struct log_op *op)
{
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_version(&writer, "stamp", stamp);
    json_writer_text(&writer, "kind", bytes_text(kind_text(op->kind)));
    json_writer_number(&writer, "table", op->table);
    print_key_json(&writer, op);
    if (has_size(op)) {
        json_writer_number(&writer, "size", record_size(op->key.len, op->value.len));
    }
    json_writer_version(&writer, "version", op->version ? op->version : stamp);
    if (op->expiry_ms || op->ttl_ms) {
        json_writer_number(&writer, "expiry_ms", op->expiry_ms);
        json_writer_number(&writer, "full_ttl_ms", op->ttl_ms);
        json_writer_bool(&writer, "sliding", op->is_sliding);
    }
    json_writer_close(&writer, '}');
    return end_line(dump, json_writer_print(&writer));
}

static bool print_op(struct dump *dump, uint64_t stamp, const struct log_op *op)
{
    if (dump->is_json) {
        return print_op_json(dump, stamp, op);
    }
    add(dump, "  %" PRIu64 " %s table %u ", stamp, kind_text(op->kind), op->table);
    print_key(dump, op);
    if (has_size(op)) {
        add(dump, " size %" PRIu64, record_size(op->key.len, op->value.len));
    }
    if (op->version) {
        add(dump, " version %" PRIu64, op->version);
    }
    if (op->expiry_ms || op->ttl_ms) {
        add(dump, " expiry %" PRIu64 " ttl %" PRIu64 "%s", op->expiry_ms, op->ttl_ms,
            op->is_sliding ? " sliding" : "");
    }
    add(dump, "\n");
    return end_line(dump, output_print(&dump->text));
}

static bool print_ops(struct dump *dump, const struct log_record_header *header, struct bytes rest)
{
    struct log_op op;
    uint64_t stamp = header->first;
    for (; log_op_next(&rest, &op); stamp++) {
        if (stamp >= dump->from && !print_op(dump, stamp, &op)) {
            return false;
        }
    }
    if (rest.len > 0 || stamp != header->first + header->count) {
        dump->is_damaged = true;
        (void)failure_say(EXIT_CODE_NOT_FOUND,
                          "log dump: the record of stamp %" PRIu64 " has other operations than its "
                          "header says",
                          header->first);
    }
    return true;
}

static bool on_record(void *context, const struct log_seen *seen)
{
    struct dump *dump = context;
    const struct log_record_header *header = seen->header;
    struct bytes accounts, rest;
    if (log_record_last(header) < dump->from ||
        !log_payload_split(header, seen->payload, &accounts, &rest)) {
        return true;
    }
    return print_record(dump, seen, rest) &&
           (header->type != LOG_OPERATIONS || print_ops(dump, header, rest));
}

/* --- damage --- */

/* On standard error, and with --json as a line of its own, too. */
static void say_damage(struct dump *dump, const char *text)
{
    dump->is_damaged = true;
    (void)failure_say(EXIT_CODE_NOT_FOUND, "log dump: %s", text);
    if (dump->is_json) {
        struct json_writer writer = {0};
        json_writer_open(&writer, NULL, '{');
        json_writer_text(&writer, "damage", bytes_text(text));
        json_writer_close(&writer, '}');
        dump->code = failure_worst(dump->code, json_writer_print(&writer));
    }
}

static bool on_segment(void *context, const struct log_segment_report *report)
{
    struct dump *dump = context;
    char text[LOG_FILE_NAME_LEN + 2 + LOG_SCAN_TEXT_LEN];
    if (report->state == LOG_STATE_MISSING) {
        char missing[LOG_FAULT_TEXT_LEN];
        log_missing_print(report->file, report->number, report->missing_count, missing);
        (void)snprintf(text, sizeof(text), "%s is missing", missing);
        say_damage(dump, text);
    } else if (report->state == LOG_STATE_DAMAGED) {
        (void)snprintf(text, sizeof(text), "%s: %s", report->file, report->text);
        say_damage(dump, text);
    }
    return true;
}

static void say_faults(struct dump *dump, const struct log_files *files)
{
    char text[LOG_FAULT_TEXT_LEN];
    for (unsigned i = 0; log_files_fault(files, i, text); i++) {
        say_damage(dump, text);
    }
}

enum exit_code log_dump(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    struct dump dump = {.is_json = arguments->json,
                        .from = arguments->from_stamp,
                        .limit = arguments->limit,
                        .code = EXIT_CODE_DONE};
    const struct log_walker walker = {
        .context = &dump, .on_record = on_record, .on_segment = on_segment};
    struct log_files files;
    enum exit_code code = log_files_open(&files, session->command, session_word(session, 0));
    if (code == EXIT_CODE_DONE) {
        code = log_files_walk(&files, &walker);
        say_faults(&dump, &files);
    }
    log_files_close(&files);
    buffer_fini(&dump.text);
    code = failure_worst(code, dump.code);
    return code == EXIT_CODE_DONE && dump.is_damaged ? EXIT_CODE_NOT_FOUND : code;
}
