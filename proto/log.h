/* SPDX-License-Identifier: MIT */
#ifndef PROTO_LOG_H
#define PROTO_LOG_H

/*
 * The log of a server as bytes (RULES L1, L2). All little-endian.
 *
 *     segment   | header, 4096 bytes | record | record | ... | zeros, or what an earlier use left |
 *
 *     header    0   "shardlog"            8   u32 format, 1     12  u32 checksum of bytes 16..119, seed 0
 *               16  cluster, 16 bytes     32  server, 16 bytes  48  u64 incarnation
 *               56  u64 number            64  u64 first: no stamp of this segment is below it
 *               72  u64 last stamp of the segment before, where that one ends; in the
 *                   first of a log: what the tree had without one
 *               80  u64 chain at that end                       88  u64 salt, random
 *               96  u64 length of the file                      104 u64 created, ms since 1970
 *               112 u64 0                                       then zeros to 4096
 *
 *     record    0   u32 checksum of bytes 4..47                 at multiples of 8
 *               4   u32 payload length     8   u64 first stamp  16  u64 durable stamp when it was built
 *               24  u32 count              28  u8 type          29  u8 flags      30  u16 accounts
 *               32  u64 checksum of the payload                 40  u64 chain
 *               48  payload: accounts x 32 bytes, then operations, or the blob of a control record
 *               ..  zeros to the next multiple of 8: no checksum covers them, so they are looked at
 *
 *     account   0 u64 start bound   8 u64 epoch   16 u64 used bytes   24 u64 records     as they are after it
 *
 *     operation 0   u8 kind   1 u8 flags   2 u16 table   4 u16 key length   6 u16 kind of record
 *               8   u32 value length    12  u64 point
 *               20  with LOG_HAS_VERSION: u64 version
 *               ..  with LOG_HAS_EXPIRY:  u64 expiry, u64 time to live (both ms)
 *               ..  key, value
 *
 * Checksums are XXH3_64 (their low half where four bytes are given), seeded with the segment's salt, so
 * that what an earlier use of the file left is never taken for a record. The chain is XXH3_64 of the
 * header's bytes 4..39, seeded with the chain of the record before: across segments, too.
 *
 * Operation i of a record has stamp first + i. Records that take no stamp (count 0: checkpoints and
 * markers) have as `first` the lowest that a recovery may give: above all before them, but no bound for
 * what stands behind them (copies of L4; stamps that are lower until a marker is durable, N2). A
 * durable stamp is one that was given, or what a first segment tells as `last`: never one to which a
 * checkpoint only raised, or a torn record behind that would look like damage. Recovery's checkpoint
 * tells the stamp of the last copy behind it: none of them is missing in a segment that has its name.
 *
 * What log salvage wrote has zeros for a server that it could not tell.
 *
 * Which segment is the newest stands in a file beside them (RULES L2): two slots, written in turn, number N
 * in slot N % 2, so that the one before stands until the next is durable.
 *
 *     slot      0   "shardnew"            8   u32 format, 1     12  u32 checksum of bytes 16..23, seed 0
 *               16  u64 number, 0: there was none yet             then zeros to 4096
 */

#include "proto/buffer.h"
#include "proto/limits.h"

#define LOG_FORMAT             1
#define LOG_SEGMENT_HEADER_LEN 4096
#define LOG_RECORD_HEADER_LEN  48
#define LOG_ACCOUNT_LEN        32

#define LOG_NEWEST_NAME     "log.newest"
#define LOG_NEWEST_FORMAT   1
#define LOG_NEWEST_SLOT_LEN 4096
#define LOG_NEWEST_LEN      8192

/* Empty files in what log salvage wrote: its accounts must be counted anew; it was given no tree. */
#define LOG_RECOUNT_NAME "recount"
#define LOG_NO_TREE_NAME "no-tree"

/* In its first checkpoint, without accounts, where it found no control state: the tree's copy stands for it (RULES S11). */
#define LOG_STATE_IN_TREE "the tree has it"

/* Operations of one record, unless it is a single one (RULES L1). */
#define LOG_RECORD_LEN_TARGET (4u << 20)

/* What a length may say before anything is read because of it. Checkpoints hold a whole map. */
#define LOG_PAYLOAD_LEN_MAX (64u << 20)

struct log_segment_header {
    uint8_t cluster[ID_LEN];
    uint8_t server[ID_LEN];
    uint64_t incarnation;
    uint64_t number;
    uint64_t first;
    uint64_t previous_last;
    uint64_t previous_chain;
    uint64_t salt;
    uint64_t len;
    uint64_t created_ms;
};

enum log_type {
    LOG_OPERATIONS = 1,
    LOG_CHECKPOINT = 2, /* the first of each segment: all accounts, and the owner's control state */
    /*
     * Empty: all bytes before it were durable when it was built (RULES L3), or were synced with it before
     * their segment got its name, so that recovery's copies are vouched for, too.
     */
    LOG_MARKER = 3,
    LOG_CONTROL = 4, /* takes one stamp; first byte of its blob: enum log_control */
};

/* Flags of a record. */
enum { LOG_IS_STOP = 1 /* a marker that ends a clean stop */ };

enum log_control {
    LOG_STATE = 1, /* the owner's control state; all accounts stand before it */
    LOG_CLEAR = 2, /* u64 start, u64 end: what stood in this interval before is gone (RULES V2) */
    LOG_RESERVE =
        4,        /* u64 LE: ids up to so many ms since the origin may have been given (RULES I2) */
    LOG_TICK = 3, /* nothing but its stamp: only log salvage writes it, above what it left behind */
};

struct log_record_header {
    uint32_t payload_len;
    uint64_t first;
    uint64_t durable;
    uint32_t count;
    enum log_type type;
    uint8_t flags;
    uint16_t account_count;
    uint64_t payload_checksum;
    uint64_t chain;
};

struct log_account {
    uint64_t start;
    uint64_t epoch;
    uint64_t used;
    uint64_t records;
};

enum log_kind {
    LOG_PUT = 1,
    LOG_DELETE = 2, /* asked for: by delete or pop */
    LOG_EVICT = 3,  /* RULES S7 */
    LOG_EXPIRE = 4,
    LOG_TOUCH = 5,  /* RULES R4: version and expiry, no value */
    LOG_RESULT = 6, /* RULES Q1: key: the client; value: shardd/retry.h's */
    LOG_DONE = 7,   /* key: the client; value: shardd/retry.h's */
};

enum { LOG_HAS_VERSION = 1, LOG_HAS_EXPIRY = 2, LOG_IS_SLIDING = 4 };

/* Key and value point into what was decoded. */
struct log_op {
    enum log_kind kind;
    bool is_sliding;
    uint16_t table;
    uint16_t record_kind;
    uint64_t point;
    uint64_t version; /* 0: the operation's own stamp */
    uint64_t expiry_ms;
    uint64_t ttl_ms;
    struct bytes key;
    struct bytes value;
};

/* Bytes that a record with such a payload takes in its segment. */
static inline uint64_t log_record_len(uint64_t payload_len)
{
    return (LOG_RECORD_HEADER_LEN + payload_len + 7) & ~UINT64_C(7);
}

/* Stamp of the last operation; of a record without any, what `first` was made from. */
static inline uint64_t log_record_last(const struct log_record_header *header)
{
    return header->first + header->count - 1;
}

void log_segment_header_encode(const struct log_segment_header *header,
                               uint8_t out[LOG_SEGMENT_HEADER_LEN]);

enum log_fault { LOG_FINE, LOG_NOT_A_SEGMENT, LOG_NEWER_FORMAT, LOG_DAMAGED };

enum log_fault log_segment_header_decode(const uint8_t bytes[LOG_SEGMENT_HEADER_LEN],
                                         struct log_segment_header *header);

/* As it stands there, whatever is damaged: it is the right one if a record holds with it. */
uint64_t log_segment_header_salt(const uint8_t bytes[LOG_SEGMENT_HEADER_LEN]);

/* What belongs into slot `number` % 2. */
void log_newest_encode(uint64_t number, uint8_t slot[LOG_NEWEST_SLOT_LEN]);

/* Of a whole file: the higher number of its valid slots. False: none is valid. */
bool log_newest_decode(struct bytes file, uint64_t *number);

/* Appends; out->failed sticks. At most UINT16_MAX accounts a record. */
void log_account_encode(const struct log_account *account, struct buffer *out);
void log_op_encode(const struct log_op *op, struct buffer *out);

/*
 * Writes the header of a record whose payload is there, and sets header->payload_len, payload_checksum
 * and chain from it.
 * `previous_chain`: of the record before; the segment header's in the first.
 */
void log_record_header_encode(struct log_record_header *header, struct bytes payload,
                              uint64_t previous_chain, uint64_t salt,
                              uint8_t out[LOG_RECORD_HEADER_LEN]);

/* True when the header's own checksum holds, and its length is within bounds. */
bool log_record_header_decode(const uint8_t bytes[LOG_RECORD_HEADER_LEN], uint64_t salt,
                              struct log_record_header *header);

bool log_payload_is_intact(const struct log_record_header *header, struct bytes payload,
                           uint64_t salt);
uint64_t log_chain(const uint8_t bytes[LOG_RECORD_HEADER_LEN], uint64_t previous_chain);

/* The accounts and what follows them. False when the payload is too short for its own numbers. */
bool log_payload_split(const struct log_record_header *header, struct bytes payload,
                       struct bytes *accounts, struct bytes *rest);

/* The next one; `rest` moves behind it. False at the end and on a fault: then rest->len says which. */
bool log_account_next(struct bytes *rest, struct log_account *account);
bool log_op_next(struct bytes *rest, struct log_op *op);

#endif
