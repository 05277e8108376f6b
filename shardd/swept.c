/* SPDX-License-Identifier: MIT */
#include "shardd/swept.h"

#include "proto/pack.h"
#include "proto/unpack.h"
#include "shardd/seal.h"

enum { SWEPT_FORMAT = 1 };

static const struct bytes swept_key = {"swept", 5};

uint64_t swept_applied(const struct swept *swept)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < SWEPT_UNIT_COUNT; i++) {
        least = swept->applied[i] < least ? swept->applied[i] : least;
    }
    return least;
}

bool swept_load(struct tree_txn *txn, struct swept *swept)
{
    struct bytes stored;
    struct bytes payload;
    *swept = (struct swept){0};
    if (!tree_get(txn, TREE_META, swept_key, &stored)) {
        return true;
    }
    if (seal_open(stored, swept_key, SWEPT_FORMAT, &payload) != SEAL_FINE) {
        return false;
    }
    struct unpack in = unpack_of(payload);
    uint32_t count = unpack_array(&in);
    swept->durable = unpack_uint(&in);
    for (int i = 0; i < SWEPT_UNIT_COUNT; i++) {
        swept->applied[i] = unpack_uint(&in);
    }
    return count >= 1 + SWEPT_UNIT_COUNT && unpack_is_fine(&in);
}

void swept_store(struct tree_txn *txn, const struct swept *swept)
{
    struct buffer stored = {0};
    seal_begin(&stored, SWEPT_FORMAT);
    pack_array(&stored, 1 + SWEPT_UNIT_COUNT);
    pack_uint(&stored, swept->durable);
    for (int i = 0; i < SWEPT_UNIT_COUNT; i++) {
        pack_uint(&stored, swept->applied[i]);
    }
    seal_end(&stored, swept_key);
    tree_put(txn, TREE_META, swept_key, buffer_bytes(&stored), bytes_of(NULL, 0));
    buffer_fini(&stored);
}
