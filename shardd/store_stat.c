/* SPDX-License-Identifier: MIT */
#include "shardd/store_internal.h"

#include "io/clock.h"
#include "io/conn.h"
#include "io/process.h"
#include "proto/stamp.h"
#include "shardd/minter.h"
#include "shardd/stat.h"

static uint64_t clock_behind_ms(const struct store *store)
{
    uint64_t stamp_time_ms = stamp_ms(log_last(store->log));
    uint64_t now_ms = clock_wall_ms();
    return stamp_time_ms > now_ms ? stamp_time_ms - now_ms : 0;
}

static void stat_memory(const struct store *store, struct store_stat *out)
{
    struct hot_stat hot;
    hot_stat(store->hot, &hot);
    out->hot_bytes = hot.entries_len;
    out->table_bytes = hot.table_len;
    out->dirty_bytes = hot.dirty_len;
    out->hot_records = hot.record_count;
    out->dirty_records = hot.dirty_count;
    out->output_bytes = conn_output_total(store->config.loop);
    out->input_bytes = conn_input_total(store->config.loop);
    out->scan_bytes = slices_len(store->slices) + store->hiding_len;
    out->waiting_bytes = store->waiting_len + fetch_len(store->fetch);
    out->moving_bytes = store->moving_len;
    out->results_bytes = retries_len(store->retries);
    out->memory_limit = store->config.memory_limit;
}

static void stat_log(const struct store *store, struct store_stat *out)
{
    struct log_stat log;
    log_stat(store->log, &log);
    out->log_bytes = log.used;
    out->log_limit = store->config.log_limit;
    out->log_queue_bytes = log.queue_len;
    out->last_stamp = log_last(store->log);
    out->durable_stamp = log_durable(store->log);
    out->applied_stamp = sweep_applied(store->sweep);
    out->durability = store->config.durability == DURABILITY_DISK ? "disk" : "os";
    out->sync_p50_us = log.appender.sync_us_p50;
    out->sync_p99_us = log.appender.sync_us_p99;
    out->sync_max_us = log.appender.sync_us_max;
    out->group_p50_bytes = log.appender.group_len_p50;
    out->group_p99_bytes = log.appender.group_len_p99;
    out->clock_behind_ms = clock_behind_ms(store);
    out->ids_ahead_ms = minter_ahead_ms(store->minter, clock_wall_ms());
}

static void stat_disk(const struct store *store, struct store_stat *out)
{
    struct tree_space space = measure_ask(store->measure, clock_mono_ms());
    out->tree_used_bytes = space.used_len;
    out->tree_reusable_bytes = space.free_len;
    out->tree_file_bytes = space.file_len;
    out->disk_free_bytes = room_free_len(store->room);
}

void store_stat(const struct store *store, struct store_stat *out)
{
    struct sweep_stat sweep;
    *out = (struct store_stat){0};
    stat_memory(store, out);
    stat_log(store, out);
    for (uint32_t i = 0; i < store->accounts.count; i++) {
        out->evictions += store->accounts.items[i].evicted;
        out->expirations += store->accounts.items[i].expired;
    }
    sweep_stat(store->sweep, &sweep);
    out->sweep_rounds = sweep.rounds;
    out->sweep_records = sweep.record_count;
    out->cold_reads = fetch_count(store->fetch);
    process_cpu_ms(&out->cpu_user_ms, &out->cpu_system_ms);
    stat_disk(store, out);
    out->is_disk_full = store->execution.is_disk_full;
}
