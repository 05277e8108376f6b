/* SPDX-License-Identifier: MIT */

/* The stream of a move from a stranger: what is taken is within bounds, and encodes to the same bytes again. */

#include "proto/stream.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void encode(const struct stream_unit *unit, struct buffer *out)
{
    switch (unit->item) {
    case STREAM_RECORD:
        require(unit->tree_key.len <= TREE_KEY_LEN_MAX && unit->stored.len >= RECORD_HEADER_LEN);
        stream_record_encode(unit->tree_key, unit->stored, out);
        break;
    case STREAM_OPERATION:
        stream_operation_encode(unit->stamp, &unit->op, out);
        break;
    case STREAM_LINE:
        stream_line_encode(&unit->line, out);
        break;
    }
    require(!out->failed);
}

/* An operation may say by its flags that it has what is then zero: its second encoding is the shorter one. */
static void check_same(const struct stream_unit *unit, struct bytes item)
{
    struct buffer out = {0};
    struct buffer again = {0};
    struct stream_unit same;
    encode(unit, &out);
    struct bytes rest = buffer_bytes(&out);
    require(stream_next(&rest, &same) && rest.len == 0 && same.item == unit->item);
    encode(&same, &again);
    require(bytes_equal(buffer_bytes(&out), buffer_bytes(&again)));
    require(unit->item == STREAM_OPERATION ? out.len <= item.len
                                           : bytes_equal(buffer_bytes(&out), item));
    buffer_fini(&out);
    buffer_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_of(data, size);
    struct stream_unit unit;
    const uint8_t *item = data;
    while (stream_next(&rest, &unit)) {
        const uint8_t *end = data + (size - rest.len);
        check_same(&unit, bytes_of(item, (size_t)(end - item)));
        item = end;
    }
    return 0;
}
