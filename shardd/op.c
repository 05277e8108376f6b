/* SPDX-License-Identifier: MIT */
#include "shardd/op.h"

#include <stdlib.h>

#include "io/memory.h"

static struct bytes move_behind(uint8_t **end, struct bytes bytes)
{
    struct bytes copy = bytes_of(*end, bytes.len);
    if (bytes.len > 0) {
        memcpy(*end, bytes.data, bytes.len);
        *end += bytes.len;
    }
    return copy;
}

struct op *op_new(const struct op *op)
{
    struct op *copy = memory_get(1, op_len(op));
    uint8_t *end = (uint8_t *)(copy + 1);
    *copy = *op;
    copy->next = NULL;
    copy->key = move_behind(&end, op->key);
    copy->value = move_behind(&end, op->value);
    copy->prefix = move_behind(&end, op->prefix);
    return copy;
}

void op_free(struct op *op)
{
    free(op);
}

size_t op_len(const struct op *op)
{
    return sizeof(*op) + op->key.len + op->value.len + op->prefix.len;
}

void outcome_refuse(struct outcome *outcome, enum status status, enum op_reason reason)
{
    outcome->status = status;
    outcome->reason = reason;
}

static const char *const reason_texts[] = {
#define X(name, number, text) [number] = (text),
    OP_REASON_TABLE(X)
#undef X
};

enum { REASON_COUNT = sizeof(reason_texts) / sizeof(reason_texts[0]) };

const char *outcome_text(const struct outcome *outcome)
{
    enum op_reason reason = outcome->reason;
    bool is_known = reason != OP_REASON_NONE && (uint32_t)reason < REASON_COUNT;
    return is_known ? reason_texts[reason] : status_text(outcome->status);
}
