/* SPDX-License-Identifier: MIT */
#include "tests/torture/picture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/memory.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "tests/torture/talk.h"

/* Where a scan goes on. */
struct place {
    uint64_t point;
    struct buffer key; /* empty: none */
    bool is_end;
};

static void skip(struct unpack *in, uint32_t count)
{
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        unpack_skip(in);
    }
}

static void take_record(struct unpack *in, struct picture *picture)
{
    uint32_t key = 0;
    uint32_t count = unpack_array(in);
    struct bytes name = unpack_text(in);
    struct unpack value = unpack_of(unpack_skip(in));
    if (!operation_parse_key(name, &key) || key >= picture->key_count) {
        picture->stranger_count++;
        key = 0;
        skip(in, count - 2);
        return;
    }
    struct seen *seen = &picture->keys[key];
    seen->is_strange = seen->is_there || !operation_read_value(key, &value, &seen->number);
    seen->is_there = true;
    seen->version = unpack_uint(in);
    seen->ttl_ms = unpack_int(in);
    skip(in, count - 4);
    if (seen->version > picture->version_max) {
        picture->version_max = seen->version;
    }
}

static bool take_page(struct unpack in, struct picture *picture, struct place *place)
{
    unpack_array(&in);
    uint32_t record_count = unpack_array(&in);
    for (uint32_t i = 0; i < record_count; i++) {
        take_record(&in, picture);
    }
    buffer_clear(&place->key);
    if (unpack_peek(&in) == UNPACK_NIL) {
        unpack_nil(&in);
        uint64_t end = unpack_uint(&in);
        place->is_end = end == BOUND_END;
        place->point = place->is_end ? 0 : point_of_bound(end);
    } else {
        unpack_array(&in);
        place->point = unpack_uint(&in);
        buffer_append_bytes(&place->key, unpack_text(&in));
        unpack_skip(&in);
    }
    return unpack_is_done(&in);
}

static void pack_scan(const struct place *place, struct buffer *params)
{
    buffer_clear(params);
    pack_array(params, 2);
    pack_uint(params, place->point);
    if (place->key.len > 0) {
        pack_bin(params, buffer_bytes(&place->key));
    } else {
        pack_nil(params);
    }
}

bool picture_take(struct talk *talk, uint32_t key_count, struct picture *picture, char *error,
                  size_t error_len)
{
    struct place place = {0};
    struct buffer params = {0};
    struct rpc_message message = {.code = STATUS_OK, .text = bytes_text("no answer")};
    bool is_fine = true;
    *picture = (struct picture){.key_count = key_count, .told_ms_min = clock_wall_ms()};
    picture->keys = memory_get(key_count, sizeof(*picture->keys));
    while (is_fine && !place.is_end) {
        pack_scan(&place, &params);
        is_fine = talk_call(talk, "scan", buffer_bytes(&params), &message) &&
                  message.code == STATUS_OK &&
                  take_page(unpack_of(message.result), picture, &place);
    }
    picture->told_ms_max = clock_wall_ms();
    if (!is_fine) {
        (void)snprintf(error, error_len, "scan: %s: %.*s", status_name(message.code),
                       (int)message.text.len, (const char *)message.text.data);
    }
    buffer_fini(&params);
    buffer_fini(&place.key);
    return is_fine;
}

void picture_fini(struct picture *picture)
{
    free(picture->keys);
    picture->keys = NULL;
}

/* Each expires at some moment of an interval, as long as it took to be told: there must be one that both have. */
static bool is_same_expiry(const struct picture *a, int64_t one_ms, const struct picture *b,
                           int64_t two_ms)
{
    int64_t slack_ms = CLOCK_SLACK_MS;
    return (int64_t)a->told_ms_min + one_ms <= (int64_t)b->told_ms_max + two_ms + slack_ms &&
           (int64_t)b->told_ms_min + two_ms <= (int64_t)a->told_ms_max + one_ms + slack_ms;
}

static bool is_same_record(const struct picture *a, const struct picture *b, uint32_t key)
{
    const struct seen *one = &a->keys[key];
    const struct seen *two = &b->keys[key];
    if (one->is_there != two->is_there || one->number != two->number ||
        one->version != two->version || (one->ttl_ms < 0) != (two->ttl_ms < 0)) {
        return false;
    }
    return one->ttl_ms < 0 || is_same_expiry(a, one->ttl_ms, b, two->ttl_ms);
}

static void print_key(const char *name, const struct picture *picture, uint32_t key)
{
    const struct seen *seen = &picture->keys[key];
    printf("# %s: key %" PRIu32 " is %sthere, number %" PRId64 ", version %" PRIu64
           ", expires %" PRId64 " ms after some moment from %" PRIu64 " to %" PRIu64 " ms\n",
           name, key, seen->is_there ? "" : "not ", (int64_t)seen->number, seen->version,
           seen->ttl_ms, picture->told_ms_min, picture->told_ms_max);
}

bool picture_is_same(const struct picture *a, const struct picture *b)
{
    for (uint32_t i = 0; i < a->key_count; i++) {
        if (!is_same_record(a, b, i)) {
            print_key("first", a, i);
            print_key("then", b, i);
            return false;
        }
    }
    return true;
}
