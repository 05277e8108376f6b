/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_response(struct bytes frame)
{
    struct rpc_message message;
    if (rpc_decode(frame, &message) != UNPACK_FINE || message.type != RPC_RESPONSE) {
        return;
    }
    walk(message.result);
    assert(message.method.len == 0 && message.params.len == 0);
    if (message.code == STATUS_OK) {
        assert(message.text.len == 0 && message.detail.len == 0);
    } else {
        assert(message.detail.len > 0);
        walk(message.detail);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for_each_frame(data, size, check_response);
    return 0;
}
