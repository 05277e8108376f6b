/* SPDX-License-Identifier: MIT */

/* The load generator's driver of shardd: proto/PROTOCOL.md, without options, the msgid being the slot. */

#include <stdlib.h>

#include "cli/bench_driver.h"
#include "proto/extent.h"
#include "proto/limits.h"
#include "proto/map.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/rpc.h"

/* The msgid of a request is a positive fixint up to 127, a uint 16 from 256 on. */
#define FIXINT_COUNT 128
#define UINT16_FIRST 256

/* Up to the key; its bytes are patched later. */
static void begin_frame(const struct bench_driver *driver, struct bench_frame *frame,
                        const char *method, uint32_t param_count)
{
    const uint8_t key[BENCH_KEY_LEN] = {0};
    frame->slot_at = 2; /* behind 94 00 */
    rpc_request(&frame->bytes, driver->slot_first, method);
    pack_array(&frame->bytes, param_count);
    pack_str(&frame->bytes, bytes_of(key, sizeof(key)));
    frame->key_at = frame->bytes.len - sizeof(key);
    frame->value_at = frame->bytes.len;
}

static void make_write(const struct bench_driver *driver, struct bench_frame *frame,
                       const uint8_t *value, size_t value_len)
{
    begin_frame(driver, frame, "write", 2);
    pack_bin(&frame->bytes, bytes_of(value, value_len));
    frame->value_at = frame->bytes.len - value_len;
    frame->value_len = value_len;
}

/* By one. */
static void make_incr(const struct bench_driver *driver, struct bench_frame *frame)
{
    begin_frame(driver, frame, "incr", 2);
    pack_uint(&frame->bytes, 1);
}

/* Of an entity that is put: any. */
#define KIND 1

/* Up to the point, which always takes 9 bytes. */
static void begin_point_frame(const struct bench_driver *driver, struct bench_frame *frame,
                              const char *method, uint32_t param_count)
{
    frame->slot_at = 2;
    rpc_request(&frame->bytes, driver->slot_first, method);
    pack_array(&frame->bytes, param_count);
    pack_uint(&frame->bytes, UINT64_MAX);
    frame->point_at = frame->bytes.len - sizeof(uint64_t);
    frame->value_at = frame->bytes.len;
}

/* {"v": bin}, the bin's head as short as it can be with just so many bytes in all. */
static void add_document(struct bench_frame *frame, size_t document_len)
{
    static const uint8_t heads[] = {0xc4, 0xc5, 0xc6};
    const uint8_t start[] = {0x81, 0xa1, 'v'};
    size_t rest = document_len - sizeof(start);
    unsigned head = rest - 2 <= UINT8_MAX ? 0 : rest - 3 <= UINT16_MAX ? 1 : 2;
    size_t width = (size_t)1 << head;
    frame->value_len = rest - 1 - width;
    buffer_append(&frame->bytes, start, sizeof(start));
    buffer_append(&frame->bytes, &heads[head], 1);
    uint8_t *to = buffer_reserve(&frame->bytes, width + frame->value_len);
    if (to) {
        memset(to, 0, width + frame->value_len);
        for (size_t i = 0; i < width; i++) {
            to[i] = (uint8_t)(frame->value_len >> (8 * (width - 1 - i)));
        }
        frame->bytes.len += width + frame->value_len;
    }
    frame->value_at = frame->bytes.len - frame->value_len;
}

static void encode_scan(const struct bench_driver *driver, const struct bench_request *request,
                        struct buffer *out)
{
    rpc_request(out, driver->slot_first + request->slot, "scan");
    pack_array(out, 3);
    pack_uint(out, point_of_key(bytes_of(request->key, sizeof(request->key))));
    pack_nil(out);
    pack_map(out, 1);
    pack_text(out, "limit");
    pack_uint(out, request->limit);
}

static enum bench_decoded broken(struct bench_reply *reply, const char *text)
{
    reply->error = bytes_text(text);
    return BENCH_DECODED_BROKEN;
}

/*
 * Nearly every reply: [1, msgid, nil, result], told by its first bytes. rpc_decode, which takes any
 * form, would be a third of what the client does for a pipelined read.
 */
static bool decode_done(const struct bench_driver *driver, struct bytes frame,
                        struct bench_reply *reply)
{
    const uint8_t *at = frame.data;
    size_t slot_len = driver->slot_first == 0 ? 1 : 3;
    if (frame.len <= 3 + slot_len || at[0] != 0x94 || at[1] != RPC_RESPONSE ||
        at[2 + slot_len] != 0xc0) {
        return false;
    }
    bool is_expected = slot_len == 1 ? at[2] < FIXINT_COUNT : at[2] == 0xcd;
    uint32_t msgid = slot_len == 1 ? at[2] : (uint32_t)at[3] << 8 | at[4];
    if (!is_expected || msgid < driver->slot_first) {
        return false;
    }
    reply->len = frame.len;
    reply->slot = msgid - driver->slot_first;
    reply->result = bytes_of(at + 3 + slot_len, frame.len - 3 - slot_len);
    reply->is_missing = at[3 + slot_len] == 0xc0;
    return true;
}

static enum bench_decoded decode_frame(const struct bench_driver *driver, struct bytes frame,
                                       struct bench_reply *reply)
{
    struct rpc_message message;
    reply->whole = frame;
    if (decode_done(driver, frame, reply)) {
        return BENCH_DECODED_WHOLE;
    }
    enum unpack_fault fault = rpc_decode(frame, &message);
    if (fault != UNPACK_FINE) {
        return broken(reply, unpack_fault_text(fault));
    }
    if (message.type != RPC_RESPONSE) {
        return broken(reply, "the server sent what is no response");
    }
    if (message.msgid < driver->slot_first) {
        /* Of msgid 0: what we sent was no frame (PROTOCOL.md "Frames"). */
        reply->error = message.text;
        return BENCH_DECODED_BROKEN;
    }
    reply->len = frame.len;
    reply->slot = message.msgid - driver->slot_first;
    reply->is_error = message.code != STATUS_OK;
    reply->is_later = message.code == STATUS_TRY_LATER;
    reply->error = message.text;
    reply->result = message.result;
    reply->is_missing = !reply->is_error && *(const uint8_t *)message.result.data == 0xc0;
    return BENCH_DECODED_WHOLE;
}

static enum bench_decoded decode(const struct bench_driver *driver, struct bytes input,
                                 struct bench_reply *reply)
{
    struct extent extent;
    enum unpack_fault fault = UNPACK_FINE;
    extent_reset(&extent);
    switch (extent_scan(&extent, input, FRAME_LEN_MAX, &fault)) {
    case EXTENT_WHOLE:
        return decode_frame(driver, bytes_of(input.data, extent.scanned), reply);
    case EXTENT_PARTIAL:
        return BENCH_DECODED_PARTIAL;
    case EXTENT_BAD:
        break;
    }
    return broken(reply, unpack_fault_text(fault));
}

/* --- what a reply brought --- */

/* [revision, entry], entry nil where the server does not know it. */
static void take_redirect(struct bytes detail, struct bench_answer *answer)
{
    struct unpack in = unpack_of(detail);
    struct map_entry entry;
    struct map_error error;
    answer->kind = BENCH_ANSWER_LATER;
    if (unpack_array(&in) < 2) {
        return;
    }
    (void)unpack_uint(&in);
    if (unpack_is_fine(&in) && unpack_peek(&in) == UNPACK_ARRAY &&
        map_unpack_entry(&in, &entry, &error)) {
        answer->kind = BENCH_ANSWER_MOVED;
        answer->server = entry.address;
        answer->start = entry.start;
        answer->end = entry.end;
        answer->epoch = entry.epoch;
    }
}

static void take_error(const struct rpc_message *message, struct bench_answer *answer)
{
    switch (message->code) {
    case STATUS_WRONG_SHARD:
        take_redirect(message->detail, answer);
        return;
    case STATUS_TRY_LATER:
        answer->kind = BENCH_ANSWER_LATER;
        return;
    case STATUS_STALE:
        answer->kind = BENCH_ANSWER_UNKNOWN;
        return;
    default:
        answer->kind = BENCH_ANSWER_REFUSED;
        return;
    }
}

static void take_number(struct unpack *in, struct bench_answer *answer)
{
    answer->number = unpack_int(in);
    answer->has_number = unpack_is_fine(in);
}

/* [value, ...] or nil of a read; [integer, version] of an incr. */
static void take_result(enum bench_method method, struct bytes result, struct bench_answer *answer)
{
    struct unpack in = unpack_of(result);
    enum unpack_type type = unpack_peek(&in);
    if (method == BENCH_METHOD_READ && type == UNPACK_NIL) {
        answer->kind = BENCH_ANSWER_MISSING;
    }
    if (type != UNPACK_ARRAY || unpack_array(&in) == 0) {
        return;
    }
    type = unpack_peek(&in);
    if (type == UNPACK_BIN || type == UNPACK_STR) {
        answer->value = unpack_text(&in);
    } else if (method != BENCH_METHOD_WRITE) {
        take_number(&in, answer);
    }
}

static void take_answer(enum bench_method method, struct bytes reply, struct bench_answer *answer)
{
    struct rpc_message message;
    if (rpc_decode(reply, &message) != UNPACK_FINE) {
        answer->kind = BENCH_ANSWER_UNKNOWN;
    } else if (message.code != STATUS_OK) {
        take_error(&message, answer);
    } else {
        take_result(method, message.result, answer);
    }
}

static uint32_t place_of(struct bytes key)
{
    return (uint32_t)(point_of_key(key) >> 32);
}

bool bench_shardkv_init(struct bench_driver *driver, size_t value_len, uint32_t slot_count)
{
    static const struct bench_driver_body body = {
        .decode = decode, .answer = take_answer, .place = place_of, .encode_scan = encode_scan};
    *driver = (struct bench_driver){.name = "shardkv", .can_scan = true, .body = &body};
    driver->slot_first = slot_count <= FIXINT_COUNT ? 0 : UINT16_FIRST;
    uint8_t *value = calloc(1, value_len + 1);
    if (!value) {
        return false;
    }
    struct bench_frame *write = &driver->frames[BENCH_METHOD_WRITE];
    struct bench_frame *read = &driver->frames[BENCH_METHOD_READ];
    struct bench_frame *incr = &driver->frames[BENCH_METHOD_INCR];
    begin_frame(driver, read, "read", 1);
    make_write(driver, write, value, value_len);
    make_incr(driver, incr);
    free(value);
    return !read->bytes.failed && !write->bytes.failed && !incr->bytes.failed;
}

bool bench_shardkv_add_ids(struct bench_driver *driver, uint32_t count, size_t document_len)
{
    struct bench_frame *mint = &driver->frames[BENCH_METHOD_MINT];
    struct bench_frame *put = &driver->frames[BENCH_METHOD_PUT];
    begin_point_frame(driver, mint, "mint", 2);
    pack_uint(&mint->bytes, count);
    begin_point_frame(driver, put, "put", 3);
    pack_uint(&put->bytes, KIND);
    add_document(put, document_len);
    return !mint->bytes.failed && !put->bytes.failed;
}
