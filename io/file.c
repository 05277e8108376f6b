/* SPDX-License-Identifier: MIT */
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LOCK_NAME "LOCK"

/* Bytes of zeros written at a time by file_preallocate. */
#define ZEROS_LEN (1u << 20)

struct dir {
    int fd;
    int lock_fd;
    char *path;
};

struct file {
    int fd;
    atomic_uint_fast64_t len; /* one thread may write while another asks */
    char name[];
};

static int outcome(int result)
{
    return result < 0 ? errno : 0;
}

/* The lock is the kernel's: it goes with the process, however that ends. */
static int lock(struct dir *dir)
{
    dir->lock_fd = openat(dir->fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (dir->lock_fd < 0) {
        return errno;
    }
    return outcome(flock(dir->lock_fd, LOCK_EX | LOCK_NB));
}

/*
 * The new directory's name is in its parent. A parent that we may not read was not made by us, and
 * neither was the directory.
 */
static int sync_parent(struct dir *dir)
{
    int parent = openat(dir->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0) {
        return errno == EACCES ? 0 : errno;
    }
    int result = outcome(fsync(parent));
    close(parent);
    return result;
}

static int make_and_lock(struct dir *dir)
{
    if (mkdir(dir->path, 0700) != 0 && errno != EEXIST) {
        return errno;
    }
    dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->fd < 0) {
        return errno;
    }
    int result = lock(dir);
    /* An empty one may be new, or left by a start that was killed before it synced the name. */
    return result == 0 && dir_is_empty(dir) ? sync_parent(dir) : result;
}

/* For looking: shared with others who look, and nothing is made. Without the file nobody has it. */
static int open_and_share(struct dir *dir)
{
    dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->fd < 0) {
        return errno;
    }
    dir->lock_fd = openat(dir->fd, LOCK_NAME, O_RDONLY | O_CLOEXEC);
    if (dir->lock_fd < 0) {
        return errno == ENOENT ? 0 : errno;
    }
    return outcome(flock(dir->lock_fd, LOCK_SH | LOCK_NB));
}

/* How much of the path names the directory in which it is; 0: it names none. */
static size_t parent_len(const char *path)
{
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return len;
}

static void say_failure(const char *path, bool is_made, int result, char *error, size_t error_len)
{
    size_t len = parent_len(path);
    if (is_made && result == ENOENT && len > 0) {
        (void)snprintf(error, error_len, "%s: the directory %.*s is missing: make it first", path,
                       (int)len, path);
    } else {
        (void)snprintf(error, error_len, "%s: %s", path,
                       result == EWOULDBLOCK ? "in use by another process" : strerror(result));
    }
}

static struct dir *open_with(int (*open_and_lock)(struct dir *dir), const char *path, char *error,
                             size_t error_len)
{
    struct dir *dir = calloc(1, sizeof(*dir));
    char *path_copy = strdup(path);
    if (dir == NULL || path_copy == NULL) {
        free(dir);
        free(path_copy);
        (void)snprintf(error, error_len, "%s: %s", path, strerror(ENOMEM));
        return NULL;
    }
    dir->fd = -1;
    dir->lock_fd = -1;
    dir->path = path_copy;
    int result = open_and_lock(dir);
    if (result != 0) {
        say_failure(path, open_and_lock == make_and_lock, result, error, error_len);
        dir_close(dir);
        return NULL;
    }
    return dir;
}

struct dir *dir_open(const char *path, char *error, size_t error_len)
{
    return open_with(make_and_lock, path, error, error_len);
}

struct dir *dir_open_existing(const char *path, char *error, size_t error_len)
{
    return open_with(open_and_share, path, error, error_len);
}

const char *dir_path(const struct dir *dir)
{
    return dir->path;
}

static bool is_own_name(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, LOCK_NAME) == 0;
}

/* NULL: errno says why. */
static DIR *open_entries(const struct dir *dir)
{
    /* Not dup(): the copy would share the position, and a second call would find nothing. */
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (entries == NULL && fd >= 0) {
        close(fd);
    }
    return entries;
}

/* The next name that is not our own; NULL at the end (errno 0) or when it cannot be read. */
static const char *next_name(DIR *entries)
{
    const struct dirent *entry;
    do {
        errno = 0;
        entry = readdir(entries);
    } while (entry != NULL && is_own_name(entry->d_name));
    return entry != NULL ? entry->d_name : NULL;
}

bool dir_is_empty(const struct dir *dir)
{
    DIR *entries = open_entries(dir);
    if (entries == NULL) {
        return false; /* what cannot be read must not be taken for new */
    }
    bool is_empty = next_name(entries) == NULL && errno == 0;
    closedir(entries);
    return is_empty;
}

int dir_list(struct dir *dir, const char *prefix, dir_visit *visit, void *context)
{
    DIR *entries = open_entries(dir);
    if (entries == NULL) {
        return errno;
    }
    const char *name;
    while ((name = next_name(entries)) != NULL) {
        if (strncmp(name, prefix, strlen(prefix)) == 0) {
            visit(context, name);
        }
    }
    int result = errno;
    closedir(entries);
    return result;
}

int dir_space(struct dir *dir, uint64_t *free_len, uint64_t *total_len)
{
    struct statvfs status;
    if (fstatvfs(dir->fd, &status) != 0) {
        return errno;
    }
    *free_len = (uint64_t)status.f_bavail * status.f_frsize;
    *total_len = (uint64_t)status.f_blocks * status.f_frsize;
    return 0;
}

bool dir_has(const struct dir *dir, const char *name)
{
    return faccessat(dir->fd, name, F_OK, 0) == 0;
}

int dir_rename(struct dir *dir, const char *from, const char *to)
{
    return outcome(renameat(dir->fd, from, dir->fd, to));
}

int dir_unlink(struct dir *dir, const char *name)
{
    return outcome(unlinkat(dir->fd, name, 0));
}

int dir_sync(struct dir *dir)
{
    return outcome(fsync(dir->fd));
}

void dir_close(struct dir *dir)
{
    if (dir == NULL) {
        return;
    }
    if (dir->lock_fd >= 0) {
        close(dir->lock_fd);
    }
    if (dir->fd >= 0) {
        close(dir->fd);
    }
    free(dir->path);
    free(dir);
}

static int flags_of(enum file_mode mode)
{
    switch (mode) {
    case FILE_EXISTING:
        return O_RDWR | O_CLOEXEC;
    case FILE_NEW:
        return O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL;
    case FILE_READ:
        break;
    }
    return O_RDONLY | O_CLOEXEC;
}

struct file *file_open(struct dir *dir, const char *name, enum file_mode mode, int *error_number)
{
    int fd = openat(dir->fd, name, flags_of(mode), 0600);
    if (fd < 0) {
        *error_number = errno;
        return NULL;
    }
    struct stat status;
    size_t name_len = strlen(name);
    struct file *file = calloc(1, sizeof(*file) + name_len + 1);
    if (file == NULL || fstat(fd, &status) != 0) {
        *error_number = file == NULL ? ENOMEM : errno;
        free(file);
        close(fd);
        return NULL;
    }
    file->fd = fd;
    file->len = (uint64_t)status.st_size;
    memcpy(file->name, name, name_len + 1);
    return file;
}

int file_read(struct file *file, uint64_t offset, void *data, size_t len)
{
    uint8_t *next = data;
    while (len > 0) {
        ssize_t done = pread(file->fd, next, len, (off_t)offset);
        if (done == 0) {
            return EIO;
        }
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno;
        }
        next += done;
        offset += (uint64_t)done;
        len -= (size_t)done;
    }
    return 0;
}

int file_write(struct file *file, uint64_t offset, const void *data, size_t len)
{
    const uint8_t *next = data;
    while (len > 0) {
        ssize_t done = pwrite(file->fd, next, len, (off_t)offset);
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno;
        }
        next += done;
        offset += (uint64_t)done;
        len -= (size_t)done;
        if (offset > file_len(file)) {
            atomic_store_explicit(&file->len, offset, memory_order_relaxed);
        }
    }
    return 0;
}

/* Before Linux 5.14: a copy. */
static int copy_over(struct file *file, void *pages, size_t len)
{
    void *memory =
        mmap(pages, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return memory == MAP_FAILED ? errno : file_read(file, 0, memory, len);
}

/* Now: a fault that the disk does not answer later would end the process. */
static int fetch_pages(struct file *file, void *pages, size_t len)
{
    int result;
    do {
        result = outcome(madvise(pages, len, MADV_POPULATE_READ));
    } while (result == EINTR);
    if (result == EINVAL) {
        return copy_over(file, pages, len);
    }
    return result == EFAULT ? EIO : result; /* a page that could not be read */
}

int file_map(struct file *file, size_t len, void **data)
{
    if (len > file_len(file)) {
        return EIO;
    }
    void *pages = mmap(NULL, len, PROT_READ, MAP_SHARED, file->fd, 0);
    if (pages == MAP_FAILED) {
        return errno;
    }
    int result = fetch_pages(file, pages, len);
    if (result != 0) {
        file_unmap(pages, len);
        return result;
    }
    *data = pages;
    return 0;
}

void file_unmap(void *data, size_t len)
{
    if (data) {
        (void)munmap(data, len);
    }
}

/* Written, not fallocate(): that leaves extents whose first overwrite changes metadata. */
int file_preallocate(struct file *file, uint64_t len)
{
    void *zeros = calloc(1, ZEROS_LEN);
    if (zeros == NULL) {
        return ENOMEM;
    }
    int result = 0;
    for (uint64_t done = 0; done < len && result == 0; done += ZEROS_LEN) {
        uint64_t left = len - done;
        result = file_write(file, done, zeros, left < ZEROS_LEN ? (size_t)left : ZEROS_LEN);
    }
    free(zeros);
    return result ? result : file_sync(file);
}

/* Not posix_fallocate(): where there is no fallocate() that writes a byte a block, which need not be all of it. */
int file_allocate(struct file *file, uint64_t len)
{
    int result;
    do {
        result = outcome(fallocate(file->fd, 0, 0, (off_t)len));
    } while (result == EINTR);
    if (result == EOPNOTSUPP || result == ENOSYS) {
        return file_preallocate(file, len);
    }
    if (result == 0) {
        atomic_store_explicit(&file->len, len, memory_order_relaxed);
    }
    return result ? result : file_sync(file);
}

int file_sync(struct file *file)
{
    return outcome(fdatasync(file->fd));
}

void file_read_ahead(const struct file *file)
{
    (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_WILLNEED);
}

uint64_t file_len(const struct file *file)
{
    return atomic_load_explicit(&file->len, memory_order_relaxed);
}

const char *file_name(const struct file *file)
{
    return file->name;
}

void file_close(struct file *file)
{
    if (file == NULL) {
        return;
    }
    close(file->fd);
    free(file);
}
