/* SPDX-License-Identifier: MIT */
#ifndef SHARDKV_H
#define SHARDKV_H

/*
 * libshardkv: a client of a shardkv cluster.      cc app.c $(pkg-config --cflags --libs shardkv)
 *
 *     struct skv *kv = NULL;
 *     struct skv_record rec = {0};                 // yours; grows; give it to call after call
 *     if (skv_open("127.0.0.1:5040", NULL, &kv) ||
 *         skv_write(kv, skv_key("test"), skv_text("hello world"), NULL, NULL) ||
 *         skv_read(kv, skv_key("test"), NULL, &rec))
 *         fprintf(stderr, "%s\n", skv_error()->text);          // key, server, what to do
 *     else
 *         printf("%.*s\n", (int)rec.value.bytes.len, (const char *)rec.value.bytes.data);
 *     skv_record_fini(&rec);
 *     skv_close(kv);
 *
 * One `struct skv` serves all threads and survives fork(). The library starts no thread, sets no
 * signal handler, prints nothing. NULL options, and 0 in a field, mean the default; reserved fields
 * must be 0. Each call ends by its deadline in one of the outcomes below (a host that is no numeric
 * address is looked up, which may hold it longer); on failure out-parameters stay as they were. Bytes
 * passed in are borrowed for the call.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SKV_EXPORT __attribute__((visibility("default")))
#define SKV_CHECK  __attribute__((warn_unused_result, visibility("default")))
#else
#define SKV_EXPORT
#define SKV_CHECK
#endif

struct skv;
struct skv_batch;
struct skv_scan;

enum skv_status {
    SKV_OK = 0,
    SKV_NOT_FOUND,
    SKV_CONDITION, /* if_absent, if_present or if_version did not hold: error.version is what is there, 0 if nothing */
    SKV_FULL,        /* the shard is at its size: error.used, error.limit (bytes) */
    SKV_INVALID,     /* can never work: too long, wrong type, no such table, method or address */
    SKV_DENIED,      /* another cluster, or not allowed */
    SKV_UNAVAILABLE, /* certainly not done: nobody could serve it before the deadline */
    SKV_UNKNOWN,     /* may have been done: the reply was lost and the deadline has passed */
    SKV_NO_MEMORY,   /* here; certainly not done */
};

/* "SKV_NOT_FOUND"; static storage. */
SKV_EXPORT const char *skv_status_name(enum skv_status status);

struct skv_error {
    enum skv_status status;
    uint32_t wire_code;   /* PROTOCOL.md "Errors"; 0 when no server answered */
    uint64_t version;     /* SKV_CONDITION */
    uint64_t used, limit; /* SKV_FULL, bytes */
    char server[272];     /* "host:port" that was asked last, or "" */
    char text[512];       /* one line: key, server, what to do */
};

/* Of this thread's last failed call; until its next call. Never NULL. */
SKV_EXPORT const struct skv_error *skv_error(void);

struct skv_bytes {
    const void *data;
    size_t len;
};

enum skv_type {
    SKV_NIL,
    SKV_BOOL,
    SKV_INT,  /* any integer that fits int64_t */
    SKV_UINT, /* above INT64_MAX */
    SKV_FLOAT,
    SKV_STR,
    SKV_BIN,
    SKV_MSGPACK, /* encoded: map, list, ext, or any other */
};

/* One MessagePack object. */
struct skv_value {
    enum skv_type type;
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double real;
        struct skv_bytes bytes; /* SKV_STR, SKV_BIN, SKV_MSGPACK */
    };
};

SKV_EXPORT struct skv_bytes skv_key(const char *text);
SKV_EXPORT struct skv_value skv_text(const char *text);
SKV_EXPORT struct skv_value skv_str(const char *data, size_t len);
SKV_EXPORT struct skv_value skv_bin(const void *data, size_t len);
SKV_EXPORT struct skv_value skv_int(int64_t n);
SKV_EXPORT struct skv_value skv_msgpack(const void *data, size_t len); /* exactly one object */

/* What a call brought back. Zero it once; its pointers are good until it is given to the next call. */
struct skv_record {
    struct skv_bytes key;
    struct skv_bytes encoded; /* the value as MessagePack, whatever its type */
    struct skv_value value;
    uint64_t point;   /* where it lives: [0, 2^64) */
    uint64_t version; /* stamp of its last write */
    int64_t ttl_ms;   /* left until it expires; -1: for ever, or incr, which does not tell */
    uint64_t size;    /* bytes that it counts against its shard */
    uint16_t kind;
    bool sliding;         /* a read restarts its time to live */
    uint64_t full_ttl_ms; /* its time to live as it was given; 0: none */
    void *memory;         /* the library's */
    size_t capacity;
};

SKV_EXPORT void skv_record_fini(struct skv_record *rec);

/* The point that a key has, and a point as a fraction of the circle: [0, 1), never rounded up. */
SKV_EXPORT uint64_t skv_point(struct skv_bytes key);
SKV_EXPORT double skv_fraction(uint64_t point);

struct skv_options {
    uint32_t timeout_ms;   /* of a call; 2000 */
    uint32_t pool_max;     /* connections per server; 10 */
    uint32_t pool_wait_ms; /* for a free one of them; 5000 */
    /* Level 0 error .. 3 debug. Called by whichever thread has something to say. May be NULL. */
    void (*log)(void *context, int level, const char *line);
    void *log_context;
    bool without_map; /* skv_open asks nobody; the map is fetched when a call needs it */
    uint64_t reserved[8];
};

struct skv_call {
    const char *table;   /* NULL: "default" */
    uint32_t timeout_ms; /* 0: of the options */
    bool if_absent;      /* write: only if there is nothing */
    bool sliding;        /* write with ttl_ms, expire: a read restarts the time to live */
    uint64_t if_version; /* what changes something: only if this is there; 0: no condition */
    uint64_t ttl_ms;     /* write: how long it lives from now on, 1 to 2^46; 0: for ever */
    uint64_t left_ms;    /* write: how much of ttl_ms is left, 1 to ttl_ms; 0: all of it */
    uint64_t reserved[6];
};

/*
 * `addresses`: servers or bootstrapds, any of them, "host:port,host:port". Fetches the map from the
 * first that answers: SKV_UNAVAILABLE if none does in time.
 */
SKV_CHECK enum skv_status skv_open(const char *addresses, const struct skv_options *options,
                                   struct skv **kv);

/* No call may be under way. NULL is allowed. */
SKV_EXPORT void skv_close(struct skv *kv);

/*
 * Writes or overwrites; without a ttl_ms what is written lives for ever, whatever was there. `rec` may
 * be NULL; else it gets all but the value.
 */
SKV_CHECK enum skv_status skv_write(struct skv *kv, struct skv_bytes key, struct skv_value value,
                                    const struct skv_call *call, struct skv_record *rec);

/* SKV_NOT_FOUND if there is nothing. What slides has its whole time to live once more. */
SKV_CHECK enum skv_status skv_read(struct skv *kv, struct skv_bytes key,
                                   const struct skv_call *call, struct skv_record *rec);

/* Reads and deletes in one step; of several callers one gets it. */
SKV_CHECK enum skv_status skv_pop(struct skv *kv, struct skv_bytes key, const struct skv_call *call,
                                  struct skv_record *rec);

/* SKV_NOT_FOUND if there was nothing. */
SKV_CHECK enum skv_status skv_delete(struct skv *kv, struct skv_bytes key,
                                     const struct skv_call *call);
SKV_CHECK enum skv_status skv_exists(struct skv *kv, struct skv_bytes key,
                                     const struct skv_call *call);

/*
 * Adds to an integer; nothing there counts as 0. The record expires when it would have.
 * SKV_INVALID when it is no integer or would not fit int64_t.
 */
SKV_CHECK enum skv_status skv_incr(struct skv *kv, struct skv_bytes key, int64_t by,
                                   const struct skv_call *call, int64_t *result);

/*
 * Gives a record `ttl_ms` from now on, 1 to 2^46 (SKV_INVALID above it); 0: it lives for ever. Its
 * value stays, its version is new. `rec` may be NULL; else it gets all but the value. SKV_NOT_FOUND
 * if there is nothing.
 */
SKV_CHECK enum skv_status skv_expire(struct skv *kv, struct skv_bytes key, uint64_t ttl_ms,
                                     const struct skv_call *call, struct skv_record *rec);

/*
 * A batch: one pipeline per server, all servers at once, a status for each item in the order added.
 * Items on one key take effect in that order. One thread at a time.
 */
SKV_EXPORT struct skv_batch *skv_batch_new(struct skv *kv); /* NULL: no memory */

/* Copies what it is given. A failure sticks to its item and shows when the batch runs. */
SKV_EXPORT void skv_batch_write(struct skv_batch *batch, struct skv_bytes key,
                                struct skv_value value, const struct skv_call *call);
SKV_EXPORT void skv_batch_read(struct skv_batch *batch, struct skv_bytes key,
                               const struct skv_call *call);
SKV_EXPORT void skv_batch_pop(struct skv_batch *batch, struct skv_bytes key,
                              const struct skv_call *call);
SKV_EXPORT void skv_batch_delete(struct skv_batch *batch, struct skv_bytes key,
                                 const struct skv_call *call);
SKV_EXPORT void skv_batch_incr(struct skv_batch *batch, struct skv_bytes key, int64_t by,
                               const struct skv_call *call);
SKV_EXPORT void skv_batch_expire(struct skv_batch *batch, struct skv_bytes key, uint64_t ttl_ms,
                                 const struct skv_call *call);

/* Runs every item once. SKV_OK if each is, else the first failure (skv_error speaks of that one). */
SKV_CHECK enum skv_status skv_batch_run(struct skv_batch *batch);

SKV_EXPORT size_t skv_batch_count(const struct skv_batch *batch);
SKV_EXPORT enum skv_status skv_batch_status(const struct skv_batch *batch, size_t index);

/* One line on why the item failed; "" if it did not. Until the batch changes. */
SKV_EXPORT const char *skv_batch_text(const struct skv_batch *batch, size_t index);

/* What the item brought back (incr: an SKV_INT value), else NULL. Until the batch changes. */
SKV_EXPORT const struct skv_record *skv_batch_record(const struct skv_batch *batch, size_t index);

/* Empties it for the next round. */
SKV_EXPORT void skv_batch_clear(struct skv_batch *batch);
SKV_EXPORT void skv_batch_free(struct skv_batch *batch); /* NULL is allowed */

struct skv_scan_options {
    const char *table;
    const char *cursor;      /* where to go on, from skv_scan_cursor; NULL: the start */
    struct skv_bytes prefix; /* only keys that begin so; empty: all */
    bool keys_only;
    uint32_t timeout_ms; /* for each fetch */
    /*
     * NULL: a record that cannot be read ends the scan. Else it is passed over and told, with why, a line for a
     * person; by skv_scan_next, before the records that its page brought. Of a key that cannot be read either only the
     * point is told.
     */
    void (*on_damaged)(void *context, struct skv_bytes key, uint64_t point, const char *why);
    void *on_damaged_context;
    uint64_t reserved[6];
};

/*
 * All records in hash order. Never one twice, never one missed that was there throughout; what is
 * written or deleted meanwhile may or may not show.
 */
SKV_CHECK enum skv_status skv_scan_open(struct skv *kv, const struct skv_scan_options *options,
                                        struct skv_scan **scan);

/* NULL at the end or on failure: skv_scan_close tells which. Until the next call. */
SKV_EXPORT const struct skv_record *skv_scan_next(struct skv_scan *scan);

/* Text that resumes behind the last record given, in any process. Until the next call. */
SKV_EXPORT const char *skv_scan_cursor(struct skv_scan *scan);

/* SKV_OK: it reached the end or was left by choice. */
SKV_CHECK enum skv_status skv_scan_close(struct skv_scan *scan);

/*
 * Any method of PROTOCOL.md. `server`: "host:port", or NULL for any that answers (the addresses given to
 * skv_open first). `params`: an encoded array, or SKV_NIL for none. The result is in rec->encoded.
 * It is sent once: SKV_UNKNOWN if the reply is lost.
 */
SKV_CHECK enum skv_status skv_request(struct skv *kv, const char *server, const char *method,
                                      struct skv_value params, uint32_t timeout_ms,
                                      struct skv_record *rec);

/* "0.1.0" */
SKV_EXPORT const char *skv_version(void);

#ifdef __cplusplus
}
#endif

#endif
