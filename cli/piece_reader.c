/* SPDX-License-Identifier: MIT */
#include "cli/piece_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/noun.h"
#include "proto/record.h"
#include "proto/table.h"

struct piece_reader {
    struct dir *dir;
    struct file *file;
    uint32_t number;
    char *error; /* of the caller, during a call */

    uint64_t offset;     /* behind the block that was read last */
    uint64_t checksum;   /* of that one */
    struct buffer block; /* head and payload */
    struct bytes rest;   /* its records that are not yet given */
    struct buffer origin_bytes;
    struct piece_origin origin;
    struct piece_end end;
    bool has_ids; /* for keys: of its table */

    uint64_t records;
    uint64_t size;
    uint64_t last_point; /* of the record given last */
    size_t last_key_len; /* 0: none was given */
    uint8_t last_key[KEY_LEN_MAX];
};

__attribute__((format(printf, 2, 3))) static bool fail(struct piece_reader *reader,
                                                       const char *format, ...)
{
    char name[PIECE_NAME_LEN], text[200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    piece_name_print(reader->number, false, name);
    (void)snprintf(reader->error, PIECE_ERROR_LEN, "%.380s/%s: %s", dir_path(reader->dir), name,
                   text);
    return false;
}

static bool fail_damaged(struct piece_reader *reader, uint64_t offset, const char *what)
{
    return fail(reader, "damaged at byte %" PRIu64 ": %s", offset, what);
}

/* --- blocks --- */

static bool read_bytes(struct piece_reader *reader, uint64_t offset, void *to, size_t len)
{
    if (file_len(reader->file) < offset + len) {
        return fail(reader, "damaged: it is cut off at byte %" PRIu64, file_len(reader->file));
    }
    int error_number = file_read(reader->file, offset, to, len);
    return error_number == 0 ||
           fail(reader, "cannot read it at byte %" PRIu64 ": %s", offset, strerror(error_number));
}

static bool read_payload(struct piece_reader *reader, uint32_t len)
{
    uint8_t *payload = buffer_reserve(&reader->block, len);
    if (!payload) {
        return fail(reader, "out of memory");
    }
    reader->block.len += len;
    return read_bytes(reader, reader->offset + PIECE_BLOCK_HEAD_LEN, payload, len);
}

/* The block behind the last one, verified. Its length is within bounds before anything is got for it. */
static bool read_block(struct piece_reader *reader, struct piece_block *block)
{
    piece_block_begin(&reader->block);
    if (reader->block.failed) {
        return fail(reader, "out of memory");
    }
    if (!read_bytes(reader, reader->offset, reader->block.data, PIECE_BLOCK_HEAD_LEN)) {
        return false;
    }
    if (!piece_block_decode(reader->block.data, block)) {
        return fail_damaged(reader, reader->offset, "there is no such block");
    }
    if (!read_payload(reader, block->len)) {
        return false;
    }
    if (piece_block_checksum(buffer_bytes(&reader->block), reader->checksum) != block->checksum) {
        return fail_damaged(reader, reader->offset, "the checksum does not match");
    }
    reader->checksum = block->checksum;
    reader->offset += reader->block.len;
    return true;
}

static struct bytes payload_of(const struct piece_reader *reader)
{
    return bytes_of(reader->block.data + PIECE_BLOCK_HEAD_LEN,
                    reader->block.len - PIECE_BLOCK_HEAD_LEN);
}

/* --- opening --- */

static bool read_head(struct piece_reader *reader)
{
    uint8_t head[PIECE_HEAD_LEN];
    uint32_t number = 0;
    if (!read_bytes(reader, 0, head, sizeof head)) {
        return false;
    }
    switch (piece_head_decode(head, &number)) {
    case PIECE_NO_PIECE:
        return fail(reader, "damaged, or no piece of a backup");
    case PIECE_NEWER_FORMAT:
        return fail(reader, "it is of a newer version of shardkv, or damaged");
    case PIECE_FINE:
        break;
    }
    if (number != reader->number) {
        return fail(reader, "it is piece %" PRIu32 " under another's name, or damaged", number);
    }
    reader->checksum = piece_head_checksum(head);
    reader->offset = sizeof head;
    return true;
}

/* Kept apart: the next block comes in its place. */
static bool read_origin(struct piece_reader *reader)
{
    struct piece_block block = {0};
    uint64_t offset = reader->offset;
    if (!read_block(reader, &block)) {
        return false;
    }
    buffer_append_bytes(&reader->origin_bytes, payload_of(reader));
    if (reader->origin_bytes.failed) {
        return fail(reader, "out of memory");
    }
    if (block.type != PIECE_ORIGIN ||
        !piece_origin_decode(buffer_bytes(&reader->origin_bytes), &reader->origin)) {
        return fail_damaged(reader, offset, "it does not begin with its origin");
    }
    uint16_t table = TABLE_DEFAULT;
    reader->has_ids = table_find(reader->origin.table, &table) && table_has_ids(table);
    return true;
}

static bool open_file(struct piece_reader *reader)
{
    char name[PIECE_NAME_LEN];
    int error_number = 0;
    piece_name_print(reader->number, false, name);
    reader->file = file_open(reader->dir, name, FILE_READ, &error_number);
    if (reader->file) {
        return true;
    }
    return error_number == ENOENT ? fail(reader, "it is missing")
                                  : fail(reader, "cannot open it: %s", strerror(error_number));
}

struct piece_reader *piece_reader_open(struct dir *dir, uint32_t number,
                                       char error[PIECE_ERROR_LEN])
{
    struct piece_reader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        (void)snprintf(error, PIECE_ERROR_LEN, "out of memory");
        return NULL;
    }
    reader->dir = dir;
    reader->number = number;
    reader->error = error;
    if (open_file(reader) && read_head(reader) && read_origin(reader)) {
        return reader;
    }
    piece_reader_close(reader);
    return NULL;
}

const struct piece_origin *piece_reader_origin(const struct piece_reader *reader)
{
    return &reader->origin;
}

/* --- records --- */

static bool is_in_order(const struct piece_reader *reader, const struct piece_record *record)
{
    if (reader->last_key_len == 0 || record->point != reader->last_point) {
        return reader->last_key_len == 0 || record->point > reader->last_point;
    }
    return bytes_compare(record->key, bytes_of(reader->last_key, reader->last_key_len)) > 0;
}

/* What a table of ids has is ids. */
static bool is_of_its_table(const struct piece_reader *reader, const struct piece_record *record)
{
    return record->key.len == ID_KEY_LEN || !reader->has_ids;
}

static void note_record(struct piece_reader *reader, const struct piece_record *record)
{
    reader->records++;
    reader->size += record_size(record->key.len, record->value.len);
    reader->last_point = record->point;
    reader->last_key_len = record->key.len;
    memcpy(reader->last_key, record->key.data, record->key.len);
}

/* The end's own counts, and nothing behind it. */
static bool take_end(struct piece_reader *reader)
{
    if (!piece_end_decode(payload_of(reader), &reader->end)) {
        return fail(reader, "damaged: its end is none");
    }
    if (reader->end.records != reader->records || reader->end.size != reader->size) {
        return fail(reader, "damaged: it has %" PRIu64 " %s, and its end tells of %" PRIu64,
                    reader->records, noun_of(reader->records, "record", "records"),
                    reader->end.records);
    }
    return reader->offset == file_len(reader->file) ||
           fail_damaged(reader, reader->offset, "something follows its end");
}

static enum piece_read next_block(struct piece_reader *reader)
{
    struct piece_block block = {0};
    uint64_t offset = reader->offset;
    if (!read_block(reader, &block)) {
        return PIECE_READ_FAILED;
    }
    if (block.type == PIECE_RECORDS) {
        reader->rest = payload_of(reader);
        return PIECE_READ_RECORD;
    }
    if (block.type == PIECE_END) {
        return take_end(reader) ? PIECE_READ_END : PIECE_READ_FAILED;
    }
    (void)fail_damaged(reader, offset, "a second origin");
    return PIECE_READ_FAILED;
}

enum piece_read piece_reader_next(struct piece_reader *reader, struct piece_record *record,
                                  char error[PIECE_ERROR_LEN])
{
    reader->error = error;
    while (reader->rest.len == 0) {
        enum piece_read result = next_block(reader);
        if (result != PIECE_READ_RECORD) {
            return result;
        }
    }
    if (!piece_record_next(&reader->rest, record) || !is_in_order(reader, record) ||
        !is_of_its_table(reader, record)) {
        (void)fail(reader, "damaged: record %" PRIu64 " is none, or not in its place",
                   reader->records + 1);
        return PIECE_READ_FAILED;
    }
    note_record(reader, record);
    return PIECE_READ_RECORD;
}

const struct piece_end *piece_reader_end(const struct piece_reader *reader)
{
    return &reader->end;
}

struct piece_sum piece_reader_sum(const struct piece_reader *reader)
{
    return (struct piece_sum){reader->records, reader->size, reader->offset, reader->end.damaged,
                              reader->checksum};
}

void piece_reader_close(struct piece_reader *reader)
{
    if (!reader) {
        return;
    }
    file_close(reader->file);
    buffer_fini(&reader->origin_bytes);
    buffer_fini(&reader->block);
    free(reader);
}
