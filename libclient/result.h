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

/* Whose result it is. */
struct result_key {
    struct bytes bytes; /* may point into the record's memory already */
    uint16_t table;     /* of proto/table.h: tells where the key lives, and whether it is an id */
};

/* What a write, put or expire gave the record, and its answer does not repeat. */
struct result_given {
    uint64_t ttl_ms;  /* 0: for ever */
    uint64_t left_ms; /* 0: all of ttl_ms */
    bool sliding;
    uint16_t kind; /* 0: none was given */
};

/*
 * `record` may be NULL, and changes only with RESULT_FOUND. Keys and values are copied into its
 * memory.
 */
enum result result_of_write(struct bytes encoded, const struct result_key *key,
                            const struct result_given *given, struct skv_record *record);
enum result result_of_expire(struct bytes encoded, const struct result_key *key,
                             const struct result_given *given, struct skv_record *record);

/* Of put, which tells the key. */
enum result result_of_put(struct bytes encoded, const struct result_given *given,
                          struct skv_record *record);
enum result result_of_read(struct bytes encoded, const struct result_key *key,
                           struct skv_record *record);
enum result result_of_bool(struct bytes encoded);
enum result result_of_incr(struct bytes encoded, const struct result_key *key,
                           struct skv_record *record);

/*
 * Of mint: from one to *count ids of the logical shard into `ids`, each above the one before, and how many; else `ids`
 * may hold anything.
 */
enum result result_of_mint(struct bytes encoded, uint32_t shard, uint64_t *ids, uint32_t *count);

/* Any object, verbatim. */
enum result result_of_any(struct bytes encoded, struct skv_record *record);

/* One of the records of a scan of `table`. Nothing is copied: *record points into `in`. */
bool result_unpack_record(struct unpack *in, uint16_t table, struct skv_record *record);

#endif
