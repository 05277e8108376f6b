/* SPDX-License-Identifier: MIT */
#include "cli/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/json_writer.h"
#include "proto/hash.h"
#include "proto/id.h"
#include "proto/json.h"
#include "proto/map.h"
#include "proto/unpack.h"

#define PART_NAME MANIFEST_NAME ".part"

/* ,"checksum":"0123456789abcdef"} and a newline */
#define TAIL_START ",\"checksum\":\""
#define TAIL_END   "\"}\n"
enum { DIGITS = 16, TAIL_LEN = sizeof(TAIL_START) - 1 + DIGITS + sizeof(TAIL_END) - 1 };

void manifest_fini(struct manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->piece_count; i++) {
        free(manifest->pieces[i].to);
    }
    free(manifest->pieces);
    *manifest = (struct manifest){0};
}

static bool grow(struct manifest *manifest)
{
    uint32_t capacity = manifest->capacity ? 2 * manifest->capacity : 64;
    struct manifest_piece *pieces = realloc(manifest->pieces, capacity * sizeof *manifest->pieces);
    if (!pieces) {
        return false;
    }
    manifest->pieces = pieces;
    manifest->capacity = capacity;
    return true;
}

static void add_up(struct piece_sum *total, const struct piece_sum *sum)
{
    total->records += sum->records;
    total->size += sum->size;
    total->bytes += sum->bytes;
    total->damaged += sum->damaged;
}

bool manifest_add(struct manifest *manifest, unsigned table, const struct piece_sum *sum,
                  struct bytes to)
{
    if (manifest->piece_count == manifest->capacity && !grow(manifest)) {
        return false;
    }
    char *copy = strndup(to.len ? to.data : "", to.len);
    if (!copy) {
        return false;
    }
    manifest->pieces[manifest->piece_count++] = (struct manifest_piece){*sum, table, copy};
    add_up(&manifest->total, sum);
    return true;
}

const char *manifest_from(const struct manifest *manifest, unsigned table, uint32_t index)
{
    bool is_first = index == 0 || manifest->pieces[index - 1].table != table;
    return is_first ? "" : manifest->pieces[index - 1].to;
}

bool manifest_is_last(const struct manifest *manifest, uint32_t index)
{
    return index + 1 == manifest->piece_count ||
           manifest->pieces[index + 1].table != manifest->pieces[index].table;
}

/* --- printing --- */

void manifest_time_print(uint64_t ms, char text[MANIFEST_TIME_LEN])
{
    struct tm parts;
    time_t seconds = (time_t)(ms / 1000);
    if (!gmtime_r(&seconds, &parts) ||
        strftime(text, MANIFEST_TIME_LEN, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        *text = '\0';
    }
}

static void print_time(struct json_writer *writer, const char *name, const char *name_ms,
                       uint64_t ms)
{
    char text[MANIFEST_TIME_LEN];
    manifest_time_print(ms, text);
    json_writer_text(writer, name, bytes_text(text));
    json_writer_number(writer, name_ms, ms);
}

static void print_sum(struct json_writer *writer, const struct piece_sum *sum)
{
    json_writer_number(writer, "records", sum->records);
    json_writer_number(writer, "size", sum->size);
    json_writer_number(writer, "bytes", sum->bytes);
    json_writer_number(writer, "damaged", sum->damaged);
}

static void print_digits(uint64_t checksum, char digits[DIGITS + 1])
{
    (void)snprintf(digits, DIGITS + 1, "%016" PRIx64, checksum);
}

static void print_piece(struct json_writer *writer, const struct manifest *manifest, uint32_t index)
{
    const struct manifest_piece *piece = &manifest->pieces[index];
    char name[PIECE_NAME_LEN], digits[DIGITS + 1];
    piece_name_print(index + 1, false, name);
    print_digits(piece->sum.checksum, digits);
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "file", bytes_text(name));
    json_writer_text(writer, "table", bytes_text(tables_name(piece->table)));
    json_writer_text(writer, "from", bytes_text(manifest_from(manifest, piece->table, index)));
    json_writer_text(writer, "to", bytes_text(piece->to));
    print_sum(writer, &piece->sum);
    json_writer_text(writer, "checksum", bytes_text(digits));
    json_writer_close(writer, '}');
}

static void print_whole(struct json_writer *writer, const struct manifest *manifest)
{
    char cluster[ID_TEXT_LEN];
    id_bytes_print(manifest->cluster, cluster);
    json_writer_open(writer, NULL, '{');
    json_writer_number(writer, "format", MANIFEST_FORMAT);
    json_writer_text(writer, "shardkv", bytes_text(skv_version()));
    json_writer_text(writer, "cluster", bytes_text(cluster));
    json_writer_number(writer, "origin_ms", manifest->origin_ms);
    print_time(writer, "begun", "begun_ms", manifest->begun_ms);
    print_time(writer, "ended", "ended_ms", manifest->ended_ms);
    json_writer_number(writer, "map_revision", manifest->map_revision);
    json_writer_number(writer, "map_revision_at_end", manifest->map_revision_at_end);
    print_sum(writer, &manifest->total);
    json_writer_open(writer, "pieces", '[');
    for (uint32_t i = 0; i < manifest->piece_count; i++) {
        print_piece(writer, manifest, i);
    }
    json_writer_close(writer, ']');
}

/* The end of the line is built by hand: its place is part of what is checked. */
void manifest_print(const struct manifest *manifest, struct buffer *json)
{
    struct json_writer writer = {0};
    char digits[DIGITS + 1];
    print_whole(&writer, manifest);
    struct bytes whole = buffer_bytes(&writer.text);
    print_digits(hash_bytes(whole), digits);
    buffer_append_bytes(json, whole);
    buffer_append_bytes(json, bytes_text(TAIL_START));
    buffer_append_bytes(json, bytes_text(digits));
    buffer_append_bytes(json, bytes_text(TAIL_END));
    json->failed = json->failed || writer.text.failed;
    buffer_fini(&writer.text);
}

/* --- parsing --- */

/* Members of which each must be there once; what is not known is passed over. */
struct parsed {
    uint64_t format;
    struct bytes cluster;
    struct bytes table; /* of all pieces: format 1 */
    struct manifest manifest;
    struct piece_sum told; /* the totals */
};

struct parsed_piece {
    struct bytes file, table, from, to, checksum;
    struct piece_sum sum;
};

/* A member of a sum, or a number by its own name. False: it is none of them. */
static bool take_sum(struct unpack *in, struct bytes name, struct piece_sum *sum)
{
    const struct {
        const char *name;
        uint64_t *number;
    } numbers[] = {
        {"records", &sum->records},
        {"size", &sum->size},
        {"bytes", &sum->bytes},
        {"damaged", &sum->damaged},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (bytes_equal(name, bytes_text(numbers[i].name))) {
            *numbers[i].number = unpack_uint(in);
            return true;
        }
    }
    return false;
}

static struct bytes *text_member(struct parsed_piece *piece, struct bytes name)
{
    const struct {
        const char *name;
        struct bytes *text;
    } texts[] = {
        {"file", &piece->file}, {"table", &piece->table},       {"from", &piece->from},
        {"to", &piece->to},     {"checksum", &piece->checksum},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (bytes_equal(name, bytes_text(texts[i].name))) {
            return texts[i].text;
        }
    }
    return NULL;
}

/* In lower case, as they are printed. */
static bool parse_digits(struct bytes text, uint64_t *number)
{
    const char *digits = text.data;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool is_decimal = digits[i] >= '0' && digits[i] <= '9';
        if (!is_decimal && (digits[i] < 'a' || digits[i] > 'f')) {
            return false;
        }
        value = value << 4 | (uint64_t)(digits[i] - (is_decimal ? '0' : 'a' - 10));
    }
    *number = value;
    return text.len == DIGITS;
}

/* Of the table of the piece before or the next one; the first of the first. Without a name (format 1) the first. */
static bool find_table(const struct manifest *manifest, struct bytes name, unsigned *table)
{
    uint32_t count = manifest->piece_count;
    *table = name.data ? tables_index(name) : 0;
    unsigned before = count ? manifest->pieces[count - 1].table : 0;
    return *table < TABLES_COUNT && (*table == before || (count > 0 && *table == before + 1));
}

/* The piece is where it must be: its name, and behind the cursor at which the one before ends. */
static bool add_piece(struct parsed *parsed, struct parsed_piece *piece)
{
    struct manifest *manifest = &parsed->manifest;
    uint32_t count = manifest->piece_count;
    unsigned table = 0;
    char name[PIECE_NAME_LEN];
    if (count == PIECE_NUMBER_MAX || piece->to.len > PIECE_CURSOR_LEN_MAX ||
        !find_table(manifest, piece->table, &table)) {
        return false;
    }
    piece_name_print(count + 1, false, name);
    return bytes_equal(piece->file, bytes_text(name)) &&
           bytes_equal(piece->from, bytes_text(manifest_from(manifest, table, count))) &&
           parse_digits(piece->checksum, &piece->sum.checksum) &&
           manifest_add(manifest, table, &piece->sum, piece->to);
}

static void take_pieces(struct unpack *in, struct parsed *parsed)
{
    uint32_t count = unpack_array(in);
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        struct parsed_piece piece = {0};
        uint32_t member_count = unpack_map(in);
        for (uint32_t j = 0; j < member_count && unpack_is_fine(in); j++) {
            struct bytes name = unpack_text(in);
            struct bytes *text = text_member(&piece, name);
            if (text) {
                *text = unpack_text(in);
            } else if (!take_sum(in, name, &piece.sum)) {
                (void)unpack_skip(in);
            }
        }
        if (unpack_is_fine(in) && !add_piece(parsed, &piece)) {
            unpack_fail(in, UNPACK_WRONG_TYPE);
        }
    }
}

static uint64_t *number_member(struct parsed *parsed, struct bytes name)
{
    struct manifest *manifest = &parsed->manifest;
    const struct {
        const char *name;
        uint64_t *number;
    } numbers[] = {
        {"format", &parsed->format},
        {"origin_ms", &manifest->origin_ms},
        {"begun_ms", &manifest->begun_ms},
        {"ended_ms", &manifest->ended_ms},
        {"map_revision", &manifest->map_revision},
        {"map_revision_at_end", &manifest->map_revision_at_end},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (bytes_equal(name, bytes_text(numbers[i].name))) {
            return numbers[i].number;
        }
    }
    return NULL;
}

static void take_member(struct unpack *in, struct parsed *parsed)
{
    struct bytes name = unpack_text(in);
    uint64_t *number = number_member(parsed, name);
    if (number) {
        *number = unpack_uint(in);
    } else if (bytes_equal(name, bytes_text("cluster"))) {
        parsed->cluster = unpack_text(in);
    } else if (bytes_equal(name, bytes_text("table"))) {
        parsed->table = unpack_text(in);
    } else if (bytes_equal(name, bytes_text("pieces"))) {
        take_pieces(in, parsed);
    } else if (!take_sum(in, name, &parsed->told)) {
        (void)unpack_skip(in);
    }
}

/* All of the tables that the format has. */
static bool has_its_tables(struct parsed *parsed)
{
    const struct manifest *manifest = &parsed->manifest;
    unsigned count =
        manifest->piece_count ? manifest->pieces[manifest->piece_count - 1].table + 1 : 0;
    if (parsed->format == 1) {
        return count == 1 && tables_index(parsed->table) == 0;
    }
    return count == TABLES_COUNT;
}

/* The names, and the totals that must be those of the pieces. */
static bool settle(struct parsed *parsed)
{
    const struct manifest *manifest = &parsed->manifest;
    return id_bytes_parse(parsed->cluster, parsed->manifest.cluster) && has_its_tables(parsed) &&
           manifest->total.records == parsed->told.records &&
           manifest->total.size == parsed->told.size &&
           manifest->total.bytes == parsed->told.bytes &&
           manifest->total.damaged == parsed->told.damaged;
}

static bool fail(char error[MANIFEST_ERROR_LEN], const char *text)
{
    (void)snprintf(error, MANIFEST_ERROR_LEN, "%s", text);
    return false;
}

/* What a whole manifest says; the checksum has been looked at. */
static bool parse_object(struct bytes object, struct manifest *manifest,
                         char error[MANIFEST_ERROR_LEN])
{
    struct unpack in = unpack_of(object);
    struct parsed parsed = {.manifest = {.origin_ms = ID_ORIGIN_MS}};
    uint32_t member_count = unpack_map(&in);
    for (uint32_t i = 0; i < member_count && unpack_is_fine(&in); i++) {
        take_member(&in, &parsed);
    }
    if (!unpack_is_done(&in) || !settle(&parsed)) {
        manifest_fini(&parsed.manifest);
        return fail(error, "damaged, or no manifest of a backup");
    }
    *manifest = parsed.manifest;
    return true;
}

static bool has_its_checksum(struct bytes json)
{
    char tail[TAIL_LEN + 1], digits[DIGITS + 1];
    if (json.len < TAIL_LEN) {
        return false;
    }
    size_t len = json.len - TAIL_LEN;
    print_digits(hash_bytes(bytes_of(json.data, len)), digits);
    (void)snprintf(tail, sizeof tail, TAIL_START "%s" TAIL_END, digits);
    return memcmp((const char *)json.data + len, tail, TAIL_LEN) == 0;
}

/* 0 where there is none. */
static uint64_t format_of(struct bytes object)
{
    struct unpack in = unpack_of(object);
    uint32_t member_count = unpack_map(&in);
    for (uint32_t i = 0; i < member_count && unpack_is_fine(&in); i++) {
        if (bytes_equal(unpack_text(&in), bytes_text("format"))) {
            return unpack_uint(&in);
        }
        (void)unpack_skip(&in);
    }
    return 0;
}

bool manifest_parse(struct bytes json, struct manifest *manifest, char error[MANIFEST_ERROR_LEN])
{
    struct buffer object = {0};
    struct json_error json_error;
    bool is_json = json_parse(json, &object, &json_error);
    uint64_t format = is_json ? format_of(buffer_bytes(&object)) : 0;
    bool is_parsed = false;
    if (format > MANIFEST_FORMAT) {
        /* A later one may have its checksum elsewhere. */
        (void)snprintf(error, MANIFEST_ERROR_LEN,
                       "it is of format %" PRIu64 ", that of a newer version of shardkv (this one "
                       "knows %d), or damaged",
                       format, MANIFEST_FORMAT);
    } else if (!has_its_checksum(json)) {
        (void)fail(error, "damaged: the checksum does not match");
    } else {
        is_parsed = parse_object(buffer_bytes(&object), manifest, error);
    }
    buffer_fini(&object);
    return is_parsed;
}

/* --- the file --- */

static int write_part(struct dir *dir, struct bytes json)
{
    int error_number = 0;
    (void)dir_unlink(dir, PART_NAME);
    struct file *file = file_open(dir, PART_NAME, FILE_NEW, &error_number);
    if (!file) {
        return error_number;
    }
    error_number = file_write(file, 0, json.data, json.len);
    if (error_number == 0) {
        error_number = file_sync(file);
    }
    file_close(file);
    return error_number;
}

int manifest_write(const struct manifest *manifest, struct dir *dir)
{
    struct buffer json = {0};
    manifest_print(manifest, &json);
    int error_number = json.failed ? ENOMEM : write_part(dir, buffer_bytes(&json));
    if (error_number == 0) {
        error_number = dir_rename(dir, PART_NAME, MANIFEST_NAME);
    }
    buffer_fini(&json);
    return error_number == 0 ? dir_sync(dir) : error_number;
}

/* An errno; EFBIG above the bound. */
static int read_file(struct dir *dir, struct buffer *json)
{
    int error_number = 0;
    struct file *file = file_open(dir, MANIFEST_NAME, FILE_READ, &error_number);
    if (!file) {
        return error_number;
    }
    uint64_t len = file_len(file);
    uint8_t *end = len <= MANIFEST_LEN_MAX ? buffer_reserve(json, len) : NULL;
    if (end) {
        json->len = len;
        error_number = file_read(file, 0, end, len);
    } else {
        error_number = json->failed ? ENOMEM : EFBIG;
    }
    file_close(file);
    return error_number;
}

bool manifest_read(struct dir *dir, struct manifest *manifest, char error[MANIFEST_ERROR_LEN])
{
    struct buffer json = {0};
    char text[MANIFEST_ERROR_LEN];
    int error_number = read_file(dir, &json);
    bool is_read = error_number == 0 && manifest_parse(buffer_bytes(&json), manifest, text);
    if (error_number == ENOENT) {
        (void)snprintf(error, MANIFEST_ERROR_LEN,
                       "%.380s: unfinished, or no backup: there is no " MANIFEST_NAME
                       "; shardkv backup --resume goes on with it",
                       dir_path(dir));
    } else if (!is_read) {
        (void)snprintf(error, MANIFEST_ERROR_LEN, "%.380s/" MANIFEST_NAME ": %.200s", dir_path(dir),
                       error_number ? strerror(error_number) : text);
    }
    buffer_fini(&json);
    return is_read;
}
