/* SPDX-License-Identifier: MIT */
#include "tests/torture/tortures.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/memory.h"
#include "proto/log_scan.h"
#include "tests/torture/judge.h"
#include "tests/torture/load.h"
#include "tests/torture/scene.h"

/*
 * A damaged log: a server never starts with what is wrong (RULES L3).
 *
 *     stopped     | header | C r r r r ... r | marker |      each byte flipped in turn: refused
 *     crashed     | header | C r r r |······ · · · · ·       cut at each byte, as a shorter file or with
 *                                     cut                    zeros: refused, or what is lost is a suffix
 *     log.newest  each byte flipped: refused, or nothing is lost
 */

enum { KEY_COUNT = 40, OPERATION_COUNT = 60, SHARD_SIZE = 64 << 20, FAILURES_SHOWN = 5 };

enum { FILE_LEN_MAX = 4 << 20, NAME_LEN = 32, PATH_LEN = 2 * SCENE_PATH_LEN };

struct damage {
    struct scene scene;
    struct load load;
    struct dice dice;
    char kept[SCENE_PATH_LEN + 16]; /* the directory as the server left it */
    char name[NAME_LEN];            /* of its only segment */
    uint64_t last;                  /* where its last record begins, and */
    uint64_t end;                   /* ends */
    uint32_t flip_count;
    uint32_t prefix_count;
    uint32_t refused_count; /* of these */
    uint32_t violation_count;
};

static void fail(struct damage *damage, const char *how, uint64_t offset, const char *what)
{
    damage->violation_count++;
    printf("# VIOLATION: SEED=%llu, %s %llu: %s; the server said: %s\n",
           (unsigned long long)damage->scene.seed, how, (unsigned long long)offset, what,
           damage->scene.server.said);
}

/* --- files --- */

static void die(const char *path)
{
    perror(path);
    abort();
}

/* For free(). */
static uint8_t *read_file(const char *path, size_t *len)
{
    uint8_t *bytes = memory_get(FILE_LEN_MAX, 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, bytes, FILE_LEN_MAX) : -1;
    if (got < 0 || close(fd) != 0) {
        die(path);
    }
    *len = (size_t)got;
    return bytes;
}

static void write_file(const char *path, const uint8_t *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || close(fd) != 0) {
        die(path);
    }
}

static void copy_file(const char *from, const char *to)
{
    size_t len;
    uint8_t *bytes = read_file(from, &len);
    write_file(to, bytes, len);
    free(bytes);
}

static void join(char path[PATH_LEN], const char *directory, const char *name)
{
    (void)snprintf(path, PATH_LEN, "%s/%s", directory, name);
}

/* The data directory as it was kept; the reserve is large, and made anew. */
static void restore(struct damage *damage)
{
    const struct dirent *entry;
    char from[PATH_LEN];
    char to[PATH_LEN];
    scene_clear(&damage->scene);
    DIR *directory = opendir(damage->kept);
    if (!directory || mkdir(damage->scene.data, 0700) != 0) {
        die(damage->kept);
    }
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "reserve") != 0) {
            join(from, damage->kept, entry->d_name);
            join(to, damage->scene.data, entry->d_name);
            copy_file(from, to);
        }
    }
    closedir(directory);
}

/* --- a log to damage --- */

static bool find_segment(struct damage *damage)
{
    const struct dirent *entry;
    uint32_t count = 0;
    DIR *directory = opendir(damage->kept);
    while (directory && (entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, "log-", 4) == 0) {
            (void)snprintf(damage->name, sizeof(damage->name), "%.*s", NAME_LEN - 1, entry->d_name);
            count++;
        }
    }
    if (directory) {
        closedir(directory);
    }
    return count == 1;
}

static bool on_record(void *context, const struct log_record_header *header, struct bytes payload,
                      uint64_t offset)
{
    struct damage *damage = context;
    (void)header;
    (void)payload;
    damage->last = offset;
    return true;
}

static bool find_end(struct damage *damage, bool is_stopped)
{
    char path[PATH_LEN];
    char text[LOG_SCAN_TEXT_LEN] = "";
    struct log_scan scan = {0};
    size_t len;
    join(path, damage->kept, damage->name);
    uint8_t *bytes = read_file(path, &len);
    enum log_verdict verdict =
        log_scan_segment(&scan, bytes_of(bytes, len), NULL, 0, on_record, damage, text);
    free(bytes);
    damage->end = scan.end;
    return verdict == LOG_SCAN_FINE && scan.is_stopped == is_stopped;
}

static bool run_load(struct damage *damage)
{
    load_init(&damage->load, dice_roll(&damage->dice), KEY_COUNT);
    load_open(&damage->load, damage->scene.server.port);
    damage->load.manner = LOAD_SMALL;
    damage->load.window_max = 2;
    bool is_fine = load_run(&damage->load, OPERATION_COUNT, UINT64_MAX) &&
                   load_drain(&damage->load) && damage->load.violation[0] == '\0';
    load_close(&damage->load);
    return is_fine;
}

static bool make_log(struct damage *damage, bool is_stopped)
{
    char error[256] = "";
    struct server *server = &damage->scene.server;
    scene_clear(&damage->scene);
    scene_remove(damage->kept);
    bool is_fine = scene_start(&damage->scene) &&
                   server_found(server, true, SHARD_SIZE, error, sizeof(error)) && run_load(damage);
    server_signal(server, is_stopped ? SIGTERM : SIGKILL);
    if (server->pid > 0) {
        (void)server_reap(server);
    }
    is_fine = is_fine && rename(damage->scene.data, damage->kept) == 0 && find_segment(damage) &&
              find_end(damage, is_stopped);
    if (!is_fine) {
        fail(damage, "making a log", 0, error);
    }
    return is_fine;
}

/* --- judging --- */

/* Each key as one of its prefixes left it, all as one stamp cuts them; nothing is missing if `is_whole`. */
static bool judge(const struct damage *damage, const struct picture *picture, bool is_whole)
{
    const struct history *history = &damage->load.history;
    struct cut *cuts = memory_get(history->count + KEY_COUNT + 1, sizeof(*cuts));
    uint32_t cut_count = 0;
    bool is_fine = picture->stranger_count == 0;
    for (uint32_t i = 0; i < KEY_COUNT && is_fine; i++) {
        const struct course *course = &history->courses[i];
        uint32_t required = is_whole ? course->count : 0;
        bool *fits = memory_get(course->count + 1, sizeof(*fits));
        is_fine = judge_prefixes(history, course, required, picture, i, fits) > 0;
        cut_count += judge_cuts(history, course, fits, cuts + cut_count);
        if (!is_fine) {
            judge_explain(history, course, required, picture, i);
        }
        free(fits);
    }
    is_fine = is_fine && judge_has_common_cut(cuts, cut_count, KEY_COUNT);
    free(cuts);
    return is_fine;
}

/* Of a server that was cut before its founding nothing is asked but that it takes the map. */
static bool take_picture(struct damage *damage, struct picture *picture)
{
    char error[256] = "";
    struct server *server = &damage->scene.server;
    if (scene_picture(&damage->scene, KEY_COUNT, picture)) {
        return true;
    }
    picture_fini(picture);
    return server_found(server, true, SHARD_SIZE, error, sizeof(error)) &&
           scene_picture(&damage->scene, KEY_COUNT, picture);
}

enum start { START_REFUSED, START_FINE, START_WRONG };

/* A refusal names the file. */
static enum start start_and_judge(struct damage *damage, const char *name, bool is_whole)
{
    struct picture picture = {0};
    if (!scene_start(&damage->scene)) {
        return strstr(damage->scene.server.said, name) ? START_REFUSED : START_WRONG;
    }
    bool is_fine = take_picture(damage, &picture) && judge(damage, &picture, is_whole);
    picture_fini(&picture);
    server_kill(&damage->scene.server);
    return is_fine ? START_FINE : START_WRONG;
}

/* --- flips --- */

static enum start start_flipped(struct damage *damage, const char *name, uint64_t offset)
{
    char path[PATH_LEN];
    size_t len;
    restore(damage);
    join(path, damage->scene.data, name);
    uint8_t *bytes = read_file(path, &len);
    unsigned flipped = dice_below(&damage->dice, 2) ? 0xff : 1U << (offset & 7);
    bytes[offset] = (uint8_t)(bytes[offset] ^ flipped);
    write_file(path, bytes, len);
    free(bytes);
    damage->flip_count++;
    return start_and_judge(damage, name, true);
}

static void flip_log(struct damage *damage, uint32_t step)
{
    uint64_t offset = dice_below(&damage->dice, step);
    for (; offset < damage->last && damage->violation_count < FAILURES_SHOWN; offset += step) {
        if (start_flipped(damage, damage->name, offset) != START_REFUSED) {
            fail(damage, "flipped byte", offset, "it is not refused with the file's name");
        }
    }
}

static void flip_newest(struct damage *damage, uint32_t step)
{
    static const char name[] = "log.newest";
    char path[PATH_LEN];
    struct stat status;
    join(path, damage->kept, name);
    uint64_t len = stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
    uint64_t offset = dice_below(&damage->dice, step);
    for (; offset < len && damage->violation_count < FAILURES_SHOWN; offset += step) {
        if (start_flipped(damage, name, offset) == START_WRONG) {
            fail(damage, "flipped byte of log.newest", offset, "a wrong start");
        }
    }
}

static void test_flips(struct damage *damage, uint32_t step)
{
    uint32_t before = damage->violation_count;
    if (make_log(damage, true)) {
        flip_log(damage, step);
        flip_newest(damage, step);
        restore(damage);
        if (start_and_judge(damage, damage->name, true) != START_FINE) {
            fail(damage, "flipped bytes", 0, "without any it does not start");
        }
    }
    load_fini(&damage->load);
    tap_result(&damage->scene.tap, damage->violation_count == before,
               "each flipped byte of a stopped log is found, and named");
}

/* --- prefixes --- */

static enum start start_cut(struct damage *damage, uint64_t cut, bool is_shorter)
{
    char path[PATH_LEN];
    size_t len;
    restore(damage);
    join(path, damage->scene.data, damage->name);
    uint8_t *bytes = read_file(path, &len);
    memset(bytes + cut, 0, len - cut);
    write_file(path, bytes, is_shorter ? cut : len);
    free(bytes);
    enum start start = start_and_judge(damage, damage->name, false);
    damage->prefix_count++;
    damage->refused_count += start == START_REFUSED;
    return start;
}

static void test_prefixes(struct damage *damage, uint32_t step)
{
    uint32_t before = damage->violation_count;
    bool is_made = make_log(damage, false);
    uint64_t cut = dice_below(&damage->dice, step);
    for (; is_made && cut < damage->end && damage->violation_count < FAILURES_SHOWN; cut += step) {
        if (start_cut(damage, cut, false) == START_WRONG) {
            fail(damage, "zeros from byte", cut, "a wrong start");
        }
        if (start_cut(damage, cut, true) == START_WRONG) {
            fail(damage, "cut at byte", cut, "a wrong start");
        }
    }
    load_fini(&damage->load);
    tap_result(&damage->scene.tap, damage->violation_count == before,
               "each prefix of a crashed log is refused, or what is lost is a suffix");
    tap_result(&damage->scene.tap,
               damage->refused_count > 0 && damage->refused_count < damage->prefix_count,
               "some prefixes are refused, and some recover");
}

int torture_damage(uint64_t seed, uint32_t step)
{
    struct damage damage = {.dice = {seed}};
    step = step ? step : 1;
    scene_init(&damage.scene, seed, true);
    scene_set_settings(&damage.scene, 0, false);
    damage.scene.is_quiet = true;
    (void)snprintf(damage.kept, sizeof(damage.kept), "%s/kept", damage.scene.home);
    test_flips(&damage, step);
    test_prefixes(&damage, step);
    printf("# total: %u flipped bytes, %u prefixes (%u refused); %u faults\n", damage.flip_count,
           damage.prefix_count, damage.refused_count, damage.violation_count);
    return scene_end(&damage.scene);
}
