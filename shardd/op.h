/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_OP_H
#define SHARDD_OP_H

/*
 * One operation on records, from the request that asks for it to its outcome.
 *
 *     request ── store_submit ── end of the turn: execute ──> outcome ── op->done ──> reply
 *                                  └ must wait: op_new ── ... ── execute ── op->done ── op_free
 *
 * An op borrows its bytes from the connection's input, which lives for the turn. One that must wait (for a
 * fetch from the tree) is copied: one allocation holds it and its key, value and prefix.
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
    OP_EXPIRE = 8,

    /* The store's own, of which no client hears. */
    OP_REAP = 9,   /* if the record is due, it goes, that of if_version in any case (RULES R3) */
    OP_EVICT = 10, /* if the record is still that of if_version, it goes (RULES S7) */

    /* Of ids, by a point of their slice: the first changes nothing that a retry would have to find again. */
    OP_MINT = 11,
    OP_PUT = 12,
};

#define OP_KIND_COUNT 13

/* Finer than a status: which sentence the reply has. Stored with retry results: never reused. */
/* clang-format off */
#define OP_REASON_TABLE(X)                                                                         \
    X(NONE,            0,  "")                                                                     \
    X(DISK_FULL,       1,  "the server's disk is full: make room on it, or delete records")         \
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
    X(OTHER_VERSION,   12, "if_version: that version is not there")                                \
    X(MEMORY_FULL,     13, "the server's memory or log is full of what the tree has not yet: try again") \
    X(LOG_FULL,        14, "the server's disk is full, and so is its log: what changes something must wait") \
    X(UNREAD_REPLIES,  15, "too many replies wait to be read")                                     \
    X(MAKING_ROOM,     16, "the shard is full, and is still evicting what must go for this: try again") \
    X(TOO_MANY_WAIT,   17, "too many operations wait")                                             \
    X(TOO_MANY_CLIENTS, 18, "as many clients are remembered as fit the server's memory: use fewer, and each for longer") \
    X(HELD_TOO_LONG,   19, "its range is being handed over to another server: try again")          \
    X(RECORD_LARGER,   20, "the record is larger than all of its shard")                            \
    X(NOT_THERE,       21, "if_present: the key is not there")                                     \
    X(IDS_AHEAD,       22, "ids are being reserved, or a second ahead of the clock was given: try again") \
    X(CLOCK_BEHIND,    23, "this server's clock is more than 10 minutes behind the ids that it gave, or before the map's origin of ids, or 69 years after it") \
    X(ID_AHEAD,        24, "the id is more than 10 minutes ahead of this server's clock: it was not minted with this map's origin, or a clock is wrong")
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

/*
 * What an operation comes to. Its reply may leave when `need` is durable (RULES R1): the newest stamp
 * that it depends on, 0 for none.
 */
struct outcome {
    enum status status;
    enum op_reason reason;
    bool was_there;
    bool is_sliding; /* of the record read or popped, as the next four */
    uint16_t kind;
    uint64_t version; /* also of the record written; CONDITION: what is there */
    uint64_t size;    /* what that record counts, in bytes; FULL: what it would have counted */
    int64_t left_ms;  /* until that record expires; -1: never */
    uint64_t ttl_ms;  /* its time to live as it was given; 0: none */
    int64_t integer;  /* incr; put: the id */
    uint64_t used;    /* FULL */
    uint64_t limit;   /* FULL */
    uint64_t need;
    /* read, pop: the value; scan: the whole result, with DAMAGED [point, key]. Ends with op->done. */
    struct bytes value;
};

struct op {
    struct op *next;          /* while it waits: of those that wait for the same */
    struct op *older, *newer; /* and of all that wait */
    enum op_reason wants;     /* while it waits for room, or for its id: why */
    /* On the loop, once. What the operation borrows, and itself, end with the call. */
    void (*done)(const struct op *op, const struct outcome *outcome);
    bool (*is_awaited)(const struct op *op); /* whether the answer can still be given; NULL: yes */
    bool (*has_room)(const struct op *op);   /* for a large answer; NULL: yes */
    void *context;                           /* the functions', with the two below */
    void *reply_to;
    uint32_t reply_id;
    enum op_kind kind;
    uint16_t table;
    uint16_t record_kind; /* write, put: the new one; scan: only those of it */
    bool has_kind;        /* whether one is given */
    bool if_absent;
    bool if_present;
    bool keys_only;    /* scan */
    bool skip_damaged; /* scan: told, and passed over */
    bool is_sliding;   /* write, expire: a read restarts the time to live */
    uint32_t limit;    /* scan: records, 1 to SCAN_RECORDS_MAX; mint: ids */
    uint64_t point;
    struct bytes key;     /* scan: go on behind it; empty: from the point on */
    struct bytes value;   /* write, put */
    struct bytes prefix;  /* scan */
    uint64_t if_version;  /* 0: any */
    int64_t by;           /* incr */
    uint64_t ttl_ms;      /* write, expire: from now on; 0: for ever */
    uint64_t left_ms;     /* write: the first time, if less than ttl_ms; 0: all of ttl_ms */
    uint64_t deadline_us; /* clock_mono_us; 0: none */
    struct op_identity identity;
};

/* A copy of `op` with copies of its key, value and prefix. */
struct op *op_new(const struct op *op);
void op_free(struct op *op);

static inline bool op_changes(const struct op *op)
{
    return op->kind >= OP_WRITE && op->kind != OP_MINT;
}

/* The store's own. */
static inline bool op_is_inner(const struct op *op)
{
    return op->kind == OP_REAP || op->kind == OP_EVICT;
}

/* Of no record that is there: its id is yet to be given. */
static inline bool op_mints(const struct op *op)
{
    return op->kind == OP_MINT || op->kind == OP_PUT;
}

/* Memory that it holds while it waits, in bytes. */
size_t op_len(const struct op *op);

void outcome_refuse(struct outcome *outcome, enum status status, enum op_reason reason);

/* One line for a person: the reason's, else the status'. Static storage. */
const char *outcome_text(const struct outcome *outcome);

#endif
