/* SPDX-License-Identifier: MIT */

/* map get, map init, map apply, map recover. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "cli/actions.h"
#include "cli/input.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "proto/json.h"
#include "proto/pack.h"
#include "proto/point.h"

/* Above what fits into one request, so that the server's limit is the one that counts. */
#define MAP_FILE_LEN_MAX FRAME_LEN_MAX

/* --- map get --- */

/* The same on one line. */
static enum exit_code print_map_json(struct buffer *json)
{
    struct buffer object = {0};
    struct json_writer writer = {0};
    struct json_error error;
    if (json_parse(buffer_bytes(json), &object, &error)) {
        json_writer_value(&writer, NULL, buffer_bytes(&object));
    }
    writer.text.failed = writer.text.failed || json->failed || object.failed;
    buffer_fini(&object);
    buffer_fini(json);
    return json_writer_print(&writer);
}

enum exit_code map_commands_get(struct session *session)
{
    struct map map = {0};
    struct buffer json = {0};
    enum exit_code code = session_get_map(session, &map);
    if (code == EXIT_CODE_DONE) {
        map_print(&map, &json);
        code = session->arguments->json ? print_map_json(&json) : output_print(&json);
    }
    map_fini(&map);
    return code;
}

/* --- map init --- */

/* "0", "0.5", "1": as bound_print, without the point of whole numbers. */
static void print_name_part(uint64_t bound, char text[BOUND_TEXT_LEN])
{
    bound_print(bound, text);
    size_t len = strlen(text);
    if (len > 2 && strcmp(text + len - 2, ".0") == 0) {
        text[len - 2] = '\0';
    }
}

static void print_entry(uint64_t start, uint64_t end, const struct address *address,
                        const char *size, struct buffer *json)
{
    char start_name[BOUND_TEXT_LEN], end_name[BOUND_TEXT_LEN];
    char start_text[BOUND_TEXT_LEN], end_text[BOUND_TEXT_LEN];
    char entry[HOST_LEN_MAX + 256];
    print_name_part(start, start_name);
    print_name_part(end, end_name);
    bound_print(start, start_text);
    bound_print(end, end_text);
    int len = snprintf(entry, sizeof(entry),
                       "%s\n    { \"name\": \"shard%s-%s\", \"start\": %s, \"end\": %s, "
                       "\"size\": \"%s\", \"host\": ",
                       start ? "," : "", start_name, end_name, start_text, end_text, size);
    buffer_append(json, entry, (size_t)len);
    (void)json_quote(bytes_text(address->host), json);
    len = snprintf(entry, sizeof(entry), ", \"port\": %u }", address->port);
    buffer_append(json, entry, (size_t)len);
}

/* The nearest bound to `n` parts of `count`. */
static uint64_t nth_bound(unsigned n, unsigned count)
{
    return (n * BOUND_END + count / 2) / count;
}

/* A file for a person to edit: equal ranges, in the order of the servers. */
static enum exit_code build_map(const struct session *session, struct buffer *json)
{
    const struct argument_list *servers = &session->arguments->servers;
    const char *size_text = session->arguments->size;
    struct address address;
    uint64_t size = 0;
    if (servers->count == 0 || !size_text) {
        return session_say_usage(session,
                                 "--server HOST:PORT (once for each) and --size are needed");
    }
    if (!size_parse(bytes_text(size_text), &size)) {
        return session_say_usage(session, "--size is bytes like 1GiB or 100MB, not \"%s\"",
                                 size_text);
    }
    buffer_append_bytes(json, bytes_text("{ \"shards\": ["));
    for (unsigned i = 0; i < servers->count; i++) {
        if (!address_parse(bytes_text(servers->items[i]), &address)) {
            return session_say_usage(session, "\"%s\" is no HOST:PORT", servers->items[i]);
        }
        print_entry(nth_bound(i, servers->count), nth_bound(i + 1, servers->count), &address,
                    size_text, json);
    }
    buffer_append_bytes(json, bytes_text(" ] }\n"));
    return json->failed ? failure_say_no_memory() : EXIT_CODE_DONE;
}

static enum exit_code check_map(const struct session *session, const char *path, struct bytes json)
{
    struct map map = {0};
    struct map_error error;
    if (!map_parse(json, &map, &error)) {
        return failure_say(EXIT_CODE_USAGE, "%s: %s: %s", session->command, path, error.text);
    }
    map_fini(&map);
    return EXIT_CODE_DONE;
}

static enum exit_code print_made(const char *path, bool is_json)
{
    if (!is_json) {
        (void)printf("wrote %s\n", path);
        return EXIT_CODE_DONE;
    }
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "file", bytes_text(path));
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

/* A file that is there may be somebody's work: it is left alone. */
static enum exit_code write_new_file(const char *path, struct bytes content)
{
    FILE *file = fopen(path, "wxe");
    if (!file) {
        return failure_say(EXIT_CODE_USAGE, "map init: cannot make %s: %s", path, strerror(errno));
    }
    size_t written = fwrite(content.data, 1, content.len, file);
    if (fclose(file) || written != content.len) {
        return failure_say(EXIT_CODE_UNAVAILABLE, "map init: cannot write %s: %s", path,
                           strerror(errno));
    }
    return EXIT_CODE_DONE;
}

enum exit_code map_commands_init(struct session *session)
{
    bool has_file = session->arguments->words.count > 0;
    bool is_json = session->arguments->json;
    struct buffer json = {0};
    enum exit_code code = build_map(session, &json);
    if (code == EXIT_CODE_DONE) {
        code = check_map(session, "the new map", buffer_bytes(&json));
    }
    if (code == EXIT_CODE_DONE && has_file) {
        const char *path = session_word(session, 0);
        code = write_new_file(path, buffer_bytes(&json));
        if (code == EXIT_CODE_DONE) {
            code = output_finish_change(print_made(path, is_json), "the file is written");
        }
    } else if (code == EXIT_CODE_DONE) {
        code = is_json ? print_map_json(&json) : output_print(&json);
    }
    buffer_fini(&json);
    return code;
}

/* --- map apply --- */

static enum exit_code take_file(const struct session *session, const char *path,
                                struct buffer *json)
{
    struct input *input = input_open(path);
    enum input_result result = input ? input_read_all(input, MAP_FILE_LEN_MAX, json) : INPUT_FAILED;
    int error_number = errno;
    input_close(input);
    if (result == INPUT_TOO_LONG) {
        return failure_say(EXIT_CODE_USAGE, "map apply: %s: longer than %u bytes", path,
                           MAP_FILE_LEN_MAX);
    }
    if (result != INPUT_DONE) {
        return failure_say(EXIT_CODE_USAGE, "map apply: cannot read %s: %s", path,
                           strerror(error_number));
    }
    return check_map(session, path, buffer_bytes(json));
}

/* [revision, changes] */
struct map_changes {
    uint64_t revision;
    uint32_t count;
    struct unpack lines;
};

static void print_changes_json(struct map_changes *changes, bool dry_run,
                               struct json_writer *writer)
{
    json_writer_open(writer, NULL, '{');
    json_writer_number(writer, "map_revision", changes->revision);
    json_writer_bool(writer, "dry_run", dry_run);
    json_writer_open(writer, "changes", '[');
    for (uint32_t i = 0; i < changes->count; i++) {
        json_writer_text(writer, NULL, unpack_text(&changes->lines));
    }
    json_writer_close(writer, ']');
    json_writer_close(writer, '}');
}

struct outcomes {
    const char *done;
    const char *none;
};

static void print_changes_text(struct map_changes *changes, bool dry_run,
                               const struct outcomes *outcomes, struct buffer *text)
{
    const char *outcome = dry_run ? "nothing was changed (--dry-run)" : outcomes->done;
    char line[80];
    for (uint32_t i = 0; i < changes->count; i++) {
        buffer_append_bytes(text, unpack_text(&changes->lines));
        buffer_append(text, "\n", 1);
    }
    int len = snprintf(line, sizeof(line), "%s, map revision %" PRIu64 "\n",
                       changes->count ? outcome : outcomes->none, changes->revision);
    buffer_append(text, line, (size_t)len);
}

static enum exit_code print_changes(const struct session *session, struct bytes encoded,
                                    const struct outcomes *outcomes)
{
    struct map_changes changes = {.lines = unpack_of(encoded)};
    struct json_writer writer = {0};
    struct buffer text = {0};
    bool dry_run = session->arguments->dry_run;
    if (unpack_array(&changes.lines) == 2) {
        changes.revision = unpack_uint(&changes.lines);
        changes.count = unpack_array(&changes.lines);
    }
    if (changes.revision == 0) {
        return failure_say(EXIT_CODE_UNKNOWN, "%s: the answer is not understood", session->command);
    }
    if (session->arguments->json) {
        print_changes_json(&changes, dry_run, &writer);
        return json_writer_print(&writer);
    }
    print_changes_text(&changes, dry_run, outcomes, &text);
    return output_print(&text);
}

enum exit_code map_commands_apply(struct session *session)
{
    struct buffer json = {0};
    struct buffer params = {0};
    struct skv_record record = {0};
    enum exit_code code = take_file(session, session_word(session, 0), &json);
    pack_array(&params, 2);
    pack_str(&params, buffer_bytes(&json));
    pack_map(&params, 1);
    pack_text(&params, "dry_run");
    pack_bool(&params, session->arguments->dry_run);
    if (code == EXIT_CODE_DONE && params.failed) {
        code = failure_say_no_memory();
    }
    if (code == EXIT_CODE_DONE) {
        code = session_ask_bootstrapd(session, "map.apply", buffer_bytes(&params), &record);
    }
    if (code == EXIT_CODE_DONE) {
        code = print_changes(session, session_bytes(record.encoded),
                             &(struct outcomes){"applied", "no change"});
        code =
            session->arguments->dry_run ? code : output_finish_change(code, "the map is applied");
    }
    skv_record_fini(&record);
    buffer_fini(&params);
    buffer_fini(&json);
    return code;
}

/* --- map recover --- */

enum exit_code map_commands_recover(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    struct buffer params = {0};
    struct skv_record record = {0};
    enum exit_code code = EXIT_CODE_DONE;
    pack_array(&params, 1);
    pack_map(&params, 2);
    pack_text(&params, "dry_run");
    pack_bool(&params, arguments->dry_run);
    pack_text(&params, "accept_missing");
    pack_bool(&params, arguments->accept_missing);
    if (params.failed) {
        code = failure_say_no_memory();
    }
    if (code == EXIT_CODE_DONE) {
        code = session_ask_bootstrapd(session, "map.recover", buffer_bytes(&params), &record);
    }
    if (code == EXIT_CODE_DONE) {
        code = print_changes(
            session, session_bytes(record.encoded),
            &(struct outcomes){"recovered", "nothing to recover: no server has a newer map"});
        code = arguments->dry_run ? code : output_finish_change(code, "the map is recovered");
    }
    skv_record_fini(&record);
    buffer_fini(&params);
    return code;
}
