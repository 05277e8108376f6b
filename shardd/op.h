/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_OP_H
#define SHARDD_OP_H

/*
 * One operation on records, from the request that asks for it to its outcome.
 *
 *     request ── op_new ──> store ── execute ──> outcome ── op->done ──> reply ── op_free
 *
 * One allocation holds the op and its copies of key, value and prefix, so it can cross to the
 * worker. What an operation answers with bytes is a buffer of its own, in the outcome.
 */

#include "proto/buffer.h"
#include "proto/limits.h"
#include "proto/status.h"

/* Numbers are stored with retry results: never reused. */
enum op_kind {
    OP_READ = 0,
    OP_EXISTS = 1,
    OP_SCAN = 2,
    OP_WRITE = 3, /* from here on they change something */
    OP_POP = 4,
    OP_DELETE = 5,
    OP_INCR = 6,
    OP_DONE = 7, /* of no record: its client has all answers below identity.done */
};

#define OP_KIND_COUNT 8

/* Finer than a status: which sentence the reply has. Stored with retry results: never reused. */
/* clang-format off */
#define OP_REASON_TABLE(X)                                                                         \
    X(NONE,            0,  "")                                                                     \
    X(DISK_FULL,       1,  "the server's disk is full")                                            \
    X(NOT_AN_INTEGER,  2,  "the value is not an integer within 64 bits")                           \
    X(OVERFLOW,        3,  "the sum does not fit into 64 bits")                                    \
    X(RESULT_GONE,     4,  "this seq was answered before and its result is no longer kept")        \
    X(TOO_MANY_OPEN,   5,  "512 results of this client are kept: raise `done`")                    \
    X(WAITED_TOO_LONG, 6,  "deadline_ms passed before its turn came")                              \
    X(SEQ_REUSED,      7,  "this seq was used for an operation of another kind")                   \
    X(RECORD_DAMAGED,  8,  "the stored record fails its checksum")                                 \
    X(RECORD_NEWER,    9,  "the stored record has the format of a newer version")                  \
    X(RETRY_DAMAGED,   10, "what is stored of this client's retries fails its checksum")           \
    X(THERE_ALREADY,   11, "if_absent: the key is there")                                          \
    X(OTHER_VERSION,   12, "if_version: that version is not there")
/* clang-format on */

enum op_reason {
#define X(name, number, text) OP_REASON_##name = (number),
    OP_REASON_TABLE(X)
#undef X
};

/* RULES Q1. seq 0: the operation carries no identity. */
struct op_identity {
    uint8_t client[ID_LEN];
    uint64_t seq;
    uint64_t done; /* the client's lowest seq that is not answered */
};

struct outcome {
    enum status status;
    enum op_reason reason;
    bool was_there;
    uint16_t kind;       /* of the record read or popped */
    uint64_t version;    /* of the record written, read or popped; CONDITION: what is there */
    uint64_t size;       /* what that record counts, in bytes */
    int64_t integer;     /* incr */
    uint64_t used;       /* FULL */
    uint64_t limit;      /* FULL */
    struct buffer value; /* read, pop: the value; scan: the whole result */
};

struct op {
    struct op *next;                         /* the store's */
    void (*done)(struct op *op);             /* on the loop; takes the op */
    bool (*is_awaited)(const struct op *op); /* whether the answer can still be given; NULL: yes */
    void *context;                           /* the two functions', with the two below */
    void *reply_to;
    uint32_t reply_id;
    enum op_kind kind;
    uint16_t table;
    uint64_t point;
    struct bytes key;   /* scan: go on behind it; empty: from the point on */
    struct bytes value; /* write */
    bool if_absent;
    uint64_t if_version;  /* 0: any */
    int64_t by;           /* incr */
    struct bytes prefix;  /* scan */
    uint32_t limit;       /* scan: records, 1 to SCAN_RECORDS_MAX */
    bool keys_only;       /* scan */
    uint64_t deadline_us; /* clock_mono_us; 0: none */
    struct op_identity identity;
    struct outcome outcome;
};

/* A copy of `op` with copies of its key, value and prefix. */
struct op *op_new(const struct op *op);
void op_free(struct op *op);

static inline bool op_changes(const struct op *op)
{
    return op->kind >= OP_WRITE;
}

/* Memory that it holds while it waits, in bytes. */
size_t op_len(const struct op *op);

void op_refuse(struct op *op, enum status status, enum op_reason reason);

/* As if it had never run. */
void op_reset(struct op *op);

/* One line for a person: the reason's, else the status'. Static storage. */
const char *op_text(const struct op *op);

#endif
