/* SPDX-License-Identifier: MIT */
#include "shardd/pressure.h"

/* One transaction while the disk is full (RULES F1). */
#define BATCH_DISK_FULL 32

/* Small for the others' latency, large when it is about keeping up. */
#define BATCH_EASY 1000
#define BATCH_FULL 4096

/* A record may take a page of its own until its transaction has ended: all of these a part of the memory at most. */
#define BATCH_PART 8
#define PAGE_LEN   4096

/* Parts per thousand, 1000 at the limit and more beyond it. */
static uint64_t permille(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : part / (whole / 1000 + 1);
}

static enum pace pace_at(uint64_t log, uint64_t dirty, bool is_quiet)
{
    if (log >= 750 || dirty >= 500) {
        return PACE_FULL;
    }
    return log >= 500 || dirty >= 250 || is_quiet ? PACE_EASY : PACE_REST;
}

/* From 0 at `start` to the longest at `end`; squared, so that it begins gently. */
static uint32_t delay_between(uint64_t value, uint64_t start, uint64_t end)
{
    if (value <= start) {
        return 0;
    }
    uint64_t over = value < end ? value - start : end - start;
    uint64_t span = end - start;
    return (uint32_t)(PRESSURE_DELAY_MS_MAX * over * over / (span * span));
}

static uint32_t batch_max(enum pace pace, uint64_t memory_limit)
{
    uint64_t wanted = pace == PACE_FULL ? BATCH_FULL : BATCH_EASY;
    uint64_t most = memory_limit / BATCH_PART / PAGE_LEN;
    most = most > BATCH_DISK_FULL ? most : BATCH_DISK_FULL;
    return (uint32_t)(wanted < most ? wanted : most);
}

/* No waiting helps: what grows is refused, and what shrinks must go through (RULES F1). */
static struct pressure pressure_of_full_disk(void)
{
    return (struct pressure){.pace = PACE_FULL, .batch_max = BATCH_DISK_FULL};
}

struct pressure pressure_of(const struct pressure_input *input)
{
    if (input->is_disk_full) {
        return pressure_of_full_disk();
    }
    uint64_t log = permille(input->log_used, input->log_limit);
    uint64_t dirty = permille(input->dirty_len, input->memory_limit / 2);
    uint32_t log_delay = delay_between(log, 875, 1000);
    uint32_t dirty_delay = delay_between(dirty, 500, 1000);
    struct pressure pressure = {
        .pace = pace_at(log, dirty, input->quiet_ms >= PRESSURE_QUIET_MS),
        .writer_delay_ms = log_delay > dirty_delay ? log_delay : dirty_delay,
        .is_memory_full = dirty >= 1000 || log >= 1100,
    };
    pressure.batch_max = batch_max(pressure.pace, input->memory_limit);
    return pressure;
}
