/* SPDX-License-Identifier: MIT */

/*
 * Values from strangers' bytes. As MessagePack: what is valid prints, and parses to the same bytes.
 * As JSON: what parses, prints; and that parses to the same bytes and prints the same again.
 */

#include "proto/json.h"

#include <stdlib.h>

#include "proto/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* `object` is valid. */
static void check_identity(struct bytes object)
{
    struct buffer json = {0};
    struct buffer same = {0};
    struct buffer again = {0};
    struct json_error error;
    require(json_print(object, &json));
    require(utf8_is_valid(buffer_bytes(&json)));
    require(json_parse(buffer_bytes(&json), &same, &error));
    require(bytes_equal(buffer_bytes(&same), object));
    require(json_print(buffer_bytes(&same), &again));
    require(bytes_equal(buffer_bytes(&again), buffer_bytes(&json)));
    buffer_fini(&json);
    buffer_fini(&same);
    buffer_fini(&again);
}

static bool is_valid_object(struct bytes bytes)
{
    struct unpack in = unpack_of(bytes);
    (void)unpack_skip(&in);
    return unpack_is_done(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size);
    struct buffer out = {0};
    struct json_error error = {0};
    if (is_valid_object(input)) {
        check_identity(input);
    } else {
        require(!json_print(input, &out) && out.len == 0);
    }
    if (json_parse(input, &out, &error)) {
        require(is_valid_object(buffer_bytes(&out)));
        check_identity(buffer_bytes(&out));
    } else {
        require(error.text[0] != '\0' && out.len == 0);
    }
    buffer_fini(&out);
    return 0;
}
