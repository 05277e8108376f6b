/* SPDX-License-Identifier: MIT */
#include "proto/log_scan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "proto/endian.h"

enum { AT_FIRST = 8 }; /* of a record's header, see log.h */

/* One segment as it is walked. */
struct walk {
    struct log_scan *scan;
    struct bytes bytes;
    const struct log_segment_header *next;
    uint64_t tree_durable;
    char *text;
};

__attribute__((format(printf, 3, 4))) static enum log_verdict
damaged(const struct walk *walk, uint64_t offset, const char *format, ...)
{
    int len = snprintf(walk->text, LOG_SCAN_TEXT_LEN, "offset %" PRIu64 ": ", offset);
    va_list values;
    va_start(values, format);
    (void)vsnprintf(walk->text + len, LOG_SCAN_TEXT_LEN - (size_t)len, format, values);
    va_end(values);
    return LOG_SCAN_DAMAGED;
}

/* --- one record --- */

static bool is_zero(const uint8_t *bytes, size_t len)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < len; i++) {
        seen |= bytes[i];
    }
    return seen == 0;
}

bool log_scan_record_at(struct bytes segment, uint64_t offset, uint64_t salt,
                        struct log_record_header *header, struct bytes *payload)
{
    struct log_record_header found;
    if (offset > segment.len || segment.len - offset < LOG_RECORD_HEADER_LEN) {
        return false;
    }
    const uint8_t *in = (const uint8_t *)segment.data + offset;
    /* No stamp is 0: zeros need no checksum, and most of what is looked at is zeros. */
    if (endian_get_le64(in + AT_FIRST) == 0 || !log_record_header_decode(in, salt, &found) ||
        log_record_len(found.payload_len) > segment.len - offset) {
        return false;
    }
    uint64_t unpadded_len = (uint64_t)LOG_RECORD_HEADER_LEN + found.payload_len;
    struct bytes behind = bytes_of(in + LOG_RECORD_HEADER_LEN, found.payload_len);
    if (!log_payload_is_intact(&found, behind, salt) ||
        !is_zero(in + unpadded_len, log_record_len(found.payload_len) - unpadded_len)) {
        return false;
    }
    *header = found;
    *payload = behind;
    return true;
}

uint64_t log_scan_find(struct bytes segment, uint64_t offset, uint64_t salt,
                       struct log_record_header *header, struct bytes *payload)
{
    for (; offset < segment.len; offset += 8) {
        if (log_scan_record_at(segment, offset, salt, header, payload)) {
            return offset;
        }
    }
    return segment.len;
}

/* Whether such a record is ever written. */
static bool is_of_its_type(const struct log_record_header *header)
{
    if (header->first > UINT64_MAX - header->count) {
        return false;
    }
    switch (header->type) {
    case LOG_OPERATIONS:
        return header->count > 0 && header->flags == 0;
    case LOG_CHECKPOINT:
        return header->count == 0 && header->flags == 0;
    case LOG_MARKER:
        return header->count == 0 && header->payload_len == 0 && header->account_count == 0 &&
               (header->flags & ~LOG_IS_STOP) == 0;
    case LOG_CONTROL:
        return header->count == 1 && header->flags == 0;
    }
    return false;
}

/* --- one segment --- */

/* Why a record that is whole cannot stand at the end of what holds; NULL when it can. */
static const char *misfit(const struct walk *walk, const struct log_record_header *header)
{
    const struct log_scan *scan = walk->scan;
    const uint8_t *in = (const uint8_t *)walk->bytes.data + scan->end;
    if (!is_of_its_type(header)) {
        return "a record of no known form";
    }
    if (log_chain(in, scan->chain) != header->chain) {
        return "a record that does not follow the one before";
    }
    if (header->first <= scan->last || (header->count && header->first < scan->header.first)) {
        return "a record whose stamp is below what stands before it";
    }
    if (scan->end == LOG_SEGMENT_HEADER_LEN && header->type != LOG_CHECKPOINT) {
        return "the first record is no checkpoint";
    }
    return NULL;
}

static void take(struct log_scan *scan, const struct log_record_header *header)
{
    if (header->count > 0) {
        scan->last = log_record_last(header);
    }
    if (header->durable > scan->durable) {
        scan->durable = header->durable;
    }
    scan->chain = header->chain;
    scan->is_stopped = header->type == LOG_MARKER && (header->flags & LOG_IS_STOP);
    scan->end += log_record_len(header->payload_len);
}

static bool is_at_end(const struct walk *walk)
{
    return walk->next && walk->next->previous_chain == walk->scan->chain;
}

/* To the end that the next header tells, or to the first record that does not hold. */
static enum log_verdict walk_records(const struct walk *walk, log_visit *visit, void *context)
{
    struct log_scan *scan = walk->scan;
    struct log_record_header header;
    struct bytes payload;
    while (!is_at_end(walk) &&
           log_scan_record_at(walk->bytes, scan->end, scan->header.salt, &header, &payload)) {
        const char *reason = misfit(walk, &header);
        if (reason) {
            return damaged(walk, scan->end, "%s", reason);
        }
        if (visit && !visit(context, &header, payload, scan->end)) {
            return LOG_SCAN_DAMAGED;
        }
        take(scan, &header);
    }
    return LOG_SCAN_FINE;
}

static bool is_same_or_none(const uint8_t before[ID_LEN], const uint8_t id[ID_LEN])
{
    static const uint8_t none[ID_LEN];
    return memcmp(before, id, ID_LEN) == 0 || memcmp(before, none, ID_LEN) == 0;
}

/*
 * A server has no cluster before its first map; then it keeps it. Whose a log is log salvage cannot tell where no
 * header could be read.
 */
static bool is_same_owner(const struct log_segment_header *before,
                          const struct log_segment_header *header)
{
    return is_same_or_none(before->server, header->server) &&
           is_same_or_none(before->cluster, header->cluster);
}

/* The segment's header against what the one before left. */
static enum log_verdict begin(const struct walk *walk, const struct log_segment_header *header)
{
    struct log_scan *scan = walk->scan;
    bool is_oldest = scan->segment_count == 0;
    if (header->len != walk->bytes.len) {
        return damaged(walk, 0, "the file has %zu bytes, not %" PRIu64, walk->bytes.len,
                       header->len);
    }
    if (walk->next && walk->next->number != header->number + 1) {
        return damaged(walk, 0, "the segment behind it, %" PRIu64 ", is missing",
                       header->number + 1);
    }
    if (!is_oldest && header->number != scan->header.number + 1) {
        return damaged(walk, 0, "segment %" PRIu64 " is missing", scan->header.number + 1);
    }
    if (!is_oldest && !is_same_owner(&scan->header, header)) {
        return damaged(walk, 0, "of another server");
    }
    if (!is_oldest &&
        (header->previous_last != scan->last || header->previous_chain != scan->chain)) {
        return damaged(walk, 0, "it does not begin where the segment before ends");
    }
    scan->segment_count++;
    scan->header = *header;
    scan->chain = header->previous_chain;
    scan->last = header->previous_last;
    if (header->previous_last > scan->durable) {
        scan->durable = header->previous_last;
    }
    scan->is_stopped = false;
    scan->end = LOG_SEGMENT_HEADER_LEN;
    return LOG_SCAN_FINE;
}

static enum log_verdict check_header(const struct walk *walk)
{
    struct log_segment_header header;
    if (walk->bytes.len < LOG_SEGMENT_HEADER_LEN) {
        return damaged(walk, 0, "the file has %zu bytes, too few for a segment", walk->bytes.len);
    }
    switch (log_segment_header_decode(walk->bytes.data, &header)) {
    case LOG_FINE:
        return begin(walk, &header);
    case LOG_NOT_A_SEGMENT:
        return damaged(walk, 0, "not a segment of a log");
    case LOG_NEWER_FORMAT:
        return damaged(walk, 0, "written by a newer version of shardd");
    case LOG_DAMAGED:
        break;
    }
    return damaged(walk, 0, "the segment's header is damaged");
}

/* Of a segment that is not the last. */
static enum log_verdict finish_sealed(const struct walk *walk)
{
    struct log_scan *scan = walk->scan;
    if (!is_at_end(walk)) {
        return damaged(walk, scan->end, "no whole record, and the segment does not end here");
    }
    if (walk->next->previous_last != scan->last) {
        return damaged(walk, scan->end,
                       "ends with stamp %" PRIu64 ", and the next segment follows %" PRIu64,
                       scan->last, walk->next->previous_last);
    }
    scan->proven_end = scan->end;
    scan->proven_last = scan->last;
    scan->proven_chain = scan->chain;
    return LOG_SCAN_FINE;
}

/* --- the end of the last segment --- */

/*
 * Where a new segment may end this one. Records without a stamp are proven by one with a stamp behind
 * them only: what is below `durable` was given before, but perhaps not they.
 */
static void find_proven(const struct walk *walk)
{
    struct log_scan *scan = walk->scan;
    uint64_t offset = LOG_SEGMENT_HEADER_LEN;
    scan->proven_end = offset;
    scan->proven_last = scan->header.previous_last;
    scan->proven_chain = scan->header.previous_chain;
    while (offset < scan->end) {
        const uint8_t *in = (const uint8_t *)walk->bytes.data + offset;
        struct log_record_header header = {0};
        (void)log_record_header_decode(in, scan->header.salt, &header);
        offset += log_record_len(header.payload_len);
        if (header.count > 0 && log_record_last(&header) <= scan->durable) {
            scan->proven_end = offset;
            scan->proven_last = log_record_last(&header);
            scan->proven_chain = header.chain;
        }
    }
}

/*
 * Whether a record behind the first that does not hold says that this one was durable. A marker says it
 * of all before it, records without a stamp included; any other of stamps.
 */
static bool vouches(const struct log_record_header *header, uint64_t lowest)
{
    return header->first >= lowest && (header->durable >= lowest || header->type == LOG_MARKER);
}

/* Looks on behind what holds; `is_any` tells whether any record of this segment stands there. */
static enum log_verdict look_behind(const struct walk *walk, bool *is_any)
{
    const struct log_scan *scan = walk->scan;
    struct log_record_header header;
    struct bytes payload;
    uint64_t salt = scan->header.salt;
    uint64_t offset = log_scan_find(walk->bytes, scan->end, salt, &header, &payload);
    *is_any = offset < walk->bytes.len;
    while (offset < walk->bytes.len) {
        if (vouches(&header, scan->last + 1)) {
            return damaged(walk, scan->end,
                           "no whole record, but the one at offset %" PRIu64 " (stamp %" PRIu64
                           ") was written when it was durable",
                           offset, header.first);
        }
        offset += log_record_len(header.payload_len);
        offset = log_scan_find(walk->bytes, offset, salt, &header, &payload);
    }
    return LOG_SCAN_FINE;
}

/* What was never begun is zeros, unless the file was used before. */
static bool has_torn_header(const struct walk *walk)
{
    const struct log_scan *scan = walk->scan;
    uint64_t left = walk->bytes.len - scan->end;
    const uint8_t *in = (const uint8_t *)walk->bytes.data + scan->end;
    return !scan->is_stopped &&
           !is_zero(in, left < LOG_RECORD_HEADER_LEN ? left : LOG_RECORD_HEADER_LEN);
}

static enum log_verdict finish_last(const struct walk *walk)
{
    struct log_scan *scan = walk->scan;
    bool is_any = false;
    find_proven(walk);
    if (walk->tree_durable > scan->last) {
        return damaged(walk, scan->end,
                       "the log ends after stamp %" PRIu64
                       ", but the tree was written when %" PRIu64 " was durable",
                       scan->last, walk->tree_durable);
    }
    /* It was synced before the segment had its name (RULES L2); and so were copies up to its durable stamp (L4). */
    if (scan->end == LOG_SEGMENT_HEADER_LEN) {
        return damaged(walk, scan->end, "no whole checkpoint");
    }
    if (scan->durable > scan->last) {
        return damaged(walk, scan->end,
                       "no whole record, but all up to stamp %" PRIu64
                       " was durable when the segment got its name",
                       scan->durable);
    }
    enum log_verdict verdict = look_behind(walk, &is_any);
    if (verdict != LOG_SCAN_FINE) {
        return verdict;
    }
    if (!is_any && !has_torn_header(walk)) {
        return LOG_SCAN_FINE;
    }
    scan->is_stopped = false;
    return LOG_SCAN_TORN;
}

/* NOLINTNEXTLINE(readability-function-size): what is looked at, what is told, and where to say why */
enum log_verdict log_scan_segment(struct log_scan *scan, struct bytes bytes,
                                  const struct log_segment_header *next, uint64_t tree_durable,
                                  log_visit *visit, void *context, char text[LOG_SCAN_TEXT_LEN])
{
    struct walk walk = {scan, bytes, next, tree_durable, text};
    text[0] = '\0';
    enum log_verdict verdict = check_header(&walk);
    if (verdict == LOG_SCAN_FINE) {
        verdict = walk_records(&walk, visit, context);
    }
    if (verdict != LOG_SCAN_FINE) {
        return verdict;
    }
    return next ? finish_sealed(&walk) : finish_last(&walk);
}
