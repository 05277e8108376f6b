/* SPDX-License-Identifier: MIT */
#include "tests/torture/tortures.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/clock.h"
#include "libclient/shardkv.h"
#include "proto/id.h"
#include "proto/point.h"
#include "tests/torture/clocks.h"
#include "tests/torture/minters.h"
#include "tests/torture/view.h"

/*
 * No id is given twice, and those of a slice grow, whatever happens meanwhile (RULES I). 64 threads mint and put over 16
 * connections, and keep all that they get:
 *
 *     one alone    a slice moves to and fro under one client that mints as fast as it can: its longest wait
 *     exhausted    more ids of one slice at once than it has in a second
 *     moves        a slice moves whole, is split inside, each half served by another server, and comes together again;
 *                  source or target dies meanwhile by kill -9, or nobody
 *     kills        a server has many calls under way, and dies; its clock is stepped by minutes now and then
 *     clocks       all are stepped forth and back by hours: nothing is given while they are behind, not after a start
 *                  either; and back by minutes with a start: ids go on above what was given
 *     the end      all ids are compared, and the records with what their puts were told
 */

enum { THREADS = 64, CONNECTIONS = 16, CALL_TIMEOUT_MS = 30000, PAUSE_US_MAX = 20000 };
enum { BATCH_MAX = 100, TICK_US = 2000, GROWTH = 500, GROWTH_IN_HALVES = 2000 };

/* Waits for what must come soon. */
#define PATIENCE_US UINT64_C(60000000)

/* Of a slice: a second that is given ahead, and another. */
#define EXHAUSTING 2300000u

/* The machine's own clock, too, is read a moment later. */
#define AHEAD_MS_MAX 1100

/* Of the kills, one in so many is in a move; and the moves of one slice with each of these. */
enum { KILLS_PER_CYCLE = 5, GAP_MOVES_PER_KILLS = 4 };

enum { CALLS_AT_A_KILL = 24, KILL_US_MAX = 3000, APART_MS = 20000, STEP_MS_MAX = 120000 };

/* Steps of hours: one for so many kills, and one at least. */
enum { KILLS_PER_STEP = 40, HOURS_MAX = 5, HOUR_MS = 3600000, MINUTES_BACK_MS = 8 * 60000 };

/* More than a log of 16 MiB for each server. */
enum { FILLINGS = 120, FILLING_LEN = 300000 };

/* A refusal comes at once: each thread has had one, and more. */
enum { REFUSALS = 200 };

/* How long a client may wait for an id after a start with the clock behind. */
#define START_US_MAX UINT64_C(8000000)

/* In either half of the circle, a server's own at the start; MOVED is the one that moves. */
static const uint32_t shards[] = {1000, 10, 2000, 3333, 5000, 6000, 7777, 8191};
enum { SHARD_COUNT = sizeof(shards) / sizeof(shards[0]), MOVED = 1000, OF_A = 2000, OF_B = 6000 };

struct ids {
    struct scene scene;
    struct cluster cluster;
    struct clocks clocks;
    bool has_clocks;
    int64_t ahead_ms; /* of all clocks */
    struct dice dice;
    struct skv *kv; /* of this thread */
    struct view view;
    struct minters *minters;
    uint32_t kill_max, kill_count, move_count, step_count, start_count;
    uint32_t split_count; /* slices of which two servers gave ids at once */
    uint64_t gap_us, calm_us, gap_median_us;
    uint32_t gap_count;
    uint64_t exhausting_us;
    uint32_t violation_count;
};

static bool fail(struct ids *ids, const char *what)
{
    printf("# VIOLATION: SEED=%" PRIu64 ", after %u kills, %u moves: %s\n", ids->scene.seed,
           ids->kill_count, ids->move_count, what);
    ids->violation_count++;
    return false;
}

static struct minters_counts counts_of(const struct ids *ids)
{
    struct minters_counts counts;
    minters_count(ids->minters, &counts);
    return counts;
}

/* Meanwhile daemons are heard. False: one has ended, or something is violated. */
static bool is_well(struct ids *ids)
{
    if (!cluster_hear(&ids->cluster)) {
        return fail(ids, "a daemon has ended by itself");
    }
    return !minters_violation(ids->minters)[0] || fail(ids, minters_violation(ids->minters));
}

static bool await_ids(struct ids *ids, uint64_t more)
{
    uint64_t wanted = counts_of(ids).given + more;
    uint64_t deadline_us = clock_mono_us() + PATIENCE_US;
    while (counts_of(ids).given < wanted) {
        if (!is_well(ids)) {
            return false;
        }
        if (clock_mono_us() > deadline_us) {
            return fail(ids, "no ids are given");
        }
        usleep(TICK_US);
    }
    return true;
}

static bool await_refusals(struct ids *ids)
{
    uint64_t wanted = counts_of(ids).refused + REFUSALS;
    uint64_t deadline_us = clock_mono_us() + PATIENCE_US;
    while (counts_of(ids).refused < wanted) {
        if (!is_well(ids)) {
            return false;
        }
        if (clock_mono_us() > deadline_us) {
            return fail(ids, "clocks are behind, and it is not told");
        }
        usleep(TICK_US);
    }
    return true;
}

/* --- moves --- */

/* Until it is over; `victim` is to die meanwhile (CLUSTER_SERVERS: nobody). */
static bool await_move(struct ids *ids, uint64_t number, uint32_t victim)
{
    uint64_t deadline_us = clock_mono_us() + PATIENCE_US;
    uint64_t kill_us = clock_mono_us() + dice_below(&ids->dice, 10 * KILL_US_MAX);
    struct view_move move = {0};
    while (strcmp(move.course, "done") != 0) {
        if (victim < CLUSTER_SERVERS && clock_mono_us() >= kill_us) {
            cluster_kill(&ids->cluster, victim);
            ids->kill_count++;
            if (!cluster_restart(&ids->cluster, victim)) {
                return fail(ids, "no start");
            }
            victim = CLUSTER_SERVERS;
        }
        if (!is_well(ids)) {
            return false;
        }
        if (clock_mono_us() > deadline_us) {
            printf("# move %" PRIu64 ": %s %s\n", number, move.course, move.reason);
            return fail(ids, "a move does not end");
        }
        usleep(TICK_US);
        (void)view_move(&ids->view, number, &move);
    }
    ids->move_count++;
    return true;
}

/* All of [start, end) to `target`. `has_victim`: its source or the target dies in the first of the moves. */
static bool bring(struct ids *ids, uint64_t start, uint64_t end, uint32_t target, bool has_victim)
{
    uint64_t deadline_us = clock_mono_us() + PATIENCE_US;
    while (start < end) {
        struct view_part part;
        uint64_t number = view_start_part(&ids->view, start, end, target, &part);
        if (part.owner == target) {
            start = part.until;
            continue;
        }
        uint32_t victim = dice_below(&ids->dice, 2) ? part.owner : target;
        if (number && !await_move(ids, number, has_victim ? victim : CLUSTER_SERVERS)) {
            return false;
        }
        has_victim &= number == 0;
        if (clock_mono_us() > deadline_us) {
            printf("# %s\n", skv_error()->text);
            return fail(ids, "what is to move does not");
        }
        usleep(number ? 0 : 10 * TICK_US); /* refused: a server is not back yet */
    }
    return true;
}

/* Whole to another, one half to a third, both to the first: in each place ids are given. */
static bool move_about(struct ids *ids, bool has_victims)
{
    uint64_t start = id_shard_bound(MOVED);
    uint64_t end = id_shard_bound(MOVED + 1);
    uint64_t middle = start + (end - start) / 2;
    bool is_done = bring(ids, start, end, 2, has_victims) && await_ids(ids, GROWTH) &&
                   bring(ids, middle, end, 1, has_victims) && await_ids(ids, GROWTH_IN_HALVES);
    ids->split_count += is_done;
    return is_done && bring(ids, start, middle, 0, false) && await_ids(ids, GROWTH_IN_HALVES) &&
           bring(ids, middle, end, 0, false) && await_ids(ids, GROWTH);
}

/* Clocks are apart as far as moves allow: who does not take over what was given would give what is below. */
static bool move_all(struct ids *ids)
{
    uint32_t cycles = 1 + ids->kill_max / (4 * KILLS_PER_CYCLE);
    bool is_done = true;
    for (uint32_t i = 0; i < CLUSTER_SERVERS && ids->has_clocks; i++) {
        clocks_set(&ids->clocks, i, -(int64_t)(i * APART_MS));
    }
    for (uint32_t i = 0; i < cycles && is_done; i++) {
        is_done = move_about(ids, i % 2 == 1) && move_about(ids, false);
    }
    if (ids->has_clocks) {
        clocks_set_all(&ids->clocks, 0);
    }
    return is_done;
}

/* --- one alone --- */

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

enum { GAPS_MAX = 200 };

/* The longest call in each move to and fro, and in as much time without one. */
static bool measure_gaps(struct ids *ids)
{
    uint64_t gaps[GAPS_MAX];
    uint32_t count = 2 + ids->kill_max / GAP_MOVES_PER_KILLS;
    count = count < GAPS_MAX ? count : GAPS_MAX;
    uint64_t start = id_shard_bound(MOVED);
    minters_leave_one(ids->minters, MOVED);
    uint64_t begin_us = clock_mono_us();
    for (uint32_t i = 0; i < count; i++) {
        (void)minters_take_longest_us(ids->minters);
        if (!bring(ids, start, id_shard_bound(MOVED + 1), i % 2 ? 0 : 2, false)) {
            return false;
        }
        gaps[i] = minters_take_longest_us(ids->minters);
    }
    usleep((useconds_t)(clock_mono_us() - begin_us));
    ids->calm_us = minters_take_longest_us(ids->minters);
    qsort(gaps, count, sizeof(*gaps), compare);
    ids->gap_us = gaps[count - 1];
    ids->gap_median_us = gaps[count / 2];
    ids->gap_count = count;
    minters_go_on(ids->minters);
    return bring(ids, start, id_shard_bound(MOVED + 1), 0, false);
}

/* --- exhausted --- */

/* RULES I3: what is more than a second ahead is waited for. */
static bool exhaust(struct ids *ids)
{
    if (!minters_mint(ids->minters, OF_A, EXHAUSTING, &ids->exhausting_us)) {
        return fail(ids, "refused");
    }
    uint64_t last_ms = skv_id_created_ms(minters_last(ids->minters), skv_origin_ms(ids->kv));
    return last_ms <= clock_wall_ms() + AHEAD_MS_MAX ||
           fail(ids, "an id is more than a second ahead");
}

/* --- kills --- */

/* Many requests are with it, unanswered, when it goes on for a moment: it dies between ids and replies. */
static bool kill_amid(struct ids *ids, uint32_t victim)
{
    const struct server *server = &ids->cluster.daemons[victim].server;
    uint64_t deadline_us = clock_mono_us() + PATIENCE_US;
    server_signal(server, SIGSTOP);
    while (counts_of(ids).under_way < CALLS_AT_A_KILL && clock_mono_us() < deadline_us) {
        usleep(TICK_US / 4);
    }
    uint32_t under_way = counts_of(ids).under_way;
    server_signal(server, SIGCONT);
    usleep(dice_below(&ids->dice, KILL_US_MAX));
    cluster_kill(&ids->cluster, victim);
    ids->kill_count++;
    return under_way >= CALLS_AT_A_KILL || fail(ids, "no calls are under way");
}

static void step_by_minutes(struct ids *ids, uint32_t server)
{
    int64_t step_ms = (int64_t)dice_below(&ids->dice, 2 * STEP_MS_MAX) - STEP_MS_MAX;
    if (ids->has_clocks) {
        clocks_set(&ids->clocks, server, ids->ahead_ms + step_ms);
        ids->step_count++;
    }
}

static bool kill_all(struct ids *ids)
{
    while (ids->kill_count < ids->kill_max) {
        uint32_t victim = dice_below(&ids->dice, 2);
        uint32_t lot = dice_below(&ids->dice, 3);
        if (lot == 0) {
            step_by_minutes(ids, victim); /* it runs */
        }
        if (!await_ids(ids, 1 + dice_below(&ids->dice, GROWTH)) || !kill_amid(ids, victim)) {
            return false;
        }
        if (lot == 1) {
            step_by_minutes(ids, victim);
        }
        if (!cluster_restart(&ids->cluster, victim)) {
            return fail(ids, "no start");
        }
    }
    return await_ids(ids, GROWTH);
}

/* --- clocks --- */

static bool start_again(struct ids *ids, uint32_t server, bool is_killed)
{
    struct server *process = &ids->cluster.daemons[server].server;
    if (is_killed) {
        cluster_kill(&ids->cluster, server);
        ids->kill_count++;
    } else {
        server_signal(process, SIGTERM);
        if (server_reap(process) != 0) {
            return fail(ids, "no clean end");
        }
    }
    ids->start_count++;
    return cluster_restart(&ids->cluster, server) || fail(ids, "no start");
}

/* Both servers give ids at this time, or refuse to: for each its own slices tell. */
static bool is_given_by_both(struct ids *ids, uint64_t within_us)
{
    static const uint32_t of_each[] = {OF_A, OF_B};
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t took_us = 0;
        if (!minters_mint(ids->minters, of_each[i], 1, &took_us)) {
            return fail(ids, "no id, though clocks are right, or behind by minutes");
        }
        if (took_us > within_us) {
            printf("# server %s: %" PRIu64 " ms\n", ids->cluster.daemons[i].name, took_us / 1000);
            return fail(ids, "an id came late");
        }
    }
    return true;
}

/* More than the logs hold, so that each begins behind the reserve: where that stands then, the tree tells. */
static bool fill_logs(struct ids *ids)
{
    static char value[FILLING_LEN];
    char key[32];
    memset(value, 'f', sizeof(value));
    for (uint32_t i = 0; i < FILLINGS; i++) {
        (void)snprintf(key, sizeof(key), "filling-%u", i % (FILLINGS / 4));
        if (skv_write(ids->kv, skv_key(key), skv_bin(value, sizeof(value)), NULL, NULL) != SKV_OK) {
            return fail(ids, skv_error()->text);
        }
    }
    return true;
}

/* All are behind by hours: nothing is given, before and after a start. */
static bool stay_behind(struct ids *ids, int64_t ms)
{
    minters_pause(ids->minters);
    minters_expect_refusals(ids->minters, true);
    uint64_t given = counts_of(ids).given;
    clocks_set_all(&ids->clocks, ids->ahead_ms - ms);
    minters_go_on(ids->minters);
    bool is_done = await_refusals(ids) && fill_logs(ids) &&
                   start_again(ids, 0, dice_below(&ids->dice, 2)) &&
                   start_again(ids, 1, dice_below(&ids->dice, 2)) && await_refusals(ids);
    minters_pause(ids->minters);
    if (counts_of(ids).given != given) {
        return fail(ids, "ids were given by a clock that is hours behind");
    }
    minters_expect_refusals(ids->minters, false);
    clocks_set_all(&ids->clocks, ids->ahead_ms);
    minters_go_on(ids->minters);
    return is_done;
}

static bool step_by_hours(struct ids *ids)
{
    int64_t hours_ms = (int64_t)HOUR_MS * (1 + dice_below(&ids->dice, HOURS_MAX));
    ids->ahead_ms += hours_ms;
    clocks_set_all(&ids->clocks, ids->ahead_ms);
    ids->step_count += 2;
    return await_ids(ids, GROWTH) && is_given_by_both(ids, PATIENCE_US) &&
           stay_behind(ids, hours_ms) && await_ids(ids, GROWTH) &&
           is_given_by_both(ids, PATIENCE_US);
}

/* Minutes are passed over: no id is below, and nobody waits for the clock. */
static bool start_behind(struct ids *ids)
{
    minters_pause(ids->minters);
    clocks_set_all(&ids->clocks, ids->ahead_ms - MINUTES_BACK_MS);
    ids->step_count++;
    bool is_done = start_again(ids, 0, false) && start_again(ids, 1, true) &&
                   is_given_by_both(ids, START_US_MAX);
    minters_go_on(ids->minters);
    is_done = is_done && await_ids(ids, GROWTH) && start_again(ids, 0, true) &&
              start_again(ids, 1, false) && await_ids(ids, GROWTH) &&
              is_given_by_both(ids, START_US_MAX);
    clocks_set_all(&ids->clocks, ids->ahead_ms);
    return is_done && await_ids(ids, GROWTH);
}

static bool step_clocks(struct ids *ids)
{
    uint32_t count = 1 + ids->kill_max / KILLS_PER_STEP;
    bool is_done = ids->has_clocks;
    clocks_set_all(&ids->clocks, ids->ahead_ms);
    for (uint32_t i = 0; i < count && is_done; i++) {
        is_done = step_by_hours(ids) && start_behind(ids);
    }
    return is_done;
}

/* --- --- */

static bool begin(struct ids *ids)
{
    const struct skv_options options = {.timeout_ms = CALL_TIMEOUT_MS};
    char addresses[CLUSTER_ADDRESSES_LEN];
    cluster_init(&ids->cluster, &ids->scene);
    ids->has_clocks =
        !scene_is_sanitized() && clocks_open(&ids->clocks, &ids->scene, &ids->cluster);
    if (!cluster_start(&ids->cluster) ||
        skv_open(ids->cluster.daemons[CLUSTER_BOOTSTRAPD].address, &options, &ids->kv) != SKV_OK) {
        return fail(ids, "the cluster does not start");
    }
    ids->view = (struct view){ids->kv, &ids->cluster};
    cluster_print_addresses(&ids->cluster, addresses);
    const struct minters_config config = {
        .addresses = addresses,
        .seed = ids->scene.seed,
        .thread_count = THREADS,
        .connection_count = CONNECTIONS,
        .timeout_ms = CALL_TIMEOUT_MS,
        .pause_us_max = PAUSE_US_MAX,
        .batch_max = BATCH_MAX,
        .shards = shards,
        .shard_count = SHARD_COUNT,
    };
    ids->minters = minters_start(&config);
    return true;
}

static void judge(struct ids *ids)
{
    minters_expect_refusals(ids->minters, false);
    minters_stop(ids->minters);
    minters_judge(ids->minters);
    if (minters_violation(ids->minters)[0] && ids->violation_count == 0) {
        (void)fail(ids, minters_violation(ids->minters));
    }
}

static void print_total(const struct ids *ids)
{
    struct minters_counts counts = {0};
    if (ids->minters) {
        counts = counts_of(ids);
    }
    printf("# one alone: the longest wait for an id in each of %u moves: median %.1f ms, at most "
           "%.1f ms; without a move %.1f ms\n# %u ids of one slice at once: %.2f s\n",
           ids->gap_count, (double)ids->gap_median_us / 1000, (double)ids->gap_us / 1000,
           (double)ids->calm_us / 1000, EXHAUSTING, (double)ids->exhausting_us / 1000000);
    printf("# total: %" PRIu64 " ids of %d threads over %d connections in %" PRIu64
           " calls, %" PRIu64 " of them puts (more: %" PRIu64 " unknown, %" PRIu64
           " of full parts), %" PRIu64
           " refused; %u kills, %u moves, %u slices served by two, %u clock steps, %u starts with "
           "the clock behind; %u faults\n",
           counts.given, THREADS, CONNECTIONS, counts.calls, counts.puts, counts.unknown,
           counts.full, counts.refused, ids->kill_count, ids->move_count, ids->split_count,
           ids->step_count, ids->start_count, ids->violation_count);
}

static void keep(const struct ids *ids)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "ids-%" PRIu64, ids->scene.seed);
    scene_keep(&ids->scene, "*", name);
}

int torture_ids(uint64_t seed, uint32_t kill_count)
{
    static struct ids ids;
    ids = (struct ids){.dice = {seed}, .kill_max = kill_count};
    scene_init(&ids.scene, seed, false);
    bool is_done =
        begin(&ids) && measure_gaps(&ids) && exhaust(&ids) && move_all(&ids) && kill_all(&ids);
    if (is_done && ids.has_clocks) {
        (void)step_clocks(&ids);
    }
    if (ids.minters) {
        judge(&ids);
    }
    print_total(&ids);
    tap_result(&ids.scene.tap, ids.violation_count == 0,
               "kills, moves and stepped clocks: no id is given twice, and those of a slice grow");
    minters_free(ids.minters);
    skv_close(ids.kv);
    cluster_end(&ids.cluster);
    clocks_close(&ids.clocks);
    if (ids.violation_count) {
        keep(&ids);
    }
    return scene_end(&ids.scene);
}
