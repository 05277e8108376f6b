/* SPDX-License-Identifier: MIT */
#include "cli/reply.h"

static struct bytes take_text(struct unpack *in)
{
    if (unpack_peek(in) == UNPACK_NIL) {
        unpack_nil(in);
        return bytes_of(NULL, 0);
    }
    return unpack_text(in);
}

static void take_field(struct unpack *in, const struct reply_field *field)
{
    switch (field->kind) {
    case REPLY_NUMBER:
        *(uint64_t *)field->out = unpack_uint(in);
        break;
    case REPLY_BOOL:
        *(bool *)field->out = unpack_bool(in);
        break;
    case REPLY_TEXT:
        *(struct bytes *)field->out = take_text(in);
        break;
    case REPLY_ENCODED:
        *(struct bytes *)field->out = unpack_skip(in);
        break;
    }
}

static const struct reply_field *find_field(const struct reply_field *fields, size_t field_count,
                                            struct bytes name)
{
    for (size_t i = 0; i < field_count; i++) {
        if (bytes_equal(name, bytes_text(fields[i].name))) {
            return &fields[i];
        }
    }
    return NULL;
}

void reply_take(struct unpack *in, const struct reply_field *fields, size_t field_count)
{
    uint32_t pair_count = unpack_map(in);
    for (uint32_t i = 0; i < pair_count && unpack_is_fine(in); i++) {
        const struct reply_field *field = find_field(fields, field_count, unpack_text(in));
        if (field) {
            take_field(in, field);
        } else {
            (void)unpack_skip(in);
        }
    }
}

void reply_copy_text(struct bytes text, char *out, size_t out_len)
{
    size_t len = text.len < out_len ? text.len : out_len - 1;
    if (len) {
        memcpy(out, text.data, len);
    }
    out[len] = '\0';
}
