/* SPDX-License-Identifier: MIT */
#ifndef PROTO_PACK_H
#define PROTO_PACK_H

/* Writes MessagePack into a buffer, shortest forms (by msgpack-c). Errors stick in the buffer. */

#include "proto/buffer.h"

void pack_nil(struct buffer *out);
void pack_bool(struct buffer *out, bool value);
void pack_uint(struct buffer *out, uint64_t value);
void pack_int(struct buffer *out, int64_t value);
void pack_float(struct buffer *out, double value);
void pack_str(struct buffer *out, struct bytes text);
void pack_text(struct buffer *out, const char *text); /* a str from a C string */
void pack_bin(struct buffer *out, struct bytes data);
void pack_ext(struct buffer *out, int8_t type, struct bytes data);
void pack_array(struct buffer *out, uint32_t count);
void pack_map(struct buffer *out, uint32_t pair_count);

/* One object that is encoded already. */
void pack_encoded(struct buffer *out, struct bytes object);

#endif
