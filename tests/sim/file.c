/* SPDX-License-Identifier: MIT */
#include "io/file.h"

#include "tests/sim/disk.h"

#include <assert.h>
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
    bool is_read_only;
    char name[DISK_NAME_LEN];
};

/* What the disk takes; only dir_space knows of it. */
#define CAPACITY_LEN (UINT64_C(1) << 32)

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

/* For what takes room: a full disk comes and goes, and ends nobody (RULES F1). */
static int draw_room_fault(void)
{
    struct node *node = world_current();
    if (!node->is_server || !(node->is_disk_full || world_chance(world_swarm()->no_space_ppm))) {
        return draw_fault();
    }
    count(COUNT_FILE_NO_SPACE);
    node->full_count++;
    return ENOSPC;
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

/* A machine has its one directory from the beginning. */
struct dir *dir_open_existing(const char *path, char *error, size_t error_len)
{
    return dir_open(path, error, error_len);
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

/* The first one of a process comes at its start, with nothing before it that is full. */
static void count_segment(const char *from, const char *to)
{
    static const char prepared[] = "prepared-";
    if (strncmp(to, prepared, strlen(prepared)) == 0) {
        count(COUNT_SEGMENT_RECYCLED);
    } else if (strncmp(from, prepared, strlen(prepared)) == 0 && !world_current()->is_starting) {
        count(COUNT_SEGMENT_SWITCHED);
    }
}

int dir_rename(struct dir *dir, const char *from, const char *to)
{
    if (disk_find(dir->disk, from) < 0) {
        return ENOENT;
    }
    int fault = draw_fault();
    if (!fault) {
        disk_rename(dir->disk, from, to);
        count_segment(from, to);
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

/* `visit` may change the names, hence the copies. */
int dir_list(struct dir *dir, const char *prefix, dir_visit *visit, void *context)
{
    char names[DISK_NAMES_MAX][DISK_NAME_LEN];
    int name_count = 0;
    for (int i = 0; i < DISK_NAMES_MAX; i++) {
        const char *name = disk_name_at(dir->disk, i);
        if (name && strncmp(name, prefix, strlen(prefix)) == 0) {
            (void)snprintf(names[name_count++], DISK_NAME_LEN, "%s", name);
        }
    }
    for (int i = 0; i < name_count; i++) {
        visit(context, names[i]);
    }
    return 0;
}

int dir_space(struct dir *dir, uint64_t *free_len, uint64_t *total_len)
{
    uint64_t used_len = disk_used_len(dir->disk);
    *free_len = used_len < CAPACITY_LEN ? CAPACITY_LEN - used_len : 0;
    *total_len = CAPACITY_LEN;
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
    file->is_read_only = mode == FILE_READ;
    (void)snprintf(file->name, sizeof file->name, "%s", name);
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

int file_map(struct file *file, size_t len, void **data)
{
    void *copy = malloc(len);
    assert(copy);
    int fault = file_read(file, 0, copy, len);
    if (fault) {
        free(copy);
        return fault;
    }
    *data = copy;
    return 0;
}

void file_unmap(void *data, size_t len)
{
    (void)len;
    free(data);
}

/* One that fails has written any beginning. */
int file_write(struct file *file, uint64_t offset, const void *data, size_t len)
{
    if (file->is_read_only) {
        return EBADF;
    }
    bool is_longer = offset + len > disk_contents(file->disk, file->number).len;
    int fault = is_longer ? draw_room_fault() : draw_fault();
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

/* Blocks without contents: nobody reads them, and they would be copied with every image of the disk. */
int file_allocate(struct file *file, uint64_t len)
{
    (void)len;
    int fault = draw_fault();
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

void file_read_ahead(const struct file *file)
{
    (void)file;
}

uint64_t file_len(const struct file *file)
{
    return disk_contents(file->disk, file->number).len;
}

const char *file_name(const struct file *file)
{
    return file->name;
}

void file_close(struct file *file)
{
    free(file);
}
