/* SPDX-License-Identifier: MIT */
#include "proto/unpack.h"

#include "proto/head.h"
#include "proto/limits.h"

struct unpack unpack_of(struct bytes bytes)
{
    /* Arithmetic on NULL is undefined even with 0. */
    const uint8_t *data = bytes.len ? bytes.data : (const uint8_t *)"";
    return (struct unpack){.next = data, .end = data + bytes.len, .fault = UNPACK_FINE};
}

void unpack_fail(struct unpack *in, enum unpack_fault fault)
{
    if (in->fault == UNPACK_FINE) {
        in->fault = fault;
        /* So that the test for bytes left, which every read makes, covers the fault. */
        in->end = in->next;
    }
}

static size_t bytes_left(const struct unpack *in)
{
    return (size_t)(in->end - in->next);
}

enum unpack_type unpack_peek(const struct unpack *in)
{
    struct head head;
    return head_read(in->next, bytes_left(in), &head) == UNPACK_FINE ? head.type : UNPACK_NONE;
}

/* True: *head is whole, and the bytes and objects behind it may be there. Does not move. */
static bool look_at(struct unpack *in, struct head *head)
{
    enum unpack_fault fault = head_read(in->next, bytes_left(in), head);
    if (fault == UNPACK_FINE) {
        size_t behind = bytes_left(in) - head->len;
        if (head->payload_len > behind || head->child_count > behind) {
            fault = UNPACK_SHORT;
        }
    }
    if (fault != UNPACK_FINE) {
        unpack_fail(in, fault);
        return false;
    }
    return true;
}

/* Moves behind a head of this type, to its payload or children; else sets the fault. */
static bool take_head(struct unpack *in, enum unpack_type type, struct head *head)
{
    if (!look_at(in, head)) {
        return false;
    }
    if (head->type != type) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return false;
    }
    in->next += head->len;
    return true;
}

static struct bytes take_payload(struct unpack *in, size_t len)
{
    struct bytes payload = bytes_of(in->next, len);
    in->next += len;
    return payload;
}

void unpack_nil(struct unpack *in)
{
    struct head head;
    (void)take_head(in, UNPACK_NIL, &head);
}

bool unpack_bool(struct unpack *in)
{
    struct head head;
    return take_head(in, UNPACK_BOOL, &head) && head.number == 1;
}

uint64_t unpack_uint(struct unpack *in)
{
    return unpack_uint_max(in, UINT64_MAX);
}

uint64_t unpack_uint_max(struct unpack *in, uint64_t max)
{
    struct head head;
    if (!look_at(in, &head)) {
        return 0;
    }
    if (head.type != UNPACK_UINT || head.number > max) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return 0;
    }
    in->next += head.len;
    return head.number;
}

int64_t unpack_int(struct unpack *in)
{
    struct head head;
    if (!look_at(in, &head)) {
        return 0;
    }
    bool fits = head.type == UNPACK_INT || (head.type == UNPACK_UINT && head.number <= INT64_MAX);
    if (!fits) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return 0;
    }
    in->next += head.len;
    return (int64_t)head.number;
}

double unpack_float(struct unpack *in)
{
    struct head head;
    if (!take_head(in, UNPACK_FLOAT, &head)) {
        return 0.0;
    }
    if (head.len == 1 + sizeof(float)) {
        uint32_t bits = (uint32_t)head.number;
        float single;
        memcpy(&single, &bits, sizeof single);
        return (double)single;
    }
    double number;
    memcpy(&number, &head.number, sizeof number);
    return number;
}

struct bytes unpack_text(struct unpack *in)
{
    struct head head;
    if (!look_at(in, &head)) {
        return (struct bytes){0};
    }
    if (head.type != UNPACK_STR && head.type != UNPACK_BIN) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return (struct bytes){0};
    }
    in->next += head.len;
    return take_payload(in, head.payload_len);
}

struct bytes unpack_ext(struct unpack *in, int8_t *type)
{
    struct head head;
    *type = 0;
    if (!take_head(in, UNPACK_EXT, &head)) {
        return (struct bytes){0};
    }
    *type = (int8_t)*in->next++;
    return take_payload(in, head.payload_len - 1);
}

void unpack_id(struct unpack *in, uint8_t id[ID_LEN])
{
    struct bytes bytes = unpack_text(in);
    if (bytes.len == ID_LEN) {
        memcpy(id, bytes.data, ID_LEN);
    } else {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
}

void unpack_string(struct unpack *in, char *string, size_t size)
{
    struct bytes text = unpack_text(in);
    bool has_end = text.len > 0 && memchr(text.data, '\0', text.len);
    if (text.len >= size || has_end) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    if (!unpack_is_fine(in)) {
        return;
    }
    if (text.len > 0) {
        memcpy(string, text.data, text.len);
    }
    string[text.len] = '\0';
}

uint32_t unpack_array(struct unpack *in)
{
    struct head head;
    return take_head(in, UNPACK_ARRAY, &head) ? (uint32_t)head.number : 0;
}

uint32_t unpack_map(struct unpack *in)
{
    struct head head;
    return take_head(in, UNPACK_MAP, &head) ? (uint32_t)head.number : 0;
}

struct bytes unpack_skip(struct unpack *in)
{
    const uint8_t *start = in->next;
    uint64_t left[DEPTH_MAX + 1];
    uint32_t depth = 0;
    left[0] = 1;
    while (left[depth] > 0) {
        struct head head;
        if (!look_at(in, &head)) {
            return (struct bytes){0};
        }
        if (!head_count(&head, &depth, left, DEPTH_MAX)) {
            unpack_fail(in, UNPACK_TOO_DEEP);
            return (struct bytes){0};
        }
        in->next += head.len + head.payload_len;
        if (left[depth] > bytes_left(in)) {
            unpack_fail(in, UNPACK_SHORT);
            return (struct bytes){0};
        }
    }
    return bytes_of(start, (size_t)(in->next - start));
}

#define QUOTED(number)       #number
#define TEXT_OF_NUMBER(name) QUOTED(name)

const char *unpack_fault_text(enum unpack_fault fault)
{
    switch (fault) {
    case UNPACK_FINE:
        return "no fault";
    case UNPACK_SHORT:
        return "ends before it is complete";
    case UNPACK_WRONG_TYPE:
        return "of another type, or a number out of range";
    case UNPACK_TOO_DEEP:
        return "nested deeper than " TEXT_OF_NUMBER(DEPTH_MAX);
    case UNPACK_BAD_BYTE:
        return "contains the byte c1, which MessagePack does not use";
    }
    return "";
}
