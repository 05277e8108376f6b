/* SPDX-License-Identifier: MIT */

/* Prints the keys in hash order, as they come. */

#include <stdio.h>

#include "cli/actions.h"
#include "cli/json_writer.h"
#include "cli/key_text.h"
#include "cli/output.h"
#include "cli/skipped.h"

static enum exit_code print_json(struct bytes key)
{
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_key(&writer, key);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static enum exit_code print_text(struct bytes key)
{
    struct buffer text = {0};
    key_text_print(key, &text);
    buffer_append(&text, "\n", 1);
    return output_print(&text);
}

enum exit_code keys_list(struct session *session)
{
    const char *prefix = session->arguments->prefix;
    struct skipped skipped = {.progress = NULL};
    struct skv_scan_options options = {
        .prefix = skv_key(prefix ? prefix : ""),
        .keys_only = true,
        .on_damaged = session->arguments->skip_damaged ? skipped_say : NULL,
        .on_damaged_context = &skipped,
    };
    struct skv_scan *scan = NULL;
    enum exit_code code = session_open(session);
    if (code == EXIT_CODE_DONE && skv_scan_open(session->kv, &options, &scan) != SKV_OK) {
        code = failure_say_call();
    }
    while (code == EXIT_CODE_DONE && !ferror(stdout)) {
        const struct skv_record *record = skv_scan_next(scan);
        if (!record) {
            break;
        }
        struct bytes key = session_bytes(record->key);
        code = session->arguments->json ? print_json(key) : print_text(key);
    }
    if (scan && skv_scan_close(scan) != SKV_OK) {
        code = skipped_say_call();
    }
    return skipped_end(&skipped, code);
}
