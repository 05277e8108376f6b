/* SPDX-License-Identifier: MIT */
#include "proto/log.h"

#include <assert.h>

#include "proto/endian.h"
#include "proto/hash.h"

/* Where the fields stand; see the pictures in log.h. */
enum {
    SEGMENT_AT_MAGIC = 0,
    SEGMENT_AT_FORMAT = 8,
    SEGMENT_AT_CHECKSUM = 12,
    SEGMENT_AT_CLUSTER = 16,
    SEGMENT_AT_SERVER = 32,
    SEGMENT_AT_INCARNATION = 48,
    SEGMENT_AT_NUMBER = 56,
    SEGMENT_AT_FIRST = 64,
    SEGMENT_AT_PREVIOUS_LAST = 72,
    SEGMENT_AT_PREVIOUS_CHAIN = 80,
    SEGMENT_AT_SALT = 88,
    SEGMENT_AT_LEN = 96,
    SEGMENT_AT_CREATED = 104,
    SEGMENT_COVERED_END = 120,

    NEWEST_AT_MAGIC = 0,
    NEWEST_AT_FORMAT = 8,
    NEWEST_AT_CHECKSUM = 12,
    NEWEST_AT_NUMBER = 16,
    NEWEST_COVERED_END = 24,

    RECORD_AT_CHECKSUM = 0,
    RECORD_AT_PAYLOAD_LEN = 4,
    RECORD_AT_FIRST = 8,
    RECORD_AT_DURABLE = 16,
    RECORD_AT_COUNT = 24,
    RECORD_AT_TYPE = 28,
    RECORD_AT_FLAGS = 29,
    RECORD_AT_ACCOUNTS = 30,
    RECORD_AT_PAYLOAD_CHECKSUM = 32,
    RECORD_AT_CHAIN = 40,

    ACCOUNT_AT_START = 0,
    ACCOUNT_AT_EPOCH = 8,
    ACCOUNT_AT_USED = 16,
    ACCOUNT_AT_RECORDS = 24,

    OP_AT_KIND = 0,
    OP_AT_FLAGS = 1,
    OP_AT_TABLE = 2,
    OP_AT_KEY_LEN = 4,
    OP_AT_RECORD_KIND = 6,
    OP_AT_VALUE_LEN = 8,
    OP_AT_POINT = 12,
    OP_FIXED_LEN = 20,
    OP_VERSION_LEN = 8,
    OP_EXPIRY_LEN = 16,
};

static const uint8_t magic[8] = {'s', 'h', 'a', 'r', 'd', 'l', 'o', 'g'};
static const uint8_t newest_magic[8] = {'s', 'h', 'a', 'r', 'd', 'n', 'e', 'w'};

/* NULL, of length 0, takes no arithmetic. */
static void skip(struct bytes *rest, size_t len)
{
    if (len > 0) {
        rest->data = (const uint8_t *)rest->data + len;
        rest->len -= len;
    }
}

static struct bytes take_bytes(struct bytes *rest, size_t len)
{
    struct bytes bytes = bytes_of(rest->data, len);
    skip(rest, len);
    return bytes;
}

/* --- segments --- */

static uint32_t segment_checksum(const uint8_t bytes[LOG_SEGMENT_HEADER_LEN])
{
    return (uint32_t)hash_bytes(
        bytes_of(bytes + SEGMENT_AT_CLUSTER, SEGMENT_COVERED_END - SEGMENT_AT_CLUSTER));
}

void log_segment_header_encode(const struct log_segment_header *header,
                               uint8_t out[LOG_SEGMENT_HEADER_LEN])
{
    memset(out, 0, LOG_SEGMENT_HEADER_LEN);
    memcpy(out + SEGMENT_AT_MAGIC, magic, sizeof magic);
    endian_put_le32(out + SEGMENT_AT_FORMAT, LOG_FORMAT);
    memcpy(out + SEGMENT_AT_CLUSTER, header->cluster, ID_LEN);
    memcpy(out + SEGMENT_AT_SERVER, header->server, ID_LEN);
    endian_put_le64(out + SEGMENT_AT_INCARNATION, header->incarnation);
    endian_put_le64(out + SEGMENT_AT_NUMBER, header->number);
    endian_put_le64(out + SEGMENT_AT_FIRST, header->first);
    endian_put_le64(out + SEGMENT_AT_PREVIOUS_LAST, header->previous_last);
    endian_put_le64(out + SEGMENT_AT_PREVIOUS_CHAIN, header->previous_chain);
    endian_put_le64(out + SEGMENT_AT_SALT, header->salt);
    endian_put_le64(out + SEGMENT_AT_LEN, header->len);
    endian_put_le64(out + SEGMENT_AT_CREATED, header->created_ms);
    endian_put_le32(out + SEGMENT_AT_CHECKSUM, segment_checksum(out));
}

/* What no checksum covers is zero in what was written whole. */
static bool is_zero(const uint8_t *bytes, size_t len)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < len; i++) {
        seen |= bytes[i];
    }
    return seen == 0;
}

/* The checksum stands and counts the same in every format: what it denies is no newer one. */
enum log_fault log_segment_header_decode(const uint8_t bytes[LOG_SEGMENT_HEADER_LEN],
                                         struct log_segment_header *header)
{
    if (memcmp(bytes + SEGMENT_AT_MAGIC, magic, sizeof magic) != 0) {
        return LOG_NOT_A_SEGMENT;
    }
    bool is_whole = endian_get_le32(bytes + SEGMENT_AT_CHECKSUM) == segment_checksum(bytes);
    if (endian_get_le32(bytes + SEGMENT_AT_FORMAT) != LOG_FORMAT) {
        return is_whole ? LOG_NEWER_FORMAT : LOG_DAMAGED;
    }
    if (!is_whole ||
        !is_zero(bytes + SEGMENT_COVERED_END, LOG_SEGMENT_HEADER_LEN - SEGMENT_COVERED_END)) {
        return LOG_DAMAGED;
    }
    memcpy(header->cluster, bytes + SEGMENT_AT_CLUSTER, ID_LEN);
    memcpy(header->server, bytes + SEGMENT_AT_SERVER, ID_LEN);
    header->incarnation = endian_get_le64(bytes + SEGMENT_AT_INCARNATION);
    header->number = endian_get_le64(bytes + SEGMENT_AT_NUMBER);
    header->first = endian_get_le64(bytes + SEGMENT_AT_FIRST);
    header->previous_last = endian_get_le64(bytes + SEGMENT_AT_PREVIOUS_LAST);
    header->previous_chain = endian_get_le64(bytes + SEGMENT_AT_PREVIOUS_CHAIN);
    header->salt = endian_get_le64(bytes + SEGMENT_AT_SALT);
    header->len = endian_get_le64(bytes + SEGMENT_AT_LEN);
    header->created_ms = endian_get_le64(bytes + SEGMENT_AT_CREATED);
    return LOG_FINE;
}

uint64_t log_segment_header_salt(const uint8_t bytes[LOG_SEGMENT_HEADER_LEN])
{
    return endian_get_le64(bytes + SEGMENT_AT_SALT);
}

/* --- which segment is the newest --- */

static uint32_t newest_checksum(const uint8_t slot[LOG_NEWEST_SLOT_LEN])
{
    return (uint32_t)hash_bytes(
        bytes_of(slot + NEWEST_AT_NUMBER, NEWEST_COVERED_END - NEWEST_AT_NUMBER));
}

void log_newest_encode(uint64_t number, uint8_t slot[LOG_NEWEST_SLOT_LEN])
{
    memset(slot, 0, LOG_NEWEST_SLOT_LEN);
    memcpy(slot + NEWEST_AT_MAGIC, newest_magic, sizeof newest_magic);
    endian_put_le32(slot + NEWEST_AT_FORMAT, LOG_NEWEST_FORMAT);
    endian_put_le64(slot + NEWEST_AT_NUMBER, number);
    endian_put_le32(slot + NEWEST_AT_CHECKSUM, newest_checksum(slot));
}

/* Its number stands in the slot where it belongs: it was never anywhere else. */
static bool is_newest_slot(const uint8_t slot[LOG_NEWEST_SLOT_LEN], uint64_t index)
{
    return memcmp(slot + NEWEST_AT_MAGIC, newest_magic, sizeof newest_magic) == 0 &&
           endian_get_le32(slot + NEWEST_AT_FORMAT) == LOG_NEWEST_FORMAT &&
           endian_get_le32(slot + NEWEST_AT_CHECKSUM) == newest_checksum(slot) &&
           endian_get_le64(slot + NEWEST_AT_NUMBER) % 2 == index &&
           is_zero(slot + NEWEST_COVERED_END, LOG_NEWEST_SLOT_LEN - NEWEST_COVERED_END);
}

bool log_newest_decode(struct bytes file, uint64_t *number)
{
    uint64_t highest = 0;
    bool is_any = false;
    if (file.len != LOG_NEWEST_LEN) {
        return false;
    }
    for (uint64_t index = 0; index < 2; index++) {
        const uint8_t *slot = (const uint8_t *)file.data + index * LOG_NEWEST_SLOT_LEN;
        uint64_t found = endian_get_le64(slot + NEWEST_AT_NUMBER);
        if (is_newest_slot(slot, index) && found >= highest) {
            highest = found;
            is_any = true;
        }
    }
    if (is_any) {
        *number = highest;
    }
    return is_any;
}

/* --- records --- */

static uint32_t record_checksum(const uint8_t bytes[LOG_RECORD_HEADER_LEN], uint64_t salt)
{
    return (uint32_t)hash_bytes_seeded(
        bytes_of(bytes + RECORD_AT_PAYLOAD_LEN, LOG_RECORD_HEADER_LEN - RECORD_AT_PAYLOAD_LEN),
        salt);
}

uint64_t log_chain(const uint8_t bytes[LOG_RECORD_HEADER_LEN], uint64_t previous_chain)
{
    return hash_bytes_seeded(
        bytes_of(bytes + RECORD_AT_PAYLOAD_LEN, RECORD_AT_CHAIN - RECORD_AT_PAYLOAD_LEN),
        previous_chain);
}

void log_record_header_encode(struct log_record_header *header, struct bytes payload,
                              uint64_t previous_chain, uint64_t salt,
                              uint8_t out[LOG_RECORD_HEADER_LEN])
{
    assert(payload.len <= LOG_PAYLOAD_LEN_MAX);
    header->payload_len = (uint32_t)payload.len;
    header->payload_checksum = hash_bytes_seeded(payload, salt);
    endian_put_le32(out + RECORD_AT_PAYLOAD_LEN, header->payload_len);
    endian_put_le64(out + RECORD_AT_FIRST, header->first);
    endian_put_le64(out + RECORD_AT_DURABLE, header->durable);
    endian_put_le32(out + RECORD_AT_COUNT, header->count);
    out[RECORD_AT_TYPE] = (uint8_t)header->type;
    out[RECORD_AT_FLAGS] = header->flags;
    endian_put_le16(out + RECORD_AT_ACCOUNTS, header->account_count);
    endian_put_le64(out + RECORD_AT_PAYLOAD_CHECKSUM, header->payload_checksum);
    header->chain = log_chain(out, previous_chain);
    endian_put_le64(out + RECORD_AT_CHAIN, header->chain);
    endian_put_le32(out + RECORD_AT_CHECKSUM, record_checksum(out, salt));
}

bool log_record_header_decode(const uint8_t bytes[LOG_RECORD_HEADER_LEN], uint64_t salt,
                              struct log_record_header *header)
{
    uint32_t payload_len = endian_get_le32(bytes + RECORD_AT_PAYLOAD_LEN);
    if (payload_len > LOG_PAYLOAD_LEN_MAX ||
        endian_get_le32(bytes + RECORD_AT_CHECKSUM) != record_checksum(bytes, salt)) {
        return false;
    }
    header->payload_len = payload_len;
    header->first = endian_get_le64(bytes + RECORD_AT_FIRST);
    header->durable = endian_get_le64(bytes + RECORD_AT_DURABLE);
    header->count = endian_get_le32(bytes + RECORD_AT_COUNT);
    header->type = (enum log_type)bytes[RECORD_AT_TYPE];
    header->flags = bytes[RECORD_AT_FLAGS];
    header->account_count = endian_get_le16(bytes + RECORD_AT_ACCOUNTS);
    header->payload_checksum = endian_get_le64(bytes + RECORD_AT_PAYLOAD_CHECKSUM);
    header->chain = endian_get_le64(bytes + RECORD_AT_CHAIN);
    return true;
}

bool log_payload_is_intact(const struct log_record_header *header, struct bytes payload,
                           uint64_t salt)
{
    return payload.len == header->payload_len &&
           hash_bytes_seeded(payload, salt) == header->payload_checksum;
}

bool log_payload_split(const struct log_record_header *header, struct bytes payload,
                       struct bytes *accounts, struct bytes *rest)
{
    size_t accounts_len = (size_t)header->account_count * LOG_ACCOUNT_LEN;
    if (payload.len < accounts_len) {
        return false;
    }
    *rest = payload;
    *accounts = take_bytes(rest, accounts_len);
    return true;
}

/* --- accounts --- */

void log_account_encode(const struct log_account *account, struct buffer *out)
{
    uint8_t *end = buffer_reserve(out, LOG_ACCOUNT_LEN);
    if (!end) {
        return;
    }
    endian_put_le64(end + ACCOUNT_AT_START, account->start);
    endian_put_le64(end + ACCOUNT_AT_EPOCH, account->epoch);
    endian_put_le64(end + ACCOUNT_AT_USED, account->used);
    endian_put_le64(end + ACCOUNT_AT_RECORDS, account->records);
    out->len += LOG_ACCOUNT_LEN;
}

bool log_account_next(struct bytes *rest, struct log_account *account)
{
    if (rest->len < LOG_ACCOUNT_LEN) {
        return false;
    }
    const uint8_t *in = rest->data;
    account->start = endian_get_le64(in + ACCOUNT_AT_START);
    account->epoch = endian_get_le64(in + ACCOUNT_AT_EPOCH);
    account->used = endian_get_le64(in + ACCOUNT_AT_USED);
    account->records = endian_get_le64(in + ACCOUNT_AT_RECORDS);
    skip(rest, LOG_ACCOUNT_LEN);
    return true;
}

/* --- operations --- */

static uint8_t flags_of(const struct log_op *op)
{
    return (uint8_t)((op->version ? LOG_HAS_VERSION : 0) |
                     (op->expiry_ms || op->ttl_ms ? LOG_HAS_EXPIRY : 0) |
                     (op->is_sliding ? LOG_IS_SLIDING : 0));
}

/* Bytes before the key. */
static size_t fields_len(uint8_t flags)
{
    size_t len = OP_FIXED_LEN;
    if (flags & LOG_HAS_VERSION) {
        len += OP_VERSION_LEN;
    }
    if (flags & LOG_HAS_EXPIRY) {
        len += OP_EXPIRY_LEN;
    }
    return len;
}

/* NULL of length 0 may not go to memcpy. */
static uint8_t *put_bytes(uint8_t *end, struct bytes bytes)
{
    if (bytes.len > 0) {
        memcpy(end, bytes.data, bytes.len);
    }
    return end + bytes.len;
}

static uint8_t *put_le64(uint8_t *end, uint64_t number)
{
    endian_put_le64(end, number);
    return end + sizeof number;
}

/* Room is asked for once: this runs for each write. */
void log_op_encode(const struct log_op *op, struct buffer *out)
{
    assert(op->key.len <= KEY_LEN_MAX && op->value.len <= LOG_PAYLOAD_LEN_MAX);
    uint8_t flags = flags_of(op);
    size_t len = fields_len(flags) + op->key.len + op->value.len;
    uint8_t *end = buffer_reserve(out, len);
    if (!end) {
        return;
    }
    end[OP_AT_KIND] = (uint8_t)op->kind;
    end[OP_AT_FLAGS] = flags;
    endian_put_le16(end + OP_AT_TABLE, op->table);
    endian_put_le16(end + OP_AT_KEY_LEN, (uint16_t)op->key.len);
    endian_put_le16(end + OP_AT_RECORD_KIND, op->record_kind);
    endian_put_le32(end + OP_AT_VALUE_LEN, (uint32_t)op->value.len);
    endian_put_le64(end + OP_AT_POINT, op->point);
    end += OP_FIXED_LEN;
    if (flags & LOG_HAS_VERSION) {
        end = put_le64(end, op->version);
    }
    if (flags & LOG_HAS_EXPIRY) {
        end = put_le64(put_le64(end, op->expiry_ms), op->ttl_ms);
    }
    put_bytes(put_bytes(end, op->key), op->value);
    out->len += len;
}

/* Kind, flags and lengths of what begins here; in 64 bits, so that no sum wraps. */
static bool op_is_whole(struct bytes rest)
{
    const uint8_t *in = rest.data;
    if (rest.len < OP_FIXED_LEN) {
        return false;
    }
    uint8_t flags = in[OP_AT_FLAGS];
    uint64_t key_len = endian_get_le16(in + OP_AT_KEY_LEN);
    uint64_t value_len = endian_get_le32(in + OP_AT_VALUE_LEN);
    return in[OP_AT_KIND] >= LOG_PUT && in[OP_AT_KIND] <= LOG_DONE &&
           (flags & ~(LOG_HAS_VERSION | LOG_HAS_EXPIRY | LOG_IS_SLIDING)) == 0 &&
           key_len <= KEY_LEN_MAX && fields_len(flags) + key_len + value_len <= rest.len;
}

static uint64_t take_le64(struct bytes *rest)
{
    uint64_t number = endian_get_le64(rest->data);
    skip(rest, sizeof number);
    return number;
}

bool log_op_next(struct bytes *rest, struct log_op *op)
{
    if (!op_is_whole(*rest)) {
        return false;
    }
    const uint8_t *in = rest->data;
    uint8_t flags = in[OP_AT_FLAGS];
    op->kind = (enum log_kind)in[OP_AT_KIND];
    op->is_sliding = (flags & LOG_IS_SLIDING) != 0;
    op->table = endian_get_le16(in + OP_AT_TABLE);
    op->record_kind = endian_get_le16(in + OP_AT_RECORD_KIND);
    op->point = endian_get_le64(in + OP_AT_POINT);
    skip(rest, OP_FIXED_LEN);
    op->version = flags & LOG_HAS_VERSION ? take_le64(rest) : 0;
    op->expiry_ms = flags & LOG_HAS_EXPIRY ? take_le64(rest) : 0;
    op->ttl_ms = flags & LOG_HAS_EXPIRY ? take_le64(rest) : 0;
    op->key = take_bytes(rest, endian_get_le16(in + OP_AT_KEY_LEN));
    op->value = take_bytes(rest, endian_get_le32(in + OP_AT_VALUE_LEN));
    return true;
}
