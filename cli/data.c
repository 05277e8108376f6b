/* SPDX-License-Identifier: MIT */

/* The commands on one key: write, read, pop, delete, exists, incr, expire. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/actions.h"
#include "cli/expiry.h"
#include "cli/key_text.h"
#include "cli/operand.h"
#include "cli/output.h"
#include "cli/value_text.h"
#include "proto/json.h"
#include "proto/pack.h"

static struct bytes key_of(const struct session *session)
{
    return bytes_text(session_word(session, 0));
}

/* --- what is printed --- */

static void open_object(struct json_writer *writer, struct bytes key)
{
    json_writer_open(writer, NULL, '{');
    json_writer_key(writer, key);
}

static void add_hash(struct json_writer *writer, struct bytes key)
{
    json_writer_float(writer, "hash", skv_fraction(skv_point(session_skv_bytes(key))));
}

static enum exit_code close_object(struct json_writer *writer)
{
    json_writer_close(writer, '}');
    return json_writer_print(writer);
}

static enum exit_code print_record_json(struct bytes key, const struct skv_record *record,
                                        bool has_value)
{
    struct json_writer writer = {0};
    open_object(&writer, key);
    if (has_value) {
        json_writer_value(&writer, "value", session_bytes(record->encoded));
    }
    add_hash(&writer, key);
    json_writer_version(&writer, "version", record->version);
    json_writer_number(&writer, "size", record->size);
    expiry_add(&writer, record);
    return close_object(&writer);
}

/* `what`, the key in quotes, `rest`. */
static enum exit_code print_line_about(const char *what, struct bytes key, const char *rest)
{
    struct buffer line = {0};
    buffer_append_bytes(&line, bytes_text(what));
    key_text_quote(key, &line);
    buffer_append_bytes(&line, bytes_text(rest));
    buffer_append(&line, "\n", 1);
    return output_print(&line);
}

/* Exactly the bytes of a str or bin, for others the MessagePack. */
static enum exit_code print_raw(const struct skv_record *record)
{
    bool is_text = record->value.type == SKV_STR || record->value.type == SKV_BIN;
    output_bytes(session_bytes(is_text ? record->value.bytes : record->encoded));
    return EXIT_CODE_DONE;
}

static enum exit_code print_value(const struct skv_record *record)
{
    struct buffer text = {0};
    if (record->value.type == SKV_STR) {
        buffer_append_bytes(&text, session_bytes(record->value.bytes));
    } else {
        (void)json_print(session_bytes(record->encoded), &text);
    }
    buffer_append(&text, "\n", 1);
    return output_print(&text);
}

/* --- write --- */

/* Appends the MessagePack of what the person gave. */
static enum exit_code take_value(const struct session *session, struct buffer *value)
{
    struct bytes text;
    struct buffer memory = {0};
    enum exit_code code = operand_text(session, 1, &memory, &text);
    if (code == EXIT_CODE_DONE && session->arguments->bytes) {
        pack_bin(value, text);
    } else if (code == EXIT_CODE_DONE) {
        value_text_encode(text, value);
    }
    buffer_fini(&memory);
    return value->failed ? failure_say_no_memory() : code;
}

static enum exit_code print_written(const struct session *session, struct bytes value,
                                    const struct skv_record *record)
{
    char type[VALUE_TEXT_LEN];
    char expiry[EXPIRY_TEXT_LEN];
    char rest[VALUE_TEXT_LEN + EXPIRY_TEXT_LEN + 80];
    if (session->arguments->json) {
        return print_record_json(key_of(session), record, false);
    }
    value_text_describe(value, type);
    expiry_print(record, expiry);
    (void)snprintf(rest, sizeof(rest), " as %s, version %" PRIu64 ", size %" PRIu64 "%s", type,
                   record->version, record->size, expiry);
    return print_line_about("wrote ", key_of(session), rest);
}

enum exit_code data_write(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    struct skv_call call = {.if_absent = arguments->if_absent,
                            .if_version = arguments->if_version,
                            .sliding = arguments->sliding};
    struct skv_record record = {0};
    struct buffer value = {0};
    if (arguments->if_absent && arguments->if_version) {
        return session_say_usage(session, "--if-absent and --if-version exclude each other");
    }
    enum exit_code code = expiry_take(session, &call.ttl_ms);
    if (code == EXIT_CODE_DONE) {
        code = take_value(session, &value);
    }
    if (code == EXIT_CODE_DONE) {
        code = session_open(session);
    }
    if (code == EXIT_CODE_DONE) {
        struct skv_bytes key = session_skv_bytes(key_of(session));
        enum skv_status status =
            skv_write(session->kv, key, skv_msgpack(value.data, value.len), &call, &record);
        code = status == SKV_OK
                   ? output_finish_change(print_written(session, buffer_bytes(&value), &record),
                                          "the record is written")
                   : failure_say_call();
    }
    skv_record_fini(&record);
    buffer_fini(&value);
    return code;
}

/* --- read and pop --- */

typedef enum skv_status fetch(struct skv *kv, struct skv_bytes key, const struct skv_call *call,
                              struct skv_record *record);

static enum exit_code print_fetched(const struct session *session, const struct skv_record *record,
                                    const char *done)
{
    enum exit_code code;
    if (session->arguments->json) {
        code = print_record_json(key_of(session), record, true);
    } else {
        code = session->arguments->raw ? print_raw(record) : print_value(record);
    }
    if (!done && !session->arguments->json) {
        expiry_tell(record);
    }
    return done ? output_finish_change(code, done) : code;
}

/* `done` is what must be said if the record was taken and cannot be printed; NULL for reading. */
static enum exit_code fetch_and_print(struct session *session, fetch *fetch_record,
                                      const char *done)
{
    struct skv_record record = {0};
    if (session->arguments->raw && session->arguments->json) {
        return session_say_usage(session, "--raw and --json exclude each other");
    }
    enum exit_code code = session_open(session);
    if (code == EXIT_CODE_DONE) {
        struct skv_bytes key = session_skv_bytes(key_of(session));
        code = fetch_record(session->kv, key, NULL, &record) == SKV_OK
                   ? print_fetched(session, &record, done)
                   : failure_say_call();
    }
    skv_record_fini(&record);
    return code;
}

enum exit_code data_read(struct session *session)
{
    return fetch_and_print(session, skv_read, NULL);
}

enum exit_code data_pop(struct session *session)
{
    return fetch_and_print(session, skv_pop, "the record is gone, and its value was not printed");
}

/* --- delete, exists, incr --- */

static enum exit_code print_deleted(const struct session *session)
{
    struct bytes key = key_of(session);
    if (!session->arguments->json) {
        return print_line_about("deleted ", key, "");
    }
    struct json_writer writer = {0};
    open_object(&writer, key);
    add_hash(&writer, key);
    json_writer_bool(&writer, "deleted", true);
    return close_object(&writer);
}

enum exit_code data_delete(struct session *session)
{
    struct bytes key = key_of(session);
    enum exit_code code = session_open(session);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    if (skv_delete(session->kv, session_skv_bytes(key), NULL) != SKV_OK) {
        return failure_say_call();
    }
    return output_finish_change(print_deleted(session), "the record is deleted");
}

/* That there is nothing is an answer here: it goes to standard output. */
enum exit_code data_exists(struct session *session)
{
    struct bytes key = key_of(session);
    enum exit_code code = session_open(session);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    enum skv_status status = skv_exists(session->kv, session_skv_bytes(key), NULL);
    if (status != SKV_OK && status != SKV_NOT_FOUND) {
        return failure_say_call();
    }
    if (session->arguments->json) {
        struct json_writer writer = {0};
        open_object(&writer, key);
        add_hash(&writer, key);
        json_writer_bool(&writer, "exists", status == SKV_OK);
        code = close_object(&writer);
    } else {
        (void)puts(status == SKV_OK ? "yes" : "no");
    }
    return failure_worst(code, failure_code(status));
}

/* A whole decimal number that fits int64_t. */
static bool integer_parse(const char *text, int64_t *number)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end) {
        return false;
    }
    *number = value;
    return true;
}

static enum exit_code print_sum(const struct session *session, int64_t sum)
{
    struct bytes key = key_of(session);
    if (!session->arguments->json) {
        (void)printf("%" PRId64 "\n", sum);
        return EXIT_CODE_DONE;
    }
    struct json_writer writer = {0};
    open_object(&writer, key);
    json_writer_integer(&writer, "value", sum);
    add_hash(&writer, key);
    return close_object(&writer);
}

enum exit_code data_incr(struct session *session)
{
    struct bytes key = key_of(session);
    int64_t by = 1, result = 0;
    if (session->arguments->words.count > 1 && !integer_parse(session_word(session, 1), &by)) {
        return session_say_usage(session, "BY is a whole number of 64 bits, not \"%s\"",
                                 session_word(session, 1));
    }
    enum exit_code code = session_open(session);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    if (skv_incr(session->kv, session_skv_bytes(key), by, NULL, &result) != SKV_OK) {
        return failure_say_call();
    }
    return output_finish_change(print_sum(session, result),
                                "the sum is stored, and was not printed");
}

/* --- expire --- */

static enum exit_code print_expiring(const struct session *session, const struct skv_record *record)
{
    char expiry[EXPIRY_TEXT_LEN];
    char rest[EXPIRY_TEXT_LEN + 80];
    if (session->arguments->json) {
        return print_record_json(key_of(session), record, false);
    }
    expiry_print(record, expiry);
    (void)snprintf(rest, sizeof(rest), " %s, version %" PRIu64,
                   expiry[0] ? expiry + 2 : "lives for ever", record->version);
    return print_line_about("", key_of(session), rest);
}

enum exit_code data_expire(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    const struct skv_call call = {.sliding = arguments->sliding,
                                  .if_version = arguments->if_version};
    struct skv_record record = {0};
    uint64_t ttl_ms = 0;
    if (arguments->never == (arguments->ttl != NULL)) {
        return session_say_usage(session, "it takes either --ttl TIME or --never");
    }
    enum exit_code code = expiry_take(session, &ttl_ms);
    if (code == EXIT_CODE_DONE) {
        code = session_open(session);
    }
    if (code == EXIT_CODE_DONE) {
        struct skv_bytes key = session_skv_bytes(key_of(session));
        code = skv_expire(session->kv, key, ttl_ms, &call, &record) == SKV_OK
                   ? output_finish_change(print_expiring(session, &record),
                                          "the record's expiry is changed")
                   : failure_say_call();
    }
    skv_record_fini(&record);
    return code;
}
