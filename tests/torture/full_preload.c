/* SPDX-License-Identifier: MIT */

/*
 * A disk of a given size: growth of the files in the data directory beyond the budget fails with ENOSPC, and
 * statvfs says the same. The budget is a file with a number of bytes, read each time, so that a
 * test takes and gives room while the server runs. Sizes count, not blocks: nothing here makes holes.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include "tests/torture/full.h"
#include "tests/torture/preload.h"

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): theirs are reserved */

/* ext4 takes less of a write than would fit: a page behind it is taken all the same. */
enum { BLOCK_LEN = 4096, LEFT_BLOCKS = 2 };

static uint64_t budget(void)
{
    char text[32] = "";
    int fd = open(preload_setting(FULL_BUDGET), O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    if (fd >= 0) {
        close(fd);
    }
    return len > 0 ? strtoull(text, NULL, 10) : UINT64_MAX / 2;
}

static uint64_t used(void)
{
    uint64_t sum = 0;
    struct stat status;
    const struct dirent *entry;
    DIR *dir = opendir(preload_setting(FULL_DATA));
    while (dir && (entry = readdir(dir)) != NULL) {
        if (fstatat(dirfd(dir), entry->d_name, &status, 0) == 0 && S_ISREG(status.st_mode)) {
            sum += (uint64_t)status.st_size;
        }
    }
    if (dir) {
        closedir(dir);
    }
    return sum;
}

static bool is_inside(int fd)
{
    char path[PRELOAD_PATH_LEN];
    const char *data = getenv(FULL_DATA);
    return data && getenv(FULL_BUDGET) && preload_path(fd, path) && preload_name(data, path);
}

/* Whether the file may get so long. Keeps errno, or sets it. */
static bool may_reach(int fd, uint64_t end)
{
    int error_number = errno;
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || end <= (uint64_t)status.st_size ||
        !is_inside(fd) || used() + end - (uint64_t)status.st_size <= budget()) {
        errno = error_number;
        return true;
    }
    errno = ENOSPC;
    return false;
}

/* How much of a write fits, in whole blocks, as a file system would take it. */
static size_t fitting(int fd, uint64_t offset, size_t len)
{
    struct stat status;
    uint64_t is_used = used();
    uint64_t left = (uint64_t)LEFT_BLOCKS * BLOCK_LEN;
    uint64_t whole = budget();
    if (!getenv(FULL_SHORT) || fstat(fd, &status) != 0 || whole <= is_used + left) {
        return 0;
    }
    uint64_t end = ((uint64_t)status.st_size + whole - is_used - left) / BLOCK_LEN * BLOCK_LEN;
    return end > offset && end - offset < len ? end - offset : 0;
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t offset)
{
    if (may_reach(fd, (uint64_t)offset + len)) {
        return REAL(pwrite)(fd, from, len, offset);
    }
    size_t part = fitting(fd, (uint64_t)offset, len);
    errno = ENOSPC;
    return part ? REAL(pwrite)(fd, from, part, offset) : -1;
}

ssize_t pwrite64(int fd, const void *from, size_t len, off64_t offset)
{
    return pwrite(fd, from, len, offset);
}

static size_t sum_of(const struct iovec *parts, int count)
{
    size_t sum = 0;
    for (int i = 0; i < count; i++) {
        sum += parts[i].iov_len;
    }
    return sum;
}

/* The first parts, as far as they fit. */
static ssize_t write_fitting(int fd, const struct iovec *parts, int count, off_t offset)
{
    size_t room = fitting(fd, (uint64_t)offset, sum_of(parts, count));
    ssize_t done = 0;
    for (int i = 0; i < count && room > 0; i++) {
        size_t len = parts[i].iov_len < room ? parts[i].iov_len : room;
        if (REAL(pwrite)(fd, parts[i].iov_base, len, offset + done) != (ssize_t)len) {
            return -1;
        }
        done += (ssize_t)len;
        room -= len;
    }
    errno = ENOSPC;
    return done > 0 ? done : -1;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    bool may = may_reach(fd, (uint64_t)offset + sum_of(parts, count));
    return may ? REAL(pwritev)(fd, parts, count, offset) : write_fitting(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return pwritev(fd, parts, count, offset);
}

/* Sockets and pipes have no place. */
static bool may_go_on(int fd, size_t len)
{
    int error_number = errno;
    off_t offset = lseek(fd, 0, SEEK_CUR);
    errno = error_number;
    return offset < 0 || may_reach(fd, (uint64_t)offset + len);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (may_go_on(fd, sum_of(parts, count))) {
        return REAL(writev)(fd, parts, count);
    }
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t done = write_fitting(fd, parts, count, offset);
    int error_number = errno;
    (void)lseek(fd, offset + (done > 0 ? done : 0), SEEK_SET);
    errno = error_number;
    return done;
}

ssize_t write(int fd, const void *from, size_t len)
{
    struct iovec part = {(void *)(uintptr_t)from, len};
    return may_go_on(fd, len) ? REAL(write)(fd, from, len) : writev(fd, &part, 1);
}

int ftruncate(int fd, off_t len)
{
    return may_reach(fd, (uint64_t)len) ? REAL(ftruncate)(fd, len) : -1;
}

int ftruncate64(int fd, off64_t len)
{
    return ftruncate(fd, len);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return may_reach(fd, (uint64_t)(offset + len)) ? REAL(fallocate)(fd, mode, offset, len) : -1;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    return fallocate(fd, mode, offset, len);
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
    bool may = may_reach(fd, (uint64_t)(offset + len));
    return may ? REAL(posix_fallocate)(fd, offset, len) : ENOSPC;
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
    return posix_fallocate(fd, offset, len);
}

static void shrink(struct statvfs *status)
{
    uint64_t whole = budget();
    uint64_t is_used = used();
    status->f_bsize = status->f_frsize = BLOCK_LEN;
    status->f_blocks = whole / BLOCK_LEN;
    status->f_bfree = status->f_bavail = whole > is_used ? (whole - is_used) / BLOCK_LEN : 0;
}

int fstatvfs(int fd, struct statvfs *status)
{
    int result = REAL(fstatvfs)(fd, status);
    if (result == 0 && is_inside(fd)) {
        shrink(status);
    }
    return result;
}

int fstatvfs64(int fd, struct statvfs64 *status)
{
    struct statvfs *same = (void *)status; /* on 64-bit machines */
    return fstatvfs(fd, same);
}

int statvfs(const char *path, struct statvfs *status)
{
    int result = REAL(statvfs)(path, status);
    const char *data = getenv(FULL_DATA);
    if (result == 0 && data && getenv(FULL_BUDGET) && preload_name(data, path)) {
        shrink(status);
    }
    return result;
}

int statvfs64(const char *path, struct statvfs64 *status)
{
    struct statvfs *same = (void *)status;
    return statvfs(path, same);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
