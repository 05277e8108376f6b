/* SPDX-License-Identifier: MIT */
#include "tests/sim/swarm.h"

#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>

/* One of `count` values; the seeds are spread over all of them. */
static uint32_t one_of(const uint32_t *values, size_t count)
{
    return values[world_below(count)];
}

#define ONE_OF(...)                                                                                \
    one_of((const uint32_t[]){__VA_ARGS__}, sizeof(uint32_t[]){__VA_ARGS__} / sizeof(uint32_t))

void swarm_draw(struct swarm *swarm)
{
    *swarm = (struct swarm){
        .client_count = (uint32_t)world_between(1, 8),
        .key_count = ONE_OF(4, 8, 16, 40, 100, 200),
        .fault_seconds = (uint32_t)world_between(5, 30),
        .think_ms = ONE_OF(5, 20, 80, 200),
        .loss_ppm = ONE_OF(0, 300, 3000, 20000),
        .silence_ppm = ONE_OF(0, 0, 300, 2000),
        .job_crash_ppm = ONE_OF(0, 1000, 4000, 16000),
        .open_crash_ppm = ONE_OF(0, 100000, 400000),
        .crash_mean_ms = ONE_OF(0, 1500, 4000, 10000),
        .partition_mean_ms = ONE_OF(0, 0, 2000, 6000),
        .clock_step_mean_ms = ONE_OF(0, 0, 1000, 5000),
        .io_error_ppm = ONE_OF(0, 0, 0, 1000),
        .no_space_ppm = ONE_OF(0, 0, 1000, 20000),
        .latency_us = ONE_OF(30, 200, 2000, 20000),
        .io_us = ONE_OF(50, 500, 5000, 40000),
        .stall_ppm = ONE_OF(0, 500, 5000),
        .split_ppm = ONE_OF(0, 50000, 300000),
        .shard_size = ONE_OF(1024, 8192, 1 << 20, 1 << 30),
        .memory_kib = ONE_OF(512, 512, 1024, 16384),
        .segment_kib = ONE_OF(64, 64, 160),
        .log_segments = ONE_OF(4, 4, 8, 40),
        .level = (enum swarm_level)ONE_OF(SWARM_DISK, SWARM_DISK, SWARM_DISK, SWARM_DISK,
                                          SWARM_OS_KILLED, SWARM_OS_KILLED, SWARM_OS_POWER),
        .has_evicting = world_below(4) == 0,
        .ttl_ms = ONE_OF(0, 0, 300, 3000, 20000),
        .value_len = ONE_OF(0, 0, 1500, 10000, 30000),
        .sector_len = ONE_OF(512, 512, 4096, 64, 8),
        .full_mean_ms = ONE_OF(0, 0, 0, 4000),
        .second_crash_ppm = ONE_OF(0, 200000),
        .slice_count = ONE_OF(1, 2, 4, 6),
        .move_mean_ms = ONE_OF(0, 0, 0, 50, 150, 600),
        .move_crash_ppm = ONE_OF(0, 20000, 100000),
        .has_third_server = world_below(3) == 0,
        .starts_with_servers = world_below(2) == 0,
        .has_slow_link = world_below(4) == 0,
    };
    swarm->has_third_server = swarm->has_third_server && swarm->move_mean_ms;
}

void swarm_print(const struct swarm *swarm)
{
    printf("# clients=%" PRIu32 " keys=%" PRIu32 " fault_seconds=%" PRIu32 " think_ms=%" PRIu32
           " shard_size=%" PRIu32 " slices=%" PRIu32 " starts_with_servers=%d\n",
           swarm->client_count, swarm->key_count, swarm->fault_seconds, swarm->think_ms,
           swarm->shard_size, swarm->slice_count, swarm->starts_with_servers);
    printf("# loss_ppm=%" PRIu32 " silence_ppm=%" PRIu32 " partition_mean_ms=%" PRIu32
           " clock_step_mean_ms=%" PRIu32 " slow_link=%d\n",
           swarm->loss_ppm, swarm->silence_ppm, swarm->partition_mean_ms, swarm->clock_step_mean_ms,
           swarm->has_slow_link);
    printf("# job_crash_ppm=%" PRIu32 " open_crash_ppm=%" PRIu32 " crash_mean_ms=%" PRIu32 "\n",
           swarm->job_crash_ppm, swarm->open_crash_ppm, swarm->crash_mean_ms);
    printf("# io_error_ppm=%" PRIu32 " no_space_ppm=%" PRIu32 " latency_us=%" PRIu32
           " io_us=%" PRIu32 " stall_ppm=%" PRIu32 " split_ppm=%" PRIu32 "\n",
           swarm->io_error_ppm, swarm->no_space_ppm, swarm->latency_us, swarm->io_us,
           swarm->stall_ppm, swarm->split_ppm);
    printf("# memory_kib=%" PRIu32 " segment_kib=%" PRIu32 " log_segments=%" PRIu32
           " level=%s sector_len=%" PRIu32 " full_mean_ms=%" PRIu32 " second_crash_ppm=%" PRIu32
           "\n",
           swarm->memory_kib, swarm->segment_kib, swarm->log_segments,
           swarm->level == SWARM_DISK        ? "disk"
           : swarm->level == SWARM_OS_KILLED ? "os"
                                             : "os-power",
           swarm->sector_len, swarm->full_mean_ms, swarm->second_crash_ppm);
    printf("# has_evicting=%d ttl_ms=%" PRIu32 " value_len=%" PRIu32 " move_mean_ms=%" PRIu32
           " move_crash_ppm=%" PRIu32 " third_server=%d\n",
           swarm->has_evicting, swarm->ttl_ms, swarm->value_len, swarm->move_mean_ms,
           swarm->move_crash_ppm, swarm->has_third_server);
}
