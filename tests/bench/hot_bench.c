/* SPDX-License-Identifier: MIT */

/*
 * What the hot table costs: `hot_bench [KEYS] [PARTS]`, keys of 16 bytes with 102 bytes of value, on the whole circle,
 * or on its PARTS-th part. Times are of the thread's CPU clock.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/table.h"
#include "shardd/hot_internal.h"

#define BATCH     64
#define LOOKUPS   4000000
#define VALUE_LEN 102

/* Cannot be passed to a point's function. */
static uint64_t parts = 1;

static uint64_t point_in_part(uint16_t table, struct bytes key)
{
    return table_point(table, key) / parts;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t mix(uint64_t number)
{
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

struct probe {
    char key[16];
    uint64_t point;
};

static void probe_init(struct probe *probe, uint64_t number)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "key:%012" PRIu64, number);
    memcpy(probe->key, text, sizeof(probe->key));
    probe->point = point_in_part(TABLE_DEFAULT, bytes_of(probe->key, sizeof(probe->key)));
}

static struct bytes probe_key(const struct probe *probe)
{
    return bytes_of(probe->key, sizeof(probe->key));
}

static uint64_t put(struct hot *hot, const struct probe *probe, uint64_t version, uint8_t *value)
{
    uint64_t start = now_ns();
    value[0] = (uint8_t)version;
    struct record record = {.point = probe->point,
                            .key = probe_key(probe),
                            .value = bytes_of(value, VALUE_LEN),
                            .version = version};
    struct hot_record *entry = hot_find(hot, probe->point, 0, record.key);
    hot_put(hot, entry, &record, HOT_RECORD, true);
    return now_ns() - start;
}

/* As a server has it done by a worker. */
static void prepare(struct arena *arena)
{
    while (arena_wants_block(arena)) {
        arena_give_block(arena, arena_block_new());
    }
}

/* A put that moves nothing and takes long was held up by something else: interrupts, or a neighbour's work. */
static const struct {
    const char *name;
    uint64_t ns;
} steps[] = {{"0.2", 200000}, {"0.5", 500000}, {"1", 1000000}};

enum { STEP_COUNT = sizeof(steps) / sizeof(steps[0]) };

/* Puts of one kind: those that made the table move entries, or the others. */
struct puts {
    uint64_t count;
    uint64_t ns;
    uint64_t longest_ns;
    uint64_t longest_moved; /* by the longest */
    uint64_t longer[STEP_COUNT];
};

static void puts_add(struct puts *puts, uint64_t took, uint64_t moved)
{
    puts->count++;
    puts->ns += took;
    for (int i = 0; i < STEP_COUNT; i++) {
        puts->longer[i] += took > steps[i].ns;
    }
    if (took > puts->longest_ns) {
        puts->longest_ns = took;
        puts->longest_moved = moved;
    }
}

static void puts_show(const struct puts *puts, const char *name)
{
    uint64_t count = puts->count ? puts->count : 1;
    printf("puts that %s: %" PRIu64 ", mean %.1f us, longest %.1f us (%" PRIu64 " moved); above",
           name, puts->count, (double)puts->ns / (double)count / 1000,
           (double)puts->longest_ns / 1000, puts->longest_moved);
    for (int i = 0; i < STEP_COUNT; i++) {
        printf(" %s ms: %" PRIu64 "%s", steps[i].name, puts->longer[i],
               i + 1 < STEP_COUNT ? "," : "\n");
    }
}

static void load(struct hot *hot, uint64_t key_count)
{
    uint8_t value[VALUE_LEN] = {0};
    struct puts moving = {0};
    struct puts others = {0};
    for (uint64_t i = 0; i < key_count; i++) {
        struct probe probe;
        probe_init(&probe, i);
        prepare(hot->arena);
        uint64_t moved_before = hot_moved(hot);
        uint64_t took = put(hot, &probe, i + 1, value);
        uint64_t moved = hot_moved(hot) - moved_before;
        puts_add(moved ? &moving : &others, took, moved);
    }
    printf("put, new: %" PRIu64 " ns\n", (moving.ns + others.ns) / key_count);
    puts_show(&moving, "moved entries");
    puts_show(&others, "moved none");
}

static void show_memory(const struct hot *hot, const struct arena *arena)
{
    struct hot_stat stat;
    hot_stat(hot, &stat);
    double count = (double)stat.entry_count;
    printf("bytes a record: %.1f held, of it %.1f records (%.1f used), %.1f table (%.1f used)\n",
           (double)hot_held(hot) / count, (double)stat.entries_len / count,
           (double)(arena_used(arena) - hot->blocks_len) / count, (double)stat.table_len / count,
           (double)(hot->blocks_len + hot->directory_len) / count);
}

enum mode { PLAIN, PREFETCHED, OVERWRITE };

static uint64_t look_up(struct hot *hot, const struct probe *probes, enum mode mode,
                        const uint8_t *value)
{
    uint64_t found = 0;
    if (mode != PLAIN) {
        for (int i = 0; i < BATCH; i++) {
            hot_prefetch(hot, probes[i].point);
        }
        for (int i = 0; i < BATCH; i++) {
            hot_prefetch_records(hot, probes[i].point);
        }
    }
    for (int i = 0; i < BATCH; i++) {
        struct hot_record *entry = hot_find(hot, probes[i].point, 0, probe_key(&probes[i]));
        if (entry && mode == OVERWRITE) {
            struct record record = {.point = probes[i].point,
                                    .key = probe_key(&probes[i]),
                                    .value = bytes_of(value, VALUE_LEN),
                                    .version = hot_version(entry) + 1};
            hot_put(hot, entry, &record, HOT_RECORD, true);
        } else if (entry) {
            const uint8_t *bytes = hot_value(entry).data;
            found += 1u + bytes[0] + bytes[VALUE_LEN - 1];
        }
    }
    return found;
}

static void measure(struct hot *hot, const char *name, uint64_t first, uint64_t key_count,
                    enum mode mode)
{
    static struct probe probes[BATCH];
    uint8_t value[VALUE_LEN] = {0};
    uint64_t all = 0;
    uint64_t found = 0;
    for (uint64_t batch = 0; batch < LOOKUPS / BATCH; batch++) {
        for (uint64_t i = 0; i < BATCH; i++) {
            probe_init(&probes[i], first + mix(batch * BATCH + i + 1) % key_count);
        }
        uint64_t start = now_ns();
        found += look_up(hot, probes, mode, value);
        all += now_ns() - start;
    }
    printf("%s: %" PRIu64 " ns%s\n", name, all / LOOKUPS, found ? "" : " ");
}

static void sweep(struct hot *hot)
{
    static struct hot_item items[4096];
    uint64_t point = 0;
    uint64_t collect_ns = 0;
    uint64_t swept_ns = 0;
    uint64_t count = 0;
    bool is_end = false;
    while (!is_end) {
        uint64_t start = now_ns();
        uint32_t taken =
            hot_collect(hot, &point, UINT64_MAX, UINT64_MAX, items, 4096, UINT32_MAX, &is_end);
        uint64_t middle = now_ns();
        hot_swept(hot, items, taken);
        collect_ns += middle - start;
        swept_ns += now_ns() - middle;
        count += taken;
    }
    printf("sweep: collect %" PRIu64 " ns, swept %" PRIu64 " ns a record\n", collect_ns / count,
           swept_ns / count);
}

static void evict_half(struct hot *hot)
{
    uint64_t start = now_ns();
    uint32_t gone = hot_evict(hot, hot_used(hot) / 2, UINT32_MAX);
    printf("evict: %" PRIu64 " ns a record that went\n", (now_ns() - start) / gone);
}

int main(int argc, char **argv)
{
    uint64_t key_count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    parts = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    if (key_count == 0 || parts == 0) {
        return 1;
    }
    struct arena *arena = arena_new();
    struct hot *hot = hot_new_with(arena, true, point_in_part);
    printf("--- %" PRIu64 " keys, 1/%" PRIu64 " of the circle\n", key_count, parts);
    load(hot, key_count);
    show_memory(hot, arena);
    measure(hot, "find, there", 0, key_count, PLAIN);
    measure(hot, "find, there, prefetched", 0, key_count, PREFETCHED);
    measure(hot, "find, not there", key_count, key_count, PLAIN);
    measure(hot, "find, not there, prefetched", key_count, key_count, PREFETCHED);
    measure(hot, "put, there, prefetched", 0, key_count, OVERWRITE);
    sweep(hot);
    evict_half(hot);
    hot_free(hot);
    arena_free_all(arena);
    return 0;
}
