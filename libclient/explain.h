/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_EXPLAIN_H
#define LIBCLIENT_EXPLAIN_H

/*
 * The one line that a person gets to see when a call fails: what, where, why, what to do.
 *
 *     read "test": 127.0.0.1:5050: Connection refused; no server could serve it within 2000 ms: ...
 *     read 307821103844175873: not found
 *     put in logical shard 12: 127.0.0.1:5050: the shard is at its size
 *     mint in logical shard 12: 127.0.0.1:5050: no more ids yet: ...; 65536 of 200000 ids came within 2128 ms: try again
 */

#include "libclient/shardkv.h"
#include "proto/bytes.h"

struct explanation {
    enum skv_status status;
    uint32_t wire_code;
    const char *method;
    struct bytes key;   /* empty: none */
    bool is_id;         /* the key is the 8 bytes of one */
    bool has_shard;     /* instead of a key: put, mint */
    uint32_t shard;     /* logical */
    const char *server; /* "" : none */
    const char *said;   /* by the server, or of the connection; "": nothing. Any bytes. */
    uint32_t timeout_ms;
    uint64_t version;    /* SKV_CONDITION */
    uint64_t ids_came;   /* to a mint, before what failed */
    uint64_t ids_wanted; /* by it, in all */
};

enum { EXPLAIN_TEXT_LEN = 512 };

void explain(const struct explanation *explanation, char text[EXPLAIN_TEXT_LEN]);

#endif
