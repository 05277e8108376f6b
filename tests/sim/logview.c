/* SPDX-License-Identifier: MIT */
#include "tests/sim/logview.h"

#include "proto/hash.h"
#include "proto/log_scan.h"
#include "tests/sim/disk.h"

#include <stdlib.h>

#define PREFIX "log-"

enum { SEGMENTS_MAX = DISK_NAMES_MAX };

struct segments {
    struct bytes contents[SEGMENTS_MAX];
    struct log_segment_header headers[SEGMENTS_MAX];
    uint32_t count;
};

static void add(struct segments *segments, struct bytes contents)
{
    struct log_segment_header header;
    if (contents.len < LOG_SEGMENT_HEADER_LEN ||
        log_segment_header_decode(contents.data, &header) != LOG_FINE) {
        return;
    }
    uint32_t i = segments->count++;
    for (; i > 0 && segments->headers[i - 1].number > header.number; i--) {
        segments->headers[i] = segments->headers[i - 1];
        segments->contents[i] = segments->contents[i - 1];
    }
    segments->headers[i] = header;
    segments->contents[i] = contents;
}

static void find(const struct disk *disk, struct segments *segments)
{
    segments->count = 0;
    for (int i = 0; i < DISK_NAMES_MAX; i++) {
        const char *name = disk_name_at(disk, i);
        if (name && strncmp(name, PREFIX, strlen(PREFIX)) == 0) {
            add(segments, disk_contents(disk, disk_find(disk, name)));
        }
    }
}

static void fold(struct logview *view, uint64_t word)
{
    view->digest = (view->digest ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    view->digest ^= view->digest >> 29;
}

static void look_at_control(struct logview *view, struct bytes blob)
{
    switch (blob.len ? *(const uint8_t *)blob.data : 0) {
    case LOG_STATE:
        view->state_count++;
        break;
    case LOG_CLEAR:
        view->clear_count++;
        fold(view, hash_bytes(blob));
        break;
    default:
        break;
    }
}

static void look_at_ops(struct logview *view, struct bytes ops)
{
    struct log_op op;
    fold(view, hash_bytes(ops));
    while (log_op_next(&ops, &op)) {
        view->eviction_count += op.kind == LOG_EVICT;
        view->expiration_count += op.kind == LOG_EXPIRE;
        view->touch_count += op.kind == LOG_TOUCH;
    }
}

static bool visit(void *context, const struct log_record_header *header, struct bytes payload,
                  uint64_t offset)
{
    struct logview *view = context;
    struct bytes accounts;
    struct bytes rest;
    (void)offset;
    if (header->count == 0 || !log_payload_split(header, payload, &accounts, &rest)) {
        return true;
    }
    fold(view, header->first);
    if (header->type == LOG_CONTROL) {
        look_at_control(view, rest);
    } else {
        look_at_ops(view, rest);
    }
    return true;
}

void logview_look(const struct disk *disk, struct logview *view)
{
    struct segments segments;
    struct log_scan scan = {0};
    char text[LOG_SCAN_TEXT_LEN];
    enum log_verdict verdict = LOG_SCAN_FINE;
    find(disk, &segments);
    *view = (struct logview){.is_there = segments.count > 0};
    for (uint32_t i = 0; i < segments.count && verdict == LOG_SCAN_FINE; i++) {
        const struct log_segment_header *next =
            i + 1 < segments.count ? &segments.headers[i + 1] : NULL;
        verdict = log_scan_segment(&scan, segments.contents[i], next, 0, visit, view, text);
    }
    view->is_torn = verdict == LOG_SCAN_TORN;
    view->is_stopped = scan.is_stopped;
    view->last = scan.last;
}
