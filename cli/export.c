/* SPDX-License-Identifier: MIT */

/* Prints all records as jsonl, a table after another, each in hash order. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "cli/actions.h"
#include "cli/json_writer.h"
#include "cli/progress.h"
#include "cli/record_line.h"
#include "cli/server_stat.h"
#include "cli/skipped.h"
#include "cli/tables.h"
#include "proto/noun.h"

/* Lines are gathered up to this before they are written. */
#define WRITE_LEN (256u << 10)

struct exporter {
    struct session *session;
    const char *path; /* NULL: standard output */
    FILE *stream;
    struct buffer text;
    uint64_t records;
    uint64_t expected_records; /* 0: not known */
    struct progress progress;
};

static enum exit_code say_write_failure(const struct exporter *export, int error_number)
{
    progress_clear(&export->progress);
    return failure_say(EXIT_CODE_UNAVAILABLE, "export: cannot write %s: %s",
                       export->path ? export->path : "standard output", strerror(error_number));
}

static enum exit_code write_text(struct exporter *export)
{
    if (export->text.failed) {
        return failure_say_no_memory();
    }
    size_t len = export->text.len;
    errno = 0;
    if (len && fwrite(export->text.data, 1, len, export->stream) != len) {
        return say_write_failure(export, errno);
    }
    buffer_clear(&export->text);
    return EXIT_CODE_DONE;
}

static enum exit_code export_records(struct exporter *export, struct skv_scan *scan, bool has_ids)
{
    enum exit_code code = EXIT_CODE_DONE;
    while (code == EXIT_CODE_DONE) {
        const struct skv_record *record = skv_scan_next(scan);
        if (!record) {
            return write_text(export);
        }
        record_line_print_record(record, has_ids, &export->text);
        export->records++;
        if (export->text.len >= WRITE_LEN) {
            code = write_text(export);
            progress_show(&export->progress, export->records, export->records,
                          export->expected_records);
        }
    }
    return code;
}

static enum exit_code scan_table(struct exporter *export, unsigned table, struct skipped *skipped)
{
    const struct skv_scan_options options = {
        .table = tables_name(table),
        .on_damaged = export->session->arguments->skip_damaged ? skipped_say : NULL,
        .on_damaged_context = skipped,
    };
    struct skv_scan *scan = NULL;
    if (skv_scan_open(export->session->kv, &options, &scan) != SKV_OK) {
        return failure_say_call();
    }
    skipped->has_ids = tables_has_ids(table);
    enum exit_code code = export_records(export, scan, skipped->has_ids);
    if (skv_scan_close(scan) != SKV_OK) {
        progress_clear(&export->progress);
        code = failure_worst(code, skipped_say_call());
    }
    return code;
}

static enum exit_code scan_all(struct exporter *export)
{
    struct skipped skipped = {.progress = &export->progress};
    enum exit_code code = EXIT_CODE_DONE;
    for (unsigned i = 0; i < TABLES_COUNT && code == EXIT_CODE_DONE; i++) {
        code = scan_table(export, i, &skipped);
    }
    return skipped_end(&skipped, code);
}

/* How many records there are is asked only when somebody watches. */
static enum exit_code expect_records(struct exporter *export)
{
    struct server_stats stats = {0};
    enum exit_code code = EXIT_CODE_DONE;
    if (export->progress.is_shown) {
        code = server_stats_get(export->session, &stats);
        export->expected_records = server_stats_records(&stats);
    }
    server_stats_fini(&stats);
    return code;
}

static enum exit_code open_stream(struct exporter *export)
{
    export->stream = stdout;
    if (export->path) {
        export->stream = fopen(export->path, "we");
    }
    return export->stream ? EXIT_CODE_DONE
                          : failure_say(EXIT_CODE_USAGE, "export: cannot open %s: %s", export->path,
                                        strerror(errno));
}

/* A full disk may show only here. */
static enum exit_code close_stream(struct exporter *export)
{
    if (!export->stream) {
        return EXIT_CODE_DONE;
    }
    bool has_failed = fflush(export->stream) != 0;
    int error_number = errno;
    if (export->path) {
        (void)fclose(export->stream);
    }
    return has_failed ? say_write_failure(export, error_number) : EXIT_CODE_DONE;
}

/* On standard output, or on standard error when the records are there. */
static enum exit_code print_count(const struct exporter *export)
{
    double seconds = (double)progress_elapsed_ms(&export->progress) / 1000;
    if (!export->path) {
        if (export->progress.is_shown) {
            (void)fprintf(stderr, "%" PRIu64 " %s in %.1f s\n", export->records,
                          noun_of(export->records, "record", "records"), seconds);
        }
        return EXIT_CODE_DONE;
    }
    if (!export->session->arguments->json) {
        (void)printf("%" PRIu64 " %s in %.1f s\n", export->records,
                     noun_of(export->records, "record", "records"), seconds);
        return EXIT_CODE_DONE;
    }
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_number(&writer, "records", export->records);
    json_writer_float(&writer, "seconds", seconds);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

enum exit_code export_run(struct session *session)
{
    struct exporter export = {.session = session};
    const struct argument_list *words = &session->arguments->words;
    enum exit_code code = session_open(session);
    if (words->count > 0 && strcmp(words->items[0], "-") != 0) {
        export.path = words->items[0];
    }
    progress_start(&export.progress);
    if (code == EXIT_CODE_DONE) {
        code = expect_records(&export);
    }
    if (code == EXIT_CODE_DONE) {
        code = open_stream(&export);
    }
    if (code == EXIT_CODE_DONE) {
        code = scan_all(&export);
    }
    code = failure_worst(code, close_stream(&export));
    progress_clear(&export.progress);
    if (code == EXIT_CODE_DONE) {
        code = print_count(&export);
    }
    buffer_fini(&export.text);
    return code;
}
