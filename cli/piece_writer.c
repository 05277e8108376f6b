/* SPDX-License-Identifier: MIT */
#include "cli/piece_writer.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/record.h"

struct piece_writer {
    struct dir *dir;
    struct file *file;
    uint32_t number;
    uint64_t offset; /* written so far */
    uint64_t checksum;
    struct buffer block; /* of records, not yet written */
    uint64_t records;
    uint64_t size;
};

static int write_bytes(struct piece_writer *writer, const void *data, size_t len)
{
    int error_number = file_write(writer->file, writer->offset, data, len);
    writer->offset += len;
    return error_number;
}

static int write_block(struct piece_writer *writer, enum piece_type type)
{
    struct buffer *block = &writer->block;
    if (block->failed) {
        return ENOMEM;
    }
    writer->checksum = piece_block_seal(type, writer->checksum, block);
    int error_number = write_bytes(writer, block->data, block->len);
    piece_block_begin(block);
    return error_number;
}

static bool has_records(const struct piece_writer *writer)
{
    return writer->block.len > PIECE_BLOCK_HEAD_LEN;
}

static int begin(struct piece_writer *writer, const struct piece_origin *origin)
{
    uint8_t head[PIECE_HEAD_LEN];
    piece_head_encode(writer->number, head);
    writer->checksum = piece_head_checksum(head);
    int error_number = write_bytes(writer, head, sizeof head);
    if (error_number != 0) {
        return error_number;
    }
    piece_block_begin(&writer->block);
    piece_origin_encode(origin, &writer->block);
    return write_block(writer, PIECE_ORIGIN);
}

struct piece_writer *piece_writer_open(struct dir *dir, uint32_t number,
                                       const struct piece_origin *origin, int *error_number)
{
    char name[PIECE_NAME_LEN];
    struct piece_writer *writer = calloc(1, sizeof *writer);
    if (!writer) {
        *error_number = ENOMEM;
        return NULL;
    }
    writer->dir = dir;
    writer->number = number;
    piece_name_print(number, true, name);
    /* What an earlier run left; that it cannot be removed shows below. */
    (void)dir_unlink(dir, name);
    writer->file = file_open(dir, name, FILE_NEW, error_number);
    if (writer->file) {
        *error_number = begin(writer, origin);
    }
    if (*error_number == 0) {
        return writer;
    }
    piece_writer_close(writer);
    return NULL;
}

int piece_writer_add(struct piece_writer *writer, const struct piece_record *record)
{
    struct buffer *block = &writer->block;
    int error_number = 0;
    size_t len = record->key.len + record->value.len;
    if (has_records(writer) && block->len + len > PIECE_BLOCK_LEN_TARGET) {
        error_number = write_block(writer, PIECE_RECORDS);
    }
    piece_record_encode(record, block);
    writer->records++;
    writer->size += record_size(record->key.len, record->value.len);
    return error_number == 0 && block->failed ? ENOMEM : error_number;
}

uint64_t piece_writer_bytes(const struct piece_writer *writer)
{
    return writer->offset + writer->block.len;
}

static int write_end(struct piece_writer *writer, const struct piece_end *end)
{
    int error_number = has_records(writer) ? write_block(writer, PIECE_RECORDS) : 0;
    if (error_number != 0) {
        return error_number;
    }
    piece_end_encode(end, &writer->block);
    return write_block(writer, PIECE_END);
}

/* Synced before it has its name, and the name before anybody is told (RULES L7). */
static int name_it(struct piece_writer *writer)
{
    char part[PIECE_NAME_LEN], name[PIECE_NAME_LEN];
    piece_name_print(writer->number, true, part);
    piece_name_print(writer->number, false, name);
    int error_number = file_sync(writer->file);
    if (error_number == 0) {
        error_number = dir_rename(writer->dir, part, name);
    }
    return error_number == 0 ? dir_sync(writer->dir) : error_number;
}

int piece_writer_finish(struct piece_writer *writer, struct piece_end *end, struct piece_sum *sum)
{
    end->records = writer->records;
    end->size = writer->size;
    int error_number = write_end(writer, end);
    if (error_number == 0) {
        error_number = name_it(writer);
    }
    if (error_number == 0) {
        *sum = (struct piece_sum){writer->records, writer->size, writer->offset, end->damaged,
                                  writer->checksum};
    }
    return error_number;
}

void piece_writer_close(struct piece_writer *writer)
{
    if (!writer) {
        return;
    }
    if (writer->file) {
        char name[PIECE_NAME_LEN];
        /* One that was finished has another name by now. */
        piece_name_print(writer->number, true, name);
        (void)dir_unlink(writer->dir, name);
    }
    file_close(writer->file);
    buffer_fini(&writer->block);
    free(writer);
}
