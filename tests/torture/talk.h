/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_TALK_H
#define TORTURE_TALK_H

/* A connection to a server: requests are packed into its output, replies are handed over as they come. */

#include "proto/buffer.h"
#include "proto/rpc.h"

struct talk;

/* To the loopback address. Never NULL: a failure shows when it is waited for. */
struct talk *talk_open(uint16_t port);
void talk_close(struct talk *talk); /* NULL is allowed */

struct buffer *talk_output(struct talk *talk);

/* False: the other side has gone, and all that it said has been handed over. */
bool talk_is_open(const struct talk *talk);

/* `message` ends with the call. */
typedef void talk_reply(void *context, const struct rpc_message *message);

/*
 * Sends what the sockets take, and hands over what comes before clock_mono_us() reaches the
 * deadline: returns as soon as something has come. False: the deadline.
 */
bool talk_wait(struct talk **talks, size_t count, uint64_t deadline_us, talk_reply *on_reply,
               void *context);

/*
 * One request, and its reply; *message lives until the next call. False: none within ten seconds, or the
 * connection has ended. Nothing else may be under way on this connection.
 */
bool talk_call(struct talk *talk, const char *method, struct bytes params,
               struct rpc_message *message);

#endif
