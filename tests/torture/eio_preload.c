/* SPDX-License-Identifier: MIT */

/* The n-th write or sync of log or tree fails with EIO, once: nothing is written, nothing synced. */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "tests/torture/eio.h"
#include "tests/torture/preload.h"

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): theirs are reserved */

static _Atomic unsigned long count;

static bool is_meant(int fd, const char *call)
{
    char path[PRELOAD_PATH_LEN];
    const char *data = getenv(EIO_DATA);
    const char *wanted = getenv(EIO_CALL);
    const char *files = getenv(EIO_FILES);
    if (!data || !wanted || !files || strcmp(call, wanted) != 0 || !preload_path(fd, path)) {
        return false;
    }
    const char *name = preload_name(data, path);
    if (!name || name[0] == '\0') {
        return false;
    }
    bool is_neither = strcmp(name, "tree-lock") == 0 || strcmp(name, "LOCK") == 0 ||
                      strncmp(name, "reserve", 7) == 0;
    bool is_tree = strcmp(name, "tree") == 0;
    return !is_neither && is_tree == (strcmp(files, "tree") == 0);
}

static bool fails(int fd, const char *call)
{
    int error_number = errno;
    if (is_meant(fd, call) && ++count == strtoul(preload_setting(EIO_NTH), NULL, 10)) {
        int flag = open(preload_setting(EIO_FLAG), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (flag >= 0) {
            close(flag);
        }
        errno = EIO;
        return true;
    }
    errno = error_number;
    return false;
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t offset)
{
    return fails(fd, "write") ? -1 : REAL(pwrite)(fd, from, len, offset);
}

ssize_t pwrite64(int fd, const void *from, size_t len, off64_t offset)
{
    return pwrite(fd, from, len, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int part_count, off_t offset)
{
    return fails(fd, "write") ? -1 : REAL(pwritev)(fd, parts, part_count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int part_count, off64_t offset)
{
    return pwritev(fd, parts, part_count, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
    return fails(fd, "write") ? -1 : REAL(writev)(fd, parts, part_count);
}

ssize_t write(int fd, const void *from, size_t len)
{
    return fails(fd, "write") ? -1 : REAL(write)(fd, from, len);
}

int fsync(int fd)
{
    return fails(fd, "sync") ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    return fails(fd, "sync") ? -1 : REAL(fdatasync)(fd);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
