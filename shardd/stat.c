/* SPDX-License-Identifier: MIT */
#include "shardd/stat.h"

#include <assert.h>
#include <stddef.h>

#include "proto/pack.h"
#include "proto/point.h"

/* clang-format off */
#define NUMBER(name) {#name, offsetof(struct store_stat, name)}
/* clang-format on */

/* What is a number in struct store_stat and has the same name in the reply. */
static const struct number {
    const char *name;
    size_t offset;
} numbers[] = {
    NUMBER(durable_stamp),   NUMBER(applied_stamp),   NUMBER(hot_bytes),
    NUMBER(table_bytes),     NUMBER(dirty_bytes),     NUMBER(log_queue_bytes),
    NUMBER(output_bytes),    NUMBER(results_bytes),   NUMBER(memory_limit),
    NUMBER(hot_records),     NUMBER(dirty_records),   NUMBER(log_bytes),
    NUMBER(log_limit),       NUMBER(sync_p50_us),     NUMBER(sync_p99_us),
    NUMBER(sync_max_us),     NUMBER(group_p50_bytes), NUMBER(group_p99_bytes),
    NUMBER(evictions),       NUMBER(expirations),     NUMBER(sweep_rounds),
    NUMBER(sweep_records),   NUMBER(cold_reads),      NUMBER(cpu_user_ms),
    NUMBER(cpu_system_ms),   NUMBER(tree_used_bytes), NUMBER(tree_reusable_bytes),
    NUMBER(tree_file_bytes), NUMBER(disk_free_bytes), NUMBER(clock_behind_ms),
    NUMBER(input_bytes),     NUMBER(scan_bytes),      NUMBER(waiting_bytes),
    NUMBER(moving_bytes),    NUMBER(ids_ahead_ms),
};

enum {
    NUMBER_COUNT = sizeof(numbers) / sizeof(numbers[0]),
    SERVER_FIELDS = 6,
    STORE_FIELDS = NUMBER_COUNT + 3, /* stamp, durability, disk_full */
    SHARD_FIELDS = 11,
};

static void pack_number(struct buffer *out, const char *name, uint64_t number)
{
    pack_text(out, name);
    pack_uint(out, number);
}

static void pack_named(struct buffer *out, const char *name, const char *text)
{
    pack_text(out, name);
    pack_text(out, text);
}

static void pack_server(struct buffer *out, const struct stat_server *server)
{
    const struct ownership *ownership = server->ownership;
    pack_text(out, "server");
    pack_bin(out, bytes_of(ownership->server, ID_LEN));
    pack_number(out, "incarnation", ownership->incarnation);
    pack_named(out, "state", server->is_stopping ? "stopping" : ownership_state(ownership));
    pack_number(out, "revision", ownership->map.revision);
    pack_number(out, "epoch", ownership_epoch(ownership));
    pack_number(out, "connections", server->connection_count);
}

static void pack_store(struct buffer *out, const struct store_stat *stat)
{
    pack_number(out, "stamp", stat->last_stamp);
    pack_named(out, "durability", stat->durability);
    pack_text(out, "disk_full");
    pack_bool(out, stat->is_disk_full);
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        const void *field = (const uint8_t *)stat + numbers[i].offset;
        pack_number(out, numbers[i].name, *(const uint64_t *)field);
    }
}

void stat_pack_begin(const struct stat_server *server, const struct store_stat *stat,
                     struct buffer *out)
{
    pack_map(out, SERVER_FIELDS + STORE_FIELDS + 1);
    pack_server(out, server);
    pack_store(out, stat);
    pack_text(out, "shards");
    pack_array(out, server->ownership->range_count);
}

void stat_pack_shard(const struct ownership *ownership, const struct range *range,
                     const struct account *account, struct buffer *out)
{
    const struct map_entry *entry = map_find(&ownership->map, point_of_bound(range->start));
    assert(entry); /* each owned range lies within one */
    pack_map(out, SHARD_FIELDS);
    pack_named(out, "name", entry->name);
    pack_number(out, "start", range->start);
    pack_number(out, "end", range->end);
    pack_number(out, "epoch", entry->epoch);
    pack_number(out, "records", account->records);
    pack_number(out, "bytes", account->used);
    pack_number(out, "size", range->limit);
    pack_named(out, "when_full", range->when_full == WHEN_FULL_EVICT ? "evict" : "reject");
    pack_number(out, "operations", account->operations);
    pack_number(out, "evictions", account->evicted);
    pack_number(out, "expirations", account->expired);
}
