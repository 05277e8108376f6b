/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CRASH_H
#define TESTS_UNIT_CRASH_H

/* What a killed process leaves: a copy of its directory as it is now, in a scratch directory. */

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "proto/hash.h"
#include "tests/unit/scratch.h"

/* Holes stay holes: segments and the tree are mostly empty. False: it has just got another name. */
static inline bool crash_copy_file(const char *from, const char *to)
{
    static char bytes[1 << 16];
    static const char zeros[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0) {
        return false;
    }
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t len;
    off_t end = 0;
    if (out < 0) {
        abort();
    }
    while ((len = read(in, bytes, sizeof(bytes))) > 0) {
        if (memcmp(bytes, zeros, (size_t)len) != 0 && pwrite(out, bytes, (size_t)len, end) != len) {
            abort();
        }
        end += len;
    }
    if (len < 0 || ftruncate(out, end) != 0) {
        abort();
    }
    close(in);
    close(out);
    return true;
}

/* Sum of the names' hashes: the same while no worker names, renames or removes a file. */
static inline uint64_t crash_names(const struct scratch *scratch)
{
    DIR *dir = opendir(scratch->path);
    const struct dirent *entry;
    uint64_t names = 0;
    while (dir && (entry = readdir(dir))) {
        names += hash_bytes(bytes_text(entry->d_name));
    }
    if (dir) {
        closedir(dir);
    }
    return names;
}

static inline bool crash_copy_all(const struct scratch *scratch, const struct scratch *copy)
{
    DIR *dir = opendir(scratch->path);
    const struct dirent *entry;
    bool is_fine = true;
    while (dir && (entry = readdir(dir))) {
        char from[512];
        char to[512];
        if (entry->d_name[0] != '.') {
            (void)snprintf(from, sizeof(from), "%s/%s", scratch->path, entry->d_name);
            (void)snprintf(to, sizeof(to), "%s/%s", copy->path, entry->d_name);
            is_fine &= crash_copy_file(from, to);
        }
    }
    if (dir) {
        closedir(dir);
    }
    return is_fine;
}

/* Workers go on meanwhile: what they rename while it is copied was never there together. */
static inline struct scratch crash_copy(const struct scratch *scratch)
{
    for (;;) {
        struct scratch copy = scratch_make();
        uint64_t names = crash_names(scratch);
        if (crash_copy_all(scratch, &copy) && crash_names(scratch) == names) {
            return copy;
        }
        scratch_remove(&copy);
    }
}

#endif
