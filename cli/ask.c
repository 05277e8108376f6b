/* SPDX-License-Identifier: MIT */
#include "cli/ask.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cli/json_writer.h"
#include "cli/output.h"
#include "io/clock.h"
#include "proto/status.h"

#define AGAIN_EVERY_MS 200

void ask_begin(struct ask *ask, struct session *session, const char *method, uint32_t param_count)
{
    *ask = (struct ask){.session = session, .method = method};
    pack_array(&ask->params, param_count);
}

enum exit_code ask_send(struct ask *ask)
{
    if (ask->params.failed) {
        return failure_say_no_memory();
    }
    return session_ask_bootstrapd(ask->session, ask->method, buffer_bytes(&ask->params),
                                  &ask->record);
}

/* What is not certainly not done is not asked again. */
enum exit_code ask_send_patiently(struct ask *ask, uint64_t patience_ms)
{
    const struct timespec pause = {.tv_nsec = AGAIN_EVERY_MS * 1000000L};
    uint64_t until_ms = clock_mono_ms() + patience_ms;
    enum exit_code code = session_open_without_map(ask->session);
    while (code == EXIT_CODE_DONE && !ask->params.failed && clock_mono_ms() < until_ms) {
        enum skv_status status = session_try_bootstrapd(ask->session, ask->method,
                                                        buffer_bytes(&ask->params), &ask->record);
        if (status == SKV_OK) {
            return EXIT_CODE_DONE;
        }
        if (status == SKV_UNKNOWN) {
            return failure_say_call();
        }
        if (skv_error()->wire_code != STATUS_TRY_LATER) {
            break;
        }
        (void)nanosleep(&pause, NULL);
    }
    return code == EXIT_CODE_DONE ? ask_send(ask) : code;
}

struct unpack ask_answer(const struct ask *ask)
{
    return unpack_of(session_bytes(ask->record.encoded));
}

enum exit_code ask_say_odd(const struct ask *ask)
{
    return failure_say(EXIT_CODE_UNKNOWN, "%s: the answer is not understood",
                       ask->session->command);
}

enum exit_code ask_send_for_number(struct ask *ask, uint64_t *number)
{
    enum exit_code code = ask_send(ask);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    struct unpack in = ask_answer(ask);
    if (unpack_array(&in) < 1) {
        unpack_fail(&in, UNPACK_WRONG_TYPE);
    }
    *number = unpack_uint(&in);
    return unpack_is_fine(&in) ? EXIT_CODE_DONE : ask_say_odd(ask);
}

static enum exit_code print_change(const struct session *session, const char *kind,
                                   const char *text, uint64_t revision)
{
    struct json_writer writer = {0};
    const char *name = session_word(session, 0);
    if (!session->arguments->json) {
        (void)printf("%s %s %s, map revision %" PRIu64 "\n", kind, name, text, revision);
        return EXIT_CODE_DONE;
    }
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, kind, bytes_text(name));
    json_writer_number(&writer, "map_revision", revision);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

enum exit_code ask_for_change(struct ask *ask, const char *kind, const char *text)
{
    uint64_t revision = 0;
    enum exit_code code = ask_send_for_number(ask, &revision);
    if (code == EXIT_CODE_DONE) {
        char done[40];
        (void)snprintf(done, sizeof(done), "the %s was changed", kind);
        code = output_finish_change(print_change(ask->session, kind, text, revision), done);
    }
    ask_end(ask);
    return code;
}

void ask_end(struct ask *ask)
{
    skv_record_fini(&ask->record);
    buffer_fini(&ask->params);
}
