/* SPDX-License-Identifier: MIT */

/*
 * Records what a server does to the files of its data directory, and what it sends, before it is sent
 * (tests/torture/trace.h). Writes through memory maps are not seen: the tree is not opened so.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "tests/torture/preload.h"
#include "tests/torture/trace.h"

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): theirs are reserved */

enum fd_kind { FD_NONE = 0, FD_FILE, FD_DSYNC_FILE, FD_DIR, FD_CLIENT };

static const char *data;
static int trace_fd = -1;
static unsigned sync_us;
static _Atomic uint8_t kinds[PRELOAD_FDS_MAX];
static _Atomic uint64_t sync_count;

/* Before main, and before other threads. */
__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv(TRACE_FILE);
    const char *delay = getenv(TRACE_SYNC_US);
    data = getenv(TRACE_DATA);
    sync_us = delay ? (unsigned)strtoul(delay, NULL, 10) : 0;
    if (file && data) {
        trace_fd = REAL(open)(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    }
}

static enum fd_kind kind_of(int fd)
{
    return fd >= 0 && fd < PRELOAD_FDS_MAX && trace_fd >= 0 ? kinds[fd] : FD_NONE;
}

static bool is_file(int fd)
{
    return kind_of(fd) == FD_FILE || kind_of(fd) == FD_DSYNC_FILE;
}

/* Keeps errno. */
static void record_vector(struct trace_record record, const struct iovec *payload, int count)
{
    struct iovec parts[65] = {{&record, sizeof(record)}};
    size_t wanted = sizeof(record);
    int error_number = errno;
    if (count > 64) {
        abort();
    }
    record.magic = TRACE_MAGIC;
    for (int i = 0; i < count; i++) {
        parts[i + 1] = payload[i];
        wanted += payload[i].iov_len;
        record.len += payload[i].iov_len;
    }
    if (REAL(writev)(trace_fd, parts, count + 1) != (ssize_t)wanted) {
        abort();
    }
    errno = error_number;
}

static void record(enum trace_type type, int fd, uint64_t number, const void *payload, size_t len)
{
    struct iovec part = {(void *)(uintptr_t)payload, len};
    struct trace_record head = {.type = (uint8_t)type, .fd = fd, .number = number};
    record_vector(head, &part, len > 0 ? 1 : 0);
}

/* --- opening and closing --- */

static const char *inside(int dir_fd, const char *name, char path[PRELOAD_PATH_LEN])
{
    if (trace_fd < 0) {
        return NULL;
    }
    preload_join(dir_fd, name, path);
    return preload_name(data, path);
}

static int note_open(int fd, int flags, bool existed)
{
    char path[PRELOAD_PATH_LEN];
    const char *name = NULL;
    if (fd < 0 || fd >= PRELOAD_FDS_MAX || trace_fd < 0 || !preload_path(fd, path)) {
        return fd;
    }
    name = preload_name(data, path);
    if (!name) {
        kinds[fd] = FD_NONE;
        return fd;
    }
    if (name[0] == '\0') {
        kinds[fd] = FD_DIR;
        record(TRACE_OPEN_DIR, fd, 0, NULL, 0);
        return fd;
    }
    struct trace_record head = {.type = TRACE_OPEN, .fd = fd};
    struct iovec part = {(void *)(uintptr_t)name, strlen(name)};
    head.flags |= existed ? 0 : TRACE_IS_NEW;
    head.flags |= flags & O_TRUNC ? TRACE_IS_CUT : 0;
    record_vector(head, &part, 1);
    kinds[fd] = (flags & (O_DSYNC | O_SYNC)) ? FD_DSYNC_FILE : FD_FILE;
    return fd;
}

static int open_noted(int dir_fd, const char *path, int flags, mode_t mode)
{
    char whole[PRELOAD_PATH_LEN];
    bool is_inside = inside(dir_fd, path, whole) != NULL;
    bool existed = !(flags & O_CREAT) || (is_inside && faccessat(dir_fd, path, F_OK, 0) == 0);
    return note_open(REAL(openat)(dir_fd, path, flags, mode), flags, existed);
}

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

#define OPEN_BODY(dir_fd)                                                                          \
    va_list arguments;                                                                             \
    va_start(arguments, flags);                                                                    \
    mode_t mode = mode_of(flags, arguments);                                                       \
    va_end(arguments);                                                                             \
    return open_noted(dir_fd, path, flags, mode)

int open(const char *path, int flags, ...)
{
    OPEN_BODY(AT_FDCWD);
}

int open64(const char *path, int flags, ...)
{
    OPEN_BODY(AT_FDCWD);
}

int openat(int dir_fd, const char *path, int flags, ...)
{
    OPEN_BODY(dir_fd);
}

int openat64(int dir_fd, const char *path, int flags, ...)
{
    OPEN_BODY(dir_fd);
}

int creat(const char *path, mode_t mode)
{
    return open_noted(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* What a fortified program calls when no mode is given. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir_fd, const char *path, int flags);
int __openat64_2(int dir_fd, const char *path, int flags);

int __open_2(const char *path, int flags)
{
    return open_noted(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
    return open_noted(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir_fd, const char *path, int flags)
{
    return open_noted(dir_fd, path, flags, 0);
}

int __openat64_2(int dir_fd, const char *path, int flags)
{
    return open_noted(dir_fd, path, flags, 0);
}

int close(int fd)
{
    if (kind_of(fd) != FD_NONE) {
        record(TRACE_CLOSE, fd, 0, NULL, 0);
        kinds[fd] = FD_NONE;
    }
    return REAL(close)(fd);
}

/* --- writing --- */

static ssize_t note_write(int fd, uint64_t offset, const struct iovec *parts, int count,
                          ssize_t done)
{
    struct iovec taken[64];
    size_t left = done > 0 ? (size_t)done : 0;
    struct trace_record head = {.type = TRACE_WRITE, .fd = fd, .number = offset};
    if (!is_file(fd) || left == 0) {
        return done;
    }
    if (count > 64) {
        abort();
    }
    for (int i = 0; i < count; i++) {
        taken[i] = parts[i];
        taken[i].iov_len = parts[i].iov_len < left ? parts[i].iov_len : left;
        left -= taken[i].iov_len;
    }
    head.flags = kind_of(fd) == FD_DSYNC_FILE ? TRACE_IS_DSYNC : 0;
    record_vector(head, taken, count);
    return done;
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t offset)
{
    struct iovec part = {(void *)(uintptr_t)from, len};
    return note_write(fd, (uint64_t)offset, &part, 1, REAL(pwrite)(fd, from, len, offset));
}

ssize_t pwrite64(int fd, const void *from, size_t len, off64_t offset)
{
    return pwrite(fd, from, len, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return note_write(fd, (uint64_t)offset, parts, count, REAL(pwritev)(fd, parts, count, offset));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return pwritev(fd, parts, count, offset);
}

static ssize_t note_sent(int fd, ssize_t done)
{
    record(TRACE_SENT, fd, done > 0 ? (uint64_t)done : 0, NULL, 0);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (kind_of(fd) == FD_CLIENT) {
        struct trace_record head = {.type = TRACE_SEND, .fd = fd};
        record_vector(head, parts, count);
        return note_sent(fd, REAL(writev)(fd, parts, count));
    }
    ssize_t done = REAL(writev)(fd, parts, count);
    if (is_file(fd) && done > 0) {
        note_write(fd, (uint64_t)(lseek(fd, 0, SEEK_CUR) - done), parts, count, done);
    }
    return done;
}

ssize_t write(int fd, const void *from, size_t len)
{
    struct iovec part = {(void *)(uintptr_t)from, len};
    if (kind_of(fd) != FD_NONE) {
        return writev(fd, &part, 1);
    }
    return REAL(write)(fd, from, len);
}

ssize_t send(int fd, const void *from, size_t len, int flags)
{
    if (kind_of(fd) != FD_CLIENT) {
        return REAL(send)(fd, from, len, flags);
    }
    record(TRACE_SEND, fd, 0, from, len);
    return note_sent(fd, REAL(send)(fd, from, len, flags));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (kind_of(fd) != FD_CLIENT) {
        return REAL(sendmsg)(fd, message, flags);
    }
    struct trace_record head = {.type = TRACE_SEND, .fd = fd};
    record_vector(head, message->msg_iov, (int)message->msg_iovlen);
    return note_sent(fd, REAL(sendmsg)(fd, message, flags));
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *len, int flags)
{
    int accepted = REAL(accept4)(fd, address, len, flags);
    if (accepted >= 0 && accepted < PRELOAD_FDS_MAX && trace_fd >= 0) {
        record(TRACE_ACCEPT, accepted, 0, NULL, 0);
        kinds[accepted] = FD_CLIENT;
    }
    return accepted;
}

/* --- lengths --- */

static int note_len(enum trace_type type, int fd, off_t len, int result)
{
    if (result == 0 && is_file(fd)) {
        record(type, fd, (uint64_t)len, NULL, 0);
    }
    return result;
}

int ftruncate(int fd, off_t len)
{
    return note_len(TRACE_LEN, fd, len, REAL(ftruncate)(fd, len));
}

int ftruncate64(int fd, off64_t len)
{
    return ftruncate(fd, len);
}

/* Only what gives a file room: holes are not made. */
int fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (is_file(fd) && (mode & ~FALLOC_FL_KEEP_SIZE) != 0) {
        abort();
    }
    int result = REAL(fallocate)(fd, mode, offset, len);
    return mode == 0 ? note_len(TRACE_EXTEND, fd, offset + len, result) : result;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    return fallocate(fd, mode, offset, len);
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
    return note_len(TRACE_EXTEND, fd, offset + len, REAL(posix_fallocate)(fd, offset, len));
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
    return posix_fallocate(fd, offset, len);
}

/* --- syncing --- */

static int sync_noted(int fd, int (*sync)(int))
{
    if (!is_file(fd) && kind_of(fd) != FD_DIR) {
        return sync(fd);
    }
    uint64_t number = ++sync_count;
    record(TRACE_SYNC_BEGIN, fd, number, NULL, 0);
    if (sync_us > 0) {
        usleep(sync_us);
    }
    int result = sync(fd);
    if (result == 0) {
        record(TRACE_SYNC_END, fd, number, NULL, 0);
    }
    return result;
}

int fsync(int fd)
{
    return sync_noted(fd, REAL(fsync));
}

int fdatasync(int fd)
{
    return sync_noted(fd, REAL(fdatasync));
}

/* --- names --- */

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    char from_path[PRELOAD_PATH_LEN];
    char to_path[PRELOAD_PATH_LEN];
    const char *from_name = inside(from_fd, from, from_path);
    const char *to_name = inside(to_fd, to, to_path);
    int result = REAL(renameat)(from_fd, from, to_fd, to);
    if (result == 0 && from_name && to_name) {
        struct trace_record head = {.type = TRACE_RENAME, .fd = -1};
        struct iovec parts[2] = {{(void *)(uintptr_t)from_name, strlen(from_name) + 1},
                                 {(void *)(uintptr_t)to_name, strlen(to_name)}};
        record_vector(head, parts, 2);
    }
    return result;
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlinkat(int dir_fd, const char *path, int flags)
{
    char whole[PRELOAD_PATH_LEN];
    const char *name = inside(dir_fd, path, whole);
    int result = REAL(unlinkat)(dir_fd, path, flags);
    if (result == 0 && name) {
        record(TRACE_UNLINK, -1, 0, name, strlen(name));
    }
    return result;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
