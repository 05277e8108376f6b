/* SPDX-License-Identifier: MIT */
#ifndef CLI_REPLY_H
#define CLI_REPLY_H

/* Replies that are maps (PROTOCOL.md "Other methods"): takes the fields one wants, skips the others. */

#include "proto/unpack.h"

enum reply_kind {
    REPLY_NUMBER, /* u64 */
    REPLY_BOOL,
    REPLY_TEXT,    /* str or bin; empty for nil */
    REPLY_ENCODED, /* any one object, to be taken apart later */
};

struct reply_field {
    const char *name;
    enum reply_kind kind;
    void *
        out; /* uint64_t *, bool * or struct bytes *; keeps its value when the field is not there */
};

/* Texts point into what `in` reads. Errors stick in `in`. */
void reply_take(struct unpack *in, const struct reply_field *fields, size_t field_count);

/* Cuts what does not fit; always ends with a zero byte. */
void reply_copy_text(struct bytes text, char *out, size_t out_len);

#endif
