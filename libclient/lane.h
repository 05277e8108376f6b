/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_LANE_H
#define LIBCLIENT_LANE_H

/*
 * What one exchange does with one server: tasks that wait for it, and a connection while there
 * are any. A connection that fails rests the lane, not each task: however many wait, a server that
 * is down is tried once per pause.
 */

#include "libclient/cluster.h"
#include "libclient/task.h"

/* For connecting and hello; doubles with each failure in a row, so that far servers are reached. */
#define LANE_OPEN_US     UINT64_C(500000)
#define LANE_OPEN_MAX_US UINT64_C(8000000)

enum lane_stall {
    LANE_FLOWS,
    LANE_NO_WIRE,   /* all connections of the pool are in use */
    LANE_NO_NUMBER, /* too many operations of other calls are open (RULES Q2) */
};

struct lane {
    struct server *server;
    struct wire *wire;      /* NULL: none needed, or none to be had */
    struct task_list queue; /* TASK_QUEUED */
    struct lane *next;
    enum lane_stall stall;
    bool is_wire_new;
    uint32_t failures;       /* connections since the last reply */
    uint64_t retry_us;       /* rests until then */
    uint64_t open_until_us;  /* while the wire is opening */
    uint64_t stall_until_us; /* LANE_NO_WIRE: then the calls give up */
    char said[256];          /* the connection's trouble since the last reply */
};

/* NULL: no memory. */
struct lane *lane_new(struct server *server);

/* Gives the wire back. The queue is empty. */
void lane_free(struct cluster *cluster, struct lane *lane);

enum lane_opened {
    LANE_OPEN,     /* has a wire, which may still be opening */
    LANE_RESTS,    /* not now: lane_wake_us */
    LANE_GIVES_UP, /* no wire within pool_wait_ms */
    LANE_NO_MEMORY,
};

enum lane_opened lane_open(struct cluster *cluster, struct lane *lane, uint64_t now_us);

/* The wire is back in the pool, or closed if it is not idle. */
void lane_release(struct cluster *cluster, struct lane *lane);

/* As that, of a wire that has closed, and rests. */
void lane_lose(struct cluster *cluster, struct lane *lane, uint64_t now_us);

/* When there may be something to do that no socket tells of. UINT64_MAX: never. */
uint64_t lane_wake_us(const struct lane *lane, uint64_t now_us);

#endif
