/* SPDX-License-Identifier: MIT */
#include "tests/torture/scene.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/torture/talk.h"
#include "tests/unit/scratch.h"

bool scene_is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

static void find_programs(struct scene *scene)
{
    char self[256];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len <= 0) {
        perror("/proc/self/exe");
        abort();
    }
    self[len] = '\0';
    *strrchr(self, '/') = '\0';
    const char *given = getenv("SHARDD");
    (void)snprintf(scene->torture, sizeof(scene->torture), "%s", self);
    if (given) {
        (void)snprintf(scene->shardd, sizeof(scene->shardd), "%s", given);
    } else {
        (void)snprintf(scene->shardd, sizeof(scene->shardd), "%s/../../bin/shardd", self);
    }
    if (access(scene->shardd, X_OK) != 0) {
        perror(scene->shardd);
        exit(EXIT_FAILURE);
    }
}

static void make_home(struct scene *scene, bool is_in_memory)
{
    const char *parent = getenv("TMPDIR");
    parent = parent ? parent : "/tmp";
    if (is_in_memory && access("/dev/shm", W_OK) == 0) {
        parent = "/dev/shm";
    }
    (void)snprintf(scene->home, sizeof(scene->home), "%s/torture-XXXXXX", parent);
    if (!mkdtemp(scene->home)) {
        perror(scene->home);
        abort();
    }
    (void)snprintf(scene->data, sizeof(scene->data), "%s/data", scene->home);
}

void scene_init(struct scene *scene, uint64_t seed, bool is_in_memory)
{
    *scene = (struct scene){.seed = seed};
    find_programs(scene);
    make_home(scene, is_in_memory);
    scene->has_durability = server_has_option(scene->shardd, "durability");
    scene->has_memory = server_has_option(scene->shardd, "memory");
    scene->has_log_segment = server_has_option(scene->shardd, "log-segment");
    scene->has_log_size = server_has_option(scene->shardd, "log-size");
    scene->config.program = scene->shardd;
    scene->config.data = scene->data;
    (void)signal(SIGPIPE, SIG_IGN);
    printf("# SEED=%llu\n", (unsigned long long)seed);
}

void scene_remove(const char *path)
{
    (void)nftw(path, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void scene_keep(const struct scene *scene, const char *what, const char *name)
{
    char command[4 * SCENE_PATH_LEN];
    const char *parent = getenv("TMPDIR");
    parent = parent ? parent : "/tmp";
    (void)snprintf(command, sizeof(command),
                   "mkdir -p '%s/torture-%s' && cd '%s' && cp -r %s '%s/torture-%s'", parent, name,
                   scene->home, what, parent, name);
    if (system(command) == 0) { /* NOLINT(cert-env33-c): a test's own command */
        printf("# kept: %s of %s/torture-%s\n", what, parent, name);
    }
}

int scene_end(struct scene *scene)
{
    server_kill(&scene->server);
    scene_remove(scene->home);
    return tap_end(&scene->tap);
}

static void add_setting(struct scene *scene, uint32_t *count, const char *text)
{
    (void)snprintf(scene->settings[*count], sizeof(scene->settings[0]), "%s", text);
    scene->config.arguments[*count] = scene->settings[*count];
    scene->config.arguments[++*count] = NULL;
}

void scene_set_settings(struct scene *scene, uint32_t choice, bool is_os)
{
    /* A log is at least four segments long, so the first of one go with the first of the other. */
    static const char *const segments[] = {"--log-segment=64KiB", "--log-segment=256KiB",
                                           "--log-segment=1MiB"};
    static const char *const logs[] = {"--log-size=1MiB", "--log-size=2MiB", "--log-size=8MiB"};
    static const char *const memories[] = {"--memory=16MiB", "--memory=24MiB", "--memory=64MiB"};
    uint32_t count = 0;
    scene->config.arguments[0] = NULL;
    if (scene->has_durability) {
        add_setting(scene, &count, is_os ? "--durability=os" : "--durability=disk");
    }
    if (scene->has_log_segment) {
        add_setting(scene, &count, segments[choice % 3]);
    }
    if (scene->has_memory) {
        add_setting(scene, &count, memories[choice / 3 % 3]);
    }
    if (scene->has_log_size) {
        add_setting(scene, &count, logs[choice % 3]);
    }
}

void scene_draw_settings(struct scene *scene, struct dice *dice, bool is_os)
{
    scene_set_settings(scene, dice_below(dice, SCENE_CHOICES), is_os);
}

void scene_preload(struct scene *scene, char preload[SCENE_PATH_LEN + 32], const char *name,
                   const char *const *environment)
{
    uint32_t count = 0;
    (void)snprintf(preload, SCENE_PATH_LEN + 32, "LD_PRELOAD=%.*s/%s_preload.so",
                   SCENE_PATH_LEN - 1, scene->torture, name);
    scene->config.environment[count++] = preload;
    for (; environment[count - 1] && count < SERVER_ENVIRONMENT_MAX; count++) {
        scene->config.environment[count] = environment[count - 1];
    }
    scene->config.environment[count] = NULL;
}

bool scene_start(struct scene *scene)
{
    server_spawn(&scene->server, &scene->config);
    if (server_await(&scene->server)) {
        return true;
    }
    int status = server_reap(&scene->server);
    if (!scene->is_quiet) {
        scene->server.said[strcspn(scene->server.said, "\n")] = '\0';
        printf("# the server does not start, status %d: %s\n", status, scene->server.said);
    }
    return false;
}

const char *scene_why_silent(struct scene *scene)
{
    server_signal(&scene->server, SIGKILL);
    int status = server_reap(&scene->server);
    printf("# its last words: %s\n", scene->server.said);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? "the server gives no answer"
                                                              : "the server ended by itself";
}

void scene_clear(struct scene *scene)
{
    server_kill(&scene->server);
    scene_remove(scene->data);
}

bool scene_picture(struct scene *scene, uint32_t key_count, struct picture *picture)
{
    char error[512];
    struct talk *talk = talk_open(scene->server.port);
    bool is_taken = picture_take(talk, key_count, picture, error, sizeof(error));
    talk_close(talk);
    if (!is_taken && !scene->is_quiet) {
        printf("# %s\n", error);
    }
    return is_taken;
}
