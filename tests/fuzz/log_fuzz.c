/* SPDX-License-Identifier: MIT */

/*
 * A log from strangers' bytes. The decoders are given them as they are. The scan is given them as a
 * segment whose checksums were made right, record after record, as far as their lengths lead, so that
 * what lies behind the checksums is reached; then as they are.
 */

#include "proto/log_scan.h"

#include <stdlib.h>

#include "proto/endian.h"
#include "proto/hash.h"

enum { SEGMENT_LEN_MAX = 16 << 10, SALT = 0x5a17 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* --- payloads --- */

static void check_ops(struct bytes rest)
{
    struct log_op op, same;
    while (log_op_next(&rest, &op)) {
        struct buffer out = {0};
        log_op_encode(&op, &out);
        struct bytes again = buffer_bytes(&out);
        require(log_op_next(&again, &same) && again.len == 0);
        require(same.kind == op.kind && same.version == op.version && same.ttl_ms == op.ttl_ms);
        require(bytes_equal(same.key, op.key) && bytes_equal(same.value, op.value));
        buffer_fini(&out);
    }
}

static void check_payload(const struct log_record_header *header, struct bytes payload)
{
    struct bytes accounts, rest;
    struct log_account account;
    uint32_t count = 0;
    if (!log_payload_split(header, payload, &accounts, &rest)) {
        return;
    }
    while (log_account_next(&accounts, &account)) {
        count++;
    }
    require(count == header->account_count && accounts.len == 0);
    check_ops(rest);
}

/* --- segments --- */

struct told {
    uint64_t end;
    uint64_t last;
};

static bool on_record(void *context, const struct log_record_header *header, struct bytes payload,
                      uint64_t offset)
{
    struct told *told = context;
    require(offset == told->end && payload.len == header->payload_len);
    require(header->first > told->last);
    told->end = offset + log_record_len(payload.len);
    told->last = header->count ? log_record_last(header) : told->last;
    check_payload(header, payload);
    return true;
}

static void check_scan(struct bytes segment, uint64_t previous_last)
{
    struct log_scan scan = {0};
    struct told told = {LOG_SEGMENT_HEADER_LEN, previous_last};
    char text[LOG_SCAN_TEXT_LEN];
    enum log_verdict verdict = log_scan_segment(&scan, segment, NULL, 0, on_record, &told, text);
    require((verdict == LOG_SCAN_DAMAGED) == (text[0] != '\0'));
    require(scan.segment_count == 0 || (scan.end == told.end && scan.last == told.last));
    require(scan.end <= segment.len);
    if (verdict != LOG_SCAN_DAMAGED) {
        require(scan.proven_end <= scan.end && scan.proven_last <= scan.last);
    }
    for (uint64_t offset = 0; offset < segment.len;) {
        struct log_record_header header;
        struct bytes payload;
        offset = log_scan_find(segment, offset, SALT, &header, &payload);
        if (offset < segment.len) {
            require(log_record_len(payload.len) <= segment.len - offset);
            offset += log_record_len(payload.len);
        }
    }
}

/* Lengths, types and stamps stay the stranger's; what a length leads beyond ends it. */
static void mend_records(uint8_t *bytes, uint64_t len, uint64_t chain)
{
    uint64_t offset = LOG_SEGMENT_HEADER_LEN;
    while (len - offset >= LOG_RECORD_HEADER_LEN) {
        uint8_t *in = bytes + offset;
        uint32_t payload_len = endian_get_le32(in + 4);
        if (log_record_len(payload_len) > len - offset) {
            return;
        }
        struct bytes payload = bytes_of(in + LOG_RECORD_HEADER_LEN, payload_len);
        endian_put_le64(in + 32, hash_bytes_seeded(payload, SALT));
        chain = log_chain(in, chain);
        endian_put_le64(in + 40, chain);
        endian_put_le32(in, (uint32_t)hash_bytes_seeded(bytes_of(in + 4, 44), SALT));
        offset += log_record_len(payload_len);
    }
}

static void check_segment(const uint8_t *data, size_t size)
{
    static uint8_t bytes[SEGMENT_LEN_MAX];
    uint64_t len = LOG_SEGMENT_HEADER_LEN + size;
    if (len > sizeof bytes) {
        return;
    }
    const struct log_segment_header header = {
        .number = 1, .first = 1, .salt = SALT, .previous_chain = 7, .len = len};
    log_segment_header_encode(&header, bytes);
    memcpy(bytes + LOG_SEGMENT_HEADER_LEN, data, size);
    check_scan(bytes_of(bytes, len), 0);
    mend_records(bytes, len, header.previous_chain);
    check_scan(bytes_of(bytes, len), 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_record_header header = {.account_count = size > 0 ? data[0] : 0};
    struct log_segment_header segment;
    check_payload(&header, bytes_of(data, size));
    if (size >= LOG_SEGMENT_HEADER_LEN) {
        (void)log_segment_header_decode(data, &segment);
    }
    check_segment(data, size);
    return 0;
}
