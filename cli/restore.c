/* SPDX-License-Identifier: MIT */

/*
 * Writes the records of a backup into a cluster.
 *
 *     manifest ──> every piece read and verified ──> is the cluster empty? ──> pieces, in order, batch by batch
 *
 * Pieces are verified once more as they are written. What a batch cannot write stops it, with the piece's
 * number: to write that one again does no harm.
 */

#include <inttypes.h>
#include <stdio.h>

#include "cli/actions.h"
#include "cli/backup_files.h"
#include "cli/json_writer.h"
#include "cli/key_text.h"
#include "cli/output.h"
#include "io/clock.h"
#include "proto/noun.h"

/* As of import: a synced commit is shared by many, and progress is shown. */
#define BATCH_RECORDS_MAX 2000
#define BATCH_BYTES_MAX   (8u << 20)

/* A server that is restarted is back within this. */
#define BATCH_TIMEOUT_MS 30000

struct restore {
    struct session *session;
    const char *path;
    struct dir *dir;
    struct manifest manifest;
    uint32_t piece; /* number of the one that is being written */
    bool has_ids;   /* of its table */

    struct skv_batch *batch;
    struct skv_call call;
    size_t batch_bytes;

    uint64_t read; /* records taken from pieces */
    uint64_t written;
    uint64_t existing;
    uint64_t expired;
    struct progress progress;
};

/* --- a batch --- */

static enum exit_code say_in_piece(const struct restore *restore, enum exit_code code,
                                   const char *text)
{
    char name[PIECE_NAME_LEN];
    piece_name_print(restore->piece, false, name);
    progress_clear(&restore->progress);
    return failure_say(code, "restore: %s/%s: %s", restore->path, name, text);
}

/* Of all that were not written only the first is said: the others have its cause, as a rule. */
static enum exit_code count_items(struct restore *restore)
{
    size_t count = skv_batch_count(restore->batch);
    enum exit_code code = EXIT_CODE_DONE;
    for (size_t i = 0; i < count; i++) {
        enum skv_status status = skv_batch_status(restore->batch, i);
        if (status == SKV_OK) {
            restore->written++;
        } else if (status == SKV_CONDITION && restore->call.if_absent) {
            restore->existing++;
        } else if (code == EXIT_CODE_DONE) {
            code = say_in_piece(restore, failure_code(status), skv_batch_text(restore->batch, i));
        } else {
            code = failure_worst(code, failure_code(status));
        }
    }
    return code;
}

static enum exit_code run_batch(struct restore *restore)
{
    if (skv_batch_count(restore->batch) == 0) {
        return EXIT_CODE_DONE;
    }
    /* Each item's own status tells more than the first failure of all. */
    enum skv_status first_failure = skv_batch_run(restore->batch);
    (void)first_failure;
    enum exit_code code = count_items(restore);
    skv_batch_clear(restore->batch);
    restore->batch_bytes = 0;
    progress_show(&restore->progress, restore->read, restore->read,
                  restore->manifest.total.records);
    return code;
}

static enum exit_code add_to_batch(struct restore *restore, const struct piece_record *record,
                                   const struct skv_call *call)
{
    size_t count = skv_batch_count(restore->batch);
    skv_batch_write(restore->batch, session_skv_bytes(record->key),
                    skv_msgpack(record->value.data, record->value.len), call);
    if (skv_batch_count(restore->batch) == count) {
        return failure_say_no_memory();
    }
    restore->batch_bytes += record->key.len + record->value.len;
    bool is_full = count + 1 == BATCH_RECORDS_MAX || restore->batch_bytes >= BATCH_BYTES_MAX;
    return is_full ? run_batch(restore) : EXIT_CODE_DONE;
}

/* --- records --- */

/* 0: it is over, or of what never expires. By this clock, as the moment was by that of the backup's maker. */
static uint64_t left_ms_of(const struct piece_record *record)
{
    uint64_t now_ms = clock_wall_ms();
    if (record->expiry_ms <= now_ms) {
        return 0;
    }
    /* A clock that was set back must not give it more than it ever had. */
    uint64_t left_ms = record->expiry_ms - now_ms;
    return left_ms < record->ttl_ms ? left_ms : record->ttl_ms;
}

static enum exit_code add_record(struct restore *restore, const struct piece_record *record)
{
    struct skv_call call = restore->call;
    restore->read++;
    if (record->kind != 0 && !restore->has_ids) {
        return say_in_piece(restore, EXIT_CODE_USAGE,
                            "it has a kind of record that this version cannot write");
    }
    call.has_kind = restore->has_ids;
    call.kind = record->kind;
    if (record->expiry_ms > 0) {
        call.left_ms = left_ms_of(record);
        if (call.left_ms == 0) {
            restore->expired++;
            return EXIT_CODE_DONE;
        }
        call.ttl_ms = record->ttl_ms;
        call.sliding = record->is_sliding;
    }
    return add_to_batch(restore, record, &call);
}

static enum exit_code say_unreadable(const struct restore *restore, const char *error)
{
    progress_clear(&restore->progress);
    return failure_say(EXIT_CODE_USAGE, "restore: %s", error);
}

static enum exit_code add_records(struct restore *restore, struct piece_reader *reader)
{
    char error[PIECE_ERROR_LEN];
    struct piece_record record;
    for (;;) {
        enum exit_code code = EXIT_CODE_DONE;
        switch (piece_reader_next(reader, &record, error)) {
        case PIECE_READ_RECORD:
            code = add_record(restore, &record);
            break;
        case PIECE_READ_END:
            return run_batch(restore);
        case PIECE_READ_FAILED:
            return say_unreadable(restore, error);
        }
        if (code != EXIT_CODE_DONE) {
            return code;
        }
    }
}

static enum exit_code restore_piece(struct restore *restore)
{
    char error[PIECE_ERROR_LEN];
    unsigned table = restore->manifest.pieces[restore->piece - 1].table;
    struct piece_reader *reader = piece_reader_open(restore->dir, restore->piece, error);
    restore->call.table = tables_name(table);
    restore->has_ids = tables_has_ids(table);
    enum exit_code code = reader ? add_records(restore, reader) : say_unreadable(restore, error);
    piece_reader_close(reader);
    return code;
}

/* --- before the first record --- */

static enum exit_code refuse_full(struct bytes key, bool is_id)
{
    struct buffer text = {0};
    if (is_id) {
        key_text_name(key, is_id, &text);
    } else {
        key_text_quote(key, &text);
    }
    buffer_append(&text, "", 1);
    enum exit_code code = failure_say(EXIT_CODE_REFUSED,
                                      "restore: the cluster is not empty: --merge writes into it "
                                      "all the same, over what is there "
                                      "(with --if-absent, beside it); it has %s",
                                      text.failed ? "records" : (const char *)text.data);
    buffer_fini(&text);
    return code;
}

static enum exit_code check_empty_table(struct restore *restore, unsigned table)
{
    const struct skv_scan_options options = {
        .table = tables_name(table), .keys_only = true, .timeout_ms = restore->call.timeout_ms};
    struct skv_scan *scan = NULL;
    enum exit_code code = EXIT_CODE_DONE;
    if (skv_scan_open(restore->session->kv, &options, &scan) != SKV_OK) {
        return failure_say_call();
    }
    const struct skv_record *record = skv_scan_next(scan);
    if (record) {
        code = refuse_full(session_bytes(record->key), tables_has_ids(table));
    }
    return skv_scan_close(scan) == SKV_OK ? code : failure_say_call();
}

static enum exit_code check_empty(struct restore *restore)
{
    enum exit_code code = EXIT_CODE_DONE;
    for (unsigned i = 0; i < TABLES_COUNT && code == EXIT_CODE_DONE; i++) {
        code = check_empty_table(restore, i);
    }
    return code;
}

static bool has_ids(const struct manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->piece_count; i++) {
        if (tables_has_ids(manifest->pieces[i].table) && manifest->pieces[i].sum.records > 0) {
            return true;
        }
    }
    return false;
}

/* From another origin ids would tell other times, and some of those to come could be there already. */
static enum exit_code check_origin(const struct restore *restore)
{
    uint64_t origin_ms = skv_origin_ms(restore->session->kv);
    if (!has_ids(&restore->manifest) || origin_ms == restore->manifest.origin_ms) {
        return EXIT_CODE_DONE;
    }
    return failure_say(EXIT_CODE_REFUSED,
                       "restore: the ids of %s count from origin_ms %" PRIu64
                       ", those of this cluster from %" PRIu64
                       ": found it with a map that has \"origin_ms\": %" PRIu64,
                       restore->path, restore->manifest.origin_ms, origin_ms,
                       restore->manifest.origin_ms);
}

static enum exit_code check_from_piece(const struct restore *restore)
{
    uint64_t from_piece = restore->session->arguments->from_piece;
    return from_piece <= restore->manifest.piece_count
               ? EXIT_CODE_DONE
               : session_say_usage(restore->session,
                                   "--from-piece is at most %" PRIu32 ", so many has %s",
                                   restore->manifest.piece_count, restore->path);
}

static enum exit_code read_backup(struct restore *restore)
{
    enum exit_code code =
        backup_files_open(restore->session, restore->path, &restore->dir, &restore->manifest);
    if (code == EXIT_CODE_DONE) {
        code = check_from_piece(restore);
    }
    if (code == EXIT_CODE_DONE) {
        code = backup_files_check(restore->session, restore->dir, &restore->manifest,
                                  &restore->progress);
    }
    return code;
}

static enum exit_code open_cluster(struct restore *restore)
{
    const struct arguments *arguments = restore->session->arguments;
    enum exit_code code = session_open(restore->session);
    if (code == EXIT_CODE_DONE) {
        code = check_origin(restore);
    }
    if (code == EXIT_CODE_DONE && !arguments->merge) {
        code = check_empty(restore);
    }
    if (code == EXIT_CODE_DONE) {
        restore->batch = skv_batch_new(restore->session->kv);
        code = restore->batch ? EXIT_CODE_DONE : failure_say_no_memory();
    }
    return code;
}

/* --- the whole --- */

static enum exit_code print_json(const struct restore *restore, double seconds)
{
    const struct manifest *manifest = &restore->manifest;
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "directory", bytes_text(restore->path));
    json_writer_number(&writer, "records", restore->read);
    json_writer_number(&writer, "written", restore->written);
    json_writer_number(&writer, "existing", restore->existing);
    json_writer_number(&writer, "expired", restore->expired);
    json_writer_number(&writer, "of_records", manifest->total.records);
    json_writer_number(&writer, "pieces", manifest->piece_count);
    json_writer_float(&writer, "seconds", seconds);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static enum exit_code print_counts(const struct restore *restore)
{
    double seconds = (double)progress_elapsed_ms(&restore->progress) / 1000;
    if (restore->session->arguments->json) {
        return print_json(restore, seconds);
    }
    (void)printf("%" PRIu64 " of %" PRIu64 " %s in %.1f s: %" PRIu64 " written, %" PRIu64
                 " existing, %" PRIu64 " expired\n",
                 restore->read, restore->manifest.total.records,
                 noun_of(restore->manifest.total.records, "record", "records"), seconds,
                 restore->written, restore->existing, restore->expired);
    return EXIT_CODE_DONE;
}

static enum exit_code write_pieces(struct restore *restore)
{
    uint64_t from_piece = restore->session->arguments->from_piece;
    enum exit_code code = EXIT_CODE_DONE;
    restore->piece = from_piece ? (uint32_t)from_piece : 1;
    while (code == EXIT_CODE_DONE && restore->piece <= restore->manifest.piece_count) {
        code = restore_piece(restore);
        restore->piece += code == EXIT_CODE_DONE;
    }
    progress_clear(&restore->progress);
    if (code != EXIT_CODE_DONE) {
        (void)failure_say(code,
                          "restore: stopped in piece %" PRIu32 " of %" PRIu32
                          ": --merge --from-piece %" PRIu32 " goes on from there",
                          restore->piece, restore->manifest.piece_count, restore->piece);
    }
    return failure_worst(code,
                         output_finish_change(print_counts(restore),
                                              "the restore has run, and its counts are lost"));
}

enum exit_code restore_run(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    struct restore restore = {
        .session = session,
        .path = session_word(session, 0),
        .call = {.if_absent = arguments->if_absent,
                 .timeout_ms =
                     arguments->timeout_ms ? (uint32_t)arguments->timeout_ms : BATCH_TIMEOUT_MS},
    };
    progress_start(&restore.progress);
    enum exit_code code = read_backup(&restore);
    if (code == EXIT_CODE_DONE) {
        code = open_cluster(&restore);
    }
    if (code == EXIT_CODE_DONE) {
        progress_start(&restore.progress);
        code = write_pieces(&restore);
    }
    skv_batch_free(restore.batch);
    manifest_fini(&restore.manifest);
    dir_close(restore.dir);
    return code;
}
