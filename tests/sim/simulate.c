/* SPDX-License-Identifier: MIT */

/*
 * simulate: whole clusters in one process, on virtual time, each from one seed (RULES W).
 *
 *     simulate -> storm (crashes, partitions), client -> entity, raw, carrier (moves), observer -> mixup    who does what
 *         |                                      |
 *         +-> passage (what moves went through), mints (what ids were given)
 *         +-> oracle -> checker -> history       +-> scene -> daemon, actor      who there is
 *                                                               |
 *             bodies of io/ and of shardd/tree -> network, disk, fiber           what they stand on
 *                                                   -> world -> heap, trace, counter, swarm
 *             logview, for daemon: a server's log, read without the server
 *
 * Replaced at link time: loop, conn, listener, net, worker, file, clock, random, tree, and logline,
 * so that a daemon that ends itself is a crash; wrapped: malloc, assert, and the minter. Each seed, or
 * each N-th, runs twice and must leave the same trace. Output is TAP.
 */

#include "io/options.h"
#include "tests/sim/carrier.h"
#include "tests/sim/client.h"
#include "tests/sim/entity.h"
#include "tests/sim/heap.h"
#include "tests/sim/lastwords.h"
#include "tests/sim/mints.h"
#include "tests/sim/network.h"
#include "tests/sim/observer.h"
#include "tests/sim/oracle.h"
#include "tests/sim/passage.h"
#include "tests/sim/raw.h"
#include "tests/sim/storm.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* From so many seeds on, each kind of fault and state must have occurred. */
#define RUNS_FOR_ALL_KINDS 100

/* And from so many on, what is rare: each step of a move, a crash of each party there, and what few seeds have of ids. */
#define RUNS_FOR_ALL_STEPS 1000

/* Memory that is kept for the next process: a piece (malloc takes no more), and in all. */
enum { KEPT_LEN_MAX = 32 << 20, KEPT_TOTAL_MAX = 512 << 20 };

/* Virtual time from the end of the faults to the end of the run. */
#define END_WITHIN_US (700 * SECOND_US)

struct settings {
    uint64_t seed;
    uint64_t runs;
    uint64_t compare_every;
    bool is_verbose;
};

/* --- one run of one seed --- */

static void look(const struct scene *scene)
{
    oracle_check_serving(scene);
    passage_see(scene);
}

static void start_daemons(const struct scene *scene)
{
    bool starts_with_servers = world_swarm()->starts_with_servers;
    for (uint32_t i = 0; i < scene->daemon_count; i++) {
        bool is_first = (i == DAEMON_BOOTSTRAPD) != starts_with_servers;
        daemon_start(scene->daemons[i], world_around(SECOND_US / 4) + (is_first ? 0 : SECOND_US));
    }
}

static bool are_all_done(const struct scene *scene)
{
    return scene_are_others_done(scene, NULL);
}

static void run_until_done(const struct scene *scene)
{
    uint64_t limit_us = world_now_us() + END_WITHIN_US;
    while (!are_all_done(scene)) {
        if (!world_step(limit_us)) {
            violation("the clients do not come to their end");
        }
        look(scene);
    }
}

static void run_scene(struct scene *scene, bool is_first)
{
    struct client *clients[SCENE_ACTORS_MAX];
    uint32_t client_count = world_swarm()->client_count;
    for (uint32_t i = 0; i < client_count; i++) {
        clients[i] = client_new(scene, i);
    }
    doubler_new(scene);
    dawdler_new(scene);
    struct carrier *carrier = carrier_new(scene);
    observer_new(scene);
    struct storm *storm = storm_new(scene);
    start_daemons(scene);
    while (world_step(world_swarm()->fault_seconds * SECOND_US)) {
        look(scene);
    }
    world_calm();
    storm_end(storm);
    run_until_done(scene);
    if (is_first) {
        oracle_check_histories();
    }
    storm_free(storm);
    scene_end(scene);
    carrier_free(carrier);
    for (uint32_t i = 0; i < client_count; i++) {
        client_free(clients[i]);
    }
}

/* Returns the hash of its trace. The second run of a seed need not be understood again. */
static uint64_t run_seed(uint64_t seed, bool is_first, bool is_verbose)
{
    struct scene scene;
    trace_begin(is_verbose && is_first);
    counter_switch(is_first);
    world_begin(seed);
    network_begin();
    history_begin(world_swarm()->key_count);
    scene_begin(&scene);
    oracle_begin(&scene);
    passage_begin();
    mints_begin(&scene);
    entity_begin(&scene);
    run_scene(&scene, is_first);
    entity_end();
    mints_end();
    oracle_end();
    history_end();
    network_end();
    heap_end();
    world_end();
    return trace_hash();
}

static void run_again(uint64_t seed, uint64_t hash)
{
    uint64_t again = run_seed(seed, false, false);
    if (hash != again) {
        violation("two runs of one seed differ: %016" PRIx64 ", %016" PRIx64, hash, again);
    }
}

/* Returns how many seeds ran twice. */
static uint64_t run_seeds(const struct settings *settings)
{
    uint64_t compared = 0;
    for (uint64_t i = 0; i < settings->runs; i++) {
        uint64_t seed = settings->seed + i;
        uint64_t hash = run_seed(seed, true, settings->is_verbose);
        if (settings->compare_every && seed % settings->compare_every == 0) {
            run_again(seed, hash);
            compared++;
        }
        if (settings->is_verbose) {
            printf("# trace %016" PRIx64 "\n", hash);
        }
    }
    return compared;
}

/*
 * What a process frees is the next one's: the arena's blocks, megabytes each, were else given back to the kernel, which
 * clears them anew for each start.
 */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, KEPT_LEN_MAX);
    mallopt(M_TRIM_THRESHOLD, KEPT_TOTAL_MAX);
}

/* --- the report --- */

static bool print_counters(uint64_t runs)
{
    bool are_all_there = true;
    for (uint32_t i = 0; i < COUNTER_COUNT; i++) {
        uint64_t value = counter_value((enum counter)i);
        bool is_rare = i == COUNT_MINT_AHEAD || i == COUNT_MINT_MOVED || i == COUNT_MINT_SPLIT;
        bool may_miss = i == COUNT_KEY_UNDECIDED || (is_rare && runs < RUNS_FOR_ALL_STEPS);
        bool is_missing = value == 0 && !may_miss;
        printf("# counters: %10" PRIu64 " %s\n", value, counter_text((enum counter)i));
        are_all_there &= !is_missing;
    }
    bool are_moves_there = passage_print() || runs < RUNS_FOR_ALL_STEPS;
    return (are_all_there || runs < RUNS_FOR_ALL_KINDS) && are_moves_there;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct settings settings = {.seed = 1, .runs = 1, .compare_every = 1};
    const struct option_spec specs[] = {
        {"seed", 0, OPTION_NUMBER, "N", "the first seed (1)", {.number = &settings.seed}},
        {"runs",
         0,
         OPTION_NUMBER,
         "N",
         "how many seeds, from that one on (1)",
         {.number = &settings.runs}},
        {"compare-every",
         0,
         OPTION_NUMBER,
         "N",
         "run each N-th seed twice and compare the traces (1: each)",
         {.number = &settings.compare_every}},
        {"verbose", 'v', OPTION_FLAG, NULL, "print every event", {.flag = &settings.is_verbose}},
    };
    switch (options_parse(argc, argv, "simulate", "Runs whole clusters on virtual time.", specs,
                          sizeof specs / sizeof specs[0])) {
    case OPTIONS_EXIT:
        return EXIT_SUCCESS;
    case OPTIONS_USAGE:
        return 2;
    case OPTIONS_RUN:
        break;
    }
    lastwords_prepare();
    keep_memory();
    double start = seconds();
    printf("1..2\n");
    uint64_t compared = run_seeds(&settings);
    printf("ok 1 - %" PRIu64 " seeds from %" PRIu64 ": no invariant broken\n", settings.runs,
           settings.seed);
    printf("# %" PRIu64 " seeds ran twice and left the same trace\n", compared);
    bool are_all_there = print_counters(settings.runs);
    printf("%s 2 - each kind of fault and state has occurred\n", are_all_there ? "ok" : "not ok");
    printf("# %.1f seeds per second\n", (double)settings.runs / (seconds() - start));
    return are_all_there ? EXIT_SUCCESS : EXIT_FAILURE;
}
