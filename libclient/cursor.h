/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_CURSOR_H
#define LIBCLIENT_CURSOR_H

/*
 * Where a scan is: behind a record, or before all records from a point on. As text, for people to
 * keep and another process to go on with:
 *
 *     0123456789abcdef.6b6579     behind the key `key`, at this point
 *     0123456789abcdef.           at the first record from this point on
 *     end
 */

#include "proto/bytes.h"
#include "proto/limits.h"

struct cursor {
    bool is_end;
    uint64_t point;
    size_t key_len; /* 0: before the first key there */
    uint8_t key[KEY_LEN_MAX];
};

enum { CURSOR_TEXT_LEN = 16 + 1 + 2 * KEY_LEN_MAX + 1 };

void cursor_print(const struct cursor *cursor, char text[CURSOR_TEXT_LEN]);

/* False when it is no cursor; *cursor is then untouched. */
bool cursor_parse(const char *text, struct cursor *cursor);

/* Behind this record. key.len <= KEY_LEN_MAX. */
void cursor_set(struct cursor *cursor, uint64_t point, struct bytes key);

/* Whether `a` comes before `b`. */
bool cursor_is_before(const struct cursor *a, const struct cursor *b);

#endif
