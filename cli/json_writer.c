/* SPDX-License-Identifier: MIT */
#include "cli/json_writer.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/output.h"
#include "proto/json.h"
#include "proto/pack.h"
#include "proto/point.h"

enum { NUMBER_LEN = 32 };

static void append_text(struct json_writer *writer, const char *text)
{
    buffer_append_bytes(&writer->text, bytes_text(text));
}

/* What stands before every member: the comma, and the name if it has one. */
static void begin_member(struct json_writer *writer, const char *name)
{
    if (writer->needs_comma) {
        append_text(writer, ",");
    }
    writer->needs_comma = true;
    if (name) {
        append_text(writer, "\"");
        append_text(writer, name);
        append_text(writer, "\":");
    }
}

void json_writer_open(struct json_writer *writer, const char *name, char bracket)
{
    begin_member(writer, name);
    buffer_append(&writer->text, &bracket, 1);
    writer->needs_comma = false;
}

void json_writer_close(struct json_writer *writer, char bracket)
{
    buffer_append(&writer->text, &bracket, 1);
    writer->needs_comma = true;
}

static void append_repaired(struct json_writer *writer, struct bytes text)
{
    struct buffer copy = {0};
    buffer_append_bytes(&copy, text);
    for (size_t i = 0; i < copy.len; i++) {
        if (copy.data[i] >= 0x80) {
            copy.data[i] = '?';
        }
    }
    (void)json_quote(buffer_bytes(&copy), &writer->text);
    writer->text.failed = writer->text.failed || copy.failed;
    buffer_fini(&copy);
}

void json_writer_text(struct json_writer *writer, const char *name, struct bytes text)
{
    begin_member(writer, name);
    if (!json_quote(text, &writer->text)) {
        append_repaired(writer, text);
    }
}

void json_writer_key(struct json_writer *writer, struct bytes key)
{
    if (utf8_is_valid(key)) {
        json_writer_text(writer, "key", key);
        return;
    }
    begin_member(writer, "key_base64");
    append_text(writer, "\"");
    base64_print(key, &writer->text);
    append_text(writer, "\"");
}

void json_writer_value(struct json_writer *writer, const char *name, struct bytes object)
{
    begin_member(writer, name);
    if (!json_print(object, &writer->text)) {
        append_text(writer, "null");
    }
}

void json_writer_number(struct json_writer *writer, const char *name, uint64_t number)
{
    char text[NUMBER_LEN];
    (void)snprintf(text, sizeof(text), "%" PRIu64, number);
    begin_member(writer, name);
    append_text(writer, text);
}

void json_writer_integer(struct json_writer *writer, const char *name, int64_t number)
{
    char text[NUMBER_LEN];
    (void)snprintf(text, sizeof(text), "%" PRId64, number);
    begin_member(writer, name);
    append_text(writer, text);
}

void json_writer_float(struct json_writer *writer, const char *name, double number)
{
    struct buffer object = {0};
    pack_float(&object, number);
    json_writer_value(writer, name, buffer_bytes(&object));
    writer->text.failed = writer->text.failed || object.failed;
    buffer_fini(&object);
}

void json_writer_bound(struct json_writer *writer, const char *name, uint64_t bound)
{
    char text[BOUND_TEXT_LEN];
    bound_print(bound, text);
    begin_member(writer, name);
    append_text(writer, text);
}

void json_writer_bool(struct json_writer *writer, const char *name, bool value)
{
    begin_member(writer, name);
    append_text(writer, value ? "true" : "false");
}

void json_writer_null(struct json_writer *writer, const char *name)
{
    begin_member(writer, name);
    append_text(writer, "null");
}

void json_writer_id(struct json_writer *writer, const char *name, uint64_t id)
{
    char text[NUMBER_LEN];
    (void)snprintf(text, sizeof(text), "\"%" PRIu64 "\"", id);
    begin_member(writer, name);
    append_text(writer, text);
}

void json_writer_version(struct json_writer *writer, const char *name, uint64_t version)
{
    json_writer_id(writer, name, version);
}

enum exit_code json_writer_print(struct json_writer *writer)
{
    buffer_append(&writer->text, "\n", 1);
    enum exit_code code = output_print(&writer->text);
    writer->needs_comma = false;
    return code;
}
