/* SPDX-License-Identifier: MIT */
#include "tests/sim/oracle.h"

#include "proto/point.h"
#include "tests/sim/checker.h"
#include "tests/sim/heap.h"

#include <inttypes.h>
#include <stdio.h>

enum { SAMPLES_MAX = SCENE_FOUNDED_MAX * (3 + 2 * SCENE_CUTS_MAX) };

/* Who owned a shard at an epoch, the first time that anybody said it. */
struct said {
    uint64_t start, end;
    uint64_t epoch;
    uint64_t size;
    uint8_t server[ID_LEN];
    struct map_move move;
};

static struct {
    uint64_t samples[SAMPLES_MAX]; /* points */
    uint32_t sample_count;
    bool serves[DAEMON_COUNT][SAMPLES_MAX];
    uint64_t run_counts[DAEMON_COUNT]; /* of its node, when that was looked at */
    uint64_t revisions[DAEMON_COUNT];
    uint64_t epochs[DAEMON_COUNT][SAMPLES_MAX];
    uint64_t incarnations[DAEMON_COUNT];
    uint32_t start_counts[DAEMON_COUNT];
    struct said *said;
    size_t said_count;
    size_t said_capacity;
} oracle;

/* The bounds are where two servers could disagree. */
void oracle_begin(const struct scene *scene)
{
    memset(&oracle, 0, sizeof oracle);
    for (uint32_t i = 0; i < scene->shard_count; i++) {
        uint64_t first = point_of_bound(scene->shards[i].start);
        uint64_t last = scene->shards[i].end == BOUND_END
                            ? UINT64_MAX
                            : point_of_bound(scene->shards[i].end) - 1;
        oracle.samples[oracle.sample_count++] = first;
        oracle.samples[oracle.sample_count++] = last;
        oracle.samples[oracle.sample_count++] = world_between(first, last);
    }
    for (uint32_t i = 0; i < scene->founded_count; i++) {
        for (uint32_t j = 0; j < SCENE_CUTS_MAX; j++) {
            uint64_t first = point_of_bound(scene->cuts[i][j]);
            oracle.samples[oracle.sample_count++] = first;
            oracle.samples[oracle.sample_count++] = first - 1;
        }
    }
}

void oracle_end(void)
{
    world_put(oracle.said);
}

static bool is_served_by_another(uint32_t server, uint32_t sample)
{
    for (uint32_t i = DAEMON_SERVER_1; i < DAEMON_COUNT; i++) {
        if (i != server && oracle.serves[i][sample]) {
            return true;
        }
    }
    return false;
}

static void look_at_server(const struct daemon *daemon, uint32_t server)
{
    for (uint32_t i = 0; i < oracle.sample_count; i++) {
        oracle.serves[server][i] = daemon_serves(daemon, oracle.samples[i]);
    }
}

static void check_server(uint32_t server)
{
    for (uint32_t i = 0; i < oracle.sample_count; i++) {
        if (oracle.serves[server][i] && is_served_by_another(server, i)) {
            violation("two servers serve point %" PRIu64, oracle.samples[i]);
        }
    }
}

/* In one event what one gives up another may take: all are looked at before any is checked. */
void oracle_check_serving(const struct scene *scene)
{
    bool has_run[DAEMON_COUNT] = {false};
    for (uint32_t i = DAEMON_SERVER_1; i < scene->daemon_count; i++) {
        uint64_t run_count = daemon_node(scene->daemons[i])->run_count;
        has_run[i] = run_count != oracle.run_counts[i];
        oracle.run_counts[i] = run_count;
        if (has_run[i]) {
            look_at_server(scene->daemons[i], i);
        }
    }
    for (uint32_t i = DAEMON_SERVER_1; i < scene->daemon_count; i++) {
        if (has_run[i]) {
            check_server(i);
        }
    }
}

/* --- maps --- */

static void check_said(const struct map_entry *entry)
{
    for (size_t i = 0; i < oracle.said_count; i++) {
        const struct said *said = &oracle.said[i];
        if (said->start != entry->start || said->epoch != entry->epoch) {
            continue;
        }
        bool is_same = said->end == entry->end && said->size == entry->size &&
                       memcmp(said->server, entry->server, ID_LEN) == 0 &&
                       said->move.phase == entry->move.phase && said->move.id == entry->move.id;
        if (!is_same) {
            violation("shard %s has two meanings at epoch %" PRIu64, entry->name, entry->epoch);
        }
        return;
    }
    if (oracle.said_count == oracle.said_capacity) {
        oracle.said_capacity = oracle.said_capacity ? 2 * oracle.said_capacity : 64;
        oracle.said = world_resize(oracle.said, oracle.said_capacity * sizeof(struct said));
    }
    struct said *said = &oracle.said[oracle.said_count++];
    *said = (struct said){entry->start, entry->end, entry->epoch, entry->size, {0}, entry->move};
    memcpy(said->server, entry->server, ID_LEN);
}

/* Point by point: shards are split and joined. */
static void check_epochs(uint32_t source, const struct map *map, const struct map_entry *entry)
{
    for (uint32_t i = 0; i < oracle.sample_count; i++) {
        uint64_t *epoch = &oracle.epochs[source][i];
        if (!point_in(oracle.samples[i], entry->start, entry->end)) {
            continue;
        }
        if (entry->epoch < *epoch || entry->epoch > map->revision) {
            violation("source %u has epoch %" PRIu64 " of %s, after %" PRIu64
                      ", in revision %" PRIu64,
                      source, entry->epoch, entry->name, *epoch, map->revision);
        }
        *epoch = entry->epoch;
    }
}

void oracle_see_map(uint32_t source, const struct map *map)
{
    struct map_error error;
    if (!map_check(map, &error)) {
        violation("source %u has a map that is none: %s", source, error.text);
    }
    if (map->revision < oracle.revisions[source]) {
        violation("source %u went back to revision %" PRIu64 " from %" PRIu64, source,
                  map->revision, oracle.revisions[source]);
    }
    oracle.revisions[source] = map->revision;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        const struct map_entry *entry = &map->entries[i];
        check_epochs(source, map, entry);
        check_said(entry);
    }
    count(COUNT_MAP_SEEN);
}

void oracle_see_incarnation(uint32_t source, uint64_t incarnation, uint32_t start_count)
{
    uint64_t before = oracle.incarnations[source];
    bool was_started = start_count > oracle.start_counts[source];
    if (was_started ? incarnation <= before : incarnation != before) {
        violation("server %u is in incarnation %" PRIu64 " after start %u; it was in %" PRIu64
                  " after start %u",
                  source, incarnation, start_count, before, oracle.start_counts[source]);
    }
    oracle.incarnations[source] = incarnation;
    oracle.start_counts[source] = start_count;
}

/* --- histories --- */

static void print_operation(const struct operation *operation)
{
    static const char *const names[] = {
        "read", "exists", "write", "write if absent", "write if version",
        "pop",  "delete", "incr",  "expire"};
    printf("# %6" PRIu64 " .. ", operation->asked);
    if (operation->answered == MOMENT_NEVER) {
        printf("  open  %s %" PRId64, names[operation->deed], operation->argument);
    } else {
        printf("%6" PRIu64 "  %s %" PRId64 "%s: %s %" PRId64, operation->answered,
               names[operation->deed], operation->argument, operation->is_refused ? " refused" : "",
               operation->was_there ? "there" : "nothing", operation->result);
    }
    printf(" version %" PRIu64 " condition %" PRIu64 "\n", operation->version,
           operation->condition_version);
    if (operation->ttl_ms) {
        printf("#                 %" PRIu64 " ms to live%s, asked at %" PRIu64 " us\n",
               operation->ttl_ms, operation->is_sliding ? ", sliding" : "", operation->asked_us);
    }
}

static void check_key(uint32_t key)
{
    uint32_t operation_count;
    uint32_t furthest;
    const struct operation *operations = history_of_key(key, &operation_count);
    if (history_is_torn(key)) {
        return;
    }
    switch (checker_run(operations, operation_count, &furthest)) {
    case CHECKER_LINEARIZABLE:
        count(COUNT_KEY_CHECKED);
        return;
    case CHECKER_GAVE_UP:
        count(COUNT_KEY_UNDECIDED);
        return;
    case CHECKER_BROKEN:
        break;
    }
    for (uint32_t i = 0; i < operation_count; i++) {
        if (!operations[i].is_void) {
            print_operation(&operations[i]);
        }
    }
    violation("the history of key %u (%u operations, above) is not linearizable: no order explains "
              "more than %u of them",
              key, operation_count, furthest);
}

void oracle_check_histories(void)
{
    for (uint32_t key = 0; key < history_key_count(); key++) {
        check_key(key);
    }
}
