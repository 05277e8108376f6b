/* SPDX-License-Identifier: MIT */
#include "proto/move.h"

#include <stdlib.h>

#include "proto/pack.h"

#define REPORTS_FIELDS    2
#define REPORT_FIELDS     9
#define REPORT_FIELDS_MIN 2
#define PACE_FIELDS       3

/* --- texts --- */

const char *move_state_text(enum move_state state)
{
    switch (state) {
    case MOVE_SOURCE_COPYING:
        return "copying";
    case MOVE_SOURCE_FROZEN:
        return "frozen";
    case MOVE_SOURCE_CLOSED:
        return "closed";
    case MOVE_SOURCE_DELETING:
    case MOVE_TARGET_DELETING:
        return "deleting";
    case MOVE_SOURCE_LOST:
    case MOVE_TARGET_LOST:
        return "lost";
    case MOVE_TARGET_IMPORTING:
        return "importing";
    case MOVE_TARGET_READY:
        return "ready";
    case MOVE_TARGET_OPEN:
        return "open";
    }
    return "unknown";
}

bool move_state_is_known(uint64_t state)
{
    return (state >= MOVE_SOURCE_COPYING && state <= MOVE_SOURCE_LOST) ||
           (state >= MOVE_TARGET_IMPORTING && state <= MOVE_TARGET_DELETING);
}

bool move_state_is_source(enum move_state state)
{
    return state <= MOVE_SOURCE_LOST;
}

const char *move_phase_text(enum move_phase phase)
{
    switch (phase) {
    case MOVE_COPY:
        return "copy";
    case MOVE_COMMITTED:
        return "committed";
    case MOVE_ABORTED:
        return "aborted";
    case MOVE_UNDO:
        return "undo";
    case MOVE_OPENED:
        return "opened";
    case MOVE_NONE:
        break;
    }
    return "none";
}

/* --- reports --- */

void move_reports_fini(struct move_reports *reports)
{
    free(reports->items);
    *reports = (struct move_reports){0};
}

static void pack_report(const struct move_report *report, struct buffer *out)
{
    pack_array(out, REPORT_FIELDS);
    pack_uint(out, report->id);
    pack_uint(out, (uint64_t)report->state);
    pack_uint(out, report->records);
    pack_uint(out, report->bytes);
    pack_uint(out, report->records_left);
    pack_uint(out, report->bytes_per_s);
    pack_uint(out, report->waiting_bytes);
    pack_array(out, MOVE_HOLD_COUNT);
    for (uint32_t i = 0; i < MOVE_HOLD_COUNT; i++) {
        pack_uint(out, report->hold_us[i]);
    }
    pack_text(out, report->text);
}

void move_reports_pack(const struct move_reports *reports, struct buffer *out)
{
    pack_array(out, REPORTS_FIELDS);
    pack_uint(out, reports->revision);
    pack_array(out, reports->count);
    for (uint32_t i = 0; i < reports->count; i++) {
        pack_report(&reports->items[i], out);
    }
}

static void skip_fields(struct unpack *in, uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < count && unpack_is_fine(in); i++) {
        unpack_skip(in);
    }
}

static void unpack_hold(struct unpack *in, struct move_report *report)
{
    uint32_t count = unpack_array(in);
    for (uint32_t i = 0; i < count && i < MOVE_HOLD_COUNT; i++) {
        report->hold_us[i] = unpack_uint(in);
    }
    skip_fields(in, MOVE_HOLD_COUNT, count);
}

static void unpack_report_text(struct unpack *in, struct move_report *report)
{
    struct bytes text = unpack_text(in);
    if (text.len >= sizeof(report->text) || (text.len && memchr(text.data, '\0', text.len))) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    } else if (text.len) {
        memcpy(report->text, text.data, text.len);
    }
}

/* Either [id, state] or all. False: a state of a later version. */
static bool unpack_report(struct unpack *in, struct move_report *report)
{
    *report = (struct move_report){0};
    uint32_t count = unpack_array(in);
    if (count < REPORT_FIELDS_MIN) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return false;
    }
    report->id = unpack_uint(in);
    uint64_t state = unpack_uint(in);
    if (count < REPORT_FIELDS) {
        skip_fields(in, REPORT_FIELDS_MIN, count);
    } else {
        report->records = unpack_uint(in);
        report->bytes = unpack_uint(in);
        report->records_left = unpack_uint(in);
        report->bytes_per_s = unpack_uint(in);
        report->waiting_bytes = unpack_uint(in);
        unpack_hold(in, report);
        unpack_report_text(in, report);
        skip_fields(in, REPORT_FIELDS, count);
    }
    if (!move_state_is_known(state)) {
        return false;
    }
    report->state = (enum move_state)state;
    return true;
}

static void unpack_items(struct unpack *in, struct move_reports *reports)
{
    uint32_t count = unpack_array(in);
    if (count == 0) {
        return;
    }
    if (count <= MOVE_REPORTS_MAX) {
        reports->items = calloc(count, sizeof(*reports->items));
    }
    if (!reports->items) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return;
    }
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        reports->count += unpack_report(in, &reports->items[reports->count]);
    }
}

bool move_reports_unpack(struct unpack *in, struct move_reports *reports)
{
    struct move_reports unpacked = {0};
    uint32_t count = unpack_array(in);
    if (count < REPORTS_FIELDS) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    unpacked.revision = unpack_uint(in);
    unpack_items(in, &unpacked);
    skip_fields(in, REPORTS_FIELDS, count);
    if (!unpack_is_fine(in)) {
        move_reports_fini(&unpacked);
        return false;
    }
    *reports = unpacked;
    return true;
}

const struct move_report *move_reports_find(const struct move_reports *reports, uint64_t id)
{
    for (uint32_t i = 0; i < reports->count; i++) {
        if (reports->items[i].id == id) {
            return &reports->items[i];
        }
    }
    return NULL;
}

static void raise(uint64_t *number, uint64_t other)
{
    *number = *number < other ? other : *number;
}

void move_report_raise(struct move_report *report, const struct move_report *other)
{
    raise(&report->records, other->records);
    raise(&report->bytes, other->bytes);
    for (uint32_t i = 0; i < MOVE_HOLD_COUNT; i++) {
        raise(&report->hold_us[i], other->hold_us[i]);
    }
}

static void take_out(uint64_t *whole, uint64_t part)
{
    *whole -= part < *whole ? part : *whole;
}

void move_hold_settle(uint64_t hold_us[MOVE_HOLD_COUNT])
{
    take_out(&hold_us[MOVE_HOLD_DRAIN], hold_us[MOVE_HOLD_SYNC]);
    take_out(&hold_us[MOVE_HOLD_OPEN], hold_us[MOVE_HOLD_COMMIT]);
}

/* --- pace --- */

void move_pace_pack(const struct move_pace *pace, struct buffer *out)
{
    pack_array(out, PACE_FIELDS);
    pack_uint(out, pace->id);
    pack_uint(out, pace->bytes_per_s);
    pack_bool(out, pace->is_paused);
}

bool move_pace_unpack(struct unpack *in, struct move_pace *pace)
{
    struct move_pace unpacked = {0};
    uint32_t count = unpack_array(in);
    if (count < PACE_FIELDS) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    unpacked.id = unpack_uint(in);
    unpacked.bytes_per_s = unpack_uint(in);
    unpacked.is_paused = unpack_bool(in);
    skip_fields(in, PACE_FIELDS, count);
    if (!unpack_is_fine(in)) {
        return false;
    }
    *pace = unpacked;
    return true;
}
