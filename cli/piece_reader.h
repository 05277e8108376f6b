/* SPDX-License-Identifier: MIT */
#ifndef CLI_PIECE_READER_H
#define CLI_PIECE_READER_H

/*
 * Reads a piece of a backup, block by block, and trusts nothing: checksums, lengths, the order of the
 * records and the counts at the end must all hold. What was given before a fault shows is as it was written.
 */

#include "cli/piece_writer.h"

struct piece_reader;

/* "DIR/records-000003: ..." */
enum { PIECE_ERROR_LEN = 640 };

/* NULL with `error` filled. `dir` is borrowed for as long as the reader lives. */
struct piece_reader *piece_reader_open(struct dir *dir, uint32_t number,
                                       char error[PIECE_ERROR_LEN]);

/* As long as the reader lives. */
const struct piece_origin *piece_reader_origin(const struct piece_reader *reader);

enum piece_read { PIECE_READ_RECORD, PIECE_READ_END, PIECE_READ_FAILED };

/* The record is good until the next call. After PIECE_READ_FAILED `error` is filled, and nothing more comes. */
enum piece_read piece_reader_next(struct piece_reader *reader, struct piece_record *record,
                                  char error[PIECE_ERROR_LEN]);

/* After PIECE_READ_END, as long as the reader lives. */
const struct piece_end *piece_reader_end(const struct piece_reader *reader);
struct piece_sum piece_reader_sum(const struct piece_reader *reader);

void piece_reader_close(struct piece_reader *reader); /* NULL is allowed */

#endif
