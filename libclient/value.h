/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_VALUE_H
#define LIBCLIENT_VALUE_H

/* skv_value and MessagePack, both ways. */

#include "libclient/shardkv.h"
#include "proto/buffer.h"

/* Appends one object. False when SKV_MSGPACK is not exactly one (out->failed tells no memory). */
bool value_encode(struct skv_value value, struct buffer *out);

/* `encoded` is exactly one valid object; strings and the rest point into it. */
struct skv_value value_decode(struct bytes encoded);

#endif
