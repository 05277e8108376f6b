/* SPDX-License-Identifier: MIT */

/* A sync of log or tree waits for as long as a file says so: a daemon stands still at what it is about to vouch for. */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>

#include "tests/torture/preload.h"
#include "tests/torture/stall.h"

enum { LOOK_AGAIN_US = 500 };

static void print_path(char path[PRELOAD_PATH_LEN], const char *data, const char *suffix)
{
    (void)snprintf(path, PRELOAD_PATH_LEN, "%s%s", data, suffix);
}

static void mark(const char *data, bool is_waiting)
{
    char path[PRELOAD_PATH_LEN];
    print_path(path, data, STALL_WAITS);
    if (!is_waiting) {
        (void)unlink(path);
        return;
    }
    int marker = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (marker >= 0) {
        close(marker);
    }
}

static void wait_while(const char *data, const char *suffix)
{
    char path[PRELOAD_PATH_LEN];
    print_path(path, data, suffix);
    if (access(path, F_OK) != 0) {
        return;
    }
    mark(data, true);
    while (access(path, F_OK) == 0) {
        usleep(LOOK_AGAIN_US);
    }
    mark(data, false);
}

static void stall(int fd)
{
    int error_number = errno;
    char path[PRELOAD_PATH_LEN];
    const char *data = preload_setting(STALL_DATA);
    const char *name = preload_path(fd, path) ? preload_name(data, path) : NULL;
    bool is_reserve = name && strncmp(name, "reserve", 7) == 0;
    if (name && name[0] && !is_reserve) {
        wait_while(data, strcmp(name, "tree") == 0 ? STALL_TREE : STALL_LOG);
    }
    errno = error_number;
}

int fsync(int fd)
{
    stall(fd);
    return REAL(fsync)(fd);
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): theirs is reserved */
int fdatasync(int fd)
{
    stall(fd);
    return REAL(fdatasync)(fd);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
