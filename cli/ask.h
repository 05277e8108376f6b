/* SPDX-License-Identifier: MIT */
#ifndef CLI_ASK_H
#define CLI_ASK_H

/* One request to bootstrapd: its parameters are packed, then it is asked, then the answer is taken apart. */

#include "cli/session.h"
#include "proto/buffer.h"
#include "proto/pack.h"

struct ask {
    struct session *session;
    const char *method;
    struct buffer params;
    struct skv_record record;
};

/* The caller packs `param_count` elements into ask->params. */
void ask_begin(struct ask *ask, struct session *session, const char *method, uint32_t param_count);

/* Says why it failed. */
enum exit_code ask_send(struct ask *ask);

/* The same, and asks again for so long while the answer is TRY_LATER: not done, and perhaps soon. */
enum exit_code ask_send_patiently(struct ask *ask, uint64_t patience_ms);

/* The answer; valid until ask_end. */
struct unpack ask_answer(const struct ask *ask);

/* The same for an answer of one number, or of a word beside it that is passed over. Says so when it is none. */
enum exit_code ask_send_for_number(struct ask *ask, uint64_t *number);

/*
 * Sends a request that changes the server or shard (`kind`) that is the command's first word and is answered with the
 * map's revision, prints that it now "is removed" (`text`), and ends `ask`.
 */
enum exit_code ask_for_change(struct ask *ask, const char *kind, const char *text);

/* "the answer is not understood": a change may have been made all the same. */
enum exit_code ask_say_odd(const struct ask *ask);

void ask_end(struct ask *ask);

#endif
