/* SPDX-License-Identifier: MIT */
#include "tests/torture/tortures.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/clock.h"
#include "tests/torture/load.h"
#include "tests/torture/scene.h"

/*
 * kill -9 at random under a mixed load, again and again on one data directory, at both levels in turn.
 * Neither loses anything: what write() has taken outlives the process. After a fault the next round
 * begins with an empty directory.
 */

enum { KEY_COUNT = 2400, SHARD_SIZE = 1 << 30, LOAD_US_MAX = 400000, START_US_MAX = 30000 };

enum { VIOLATIONS_MAX = 10 };

struct kills {
    struct scene scene;
    struct load load;
    struct dice dice;
    bool is_founded;
    uint32_t round;
    uint32_t early_count;  /* killed before they were ready */
    uint32_t second_count; /* recovered twice */
    uint32_t violation_count;
    bool is_wrong; /* in this round */
    struct load_totals totals;
};

static void fail(struct kills *kills, const char *what)
{
    printf("# VIOLATION: SEED=%llu, round %u: %s\n", (unsigned long long)kills->scene.seed,
           kills->round, what);
    if (!kills->is_wrong) {
        char name[64];
        (void)snprintf(name, sizeof(name), "kill-%llu-%u", (unsigned long long)kills->scene.seed,
                       kills->round);
        scene_keep(&kills->scene, "data", name);
    }
    kills->violation_count += !kills->is_wrong;
    kills->is_wrong = true;
}

static bool start(struct kills *kills)
{
    scene_draw_settings(&kills->scene, &kills->dice, kills->round % 2 == 1);
    if (!scene_start(&kills->scene)) {
        fail(kills, "no start");
        return false;
    }
    return true;
}

/* A kill at any moment of the start. */
static void start_and_kill_early(struct kills *kills)
{
    scene_draw_settings(&kills->scene, &kills->dice, dice_below(&kills->dice, 2) == 0);
    server_spawn(&kills->scene.server, &kills->scene.config);
    usleep(dice_below(&kills->dice, START_US_MAX));
    server_kill(&kills->scene.server);
    kills->early_count++;
}

static bool found(struct kills *kills)
{
    char error[256] = "";
    if (!kills->is_founded &&
        !server_found(&kills->scene.server, true, SHARD_SIZE, error, sizeof(error))) {
        fail(kills, error);
        return false;
    }
    kills->is_founded = true;
    return true;
}

static bool recover_again(struct kills *kills, const struct picture *first)
{
    struct picture second = {0};
    server_kill(&kills->scene.server);
    bool is_same = start(kills) && scene_picture(&kills->scene, KEY_COUNT, &second) &&
                   picture_is_same(first, &second);
    if (!is_same) {
        fail(kills, "a second recovery gives something else");
    }
    picture_fini(&second);
    kills->second_count++;
    return is_same;
}

/* Up again, and all that was known is there. */
static bool recover(struct kills *kills)
{
    struct picture picture = {0};
    while (dice_below(&kills->dice, 4) == 0) {
        start_and_kill_early(kills);
    }
    bool is_fine = start(kills) && found(kills);
    if (is_fine && !scene_picture(&kills->scene, KEY_COUNT, &picture)) {
        fail(kills, "no scan");
        is_fine = false;
    }
    if (is_fine && dice_below(&kills->dice, 3) == 0) {
        is_fine = recover_again(kills, &picture);
    }
    if (is_fine) {
        load_open(&kills->load, kills->scene.server.port);
        is_fine = load_settle(&kills->load, &picture);
    }
    if (!is_fine) {
        fail(kills, kills->load.violation);
    }
    picture_fini(&picture);
    return is_fine;
}

static bool run_round(struct kills *kills)
{
    if (!recover(kills)) {
        return false;
    }
    kills->load.window_max = 1 + dice_below(&kills->dice, LOAD_WINDOW_MAX);
    bool is_alive = load_run(&kills->load, UINT64_MAX / 2,
                             clock_mono_us() + dice_below(&kills->dice, LOAD_US_MAX));
    if (!is_alive) {
        fail(kills, scene_why_silent(&kills->scene));
    }
    server_kill(&kills->scene.server);
    (void)load_drain(&kills->load);
    load_close(&kills->load);
    if (kills->load.violation[0]) {
        fail(kills, kills->load.violation);
    }
    return !kills->is_wrong;
}

static void begin_anew(struct kills *kills)
{
    load_add_totals(&kills->load, &kills->totals);
    load_fini(&kills->load);
    load_init(&kills->load, kills->scene.seed + kills->round, KEY_COUNT);
    scene_clear(&kills->scene);
    kills->is_founded = false;
    kills->is_wrong = false;
}

static bool stop_cleanly(struct kills *kills)
{
    load_close(&kills->load);
    server_signal(&kills->scene.server, SIGTERM);
    int status = server_reap(&kills->scene.server);
    if (status != 0) {
        fail(kills, "a clean stop that is none");
    }
    return status == 0;
}

/* --- the test of the test: a picture with a fault must be found --- */

enum fault { FAULT_LOST, FAULT_OLD, FAULT_BACK, FAULT_DOUBLED };

/* False: no record is fit for it. */
static bool spoil(const struct load *load, struct picture *picture, enum fault fault)
{
    for (uint32_t i = 0; i < picture->key_count; i++) {
        struct seen *seen = &picture->keys[i];
        bool is_known = load->history.courses[i].count > 0;
        if (fault == FAULT_BACK && is_known && !seen->is_there) {
            *seen = (struct seen){.is_there = true, .number = 1, .version = 1, .ttl_ms = -1};
            return true;
        }
        if (fault == FAULT_LOST && seen->is_there) {
            seen->is_there = false;
            return true;
        }
        if (fault == FAULT_OLD && seen->is_there) {
            seen->version--;
            return true;
        }
        if (fault == FAULT_DOUBLED && seen->is_there && operation_is_counter(i)) {
            seen->number++;
            return true;
        }
    }
    return false;
}

static bool finds(struct scene *scene, enum fault fault)
{
    struct load load;
    struct picture picture = {0};
    char error[256] = "";
    load_init(&load, scene->seed + 1 + (uint64_t)fault, 80);
    load.is_quiet = true;
    scene_clear(scene);
    bool is_ready =
        scene_start(scene) && server_found(&scene->server, true, SHARD_SIZE, error, sizeof(error));
    if (is_ready) {
        load_open(&load, scene->server.port);
        is_ready = load_run(&load, 2000, UINT64_MAX) && load_drain(&load) &&
                   scene_picture(scene, 80, &picture);
    }
    bool is_found = is_ready && load.violation[0] == '\0' && spoil(&load, &picture, fault) &&
                    !load_settle(&load, &picture) && load.violation[0];
    picture_fini(&picture);
    load_fini(&load);
    return is_found;
}

static void test_the_test(struct scene *scene)
{
    tap_result(&scene->tap, finds(scene, FAULT_LOST), "the checker finds a lost write");
    tap_result(&scene->tap, finds(scene, FAULT_OLD), "the checker finds an older version");
    tap_result(&scene->tap, finds(scene, FAULT_BACK), "the checker finds a deletion undone");
    tap_result(&scene->tap, finds(scene, FAULT_DOUBLED),
               "the checker finds an increment done twice");
}

static bool start_and_stop_cleanly(struct kills *kills)
{
    for (int i = 0; i < 2 && !kills->is_wrong; i++) {
        (void)(recover(kills) && stop_cleanly(kills));
    }
    load_close(&kills->load);
    return !kills->is_wrong;
}

static void print_total(struct kills *kills)
{
    const struct load_totals *totals = &kills->totals;
    load_add_totals(&kills->load, &kills->totals);
    if (kills->load.refusal[0]) {
        printf("# the last refusal: %s\n", kills->load.refusal);
    }
    printf(
        "# total: %u rounds, half of them at each level; %u killed as they started, %u recovered "
        "twice; %llu operations, %llu acknowledged, %llu refused; %u faults\n",
        kills->round, kills->early_count, kills->second_count,
        (unsigned long long)totals->operation_count, (unsigned long long)totals->answered_count,
        (unsigned long long)totals->refused_count, kills->violation_count);
}

int torture_kill(uint64_t seed, uint32_t round_count)
{
    struct kills kills = {.dice = {seed}};
    scene_init(&kills.scene, seed, false);
    load_init(&kills.load, seed, KEY_COUNT);
    while (kills.round < round_count && kills.violation_count < VIOLATIONS_MAX) {
        if (!run_round(&kills)) {
            begin_anew(&kills);
        }
        kills.round++;
    }
    bool is_fine = kills.violation_count == 0;
    bool is_stopped = start_and_stop_cleanly(&kills);
    print_total(&kills);
    tap_result(&kills.scene.tap, is_fine,
               "kill -9 at random loses nothing, doubles nothing, and brings nothing back");
    tap_result(&kills.scene.tap, is_stopped, "a clean stop and a start give the same");
    test_the_test(&kills.scene);
    load_fini(&kills.load);
    return scene_end(&kills.scene);
}
