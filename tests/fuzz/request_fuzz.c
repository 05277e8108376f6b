/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(struct bytes frame)
{
    struct rpc_message message;
    if (rpc_decode(frame, &message) != UNPACK_FINE || message.type == RPC_RESPONSE) {
        return;
    }
    assert(message.type == RPC_REQUEST || message.msgid == 0);
    assert(message.method.len < frame.len);

    struct unpack in = unpack_of(message.params);
    assert(unpack_peek(&in) == UNPACK_ARRAY);
    walk(message.params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for_each_frame(data, size, check_request);
    return 0;
}
