/* SPDX-License-Identifier: MIT */
#include "tests/torture/eio.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/torture/load.h"
#include "tests/torture/scene.h"
#include "tests/torture/tortures.h"

/*
 * A write or a sync that fails, each in turn: the process ends, with no answer to what it held
 * (RULES L5), and without the fault all that was answered is there.
 */

enum { KEY_COUNT = 400, OPERATION_COUNT = 5000, SHARD_SIZE = 64 << 20, FAILURES_SHOWN = 5 };

struct failing {
    struct scene scene;
    const char *files;
    const char *call;
    uint32_t nth;
    char flag[SCENE_PATH_LEN + 16];
    char environment[5][SCENE_PATH_LEN + 32];
    char preload[SCENE_PATH_LEN + 32];
    struct load load;
    bool is_founded;
    bool is_unreached; /* a kind of fault that never came about */
    uint32_t violation_count;
    uint64_t answered_count;
};

static void fail(struct failing *failing, const char *what)
{
    failing->violation_count++;
    printf("# VIOLATION: SEED=%llu, %s %u of %s: %s\n", (unsigned long long)failing->scene.seed,
           failing->call, failing->nth, failing->files, what);
}

static void set_fault(struct failing *failing)
{
    const char *names[] = {EIO_DATA, EIO_FILES, EIO_CALL, EIO_FLAG};
    const char *values[] = {failing->scene.data, failing->files, failing->call, failing->flag};
    const char *environment[6] = {0};
    for (int i = 0; i < 4; i++) {
        (void)snprintf(failing->environment[i], sizeof(failing->environment[i]), "%s=%s", names[i],
                       values[i]);
        environment[i] = failing->environment[i];
    }
    (void)snprintf(failing->environment[4], sizeof(failing->environment[4]), "%s=%u", EIO_NTH,
                   failing->nth);
    environment[4] = failing->environment[4];
    scene_preload(&failing->scene, failing->preload, "eio", environment);
}

/* Until the fault ends it, or to the end of the load and a stop. Its status. */
static int run_with_fault(struct failing *failing)
{
    char error[256];
    struct server *server = &failing->scene.server;
    (void)unlink(failing->flag);
    set_fault(failing);
    server_spawn(server, &failing->scene.config);
    if (server_await(server)) {
        failing->is_founded = server_found(server, true, SHARD_SIZE, error, sizeof(error));
        if (failing->is_founded) {
            load_open(&failing->load, server->port);
            (void)load_run(&failing->load, OPERATION_COUNT, UINT64_MAX);
            (void)load_drain(&failing->load);
            load_close(&failing->load);
        }
        server_signal(server, SIGTERM);
    }
    return server_reap(server);
}

static void judge(struct failing *failing)
{
    char error[256] = "";
    struct picture picture = {0};
    failing->scene.config.environment[0] = NULL;
    if (!scene_start(&failing->scene)) {
        fail(failing, "no start without the fault");
        return;
    }
    bool is_founded = failing->is_founded ||
                      server_found(&failing->scene.server, true, SHARD_SIZE, error, sizeof(error));
    if (!is_founded || !scene_picture(&failing->scene, KEY_COUNT, &picture)) {
        fail(failing, error);
    } else if (failing->is_founded) {
        load_open(&failing->load, failing->scene.server.port);
        if (!load_settle(&failing->load, &picture)) {
            fail(failing, failing->load.violation);
        }
    }
    picture_fini(&picture);
    server_kill(&failing->scene.server);
}

/* False: there are not so many calls. */
static bool run_nth(struct failing *failing)
{
    scene_clear(&failing->scene);
    failing->is_founded = false;
    load_init(&failing->load, failing->scene.seed + failing->nth, KEY_COUNT);
    failing->load.window_max = 4;
    int status = run_with_fault(failing);
    bool has_fired = access(failing->flag, F_OK) == 0;
    if (has_fired && status == 0) {
        fail(failing, "the process went on");
    }
    if (status == -1) {
        fail(failing, "the process hung");
    }
    if (failing->load.violation[0]) {
        fail(failing, failing->load.violation);
    }
    judge(failing);
    failing->answered_count += failing->load.answered_count;
    load_fini(&failing->load);
    return has_fired;
}

static uint32_t run_all(struct failing *failing, const char *files, const char *call, uint32_t step)
{
    uint32_t count = 0;
    failing->files = files;
    failing->call = call;
    failing->nth = 1;
    while (failing->violation_count < FAILURES_SHOWN && run_nth(failing)) {
        failing->nth += step;
        count++;
    }
    printf("# %s of %s: %u failed in turn, of %u\n", call, files, count, failing->nth);
    return count;
}

/* Each call on each kind of file; at which they were reached is added up. */
static uint32_t run_level(struct failing *failing, bool is_os, uint32_t step)
{
    static const char *const files[] = {"tree", "log"};
    static const char *const calls[] = {"write", "sync"};
    uint32_t count = 0;
    scene_set_settings(&failing->scene, 0, is_os);
    for (int i = 0; i < 4; i++) {
        bool is_there = i < 2 || failing->scene.has_log_segment;
        /* The tree is touched more seldom than the log. */
        uint32_t each = i < 2 ? (step + 4) / 5 : step;
        uint32_t reached = is_there ? run_all(failing, files[i / 2], calls[i % 2], each) : 0;
        failing->is_unreached = failing->is_unreached || (is_there && reached == 0);
        count += reached;
    }
    return count;
}

int torture_eio(uint64_t seed, uint32_t step)
{
    struct failing failing = {.nth = 0};
    scene_init(&failing.scene, seed, true);
    (void)snprintf(failing.flag, sizeof(failing.flag), "%s/failed", failing.scene.home);
    step = step ? step : 1;
    uint32_t count = run_level(&failing, false, step);
    count += failing.scene.has_durability ? run_level(&failing, true, step) : 0;
    printf("# total: %u failed writes and syncs, %llu acknowledged, %u faults\n", count,
           (unsigned long long)failing.answered_count, failing.violation_count);
    tap_result(&failing.scene.tap, failing.violation_count == 0,
               "after a failed write or sync the process ends, and what it answered is there");
    tap_result(&failing.scene.tap, !failing.is_unreached, "each kind of fault was reached");
    return scene_end(&failing.scene);
}
