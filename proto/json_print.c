/* SPDX-License-Identifier: MIT */
#include "proto/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/head.h"
#include "proto/json_number.h"

static void add(struct buffer *json, const char *text)
{
    buffer_append(json, text, strlen(text));
}

/* `c` is a quote, a backslash or a control character. */
static void add_escape(uint8_t c, struct buffer *json)
{
    static const char shorts[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    char text[8];
    const char *found = c ? strchr(shorts, c) : NULL;
    if (found) {
        (void)snprintf(text, sizeof(text), "\\%c", letters[found - shorts]);
    } else {
        (void)snprintf(text, sizeof(text), "\\u%04x", (unsigned)c);
    }
    add(json, text);
}

bool json_quote(struct bytes text, struct buffer *json)
{
    const uint8_t *data = text.data;
    if (!utf8_is_valid(text)) {
        return false;
    }
    add(json, "\"");
    size_t start = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (data[i] == '"' || data[i] == '\\' || data[i] < ' ') {
            buffer_append(json, data + start, i - start);
            add_escape(data[i], json);
            start = i + 1;
        }
    }
    if (start < text.len) {
        buffer_append(json, data + start, text.len - start);
    }
    add(json, "\"");
    return true;
}

/* The least number that needs a form, first bytes c0 to df; below it a shorter one would do. */
static const uint64_t form_least[32] = {
    [0x05] = 1u << 8,  [0x06] = 1u << 16, [0x08] = 1u << 8,  [0x09] = 1u << 16,
    [0x0c] = 1u << 7,  [0x0d] = 1u << 8,  [0x0e] = 1u << 16, [0x0f] = UINT64_C(1) << 32,
    [0x19] = 1u << 5,  [0x1a] = 1u << 8,  [0x1b] = 1u << 16, [0x1c] = 1u << 4,
    [0x1d] = 1u << 16, [0x1e] = 1u << 4,  [0x1f] = 1u << 16,
};

/* The greatest number that needs a signed form, d0 to d3. */
static const int64_t form_greatest[4] = {-33, INT8_MIN - 1, INT16_MIN - 1, (int64_t)INT32_MIN - 1};

static bool is_fixed_ext_len(uint64_t len)
{
    return len == 1 || len == 2 || len == 4 || len == 8 || len == 16;
}

/* Whether json_parse would write this head for the same type and number. */
static bool is_shortest(const struct head *head, uint8_t first)
{
    if (first < 0xc0 || first > 0xdf) {
        return true;
    }
    if (first >= 0xd0 && first <= 0xd3) {
        return (int64_t)head->number <= form_greatest[first - 0xd0] && head->type == UNPACK_INT;
    }
    if (first == 0xc7) {
        return !is_fixed_ext_len(head->number);
    }
    return head->type == UNPACK_FLOAT ? head->len == 9 : head->number >= form_least[first - 0xc0];
}

/* {"name":"base64"} */
static void print_base64(const char *name, struct bytes data, struct buffer *json)
{
    add(json, "{\"");
    add(json, name);
    add(json, "\":\"");
    base64_print(data, json);
    add(json, "\"}");
}

static void print_ext(struct unpack *in, struct buffer *json)
{
    char text[32];
    int8_t type;
    struct bytes data = unpack_ext(in, &type);
    (void)snprintf(text, sizeof(text), "{\"$ext\":[%d,\"", (int)type);
    add(json, text);
    base64_print(data, json);
    add(json, "\"]}");
}

static void print_integer(struct unpack *in, struct buffer *json)
{
    char text[32];
    if (unpack_peek(in) == UNPACK_INT) {
        (void)snprintf(text, sizeof(text), "%" PRId64, unpack_int(in));
    } else {
        (void)snprintf(text, sizeof(text), "%" PRIu64, unpack_uint(in));
    }
    add(json, text);
}

static int compare_keys(const void *a, const void *b)
{
    const struct bytes *left = a;
    const struct bytes *right = b;
    return bytes_compare(*left, *right);
}

/* Sorts them. */
static bool keys_differ(struct bytes *keys, uint32_t count)
{
    qsort(keys, count, sizeof(*keys), compare_keys);
    for (uint32_t i = 1; i < count; i++) {
        if (bytes_equal(keys[i - 1], keys[i])) {
            return false;
        }
    }
    return true;
}

/* What jansson and json_parse take for a key of an object and give back as it was. */
static bool is_plain_key(struct bytes key)
{
    const char *text = key.data;
    return key.len == 0 || (text[0] != '$' && !memchr(text, '\0', key.len) && utf8_is_valid(key));
}

/* `in` is at the first of `count` pairs. Whether they can be the members of a JSON object. */
static bool has_plain_keys(struct unpack in, uint32_t count, struct buffer *json)
{
    if (count == 0) {
        return true;
    }
    struct bytes *keys = malloc(count * sizeof(*keys));
    if (!keys) {
        json->failed = true;
        return false;
    }
    bool is_plain = true;
    for (uint32_t i = 0; i < count && is_plain; i++) {
        struct head head;
        (void)head_read(in.next, (size_t)(in.end - in.next), &head);
        is_plain = head.type == UNPACK_STR && is_shortest(&head, *in.next);
        if (is_plain) {
            keys[i] = unpack_text(&in);
            is_plain = is_plain_key(keys[i]);
            unpack_skip(&in);
        }
    }
    is_plain = is_plain && keys_differ(keys, count);
    free(keys);
    return is_plain;
}

static void print_object(struct unpack *in, struct buffer *json);

static void print_array(struct unpack *in, struct buffer *json)
{
    uint32_t count = unpack_array(in);
    add(json, "[");
    for (uint32_t i = 0; i < count; i++) {
        add(json, i == 0 ? "" : ",");
        print_object(in, json);
    }
    add(json, "]");
}

static void print_map(struct unpack *in, struct buffer *json)
{
    uint32_t count = unpack_map(in);
    bool is_plain = has_plain_keys(*in, count, json);
    add(json, is_plain ? "{" : "{\"$map\":[");
    for (uint32_t i = 0; i < count; i++) {
        add(json, i == 0 ? "" : ",");
        add(json, is_plain ? "" : "[");
        print_object(in, json);
        add(json, is_plain ? ":" : ",");
        print_object(in, json);
        add(json, is_plain ? "" : "]");
    }
    add(json, is_plain ? "}" : "]}");
}

/* True: printed, and `in` is behind it. False: JSON has no form for it, and `in` has not moved. */
static bool print_plainly(struct unpack *in, const struct head *head, struct buffer *json)
{
    struct unpack ahead = *in;
    double number;
    switch (head->type) {
    case UNPACK_NIL:
        unpack_nil(in);
        add(json, "null");
        return true;
    case UNPACK_BOOL:
        add(json, unpack_bool(in) ? "true" : "false");
        return true;
    case UNPACK_UINT:
    case UNPACK_INT:
        print_integer(in, json);
        return true;
    case UNPACK_FLOAT:
        number = unpack_float(&ahead);
        if (!isfinite(number)) {
            return false;
        }
        *in = ahead;
        json_number_print_float(number, json);
        return true;
    case UNPACK_STR:
        if (!json_quote(unpack_text(&ahead), json)) {
            return false;
        }
        *in = ahead;
        return true;
    case UNPACK_BIN:
        print_base64("$bin", unpack_text(in), json);
        return true;
    case UNPACK_ARRAY:
        print_array(in, json);
        return true;
    case UNPACK_MAP:
        print_map(in, json);
        return true;
    case UNPACK_EXT:
        print_ext(in, json);
        return true;
    case UNPACK_NONE:
        break;
    }
    return false;
}

/* Calls itself through arrays and maps, at most DEPTH_MAX deep: the object was checked. */
static void print_object(struct unpack *in, struct buffer *json)
{
    struct head head;
    (void)head_read(in->next, (size_t)(in->end - in->next), &head);
    if (!is_shortest(&head, *in->next) || !print_plainly(in, &head, json)) {
        print_base64("$msgpack", unpack_skip(in), json);
    }
}

bool json_print(struct bytes object, struct buffer *json)
{
    struct unpack check = unpack_of(object);
    (void)unpack_skip(&check);
    if (!unpack_is_done(&check)) {
        return false;
    }
    struct unpack in = unpack_of(object);
    print_object(&in, json);
    assert(unpack_is_done(&in));
    return true;
}
