/* SPDX-License-Identifier: MIT */
#ifndef CLI_MANIFEST_H
#define CLI_MANIFEST_H

/*
 * What a backup is, as one line of JSON in manifest.json: written last, so that a directory without it is
 * an unfinished backup.
 *
 *     {"format":2,"shardkv":"0.1.0","cluster":"32 digits","origin_ms":1379365531352,
 *      "begun":"2026-11-21T14:00:00Z","begun_ms":...,"ended":"...","ended_ms":...,
 *      "map_revision":7,"map_revision_at_end":9,
 *      "records":...,"size":...,"bytes":...,"damaged":0,
 *      "pieces":[{"file":"records-000001","table":"default","from":"","to":"cursor","records":...,"size":...,
 *                 "bytes":...,"damaged":0,"checksum":"16 digits"},...],
 *      "checksum":"16 digits"}
 *
 * Records and damaged ones that were left out, the size that shards count for them, and the bytes of the files
 * stand for each piece and for all. Pieces have the tables one after another (cli/tables.h), each at least one.
 * A piece goes from one cursor to the next (cli/piece.h), a table's first from the start; its checksum is that of
 * its last block. The manifest's own is XXH3_64 of all bytes before ,"checksum". Ids count from origin_ms.
 *
 * Format 1 had the table "default" alone, named once for all pieces, and no origin.
 */

#include "cli/piece_writer.h"
#include "cli/tables.h"

#define MANIFEST_NAME   "manifest.json"
#define MANIFEST_FORMAT 2

/* A million pieces between short keys. */
#define MANIFEST_LEN_MAX (512u << 20)

struct manifest_piece {
    struct piece_sum sum;
    unsigned table; /* its place (cli/tables.h) */
    char *to;       /* a cursor */
};

struct manifest {
    uint8_t cluster[ID_LEN];
    uint64_t origin_ms; /* of ids */
    uint64_t begun_ms;
    uint64_t ended_ms;
    uint64_t map_revision; /* when it began */
    uint64_t map_revision_at_end;
    struct piece_sum total; /* checksum 0 */
    struct manifest_piece *pieces;
    uint32_t piece_count;
    uint32_t capacity;
};

enum { MANIFEST_ERROR_LEN = 640, MANIFEST_TIME_LEN = 32 };

void manifest_fini(struct manifest *manifest);

/* Copies the cursor. False when out of memory; *manifest is then as it was. */
bool manifest_add(struct manifest *manifest, unsigned table, const struct piece_sum *sum,
                  struct bytes to);

/* Behind which cursor piece `index`, of that table, begins: empty for its first. Until the manifest changes. */
const char *manifest_from(const struct manifest *manifest, unsigned table, uint32_t index);

/* Whether piece `index` is the last of its table. */
bool manifest_is_last(const struct manifest *manifest, uint32_t index);

/* Appends the line; memory sticks in `json`. */
void manifest_print(const struct manifest *manifest, struct buffer *json);

/* False: `error` says what is wrong, without the file's name; *manifest is then untouched. */
bool manifest_parse(struct bytes json, struct manifest *manifest, char error[MANIFEST_ERROR_LEN]);

/* Under its name only when it is synced. An errno. */
int manifest_write(const struct manifest *manifest, struct dir *dir);

/* False: `error` names the file, and says what is to be done where it is missing. */
bool manifest_read(struct dir *dir, struct manifest *manifest, char error[MANIFEST_ERROR_LEN]);

/* "2026-11-21T14:00:00Z"; "" for what is no time. */
void manifest_time_print(uint64_t ms, char text[MANIFEST_TIME_LEN]);

#endif
