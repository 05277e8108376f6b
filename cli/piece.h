/* SPDX-License-Identifier: MIT */
#ifndef CLI_PIECE_H
#define CLI_PIECE_H

/*
 * A piece of a backup as bytes: a run of one table's records in hash order. All little-endian.
 *
 *     piece     | head, 16 bytes | origin | records | records | ... | end |     blocks, one behind the other
 *
 *     head      0   "shardbak"          8   u32 format, 1           12  u32 number, from 1
 *
 *     block     0   u64 checksum        8   u32 payload length      12  u8 type       13  3 bytes 0
 *               16  payload
 *
 *     origin    0   cluster, 16 bytes   16  u64 begun (ms)          24  u64 map revision then
 *     (1)       32  u16 table length    34  u16 cursor length       36  u32 0
 *               40  name of the table, cursor behind which the records are; no cursor: from the start
 *
 *     records   0   u16 key length      2   u16 kind                4   u32 value length
 *     (2)       8   u64 point           16  u64 version             24  u64 expiry (ms; 0: never)
 *               32  u64 time to live    40  u8 flags, 1: slides     41  7 bytes 0
 *               48  key, value; then the next record: up to 1 MiB of them, or one
 *
 *     end       0   u64 records         8   u64 size                16  u64 damaged records left out
 *     (3)       24  u64 ended (ms)      32  u8 is last, 33 u8 0     34  u16 cursor length   36  u32 0
 *               40  cursor behind the last record
 *
 * A block's checksum is XXH3_64 of its bytes from 8 on, seeded with the checksum of the block before; the
 * first is seeded with XXH3_64 of the head. So none can change, be missing or stand elsewhere unnoticed, and
 * the last one is that of the piece. Cursors are those of skv_scan_cursor. Times are ms since 1970; the
 * expiry is the moment, by the clock of who made the backup. The size is what shards count for the records.
 */

#include "proto/buffer.h"
#include "proto/limits.h"

#define PIECE_FORMAT         1
#define PIECE_HEAD_LEN       16
#define PIECE_BLOCK_HEAD_LEN 16

/* Records of one block, unless it is a single one. */
#define PIECE_BLOCK_LEN_TARGET (1u << 20)

/* What a length may say before anything is read because of it: one record of the largest value. */
#define PIECE_PAYLOAD_LEN_MAX FRAME_LEN_MAX

/* Of a cursor: 16 digits of a point, a dot, and each byte of a key in two. */
#define PIECE_CURSOR_LEN_MAX (17 + 2 * KEY_LEN_MAX)

enum piece_type { PIECE_ORIGIN = 1, PIECE_RECORDS = 2, PIECE_END = 3 };

/* Bytes point into what was decoded. */
struct piece_origin {
    uint8_t cluster[ID_LEN];
    uint64_t begun_ms; /* of the whole backup */
    uint64_t map_revision;
    struct bytes table;
    struct bytes from;
};

struct piece_record {
    uint16_t kind;
    bool is_sliding;
    uint64_t point;
    uint64_t version;
    uint64_t expiry_ms; /* 0: never */
    uint64_t ttl_ms;    /* as it was given; 0 for what never expires */
    struct bytes key;
    struct bytes value;
};

struct piece_end {
    uint64_t records;
    uint64_t size;
    uint64_t damaged;
    uint64_t ended_ms;
    bool is_last; /* nothing is behind it: the circle is done, of this table */
    struct bytes to;
};

struct piece_block {
    uint64_t checksum;
    uint32_t len;
    enum piece_type type;
};

void piece_head_encode(uint32_t number, uint8_t head[PIECE_HEAD_LEN]);

enum piece_fault { PIECE_FINE, PIECE_NO_PIECE, PIECE_NEWER_FORMAT };

enum piece_fault piece_head_decode(const uint8_t head[PIECE_HEAD_LEN], uint32_t *number);

/* With which the checksum of the first block is seeded. */
uint64_t piece_head_checksum(const uint8_t head[PIECE_HEAD_LEN]);

/* Empties `block` and leaves room for a head; then come the parts of one type. block->failed sticks. */
void piece_block_begin(struct buffer *block);
void piece_origin_encode(const struct piece_origin *origin, struct buffer *block);
void piece_record_encode(const struct piece_record *record, struct buffer *block);
void piece_end_encode(const struct piece_end *end, struct buffer *block);

/* Writes the head of a block that has not failed; returns its checksum. `before`: of the block before. */
uint64_t piece_block_seal(enum piece_type type, uint64_t before, struct buffer *block);

/* False when the length is above its bound or there is no such type. */
bool piece_block_decode(const uint8_t head[PIECE_BLOCK_HEAD_LEN], struct piece_block *block);

/* What the checksum of a whole block, head included, must be. */
uint64_t piece_block_checksum(struct bytes block, uint64_t before);

/* Of payloads. False when they are not exactly that. */
bool piece_origin_decode(struct bytes payload, struct piece_origin *origin);
bool piece_end_decode(struct bytes payload, struct piece_end *end);

/* The next one; `rest` moves behind it. False at the end and on a fault: then rest->len says which. */
bool piece_record_next(struct bytes *rest, struct piece_record *record);

/* "records-000001", or with ".part" while it is written. */
enum { PIECE_NAME_LEN = 24 };
#define PIECE_NAME_START "records-"
#define PIECE_NUMBER_MAX 999999

/* number <= PIECE_NUMBER_MAX. */
void piece_name_print(uint32_t number, bool is_part, char name[PIECE_NAME_LEN]);

#endif
