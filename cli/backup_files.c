/* SPDX-License-Identifier: MIT */
#include "cli/backup_files.h"

#include <inttypes.h>
#include <stdio.h>

/* Records between two looks at the clock. */
#define SHOW_EVERY_RECORDS 4096

static void copy_text(struct bytes text, char *to)
{
    memcpy(to, text.data, text.len);
    to[text.len] = '\0';
}

static void take_ends(const struct piece_reader *reader, struct backup_piece *piece)
{
    const struct piece_origin *origin = piece_reader_origin(reader);
    const struct piece_end *end = piece_reader_end(reader);
    *piece = (struct backup_piece){
        .begun_ms = origin->begun_ms,
        .ended_ms = end->ended_ms,
        .map_revision = origin->map_revision,
        .is_last = end->is_last,
        .sum = piece_reader_sum(reader),
    };
    memcpy(piece->cluster, origin->cluster, ID_LEN);
    copy_text(origin->table, piece->table);
    copy_text(origin->from, piece->from);
    copy_text(end->to, piece->to);
}

static void show(struct backup_reading *reading)
{
    if (++reading->records % SHOW_EVERY_RECORDS == 0) {
        progress_show(reading->progress, reading->records, reading->records,
                      reading->expected_records);
    }
}

bool backup_files_read(struct dir *dir, uint32_t number, struct backup_reading *reading,
                       struct backup_piece *piece, char error[PIECE_ERROR_LEN])
{
    struct piece_record record;
    struct piece_reader *reader = piece_reader_open(dir, number, error);
    enum piece_read result = reader ? PIECE_READ_RECORD : PIECE_READ_FAILED;
    while (result == PIECE_READ_RECORD) {
        result = piece_reader_next(reader, &record, error);
        show(reading);
    }
    if (result == PIECE_READ_END) {
        take_ends(reader, piece);
    }
    piece_reader_close(reader);
    return result == PIECE_READ_END;
}

enum exit_code backup_files_open(const struct session *session, const char *path, struct dir **dir,
                                 struct manifest *manifest)
{
    char error[MANIFEST_ERROR_LEN];
    *dir = dir_open_existing(path, error, sizeof error);
    if (*dir && manifest_read(*dir, manifest, error)) {
        return EXIT_CODE_DONE;
    }
    return failure_say(EXIT_CODE_USAGE, "%s: %s", session->command, error);
}

static bool sums_are_equal(const struct piece_sum *a, const struct piece_sum *b)
{
    return a->records == b->records && a->size == b->size && a->bytes == b->bytes &&
           a->damaged == b->damaged && a->checksum == b->checksum;
}

static bool is_as_told(const struct manifest *manifest, uint32_t index,
                       const struct backup_piece *piece)
{
    const struct manifest_piece *told = &manifest->pieces[index];
    return memcmp(piece->cluster, manifest->cluster, ID_LEN) == 0 &&
           strcmp(piece->table, tables_name(told->table)) == 0 &&
           piece->begun_ms == manifest->begun_ms &&
           piece->is_last == manifest_is_last(manifest, index) &&
           strcmp(piece->from, manifest_from(manifest, told->table, index)) == 0 &&
           strcmp(piece->to, told->to) == 0 && sums_are_equal(&piece->sum, &told->sum);
}

static enum exit_code say(const struct session *session, const struct backup_reading *reading,
                          const char *text)
{
    progress_clear(reading->progress);
    return failure_say(EXIT_CODE_USAGE, "%s: %s", session->command, text);
}

static enum exit_code check_piece(const struct session *session, struct dir *dir,
                                  const struct manifest *manifest, uint32_t index,
                                  struct backup_reading *reading)
{
    struct backup_piece piece;
    char error[PIECE_ERROR_LEN];
    char name[PIECE_NAME_LEN];
    if (!backup_files_read(dir, index + 1, reading, &piece, error)) {
        return say(session, reading, error);
    }
    if (is_as_told(manifest, index, &piece)) {
        return EXIT_CODE_DONE;
    }
    piece_name_print(index + 1, false, name);
    (void)snprintf(error, sizeof error,
                   "%.380s/%s: it is not the one of which " MANIFEST_NAME " tells", dir_path(dir),
                   name);
    return say(session, reading, error);
}

enum exit_code backup_files_check(const struct session *session, struct dir *dir,
                                  const struct manifest *manifest, struct progress *progress)
{
    struct backup_reading reading = {.progress = progress,
                                     .expected_records = manifest->total.records};
    enum exit_code code = EXIT_CODE_DONE;
    for (uint32_t i = 0; i < manifest->piece_count; i++) {
        code = failure_worst(code, check_piece(session, dir, manifest, i, &reading));
    }
    progress_clear(progress);
    return code;
}
