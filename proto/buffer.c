/* SPDX-License-Identifier: MIT */
#include "proto/buffer.h"

#include <assert.h>
#include <stdlib.h>

/* A small request or response fits into the first block. */
#define CAPACITY_MIN 256

void buffer_fini(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->len = 0;
    buffer->failed = false;
}

void buffer_shrink(struct buffer *buffer, size_t keep_capacity)
{
    buffer_clear(buffer);
    if (buffer->capacity <= keep_capacity) {
        return;
    }
    /* Not realloc, which might copy what is not wanted any more. */
    buffer_fini(buffer);
    if (keep_capacity > 0) {
        buffer->data = malloc(keep_capacity);
        buffer->capacity = buffer->data ? keep_capacity : 0;
    }
}

static bool grow(struct buffer *buffer, size_t len)
{
    if (len > (size_t)PTRDIFF_MAX - buffer->len) {
        return false;
    }
    size_t needed = buffer->len + len;
    size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : 2 * buffer->capacity;
    if (capacity < needed) {
        capacity = needed;
    }
    uint8_t *data = realloc(buffer->data, capacity);
    if (!data) {
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t len)
{
    if (buffer->failed) {
        return NULL;
    }
    bool has_room = buffer->data && buffer->capacity - buffer->len >= len;
    if (!has_room && !grow(buffer, len)) {
        buffer->failed = true;
        return NULL;
    }
    return buffer->data + buffer->len;
}

void buffer_append(struct buffer *buffer, const void *data, size_t len)
{
    if (len == 0) {
        return;
    }
    uint8_t *end = buffer_reserve(buffer, len);
    if (end) {
        memcpy(end, data, len);
        buffer->len += len;
    }
}

void buffer_append_bytes(struct buffer *buffer, struct bytes bytes)
{
    buffer_append(buffer, bytes.data, bytes.len);
}

void buffer_consume(struct buffer *buffer, size_t len)
{
    assert(len <= buffer->len);
    if (len == 0) {
        return;
    }
    buffer->len -= len;
    memmove(buffer->data, buffer->data + len, buffer->len);
}
