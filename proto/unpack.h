/* SPDX-License-Identifier: MIT */
#ifndef PROTO_UNPACK_H
#define PROTO_UNPACK_H

/*
 * A pull decoder of MessagePack over a bounded buffer.
 *
 * It trusts no length: nothing is allocated, nothing recurses, an element count is at most the
 * bytes left, nesting at most DEPTH_MAX. (msgpack-c reserves gigabytes for `dd 0f ff ff ff`,
 * which is why decoding is written by hand.) Errors stick: after the first fault every read
 * returns zero or empty, so a sequence of reads needs one check at its end.
 *
 * Format: github.com/msgpack/msgpack/blob/master/spec.md
 */

#include "proto/bytes.h"
#include "proto/limits.h"

enum unpack_type {
    UNPACK_NIL,
    UNPACK_BOOL,
    UNPACK_UINT,  /* any integer >= 0, however encoded */
    UNPACK_INT,   /* any integer < 0 */
    UNPACK_FLOAT, /* float 32 or 64 */
    UNPACK_STR,
    UNPACK_BIN,
    UNPACK_ARRAY,
    UNPACK_MAP,
    UNPACK_EXT,
    UNPACK_NONE, /* at the end, or c1, or after a fault */
};

enum unpack_fault {
    UNPACK_FINE,
    UNPACK_SHORT,      /* the object goes on behind the buffer's end */
    UNPACK_WRONG_TYPE, /* another type, or a number that does not fit */
    UNPACK_TOO_DEEP,
    UNPACK_BAD_BYTE, /* c1 */
};

struct unpack {
    const uint8_t *next;
    const uint8_t *end;
    enum unpack_fault fault;
};

/* `bytes` is borrowed for as long as the decoder and what it returned are used. */
struct unpack unpack_of(struct bytes bytes);

/* Type of the next object; does not move. */
enum unpack_type unpack_peek(const struct unpack *in);

void unpack_nil(struct unpack *in);
bool unpack_bool(struct unpack *in);
uint64_t unpack_uint(struct unpack *in);                   /* negative: UNPACK_WRONG_TYPE */
uint64_t unpack_uint_max(struct unpack *in, uint64_t max); /* above max: UNPACK_WRONG_TYPE */
int64_t unpack_int(struct unpack *in);                     /* above INT64_MAX: UNPACK_WRONG_TYPE */
double unpack_float(struct unpack *in);      /* float 32 or 64; integers are not taken */
struct bytes unpack_text(struct unpack *in); /* str or bin: its bytes count */
struct bytes unpack_ext(struct unpack *in, int8_t *type);

/* Untouched after a fault. A string: less than `size` bytes, none of them 0; it gets its end. */
void unpack_id(struct unpack *in, uint8_t id[ID_LEN]);
void unpack_string(struct unpack *in, char *string, size_t size);

/* Counts of elements, or of pairs; 0 after a fault. */
uint32_t unpack_array(struct unpack *in);
uint32_t unpack_map(struct unpack *in);

/* Steps over one whole object of any type and returns its encoded bytes. */
struct bytes unpack_skip(struct unpack *in);

/* Sets the fault unless one is set already; for a caller's own checks. */
void unpack_fail(struct unpack *in, enum unpack_fault fault);

static inline bool unpack_is_fine(const struct unpack *in)
{
    return in->fault == UNPACK_FINE;
}

/* Fine, and nothing left over. */
static inline bool unpack_is_done(const struct unpack *in)
{
    return in->fault == UNPACK_FINE && in->next == in->end;
}

/* "nested deeper than 32", ... Static storage. */
const char *unpack_fault_text(enum unpack_fault fault);

#endif
