/* SPDX-License-Identifier: MIT */
#include "tests/torture/operation.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/endian.h"
#include "proto/pack.h"

static const char *const methods[] = {
    [OPERATION_WRITE] = "write", [OPERATION_WRITE_ABSENT] = "write", [OPERATION_READ] = "read",
    [OPERATION_POP] = "pop",     [OPERATION_DELETE] = "delete",      [OPERATION_EXISTS] = "exists",
    [OPERATION_INCR] = "incr",   [OPERATION_EXPIRE] = "expire",
};

/* Key and number before the filler. */
enum { VALUE_HEAD_LEN = 16, VALUE_LEN_LARGEST = 40000 };

void operation_key(uint32_t key, char text[KEY_TEXT_LEN])
{
    (void)snprintf(text, KEY_TEXT_LEN, "key-%05u", key);
}

bool operation_parse_key(struct bytes text, uint32_t *key)
{
    char copy[KEY_TEXT_LEN] = "";
    char again[KEY_TEXT_LEN];
    if (text.len < 9 || text.len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text.data, text.len);
    uint32_t parsed = (uint32_t)strtoul(copy + 4, NULL, 10);
    operation_key(parsed, again);
    if (strcmp(copy, again) != 0) {
        return false;
    }
    *key = parsed;
    return true;
}

bool operation_changes(enum operation_kind kind)
{
    return kind != OPERATION_READ && kind != OPERATION_EXISTS;
}

/* --- values --- */

static uint64_t mix(uint64_t number)
{
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

/* Mostly about a hundred bytes; some take a page, a few take many (LMDB's overflow pages). */
static size_t value_len(int64_t number)
{
    uint64_t drawn = mix((uint64_t)number);
    uint64_t size = drawn >> 16;
    if (drawn % 64 == 0) {
        return VALUE_HEAD_LEN + 8000 + size % (VALUE_LEN_LARGEST - 8000);
    }
    if (drawn % 8 == 0) {
        return VALUE_HEAD_LEN + 500 + size % 3000;
    }
    return VALUE_HEAD_LEN + 40 + size % 100;
}

bool operation_is_large(int64_t number)
{
    return mix((uint64_t)number) % 64 == 0;
}

bool operation_is_small(int64_t number)
{
    return mix((uint64_t)number) % 8 != 0;
}

static void fill_value(uint32_t key, int64_t number, uint8_t *out, size_t len)
{
    endian_put_be64(out, key);
    endian_put_be64(out + 8, (uint64_t)number);
    uint8_t filler = (uint8_t)mix((uint64_t)number + 1);
    for (size_t i = VALUE_HEAD_LEN; i < len; i++) {
        out[i] = (uint8_t)(filler + i * 7);
    }
}

bool operation_read_value(uint32_t key, struct unpack *in, int64_t *number)
{
    uint8_t expected[VALUE_HEAD_LEN + VALUE_LEN_LARGEST];
    if (operation_is_counter(key)) {
        *number = unpack_int(in);
        return unpack_is_fine(in);
    }
    struct bytes value = unpack_text(in);
    if (!unpack_is_fine(in) || value.len < VALUE_HEAD_LEN) {
        return false;
    }
    int64_t found = (int64_t)endian_get_be64((const uint8_t *)value.data + 8);
    size_t len = value_len(found);
    fill_value(key, found, expected, len);
    *number = found;
    return bytes_equal(value, bytes_of(expected, len));
}

/* --- requests and replies --- */

static void pack_value(const struct operation *operation, struct buffer *out)
{
    uint8_t value[VALUE_HEAD_LEN + VALUE_LEN_LARGEST];
    if (operation_is_counter(operation->key)) {
        pack_int(out, operation->number);
    } else {
        size_t len = value_len(operation->number);
        fill_value(operation->key, operation->number, value, len);
        pack_bin(out, bytes_of(value, len));
    }
}

static void pack_options(const struct operation *operation, const uint8_t client[ID_LEN],
                         struct buffer *out)
{
    bool is_write = operation->kind == OPERATION_WRITE;
    uint32_t pair_count = operation->seq ? 3 : 0;
    pair_count += operation->kind == OPERATION_WRITE_ABSENT || (is_write && operation->ttl_ms);
    pack_map(out, pair_count);
    if (operation->seq) {
        pack_text(out, "client");
        pack_bin(out, bytes_of(client, ID_LEN));
        pack_text(out, "seq");
        pack_uint(out, operation->seq);
        pack_text(out, "done");
        pack_uint(out, operation->done);
    }
    if (operation->kind == OPERATION_WRITE_ABSENT) {
        pack_text(out, "if_absent");
        pack_bool(out, true);
    }
    if (is_write && operation->ttl_ms) {
        pack_text(out, "ttl_ms");
        pack_uint(out, operation->ttl_ms);
    }
}

void operation_pack(const struct operation *operation, uint32_t msgid, const uint8_t client[ID_LEN],
                    struct buffer *out)
{
    char key[KEY_TEXT_LEN];
    bool is_write = operation->kind == OPERATION_WRITE || operation->kind == OPERATION_WRITE_ABSENT;
    bool has_operand =
        is_write || operation->kind == OPERATION_INCR || operation->kind == OPERATION_EXPIRE;
    operation_key(operation->key, key);
    rpc_request(out, msgid, methods[operation->kind]);
    pack_array(out, has_operand ? 3 : 2);
    pack_text(out, key);
    if (is_write) {
        pack_value(operation, out);
    } else if (operation->kind == OPERATION_INCR) {
        pack_int(out, operation->number);
    } else if (operation->kind == OPERATION_EXPIRE) {
        pack_uint(out, operation->ttl_ms);
    }
    pack_options(operation, client, out);
}

static void read_record(uint32_t key, struct unpack *in, struct reply *reply)
{
    if (unpack_peek(in) == UNPACK_NIL) {
        return;
    }
    reply->is_found = true;
    reply->is_strange = unpack_array(in) < 5 || !operation_read_value(key, in, &reply->number);
    reply->version = unpack_uint(in);
    reply->ttl_ms = unpack_int(in);
}

/* A refusal says how full it is (RULES F1): on a full disk a shard may be empty. */
static bool tells_numbers(struct bytes detail)
{
    struct unpack in = unpack_of(detail);
    uint32_t count = unpack_array(&in);
    uint64_t used = unpack_uint(&in);
    uint64_t limit = unpack_uint(&in);
    return count >= 2 && unpack_is_fine(&in) && used <= limit && limit > 0;
}

struct reply operation_read_reply(const struct operation *operation,
                                  const struct rpc_message *message)
{
    struct reply reply = {.code = message->code, .ttl_ms = -1};
    struct unpack in = unpack_of(message->result);
    if (message->code != STATUS_OK) {
        reply.is_strange = message->code == STATUS_FULL && !tells_numbers(message->detail);
        return reply;
    }
    switch (operation->kind) {
    case OPERATION_WRITE:
    case OPERATION_WRITE_ABSENT:
        unpack_array(&in);
        reply.version = unpack_uint(&in);
        break;
    case OPERATION_READ:
    case OPERATION_POP:
        read_record(operation->key, &in, &reply);
        break;
    case OPERATION_DELETE:
    case OPERATION_EXISTS:
        reply.is_found = unpack_bool(&in);
        break;
    case OPERATION_INCR:
        unpack_array(&in);
        reply.number = unpack_int(&in);
        reply.version = unpack_uint(&in);
        break;
    case OPERATION_EXPIRE:
        reply.is_found = unpack_peek(&in) != UNPACK_NIL;
        if (reply.is_found) {
            unpack_array(&in);
            reply.version = unpack_uint(&in);
        }
        break;
    }
    reply.is_strange = reply.is_strange || !unpack_is_fine(&in);
    return reply;
}

void operation_answer(struct operation *operation, const struct reply *reply, uint64_t now_ms)
{
    operation->is_answered = true;
    operation->is_refused =
        status_class(reply->code) == STATUS_CLASS_RETRY || reply->code == STATUS_FULL;
    operation->answered_ms = now_ms;
    operation->reply = *reply;
}

/* --- the model --- */

static void put(const struct operation *operation, int64_t number, struct state *state)
{
    bool is_new = operation->kind != OPERATION_INCR || !state->is_there;
    state->is_there = true;
    state->number = number;
    state->version = operation->is_answered ? operation->reply.version : 0;
    if (is_new) {
        state->expiry_ms_min = state->expiry_ms_max = 0;
    }
}

static void put_expiry(const struct operation *operation, struct state *state)
{
    if (operation->ttl_ms) {
        state->expiry_ms_min = operation->sent_ms + operation->ttl_ms;
        state->expiry_ms_max =
            operation->is_answered ? operation->answered_ms + operation->ttl_ms : UINT64_MAX;
    }
}

static void take(struct state *state)
{
    state->is_there = false;
    state->version = 0;
    state->number = 0;
}

static void apply_change(const struct operation *operation, struct state *state,
                         struct reply *reply)
{
    switch (operation->kind) {
    case OPERATION_WRITE_ABSENT:
        if (state->is_there) {
            reply->code = STATUS_CONDITION;
            break;
        }
        put(operation, operation->number, state);
        break;
    case OPERATION_WRITE:
        put(operation, operation->number, state);
        put_expiry(operation, state);
        break;
    case OPERATION_INCR:
        reply->number = (state->is_there ? state->number : 0) + operation->number;
        put(operation, reply->number, state);
        break;
    case OPERATION_POP:
    case OPERATION_DELETE:
        take(state);
        break;
    case OPERATION_EXPIRE:
        if (state->is_there) {
            state->version = operation->is_answered ? operation->reply.version : 0;
            put_expiry(operation, state);
        }
        break;
    case OPERATION_READ:
    case OPERATION_EXISTS:
        break;
    }
}

struct reply operation_apply(const struct operation *operation, struct state *state)
{
    struct reply reply = {
        .code = STATUS_OK,
        .is_found = state->is_there,
        .number = state->number,
        .version = state->version,
    };
    apply_change(operation, state, &reply);
    if (state->version > state->version_floor) {
        state->version_floor = state->version;
    }
    return reply;
}

bool operation_fits_expiry(const struct state *state, int64_t ttl_ms, uint64_t told_ms_min,
                           uint64_t told_ms_max)
{
    if (state->expiry_ms_min == 0) {
        return ttl_ms == -1;
    }
    return ttl_ms >= 0 && told_ms_max + (uint64_t)ttl_ms + CLOCK_SLACK_MS >= state->expiry_ms_min &&
           (state->expiry_ms_max == UINT64_MAX ||
            told_ms_min + (uint64_t)ttl_ms <= state->expiry_ms_max + CLOCK_SLACK_MS);
}

static bool fits_record(const struct operation *operation, const struct state *before,
                        const struct reply *got)
{
    if (!got->is_found) {
        return true;
    }
    bool is_version_fine =
        before->version ? got->version == before->version : got->version > before->version_floor;
    return got->number == before->number && is_version_fine &&
           operation_fits_expiry(before, got->ttl_ms, operation->sent_ms, operation->answered_ms);
}

bool operation_fits(const struct operation *operation, const struct state *before,
                    const struct reply *expected, const struct reply *got)
{
    uint64_t floor = before->version_floor > operation->version_floor ? before->version_floor
                                                                      : operation->version_floor;
    if (got->code != expected->code || got->is_strange) {
        return false;
    }
    if (got->code != STATUS_OK) {
        return true;
    }
    switch (operation->kind) {
    case OPERATION_WRITE:
    case OPERATION_WRITE_ABSENT:
        return got->version > floor;
    case OPERATION_INCR:
        return got->version > floor && got->number == expected->number;
    case OPERATION_READ:
    case OPERATION_POP:
        return got->is_found == expected->is_found && fits_record(operation, before, got);
    case OPERATION_DELETE:
    case OPERATION_EXISTS:
        return got->is_found == expected->is_found;
    case OPERATION_EXPIRE:
        return got->is_found == expected->is_found && (!got->is_found || got->version > floor);
    }
    abort();
}

void operation_print(const struct operation *operation, char text[OPERATION_TEXT_LEN])
{
    int len = snprintf(text, OPERATION_TEXT_LEN, "%s%s %u, number %" PRId64 ", seq %" PRIu64 ": ",
                       methods[operation->kind],
                       operation->kind == OPERATION_WRITE_ABSENT ? " if_absent" : "",
                       operation->key, operation->number, operation->seq);
    size_t left = OPERATION_TEXT_LEN - (size_t)len;
    if (!operation->is_answered) {
        (void)snprintf(text + len, left, "no answer");
    } else if (operation->reply.code != STATUS_OK) {
        (void)snprintf(text + len, left, "%s", status_name(operation->reply.code));
    } else {
        (void)snprintf(text + len, left, "%s, number %" PRId64 ", version %" PRIu64,
                       operation->reply.is_found ? "found" : "-", operation->reply.number,
                       operation->reply.version);
    }
}
