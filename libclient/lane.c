/* SPDX-License-Identifier: MIT */
#include "libclient/lane.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/random.h"

/* Between two looks at whether another call has given a number back. */
#define NUMBER_POLL_US UINT64_C(1000)

struct lane *lane_new(struct server *server)
{
    struct lane *lane = calloc(1, sizeof(*lane));
    if (lane) {
        lane->server = server;
    }
    return lane;
}

void lane_free(struct cluster *cluster, struct lane *lane)
{
    assert(!lane->queue.first);
    lane_release(cluster, lane);
    free(lane);
}

static uint64_t open_limit_us(uint32_t failures)
{
    uint64_t limit_us = LANE_OPEN_US;
    for (uint32_t i = 0; i < failures && limit_us < LANE_OPEN_MAX_US; i++) {
        limit_us *= 2;
    }
    return limit_us;
}

static enum lane_opened on_exhausted(const struct cluster *cluster, struct lane *lane,
                                     uint64_t now_us)
{
    if (lane->stall != LANE_NO_WIRE) {
        lane->stall = LANE_NO_WIRE;
        lane->stall_until_us = now_us + cluster->options.pool_wait_ms * UINT64_C(1000);
    }
    return now_us < lane->stall_until_us ? LANE_RESTS : LANE_GIVES_UP;
}

enum lane_opened lane_open(struct cluster *cluster, struct lane *lane, uint64_t now_us)
{
    if (lane->wire) {
        return LANE_OPEN;
    }
    if (now_us < lane->retry_us) {
        return LANE_RESTS;
    }
    uint8_t id[ID_LEN];
    route_cluster(cluster->route, id);
    enum pool_took took = pool_take(cluster->pool, lane->server, id, &lane->wire);
    switch (took) {
    case POOL_EXHAUSTED:
        return on_exhausted(cluster, lane, now_us);
    case POOL_NO_MEMORY:
        return LANE_NO_MEMORY;
    case POOL_TOOK_IDLE:
    case POOL_TOOK_NEW:
        break;
    }
    lane->stall = LANE_FLOWS;
    lane->is_wire_new = took == POOL_TOOK_NEW;
    lane->open_until_us = now_us + open_limit_us(lane->failures);
    return LANE_OPEN;
}

void lane_release(struct cluster *cluster, struct lane *lane)
{
    if (lane->wire) {
        pool_give(cluster->pool, lane->server, &lane->wire);
    }
}

void lane_lose(struct cluster *cluster, struct lane *lane, uint64_t now_us)
{
    (void)snprintf(lane->said, sizeof(lane->said), "%s", wire_reason(lane->wire));
    /* One that lay in the pool may have died long ago: a new one is tried at once. */
    if (lane->is_wire_new || lane->failures > 0) {
        lane->retry_us = now_us + random_below(verdict_backoff_us(lane->failures) + 1);
    }
    lane->failures++;
    lane_release(cluster, lane);
}

uint64_t lane_wake_us(const struct lane *lane, uint64_t now_us)
{
    if (lane->wire && wire_state(lane->wire) == WIRE_OPENING) {
        return lane->open_until_us;
    }
    if (!lane->queue.first) {
        return UINT64_MAX;
    }
    switch (lane->stall) {
    case LANE_NO_WIRE:
        return lane->stall_until_us;
    case LANE_NO_NUMBER:
        return now_us + NUMBER_POLL_US;
    case LANE_FLOWS:
        break;
    }
    return lane->wire ? UINT64_MAX : lane->retry_us;
}
