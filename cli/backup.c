/* SPDX-License-Identifier: MIT */

/*
 * Takes a backup while the cluster serves.
 *
 *     scan behind a cursor ──> piece, 64 MiB ──> synced, named ──> scan behind its last record ──> ... ──> manifest
 *
 * So one table after another, each at least one piece, which tells that it is the table's last.
 * Each piece has a scan of its own: what one has read ahead when its piece is full is asked for anew, so that a
 * record's time left is never older than the page that told it, however long the disk took.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/actions.h"
#include "cli/backup_files.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "cli/server_stat.h"
#include "cli/skipped.h"
#include "io/clock.h"
#include "proto/noun.h"

/* What --resume may have to do again, and few enough files. */
#define PIECE_LEN_DEFAULT (64u << 20)

/* Less would be all files and no records, more all in one. */
#define PIECE_LEN_MIN (4u << 10)
#define PIECE_LEN_MAX (UINT64_C(1) << 40)

/* A server that is restarted is back within this, and a range that moves has its new owner. */
#define FETCH_TIMEOUT_MS 30000

struct backup {
    struct session *session;
    const char *path;
    uint64_t piece_len;
    struct dir *dir;
    struct manifest manifest;
    unsigned table;      /* of the next piece (cli/tables.h); TABLES_COUNT: all are there */
    uint32_t kept_count; /* pieces that an earlier run had made */
    bool is_finished;    /* by an earlier run, manifest and all */

    struct skipped skipped;
    struct buffer damaged; /* points of those that were passed over by the scan of this piece */
    bool has_told;
    uint64_t told_point; /* of the table's damaged record that was said last */

    struct progress progress;
    uint64_t expected_records; /* 0: not known */
};

/* --- failures --- */

static enum exit_code say_resume(enum exit_code code, const struct backup *backup)
{
    (void)failure_say(code, "backup: %s is unfinished: --resume goes on with it", backup->path);
    return code;
}

static enum exit_code say_write_failure(const struct backup *backup, const char *name,
                                        int error_number)
{
    progress_clear(&backup->progress);
    return failure_say(EXIT_CODE_UNAVAILABLE, "backup: cannot write %s/%s: %s", backup->path, name,
                       strerror(error_number));
}

/* --- damaged records --- */

/* A page that two pieces share tells of its damaged records twice: they are said once. */
static void on_damaged(void *context, struct skv_bytes key, uint64_t point, const char *why)
{
    struct backup *backup = context;
    buffer_append(&backup->damaged, &point, sizeof point);
    if (!backup->has_told || point > backup->told_point) {
        skipped_say(&backup->skipped, key, point, why);
    }
    backup->has_told = true;
    backup->told_point = point > backup->told_point ? point : backup->told_point;
}

/* Those behind the last record of the piece are the next one's. */
static uint64_t count_damaged(const struct backup *backup, bool is_last, uint64_t last_point)
{
    uint64_t count = 0, point;
    for (size_t at = 0; at < backup->damaged.len; at += sizeof point) {
        memcpy(&point, backup->damaged.data + at, sizeof point);
        count += is_last || point <= last_point;
    }
    return count;
}

/* --- a piece --- */

/* Behind which cursor the next one begins. */
static const char *next_from(const struct backup *backup)
{
    return manifest_from(&backup->manifest, backup->table, backup->manifest.piece_count);
}

static bool is_done(const struct backup *backup)
{
    return backup->table == TABLES_COUNT;
}

/* False when out of memory. */
static bool note_piece(struct backup *backup, const struct piece_sum *sum, bool is_last,
                       struct bytes to)
{
    if (!manifest_add(&backup->manifest, backup->table, sum, to)) {
        return false;
    }
    if (is_last) {
        backup->table++;
        backup->has_told = false;
    }
    return true;
}

struct taking {
    struct backup *backup;
    struct piece_writer *writer;
    struct skv_scan *scan;
    uint32_t number;
    bool is_last;
    uint64_t last_point;
};

static struct piece_record record_of(const struct skv_record *from)
{
    struct piece_record record = {
        .kind = from->kind,
        .point = from->point,
        .version = from->version,
        .key = session_bytes(from->key),
        .value = session_bytes(from->encoded),
    };
    if (from->ttl_ms >= 0) {
        uint64_t left_ms = (uint64_t)from->ttl_ms;
        record.expiry_ms = clock_wall_ms() + left_ms;
        record.ttl_ms = from->full_ttl_ms ? from->full_ttl_ms : left_ms;
        record.is_sliding = from->sliding;
    }
    return record;
}

static enum exit_code say_piece_failure(const struct taking *taking, int error_number)
{
    char name[PIECE_NAME_LEN];
    piece_name_print(taking->number, true, name);
    return say_write_failure(taking->backup, name, error_number);
}

static enum exit_code open_writer(struct taking *taking)
{
    const struct backup *backup = taking->backup;
    const struct manifest *manifest = &backup->manifest;
    int error_number = 0;
    struct piece_origin origin = {
        .begun_ms = manifest->begun_ms,
        .map_revision = manifest->map_revision,
        .table = bytes_text(tables_name(backup->table)),
        .from = bytes_text(next_from(backup)),
    };
    memcpy(origin.cluster, manifest->cluster, ID_LEN);
    taking->writer = piece_writer_open(backup->dir, taking->number, &origin, &error_number);
    return taking->writer ? EXIT_CODE_DONE : say_piece_failure(taking, error_number);
}

static enum exit_code open_scan(struct taking *taking)
{
    struct backup *backup = taking->backup;
    const struct arguments *arguments = backup->session->arguments;
    const char *from = next_from(backup);
    const struct skv_scan_options options = {
        .table = tables_name(backup->table),
        .cursor = *from ? from : NULL,
        .timeout_ms = arguments->timeout_ms ? (uint32_t)arguments->timeout_ms : FETCH_TIMEOUT_MS,
        .on_damaged = arguments->skip_damaged ? on_damaged : NULL,
        .on_damaged_context = backup,
    };
    buffer_clear(&backup->damaged);
    backup->skipped.has_ids = tables_has_ids(backup->table);
    return skv_scan_open(backup->session->kv, &options, &taking->scan) == SKV_OK
               ? EXIT_CODE_DONE
               : failure_say_call();
}

static enum exit_code take_records(struct taking *taking)
{
    struct backup *backup = taking->backup;
    uint64_t records = backup->manifest.total.records;
    while (piece_writer_bytes(taking->writer) < backup->piece_len) {
        const struct skv_record *from = skv_scan_next(taking->scan);
        if (!from) {
            taking->is_last = true; /* unless it has failed: skv_scan_close tells */
            break;
        }
        const struct piece_record record = record_of(from);
        int error_number = piece_writer_add(taking->writer, &record);
        if (error_number != 0) {
            return say_piece_failure(taking, error_number);
        }
        taking->last_point = from->point;
        records++;
        progress_show(&backup->progress, records, records, backup->expected_records);
    }
    return EXIT_CODE_DONE;
}

static enum exit_code finish_piece(struct taking *taking, const char *to)
{
    struct backup *backup = taking->backup;
    struct piece_sum sum;
    struct piece_end end = {
        .damaged = count_damaged(backup, taking->is_last, taking->last_point),
        .ended_ms = clock_wall_ms(),
        .is_last = taking->is_last,
        .to = bytes_text(to),
    };
    if (backup->damaged.failed) {
        return failure_say_no_memory();
    }
    int error_number = piece_writer_finish(taking->writer, &end, &sum);
    if (error_number != 0) {
        return say_piece_failure(taking, error_number);
    }
    return note_piece(backup, &sum, end.is_last, end.to) ? EXIT_CODE_DONE : failure_say_no_memory();
}

/* The scan ends first: only then is it known whether it reached the end or failed. */
static enum exit_code scan_piece(struct taking *taking)
{
    char to[PIECE_CURSOR_LEN_MAX + 1];
    enum exit_code code = open_scan(taking);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    code = take_records(taking);
    (void)snprintf(to, sizeof to, "%s", skv_scan_cursor(taking->scan));
    if (skv_scan_close(taking->scan) != SKV_OK) {
        progress_clear(&taking->backup->progress);
        code = failure_worst(code, skipped_say_call());
    }
    return code == EXIT_CODE_DONE ? finish_piece(taking, to) : code;
}

static enum exit_code take_piece(struct backup *backup)
{
    struct taking taking = {.backup = backup, .number = backup->manifest.piece_count + 1};
    if (taking.number > PIECE_NUMBER_MAX) {
        return failure_say(EXIT_CODE_USAGE,
                           "backup: %s: more than %d pieces; --piece-size makes "
                           "them larger",
                           backup->path, PIECE_NUMBER_MAX);
    }
    enum exit_code code = open_writer(&taking);
    if (code == EXIT_CODE_DONE) {
        code = scan_piece(&taking);
    }
    piece_writer_close(taking.writer);
    return code;
}

/* --- going on with what is there --- */

/* How many names of pieces there are, finished or not. */
static void count_name(void *context, const char *name)
{
    (void)name;
    ++*(unsigned *)context;
}

static bool has_pieces(const struct backup *backup)
{
    unsigned count = 0;
    return dir_list(backup->dir, PIECE_NAME_START, count_name, &count) == 0 && count > 0;
}

/* Of this cluster and behind the piece before, as each is that one run has left. */
static bool goes_on(const struct backup *backup, const struct backup_piece *piece)
{
    const struct manifest *manifest = &backup->manifest;
    return strcmp(piece->table, tables_name(backup->table)) == 0 &&
           strcmp(piece->from, next_from(backup)) == 0 &&
           (manifest->piece_count == 0 || piece->begun_ms == manifest->begun_ms);
}

static enum exit_code refuse_cluster(const struct backup *backup, const struct backup_piece *piece)
{
    char theirs[ID_TEXT_LEN], ours[ID_TEXT_LEN];
    id_bytes_print(piece->cluster, theirs);
    id_bytes_print(backup->manifest.cluster, ours);
    return failure_say(EXIT_CODE_USAGE, "backup: %s is a backup of cluster %s, and this is %s",
                       backup->path, theirs, ours);
}

static enum exit_code keep_piece(struct backup *backup, const struct backup_piece *piece)
{
    struct manifest *manifest = &backup->manifest;
    manifest->begun_ms = piece->begun_ms;
    manifest->map_revision = piece->map_revision;
    backup->kept_count++;
    return note_piece(backup, &piece->sum, piece->is_last, bytes_text(piece->to))
               ? EXIT_CODE_DONE
               : failure_say_no_memory();
}

/* Every whole piece from the first on; the first that is not one is taken anew, with all behind it. */
static enum exit_code keep_pieces(struct backup *backup)
{
    struct backup_reading reading = {.progress = &backup->progress};
    enum exit_code code = EXIT_CODE_DONE;
    char name[PIECE_NAME_LEN], error[PIECE_ERROR_LEN];
    while (code == EXIT_CODE_DONE && !is_done(backup) && backup->kept_count < PIECE_NUMBER_MAX) {
        struct backup_piece piece;
        uint32_t number = backup->kept_count + 1;
        piece_name_print(number, false, name);
        if (!dir_has(backup->dir, name)) {
            break;
        }
        bool is_whole = backup_files_read(backup->dir, number, &reading, &piece, error);
        progress_clear(&backup->progress);
        if (is_whole && memcmp(piece.cluster, backup->manifest.cluster, ID_LEN) != 0) {
            return refuse_cluster(backup, &piece);
        }
        if (!is_whole || !goes_on(backup, &piece)) {
            (void)failure_say(EXIT_CODE_DONE, "backup: %s; it is taken anew, and all behind it",
                              is_whole ? name : error);
            break;
        }
        code = keep_piece(backup, &piece);
    }
    return code;
}

/* Names are gathered first: a directory that is changed while it is listed may skip some. */
static void gather_name(void *context, const char *name)
{
    buffer_append(context, name, strlen(name) + 1);
}

static bool is_kept(const struct backup *backup, const char *name)
{
    char kept[PIECE_NAME_LEN];
    unsigned long number = strtoul(name + strlen(PIECE_NAME_START), NULL, 10);
    if (number == 0 || number > backup->kept_count) {
        return false;
    }
    piece_name_print((uint32_t)number, false, kept);
    return strcmp(kept, name) == 0;
}

static enum exit_code remove_others(const struct backup *backup)
{
    struct buffer names = {0};
    int error_number = dir_list(backup->dir, PIECE_NAME_START, gather_name, &names);
    const char *name = (const char *)names.data;
    const char *end = name + names.len;
    for (; error_number == 0 && name < end; name += strlen(name) + 1) {
        error_number = is_kept(backup, name) ? 0 : dir_unlink(backup->dir, name);
    }
    enum exit_code code = EXIT_CODE_DONE;
    if (error_number != 0 || names.failed) {
        code =
            failure_say(EXIT_CODE_UNAVAILABLE, "backup: cannot clear %s of what is not whole: %s",
                        backup->path, strerror(error_number ? error_number : ENOMEM));
    }
    buffer_fini(&names);
    return code;
}

static enum exit_code resume(struct backup *backup)
{
    if (!has_pieces(backup)) {
        return dir_is_empty(backup->dir)
                   ? EXIT_CODE_DONE
                   : failure_say(EXIT_CODE_USAGE, "backup: %s is no backup, and not empty",
                                 backup->path);
    }
    enum exit_code code = keep_pieces(backup);
    return code == EXIT_CODE_DONE ? remove_others(backup) : code;
}

static enum exit_code refuse_directory(const struct backup *backup)
{
    return failure_say(EXIT_CODE_USAGE, "backup: %s %s", backup->path,
                       has_pieces(backup) ? "has an unfinished backup: --resume goes on with it"
                                          : "is not empty: a backup takes a directory of its own");
}

/* --- the whole --- */

static enum exit_code choose_piece_len(struct backup *backup)
{
    const char *size = backup->session->arguments->size;
    backup->piece_len = PIECE_LEN_DEFAULT;
    if (size && (!size_parse(bytes_text(size), &backup->piece_len) ||
                 backup->piece_len < PIECE_LEN_MIN || backup->piece_len > PIECE_LEN_MAX)) {
        return session_say_usage(backup->session,
                                 "--piece-size is 4KiB to 1TiB, like 64MiB, not \"%s\"", size);
    }
    return EXIT_CODE_DONE;
}

/* What a backup is of: asked before it and once more behind it. */
static enum exit_code ask_map(struct backup *backup, bool is_end)
{
    struct manifest *manifest = &backup->manifest;
    struct map map = {0};
    enum exit_code code = session_get_map(backup->session, &map);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    if (!is_end) {
        memcpy(manifest->cluster, map.cluster, ID_LEN);
        manifest->map_revision = map.revision;
        manifest->begun_ms = clock_wall_ms();
        manifest->origin_ms = map.origin_ms;
    } else if (memcmp(manifest->cluster, map.cluster, ID_LEN) != 0) {
        code = failure_say(EXIT_CODE_UNAVAILABLE, "backup: another cluster than before answers");
    } else {
        manifest->map_revision_at_end = map.revision;
        manifest->ended_ms = clock_wall_ms();
    }
    map_fini(&map);
    return code;
}

static enum exit_code open_directory(struct backup *backup)
{
    char error[MANIFEST_ERROR_LEN];
    const struct arguments *arguments = backup->session->arguments;
    backup->dir = dir_open(backup->path, error, sizeof error);
    if (!backup->dir) {
        return failure_say(EXIT_CODE_USAGE, "backup: %s", error);
    }
    backup->is_finished = dir_has(backup->dir, MANIFEST_NAME);
    if (arguments->resume) {
        return backup->is_finished ? EXIT_CODE_DONE : resume(backup);
    }
    if (backup->is_finished) {
        return failure_say(EXIT_CODE_USAGE,
                           "backup: %s has a finished backup: the next takes another directory",
                           backup->path);
    }
    return dir_is_empty(backup->dir) ? EXIT_CODE_DONE : refuse_directory(backup);
}

/* How many records there are is asked only when somebody watches. */
static enum exit_code expect_records(struct backup *backup)
{
    struct server_stats stats = {0};
    enum exit_code code = EXIT_CODE_DONE;
    if (backup->progress.is_shown) {
        code = server_stats_get(backup->session, &stats);
        backup->expected_records = server_stats_records(&stats);
    }
    server_stats_fini(&stats);
    return code;
}

static enum exit_code take_pieces(struct backup *backup)
{
    enum exit_code code = expect_records(backup);
    while (code == EXIT_CODE_DONE && !is_done(backup)) {
        code = take_piece(backup);
    }
    if (code == EXIT_CODE_DONE) {
        code = ask_map(backup, true);
    }
    if (code == EXIT_CODE_DONE) {
        int error_number = manifest_write(&backup->manifest, backup->dir);
        code = error_number ? say_write_failure(backup, MANIFEST_NAME, error_number) : code;
    }
    progress_clear(&backup->progress);
    return code == EXIT_CODE_DONE ? code : say_resume(code, backup);
}

static enum exit_code print_json(const struct backup *backup, double seconds)
{
    const struct manifest *manifest = &backup->manifest;
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "directory", bytes_text(backup->path));
    json_writer_number(&writer, "records", manifest->total.records);
    json_writer_number(&writer, "size", manifest->total.size);
    json_writer_number(&writer, "bytes", manifest->total.bytes);
    json_writer_number(&writer, "damaged", manifest->total.damaged);
    json_writer_number(&writer, "pieces", manifest->piece_count);
    json_writer_number(&writer, "kept_pieces", backup->kept_count);
    json_writer_float(&writer, "seconds", seconds);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static enum exit_code print_totals(const struct backup *backup)
{
    const struct manifest *manifest = &backup->manifest;
    double seconds = (double)progress_elapsed_ms(&backup->progress) / 1000;
    if (backup->session->arguments->json) {
        return print_json(backup, seconds);
    }
    (void)printf("%" PRIu64 " %s in %" PRIu32 " %s, %" PRIu64 " bytes, in %.1f s",
                 manifest->total.records, noun_of(manifest->total.records, "record", "records"),
                 manifest->piece_count, noun_of(manifest->piece_count, "piece", "pieces"),
                 manifest->total.bytes, seconds);
    if (backup->kept_count > 0) {
        (void)printf("; %" PRIu32 " %s there", backup->kept_count,
                     noun_of(backup->kept_count, "piece was", "pieces were"));
    }
    (void)puts("");
    return EXIT_CODE_DONE;
}

/* Who asks once more whether it is finished shall know what it is. */
static enum exit_code tell_finished(struct backup *backup)
{
    dir_close(backup->dir);
    backup->dir = NULL;
    return backup_verify(backup->session);
}

static enum exit_code finish(const struct backup *backup, struct skipped *skipped)
{
    enum exit_code code = output_finish_change(print_totals(backup), "the backup is whole");
    /* Those of an earlier run count, too: they are not in it. */
    skipped->count = backup->manifest.total.damaged;
    return skipped_end(skipped, code);
}

static enum exit_code run(struct backup *backup)
{
    enum exit_code code = choose_piece_len(backup);
    progress_start(&backup->progress);
    if (code == EXIT_CODE_DONE) {
        code = ask_map(backup, false);
    }
    if (code == EXIT_CODE_DONE) {
        code = open_directory(backup);
    }
    if (code == EXIT_CODE_DONE && backup->is_finished) {
        return tell_finished(backup);
    }
    if (code == EXIT_CODE_DONE) {
        code = take_pieces(backup);
    }
    return code == EXIT_CODE_DONE ? finish(backup, &backup->skipped) : code;
}

enum exit_code backup_run(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    if (arguments->verify && (arguments->resume || arguments->skip_damaged || arguments->size)) {
        return session_say_usage(session, "--verify goes alone");
    }
    if (arguments->verify) {
        return backup_verify(session);
    }
    struct backup backup = {.session = session, .path = session_word(session, 0)};
    backup.skipped.progress = &backup.progress;
    enum exit_code code = run(&backup);
    buffer_fini(&backup.damaged);
    manifest_fini(&backup.manifest);
    dir_close(backup.dir);
    return code;
}
