/* SPDX-License-Identifier: MIT */
#include "tests/torture/clocks.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile int64_t *open_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *page = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof(int64_t)) == 0) {
        page = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (page == MAP_FAILED) {
        perror(path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return page == MAP_FAILED ? NULL : page;
}

bool clocks_open(struct clocks *clocks, const struct scene *scene, struct cluster *cluster)
{
    *clocks = (struct clocks){0};
    (void)snprintf(clocks->preload, sizeof(clocks->preload), "LD_PRELOAD=%s/clock_preload.so",
                   scene->torture);
    for (uint32_t i = 0; i < CLUSTER_SERVERS; i++) {
        struct daemon *daemon = &cluster->daemons[i];
        char *file = clocks->files[i];
        (void)snprintf(file, sizeof(clocks->files[i]), "TORTURE_CLOCK=%s/%s.clock", scene->home,
                       daemon->name);
        daemon->config.environment[0] = clocks->preload;
        daemon->config.environment[1] = file;
        daemon->config.environment[2] = NULL;
        clocks->ms[i] = open_file(strchr(file, '=') + 1);
        if (!clocks->ms[i]) {
            return false;
        }
    }
    return true;
}

void clocks_close(struct clocks *clocks)
{
    for (uint32_t i = 0; i < CLUSTER_SERVERS; i++) {
        if (clocks->ms[i]) {
            (void)munmap((void *)(uintptr_t)clocks->ms[i], sizeof(int64_t));
        }
        clocks->ms[i] = NULL;
    }
}

void clocks_set(struct clocks *clocks, uint32_t server, int64_t ms)
{
    *clocks->ms[server] = ms;
}

void clocks_set_all(struct clocks *clocks, int64_t ms)
{
    for (uint32_t i = 0; i < CLUSTER_SERVERS; i++) {
        clocks_set(clocks, i, ms);
    }
}
