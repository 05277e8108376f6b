/* SPDX-License-Identifier: MIT */
#ifndef PROTO_STATUS_H
#define PROTO_STATUS_H

/*
 * The outcome of a request, as it travels: an `error` on the wire is nil or
 * [code, text, detail]. Codes are never reused. The table is the one place where
 * they are listed: name, code, what the library does with it, meaning.
 */

#include <stdint.h>

/* What a client may conclude. */
enum status_class {
    STATUS_CLASS_DONE,    /* carried out */
    STATUS_CLASS_REFUSED, /* certainly not done, and the same request would fail again */
    STATUS_CLASS_RETRY,   /* certainly not done; may be sent again, here or elsewhere */
    STATUS_CLASS_UNKNOWN, /* may have been done */
};

/* clang-format off */
#define STATUS_TABLE(X)                                                                            \
    X(OK,             0,  DONE,    "done")                                                         \
    X(WRONG_SHARD,    1,  RETRY,   "another server owns this point")                               \
    X(TRY_LATER,      2,  RETRY,   "cannot be served at the moment")                               \
    X(SHUTTING_DOWN,  3,  RETRY,   "the server is stopping")                                       \
    X(CONDITION,      4,  REFUSED, "if_absent, if_present or if_version did not hold")             \
    X(FULL,           5,  REFUSED, "the shard is at its size")                                     \
    X(STALE,          6,  UNKNOWN, "a retry of something whose result is no longer kept")          \
    X(UNKNOWN_METHOD, 7,  REFUSED, "no such method")                                               \
    X(INVALID,        8,  REFUSED, "malformed or out-of-range argument")                           \
    X(TOO_LARGE,      9,  REFUSED, "key, value or request over its limit")                         \
    X(NO_TABLE,       10, REFUSED, "no such table")                                                \
    X(DENIED,         11, REFUSED, "not allowed")                                                  \
    X(WRONG_CLUSTER,  12, REFUSED, "this server belongs to another cluster")                       \
    X(DATA_MISSING,   13, RETRY,   "the data that the map expects here is not here")               \
    X(CONFLICT,       14, REFUSED, "the map has changed meanwhile")                                \
    X(DAMAGED,        15, REFUSED, "a stored record fails its checksum")                           \
    X(CLOCK_BEHIND,   16, REFUSED, "the server's clock is more than 10 minutes behind the ids that it gave")
/* clang-format on */

enum status {
#define X(name, code, class, text) STATUS_##name = (code),
    STATUS_TABLE(X)
#undef X
};

/* "WRONG_SHARD"; "UNKNOWN" for a code that is not in the table. Static storage. */
const char *status_name(uint32_t code);

/* One sentence without a full stop. Static storage. */
const char *status_text(uint32_t code);

/* STATUS_CLASS_UNKNOWN for a code that is not in the table: a newer server may have done it. */
enum status_class status_class(uint32_t code);

#endif
