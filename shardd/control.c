/* SPDX-License-Identifier: MIT */
#include "shardd/control.h"

#include <stdio.h>

#include "io/memory.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/unpack.h"
#include "shardd/seal.h"

enum { CONTROL_FORMAT = 1, CONTROL_FIELDS = 9, CONTROL_FIELDS_MIN = 7, MOVING_FIELDS = 8 };

/* It is stored under one fixed key. */
static const struct bytes control_key = {"control", 7};

static void pack_id(struct buffer *out, const uint8_t id[ID_LEN])
{
    pack_bin(out, bytes_of(id, ID_LEN));
}

static void pack_movings(const struct movings *movings, struct buffer *out)
{
    pack_array(out, movings->count);
    for (uint32_t i = 0; i < movings->count; i++) {
        const struct moving *moving = &movings->items[i];
        pack_array(out, MOVING_FIELDS);
        pack_uint(out, moving->id);
        pack_uint(out, moving->start);
        pack_uint(out, moving->end);
        pack_uint(out, (uint64_t)moving->state);
        pack_uint(out, moving->sum.records);
        pack_uint(out, moving->sum.bytes);
        pack_uint(out, moving->sum.low);
        pack_uint(out, moving->sum.high);
    }
}

void control_encode(const struct ownership *ownership, struct buffer *out)
{
    seal_begin(out, CONTROL_FORMAT);
    pack_array(out, CONTROL_FIELDS);
    pack_id(out, ownership->server);
    pack_id(out, ownership->cluster);
    pack_uint(out, ownership->incarnation);
    pack_id(out, ownership->instance);
    pack_uint(out, ownership->term);
    if (ownership->map.revision == 0) {
        pack_nil(out);
    } else {
        map_pack(&ownership->map, out);
    }
    pack_array(out, 2 * ownership->range_count);
    for (uint32_t i = 0; i < ownership->range_count; i++) {
        pack_uint(out, ownership->ranges[i].start);
        pack_uint(out, ownership->ranges[i].end);
    }
    pack_array(out, ownership->start_count);
    for (uint32_t i = 0; i < ownership->start_count; i++) {
        pack_uint(out, ownership->starts[i]);
    }
    pack_movings(&ownership->movings, out);
    seal_end(out, control_key);
}

static void unpack_map_or_nil(struct unpack *in, struct map *map, struct map_error *error)
{
    if (unpack_peek(in) == UNPACK_NIL) {
        unpack_nil(in);
    } else if (!map_unpack(in, map, error)) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
}

/* Each must lie within an entry of the map, which has its limit. */
static void unpack_ranges(struct unpack *in, struct ownership *ownership)
{
    uint32_t count = unpack_array(in) / 2;
    uint64_t behind = 0;
    ownership->ranges = memory_get(count + 1, sizeof(*ownership->ranges));
    for (uint32_t i = 0; i < count; i++) {
        struct range *range = &ownership->ranges[i];
        range->start = unpack_uint_max(in, BOUND_END - 1);
        range->end = unpack_uint_max(in, BOUND_END);
        const struct map_entry *entry = map_find(&ownership->map, point_of_bound(range->start));
        if (!entry || range->start < behind || range->end <= range->start ||
            range->end > entry->end) {
            unpack_fail(in, UNPACK_WRONG_TYPE);
            return;
        }
        range->limit = entry->size;
        range->when_full = entry->when_full;
        range->epoch = entry->epoch;
        behind = range->end;
        ownership->range_count++;
    }
}

static void unpack_starts(struct unpack *in, struct ownership *ownership)
{
    uint32_t count = unpack_array(in);
    if (count > STARTS_MAX) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        ownership->starts[i] = unpack_uint(in);
    }
    ownership->start_count = count;
}

static void unpack_moving(struct unpack *in, struct moving *moving)
{
    if (unpack_array(in) != MOVING_FIELDS) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return;
    }
    moving->id = unpack_uint(in);
    moving->start = unpack_uint_max(in, BOUND_END - 1);
    moving->end = unpack_uint_max(in, BOUND_END);
    moving->state = (enum moving_state)unpack_uint_max(in, MOVING_READY);
    moving->sum.records = unpack_uint(in);
    moving->sum.bytes = unpack_uint(in);
    moving->sum.low = unpack_uint(in);
    moving->sum.high = unpack_uint(in);
    if (moving->state == 0 || moving->end <= moving->start) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
}

static void unpack_movings(struct unpack *in, struct movings *movings)
{
    uint32_t count = unpack_array(in);
    if (count > MOVING_MAX) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        struct moving moving = {0};
        unpack_moving(in, &moving);
        movings_add(movings, &moving);
    }
}

static bool unpack_control(struct bytes payload, struct ownership *ownership, char *error,
                           size_t error_len)
{
    struct map_error map_error = {"malformed"};
    struct unpack in = unpack_of(payload);
    uint32_t field_count = unpack_array(&in);
    unpack_id(&in, ownership->server);
    unpack_id(&in, ownership->cluster);
    ownership->incarnation = unpack_uint(&in);
    unpack_id(&in, ownership->instance);
    ownership->term = unpack_uint(&in);
    unpack_map_or_nil(&in, &ownership->map, &map_error);
    unpack_ranges(&in, ownership);
    if (field_count > CONTROL_FIELDS_MIN) {
        unpack_starts(&in, ownership);
    }
    if (field_count > CONTROL_FIELDS_MIN + 1) {
        unpack_movings(&in, &ownership->movings);
    }
    if (field_count < CONTROL_FIELDS_MIN || !unpack_is_fine(&in)) {
        (void)snprintf(error, error_len, "control state: %s", map_error.text);
        return false;
    }
    return true;
}

bool control_decode(struct bytes stored, struct ownership *ownership, char *error, size_t error_len)
{
    struct bytes payload;
    struct ownership decoded = {0};
    switch (seal_open(stored, control_key, CONTROL_FORMAT, &payload)) {
    case SEAL_DAMAGED:
        (void)snprintf(error, error_len, "control state: damaged");
        return false;
    case SEAL_NEWER_FORMAT:
        (void)snprintf(error, error_len, "control state: written by a newer version of shardd");
        return false;
    case SEAL_FINE:
        break;
    }
    if (!unpack_control(payload, &decoded, error, error_len)) {
        ownership_fini(&decoded);
        return false;
    }
    *ownership = decoded;
    return true;
}
