/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_RESULT_H
#define LIBCLIENT_RESULT_H

/*
 * What a server's results bring, as skv_record. Each form of PROTOCOL.md "Data methods" has one
 * function; elements behind those that are known are ignored.
 */

#include "libclient/shardkv.h"
#include "proto/unpack.h"

enum result {
    RESULT_FOUND,
    RESULT_ABSENT,
    RESULT_MALFORMED,
    RESULT_NO_MEMORY,
};

/* What a write or expire asked for, and its answer does not repeat. */
struct result_expiry {
    uint64_t ttl_ms;  /* 0: for ever */
    uint64_t left_ms; /* 0: all of ttl_ms */
    bool sliding;
};

/*
 * `record` may be NULL, and changes only with RESULT_FOUND. Keys and values are copied into its
 * memory. `key` may point there already.
 */
enum result result_of_write(struct bytes encoded, struct bytes key,
                            const struct result_expiry *expiry, struct skv_record *record);
enum result result_of_expire(struct bytes encoded, struct bytes key,
                             const struct result_expiry *expiry, struct skv_record *record);
enum result result_of_read(struct bytes encoded, struct bytes key, struct skv_record *record);
enum result result_of_bool(struct bytes encoded);
enum result result_of_incr(struct bytes encoded, struct bytes key, struct skv_record *record);

/* Any object, verbatim. */
enum result result_of_any(struct bytes encoded, struct skv_record *record);

/* One of the records of a scan. Nothing is copied: *record points into `in`. */
bool result_unpack_record(struct unpack *in, struct skv_record *record);

#endif
