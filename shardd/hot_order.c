/* SPDX-License-Identifier: MIT */
#include "shardd/hot_internal.h"

/* Insertion: nine at most. */
static void insert_own(struct order *order, const struct spill *item, uint32_t index)
{
    uint32_t at = order->own_count++;
    for (; at > 0 && entry_order(item, &order->own[at - 1]) < 0; at--) {
        order->own[at] = order->own[at - 1];
        order->own_index[at] = order->own_index[at - 1];
    }
    order->own[at] = *item;
    order->own_index[at] = index;
}

static void skip_unwanted(struct order *order)
{
    while (order->run_next < order->run_end &&
           (order->span.block->spill[order->run_next].ref & order->wanted) != order->wanted) {
        order->run_next++;
    }
}

/* Of the next bucket: whoever goes in order comes there next. */
static void prefetch_next(const struct span *span, uint64_t wanted)
{
    uint32_t count = slot_bucket_count(span->slot);
    if (span->bucket + 1 < span->block->buckets + count) {
        const struct bucket *next = span->bucket + 1;
        for (uint32_t i = 0; i < bucket_count(next); i++) {
            if ((bucket_ref(next, i) & wanted) == wanted) {
                entry_prefetch(bucket_ref(next, i));
            }
        }
    }
}

void order_begin(struct order *order, const struct hot *hot, uint64_t point, uint64_t wanted)
{
    order->span = hot_span(hot, point);
    order->own_count = 0;
    order->own_next = 0;
    order->run_next = 0;
    order->run_end = 0;
    order->wanted = wanted;
    if (!order->span.block) {
        return;
    }
    const struct bucket *bucket = order->span.bucket;
    prefetch_next(&order->span, wanted);
    for (uint32_t i = 0; i < bucket_count(bucket); i++) {
        struct spill item = {.ref = bucket_ref(bucket, i)};
        if ((item.ref & wanted) == wanted) {
            item.point = entry_point(hot, ref_entry(item.ref));
            insert_own(order, &item, i);
        }
    }
    block_run(&order->span, &order->run_next, &order->run_end);
    skip_unwanted(order);
}

static void take_own(struct order *order, struct spill *item, struct spot *spot)
{
    *item = order->own[order->own_next];
    *spot = (struct spot){.span = order->span, .index = order->own_index[order->own_next]};
    order->own_next++;
}

static void take_spilled(struct order *order, struct spill *item, struct spot *spot)
{
    *item = order->span.block->spill[order->run_next];
    *spot = (struct spot){.span = order->span, .is_spilled = true, .index = order->run_next};
    order->run_next++;
    skip_unwanted(order);
}

bool order_next(struct order *order, struct spill *item, struct spot *spot)
{
    bool has_own = order->own_next < order->own_count;
    if (order->run_next == order->run_end) {
        if (has_own) {
            take_own(order, item, spot);
        }
        return has_own;
    }
    const struct spill *spilled = &order->span.block->spill[order->run_next];
    if (has_own && entry_order(&order->own[order->own_next], spilled) < 0) {
        take_own(order, item, spot);
    } else {
        take_spilled(order, item, spot);
    }
    return true;
}
