/* SPDX-License-Identifier: MIT */
#include "proto/pack.h"

#include <msgpack.h>

/* Never fails for msgpack-c: the error sticks in the buffer. */
static int append(void *out, const char *data, size_t len)
{
    buffer_append(out, data, len);
    return 0;
}

static msgpack_packer packer_of(struct buffer *out)
{
    return (msgpack_packer){.data = out, .callback = append};
}

/* msgpack-c would write a longer length cut to 32 bits. */
static bool fits(struct buffer *out, struct bytes bytes)
{
    if (bytes.len > UINT32_MAX) {
        out->failed = true;
        return false;
    }
    return true;
}

void pack_nil(struct buffer *out)
{
    msgpack_packer packer = packer_of(out);
    msgpack_pack_nil(&packer);
}

void pack_bool(struct buffer *out, bool value)
{
    msgpack_packer packer = packer_of(out);
    if (value) {
        msgpack_pack_true(&packer);
    } else {
        msgpack_pack_false(&packer);
    }
}

void pack_uint(struct buffer *out, uint64_t value)
{
    msgpack_packer packer = packer_of(out);
    msgpack_pack_uint64(&packer, value);
}

void pack_int(struct buffer *out, int64_t value)
{
    msgpack_packer packer = packer_of(out);
    msgpack_pack_int64(&packer, value);
}

void pack_float(struct buffer *out, double value)
{
    msgpack_packer packer = packer_of(out);
    msgpack_pack_double(&packer, value);
}

void pack_str(struct buffer *out, struct bytes text)
{
    if (fits(out, text)) {
        msgpack_packer packer = packer_of(out);
        msgpack_pack_str_with_body(&packer, text.data, text.len);
    }
}

void pack_text(struct buffer *out, const char *text)
{
    pack_str(out, bytes_text(text));
}

void pack_bin(struct buffer *out, struct bytes data)
{
    if (fits(out, data)) {
        msgpack_packer packer = packer_of(out);
        msgpack_pack_bin_with_body(&packer, data.data, data.len);
    }
}

void pack_ext(struct buffer *out, int8_t type, struct bytes data)
{
    if (fits(out, data)) {
        msgpack_packer packer = packer_of(out);
        msgpack_pack_ext_with_body(&packer, data.data, data.len, type);
    }
}

void pack_array(struct buffer *out, uint32_t count)
{
    msgpack_packer packer = packer_of(out);
    msgpack_pack_array(&packer, count);
}

void pack_map(struct buffer *out, uint32_t pair_count)
{
    msgpack_packer packer = packer_of(out);
    msgpack_pack_map(&packer, pair_count);
}

void pack_encoded(struct buffer *out, struct bytes object)
{
    buffer_append_bytes(out, object);
}
