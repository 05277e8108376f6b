/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CALL_REPLY_H
#define TESTS_UNIT_CALL_REPLY_H

/* What peer_call was answered. After cmocka.h. */

#include <stdio.h>
#include <string.h>

#include "io/peer.h"

/* The zero value awaits the first. */
struct call_reply {
    bool is_there;
    bool is_lost; /* no response came */
    uint32_t code;
    char text[512];
    struct buffer result;
};

/* For peer_call, with the reply as context. */
static inline void call_reply_on(void *context, const struct rpc_message *message)
{
    struct call_reply *reply = context;
    reply->is_there = true;
    reply->is_lost = !message;
    if (message) {
        reply->code = message->code;
        (void)snprintf(reply->text, sizeof(reply->text), "%.*s", (int)message->text.len,
                       message->text.len ? (const char *)message->text.data : "");
        buffer_append_bytes(&reply->result, message->result);
    }
}

/* Asks anew. `params`: an encoded array. */
static inline void call_reply_ask(struct call_reply *reply, struct peer *peer, const char *method,
                                  struct bytes params, uint32_t timeout_ms)
{
    buffer_clear(&reply->result);
    reply->is_there = false;
    peer_call(peer, method, params, timeout_ms, call_reply_on, reply);
}

static inline void call_reply_assert_says(const struct call_reply *reply, const char *word)
{
    if (!strstr(reply->text, word)) {
        fail_msg("\"%s\" does not say \"%s\"", reply->text, word);
    }
}

#endif
