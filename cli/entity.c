/* SPDX-License-Identifier: MIT */

/* The commands on entities: put, get, update, delete, scan. */

#include <inttypes.h>
#include <stdio.h>

#include "cli/actions.h"
#include "cli/expiry.h"
#include "cli/id_text.h"
#include "cli/operand.h"
#include "cli/output.h"
#include "cli/record_line.h"
#include "cli/skipped.h"
#include "proto/json.h"
#include "proto/table.h"

/* --- what is given --- */

static bool is_map(struct bytes object)
{
    struct unpack in = unpack_of(object);
    return unpack_peek(&in) == UNPACK_MAP;
}

/* JSON may be fine and yet not be stored, like {"$bin":1}: that has no place. */
static enum exit_code say_unreadable(const struct session *session, const struct json_error *error)
{
    char place[48] = "";
    if (error->line) {
        (void)snprintf(place, sizeof(place), "line %" PRIu32 ", column %" PRIu32 ": ", error->line,
                       error->column);
    }
    return session_say_usage(session, "the document cannot be read: %s%s", place, error->text);
}

/* Appends the MessagePack of the document, which is word `index`. */
static enum exit_code take_document(const struct session *session, unsigned index,
                                    struct buffer *document)
{
    struct buffer memory = {0};
    struct bytes text;
    struct json_error error;
    enum exit_code code = operand_text(session, index, &memory, &text);
    if (code == EXIT_CODE_DONE && !json_parse(text, document, &error)) {
        code = say_unreadable(session, &error);
    } else if (code == EXIT_CODE_DONE && !is_map(buffer_bytes(document))) {
        code = session_say_usage(session, "a document is an object, like {\"a\":1}");
    }
    buffer_fini(&memory);
    return document->failed ? failure_say_no_memory() : code;
}

/* --- put --- */

static enum exit_code print_put(const struct session *session, uint64_t id, uint16_t kind)
{
    if (!session->arguments->json) {
        (void)printf("%" PRIu64 "\n", id);
        return EXIT_CODE_DONE;
    }
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_id(&writer, "id", id);
    json_writer_number(&writer, "kind", kind);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static enum exit_code put(struct session *session, uint32_t shard, uint16_t kind,
                          const struct buffer *document, const struct skv_call *call)
{
    uint64_t id = 0;
    enum exit_code code = session_open(session);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    if (skv_entity_put(session->kv, shard, kind, skv_msgpack(document->data, document->len), call,
                       &id) != SKV_OK) {
        return failure_say_call();
    }
    return output_finish_change(print_put(session, id, kind), "the entity is put");
}

enum exit_code entity_put(struct session *session)
{
    struct skv_call call = {.sliding = session->arguments->sliding};
    struct buffer document = {0};
    uint32_t shard = 0;
    uint16_t kind = 0;
    enum exit_code code = id_text_take_shard(session, 0, &shard);
    if (code == EXIT_CODE_DONE) {
        code = id_text_take_kind(session, "KIND", session_word(session, 1), &kind);
    }
    if (code == EXIT_CODE_DONE) {
        code = expiry_take(session, &call.ttl_ms);
    }
    if (code == EXIT_CODE_DONE) {
        code = take_document(session, 2, &document);
    }
    if (code == EXIT_CODE_DONE) {
        code = put(session, shard, kind, &document, &call);
    }
    buffer_fini(&document);
    return code;
}

/* --- get --- */

/* As a line of export, and what else `read` tells of a record. */
static enum exit_code print_record_json(uint64_t id, const struct skv_record *record)
{
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_id(&writer, "id", id);
    json_writer_number(&writer, "kind", record->kind);
    json_writer_value(&writer, "value", session_bytes(record->encoded));
    json_writer_float(&writer, "hash", skv_fraction(record->point));
    json_writer_version(&writer, "version", record->version);
    json_writer_number(&writer, "size", record->size);
    expiry_add(&writer, record);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static enum exit_code print_document(const struct skv_record *record)
{
    struct buffer text = {0};
    (void)json_print(session_bytes(record->encoded), &text);
    buffer_append(&text, "\n", 1);
    return output_print(&text);
}

static enum exit_code print_fetched(const struct session *session, uint64_t id,
                                    const struct skv_record *record)
{
    if (session->arguments->json) {
        return print_record_json(id, record);
    }
    if (session->arguments->raw) {
        output_bytes(session_bytes(record->encoded));
        return EXIT_CODE_DONE;
    }
    enum exit_code code = print_document(record);
    expiry_tell(record);
    return code;
}

enum exit_code entity_get(struct session *session)
{
    struct skv_record record = {0};
    uint64_t id = 0;
    if (session->arguments->raw && session->arguments->json) {
        return session_say_usage(session, "--raw and --json exclude each other");
    }
    enum exit_code code = id_text_take(session, 0, &id);
    if (code == EXIT_CODE_DONE) {
        code = session_open(session);
    }
    if (code == EXIT_CODE_DONE) {
        code = skv_entity_get(session->kv, id, NULL, &record) == SKV_OK
                   ? print_fetched(session, id, &record)
                   : failure_say_call();
    }
    skv_record_fini(&record);
    return code;
}

/* --- update --- */

static enum exit_code print_updated(const struct session *session, uint64_t id,
                                    const struct skv_record *record)
{
    if (session->arguments->json) {
        struct json_writer writer = {0};
        json_writer_open(&writer, NULL, '{');
        json_writer_id(&writer, "id", id);
        json_writer_version(&writer, "version", record->version);
        json_writer_number(&writer, "size", record->size);
        expiry_add(&writer, record);
        json_writer_close(&writer, '}');
        return json_writer_print(&writer);
    }
    char expiry[EXPIRY_TEXT_LEN];
    expiry_print(record, expiry);
    (void)printf("updated %" PRIu64 ", version %" PRIu64 ", size %" PRIu64 "%s\n", id,
                 record->version, record->size, expiry);
    return EXIT_CODE_DONE;
}

static enum exit_code update(struct session *session, uint64_t id, const struct buffer *document,
                             const struct skv_call *call)
{
    struct skv_record record = {0};
    enum exit_code code = session_open(session);
    if (code == EXIT_CODE_DONE) {
        struct skv_value value = skv_msgpack(document->data, document->len);
        code =
            skv_entity_update(session->kv, id, value, call, &record) == SKV_OK
                ? output_finish_change(print_updated(session, id, &record), "the entity is updated")
                : failure_say_call();
    }
    skv_record_fini(&record);
    return code;
}

enum exit_code entity_update(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    struct skv_call call = {.if_version = arguments->if_version,
                            .sliding = arguments->sliding,
                            .has_kind = arguments->kind != NULL};
    struct buffer document = {0};
    uint64_t id = 0;
    enum exit_code code = id_text_take(session, 0, &id);
    if (code == EXIT_CODE_DONE && arguments->kind) {
        code = id_text_take_kind(session, "--kind", arguments->kind, &call.kind);
    }
    if (code == EXIT_CODE_DONE) {
        code = expiry_take(session, &call.ttl_ms);
    }
    if (code == EXIT_CODE_DONE) {
        code = take_document(session, 1, &document);
    }
    if (code == EXIT_CODE_DONE) {
        code = update(session, id, &document, &call);
    }
    buffer_fini(&document);
    return code;
}

/* --- delete --- */

static enum exit_code print_deleted(const struct session *session, uint64_t id)
{
    if (!session->arguments->json) {
        (void)printf("deleted %" PRIu64 "\n", id);
        return EXIT_CODE_DONE;
    }
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_id(&writer, "id", id);
    json_writer_bool(&writer, "deleted", true);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

enum exit_code entity_delete(struct session *session)
{
    uint64_t id = 0;
    enum exit_code code = id_text_take(session, 0, &id);
    if (code == EXIT_CODE_DONE) {
        code = session_open(session);
    }
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    if (skv_entity_delete(session->kv, id, NULL) != SKV_OK) {
        return failure_say_call();
    }
    return output_finish_change(print_deleted(session, id), "the entity is deleted");
}

/* --- scan --- */

static enum exit_code print_scanned(const struct session *session, const struct skv_record *record)
{
    struct buffer text = {0};
    if (session->arguments->json) {
        record_line_print_record(record, true, &text);
        return output_print(&text);
    }
    char start[48];
    (void)snprintf(start, sizeof(start), "%" PRIu64 " %u ", record->id, record->kind);
    buffer_append_bytes(&text, bytes_text(start));
    (void)json_print(session_bytes(record->encoded), &text);
    buffer_append(&text, "\n", 1);
    return output_print(&text);
}

static enum exit_code scan(struct session *session, const struct skv_scan_options *options)
{
    struct skv_scan *scan = NULL;
    enum exit_code code = session_open(session);
    if (code == EXIT_CODE_DONE && skv_scan_open(session->kv, options, &scan) != SKV_OK) {
        code = failure_say_call();
    }
    while (code == EXIT_CODE_DONE && !ferror(stdout)) {
        const struct skv_record *record = skv_scan_next(scan);
        if (!record) {
            break;
        }
        code = print_scanned(session, record);
    }
    if (scan && skv_scan_close(scan) != SKV_OK) {
        code = skipped_say_call();
    }
    return code;
}

enum exit_code entity_scan(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    struct skipped skipped = {.has_ids = true};
    struct skv_scan_options options = {
        .table = table_name(TABLE_ENTITIES),
        .has_kind = arguments->kind != NULL,
        .on_damaged = arguments->skip_damaged ? skipped_say : NULL,
        .on_damaged_context = &skipped,
    };
    enum exit_code code = EXIT_CODE_DONE;
    if (arguments->kind) {
        code = id_text_take_kind(session, "--kind", arguments->kind, &options.kind);
    }
    if (code == EXIT_CODE_DONE) {
        code = scan(session, &options);
    }
    return skipped_end(&skipped, code);
}
