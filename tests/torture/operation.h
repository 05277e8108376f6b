/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_OPERATION_H
#define TORTURE_OPERATION_H

/*
 * An operation of the load, and what it does to its key: the model that a real server is held against.
 *
 *     key        "key-00017"; even ones hold values, odd ones counters
 *     value      bin: key u64 BE | number u64 BE | filler that follows from the number
 *     number     drawn once for each write, so that a value found tells which write it comes from
 *
 * Pure, but for the packing of requests and the reading of replies.
 */

#include "proto/buffer.h"
#include "proto/limits.h"
#include "proto/rpc.h"

enum operation_kind {
    OPERATION_WRITE,
    OPERATION_WRITE_ABSENT, /* if_absent */
    OPERATION_READ,
    OPERATION_POP,
    OPERATION_DELETE,
    OPERATION_EXISTS,
    OPERATION_INCR,
    OPERATION_EXPIRE,
};

/* What a key holds. */
struct state {
    bool is_there;
    int64_t number;         /* of the value, or the counter's */
    uint64_t version;       /* 0: not known */
    uint64_t version_floor; /* the highest version known of this key, dead ones included */
    uint64_t expiry_ms_min; /* the moment, as far as it can be known; 0: never */
    uint64_t expiry_ms_max;
};

struct reply {
    uint32_t code;
    bool is_found;  /* read, pop, delete, exists, expire: something was there */
    int64_t number; /* read, pop, incr */
    uint64_t version;
    int64_t ttl_ms;  /* read, pop */
    bool is_strange; /* a form, or a value, that no operation can have brought about */
};

struct operation {
    enum operation_kind kind;
    uint32_t key;
    int64_t number;  /* write: of the value; incr: by */
    uint64_t ttl_ms; /* 0: none */
    uint32_t conn;
    uint64_t seq; /* 0: without identity */
    uint64_t done;
    uint64_t version_floor; /* what it writes has a version above it */
    uint64_t sent_ms;
    bool is_answered;
    bool is_refused; /* answered as certainly not done, or taken for that (judge.h) */
    uint64_t answered_ms;
    uint64_t answered_at; /* where in the recorded run */
    struct reply reply;
};

enum { KEY_TEXT_LEN = 16 };

void operation_key(uint32_t key, char text[KEY_TEXT_LEN]);

/* False: no key of the load. */
bool operation_parse_key(struct bytes text, uint32_t *key);

static inline bool operation_is_counter(uint32_t key)
{
    return key % 2 == 1;
}

/* A value of this number takes many pages; or at most 156 bytes. */
bool operation_is_large(int64_t number);
bool operation_is_small(int64_t number);

bool operation_changes(enum operation_kind kind);

/* A whole request. `client`: of its connection. */
void operation_pack(const struct operation *operation, uint32_t msgid, const uint8_t client[ID_LEN],
                    struct buffer *out);

struct reply operation_read_reply(const struct operation *operation,
                                  const struct rpc_message *message);

/* It has its reply, at this moment. */
void operation_answer(struct operation *operation, const struct reply *reply, uint64_t now_ms);

/* A value of `key`, as a reply or a scan has it. False: no operation can have written it. */
bool operation_read_value(uint32_t key, struct unpack *in, int64_t *number);

/* What it answers when it is carried out, and what it leaves. Versions are those of its reply, if known. */
struct reply operation_apply(const struct operation *operation, struct state *state);

/* `before`: the state that the operation met. */
bool operation_fits(const struct operation *operation, const struct state *before,
                    const struct reply *expected, const struct reply *got);

/* How long a moment may take to come from one process to the other. */
#define CLOCK_SLACK_MS 3000

/* Whether a time to live that was told between two moments is that of the state. */
bool operation_fits_expiry(const struct state *state, int64_t ttl_ms, uint64_t told_ms_min,
                           uint64_t told_ms_max);

/* "write key-00017 = 93", for whoever reads a failure. */
enum { OPERATION_TEXT_LEN = 160 };
void operation_print(const struct operation *operation, char text[OPERATION_TEXT_LEN]);

#endif
