/* SPDX-License-Identifier: MIT */
#include "libclient/value.h"

#include "proto/pack.h"
#include "proto/point.h"
#include "proto/unpack.h"

static bool is_one_object(struct bytes object)
{
    struct unpack in = unpack_of(object);
    unpack_skip(&in);
    return unpack_is_done(&in);
}

static struct bytes bytes_in(struct skv_value value)
{
    return bytes_of(value.bytes.data, value.bytes.len);
}

bool value_encode(struct skv_value value, struct buffer *out)
{
    switch (value.type) {
    case SKV_NIL:
        pack_nil(out);
        return true;
    case SKV_BOOL:
        pack_bool(out, value.boolean);
        return true;
    case SKV_INT:
        pack_int(out, value.integer);
        return true;
    case SKV_UINT:
        pack_uint(out, value.natural);
        return true;
    case SKV_FLOAT:
        pack_float(out, value.real);
        return true;
    case SKV_STR:
        pack_str(out, bytes_in(value));
        return true;
    case SKV_BIN:
        pack_bin(out, bytes_in(value));
        return true;
    case SKV_MSGPACK:
        if (is_one_object(bytes_in(value))) {
            pack_encoded(out, bytes_in(value));
            return true;
        }
        return false;
    }
    return false;
}

static struct skv_value value_of_bytes(enum skv_type type, struct bytes bytes)
{
    return (struct skv_value){.type = type, .bytes = {bytes.data, bytes.len}};
}

static struct skv_value value_of_natural(uint64_t natural)
{
    if (natural > INT64_MAX) {
        return (struct skv_value){.type = SKV_UINT, .natural = natural};
    }
    return skv_int((int64_t)natural);
}

struct skv_value value_decode(struct bytes encoded)
{
    struct unpack in = unpack_of(encoded);
    switch (unpack_peek(&in)) {
    case UNPACK_NIL:
        return (struct skv_value){.type = SKV_NIL};
    case UNPACK_BOOL:
        return (struct skv_value){.type = SKV_BOOL, .boolean = unpack_bool(&in)};
    case UNPACK_UINT:
        return value_of_natural(unpack_uint(&in));
    case UNPACK_INT:
        return skv_int(unpack_int(&in));
    case UNPACK_FLOAT:
        return (struct skv_value){.type = SKV_FLOAT, .real = unpack_float(&in)};
    case UNPACK_STR:
        return value_of_bytes(SKV_STR, unpack_text(&in));
    case UNPACK_BIN:
        return value_of_bytes(SKV_BIN, unpack_text(&in));
    case UNPACK_ARRAY:
    case UNPACK_MAP:
    case UNPACK_EXT:
    case UNPACK_NONE:
        break;
    }
    return value_of_bytes(SKV_MSGPACK, encoded);
}

struct skv_bytes skv_key(const char *text)
{
    return (struct skv_bytes){text, strlen(text)};
}

struct skv_value skv_text(const char *text)
{
    return skv_str(text, strlen(text));
}

struct skv_value skv_str(const char *data, size_t len)
{
    return value_of_bytes(SKV_STR, bytes_of(data, len));
}

struct skv_value skv_bin(const void *data, size_t len)
{
    return value_of_bytes(SKV_BIN, bytes_of(data, len));
}

struct skv_value skv_int(int64_t n)
{
    return (struct skv_value){.type = SKV_INT, .integer = n};
}

struct skv_value skv_msgpack(const void *data, size_t len)
{
    return value_of_bytes(SKV_MSGPACK, bytes_of(data, len));
}

uint64_t skv_point(struct skv_bytes key)
{
    return point_of_key(bytes_of(key.data, key.len));
}

double skv_fraction(uint64_t point)
{
    return point_fraction(point);
}
