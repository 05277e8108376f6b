/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_DRIVER_H
#define CLI_BENCH_DRIVER_H

/*
 * How the load generator speaks to a server: one body for each protocol. A request is copied from a
 * frame that was encoded once, and patched, so that the client costs the same whatever it speaks:
 *
 *     frame   | 94 00 SLOT a5 "write" 92 b0 | KEY | c4 64 | VALUE |
 *                     slot_at                 key_at        value_at
 *
 * Which request a reply belongs to: the slot says it that went with the request, or, when a protocol
 * has no such thing, the order.
 */

#include "proto/address.h"
#include "proto/buffer.h"

#define BENCH_KEY_LEN 16

/* Requests in flight on one connection. */
#define BENCH_SLOTS_MAX 4096

enum bench_method {
    BENCH_METHOD_READ,
    BENCH_METHOD_WRITE,
    BENCH_METHOD_INCR,
    BENCH_METHOD_MINT,
    BENCH_METHOD_PUT,
    BENCH_METHOD_SCAN,
};

/* Methods of which a frame is kept: all but scan. */
enum { BENCH_FRAME_COUNT = 5 };

struct bench_request {
    enum bench_method method;
    uint32_t slot; /* below the driver's slot_count */
    uint8_t key[BENCH_KEY_LEN];
    uint64_t point;       /* of a mint or a put, which have no key */
    const uint8_t *value; /* of a write or a put: the frame's value_len bytes */
    uint32_t limit;       /* of a scan, which begins at the key's point */
};

struct bench_frame {
    struct buffer bytes;
    size_t slot_at; /* 0: the protocol has no slots */
    size_t key_at;
    size_t point_at; /* 0: there is a key; else its 8 bytes, big-endian */
    size_t value_at;
    size_t value_len;
};

struct bench_driver {
    const char *name;
    bool can_scan;
    bool is_in_order;    /* a reply tells no slot: it is the oldest request's */
    uint32_t slot_first; /* what stands for slot 0: so that all take equally many bytes */
    struct bench_frame frames[BENCH_FRAME_COUNT]; /* by method; one that it has not is empty */
    struct bytes asking; /* sent before a request that was answered BENCH_ANSWER_ASK; empty: none */
    const struct bench_driver_body *body;
};

enum bench_decoded {
    BENCH_DECODED_WHOLE,
    BENCH_DECODED_PARTIAL, /* more bytes are needed */
    BENCH_DECODED_BROKEN,  /* no reply of this protocol; error is set */
};

struct bench_reply {
    size_t len;          /* bytes of it */
    uint32_t slot;       /* unless is_in_order */
    bool is_error;       /* the server refused */
    bool is_later;       /* and asks to be asked again */
    bool is_missing;     /* a read of what is not there */
    struct bytes error;  /* text, of the server or our own; into the input, or static */
    struct bytes whole;  /* the reply; into the input */
    struct bytes result; /* of shardkv, unless is_error; into the input */
};

enum bench_answer_kind {
    BENCH_ANSWER_DONE,
    BENCH_ANSWER_MISSING, /* a read of what is not there */
    BENCH_ANSWER_LATER,   /* not done: to be asked again, at the same place */
    BENCH_ANSWER_MOVED,   /* not done: the places are another server's from now on */
    BENCH_ANSWER_ASK,     /* not done: this request alone is another server's, behind `asking` */
    BENCH_ANSWER_REFUSED, /* not done */
    BENCH_ANSWER_UNKNOWN, /* may have been done */
};

/*
 * What a reply brought. A key's place is where it lives, in [0, 2^32), whatever the protocol calls it: the
 * upper half of a point, or a slot of Redis Cluster as the upper 14 bits.
 */
struct bench_answer {
    enum bench_answer_kind kind;
    struct bytes value; /* of a read, into the reply */
    bool has_number;    /* the sum after an incr; a read's value that is an integer */
    int64_t number;
    struct address server; /* MOVED, ASK */
    uint64_t start, end;   /* MOVED: the places [start, end) */
    uint64_t epoch;        /* MOVED: the higher is the newer; 0: the protocol has none */
};

struct bench_driver_body {
    /* *reply is zero. */
    enum bench_decoded (*decode)(const struct bench_driver *driver, struct bytes input,
                                 struct bench_reply *reply);
    /* Reads a whole reply to `method` for what it brought. *answer is zero. NULL: cannot be told. */
    void (*answer)(enum bench_method method, struct bytes reply, struct bench_answer *answer);
    /* The place of a key. NULL: there is one server. */
    uint32_t (*place)(struct bytes key);
    /* NULL without can_scan. */
    void (*encode_scan)(const struct bench_driver *driver, const struct bench_request *request,
                        struct buffer *out);
};

/* False when out of memory; bench_driver_fini ends it all the same. slot_count <= BENCH_SLOTS_MAX. */
bool bench_shardkv_init(struct bench_driver *driver, size_t value_len, uint32_t slot_count);
bool bench_redis_init(struct bench_driver *driver, size_t value_len);
bool bench_echo_init(struct bench_driver *driver, size_t value_len);

/* A map of one pair takes so many bytes, at least. */
#define BENCH_DOCUMENT_LEN_MIN 5

/*
 * Frames of mint, of `count` ids, and of put, of a document that takes `document_len` >= BENCH_DOCUMENT_LEN_MIN bytes: a
 * map with one bin, whose bytes are the request's value. Of shardkv's driver. False when out of memory.
 */
bool bench_shardkv_add_ids(struct bench_driver *driver, uint32_t count, size_t document_len);

void bench_driver_fini(struct bench_driver *driver);

/* The record's key: 16 hexadecimal digits. */
void bench_key_print(uint64_t record, uint8_t key[BENCH_KEY_LEN]);

/* Errors stick in `out`. A scan only if can_scan. */
void bench_driver_encode(const struct bench_driver *driver, const struct bench_request *request,
                         struct buffer *out);

static inline enum bench_decoded bench_driver_decode(const struct bench_driver *driver,
                                                     struct bytes input, struct bench_reply *reply)
{
    *reply = (struct bench_reply){0};
    return driver->body->decode(driver, input, reply);
}

#endif
