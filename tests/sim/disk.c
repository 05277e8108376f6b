/* SPDX-License-Identifier: MIT */
#include "tests/sim/disk.h"

#include "tests/sim/forest.h"
#include "tests/sim/heap.h"

#include <assert.h>
#include <stdio.h>

struct content {
    uint8_t *data;
    size_t len;
};

struct name {
    char text[DISK_NAME_LEN]; /* empty: a free place */
    int file;
};

/* What a reader finds; files are numbered, and their numbers never used again. */
struct image {
    struct name names[DISK_NAMES_MAX];
    struct content *files;
};

enum change_kind { CHANGE_WRITE, CHANGE_CREATE, CHANGE_RENAME, CHANGE_UNLINK, CHANGE_SYNC };

/* For CHANGE_SYNC of the names, instead of a file's number. */
#define FILE_NAMES (-1)

struct change {
    enum change_kind kind;
    int file; /* FILE_NAMES for changes of names */
    bool is_in_doubt;
    uint64_t begun_us;
    uint64_t done_us; /* CHANGE_SYNC */
    uint64_t offset;
    struct content data;
    int created;
    char from[DISK_NAME_LEN], to[DISK_NAME_LEN];
};

struct disk {
    struct node *node;
    struct forest *forest;
    bool is_locked;
    struct image durable;
    struct image seen; /* durable and all changes of the journal */
    int file_count;
    struct change *journal;
    size_t journal_len;
    size_t journal_capacity;
};

/* --- images --- */

static struct name *find_name(struct image *image, const char *text)
{
    for (int i = 0; i < DISK_NAMES_MAX; i++) {
        if (strcmp(image->names[i].text, text) == 0) {
            return &image->names[i];
        }
    }
    return NULL;
}

static void write_content(struct content *content, uint64_t offset, const uint8_t *data, size_t len)
{
    size_t end = (size_t)offset + len;
    if (end > content->len) {
        content->data = world_resize(content->data, end);
        memset(content->data + content->len, 0, end - content->len);
        content->len = end;
    }
    if (len) {
        memcpy(content->data + offset, data, len);
    }
}

static void remove_name(struct image *image, const char *text)
{
    struct name *name = find_name(image, text);
    if (name) {
        name->text[0] = 0;
    }
}

static void add_name(struct image *image, const char *text, int file)
{
    remove_name(image, text);
    struct name *name = find_name(image, "");
    assert(name);
    memcpy(name->text, text, DISK_NAME_LEN);
    name->file = file;
}

static void apply(struct image *image, const struct change *change)
{
    const struct name *from;
    switch (change->kind) {
    case CHANGE_WRITE:
        write_content(&image->files[change->file], change->offset, change->data.data,
                      change->data.len);
        break;
    case CHANGE_CREATE:
        add_name(image, change->to, change->created);
        break;
    case CHANGE_RENAME:
        from = find_name(image, change->from);
        if (from) {
            int file = from->file;
            remove_name(image, change->from);
            add_name(image, change->to, file);
        }
        break;
    case CHANGE_UNLINK:
        remove_name(image, change->from);
        break;
    case CHANGE_SYNC:
        break;
    }
}

static void copy_image(const struct image *from, struct image *to, int file_count)
{
    memcpy(to->names, from->names, sizeof to->names);
    for (int i = 0; i < file_count; i++) {
        to->files[i].len = from->files[i].len;
        to->files[i].data = world_resize(to->files[i].data, from->files[i].len);
        if (from->files[i].len) {
            memcpy(to->files[i].data, from->files[i].data, from->files[i].len);
        }
    }
}

static void free_files(struct image *image, int file_count)
{
    for (int i = 0; i < file_count; i++) {
        world_put(image->files[i].data);
    }
    world_put(image->files);
}

/* --- the journal --- */

static struct change *add_change(struct disk *disk, enum change_kind kind, int file)
{
    if (disk->journal_len == disk->journal_capacity) {
        disk->journal_capacity = disk->journal_capacity ? 2 * disk->journal_capacity : 16;
        disk->journal = world_resize(disk->journal, disk->journal_capacity * sizeof(struct change));
    }
    struct change *change = &disk->journal[disk->journal_len++];
    const struct node *node = disk->node;
    uint64_t now_us = node->in_job ? node->io_done_us : world_now_us();
    *change = (struct change){.kind = kind, .file = file, .begun_us = now_us};
    return change;
}

static void drop_changes(struct disk *disk, size_t first, size_t end)
{
    if (first == end) {
        return;
    }
    for (size_t i = first; i < end; i++) {
        world_put(disk->journal[i].data.data);
    }
    memmove(&disk->journal[first], &disk->journal[end],
            (disk->journal_len - end) * sizeof(struct change));
    disk->journal_len -= end - first;
}

/*
 * A sync is done: what it covers is durable, but for what an earlier one has failed to cover, whose
 * fate is decided by now; the file is as long as it made it. Another thread's job may have run in a step before and do its part later:
 * that is not covered. Returns how many changes went.
 */
static size_t finish_sync(struct disk *disk, size_t sync)
{
    int file = disk->journal[sync].file;
    uint64_t begun_us = disk->journal[sync].begun_us;
    size_t gone = 1;
    drop_changes(disk, sync, sync + 1);
    for (size_t i = 0; i + gone <= sync;) {
        const struct change *change = &disk->journal[i];
        if (change->file != file || change->kind == CHANGE_SYNC || change->begun_us > begun_us) {
            i++;
            continue;
        }
        if (!change->is_in_doubt || world_below(2)) {
            apply(&disk->durable, change);
        } else if (change->kind == CHANGE_WRITE) {
            write_content(&disk->durable.files[file], change->offset + change->data.len, NULL, 0);
        }
        drop_changes(disk, i, i + 1);
        gone++;
    }
    return gone;
}

static void settle(struct disk *disk, uint64_t now_us)
{
    for (size_t i = 0; i < disk->journal_len;) {
        const struct change *change = &disk->journal[i];
        if (change->kind == CHANGE_SYNC && change->done_us <= now_us) {
            i = i + 1 - finish_sync(disk, i);
        } else {
            i++;
        }
    }
}

static void add_sync(struct disk *disk, int file)
{
    struct node *node = disk->node;
    settle(disk, world_now_us());
    struct change *sync = add_change(disk, CHANGE_SYNC, file);
    if (node->in_job) {
        node->io_done_us += world_around(world_swarm()->io_us);
        sync->done_us = node->io_done_us;
    }
    settle(disk, world_now_us());
}

/* --- a crash --- */

/* A write that was not synced, when the power goes: each sector by itself. */
static void tear(struct disk *disk, const struct change *change)
{
    uint64_t fate = world_below(4); /* 0: lost, 1: kept, else torn */
    uint64_t sector_len = world_swarm()->sector_len;
    size_t kept = 0;
    for (uint64_t at = change->offset; at < change->offset + change->data.len;) {
        uint64_t next = (at / sector_len + 1) * sector_len;
        uint64_t end = change->offset + change->data.len;
        size_t len = (size_t)((next < end ? next : end) - at);
        if (fate == 1 || (fate > 1 && world_below(2))) {
            write_content(&disk->durable.files[change->file], at,
                          change->data.data + (at - change->offset), len);
            kept += len;
        }
        at += len;
    }
    count(kept == change->data.len ? COUNT_WRITE_KEPT
          : kept == 0              ? COUNT_WRITE_LOST
                                   : COUNT_WRITE_TORN);
}

static void lose_power(struct disk *disk)
{
    bool are_names_lost = false;
    for (size_t i = 0; i < disk->journal_len; i++) {
        const struct change *change = &disk->journal[i];
        if (change->kind == CHANGE_WRITE) {
            tear(disk, change);
            continue;
        }
        are_names_lost = are_names_lost || world_below(2);
        if (are_names_lost) {
            count(COUNT_NAME_LOST);
        } else {
            apply(&disk->durable, change);
        }
    }
    drop_changes(disk, 0, disk->journal_len);
}

/* What jobs had not come to yet, and syncs under way. True: what is seen must be built anew. */
static bool drop_unhappened(struct disk *disk, uint64_t now_us)
{
    bool is_any = false;
    for (size_t i = 0; i < disk->journal_len;) {
        const struct change *change = &disk->journal[i];
        bool is_to_come = change->kind != CHANGE_SYNC && change->begun_us > now_us;
        if (is_to_come || change->kind == CHANGE_SYNC) {
            drop_changes(disk, i, i + 1);
        } else {
            i++;
        }
        is_any |= is_to_come;
    }
    return is_any;
}

void disk_end_process(struct disk *disk, enum disk_end end)
{
    forest_end_process(disk->forest, end == DISK_PROCESS_STOPPED);
    disk->is_locked = false;
    settle(disk, end == DISK_PROCESS_STOPPED ? UINT64_MAX : world_now_us());
    bool is_to_rebuild =
        drop_unhappened(disk, end == DISK_PROCESS_STOPPED ? UINT64_MAX : world_now_us());
    is_to_rebuild |= end == DISK_POWER_LOST;
    if (end == DISK_POWER_LOST) {
        lose_power(disk);
    }
    if (is_to_rebuild) {
        copy_image(&disk->durable, &disk->seen, disk->file_count);
        for (size_t i = 0; i < disk->journal_len; i++) {
            apply(&disk->seen, &disk->journal[i]);
        }
    }
}

/* --- for file --- */

struct disk *disk_new(struct node *node)
{
    struct disk *disk = world_get(1, sizeof *disk);
    disk->node = node;
    disk->forest = forest_new(node);
    return disk;
}

void disk_free(struct disk *disk)
{
    forest_free(disk->forest);
    drop_changes(disk, 0, disk->journal_len);
    world_put(disk->journal);
    free_files(&disk->durable, disk->file_count);
    free_files(&disk->seen, disk->file_count);
    world_put(disk);
}

void disk_move(struct disk *disk, struct node *node)
{
    disk->node = node;
    node->disk = disk;
    forest_move(disk->forest, node);
}

struct forest *disk_forest(const struct disk *disk)
{
    return disk->forest;
}

bool disk_lock(struct disk *disk)
{
    bool is_free = !disk->is_locked;
    disk->is_locked = true;
    return is_free;
}

void disk_unlock(struct disk *disk)
{
    disk->is_locked = false;
}

int disk_find(const struct disk *disk, const char *name)
{
    for (int i = 0; i < DISK_NAMES_MAX; i++) {
        if (strcmp(disk->seen.names[i].text, name) == 0) {
            return disk->seen.names[i].file;
        }
    }
    return -1;
}

bool disk_is_empty(const struct disk *disk)
{
    for (int i = 0; i < DISK_NAMES_MAX; i++) {
        if (disk->seen.names[i].text[0]) {
            return false;
        }
    }
    return !forest_is_there(disk->forest);
}

const char *disk_name_at(const struct disk *disk, int place)
{
    const char *text = disk->seen.names[place].text;
    return text[0] ? text : NULL;
}

uint64_t disk_used_len(const struct disk *disk)
{
    uint64_t len = 0;
    for (int i = 0; i < DISK_NAMES_MAX; i++) {
        const struct name *name = &disk->seen.names[i];
        len += name->text[0] ? disk->seen.files[name->file].len : 0;
    }
    return len;
}

static struct change *add_name_change(struct disk *disk, enum change_kind kind, const char *from,
                                      const char *to)
{
    struct change *change = add_change(disk, kind, FILE_NAMES);
    (void)snprintf(change->from, sizeof change->from, "%s", from);
    (void)snprintf(change->to, sizeof change->to, "%s", to);
    return change;
}

static void add_file(struct image *image, int file_count)
{
    image->files = world_resize(image->files, (size_t)(file_count + 1) * sizeof(struct content));
    image->files[file_count] = (struct content){0};
}

int disk_create(struct disk *disk, const char *name)
{
    add_file(&disk->durable, disk->file_count);
    add_file(&disk->seen, disk->file_count);
    struct change *change = add_name_change(disk, CHANGE_CREATE, "", name);
    change->created = disk->file_count++;
    apply(&disk->seen, change);
    return change->created;
}

void disk_rename(struct disk *disk, const char *from, const char *to)
{
    apply(&disk->seen, add_name_change(disk, CHANGE_RENAME, from, to));
}

void disk_unlink(struct disk *disk, const char *name)
{
    apply(&disk->seen, add_name_change(disk, CHANGE_UNLINK, name, ""));
}

void disk_sync_names(struct disk *disk)
{
    add_sync(disk, FILE_NAMES);
}

struct bytes disk_contents(const struct disk *disk, int file)
{
    return bytes_of(disk->seen.files[file].data, disk->seen.files[file].len);
}

void disk_write(struct disk *disk, int file, uint64_t offset, struct bytes data)
{
    struct change *change = add_change(disk, CHANGE_WRITE, file);
    change->offset = offset;
    change->data = (struct content){world_get(1, data.len), data.len};
    memcpy(change->data.data, data.data, data.len);
    apply(&disk->seen, change);
}

void disk_sync(struct disk *disk, int file)
{
    add_sync(disk, file);
}

void disk_doubt(struct disk *disk, int file)
{
    settle(disk, world_now_us());
    for (size_t i = 0; i < disk->journal_len; i++) {
        struct change *change = &disk->journal[i];
        change->is_in_doubt |= change->kind == CHANGE_WRITE && change->file == file;
    }
}
