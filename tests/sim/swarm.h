/* SPDX-License-Identifier: MIT */
#ifndef SIM_SWARM_H
#define SIM_SWARM_H

/*
 * What a seed draws for itself. Some executions are stormy in one way, some in another, some are
 * calm: together they reach what an average of all storms at once would hide.
 */

#include <stdbool.h>
#include <stdint.h>

/* What a server answers for, and whether its machine may lose power then. */
enum swarm_level {
    SWARM_DISK,
    SWARM_OS_KILLED, /* nothing may be lost */
    SWARM_OS_POWER,  /* what was lost is not compared with histories: only all else must hold */
};

struct swarm {
    uint32_t client_count;   /* 1..8 */
    uint32_t key_count;      /* 4..200 */
    uint32_t fault_seconds;  /* how long the faults last */
    uint32_t think_ms;       /* between the operations of a client */
    uint32_t loss_ppm;       /* of a segment to end its connection */
    uint32_t silence_ppm;    /* of a segment to make its connection a black hole for a while */
    uint32_t job_crash_ppm;  /* of a job, to see a crash before, in or after it */
    uint32_t open_crash_ppm; /* of a start, likewise */
    uint32_t crash_mean_ms;  /* between other crashes; 0: none. So the next two */
    uint32_t partition_mean_ms;
    uint32_t clock_step_mean_ms;
    uint32_t io_error_ppm; /* of a disk operation to fail for good */
    uint32_t no_space_ppm; /* of a transaction to find no room */
    uint32_t latency_us;   /* of the network, one way */
    uint32_t io_us;        /* usual wait for the disk */
    uint32_t stall_ppm;    /* of a turn to come late by up to 400 ms */
    uint32_t split_ppm;    /* of a delivery to be cut in two */
    uint32_t shard_size;   /* bytes */
    uint32_t memory_kib;   /* of a server, as the next two */
    uint32_t segment_kib;
    uint32_t log_segments;
    enum swarm_level level;
    bool has_evicting;         /* shards, some of them, whose when_full is evict */
    uint32_t ttl_ms;           /* usual time to live of what has one; 0: nothing has */
    uint32_t value_len;        /* usual length of a value; 0: short ones, as a rule */
    uint32_t sector_len;       /* the unit that a disk writes whole */
    uint32_t full_mean_ms;     /* between times at which a server's disk is full; 0: never */
    uint32_t second_crash_ppm; /* of a server's start, to end right behind its recovery */
    uint32_t slice_count;      /* logical shards of which ids are asked for, 1..6 */
    uint32_t move_mean_ms;   /* between what is asked of moves; 0: nothing moves. So the next two */
    uint32_t move_crash_ppm; /* of a step of a move to see a crash of somebody soon */
    bool has_third_server;   /* added behind the founding */
    bool starts_with_servers; /* else bootstrapd comes first */
    bool has_slow_link;
};

/* Draws from the world's chance. */
void swarm_draw(struct swarm *swarm);

/* As lines that begin with "# ". */
void swarm_print(const struct swarm *swarm);

#endif
