/* SPDX-License-Identifier: MIT */

/*
 * The load generator's driver of Redis: RESP2 (redis.io/docs/latest/develop/reference/protocol-spec),
 * GET and SET.
 *
 *     +OK\r\n    -ERR why\r\n    :5\r\n    $3\r\nabc\r\n    $-1\r\n (nothing there)
 */

#include <stdio.h>

#include "cli/bench_driver.h"
#include "proto/limits.h"

/* Digits of a length that may be believed, with its sign. */
#define LENGTH_DIGITS_MAX 10

static void append_text(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

/* "*2\r\n$3\r\nGET\r\n$16\r\n" and the key with its end of line. */
static void begin_frame(struct bench_frame *frame, const char *start)
{
    const uint8_t key[BENCH_KEY_LEN] = {0};
    append_text(&frame->bytes, start);
    frame->key_at = frame->bytes.len;
    buffer_append(&frame->bytes, key, sizeof(key));
    append_text(&frame->bytes, "\r\n");
    frame->value_at = frame->bytes.len;
}

static void make_write(struct bench_frame *frame, size_t value_len)
{
    char head[32];
    begin_frame(frame, "*3\r\n$3\r\nSET\r\n$16\r\n");
    (void)snprintf(head, sizeof(head), "$%zu\r\n", value_len);
    append_text(&frame->bytes, head);
    frame->value_at = frame->bytes.len;
    frame->value_len = value_len;
    if (buffer_reserve(&frame->bytes, value_len)) {
        memset(frame->bytes.data + frame->bytes.len, 0, value_len);
        frame->bytes.len += value_len;
    }
    append_text(&frame->bytes, "\r\n");
}

/* Bytes up to and with "\r\n"; 0 when the end is not there yet. */
static size_t line_len(struct bytes input)
{
    const char *end = memchr(input.data, '\n', input.len);
    return end ? (size_t)(end - (const char *)input.data) + 1 : 0;
}

/* The digits between the type's byte and the end of line; false when they are no length. */
static bool parse_length(const char *line, size_t len, int64_t *length)
{
    if (len == 5 && memcmp(line, "$-1\r\n", 5) == 0) {
        *length = -1;
        return true;
    }
    int64_t value = 0;
    if (len < 4 || len > LENGTH_DIGITS_MAX + 3 || line[len - 2] != '\r') {
        return false;
    }
    for (size_t i = 1; i < len - 2; i++) {
        if (line[i] < '0' || line[i] > '9') {
            return false;
        }
        value = value * 10 + (line[i] - '0');
    }
    *length = value;
    return value <= FRAME_LEN_MAX;
}

static enum bench_decoded broken(struct bench_reply *reply)
{
    reply->error = bytes_text("the server's answer is no RESP");
    return BENCH_DECODED_BROKEN;
}

static enum bench_decoded decode_bulk(const char *line, size_t len, struct bytes input,
                                      struct bench_reply *reply)
{
    int64_t value_len = 0;
    if (!parse_length(line, len, &value_len)) {
        return broken(reply);
    }
    reply->is_missing = value_len < 0;
    reply->len = len + (value_len < 0 ? 0 : (size_t)value_len + 2);
    return reply->len <= input.len ? BENCH_DECODED_WHOLE : BENCH_DECODED_PARTIAL;
}

static enum bench_decoded decode(const struct bench_driver *driver, struct bytes input,
                                 struct bench_reply *reply)
{
    static const char types[] = {'+', '-', ':', '$'};
    const char *line = input.data;
    size_t len = input.len > 0 ? line_len(input) : 0;
    (void)driver;
    if (input.len > 0 && !memchr(types, *line, sizeof(types))) {
        return broken(reply);
    }
    if (len == 0) {
        return BENCH_DECODED_PARTIAL;
    }
    if (*line == '$') {
        return decode_bulk(line, len, input, reply);
    }
    if (len < 3) {
        return broken(reply);
    }
    reply->len = len;
    reply->is_error = *line == '-';
    reply->error = reply->is_error ? bytes_of(line + 1, len - 3) : bytes_of(NULL, 0);
    return BENCH_DECODED_WHOLE;
}

bool bench_redis_init(struct bench_driver *driver, size_t value_len)
{
    static const struct bench_driver_body body = {.decode = decode};
    *driver = (struct bench_driver){.name = "redis", .is_in_order = true, .body = &body};
    struct bench_frame *read = &driver->frames[BENCH_METHOD_READ];
    struct bench_frame *write = &driver->frames[BENCH_METHOD_WRITE];
    begin_frame(read, "*2\r\n$3\r\nGET\r\n$16\r\n");
    make_write(write, value_len);
    return !read->bytes.failed && !write->bytes.failed;
}
