/* SPDX-License-Identifier: MIT */
#ifndef IO_FILE_H
#define IO_FILE_H

/*
 * A daemon's data directory and the files in it (RULES L7): directory 0700, files 0600, O_CLOEXEC,
 * one lock held by the process. All calls block; all results are an errno, 0 for done. After a failed
 * file_write or file_sync the file must not be trusted: the kernel has marked its pages clean.
 *
 * Two bodies: io/file.c, tests/sim/ where unsynced writes may be lost or torn at a crash.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dir;
struct file;

/*
 * Makes the directory if need be (its parent must exist) and locks it. NULL with `error` filled:
 * "data/a: in use by another process", "data/a: the directory data is missing: make it first".
 */
struct dir *dir_open(const char *path, char *error, size_t error_len);
const char *dir_path(const struct dir *dir);

/* For looking only: the directory must exist, and no process may have it locked. */
struct dir *dir_open_existing(const char *path, char *error, size_t error_len);

/* Nothing but the lock file in it. */
bool dir_is_empty(const struct dir *dir);
bool dir_has(const struct dir *dir, const char *name);
int dir_rename(struct dir *dir, const char *from, const char *to);
int dir_unlink(struct dir *dir, const char *name);

/* Calls back with each name that begins with `prefix`, in no order. An errno. */
typedef void dir_visit(void *context, const char *name);
int dir_list(struct dir *dir, const char *prefix, dir_visit *visit, void *context);

/* Bytes of the file system: what a file may still take, and all. An errno. */
int dir_space(struct dir *dir, uint64_t *free_len, uint64_t *total_len);

/* Makes creations, renames and unlinks durable. */
int dir_sync(struct dir *dir);
void dir_close(struct dir *dir); /* gives the lock back; NULL is allowed */

enum file_mode { FILE_EXISTING, FILE_NEW /* must not exist */, FILE_READ /* only to be read */ };

/* NULL: *error_number says why. */
struct file *file_open(struct dir *dir, const char *name, enum file_mode mode, int *error_number);

/* Exactly `len` bytes; past the end: EIO. */
int file_read(struct file *file, uint64_t offset, void *data, size_t len);
int file_write(struct file *file, uint64_t offset, const void *data, size_t len);

/*
 * The first `len` bytes (not 0) as memory that is only read, without a copy: nobody may write them meanwhile. What the
 * disk cannot read, or past the end: EIO, here and not when it is looked at. Until file_unmap; the file may be
 * closed before.
 */
int file_map(struct file *file, size_t len, void **data);
void file_unmap(void *data, size_t len); /* NULL is allowed */

/* Zero-fills [0, len) and syncs, so that later overwrites change no metadata. */
int file_preallocate(struct file *file, uint64_t len);

/* Makes the file `len` bytes long, with blocks of its own for all of them; what stands there is nobody's concern. */
int file_allocate(struct file *file, uint64_t len);
int file_sync(struct file *file); /* fdatasync */

/* All of it is going to be read: the disk may begin. */
void file_read_ahead(const struct file *file);
uint64_t file_len(const struct file *file);
const char *file_name(const struct file *file); /* as it was opened */
void file_close(struct file *file);             /* NULL is allowed */

#endif
