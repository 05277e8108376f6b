/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_LOG_BUILDER_H
#define TESTS_UNIT_LOG_BUILDER_H

/*
 * A log in memory, written as a server writes it: records back to back, each with the stamp that was
 * durable when it was built; build_sync makes all before it durable, as fdatasync does.
 */

#include <assert.h>
#include <stdlib.h>

#include "proto/log_scan.h"

enum { BUILD_SEGMENTS_MAX = 8, BUILD_RECORDS_MAX = 512 };

struct build_segment {
    struct log_segment_header header;
    uint8_t *bytes;
    uint64_t end;
};

struct build_record {
    uint32_t segment;
    uint64_t offset;
    uint64_t len;
    struct log_record_header header;
};

struct build {
    struct build_segment segments[BUILD_SEGMENTS_MAX];
    uint32_t segment_count;
    struct build_record records[BUILD_RECORDS_MAX];
    uint32_t record_count;
    uint64_t chain;
    uint64_t last;       /* given */
    uint64_t raised;     /* the next stamp is at or above it */
    uint64_t durable;    /* the last given stamp that is durable */
    uint64_t synced_end; /* of the last segment */
    struct buffer payload;
};

static inline void build_fini(struct build *build)
{
    for (uint32_t i = 0; i < build->segment_count; i++) {
        free(build->segments[i].bytes);
    }
    buffer_fini(&build->payload);
}

static inline struct build_segment *build_last(struct build *build)
{
    return &build->segments[build->segment_count - 1];
}

static inline void build_sync(struct build *build)
{
    build->durable = build->last;
    build->synced_end = build_last(build)->end;
}

static inline uint64_t build_next_stamp(const struct build *build)
{
    return build->raised > build->last ? build->raised : build->last + 1;
}

/* Appends a record around build->payload, and empties that. */
static inline void build_record(struct build *build, enum log_type type, uint32_t count,
                                uint16_t accounts, uint8_t flags)
{
    struct build_segment *segment = build_last(build);
    struct build_record *record = &build->records[build->record_count++];
    uint64_t len = log_record_len(build->payload.len);
    assert(build->record_count <= BUILD_RECORDS_MAX && len <= segment->header.len - segment->end);
    record->segment = build->segment_count - 1;
    record->offset = segment->end;
    record->len = len;
    record->header = (struct log_record_header){
        .first = build_next_stamp(build),
        .durable = build->durable,
        .count = count,
        .type = type,
        .flags = flags,
        .account_count = accounts,
    };
    uint8_t *out = segment->bytes + segment->end;
    memset(out, 0, len);
    log_record_header_encode(&record->header, buffer_bytes(&build->payload), build->chain,
                             segment->header.salt, out);
    if (build->payload.len > 0) {
        memcpy(out + LOG_RECORD_HEADER_LEN, build->payload.data, build->payload.len);
    }
    segment->end += len;
    build->chain = record->header.chain;
    if (count > 0) {
        build->last = log_record_last(&record->header);
    }
    buffer_clear(&build->payload);
}

static inline void build_account(struct build *build, uint64_t used)
{
    const struct log_account account = {.epoch = 3, .used = used, .records = used / 100};
    log_account_encode(&account, &build->payload);
}

static inline void build_checkpoint(struct build *build)
{
    build_account(build, 100);
    buffer_append(&build->payload, "state", 5);
    build_record(build, LOG_CHECKPOINT, 0, 1, 0);
}

static inline void build_marker(struct build *build, uint8_t flags)
{
    build_record(build, LOG_MARKER, 0, 0, flags);
}

/* One put of a value of so many bytes. */
static inline void build_put(struct build *build, size_t value_len)
{
    uint8_t value[4096];
    assert(value_len <= sizeof value);
    memset(value, 0xc4, value_len);
    const struct log_op op = {
        .kind = LOG_PUT,
        .point = build->last * UINT64_C(0x9e3779b97f4a7c15),
        .key = {"some key", 8},
        .value = {value, value_len},
    };
    build_account(build, 200);
    log_op_encode(&op, &build->payload);
    build_record(build, LOG_OPERATIONS, 1, 1, 0);
}

/*
 * Seals the segment before and begins the next, without a checkpoint. What the file held before it
 * was taken (`old_len` bytes, NULL: zeros) stays behind the header.
 */
static inline void build_segment(struct build *build, uint64_t len, const void *old, size_t old_len)
{
    static uint64_t salt;
    struct build_segment *segment = &build->segments[build->segment_count];
    assert(build->segment_count < BUILD_SEGMENTS_MAX && old_len <= len);
    if (build->segment_count > 0) {
        build_sync(build);
    }
    build->segment_count++;
    segment->bytes = calloc(1, len);
    assert(segment->bytes);
    if (old_len > 0) {
        memcpy(segment->bytes, old, old_len);
    }
    segment->header = (struct log_segment_header){
        .cluster = "a cluster's id",
        .server = "a server's id",
        .incarnation = 2,
        .number = 6 + build->segment_count,
        .first = build_next_stamp(build),
        .previous_last = build->last,
        .previous_chain = build->chain,
        .salt = salt += UINT64_C(0x9e3779b97f4a7c15),
        .len = len,
        .created_ms = UINT64_C(1757000000123),
    };
    log_segment_header_encode(&segment->header, segment->bytes);
    segment->end = LOG_SEGMENT_HEADER_LEN;
    build->synced_end = segment->end;
}

/* In its header. */
static inline void build_break(struct build *build, uint32_t index)
{
    const struct build_record *record = &build->records[index];
    build->segments[record->segment].bytes[record->offset + 9] ^= 1;
}

struct build_found {
    struct log_scan scan;
    uint32_t segment;   /* index of the one looked at last */
    uint32_t accepted;  /* records */
    uint32_t refuse_at; /* the visitor refuses the record with this index + 1; 0: none */
    char text[LOG_SCAN_TEXT_LEN];
};

static inline bool build_on_record(void *context, const struct log_record_header *header,
                                   struct bytes payload, uint64_t offset)
{
    struct build_found *found = context;
    (void)header;
    (void)payload;
    (void)offset;
    found->accepted++;
    return found->accepted != found->refuse_at;
}

/* Scans the first `count` segments; headers of damaged segments are those that were written. */
static inline enum log_verdict build_scan(const struct build *build, uint32_t count,
                                          uint64_t tree_durable, struct build_found *found)
{
    enum log_verdict verdict = LOG_SCAN_FINE;
    uint32_t refuse_at = found->refuse_at;
    *found = (struct build_found){.refuse_at = refuse_at};
    for (uint32_t i = 0; i < count && verdict == LOG_SCAN_FINE; i++) {
        const struct build_segment *segment = &build->segments[i];
        const struct log_segment_header *next = i + 1 < count ? &segment[1].header : NULL;
        found->segment = i;
        verdict = log_scan_segment(&found->scan, bytes_of(segment->bytes, segment->header.len),
                                   next, tree_durable, build_on_record, found, found->text);
    }
    return verdict;
}

#endif
