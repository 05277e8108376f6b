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
    uint64_t point;       /* where it lives: [0, 2^64) */
    uint64_t id;          /* of an entity, whose key is its id's 8 bytes; else 0 */
    uint64_t version;     /* stamp of its last write */
    int64_t ttl_ms;       /* left until it expires; -1: for ever, or incr, which does not tell */
    uint64_t size;        /* bytes that it counts against its shard */
    uint16_t kind;        /* of an entity, else 0; what is only written tells it if the call did */
    bool sliding;         /* a read restarts its time to live */
    uint64_t full_ttl_ms; /* its time to live as it was given; 0: none */
    void *memory;         /* the library's */
    size_t capacity;
};

SKV_EXPORT void skv_record_fini(struct skv_record *rec);

/* The point that a key of bytes has, and a point as a fraction of the circle: [0, 1), never rounded up. */
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
    bool sliding;        /* write, put with ttl_ms, expire: a read restarts the time to live */
    bool if_present;     /* write: only if there is something; not with if_absent */
    bool has_kind;       /* write, update: of an entity, and `kind` says which */
    uint64_t if_version; /* what changes something: only if this is there; 0: no condition */
    uint64_t ttl_ms;     /* write, put: how long it lives from now on, 1 to 2^46; 0: for ever */
    uint64_t left_ms;    /* write, put: how much of ttl_ms is left, 1 to ttl_ms; 0: all of it */
    uint16_t kind; /* with has_kind; without it an entity keeps its kind, and a new one has 0 */
    uint64_t reserved[5];
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
 * Ids: 64 bits that tell when they were given and where their record lives, without a server.
 *
 *     63              23 22        10 9       0
 *     | ms since origin |  shard     | sequence |
 *         41 bits           13 bits     10 bits
 *
 * So they sort by time, as unsigned numbers. The origin is the cluster's, chosen once (skv_origin_ms). A logical
 * shard is 1/8192 of the circle. No id is ever given twice, but where the data of a server was given up
 * (`shard reset --accept-loss`), and with it what it had reserved: there ids can come again if the clock is behind
 * those given before. Where JSON carries them they are strings.
 */
#define SKV_SHARD_COUNT 8192u
#define SKV_SHARD_ANY   UINT32_C(0xffffffff) /* for `shard`: drawn at random, each alike */
#define SKV_ID_KEY_LEN  8

/* When: ms since 1970. `origin_ms`: of skv_origin_ms; 0: the default, 1379365531352. */
SKV_EXPORT uint64_t skv_id_created_ms(uint64_t id, uint64_t origin_ms);
SKV_EXPORT uint32_t skv_id_shard(uint64_t id);    /* 0 to 8191 */
SKV_EXPORT uint32_t skv_id_sequence(uint64_t id); /* 0 to 1023 */

/*
 * The id of these parts, which nobody has given thereby: skv_mint gives ids. False, and *id stays, unless `created_ms`
 * is from the origin to 2^41 - 1 ms behind it, `shard` below 8192, `sequence` below 1024.
 */
SKV_EXPORT bool skv_id_compose(uint64_t created_ms, uint32_t shard, uint32_t sequence,
                               uint64_t origin_ms, uint64_t *id);

/* Where the time of this cluster's ids begins, ms since 1970. Asks nobody; 0 before the first map (without_map). */
SKV_EXPORT uint64_t skv_origin_ms(struct skv *kv);

/* The key of an entity for calls that take keys, with table "entities": 8 bytes in `memory`, which is yours. */
SKV_EXPORT struct skv_bytes skv_key_of_id(uint64_t id, uint8_t *memory);

/* The logical shard that a key of bytes hashes to: entities put there live where records of this key may, too. */
SKV_EXPORT uint32_t skv_shard_of_key(struct skv_bytes key);

/*
 * Fills `ids` with `count` new ids in growing order: of a logical shard, 0 to 8191 (else SKV_INVALID), or, with
 * SKV_SHARD_ANY, in equal parts of up to 256 that are drawn at random. They have no records yet. Of `call` only
 * timeout_ms and table (NULL or "entities") may be given.
 *
 * Any count is asked for in pieces of 65,536 at most; when one fails the call does, and `ids` may hold anything. What is
 * asked for again after a lost reply wastes ids, and repeats none. A shard has 1,024 a millisecond, for all who
 * ask (where it is divided between servers, each has its share): a server gives those of the second ahead and lets
 * others wait. So this call, alone of all, may take count / 1,024 ms beyond its timeout (each piece adds its own part).
 * SKV_UNAVAILABLE: it would take longer, or the server's clock is more than ten minutes behind the ids that it gave.
 */
SKV_CHECK enum skv_status skv_mint(struct skv *kv, uint32_t shard, uint64_t *ids, size_t count,
                                   const struct skv_call *call);

/*
 * Entities: records of the table "entities", each with an id for a key and a map for a value, which comes back byte
 * for byte. `document`: of skv_msgpack, a map (else SKV_INVALID). They expire, slide, move and count as any
 * other record; calls that take keys take theirs (skv_key_of_id), but skv_incr. `call->table` is NULL or "entities".
 *
 * Puts a new one into a logical shard, 0 to 8191 (else SKV_INVALID) or SKV_SHARD_ANY, with a `kind` that means what
 * you want it to. `id` may be NULL. Sent again after a lost reply it has the same id, and there is one record.
 * SKV_FULL as of skv_write; SKV_UNAVAILABLE for its clock as of skv_mint.
 */
SKV_CHECK enum skv_status skv_entity_put(struct skv *kv, uint32_t shard, uint16_t kind,
                                         struct skv_value document, const struct skv_call *call,
                                         uint64_t *id);

/* SKV_NOT_FOUND if there is nothing. */
SKV_CHECK enum skv_status skv_entity_get(struct skv *kv, uint64_t id, const struct skv_call *call,
                                         struct skv_record *rec);

/*
 * Overwrites what is there: SKV_NOT_FOUND if there is nothing. Its kind stays without call->has_kind, and as of
 * skv_write it lives for ever without a ttl_ms. `rec` may be NULL; else it gets all but the value.
 */
SKV_CHECK enum skv_status skv_entity_update(struct skv *kv, uint64_t id, struct skv_value document,
                                            const struct skv_call *call, struct skv_record *rec);

/* SKV_NOT_FOUND if there was nothing. */
SKV_CHECK enum skv_status skv_entity_delete(struct skv *kv, uint64_t id,
                                            const struct skv_call *call);

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

/* Those of one batch get their ids in any order; skv_batch_record(...)->id is what a put gave. */
SKV_EXPORT void skv_batch_entity_put(struct skv_batch *batch, uint32_t shard, uint16_t kind,
                                     struct skv_value document, const struct skv_call *call);
SKV_EXPORT void skv_batch_entity_get(struct skv_batch *batch, uint64_t id,
                                     const struct skv_call *call);
SKV_EXPORT void skv_batch_entity_update(struct skv_batch *batch, uint64_t id,
                                        struct skv_value document, const struct skv_call *call);
SKV_EXPORT void skv_batch_entity_delete(struct skv_batch *batch, uint64_t id,
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
    const char *table;       /* NULL: "default" */
    const char *cursor;      /* where to go on, from skv_scan_cursor; NULL: the start */
    struct skv_bytes prefix; /* only keys that begin so; empty: all */
    bool keys_only;
    bool has_kind;       /* only entities of `kind`, with table "entities" */
    uint16_t kind;       /* with has_kind */
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
