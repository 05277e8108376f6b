/* SPDX-License-Identifier: MIT */

/*
 * The load generator's driver of Redis: RESP2 (redis.io/docs/latest/develop/reference/protocol-spec),
 * GET, SET and INCR.
 *
 *     +OK\r\n    -ERR why\r\n    :5\r\n    $3\r\nabc\r\n    $-1\r\n (nothing there)
 *
 * Redis Cluster (redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec): a key is in slot CRC16(key) % 16384;
 * "-MOVED slot host:port" is for good, "-ASK slot host:port" for this request, once it is asked behind ASKING.
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

/* --- what a reply brought --- */

/* Redis Cluster's slots: the upper 14 bits of a place. */
#define SLOT_BITS  14
#define SLOT_COUNT (1u << SLOT_BITS)
#define SLOT_SHIFT (32 - SLOT_BITS)

/* Digits of a number that may be believed. */
#define NUMBER_DIGITS_MAX 18

/* Decimal digits, all of them. */
static bool parse_number(struct bytes text, uint64_t *number)
{
    const char *digits = text.data;
    uint64_t value = 0;
    if (text.len == 0 || text.len > NUMBER_DIGITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(digits[i] - '0');
    }
    *number = value;
    return true;
}

static bool begins_with(struct bytes text, const char *start)
{
    size_t len = strlen(start);
    return text.len >= len && memcmp(text.data, start, len) == 0;
}

/* "3999 127.0.0.1:6381" */
static bool take_redirect(struct bytes text, struct bench_answer *answer)
{
    const char *blank = memchr(text.data, ' ', text.len);
    uint64_t slot = 0;
    if (!blank) {
        return false;
    }
    size_t slot_len = (size_t)(blank - (const char *)text.data);
    if (!parse_number(bytes_of(text.data, slot_len), &slot) || slot >= SLOT_COUNT) {
        return false;
    }
    answer->start = slot << SLOT_SHIFT;
    answer->end = (slot + 1) << SLOT_SHIFT;
    return address_parse(bytes_of(blank + 1, text.len - slot_len - 1), &answer->server);
}

static void take_error(struct bytes text, struct bench_answer *answer)
{
    static const struct {
        const char *start;
        enum bench_answer_kind kind;
    } redirects[] = {{"MOVED ", BENCH_ANSWER_MOVED}, {"ASK ", BENCH_ANSWER_ASK}};
    answer->kind = begins_with(text, "TRYAGAIN") ? BENCH_ANSWER_LATER : BENCH_ANSWER_REFUSED;
    for (size_t i = 0; i < sizeof(redirects) / sizeof(redirects[0]); i++) {
        size_t len = strlen(redirects[i].start);
        if (begins_with(text, redirects[i].start) &&
            take_redirect(bytes_of((const char *)text.data + len, text.len - len), answer)) {
            answer->kind = redirects[i].kind;
        }
    }
}

/* The reply is whole, so its lengths are right. */
static void take_bulk(struct bytes reply, struct bench_answer *answer)
{
    int64_t value_len = 0;
    size_t head_len = line_len(reply);
    uint64_t number = 0;
    (void)parse_length(reply.data, head_len, &value_len);
    if (value_len < 0) {
        answer->kind = BENCH_ANSWER_MISSING;
        return;
    }
    answer->value = bytes_of((const char *)reply.data + head_len, (size_t)value_len);
    answer->has_number = parse_number(answer->value, &number);
    answer->number = (int64_t)number;
}

static void take_answer(enum bench_method method, struct bytes reply, struct bench_answer *answer)
{
    const char *line = reply.data;
    struct bytes text = bytes_of(line + 1, reply.len - 3);
    uint64_t number = 0;
    (void)method;
    if (*line == '-') {
        take_error(text, answer);
    } else if (*line == '$') {
        take_bulk(reply, answer);
    } else if (*line == ':') {
        answer->has_number = parse_number(text, &number);
        answer->number = (int64_t)number;
    }
}

static void make_crc_table(uint16_t table[256])
{
    for (unsigned i = 0; i < 256; i++) {
        uint16_t rest = (uint16_t)(i << 8);
        for (unsigned bit = 0; bit < 8; bit++) {
            rest = (uint16_t)(rest & 0x8000 ? rest << 1 ^ 0x1021 : rest << 1);
        }
        table[i] = rest;
    }
}

/* CRC16 as the specification has it (XMODEM: 0x1021, from 0); keys here have no {tags}. */
static uint32_t place_of(struct bytes key)
{
    static uint16_t table[256]; /* of a byte; all zero until it is made */
    const uint8_t *at = key.data;
    uint16_t crc = 0;
    if (table[1] == 0) {
        make_crc_table(table);
    }
    for (size_t i = 0; i < key.len; i++) {
        crc = (uint16_t)(crc << 8 ^ table[(crc >> 8 ^ at[i]) & 0xff]);
    }
    return (uint32_t)(crc % SLOT_COUNT) << SLOT_SHIFT;
}

bool bench_redis_init(struct bench_driver *driver, size_t value_len)
{
    static const struct bench_driver_body body = {
        .decode = decode, .answer = take_answer, .place = place_of};
    *driver = (struct bench_driver){.name = "redis", .is_in_order = true, .body = &body};
    struct bench_frame *read = &driver->frames[BENCH_METHOD_READ];
    struct bench_frame *write = &driver->frames[BENCH_METHOD_WRITE];
    struct bench_frame *incr = &driver->frames[BENCH_METHOD_INCR];
    begin_frame(read, "*2\r\n$3\r\nGET\r\n$16\r\n");
    make_write(write, value_len);
    begin_frame(incr, "*2\r\n$4\r\nINCR\r\n$16\r\n");
    driver->asking = bytes_text("*1\r\n$6\r\nASKING\r\n");
    return !read->bytes.failed && !write->bytes.failed && !incr->bytes.failed;
}
