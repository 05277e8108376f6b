/* SPDX-License-Identifier: MIT */
#include "proto/json.h"

#include <assert.h>
#include <jansson.h>

#include "proto/error_text.h"
#include "proto/json_number.h"
#include "proto/limits.h"
#include "proto/pack.h"
#include "proto/unpack.h"

/*
 * jansson reads the text, and the tree that it makes is packed in the order of the text. jansson
 * has no integers above 2^63-1, so it gets a copy in which these are floats (a point behind the
 * first digit), and `numbers` goes through the text itself beside the tree, number by number.
 */
struct parse {
    struct json_numbers numbers;
    struct buffer *object;
    struct json_error *error;
};

__attribute__((format(printf, 2, 3))) static bool fail(struct json_error *error, const char *format,
                                                       ...)
{
    va_list arguments;
    error->line = 0;
    error->column = 0;
    va_start(arguments, format);
    error_text_print(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return false;
}

static struct bytes string_bytes(const json_t *string)
{
    return bytes_of(json_string_value(string), json_string_length(string));
}

static bool put_value(struct parse *parse, json_t *value, uint32_t depth);

static struct bytes take_literal(struct parse *parse)
{
    struct bytes literal;
    bool found = json_numbers_next(&parse->numbers, &literal);
    assert(found);
    return literal;
}

static bool put_number(struct parse *parse, json_t *value)
{
    uint64_t large;
    if (json_number_classify(take_literal(parse), &large) == JSON_NUMBER_LARGE) {
        pack_uint(parse->object, large);
    } else if (json_is_integer(value)) {
        pack_int(parse->object, json_integer_value(value));
    } else {
        pack_float(parse->object, json_real_value(value));
    }
    return true;
}

/* `depth` is the array's own, from 1; likewise of maps. */
static bool put_array(struct parse *parse, json_t *array, uint32_t depth)
{
    size_t count = json_array_size(array);
    if (depth > DEPTH_MAX) {
        return fail(parse->error, "%s", unpack_fault_text(UNPACK_TOO_DEEP));
    }
    pack_array(parse->object, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        if (!put_value(parse, json_array_get(array, i), depth)) {
            return false;
        }
    }
    return true;
}

static bool put_members(struct parse *parse, json_t *object, uint32_t depth)
{
    const char *key;
    size_t key_len;
    json_t *value;
    if (depth > DEPTH_MAX) {
        return fail(parse->error, "%s", unpack_fault_text(UNPACK_TOO_DEEP));
    }
    pack_map(parse->object, (uint32_t)json_object_size(object));
    json_object_keylen_foreach(object, key, key_len, value)
    {
        pack_str(parse->object, bytes_of(key, key_len));
        if (!put_value(parse, value, depth)) {
            return false;
        }
    }
    return true;
}

/* Decoded; empty and false when `value` is no base64 text. */
static bool decode_base64(struct parse *parse, json_t *value, struct buffer *data)
{
    *data = (struct buffer){0};
    if (!json_is_string(value) || !base64_parse(string_bytes(value), data)) {
        buffer_fini(data);
        return false;
    }
    if (data->failed) {
        parse->object->failed = true;
    }
    return true;
}

static bool put_bin(struct parse *parse, json_t *value)
{
    struct buffer data;
    if (!decode_base64(parse, value, &data)) {
        return fail(parse->error, "\"$bin\" must be a text in base64");
    }
    pack_bin(parse->object, buffer_bytes(&data));
    buffer_fini(&data);
    return true;
}

static bool put_ext(struct parse *parse, json_t *value)
{
    json_t *type = json_array_get(value, 0);
    json_t *text = json_array_get(value, 1);
    json_int_t number = json_integer_value(type);
    struct buffer data = {0};
    bool is_fine = json_array_size(value) == 2 && json_is_integer(type) && number >= INT8_MIN &&
                   number <= INT8_MAX && decode_base64(parse, text, &data);
    if (!is_fine) {
        return fail(parse->error,
                    "\"$ext\" must be [type, text in base64] with a type from -128 to 127");
    }
    (void)take_literal(parse);
    pack_ext(parse->object, (int8_t)number, buffer_bytes(&data));
    buffer_fini(&data);
    return true;
}

static bool put_pairs(struct parse *parse, json_t *value, uint32_t depth)
{
    size_t count = json_array_size(value);
    bool is_fine = json_is_array(value);
    for (size_t i = 0; i < count && is_fine; i++) {
        is_fine = json_array_size(json_array_get(value, i)) == 2;
    }
    if (!is_fine) {
        return fail(parse->error, "\"$map\" must be a list of [key, value] pairs");
    }
    if (depth > DEPTH_MAX) {
        return fail(parse->error, "%s", unpack_fault_text(UNPACK_TOO_DEEP));
    }
    pack_map(parse->object, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        json_t *pair = json_array_get(value, i);
        if (!put_value(parse, json_array_get(pair, 0), depth) ||
            !put_value(parse, json_array_get(pair, 1), depth)) {
            return false;
        }
    }
    return true;
}

static bool put_msgpack(struct parse *parse, json_t *value)
{
    struct buffer data;
    bool is_fine = decode_base64(parse, value, &data);
    if (is_fine && !data.failed) {
        struct unpack in = unpack_of(buffer_bytes(&data));
        (void)unpack_skip(&in);
        is_fine = unpack_is_done(&in);
        pack_encoded(parse->object, buffer_bytes(&data));
    }
    buffer_fini(&data);
    return is_fine || fail(parse->error, "\"$msgpack\" must be one MessagePack object in base64");
}

/* The first key that begins with $, or NULL. */
static const char *find_dollar_key(json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (*key == '$') {
            return key;
        }
    }
    return NULL;
}

static bool put_object(struct parse *parse, json_t *object, uint32_t depth)
{
    const char *key = find_dollar_key(object);
    if (!key) {
        return put_members(parse, object, depth);
    }
    json_t *value = json_object_get(object, key);
    bool is_only = json_object_size(object) == 1;
    if (is_only && strcmp(key, "$bin") == 0) {
        return put_bin(parse, value);
    }
    if (is_only && strcmp(key, "$ext") == 0) {
        return put_ext(parse, value);
    }
    if (is_only && strcmp(key, "$map") == 0) {
        return put_pairs(parse, value, depth);
    }
    if (is_only && strcmp(key, "$msgpack") == 0) {
        return put_msgpack(parse, value);
    }
    return fail(parse->error,
                "\"%.40s\": keys that begin with $ are written {\"$map\":[[key,value],...]}; alone "
                "in an object stand $bin, $ext, $map, $msgpack",
                key);
}

/* `depth`: arrays and maps around the value. Calls itself, at most DEPTH_MAX deep. */
static bool put_value(struct parse *parse, json_t *value, uint32_t depth)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_object(parse, value, depth + 1);
    case JSON_ARRAY:
        return put_array(parse, value, depth + 1);
    case JSON_STRING:
        pack_str(parse->object, string_bytes(value));
        return true;
    case JSON_INTEGER:
    case JSON_REAL:
        return put_number(parse, value);
    case JSON_TRUE:
    case JSON_FALSE:
        pack_bool(parse->object, json_is_true(value));
        return true;
    case JSON_NULL:
        break;
    }
    pack_nil(parse->object);
    return true;
}

static void set_place(struct bytes json, const char *at, struct json_error *error)
{
    error->line = 1;
    error->column = 1;
    for (const char *c = json.data; c < at; c++) {
        error->column = *c == '\n' ? 1 : error->column + 1;
        error->line += *c == '\n';
    }
}

/* Appends `json` with large integers made floats of the same length, so that places stay true. */
static bool copy_for_jansson(struct bytes json, struct buffer *copy, struct json_error *error)
{
    struct json_numbers numbers = json_numbers_of(json);
    struct bytes literal;
    uint64_t large;
    buffer_append_bytes(copy, json);
    while (!copy->failed && json_numbers_next(&numbers, &literal)) {
        const char *at = literal.data;
        switch (json_number_classify(literal, &large)) {
        case JSON_NUMBER_PLAIN:
            break;
        case JSON_NUMBER_LARGE:
            copy->data[at - (const char *)json.data + 1] = '.';
            break;
        case JSON_NUMBER_OVER:
            (void)fail(error, "integer outside -9223372036854775808 to 18446744073709551615");
            set_place(json, at, error);
            return false;
        }
    }
    return !copy->failed || fail(error, "out of memory");
}

static json_t *load(struct bytes json, struct json_error *error)
{
    struct buffer copy = {0};
    json_t *root = NULL;
    if (copy_for_jansson(json, &copy, error)) {
        json_error_t syntax;
        const char *text = copy.len ? (const char *)copy.data : "";
        root = json_loadb(text, copy.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL,
                          &syntax);
        if (!root) {
            (void)fail(error, "%s", syntax.text[0] ? syntax.text : "out of memory");
            error->line = syntax.line > 0 ? (uint32_t)syntax.line : 1;
            error->column = syntax.column > 0 ? (uint32_t)syntax.column : 1;
        }
    }
    buffer_fini(&copy);
    return root;
}

/* All parts are fine: so is the whole, unless "$msgpack" brought depth of its own. */
static bool check_whole(struct bytes packed, struct json_error *error)
{
    struct unpack in = unpack_of(packed);
    (void)unpack_skip(&in);
    return unpack_is_done(&in) || fail(error, "%s", unpack_fault_text(in.fault));
}

bool json_parse(struct bytes json, struct buffer *object, struct json_error *error)
{
    json_t *root = load(json, error);
    if (!root) {
        return false;
    }
    size_t start = object->len;
    struct parse parse = {json_numbers_of(json), object, error};
    bool is_fine = put_value(&parse, root, 0);
    json_decref(root);
    if (is_fine && object->failed) {
        is_fine = fail(error, "out of memory");
    }
    is_fine = is_fine && check_whole(bytes_of(object->data + start, object->len - start), error);
    if (!is_fine) {
        object->len = start;
    }
    return is_fine;
}
