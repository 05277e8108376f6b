/* SPDX-License-Identifier: MIT */
#include "proto/rpc.h"

#include "proto/pack.h"

enum { REQUEST_FIELDS = 4, RESPONSE_FIELDS = 4, NOTIFICATION_FIELDS = 3, ERROR_FIELDS = 3 };

static struct bytes rest_of(const struct unpack *in)
{
    return bytes_of(in->next, (size_t)(in->end - in->next));
}

/* Method and params, which are all that is left of the frame. */
static void decode_call(struct unpack *in, struct rpc_message *message)
{
    message->method = unpack_text(in);
    if (unpack_peek(in) != UNPACK_ARRAY) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    message->params = rest_of(in);
}

/* False when it is no error of ours: [code, text, detail], the code not 0. */
static bool decode_error(struct bytes error, struct rpc_message *message)
{
    struct unpack in = unpack_of(error);
    uint32_t field_count = unpack_array(&in);
    uint32_t code = (uint32_t)unpack_uint_max(&in, UINT32_MAX);
    struct bytes text = unpack_text(&in);
    struct bytes detail = unpack_skip(&in);
    if (field_count < ERROR_FIELDS || code == STATUS_OK || !unpack_is_fine(&in)) {
        return false;
    }
    message->code = code;
    message->text = text;
    message->detail = detail;
    return true;
}

/* What another implementation's server may have sent. */
static void decode_foreign_error(struct bytes error, struct rpc_message *message)
{
    struct unpack in = unpack_of(error);
    message->code = RPC_CODE_FOREIGN;
    message->text = unpack_text(&in);
    message->detail = error;
}

/* Error and result, which is all that is left of the frame. */
static void decode_outcome(struct unpack *in, struct rpc_message *message)
{
    bool is_error = unpack_peek(in) != UNPACK_NIL;
    struct bytes error = unpack_skip(in);
    if (unpack_is_fine(in) && is_error && !decode_error(error, message)) {
        decode_foreign_error(error, message);
    }
    message->result = rest_of(in);
}

static enum rpc_type decode_type(struct unpack *in)
{
    uint32_t field_count = unpack_array(in);
    enum rpc_type type = (enum rpc_type)unpack_uint_max(in, RPC_NOTIFICATION);
    uint32_t expected = type == RPC_REQUEST    ? REQUEST_FIELDS
                        : type == RPC_RESPONSE ? RESPONSE_FIELDS
                                               : NOTIFICATION_FIELDS;
    if (field_count != expected) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    return type;
}

/* A msgid as clients pack it: its bytes, 0 if it is something else. left > 4. */
static size_t read_msgid(const uint8_t *next, uint32_t *msgid)
{
    switch (next[0]) {
    case 0xcc:
        *msgid = next[1];
        return 2;
    case 0xcd:
        *msgid = (uint32_t)next[1] << 8 | next[2];
        return 3;
    case 0xce:
        *msgid =
            (uint32_t)next[1] << 24 | (uint32_t)next[2] << 16 | (uint32_t)next[3] << 8 | next[4];
        return 5;
    default:
        *msgid = next[0];
        return next[0] < 0x80;
    }
}

/*
 * A request of the usual form: fixarray 4, 0, msgid, method as fixstr, fixarray. False for all else, be
 * it right or wrong.
 */
static bool decode_usual(struct bytes frame, struct rpc_message *message)
{
    const uint8_t *start = frame.data;
    if (frame.len < 8 || start[0] != 0x94 || start[1] != RPC_REQUEST) {
        return false;
    }
    uint32_t msgid;
    size_t msgid_len = read_msgid(start + 2, &msgid);
    size_t at = 2 + msgid_len;
    if (msgid_len == 0 || (start[at] & 0xe0) != 0xa0) {
        return false;
    }
    size_t method_len = start[at] & 0x1f;
    const uint8_t *method = start + at + 1;
    at += 1 + method_len;
    if (at >= frame.len || (start[at] & 0xf0) != 0x90) {
        return false;
    }
    *message = (struct rpc_message){
        .type = RPC_REQUEST,
        .msgid = msgid,
        .method = bytes_of(method, method_len),
        .params = bytes_of(start + at, frame.len - at),
    };
    return true;
}

enum unpack_fault rpc_decode(struct bytes frame, struct rpc_message *message)
{
    if (decode_usual(frame, message)) {
        return UNPACK_FINE;
    }
    struct unpack in = unpack_of(frame);
    struct rpc_message decoded = {.type = decode_type(&in)};
    if (decoded.type != RPC_NOTIFICATION) {
        decoded.msgid = (uint32_t)unpack_uint_max(&in, UINT32_MAX);
    }
    if (decoded.type == RPC_RESPONSE) {
        decode_outcome(&in, &decoded);
    } else {
        decode_call(&in, &decoded);
    }
    if (unpack_is_fine(&in)) {
        *message = decoded;
    }
    return in.fault;
}

void rpc_request(struct buffer *out, uint32_t msgid, const char *method)
{
    pack_array(out, REQUEST_FIELDS);
    pack_uint(out, RPC_REQUEST);
    pack_uint(out, msgid);
    pack_text(out, method);
}

void rpc_notification(struct buffer *out, const char *method)
{
    pack_array(out, NOTIFICATION_FIELDS);
    pack_uint(out, RPC_NOTIFICATION);
    pack_text(out, method);
}

static void begin_response(struct buffer *out, uint32_t msgid)
{
    pack_array(out, RESPONSE_FIELDS);
    pack_uint(out, RPC_RESPONSE);
    pack_uint(out, msgid);
}

void rpc_response(struct buffer *out, uint32_t msgid)
{
    begin_response(out, msgid);
    pack_nil(out);
}

void rpc_error(struct buffer *out, uint32_t msgid, enum status code, const char *text)
{
    begin_response(out, msgid);
    pack_array(out, ERROR_FIELDS);
    pack_uint(out, code);
    pack_text(out, text);
}

void rpc_error_end(struct buffer *out)
{
    pack_nil(out);
}
