/* SPDX-License-Identifier: MIT */
#include "tests/torture/full.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/clock.h"
#include "tests/torture/load.h"
#include "tests/torture/scene.h"
#include "tests/torture/tortures.h"

/*
 * A full disk: writes that grow are refused with the numbers, all else goes on, kill -9 in the middle
 * takes nothing, and when there is room again writes work again (RULES F1).
 *
 *     fill ─> mixed load ─> kill -9 ─> start ─> delete all ─> writes ─> fill ─> more room ─> writes
 */

enum { KEY_COUNT = 8000, SHARD_SIZE = 1 << 30, MIXED_COUNT = 4000, BATCH = 200 };

/* Values of a fill are 24 KB on average, so that it takes so many operations at most. */
#define FILL_OPERATIONS_MAX 20000

/* Room that deletions make may take a while to come back (the sweep, pages that readers hold). */
#define ROOM_PATIENCE_US UINT64_C(10000000)

struct full {
    struct scene scene;
    struct load load;
    struct dice dice;
    uint32_t round;
    bool is_real; /* a file system of its own, no preload */
    char budget_path[SCENE_PATH_LEN + 16];
    char environment[3][SCENE_PATH_LEN + 32];
    char preload[SCENE_PATH_LEN + 32];
    uint64_t budget;
    struct load_totals totals;
    uint32_t violation_count;
};

static void fail(struct full *full, const char *what)
{
    char name[64];
    full->violation_count++;
    printf("# VIOLATION: SEED=%llu, round %u%s: %s\n", (unsigned long long)full->scene.seed,
           full->round, full->is_real ? " (file system)" : "", what);
    (void)snprintf(name, sizeof(name), "full-%llu-%u", (unsigned long long)full->scene.seed,
                   full->round);
    scene_keep(&full->scene, full->is_real ? "data/d" : "data", name);
}

static void set_budget(struct full *full, uint64_t budget)
{
    char text[32];
    char next[SCENE_PATH_LEN + 32];
    full->budget = budget;
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)budget);
    (void)snprintf(next, sizeof(next), "%s.next", full->budget_path);
    FILE *file = fopen(next, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0 ||
        rename(next, full->budget_path) != 0) {
        perror(full->budget_path);
        abort();
    }
}

static void set_disk(struct full *full)
{
    const char *environment[4] = {full->environment[0], full->environment[1], NULL, NULL};
    (void)snprintf(full->budget_path, sizeof(full->budget_path), "%s/budget", full->scene.home);
    (void)snprintf(full->environment[0], sizeof(full->environment[0]), "%s=%s", FULL_DATA,
                   full->scene.data);
    (void)snprintf(full->environment[1], sizeof(full->environment[1]), "%s=%s", FULL_BUDGET,
                   full->budget_path);
    (void)snprintf(full->environment[2], sizeof(full->environment[2]), "%s=1", FULL_SHORT);
    environment[2] = dice_below(&full->dice, 2) ? full->environment[2] : NULL;
    set_budget(full, (48 + dice_below(&full->dice, 16)) * UINT64_C(1048576));
    scene_preload(&full->scene, full->preload, "full", environment);
}

/* --- steps; each is false when something is wrong --- */

static bool is_well(struct full *full, bool is_alive)
{
    if (full->load.violation[0]) {
        fail(full, full->load.violation);
    } else if (!is_alive) {
        load_print_open(&full->load);
        fail(full, scene_why_silent(&full->scene));
    }
    return is_alive && !full->load.violation[0];
}

static bool run(struct full *full, uint64_t count)
{
    bool is_alive = load_run(&full->load, count, UINT64_MAX) && load_drain(&full->load);
    return is_well(full, is_alive);
}

static bool fill(struct full *full)
{
    uint64_t before = full->load.full_count;
    full->load.manner = LOAD_GROWS;
    for (uint32_t i = 0; i < FILL_OPERATIONS_MAX && full->load.full_count < before + BATCH;
         i += BATCH) {
        if (!run(full, BATCH)) {
            return false;
        }
    }
    if (full->load.full_count == before) {
        printf("# %llu refused in all, the last: %s\n",
               (unsigned long long)full->load.refused_count, full->load.refusal);
        fail(full, "nothing was refused as full");
    }
    return full->load.full_count > before;
}

static bool run_mixed(struct full *full)
{
    full->load.manner = LOAD_MIXED;
    return run(full, MIXED_COUNT);
}

static bool crash(struct full *full)
{
    struct picture picture = {0};
    server_signal(&full->scene.server, SIGKILL);
    (void)load_drain(&full->load);
    load_close(&full->load);
    (void)server_reap(&full->scene.server);
    bool is_up = scene_start(&full->scene) && scene_picture(&full->scene, KEY_COUNT, &picture);
    if (is_up) {
        load_open(&full->load, full->scene.server.port);
        is_up = load_settle(&full->load, &picture);
    }
    if (!is_up) {
        fail(full, full->load.violation[0] ? full->load.violation : "no start on a full disk");
    }
    picture_fini(&picture);
    return is_up;
}

/* kill -9 while requests are under way. */
static bool crash_under_load(struct full *full)
{
    uint64_t deadline_us = clock_mono_us() + dice_below(&full->dice, 50000);
    full->load.manner = dice_below(&full->dice, 2) ? LOAD_MIXED : LOAD_GROWS;
    return is_well(full, load_run(&full->load, UINT64_MAX / 2, deadline_us)) && crash(full);
}

/* Deletes and pops are taken on a full disk, if need be at the second asking. False: not before long. */
static bool delete_one(struct full *full, uint32_t key)
{
    struct reply reply;
    uint64_t deadline_us = clock_mono_us() + ROOM_PATIENCE_US;
    const struct operation operation = {
        .kind = key % 3 == 0 ? OPERATION_DELETE : OPERATION_POP,
        .key = key,
        .seq = key % 4 == 0, /* with an identity */
    };
    do {
        if (!load_one(&full->load, &operation, &reply) || full->load.violation[0]) {
            return is_well(full, false);
        }
    } while (reply.code == STATUS_TRY_LATER && clock_mono_us() < deadline_us);
    if (reply.code != STATUS_OK) {
        fail(full, status_name(reply.code));
    }
    return reply.code == STATUS_OK;
}

static bool delete_all(struct full *full)
{
    bool is_fine = true;
    for (uint32_t key = 0; key < KEY_COUNT && is_fine; key++) {
        is_fine = delete_one(full, key);
    }
    return is_fine;
}

/* Writes are taken again, before long. */
static bool write_again(struct full *full, const char *what)
{
    uint64_t deadline_us = clock_mono_us() + ROOM_PATIENCE_US;
    uint64_t refused;
    full->load.manner = LOAD_MIXED;
    do {
        refused = full->load.refused_count;
        if (!run(full, BATCH)) {
            return false;
        }
    } while (full->load.refused_count > refused && clock_mono_us() < deadline_us);
    if (full->load.refused_count > refused) {
        fail(full, what);
    }
    return full->load.refused_count == refused;
}

static bool more_room(struct full *full)
{
    if (full->is_real) {
        return true;
    }
    set_budget(full, full->budget + 32 * UINT64_C(1048576));
    return write_again(full, "no writes though there is more room");
}

static void run_round(struct full *full)
{
    char error[256] = "";
    load_init(&full->load, full->scene.seed + full->round, KEY_COUNT);
    full->load.may_be_refused = true;
    scene_draw_settings(&full->scene, &full->dice, dice_below(&full->dice, 2) == 0);
    if (!scene_start(&full->scene) ||
        !server_found(&full->scene.server, true, SHARD_SIZE, error, sizeof(error))) {
        fail(full, error);
    } else {
        load_open(&full->load, full->scene.server.port);
        (void)(run_mixed(full) && fill(full) && run_mixed(full) && crash_under_load(full) &&
               delete_all(full) && write_again(full, "no writes though all is deleted") &&
               fill(full) && crash_under_load(full) && more_room(full) && crash(full));
    }
    server_kill(&full->scene.server);
    load_add_totals(&full->load, &full->totals);
    load_fini(&full->load);
}

/* --- a small file system --- */

static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    bool is_written = file && fputs(text, file) >= 0;
    return file && fclose(file) == 0 && is_written;
}

/* As whom it was begun, with the right to mount. */
static bool enter_user_namespace(void)
{
    char users[64];
    char groups[64];
    (void)snprintf(users, sizeof(users), "%u %u 1", geteuid(), geteuid());
    (void)snprintf(groups, sizeof(groups), "%u %u 1", getegid(), getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/uid_map", users) &&
           write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/gid_map", groups);
}

/* What is mounted is seen by this process and the servers that it starts, and goes with them. */
static bool enter_namespace(void)
{
    bool may_mount = unshare(CLONE_NEWNS) == 0 || enter_user_namespace();
    return may_mount && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* 64 MiB: of ext4 in a file, for who may mount that; else of tmpfs. NULL: neither is allowed. */
static const char *mount_small(const struct full *full, const char *where)
{
    char command[4 * SCENE_PATH_LEN];
    if (mkdir(where, 0700) != 0 || !enter_namespace()) {
        return NULL;
    }
    (void)snprintf(command, sizeof(command),
                   "cd '%s' && truncate -s 64M disk && mkfs.ext4 -q -m 0 disk && "
                   "mount -o loop disk '%s'",
                   full->scene.home, where);
    if (geteuid() == 0 && system(command) == 0) { /* NOLINT(cert-env33-c): a test's own command */
        return "ext4";
    }
    return mount("none", where, "tmpfs", 0, "size=64m") == 0 ? "tmpfs" : NULL;
}

static void run_real(struct full *full, uint32_t round_count)
{
    char where[SCENE_PATH_LEN + 16];
    char sentence[128];
    uint32_t before = full->violation_count;
    full->is_real = true;
    full->scene.config.environment[0] = NULL;
    scene_clear(&full->scene);
    (void)snprintf(where, sizeof(where), "%s", full->scene.data);
    const char *kind = mount_small(full, where);
    if (kind) {
        (void)snprintf(full->scene.data, sizeof(full->scene.data), "%s/data/d", full->scene.home);
        for (uint32_t i = 0; i < round_count; i++, full->round++) {
            scene_clear(&full->scene);
            run_round(full);
        }
        scene_clear(&full->scene);
        (void)umount2(where, MNT_DETACH);
    }
    (void)snprintf(sentence, sizeof(sentence), "the same on a real file system of 64 MiB, %s",
                   kind ? kind : "# SKIP none can be mounted here");
    tap_result(&full->scene.tap, full->violation_count == before, sentence);
}

int torture_full(uint64_t seed, uint32_t round_count, uint32_t real_count)
{
    struct full full = {.dice = {seed}};
    scene_init(&full.scene, seed, true);
    for (full.round = 0; full.round < round_count; full.round++) {
        scene_clear(&full.scene);
        set_disk(&full);
        run_round(&full);
    }
    tap_result(&full.scene.tap, full.violation_count == 0,
               "on a full disk growing writes are refused with the numbers, and all else goes on");
    tap_result(&full.scene.tap, full.totals.full_count > 0 || round_count == 0,
               "the disk was full");
    if (real_count > 0) {
        run_real(&full, real_count);
    }
    printf(
        "# total: %u rounds, %u of them on a real file system; %llu operations, %llu acknowledged, "
        "%llu refused as full; %u faults\n",
        full.round, full.round - round_count, (unsigned long long)full.totals.operation_count,
        (unsigned long long)full.totals.answered_count, (unsigned long long)full.totals.full_count,
        full.violation_count);
    return scene_end(&full.scene);
}
