/* SPDX-License-Identifier: MIT */
#ifndef PROTO_BYTES_H
#define PROTO_BYTES_H

/* A borrowed run of bytes. Whoever gives it says how long it lives. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const void *data;
    size_t len;
};

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){data, len};
}

static inline struct bytes bytes_text(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

/* memcmp with a NULL of length 0 is undefined, hence the length test. */
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

#endif
