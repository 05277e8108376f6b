/* SPDX-License-Identifier: MIT */
#ifndef CLI_JSON_WRITER_H
#define CLI_JSON_WRITER_H

/*
 * Builds one JSON object member by member, for --json. Commas come by themselves; running out of
 * memory sticks in `text`. The zero value is ready; json_writer_print must end it.
 *
 *     json_writer_open(w, NULL, '{');
 *     json_writer_text(w, "name", bytes_text("a"));           {"name":"a","epochs":[1]}
 *     json_writer_open(w, "epochs", '[');
 *     json_writer_number(w, NULL, 1);
 *     json_writer_close(w, ']');
 *     json_writer_close(w, '}');
 *
 * `name` is NULL in arrays and for the outermost object, and needs no escaping.
 */

#include "cli/failure.h"
#include "proto/buffer.h"

struct json_writer {
    struct buffer text;
    bool needs_comma;
};

void json_writer_open(struct json_writer *writer, const char *name, char bracket);
void json_writer_close(struct json_writer *writer, char bracket);

/* Bytes that are not UTF-8 are replaced: for what others report, never for data. */
void json_writer_text(struct json_writer *writer, const char *name, struct bytes text);

/* "key", or "key_base64" when it is not UTF-8. */
void json_writer_key(struct json_writer *writer, struct bytes key);

/* An encoded value (proto/json.h); null when it is not valid. */
void json_writer_value(struct json_writer *writer, const char *name, struct bytes object);

void json_writer_number(struct json_writer *writer, const char *name, uint64_t number);
void json_writer_integer(struct json_writer *writer, const char *name, int64_t number);
void json_writer_float(struct json_writer *writer, const char *name, double number);
/* A range's bound as a fraction (RULES N3). */
void json_writer_bound(struct json_writer *writer, const char *name, uint64_t bound);
void json_writer_bool(struct json_writer *writer, const char *name, bool value);
void json_writer_null(struct json_writer *writer, const char *name);

/* As strings: ids and versions are above what a double holds exactly. */
void json_writer_id(struct json_writer *writer, const char *name, uint64_t id);
void json_writer_version(struct json_writer *writer, const char *name, uint64_t version);

/*
 * Prints the object as one line on standard output and frees the writer, which is then as new. Out of
 * memory: says so, prints nothing.
 */
enum exit_code json_writer_print(struct json_writer *writer);

#endif
