/* SPDX-License-Identifier: MIT */
#include "tests/torture/tortures.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/clock.h"
#include "libclient/shardkv.h"
#include "proto/point.h"
#include "tests/torture/ballast.h"
#include "tests/torture/crowd.h"
#include "tests/torture/links.h"
#include "tests/torture/stall.h"
#include "tests/torture/view.h"

/*
 * Each way between the three of a move is cut at each of its phases, under the load of some clients:
 *
 *     a move is begun ─> its phase is reached, and held ─> a way is cut; nothing comes through ─> it goes on
 *         ─> whoever talks that way has noticed, or the move needs it no more ─> the way is mended ─> the move ends
 *         ─> its outcome is that of the phase; each key's history is linearizable; one server owns the range
 *
 * Nothing is left to chance: a phase is held by whoever must make the next one durable, whose disk stands still
 * (tests/torture/stall.h), and it is seen by asking each of the three.
 *
 *     phase       held by                                         what then goes into the cut
 *     begun       target, which stores the entry in COPY          greeting, first slices
 *     copying     the rate                                        slices, changes
 *     frozen      target, which stores READY                      READY
 *     ready       bootstrapd, which stores COMMITTED              the map with COMMITTED
 *     committed   target, which stores OPEN                       OPEN
 *     undo        target, which stands still, and dies            READY in UNDO, the map with ABORTED
 *     opened      source, whose tree deletes                      that all is gone
 *     aborted     bootstrapd, which stores the wish to abort      the map with ABORTED
 */

enum { KEY_COUNT = 30, THREADS = 4, CALL_TIMEOUT_MS = 20000, LOOK_AGAIN_US = 3000 };

#define PATIENCE_US UINT64_C(30000000)

/* Slow enough for a look, and fast enough for a test: a second and a half for all. */
#define COPYING_BYTES_PER_S 1500000

/* RULES Q2: what is popped is kept until a client's last word, which may not have come through. */
#define KEPT_MAX (UINT64_C(90000) * THREADS)

static const char shard[] = "low";

struct trial;

struct phase {
    const char *name;
    bool (*reach)(struct trial *trial);
    void (*release)(struct trial *trial);
    const char *outcome;
    bool has_stream; /* source and target have a connection */
};

enum way { WAY_THERE, WAY_BACK, WAY_BOTH, WAYS };

enum { PAIRS = 3 };

struct trial {
    struct scene scene;
    struct cluster cluster;
    struct links links;
    struct skv *kv;
    struct view view;
    char preload[SCENE_PATH_LEN + 32];
    char stalls[CLUSTER_DAEMONS][SCENE_PATH_LEN + 64];
    char key[32]; /* of the range */

    const struct phase *phase;
    uint32_t source, target;
    uint32_t from, to; /* the pair */
    enum way way;
    uint64_t number, id; /* of the move */
    bool has_target_served;
    bool is_wrong;

    uint32_t trial_count, violation_count, noticed_count;
    uint64_t again_count; /* segments that were sent again */
    uint32_t operation_count;
    struct crowd_totals totals;
};

static const char *const way_names[WAYS] = {"there", "back", "both"};

static void fail(struct trial *trial, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void fail(struct trial *trial, const char *format, ...)
{
    va_list arguments;
    const struct daemon *daemons = trial->cluster.daemons;
    printf("# VIOLATION: SEED=%" PRIu64 " trial %u, %s, %s to %s cut %s: ", trial->scene.seed,
           trial->trial_count, trial->phase ? trial->phase->name : "founding",
           daemons[trial->from].name, daemons[trial->to].name, way_names[trial->way]);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    trial->violation_count += !trial->is_wrong;
    trial->is_wrong = true;
}

/* --- stalling --- */

static void print_stall(const struct trial *trial, uint32_t daemon, const char *suffix,
                        char path[SCENE_PATH_LEN + 64])
{
    (void)snprintf(path, SCENE_PATH_LEN + 64, "%s%s", trial->cluster.daemons[daemon].data, suffix);
}

static bool is_waiting(const struct trial *trial, uint32_t daemon)
{
    char path[SCENE_PATH_LEN + 64];
    print_stall(trial, daemon, STALL_WAITS, path);
    return access(path, F_OK) == 0;
}

static void stall(const struct trial *trial, uint32_t daemon, const char *what)
{
    char path[SCENE_PATH_LEN + 64];
    print_stall(trial, daemon, what, path);
    FILE *file = fopen(path, "we");
    if (!file || fclose(file) != 0) {
        perror(path);
        abort();
    }
}

/* Its wait has ended when this returns: another may then be told from it. */
static void unstall(const struct trial *trial, uint32_t daemon)
{
    char path[SCENE_PATH_LEN + 64];
    print_stall(trial, daemon, STALL_LOG, path);
    (void)unlink(path);
    print_stall(trial, daemon, STALL_TREE, path);
    (void)unlink(path);
    print_stall(trial, daemon, STALL_WAITS, path);
    while (access(path, F_OK) == 0 && cluster_is_up(&trial->cluster, daemon)) {
        usleep(LOOK_AGAIN_US);
    }
    (void)unlink(path);
}

static void unstall_all(const struct trial *trial)
{
    for (uint32_t i = 0; i < CLUSTER_DAEMONS; i++) {
        unstall(trial, i);
    }
}

/* --- what is awaited --- */

typedef bool is_so(struct trial *trial);

/* False: it does not come, or a daemon has ended by itself. */
static bool await(struct trial *trial, is_so *is_reached)
{
    uint64_t deadline_us = clock_mono_us() + PATIENCE_US;
    while (!is_reached(trial)) {
        if (clock_mono_us() > deadline_us || !cluster_hear(&trial->cluster)) {
            return false;
        }
        usleep(LOOK_AGAIN_US);
    }
    return true;
}

/* The phase that the map has of this move, whose id is taken down; MOVE_NONE: none, or nobody tells. */
static enum move_phase map_phase(struct trial *trial)
{
    struct view_entry entry;
    if (!view_entry(&trial->view, shard, &entry)) {
        return MOVE_NONE;
    }
    trial->id = entry.phase == MOVE_COPY ? entry.id : trial->id;
    return entry.phase;
}

static bool is_copy(struct trial *trial)
{
    return map_phase(trial) == MOVE_COPY && is_waiting(trial, trial->target);
}

static bool is_copying(struct trial *trial)
{
    struct view_move move;
    return map_phase(trial) == MOVE_COPY && view_move(&trial->view, trial->number, &move) &&
           move.records > 0 && move.records_left > 0;
}

static bool is_frozen(struct trial *trial)
{
    return is_waiting(trial, trial->target) &&
           view_part(&trial->view, trial->source, trial->id) == MOVE_SOURCE_FROZEN;
}

static bool is_ready(struct trial *trial)
{
    return is_waiting(trial, CLUSTER_BOOTSTRAPD) &&
           view_part(&trial->view, trial->target, trial->id) == MOVE_TARGET_READY;
}

static bool is_committed(struct trial *trial)
{
    return map_phase(trial) == MOVE_COMMITTED && is_waiting(trial, trial->target) &&
           view_part(&trial->view, trial->source, trial->id) == MOVE_SOURCE_CLOSED;
}

static bool is_decided(struct trial *trial)
{
    return map_phase(trial) == MOVE_COMMITTED;
}

static bool is_undo(struct trial *trial)
{
    return map_phase(trial) == MOVE_UNDO;
}

static bool is_deleting(struct trial *trial)
{
    return map_phase(trial) == MOVE_OPENED && is_waiting(trial, trial->source) &&
           view_part(&trial->view, trial->source, trial->id) == MOVE_SOURCE_DELETING;
}

static bool is_bootstrapd_waiting(struct trial *trial)
{
    return is_waiting(trial, CLUSTER_BOOTSTRAPD);
}

/* --- phases --- */

static bool start(struct trial *trial, uint64_t bytes_per_s)
{
    trial->number = view_start(&trial->view, shard, trial->target, bytes_per_s);
    return trial->number != 0;
}

static bool reach_begun(struct trial *trial)
{
    stall(trial, trial->target, STALL_LOG);
    return start(trial, 0) && await(trial, is_copy);
}

static void release_target(struct trial *trial)
{
    unstall(trial, trial->target);
}

static bool reach_copying(struct trial *trial)
{
    return start(trial, COPYING_BYTES_PER_S) && await(trial, is_copying);
}

static void release_rate(struct trial *trial)
{
    (void)view_ask(&trial->view, "move.throttle", trial->number);
}

static bool reach_frozen(struct trial *trial)
{
    if (!reach_copying(trial)) {
        return false;
    }
    stall(trial, trial->target, STALL_LOG);
    return view_ask(&trial->view, "move.throttle", trial->number) && await(trial, is_frozen);
}

static bool reach_ready(struct trial *trial)
{
    if (!reach_frozen(trial)) {
        return false;
    }
    stall(trial, CLUSTER_BOOTSTRAPD, STALL_LOG);
    unstall(trial, trial->target);
    return await(trial, is_ready);
}

static void release_bootstrapd(struct trial *trial)
{
    unstall(trial, CLUSTER_BOOTSTRAPD);
}

static bool reach_committed(struct trial *trial)
{
    if (!reach_ready(trial)) {
        return false;
    }
    stall(trial, trial->target, STALL_LOG);
    unstall(trial, CLUSTER_BOOTSTRAPD);
    return await(trial, is_committed);
}

/* The target has not read that it owns the range, and what was sent to it dies with it: only UNDO reaches it. */
static bool reach_undo(struct trial *trial)
{
    if (!reach_ready(trial)) {
        return false;
    }
    server_signal(&trial->cluster.daemons[trial->target].server, SIGSTOP);
    unstall(trial, CLUSTER_BOOTSTRAPD);
    bool is_reached = await(trial, is_decided) &&
                      view_ask(&trial->view, "move.undo", trial->number) && await(trial, is_undo);
    cluster_kill(&trial->cluster, trial->target);
    return is_reached;
}

static void restart_target(struct trial *trial)
{
    if (!cluster_is_up(&trial->cluster, trial->target) &&
        !cluster_restart(&trial->cluster, trial->target)) {
        fail(trial, "the target does not start");
    }
}

static bool reach_opened(struct trial *trial)
{
    if (!reach_committed(trial)) {
        return false;
    }
    stall(trial, trial->source, STALL_TREE);
    unstall(trial, trial->target);
    return await(trial, is_deleting);
}

static void release_source(struct trial *trial)
{
    unstall(trial, trial->source);
}

/* Nobody answers a wish that is not stored. */
static bool reach_aborted(struct trial *trial)
{
    if (!reach_frozen(trial)) {
        return false;
    }
    stall(trial, CLUSTER_BOOTSTRAPD, STALL_LOG);
    (void)view_ask(&trial->view, "move.abort", trial->number);
    return await(trial, is_bootstrapd_waiting);
}

static void release_both(struct trial *trial)
{
    unstall(trial, CLUSTER_BOOTSTRAPD);
    unstall(trial, trial->target);
}

static const struct phase phases[] = {
    {"begun", reach_begun, release_target, "done", true},
    {"copying", reach_copying, release_rate, "done", true},
    {"frozen", reach_frozen, release_target, "done", true},
    {"ready", reach_ready, release_bootstrapd, "done", false},
    {"committed", reach_committed, release_target, "done", false},
    {"undo", reach_undo, restart_target, "undone", false},
    {"opened", reach_opened, release_source, "done", false},
    {"aborted", reach_aborted, release_both, "aborted", false},
};

enum { PHASES = sizeof(phases) / sizeof(phases[0]), TRIALS = PHASES * PAIRS * WAYS };

/* --- the cut --- */

static void find_pair(struct trial *trial, uint32_t pair)
{
    const uint32_t ends[PAIRS] = {trial->source, trial->target, CLUSTER_BOOTSTRAPD};
    trial->from = ends[pair];
    trial->to = ends[(pair + 1) % PAIRS];
}

static void cut(struct trial *trial)
{
    if (trial->way != WAY_BACK) {
        links_cut(&trial->links, trial->from, trial->to);
    }
    if (trial->way != WAY_THERE) {
        links_cut(&trial->links, trial->to, trial->from);
    }
    bool is_open_there = links_carries(&trial->links, trial->from, trial->to);
    bool is_open_back = links_carries(&trial->links, trial->to, trial->from);
    if (is_open_there != (trial->way == WAY_BACK) || is_open_back != (trial->way == WAY_THERE)) {
        fail(trial, "the way is not cut as it should be");
    }
}

static void mend(struct trial *trial)
{
    links_mend_all(&trial->links);
    if (!links_carries(&trial->links, trial->from, trial->to) ||
        !links_carries(&trial->links, trial->to, trial->from)) {
        fail(trial, "the way is not mended");
    }
}

static struct links_count count_both(const struct trial *trial)
{
    struct links_count from = links_count(&trial->cluster.daemons[trial->from]);
    struct links_count to = links_count(&trial->cluster.daemons[trial->to]);
    return (struct links_count){from.sent_again + to.sent_again, from.begun + to.begun};
}

static bool is_over(const struct trial *trial, struct view_move *move)
{
    return view_move(&trial->view, trial->number, move) && strcmp(move->course, "going") != 0 &&
           strcmp(move->course, "waiting") != 0;
}

/*
 * Whether the cut has had its effect. A way to bootstrapd: the server counts as down. Between servers with a stream: that
 * was given up, and a new connection is tried; or nothing was to go that way any more, and the move is over.
 */
static bool is_noticed(struct trial *trial, const struct links_count *before)
{
    struct view_move move;
    uint32_t bootstrapd = CLUSTER_BOOTSTRAPD;
    if (trial->from == bootstrapd || trial->to == bootstrapd) {
        return !view_is_up(&trial->view, trial->from == bootstrapd ? trial->to : trial->from);
    }
    struct links_count now = count_both(trial);
    bool is_given_up = now.sent_again > before->sent_again && now.begun > before->begun;
    return (trial->phase->has_stream && is_given_up) || is_over(trial, &move);
}

/*
 * Who serves. A range that went to the target does not come back; one that is given back was never there. The library
 * asks at most VIEW_SERVES_MS each.
 */
static void look_at_owners(struct trial *trial)
{
    bool goes_over = strcmp(trial->phase->outcome, "done") == 0;
    bool is_target = cluster_is_up(&trial->cluster, trial->target) &&
                     view_serves(&trial->view, trial->target, trial->key);
    trial->has_target_served |= is_target;
    if (trial->has_target_served && !goes_over) {
        fail(trial, "the target serves what it was never to open");
    } else if (trial->has_target_served && view_serves(&trial->view, trial->source, trial->key)) {
        fail(trial, "source and target both serve");
    }
}

static void await_notice(struct trial *trial, const struct links_count *before)
{
    uint64_t deadline_us = clock_mono_us() + PATIENCE_US;
    while (!is_noticed(trial, before) && !trial->is_wrong) {
        if (clock_mono_us() > deadline_us || !cluster_hear(&trial->cluster)) {
            fail(trial, "nobody notices the cut");
        }
        look_at_owners(trial);
        usleep(LOOK_AGAIN_US);
    }
    trial->noticed_count++;
}

/* --- its end --- */

static void await_end(struct trial *trial)
{
    struct view_move move;
    uint64_t deadline_us = clock_mono_us() + PATIENCE_US;
    while (!is_over(trial, &move) && !trial->is_wrong) {
        if (clock_mono_us() > deadline_us || !cluster_hear(&trial->cluster)) {
            fail(trial, "the move does not end: %s, %s", move.course, move.reason);
        }
        look_at_owners(trial);
        usleep(LOOK_AGAIN_US);
    }
    if (!trial->is_wrong && strcmp(move.course, trial->phase->outcome) != 0) {
        fail(trial, "the move is %s, not %s: %s", move.course, trial->phase->outcome, move.reason);
    }
}

static bool is_owned_by_one(struct trial *trial)
{
    struct view_entry entry;
    uint32_t count = 0;
    if (!view_entry(&trial->view, shard, &entry)) {
        return false;
    }
    for (uint32_t i = 0; i < CLUSTER_SERVERS; i++) {
        bool serves = view_serves(&trial->view, i, trial->key);
        count += serves;
        if (serves != (i == entry.owner)) {
            return false;
        }
    }
    return count == 1;
}

static void check_rest(struct trial *trial, struct crowd *crowd)
{
    char why[BALLAST_WHY_LEN];
    if (!trial->is_wrong && !await(trial, is_owned_by_one)) {
        fail(trial, "not exactly the one server that the map names serves");
    }
    crowd_stop(crowd);
    if (!trial->is_wrong) {
        (void)crowd_read_all(crowd);
    }
    if (!crowd_is_explained(crowd, &trial->operation_count)) {
        fail(trial, "the history of a key");
    }
    if (crowd_violation(crowd)[0]) {
        fail(trial, "%s", crowd_violation(crowd));
    }
    crowd_add_totals(crowd, &trial->totals);
    crowd_free(crowd); /* whose clients say that they have all answers: no popped value is kept */
    if (!trial->is_wrong && !ballast_is_there(trial->kv, &trial->cluster, KEPT_MAX, why)) {
        fail(trial, "%s", why);
    }
}

/* --- a trial --- */

static struct crowd *start_crowd(const struct trial *trial, char name[32],
                                 char addresses[CLUSTER_ADDRESSES_LEN])
{
    (void)snprintf(name, 32, "t%u", trial->trial_count);
    cluster_print_addresses(&trial->cluster, addresses);
    const struct crowd_config config = {
        .addresses = addresses,
        .name = name,
        .seed = trial->scene.seed * 10000 + trial->trial_count,
        .key_count = KEY_COUNT,
        .thread_count = THREADS,
        .timeout_ms = CALL_TIMEOUT_MS,
    };
    return crowd_start(&config);
}

/* The range goes from whoever has it to the one of a and c that has not. */
static bool find_ends(struct trial *trial)
{
    struct view_entry entry;
    if (!view_entry(&trial->view, shard, &entry) || entry.owner >= CLUSTER_SERVERS) {
        return false;
    }
    trial->source = entry.owner;
    trial->target = entry.owner == 0 ? 2 : 0;
    return true;
}

static void go_through(struct trial *trial)
{
    if (!trial->phase->reach(trial)) {
        fail(trial, "the phase is not reached");
        return;
    }
    struct links_count before = count_both(trial);
    cut(trial);
    trial->phase->release(trial);
    await_notice(trial, &before);
    trial->again_count += count_both(trial).sent_again - before.sent_again;
    mend(trial);
    await_end(trial);
}

static bool is_quiet(struct trial *trial)
{
    return view_is_up(&trial->view, 0) && view_is_up(&trial->view, 1) &&
           view_is_up(&trial->view, 2);
}

static void run_trial(struct trial *trial, uint32_t index)
{
    char name[32];
    char addresses[CLUSTER_ADDRESSES_LEN];
    uint64_t start_us = clock_mono_us();
    trial->phase = &phases[index / (PAIRS * WAYS)];
    trial->way = (enum way)(index % WAYS);
    trial->has_target_served = false;
    trial->number = 0;
    trial->id = 0;
    if (!await(trial, is_quiet) || !find_ends(trial)) {
        fail(trial, "the cluster is not whole");
        return;
    }
    find_pair(trial, index / WAYS % PAIRS);
    struct crowd *crowd = start_crowd(trial, name, addresses);
    go_through(trial);
    links_mend_all(&trial->links);
    unstall_all(trial);
    restart_target(trial);
    check_rest(trial, crowd);
    printf("# %s: %s to %s %s: %s, %" PRIu64 " ms\n", trial->phase->name,
           trial->cluster.daemons[trial->from].name, trial->cluster.daemons[trial->to].name,
           way_names[trial->way], trial->is_wrong ? "wrong" : "as it should be",
           (clock_mono_us() - start_us) / 1000);
    (void)fflush(stdout);
}

/* --- all of them --- */

static void preload(struct trial *trial)
{
    (void)snprintf(trial->preload, sizeof(trial->preload), "LD_PRELOAD=%.*s/stall_preload.so",
                   SCENE_PATH_LEN - 1, trial->scene.torture);
    for (uint32_t i = 0; i < CLUSTER_DAEMONS; i++) {
        struct daemon *daemon = &trial->cluster.daemons[i];
        (void)snprintf(trial->stalls[i], sizeof(trial->stalls[i]), STALL_DATA "=%s", daemon->data);
        daemon->config.environment[0] = trial->preload;
        daemon->config.environment[1] = trial->stalls[i];
    }
}

/* One of the ballast in the lower half, which is the shard's. */
static void find_key(struct trial *trial)
{
    uint32_t index = 0;
    do {
        ballast_print_key(index++, trial->key);
    } while (point_of_key(bytes_text(trial->key)) >> 63 != 0);
}

static bool found(struct trial *trial)
{
    char why[BALLAST_WHY_LEN] = "the cluster does not start";
    const struct skv_options options = {.timeout_ms = CALL_TIMEOUT_MS};
    cluster_init(&trial->cluster, &trial->scene);
    preload(trial);
    bool is_founded =
        links_open(&trial->links, &trial->cluster) && cluster_start(&trial->cluster) &&
        skv_open(trial->cluster.daemons[CLUSTER_BOOTSTRAPD].address, &options, &trial->kv) ==
            SKV_OK &&
        ballast_load(trial->kv, why);
    trial->view = (struct view){trial->kv, &trial->cluster};
    if (!is_founded) {
        fail(trial, "%s", why);
    }
    return is_founded;
}

static void clear(struct trial *trial)
{
    skv_close(trial->kv);
    trial->kv = NULL;
    cluster_end(&trial->cluster);
    links_close(&trial->links);
}

/* What is kept of it may be looked into. */
static void begin_anew(struct trial *trial)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "phases-%" PRIu64 "-%u", trial->scene.seed,
                   trial->trial_count);
    clear(trial);
    scene_keep(&trial->scene, "*", name);
    for (uint32_t i = 0; i < CLUSTER_DAEMONS; i++) {
        scene_remove(trial->cluster.daemons[i].data);
        scene_remove(trial->cluster.daemons[i].log);
    }
    trial->is_wrong = false;
}

static void print_total(const struct trial *trial)
{
    printf("# total: %u of %d cuts at phases, %" PRIu64
           " segments sent again; %u operations checked: %" PRIu64 " done, %" PRIu64
           " not, %" PRIu64 " unknown, the longest took %" PRIu64 " ms; %u faults\n",
           trial->noticed_count, TRIALS, trial->again_count, trial->operation_count,
           trial->totals.done, trial->totals.unavailable, trial->totals.unknown,
           trial->totals.longest_us / 1000, trial->violation_count);
}

/* `step` is prime to the number of ways and of pairs, so that a few have all of them. */
int torture_phases(uint64_t seed, uint32_t step, uint32_t only)
{
    static struct trial trial;
    if (!links_enter()) {
        printf("1..0 # SKIP no network of one's own can be made here\n");
        return EXIT_SUCCESS;
    }
    trial = (struct trial){.way = WAY_BOTH};
    scene_init(&trial.scene, seed, false);
    find_key(&trial);
    for (uint32_t index = only < TRIALS ? only : 0; index < TRIALS && trial.violation_count < 5;
         index += only < TRIALS ? TRIALS : step) {
        trial.trial_count = index;
        if (trial.kv || found(&trial)) {
            run_trial(&trial, index);
        }
        if (trial.is_wrong) {
            begin_anew(&trial);
        }
    }
    print_total(&trial);
    tap_result(&trial.scene.tap, trial.violation_count == 0,
               "a way that is cut at a phase of a move leads to the outcome of that phase");
    clear(&trial);
    return scene_end(&trial.scene);
}
