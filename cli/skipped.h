/* SPDX-License-Identifier: MIT */
#ifndef CLI_SKIPPED_H
#define CLI_SKIPPED_H

/* Damaged records, over which a scan passes with --skip-damaged: each is said, and the exit status tells of them. */

#include "cli/failure.h"
#include "cli/progress.h"

struct skipped {
    struct progress *progress; /* on the same terminal; NULL: none */
    bool has_ids;              /* keys are ids (proto/table.h) */
    uint64_t count;
};

/* on_damaged of struct skv_scan_options; context is a struct skipped. */
void skipped_say(void *context, struct skv_bytes key, uint64_t point, const char *why);

/* Of a scan that has ended with `code`. */
enum exit_code skipped_end(const struct skipped *skipped, enum exit_code code);

/* As failure_say_call, of a scan that has failed: where a damaged record ended it, with the way on. */
enum exit_code skipped_say_call(void);

#endif
