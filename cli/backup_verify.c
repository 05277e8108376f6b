/* SPDX-License-Identifier: MIT */

/* backup --verify: whether a backup is whole, without any server. */

#include <inttypes.h>
#include <stdio.h>

#include "cli/actions.h"
#include "cli/backup_files.h"
#include "cli/json_writer.h"
#include "proto/noun.h"

static enum exit_code print_json(const char *path, const struct manifest *manifest)
{
    struct json_writer writer = {0};
    char cluster[ID_TEXT_LEN], ended[MANIFEST_TIME_LEN];
    id_bytes_print(manifest->cluster, cluster);
    manifest_time_print(manifest->ended_ms, ended);
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "directory", bytes_text(path));
    json_writer_text(&writer, "state", bytes_text("whole"));
    json_writer_text(&writer, "cluster", bytes_text(cluster));
    json_writer_text(&writer, "ended", bytes_text(ended));
    json_writer_number(&writer, "pieces", manifest->piece_count);
    json_writer_number(&writer, "records", manifest->total.records);
    json_writer_number(&writer, "size", manifest->total.size);
    json_writer_number(&writer, "bytes", manifest->total.bytes);
    json_writer_number(&writer, "damaged", manifest->total.damaged);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static enum exit_code print_text(const char *path, const struct manifest *manifest)
{
    char ended[MANIFEST_TIME_LEN];
    manifest_time_print(manifest->ended_ms, ended);
    (void)printf("%s is whole: %" PRIu64 " %s in %" PRIu32 " %s, %" PRIu64 " bytes, of %s\n", path,
                 manifest->total.records, noun_of(manifest->total.records, "record", "records"),
                 manifest->piece_count, noun_of(manifest->piece_count, "piece", "pieces"),
                 manifest->total.bytes, ended);
    if (manifest->total.damaged > 0) {
        (void)printf("%" PRIu64 " damaged %s left out when it was made\n", manifest->total.damaged,
                     noun_of(manifest->total.damaged, "record was", "records were"));
    }
    return EXIT_CODE_DONE;
}

enum exit_code backup_verify(struct session *session)
{
    const char *path = session_word(session, 0);
    struct dir *dir = NULL;
    struct manifest manifest = {0};
    struct progress progress;
    progress_start(&progress);
    enum exit_code code = backup_files_open(session, path, &dir, &manifest);
    if (code == EXIT_CODE_DONE) {
        code = backup_files_check(session, dir, &manifest, &progress);
    }
    if (code == EXIT_CODE_DONE) {
        code = session->arguments->json ? print_json(path, &manifest) : print_text(path, &manifest);
    }
    manifest_fini(&manifest);
    dir_close(dir);
    return code;
}
