/* SPDX-License-Identifier: MIT */
#include "tests/torture/tortures.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/clock.h"
#include "libclient/shardkv.h"
#include "proto/map.h"
#include "proto/pack.h"
#include "tests/torture/ballast.h"
#include "tests/torture/cluster.h"
#include "tests/torture/crowd.h"
#include "tests/torture/links.h"
#include "tests/torture/mover.h"

/*
 * Shards, and parts of them, move to and fro between three servers under the load of several clients, and each
 * second or so a random one of source, target and bootstrapd dies by kill -9 and comes back; or the way between two
 * of these is cut for a while, in one direction or both.
 *
 *     round:  crowd of new keys + moves + kills, 20 s ─> all up, moves end ─> each key's history is checked;
 *             ballast and counts are compared
 */

enum { ROUND_MS = 20000, KEY_COUNT = 90, THREADS = 8, CALL_TIMEOUT_MS = 12000 };
enum { MOVE_PAUSE_MS = 400, KILL_MS_MAX = 1800, DOWN_MS_MAX = 400, TICK_US = 10000 };
enum { CUT_MS_MAX = 2500 };
enum { VIOLATIONS_MAX = 5 };

/*
 * Popped values that are kept for clients whose last word, that they have them, met a server that was down, or that
 * has given the range away (RULES Q2): some of each, of the largest.
 */
#define KEPT_MAX (UINT64_C(90000) * THREADS)

/* Somebody dies, or a way is cut: at some time, or so long after the next move was asked for. */
enum { SOON_MS_MAX = 120, PATIENCE_MS = 3000 };

/* How two are cut apart. */
enum cut { CUT_THERE, CUT_BACK, CUT_BOTH, CUTS };

struct moves {
    struct scene scene;
    bool has_links; /* ways are cut, and nobody is killed */
    struct links links;
    bool is_cut;
    uint64_t mend_us;
    uint64_t next_us;     /* something is to happen */
    bool waits_for_move;  /* and a move is to be asked for first */
    uint32_t asked_count; /* moves until then */
    uint32_t cut_count[CUTS];
    uint32_t phase_count[MOVE_PHASE_LAST + 1]; /* of moves that were seen while a way was cut */
    struct cluster cluster;
    struct dice dice;
    struct skv *kv; /* of this thread */
    bool is_started;
    uint32_t round;
    uint32_t kill_count[CLUSTER_DAEMONS];
    uint32_t operation_count;
    uint32_t violation_count;
    bool is_wrong; /* in this round */
    struct mover_totals moved;
    struct crowd_totals totals;
    uint64_t down_until_us[CLUSTER_DAEMONS];
};

static void fail(struct moves *moves, const char *what)
{
    printf("# VIOLATION: SEED=%" PRIu64 ", round %u: %s\n", moves->scene.seed, moves->round, what);
    moves->violation_count += !moves->is_wrong;
    moves->is_wrong = true;
}

/* --- kills --- */

/* Source, target and bootstrapd; any two servers as long as nothing has moved. */
static void find_ends(struct moves *moves, const struct mover *mover, uint32_t ends[3])
{
    uint32_t any = dice_below(&moves->dice, CLUSTER_SERVERS);
    bool is_known = mover_source(mover) < CLUSTER_SERVERS;
    ends[0] = is_known ? mover_source(mover) : any;
    ends[1] = is_known ? mover_target(mover) : (any + 1) % CLUSTER_SERVERS;
    ends[2] = CLUSTER_BOOTSTRAPD;
}

static uint32_t draw_victim(struct moves *moves, const struct mover *mover)
{
    uint32_t ends[3];
    find_ends(moves, mover, ends);
    return ends[dice_below(&moves->dice, 3)];
}

static void kill_one(struct moves *moves, uint32_t victim, uint64_t now_us)
{
    if (cluster_is_up(&moves->cluster, victim)) {
        cluster_kill(&moves->cluster, victim);
        moves->kill_count[victim]++;
        moves->down_until_us[victim] =
            now_us + 1000 * (uint64_t)dice_below(&moves->dice, DOWN_MS_MAX);
    }
}

/* Those whose time has come; all when `now_us` is UINT64_MAX. */
static bool raise(struct moves *moves, uint64_t now_us)
{
    for (uint32_t i = 0; i < CLUSTER_DAEMONS; i++) {
        if (!cluster_is_up(&moves->cluster, i) && now_us >= moves->down_until_us[i] &&
            !cluster_restart(&moves->cluster, i)) {
            fail(moves, "no start");
            return false;
        }
    }
    return true;
}

/* --- cuts --- */

static void cut_one(struct moves *moves, const struct mover *mover, uint64_t now_us)
{
    uint32_t ends[3];
    find_ends(moves, mover, ends);
    uint32_t first = dice_below(&moves->dice, 3);
    uint32_t from = ends[first];
    uint32_t to = ends[(first + 1) % 3];
    enum cut cut = (enum cut)dice_below(&moves->dice, CUTS);
    if (cut != CUT_BACK) {
        links_cut(&moves->links, from, to);
    }
    if (cut != CUT_THERE) {
        links_cut(&moves->links, to, from);
    }
    moves->cut_count[cut]++;
    moves->is_cut = true;
    moves->mend_us = now_us + 1000 * (uint64_t)(50 + dice_below(&moves->dice, CUT_MS_MAX));
}

/* In which phases the map has moves now. */
static void look_at_phases(struct moves *moves)
{
    struct skv_record record = {0};
    struct map_error error;
    struct map map = {0};
    const char *bootstrapd = moves->cluster.daemons[CLUSTER_BOOTSTRAPD].address;
    if (skv_request(moves->kv, bootstrapd, "map.get", (struct skv_value){.type = SKV_NIL}, 0,
                    &record) == SKV_OK) {
        struct unpack in = unpack_of(bytes_of(record.encoded.data, record.encoded.len));
        if (map_unpack(&in, &map, &error)) {
            for (uint32_t i = 0; i < map.entry_count; i++) {
                moves->phase_count[map.entries[i].move.phase]++;
            }
            map_fini(&map);
        }
    }
    skv_record_fini(&record);
}

static void mend(struct moves *moves)
{
    links_mend_all(&moves->links);
    moves->is_cut = false;
}

static void plan_next(struct moves *moves, const struct mover *mover, uint64_t now_us)
{
    moves->next_us = now_us + 1000 * (uint64_t)(200 + dice_below(&moves->dice, KILL_MS_MAX));
    moves->waits_for_move = dice_below(&moves->dice, 2) == 0;
    moves->asked_count = mover_count(mover);
}

/* A move that has just begun is in each of its phases soon. */
static bool is_time(struct moves *moves, const struct mover *mover, uint64_t now_us)
{
    bool is_due = now_us >= moves->next_us;
    if (!is_due || !moves->waits_for_move ||
        now_us >= moves->next_us + UINT64_C(1000) * PATIENCE_MS) {
        return is_due;
    }
    if (mover_count(mover) == moves->asked_count) {
        return false;
    }
    moves->waits_for_move = false;
    moves->next_us = now_us + 1000 * (uint64_t)dice_below(&moves->dice, SOON_MS_MAX);
    return false;
}

/* While a way is cut, until it is mended; else it is time for another. */
static void cut_or_mend(struct moves *moves, const struct mover *mover, uint64_t now_us)
{
    if (!moves->is_cut) {
        if (is_time(moves, mover, now_us)) {
            cut_one(moves, mover, now_us);
        }
        return;
    }
    look_at_phases(moves);
    if (now_us >= moves->mend_us) {
        mend(moves);
        plan_next(moves, mover, now_us);
    }
}

/* Until the deadline. False: a daemon has ended by itself, or does not start. */
static bool disturb(struct moves *moves, const struct mover *mover, uint64_t deadline_us)
{
    uint64_t now_us = clock_mono_us();
    plan_next(moves, mover, now_us);
    for (; now_us < deadline_us; now_us = clock_mono_us()) {
        if (!cluster_hear(&moves->cluster)) {
            fail(moves, "a daemon has ended by itself");
            return false;
        }
        if (!raise(moves, now_us)) {
            return false;
        }
        if (moves->has_links) {
            cut_or_mend(moves, mover, now_us);
        } else if (is_time(moves, mover, now_us)) {
            kill_one(moves, draw_victim(moves, mover), now_us);
            plan_next(moves, mover, now_us);
        }
        usleep(TICK_US);
    }
    mend(moves);
    return raise(moves, UINT64_MAX);
}

/* --- what became of it --- */

static void check_histories(struct moves *moves, struct crowd *crowd)
{
    if (!crowd_is_explained(crowd, &moves->operation_count)) {
        fail(moves, "the history of a key");
    }
    if (crowd_violation(crowd)[0]) {
        fail(moves, crowd_violation(crowd));
    }
}

static bool load_ballast(struct moves *moves)
{
    char why[BALLAST_WHY_LEN];
    bool is_loaded = ballast_load(moves->kv, why);
    if (!is_loaded) {
        fail(moves, why);
    }
    return is_loaded;
}

static bool start_cluster(struct moves *moves)
{
    const struct skv_options options = {.timeout_ms = CALL_TIMEOUT_MS};
    cluster_init(&moves->cluster, &moves->scene);
    moves->is_started = (!moves->has_links || links_open(&moves->links, &moves->cluster)) &&
                        cluster_start(&moves->cluster) &&
                        skv_open(moves->cluster.daemons[CLUSTER_BOOTSTRAPD].address, &options,
                                 &moves->kv) == SKV_OK &&
                        load_ballast(moves);
    if (!moves->is_started) {
        fail(moves, "the cluster does not start");
    }
    return moves->is_started;
}

static void end_round(struct moves *moves, struct mover *mover, struct crowd *crowd)
{
    if (!mover_settle(mover, &moves->moved)) {
        fail(moves, "moves do not end");
    }
    crowd_stop(crowd);
    if (!moves->is_wrong) {
        (void)crowd_read_all(crowd);
    }
    check_histories(moves, crowd);
    crowd_add_totals(crowd, &moves->totals);
}

static void run_round(struct moves *moves, uint32_t round_ms)
{
    char name[32];
    char addresses[CLUSTER_ADDRESSES_LEN];
    uint64_t seed = moves->scene.seed * 10000 + moves->round;
    (void)snprintf(name, sizeof(name), "r%u", moves->round);
    cluster_print_addresses(&moves->cluster, addresses);
    const struct crowd_config config = {
        .addresses = addresses,
        .name = name,
        .seed = seed,
        .key_count = KEY_COUNT,
        .thread_count = THREADS,
        .timeout_ms = CALL_TIMEOUT_MS,
    };
    struct crowd *crowd = crowd_start(&config);
    struct mover *mover = mover_start(&moves->cluster, seed, MOVE_PAUSE_MS);
    (void)disturb(moves, mover, clock_mono_us() + 1000 * (uint64_t)round_ms);
    mover_stop(mover);
    end_round(moves, mover, crowd);
    mover_free(mover);
    crowd_free(
        crowd); /* whose clients say that they have all answers: no popped value is kept (RULES Q2) */
    char why[BALLAST_WHY_LEN];
    if (!moves->is_wrong && !ballast_is_there(moves->kv, &moves->cluster, KEPT_MAX, why)) {
        fail(moves, why);
    }
}

static void clear(struct moves *moves)
{
    skv_close(moves->kv);
    moves->kv = NULL;
    cluster_end(&moves->cluster);
    links_close(&moves->links);
    for (uint32_t i = 0; i < CLUSTER_DAEMONS; i++) {
        scene_remove(moves->cluster.daemons[i].data);
        scene_remove(moves->cluster.daemons[i].log);
    }
    moves->is_started = false;
}

static void begin_anew(struct moves *moves)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "move-%" PRIu64 "-%u", moves->scene.seed, moves->round);
    cluster_end(&moves->cluster);
    scene_keep(&moves->scene, "*", name);
    clear(moves);
    moves->moved.last_number = 0;
    moves->is_wrong = false;
}

static void print_cuts(const struct moves *moves)
{
    const uint32_t *phases = moves->phase_count;
    printf("# ways cut: %u there, %u back, %u both; meanwhile moves were seen to copy %u times, "
           "committed "
           "%u, opened %u, aborted %u\n",
           moves->cut_count[CUT_THERE], moves->cut_count[CUT_BACK], moves->cut_count[CUT_BOTH],
           phases[MOVE_COPY], phases[MOVE_COMMITTED], phases[MOVE_OPENED], phases[MOVE_ABORTED]);
}

static void print_total(const struct moves *moves)
{
    const uint32_t *kills = moves->kill_count;
    printf(
        "# total: %u rounds; %u moves done, %u aborted or undone, %u failed, %u refused; killed: "
        "servers %u, "
        "bootstrapd %u; %u operations checked: %" PRIu64 " done, %" PRIu64 " not, %" PRIu64
        " unknown, the longest took %" PRIu64 " ms; %u faults\n",
        moves->round, moves->moved.done, moves->moved.aborted, moves->moved.failed,
        moves->moved.refused, kills[0] + kills[1] + kills[2], kills[CLUSTER_BOOTSTRAPD],
        moves->operation_count, moves->totals.done, moves->totals.unavailable,
        moves->totals.unknown, moves->totals.longest_us / 1000, moves->violation_count);
}

static int torture(uint64_t seed, uint32_t seconds, bool has_links)
{
    static struct moves moves;
    uint64_t start_us = clock_mono_us();
    uint64_t end_us = start_us + seconds * UINT64_C(1000000);
    moves = (struct moves){.dice = {seed}, .has_links = has_links};
    scene_init(&moves.scene, seed, false);
    while (clock_mono_us() < end_us && moves.violation_count < VIOLATIONS_MAX) {
        uint64_t left_ms = (end_us - clock_mono_us()) / 1000;
        if (moves.is_started || start_cluster(&moves)) {
            run_round(&moves, left_ms < ROUND_MS ? (uint32_t)left_ms + 1 : ROUND_MS);
        }
        moves.round++;
        if (moves.is_wrong) {
            begin_anew(&moves);
        }
    }
    if (has_links) {
        print_cuts(&moves);
    }
    print_total(&moves);
    tap_result(&moves.scene.tap, moves.violation_count == 0,
               has_links ? "moves under load and cut ways: each key's history is linearizable"
                         : "moves under load and kill -9: each key's history is linearizable");
    tap_result(&moves.scene.tap, moves.moved.done > 0, "moves were done meanwhile");
    clear(&moves);
    return scene_end(&moves.scene);
}

int torture_move(uint64_t seed, uint32_t seconds)
{
    return torture(seed, seconds, false);
}

int torture_links(uint64_t seed, uint32_t seconds)
{
    if (!links_enter()) {
        printf("1..0 # SKIP no network of one's own can be made here\n");
        return EXIT_SUCCESS;
    }
    return torture(seed, seconds, true);
}
