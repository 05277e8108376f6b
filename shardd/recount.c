/* SPDX-License-Identifier: MIT */
#include "shardd/recount.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "io/logline.h"
#include "proto/noun.h"

bool recount_is_due(const struct dir *dir)
{
    return dir_has(dir, LOG_RECOUNT_NAME);
}

void recount_accounts(const struct tally_sources *sources, struct accounts *accounts)
{
    uint64_t used = 0;
    uint64_t records = 0;
    for (uint32_t i = 0; i < accounts->count; i++) {
        struct account *account = &accounts->items[i];
        const struct range *range = &account->range;
        tally_interval(sources, range->start, range->end, &account->used, &account->records);
        used += account->used;
        records += account->records;
    }
    logline(LOGLINE_INFO,
            "log salvage wrote this directory: what is left was counted: %" PRIu64 " %s, %" PRIu64
            " %s",
            records, noun_of(records, "record", "records"), used, noun_of(used, "byte", "bytes"));
}

static int strike(struct dir *dir, const char *name)
{
    int error_number = dir_unlink(dir, name);
    return error_number == ENOENT ? 0 : error_number;
}

/* What lets a tree be missing goes first: alone it would allow that for ever. */
void recount_turn(struct recount *recount, uint64_t durable_stamp)
{
    if (recount->awaited == 0 || durable_stamp < recount->awaited) {
        return;
    }
    recount->awaited = 0;
    int error_number = strike(recount->dir, LOG_NO_TREE_NAME);
    error_number = error_number ? error_number : strike(recount->dir, LOG_RECOUNT_NAME);
    error_number = error_number ? error_number : dir_sync(recount->dir);
    if (error_number != 0) {
        logline(LOGLINE_WARNING,
                "%s/" LOG_RECOUNT_NAME ": cannot be removed, so the next start counts again: %s",
                dir_path(recount->dir), strerror(error_number));
    }
}
