/* SPDX-License-Identifier: MIT */
#include "cli/skipped.h"

#include <inttypes.h>

#include "cli/key_text.h"
#include "cli/session.h"
#include "proto/noun.h"

/* PROTOCOL.md "Errors". */
#define CODE_DAMAGED 15

void skipped_say(void *context, struct skv_bytes key, uint64_t point, const char *why)
{
    struct skipped *skipped = context;
    struct buffer text = {0};
    key_text_name(session_bytes(key), skipped->has_ids, &text);
    buffer_append(&text, "", 1);
    if (skipped->progress) {
        progress_clear(skipped->progress);
    }
    /* The key comes last: it may be long. */
    (void)failure_say(EXIT_CODE_UNAVAILABLE, "left out: %s, at point 0x%016" PRIx64 ": %s", why,
                      point, text.failed ? "a key" : (const char *)text.data);
    buffer_fini(&text);
    skipped->count++;
}

enum exit_code skipped_end(const struct skipped *skipped, enum exit_code code)
{
    if (skipped->count == 0) {
        return code;
    }
    return failure_worst(code, failure_say(EXIT_CODE_UNAVAILABLE, "%" PRIu64 " damaged %s left out",
                                           skipped->count,
                                           noun_of(skipped->count, "record was", "records were")));
}

enum exit_code skipped_say_call(void)
{
    const struct skv_error *error = skv_error();
    if (error->wire_code != CODE_DAMAGED) {
        return failure_say_call();
    }
    return failure_say(failure_code(error->status), "%s; --skip-damaged goes on behind it",
                       error->text);
}
