/* SPDX-License-Identifier: MIT */
#include "io/file.h"

#include "tests/sim/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The one directory of the machine on which the process runs. */
struct dir {
    struct disk *disk;
    char path[64];
};

struct file {
    struct disk *disk;
    int number;
};

/* Files see few operations and the tree many: with its rate they would never fail. */
#define FAULT_FACTOR 30

/* 0, or the errno of an injected fault. */
static int draw_fault(void)
{
    if (!world_chance(world_swarm()->io_error_ppm * FAULT_FACTOR)) {
        return 0;
    }
    count(COUNT_FILE_ERROR);
    world_current()->fault_count++;
    return world_below(2) ? EIO : ENOSPC;
}

struct dir *dir_open(const char *path, char *error, size_t error_len)
{
    struct disk *disk = world_current()->disk;
    if (!disk_lock(disk)) {
        (void)snprintf(error, error_len, "%s: in use by another process", path);
        return NULL;
    }
    struct dir *dir = calloc(1, sizeof *dir);
    if (!dir) {
        disk_unlock(disk);
        (void)snprintf(error, error_len, "%s: %s", path, strerror(ENOMEM));
        return NULL;
    }
    dir->disk = disk;
    (void)snprintf(dir->path, sizeof dir->path, "%s", path);
    return dir;
}

const char *dir_path(const struct dir *dir)
{
    return dir->path;
}

bool dir_is_empty(const struct dir *dir)
{
    return disk_is_empty(dir->disk);
}

bool dir_has(const struct dir *dir, const char *name)
{
    return disk_find(dir->disk, name) >= 0;
}

int dir_rename(struct dir *dir, const char *from, const char *to)
{
    if (disk_find(dir->disk, from) < 0) {
        return ENOENT;
    }
    int fault = draw_fault();
    if (!fault) {
        disk_rename(dir->disk, from, to);
    }
    return fault;
}

int dir_unlink(struct dir *dir, const char *name)
{
    if (disk_find(dir->disk, name) < 0) {
        return ENOENT;
    }
    disk_unlink(dir->disk, name);
    return 0;
}

int dir_sync(struct dir *dir)
{
    int fault = draw_fault();
    if (!fault) {
        disk_sync_names(dir->disk);
    }
    return fault;
}

void dir_close(struct dir *dir)
{
    if (dir) {
        disk_unlock(dir->disk);
        free(dir);
    }
}

struct file *file_open(struct dir *dir, const char *name, enum file_mode mode, int *error_number)
{
    int number = disk_find(dir->disk, name);
    int fault = mode == FILE_NEW ? draw_fault() : 0;
    if (!fault && (number >= 0) == (mode == FILE_NEW)) {
        fault = mode == FILE_NEW ? EEXIST : ENOENT;
    }
    struct file *file = fault ? NULL : calloc(1, sizeof *file);
    if (!file) {
        *error_number = fault ? fault : ENOMEM;
        return NULL;
    }
    file->disk = dir->disk;
    file->number = mode == FILE_NEW ? disk_create(dir->disk, name) : number;
    return file;
}

int file_read(struct file *file, uint64_t offset, void *data, size_t len)
{
    struct bytes contents = disk_contents(file->disk, file->number);
    if (offset > contents.len || len > contents.len - offset) {
        return EIO;
    }
    memcpy(data, (const uint8_t *)contents.data + offset, len);
    return 0;
}

/* One that fails has written any beginning. */
int file_write(struct file *file, uint64_t offset, const void *data, size_t len)
{
    int fault = draw_fault();
    size_t written = fault ? (size_t)world_below(len) : len;
    if (written) {
        disk_write(file->disk, file->number, offset, bytes_of(data, written));
    }
    return fault;
}

int file_preallocate(struct file *file, uint64_t len)
{
    uint8_t *zeros = calloc(1, len);
    if (!zeros) {
        return ENOMEM;
    }
    int fault = file_write(file, 0, zeros, len);
    free(zeros);
    return fault ? fault : file_sync(file);
}

int file_sync(struct file *file)
{
    int fault = draw_fault();
    if (fault) {
        disk_doubt(file->disk, file->number);
    } else {
        disk_sync(file->disk, file->number);
    }
    return fault;
}

uint64_t file_len(const struct file *file)
{
    return disk_contents(file->disk, file->number).len;
}

void file_close(struct file *file)
{
    free(file);
}
