/* SPDX-License-Identifier: MIT */
#include "cli/session.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/status.h"

#define ADDRESSES_DEFAULT "127.0.0.1:5040"

void session_init(struct session *session, const char *command, const struct arguments *arguments)
{
    const char *environment = getenv("SHARDKV_BOOTSTRAP");
    *session = (struct session){.command = command, .arguments = arguments};
    session->addresses = ADDRESSES_DEFAULT;
    if (arguments->bootstrap) {
        session->addresses = arguments->bootstrap;
    } else if (environment && *environment) {
        session->addresses = environment;
    }
}

void session_fini(struct session *session)
{
    skv_close(session->kv);
    session->kv = NULL;
}

static enum exit_code open_with(struct session *session, const struct skv_options *options)
{
    enum skv_status status =
        session->kv ? SKV_OK : skv_open(session->addresses, options, &session->kv);
    if (status == SKV_OK) {
        return EXIT_CODE_DONE;
    }
    /* An address that is none is the person's mistake, not the cluster's answer. */
    return failure_say(status == SKV_INVALID ? EXIT_CODE_USAGE : failure_code(status), "%s: %s",
                       session->command, skv_error()->text);
}

enum exit_code session_open(struct session *session)
{
    struct skv_options options = {.timeout_ms = (uint32_t)session->arguments->timeout_ms};
    return open_with(session, &options);
}

enum exit_code session_open_without_map(struct session *session)
{
    struct skv_options options = {.timeout_ms = (uint32_t)session->arguments->timeout_ms,
                                  .without_map = true};
    return open_with(session, &options);
}

const char *session_word(const struct session *session, unsigned index)
{
    assert(index < session->arguments->words.count);
    return session->arguments->words.items[index];
}

enum exit_code session_say_usage(const struct session *session, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return failure_say(EXIT_CODE_USAGE, "%s: %s; see: shardkv help %s", session->command, text,
                       session->command);
}

bool session_next_address(const char **addresses, struct address *address)
{
    size_t len = strcspn(*addresses, ",");
    if (!address_parse(bytes_of(*addresses, len), address)) {
        return false;
    }
    *addresses += len + ((*addresses)[len] == ',');
    return true;
}

enum exit_code session_get_map(struct session *session, struct map *map)
{
    struct skv_record record = {0};
    struct map_error error;
    enum exit_code code = session_open_without_map(session);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    const struct skv_value no_params = {.type = SKV_NIL};
    enum skv_status status = skv_request(session->kv, NULL, "map.get", no_params, 0, &record);
    if (status == SKV_UNKNOWN) {
        /* Of a question nothing can have been done. */
        code = failure_say(EXIT_CODE_UNAVAILABLE,
                           "%s: %s took the request for the map and did not answer: try again",
                           session->command, skv_error()->server);
    } else if (status != SKV_OK) {
        code = failure_say_call();
    } else {
        struct unpack in = unpack_of(session_bytes(record.encoded));
        if (!map_unpack(&in, map, &error)) {
            code = failure_say(EXIT_CODE_UNAVAILABLE, "%s: the map that came is none: %s",
                               session->command, error.text);
        }
    }
    skv_record_fini(&record);
    return code;
}

/* Nobody is there, or a server. A bootstrapd that cannot do it now has answered. */
static bool leads_to_the_next(const struct skv_error *error)
{
    return (error->status == SKV_UNAVAILABLE && error->wire_code == 0) ||
           error->wire_code == STATUS_UNKNOWN_METHOD;
}

enum skv_status session_try_bootstrapd(struct session *session, const char *method,
                                       struct bytes params, struct skv_record *result)
{
    const char *addresses = session->addresses;
    char server[ADDRESS_TEXT_LEN];
    struct address address;
    struct skv_value value = {.type = SKV_NIL};
    if (params.len) {
        value = skv_msgpack(params.data, params.len);
    }
    while (session_next_address(&addresses, &address)) {
        address_print(&address, server);
        enum skv_status status = skv_request(session->kv, server, method, value, 0, result);
        if (status == SKV_OK || !leads_to_the_next(skv_error())) {
            return status;
        }
    }
    return SKV_UNAVAILABLE;
}

/* The library names the method, and a person knows the command. */
static enum exit_code say_refusal(const struct session *session, const char *method)
{
    const struct skv_error *error = skv_error();
    size_t len = strlen(method);
    bool is_named = strncmp(error->text, method, len) == 0;
    return failure_say(failure_code(error->status), "%s%s", is_named ? session->command : "",
                       error->text + (is_named ? len : 0));
}

enum exit_code session_ask_bootstrapd(struct session *session, const char *method,
                                      struct bytes params, struct skv_record *result)
{
    enum exit_code code = session_open_without_map(session);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    enum skv_status status = session_try_bootstrapd(session, method, params, result);
    if (status != SKV_OK && leads_to_the_next(skv_error())) {
        return failure_say(EXIT_CODE_UNAVAILABLE,
                           "%s: no bootstrapd answers at %s; name its address with -b",
                           session->command, session->addresses);
    }
    return status == SKV_OK ? EXIT_CODE_DONE : say_refusal(session, method);
}
