/* SPDX-License-Identifier: MIT */
#ifndef SIM_DISK_H
#define SIM_DISK_H

/*
 * A machine's disk: one data directory of files, and the server's tree. It outlives processes.
 *
 *     journal: | written, not synced           | sync under way | behind it in its job |
 *     kill     | stays unsynced, in the kernel | the same       | never happened       |
 *     power    | each sector lost or kept, changes of names from some point on lost     |
 *
 * A job runs in one step but its syncs take time (node->io_done_us), so each change has the time at
 * which its job comes to it: at a crash what is to come never happens, and a sync covers what was
 * before it in time, whichever job did it. After a sync that failed, what it was to cover stays in
 * doubt for ever, whatever a later one says: the kernel has marked the pages clean.
 */

#include "proto/bytes.h"
#include "tests/sim/world.h"

/* A log of 44 segments, its limit and a tenth, takes more files where its records fill little more than half of each. */
enum { DISK_NAMES_MAX = 128, DISK_NAME_LEN = 32 };

enum disk_end {
    DISK_PROCESS_STOPPED, /* having waited for its syncs */
    DISK_PROCESS_KILLED,
    DISK_POWER_LOST,
};

struct disk;
struct forest;

/* `forest` is the tree's part of it (sim/forest.h). */
struct disk *disk_new(struct node *node);
void disk_free(struct disk *disk);
struct forest *disk_forest(const struct disk *disk);

/* Into another machine; no process runs on either. */
void disk_move(struct disk *disk, struct node *node);

/* The node's process is gone; its lock goes with it. */
void disk_end_process(struct disk *disk, enum disk_end end);

/* False: another process holds the directory. */
bool disk_lock(struct disk *disk);
void disk_unlock(struct disk *disk);

/* A file's number, for the calls below; -1: there is none of this name. */
int disk_find(const struct disk *disk, const char *name);
bool disk_is_empty(const struct disk *disk);

/* The name at `place`, below DISK_NAMES_MAX; NULL: none there. Until the next change of names. */
const char *disk_name_at(const struct disk *disk, int place);

/* Bytes of the files that have a name. */
uint64_t disk_used_len(const struct disk *disk);

/* Changes of names, durable with disk_sync_names. `create` returns the file's number. */
int disk_create(struct disk *disk, const char *name);
void disk_rename(struct disk *disk, const char *from, const char *to);
void disk_unlink(struct disk *disk, const char *name);
void disk_sync_names(struct disk *disk);

/* Until the next write. */
struct bytes disk_contents(const struct disk *disk, int file);

/* Past the end: it grows, with zeros between. */
void disk_write(struct disk *disk, int file, uint64_t offset, struct bytes data);
void disk_sync(struct disk *disk, int file);

/* A sync of the file that failed. */
void disk_doubt(struct disk *disk, int file);

#endif
