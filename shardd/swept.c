/* SPDX-License-Identifier: MIT */
#include "shardd/swept.h"

#include "io/memory.h"
#include "proto/pack.h"
#include "proto/unpack.h"
#include "shardd/seal.h"

enum { SWEPT_FORMAT = 1, STATE_FORMAT = 1, STATE_FIELDS = 2 };

static const struct bytes swept_key = {"swept", 5};
static const struct bytes state_key = {"state", 5};

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
    if (count > 1 + SWEPT_UNIT_COUNT) {
        swept->reserved_ms = unpack_uint(&in);
    }
    return count >= 1 + SWEPT_UNIT_COUNT && unpack_is_fine(&in);
}

void swept_store(struct tree_txn *txn, const struct swept *swept)
{
    struct buffer stored = {0};
    seal_begin(&stored, SWEPT_FORMAT);
    pack_array(&stored, 2 + SWEPT_UNIT_COUNT);
    pack_uint(&stored, swept->durable);
    for (int i = 0; i < SWEPT_UNIT_COUNT; i++) {
        pack_uint(&stored, swept->applied[i]);
    }
    pack_uint(&stored, swept->reserved_ms);
    seal_end(&stored, swept_key);
    tree_put(txn, TREE_META, swept_key, buffer_bytes(&stored), bytes_of(NULL, 0));
    buffer_fini(&stored);
}

bool swept_load_state(struct tree_txn *txn, uint64_t *stamp, struct buffer *control)
{
    struct bytes stored;
    struct bytes payload;
    if (!tree_get(txn, TREE_META, state_key, &stored) ||
        seal_open(stored, state_key, STATE_FORMAT, &payload) != SEAL_FINE) {
        return false;
    }
    struct unpack in = unpack_of(payload);
    uint32_t count = unpack_array(&in);
    uint64_t found = unpack_uint(&in);
    struct bytes state = unpack_text(&in);
    if (count < STATE_FIELDS || !unpack_is_fine(&in)) {
        return false;
    }
    buffer_clear(control);
    buffer_append_bytes(control, state);
    memory_must(!control->failed);
    *stamp = found;
    return true;
}

void swept_store_state(struct tree_txn *txn, uint64_t stamp, struct bytes control)
{
    struct buffer stored = {0};
    seal_begin(&stored, STATE_FORMAT);
    pack_array(&stored, STATE_FIELDS);
    pack_uint(&stored, stamp);
    pack_bin(&stored, control);
    seal_end(&stored, state_key);
    tree_put(txn, TREE_META, state_key, buffer_bytes(&stored), bytes_of(NULL, 0));
    buffer_fini(&stored);
}
