/* SPDX-License-Identifier: MIT */
#ifndef CLI_PIECE_WRITER_H
#define CLI_PIECE_WRITER_H

/*
 * Writes a piece of a backup.
 *
 *     records-000007.part   ── end, synced ──>   records-000007      the directory synced
 *
 * What has its name is whole and on disk; what has not is written anew.
 */

#include "cli/piece.h"
#include "io/file.h"

struct piece_writer;

/* What a manifest tells of a piece. */
struct piece_sum {
    uint64_t records;
    uint64_t size;  /* what shards count for them */
    uint64_t bytes; /* of the file */
    uint64_t damaged;
    uint64_t checksum;
};

/* NULL: *error_number says why. `origin` is borrowed for the call, `dir` for as long as the writer lives. */
struct piece_writer *piece_writer_open(struct dir *dir, uint32_t number,
                                       const struct piece_origin *origin, int *error_number);

/* In rising order of point and key. An errno, after which only piece_writer_close is allowed. */
int piece_writer_add(struct piece_writer *writer, const struct piece_record *record);

/* What the file has so far, with what is not yet written. */
uint64_t piece_writer_bytes(const struct piece_writer *writer);

/* Fills end->records and end->size, and *sum. An errno; with 0 the piece is durable under its name. */
int piece_writer_finish(struct piece_writer *writer, struct piece_end *end, struct piece_sum *sum);

/* Removes what was not finished. NULL is allowed. */
void piece_writer_close(struct piece_writer *writer);

#endif
