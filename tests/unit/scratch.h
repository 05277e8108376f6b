/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

/* A directory of a test's own, under $TMPDIR or /tmp. */

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

struct scratch {
    char path[128];
};

static inline struct scratch scratch_make(void)
{
    struct scratch scratch;
    const char *parent = getenv("TMPDIR");
    (void)snprintf(scratch.path, sizeof(scratch.path), "%s/shardkv-XXXXXX",
                   parent ? parent : "/tmp");
    if (!mkdtemp(scratch.path)) {
        perror(scratch.path);
        abort();
    }
    return scratch;
}

static inline int scratch_remove_one(const char *path, const struct stat *status, int type,
                                     struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline void scratch_remove(const struct scratch *scratch)
{
    nftw(scratch->path, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
