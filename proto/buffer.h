/* SPDX-License-Identifier: MIT */
#ifndef PROTO_BUFFER_H
#define PROTO_BUFFER_H

/*
 * A growing run of bytes with a sticky error: appends that cannot get memory set `failed` and
 * leave the contents as they were, so a sequence of appends needs one check, at its end.
 * The zero value is an empty buffer. The bytes move when the buffer grows.
 */

#include "proto/bytes.h"

struct buffer {
    uint8_t *data;
    size_t len;
    size_t capacity;
    bool failed;
};

void buffer_fini(struct buffer *buffer);

/* Empties; keeps the memory and clears `failed`. */
void buffer_clear(struct buffer *buffer);

/* Empties; gives back memory above `keep_capacity` bytes. */
void buffer_shrink(struct buffer *buffer, size_t keep_capacity);

/* Room for `len` more bytes at data + len, or NULL (failed set). The caller then raises `len`. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t len);

void buffer_append(struct buffer *buffer, const void *data, size_t len);
void buffer_append_bytes(struct buffer *buffer, struct bytes bytes);

/* Drops `len` bytes at the front by moving the rest down. */
void buffer_consume(struct buffer *buffer, size_t len);

static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return bytes_of(buffer->data, buffer->len);
}

#endif
