/* SPDX-License-Identifier: MIT */

/*
 * The load generator's driver of tests/bench/echo_server.c, the floor: what the bytes of a request
 * and of its reply cost when nothing is done with them. Both are as long as shardd's.
 *
 *     request  | own length u32 | reply's length u32 | key | filling |
 *     reply    | own length u32 | filling |                              big-endian
 */

#include <stdlib.h>

#include "cli/bench_driver.h"
#include "proto/endian.h"
#include "proto/limits.h"
#include "proto/pack.h"
#include "proto/record.h"
#include "proto/rpc.h"

#define HEAD_LEN       8
#define REPLY_HEAD_LEN 4

/* What shardd answers: [value, version, ttl_ms, size, kind], and [version, size]. */
static size_t reply_len(enum bench_method method, struct bytes value)
{
    struct buffer reply = {0};
    bool is_read = method == BENCH_METHOD_READ;
    rpc_response(&reply, 0);
    pack_array(&reply, is_read ? 5 : 2);
    if (is_read) {
        pack_bin(&reply, value);
    }
    pack_uint(&reply, UINT64_MAX);
    if (is_read) {
        pack_int(&reply, -1);
    }
    pack_uint(&reply, record_size(BENCH_KEY_LEN, value.len));
    if (is_read) {
        pack_uint(&reply, 0);
    }
    size_t len = reply.failed ? 0 : reply.len;
    buffer_fini(&reply);
    return len;
}

static void put_length(uint8_t *to, size_t len)
{
    uint32_t length = htobe32((uint32_t)len);
    memcpy(to, &length, sizeof(length));
}

/* shardd's own request, its first bytes overwritten: the key stands where it did. */
static bool make_frame(const struct bench_driver *model, enum bench_method method,
                       struct bytes value, struct bench_frame *frame)
{
    const struct bench_frame *from = &model->frames[method];
    size_t answer_len = reply_len(method, value);
    *frame = *from;
    frame->slot_at = 0;
    frame->bytes = (struct buffer){0};
    buffer_append_bytes(&frame->bytes, buffer_bytes(&from->bytes));
    if (frame->bytes.failed || answer_len == 0) {
        return false;
    }
    put_length(frame->bytes.data, frame->bytes.len);
    put_length(frame->bytes.data + 4, answer_len);
    return frame->key_at >= HEAD_LEN;
}

static enum bench_decoded decode(const struct bench_driver *driver, struct bytes input,
                                 struct bench_reply *reply)
{
    (void)driver;
    if (input.len < REPLY_HEAD_LEN) {
        return BENCH_DECODED_PARTIAL;
    }
    reply->len = endian_get_be32(input.data);
    if (reply->len < REPLY_HEAD_LEN || reply->len > FRAME_LEN_MAX) {
        reply->error = bytes_text("this is no echo server");
        return BENCH_DECODED_BROKEN;
    }
    return reply->len <= input.len ? BENCH_DECODED_WHOLE : BENCH_DECODED_PARTIAL;
}

bool bench_echo_init(struct bench_driver *driver, size_t value_len)
{
    static const struct bench_driver_body body = {.decode = decode};
    struct bench_driver model = {0};
    uint8_t *value = calloc(1, value_len + 1);
    *driver = (struct bench_driver){.name = "echo", .is_in_order = true, .body = &body};
    bool is_made = value && bench_shardkv_init(&model, value_len, 1);
    for (int i = 0; is_made && i < 2; i++) {
        is_made = make_frame(&model, (enum bench_method)i, bytes_of(value, value_len),
                             &driver->frames[i]);
    }
    bench_driver_fini(&model);
    free(value);
    return is_made;
}
