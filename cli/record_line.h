/* SPDX-License-Identifier: MIT */
#ifndef CLI_RECORD_LINE_H
#define CLI_RECORD_LINE_H

/*
 * A record as one line of text. Parsing what was printed gives the same key and value, byte for byte.
 *
 *     jsonl   {"key":"test","value":{"hello":"world"}}     "key_base64" for a key that is not UTF-8
 *             ,"ttl_ms":9300                               left, of what expires
 *             ,"ttl_ms":9300,"full_ttl_ms":10000,"sliding":true
 *             {"id":"307821103844175873","kind":1,"value":{"beep":"boop"}}     an entity: its value is a map
 *     lines   test|{"hello":"world"}                       pyshard's: the key ends at the first |
 *
 * A value in `lines` is typed as pyshard does: in braces JSON, digits an integer, digits.digits a
 * float, all else a string.
 */

#include "proto/buffer.h"

struct skv_record;

enum record_line_format { RECORD_LINE_JSONL, RECORD_LINE_LINES };

/* A line of 12 MiB holds the largest value in base64 (8 MiB * 4/3) and its key. */
#define RECORD_LINE_LEN_MAX (12u << 20)

/* When a record ends. */
struct record_expiry {
    int64_t left_ms; /* -1: never; 0: it is over */
    uint64_t ttl_ms; /* as it was given, not below left_ms; 0 for what never ends */
    bool is_sliding; /* a read restarts it */
};

/* Give it to call after call; what it holds is good until the next. */
struct record_line {
    struct buffer key;   /* of an entity its id: 8 bytes, big-endian */
    struct buffer value; /* encoded */
    struct buffer scratch;
    struct record_expiry expiry;
    bool is_entity;
    uint16_t kind; /* of an entity, else 0 */
    char error[200];
};

void record_line_fini(struct record_line *line);

/* `text` without its newline. False: line->error says what is wrong and where. */
bool record_line_parse(struct record_line *line, enum record_line_format format, struct bytes text);

/*
 * Appends the jsonl line with its newline, at most RECORD_LINE_LEN_MAX: a value whose JSON is longer
 * becomes one {"$msgpack":"base64"}. Running out of memory sticks in `text`.
 */
void record_line_print(struct bytes key, struct bytes value, const struct record_expiry *expiry,
                       struct buffer *text);
void record_line_print_entity(uint64_t id, uint16_t kind, struct bytes value,
                              const struct record_expiry *expiry, struct buffer *text);

/* The same of what the library brought, of a table of ids or of keys. */
void record_line_print_record(const struct skv_record *record, bool has_id, struct buffer *text);

#endif
