/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_PRELOAD_H
#define TORTURE_PRELOAD_H

/*
 * For libraries that are loaded before a server (LD_PRELOAD) and stand between it, liblmdb included, and
 * the system's calls on its data directory.
 */

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The C library's own function. A macro, because its type is that of the name. */
#define REAL(name) ((__typeof__(&(name)))(uintptr_t)dlsym(RTLD_NEXT, #name))

enum { PRELOAD_FDS_MAX = 4096, PRELOAD_PATH_LEN = 512 };

/* From the environment; "" when it is not there. */
static inline const char *preload_setting(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

/* "data/log-1" below `data`: "log-1"; the directory itself: "". NULL: somewhere else. */
static inline const char *preload_name(const char *data, const char *path)
{
    size_t len = strlen(data);
    if (strncmp(path, data, len) != 0 || (path[len] != '/' && path[len] != '\0')) {
        return NULL;
    }
    return path[len] == '/' ? path + len + 1 : path + len;
}

/* The path of an open file. False: it has none. */
static inline bool preload_path(int fd, char path[PRELOAD_PATH_LEN])
{
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, PRELOAD_PATH_LEN - 1);
    path[len < 0 ? 0 : len] = '\0';
    return len > 0;
}

/* The absolute path of a name given with a directory's descriptor. */
static inline void preload_join(int dir_fd, const char *name, char path[PRELOAD_PATH_LEN])
{
    char dir[PRELOAD_PATH_LEN / 2] = "";
    char whole[PRELOAD_PATH_LEN];
    if (name[0] == '/') {
        (void)snprintf(path, PRELOAD_PATH_LEN, "%s", name);
        return;
    }
    if (dir_fd >= 0 && preload_path(dir_fd, whole)) {
        (void)snprintf(dir, sizeof(dir), "%.*s", (int)sizeof(dir) - 1, whole);
    } else if (!getcwd(dir, sizeof(dir))) {
        dir[0] = '\0';
    }
    (void)snprintf(path, PRELOAD_PATH_LEN, "%.200s/%.200s", dir, name);
}

#endif
