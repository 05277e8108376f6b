/* SPDX-License-Identifier: MIT */
#ifndef PROTO_RPC_H
#define PROTO_RPC_H

/*
 * The MessagePack-RPC envelope (github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md).
 *
 *     request       [0, msgid, method, params]
 *     response      [1, msgid, error, result]     error: nil or [code, text, detail]
 *     notification  [2, method, params]
 */

#include "proto/buffer.h"
#include "proto/status.h"
#include "proto/unpack.h"

/* The code of an error that is not [code, text, detail]: its server is not one of ours. */
#define RPC_CODE_FOREIGN UINT32_MAX

enum rpc_type { RPC_REQUEST = 0, RPC_RESPONSE = 1, RPC_NOTIFICATION = 2 };

/* Everything points into the frame that was decoded. */
struct rpc_message {
    enum rpc_type type;
    uint32_t msgid;      /* 0 in a notification */
    struct bytes method; /* request, notification */
    struct bytes params; /* request, notification: one encoded array */
    uint32_t code;       /* response: STATUS_OK when error was nil */
    struct bytes text;   /* response with an error; empty in a foreign one that is no str */
    struct bytes detail; /* response with an error: one encoded object; a foreign error itself */
    struct bytes result; /* response: one encoded object */
};

/*
 * `frame` is exactly one object, as extent_scan found it: its last field is not walked again but
 * taken to be the rest. UNPACK_FINE, or what is wrong with the frame; *message then untouched.
 */
enum unpack_fault rpc_decode(struct bytes frame, struct rpc_message *message);

/* The caller then packs the params (an array), and nothing else. */
void rpc_request(struct buffer *out, uint32_t msgid, const char *method);
void rpc_notification(struct buffer *out, const char *method);

/* The caller then packs the result. */
void rpc_response(struct buffer *out, uint32_t msgid);

/* `text` is one line. The caller then packs the detail, or nil, and calls rpc_error_end. */
void rpc_error(struct buffer *out, uint32_t msgid, enum status code, const char *text);

/* Packs what comes behind the detail: the result, nil. */
void rpc_error_end(struct buffer *out);

#endif
