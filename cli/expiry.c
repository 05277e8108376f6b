/* SPDX-License-Identifier: MIT */
#include "cli/expiry.h"

#include <stdio.h>
#include <unistd.h>

enum exit_code expiry_take(const struct session *session, uint64_t *ttl_ms)
{
    const struct arguments *arguments = session->arguments;
    if (arguments->ttl && !duration_parse(arguments->ttl, ttl_ms)) {
        return session_say_usage(session, "--ttl is a time like 10s, 500ms, 2h or 7d, not \"%s\"",
                                 arguments->ttl);
    }
    if (arguments->sliding && !arguments->ttl) {
        return session_say_usage(session, "--sliding needs --ttl");
    }
    return EXIT_CODE_DONE;
}

void expiry_add(struct json_writer *writer, const struct skv_record *record)
{
    if (record->ttl_ms < 0) {
        json_writer_null(writer, "ttl_ms");
        return;
    }
    json_writer_integer(writer, "ttl_ms", record->ttl_ms);
    if (record->sliding) {
        json_writer_number(writer, "full_ttl_ms", record->full_ttl_ms);
        json_writer_bool(writer, "sliding", true);
    }
}

void expiry_print(const struct skv_record *record, char text[EXPIRY_TEXT_LEN])
{
    char left[DURATION_TEXT_LEN];
    text[0] = '\0';
    if (record->ttl_ms < 0) {
        return;
    }
    duration_print((uint64_t)record->ttl_ms, left);
    int len = snprintf(text, EXPIRY_TEXT_LEN, ", expires in %s", left);
    if (record->sliding) {
        char full[DURATION_TEXT_LEN];
        duration_print(record->full_ttl_ms, full);
        (void)snprintf(text + len, EXPIRY_TEXT_LEN - (size_t)len, ", sliding: %s from each read on",
                       full);
    }
}

void expiry_tell(const struct skv_record *record)
{
    char expiry[EXPIRY_TEXT_LEN];
    expiry_print(record, expiry);
    if (expiry[0] && isatty(STDOUT_FILENO)) {
        (void)fflush(stdout);
        (void)fprintf(stderr, "(%s)\n", expiry + 2);
    }
}
