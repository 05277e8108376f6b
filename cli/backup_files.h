/* SPDX-License-Identifier: MIT */
#ifndef CLI_BACKUP_FILES_H
#define CLI_BACKUP_FILES_H

/*
 * The files of a backup, looked at:
 *
 *     DIR   manifest.json      what it is; written last
 *           records-000001     its pieces, in hash order
 *           records-000002
 *           LOCK               held while it is made or read; not part of it
 */

#include "cli/manifest.h"
#include "cli/piece_reader.h"
#include "cli/progress.h"
#include "cli/session.h"

/* What a whole piece tells of itself. */
struct backup_piece {
    uint8_t cluster[ID_LEN];
    char table[NAME_LEN_MAX + 1];
    uint64_t begun_ms;
    uint64_t ended_ms;
    uint64_t map_revision;
    bool is_last;
    char from[PIECE_CURSOR_LEN_MAX + 1]; /* cursors */
    char to[PIECE_CURSOR_LEN_MAX + 1];
    struct piece_sum sum;
};

/* How far the reading of many pieces has come. */
struct backup_reading {
    struct progress *progress;
    uint64_t records;
    uint64_t expected_records; /* 0: not known */
};

/* Reads the piece to its end. False: `error` names the file and says what is wrong; *piece is then untouched. */
bool backup_files_read(struct dir *dir, uint32_t number, struct backup_reading *reading,
                       struct backup_piece *piece, char error[PIECE_ERROR_LEN]);

/* Opens a directory for looking, and reads its manifest; says why when it cannot. */
enum exit_code backup_files_open(const struct session *session, const char *path, struct dir **dir,
                                 struct manifest *manifest);

/* Reads all pieces, and says of each that is missing, damaged or another than the manifest tells of. */
enum exit_code backup_files_check(const struct session *session, struct dir *dir,
                                  const struct manifest *manifest, struct progress *progress);

#endif
