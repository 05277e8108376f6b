/* SPDX-License-Identifier: MIT */

/* id mint, id show: ids without records. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/actions.h"
#include "cli/id_text.h"
#include "cli/json_writer.h"
#include "cli/output.h"
#include "proto/map_check.h"

/* What one call asks for: what the protocol gives at once. */
#define MINT_COUNT_MAX 65536u

/* --- mint --- */

static enum exit_code print_ids(const struct session *session, const uint64_t *ids, size_t count)
{
    struct buffer text = {0};
    bool is_json = session->arguments->json;
    for (size_t i = 0; i < count; i++) {
        char line[48];
        int len = snprintf(line, sizeof(line), "%s%" PRIu64 "%s\n", is_json ? "{\"id\":\"" : "",
                           ids[i], is_json ? "\"}" : "");
        buffer_append(&text, line, (size_t)len);
    }
    return output_print(&text);
}

/* In growing order, except where a call for the next ones asks other shards. */
static enum exit_code mint(const struct session *session, uint32_t shard, uint64_t count,
                           uint64_t *ids)
{
    enum exit_code code = EXIT_CODE_DONE;
    while (count > 0 && code == EXIT_CODE_DONE && !ferror(stdout)) {
        size_t part = count < MINT_COUNT_MAX ? (size_t)count : MINT_COUNT_MAX;
        if (skv_mint(session->kv, shard, ids, part, NULL) != SKV_OK) {
            return failure_say_call();
        }
        code = print_ids(session, ids, part);
        count -= part;
    }
    return code;
}

enum exit_code id_mint(struct session *session)
{
    uint64_t count = session->arguments->count ? session->arguments->count : 1;
    uint32_t shard;
    enum exit_code code = id_text_take_shard(session, 0, &shard);
    if (code == EXIT_CODE_DONE) {
        code = session_open(session);
    }
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    uint64_t *ids = calloc(count < MINT_COUNT_MAX ? count : MINT_COUNT_MAX, sizeof(*ids));
    code = ids ? mint(session, shard, count, ids) : failure_say_no_memory();
    free(ids);
    return code;
}

/* --- show --- */

static enum exit_code print_json(uint64_t id, uint64_t created_ms)
{
    struct json_writer writer = {0};
    char created[ID_TEXT_TIME_LEN];
    id_text_print_time(created_ms, true, created);
    json_writer_open(&writer, NULL, '{');
    json_writer_id(&writer, "id", id);
    json_writer_text(&writer, "created", bytes_text(created));
    json_writer_number(&writer, "shard", skv_id_shard(id));
    json_writer_number(&writer, "sequence", skv_id_sequence(id));
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

enum exit_code id_show(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    uint64_t id;
    enum exit_code code = id_text_take(session, 0, &id);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    if (arguments->origin_ms > ORIGIN_MS_MAX) {
        return session_say_usage(
            session, "--origin is at most %" PRIu64 ", milliseconds since 1970", ORIGIN_MS_MAX);
    }
    uint64_t created_ms = skv_id_created_ms(id, arguments->origin_ms);
    if (arguments->json) {
        return print_json(id, created_ms);
    }
    char created[ID_TEXT_TIME_LEN];
    id_text_print_time(created_ms, false, created);
    (void)printf("%s, shard %" PRIu32 ", sequence %" PRIu32 "\n", created, skv_id_shard(id),
                 skv_id_sequence(id));
    return EXIT_CODE_DONE;
}
