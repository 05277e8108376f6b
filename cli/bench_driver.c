/* SPDX-License-Identifier: MIT */
#include "cli/bench_driver.h"

#include <assert.h>

#include "proto/endian.h"

void bench_driver_fini(struct bench_driver *driver)
{
    for (unsigned i = 0; i < BENCH_FRAME_COUNT; i++) {
        buffer_fini(&driver->frames[i].bytes);
    }
}

void bench_key_print(uint64_t record, uint8_t key[BENCH_KEY_LEN])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = BENCH_KEY_LEN - 1; i >= 0; i--) {
        key[i] = (uint8_t)digits[record & 0xf];
        record >>= 4;
    }
}

/* One byte of MessagePack for numbers up to 127, three with two of payload from 256 on. */
static void put_slot(const struct bench_driver *driver, uint32_t slot, uint8_t *to)
{
    uint32_t number = driver->slot_first + slot;
    if (driver->slot_first == 0) {
        to[0] = (uint8_t)number;
    } else {
        to[1] = (uint8_t)(number >> 8);
        to[2] = (uint8_t)number;
    }
}

static void put_frame(const struct bench_driver *driver, const struct bench_frame *frame,
                      const struct bench_request *request, struct buffer *out)
{
    size_t len = frame->bytes.len;
    uint8_t *to = buffer_reserve(out, len);
    if (!to) {
        return;
    }
    size_t value_end = frame->value_at + frame->value_len;
    memcpy(to, frame->bytes.data, frame->value_at);
    if (frame->value_len > 0) {
        memcpy(to + frame->value_at, request->value, frame->value_len);
    }
    memcpy(to + value_end, frame->bytes.data + value_end, len - value_end);
    if (frame->point_at > 0) {
        endian_put_be64(to + frame->point_at, request->point);
    } else {
        memcpy(to + frame->key_at, request->key, BENCH_KEY_LEN);
    }
    if (frame->slot_at > 0) {
        put_slot(driver, request->slot, to + frame->slot_at);
    }
    out->len += len;
}

void bench_driver_encode(const struct bench_driver *driver, const struct bench_request *request,
                         struct buffer *out)
{
    if (request->method == BENCH_METHOD_SCAN) {
        assert(driver->can_scan);
        driver->body->encode_scan(driver, request, out);
    } else {
        put_frame(driver, &driver->frames[request->method], request, out);
    }
}
