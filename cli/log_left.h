/* SPDX-License-Identifier: MIT */
#ifndef CLI_LOG_LEFT_H
#define CLI_LOG_LEFT_H

/*
 * What log salvage leaves behind, and how it says so.
 *
 *     gap        bytes that no whole record covers, or segments that are missing. Stamps lie between those of
 *                the records around: the next one is known only later. Headers may still tell of records
 *     left out   whole records whose stamps stand before them: what a start copied, and where from, when the
 *                end of the segment before is not known
 */

#include "cli/json_writer.h"
#include "cli/log_files.h"

struct log_left {
    struct json_writer writer; /* or, without --json, lines of text */
    bool is_json;
    bool is_in_gap;
    uint64_t above; /* the last stamp before the gap that has begun */
    uint64_t gap_count;
    uint64_t segments; /* missing */
    uint64_t len;      /* bytes in gaps */
    struct log_tally told;
    struct log_tally out;
};

/* What stands in the new directory. Borrowed for the call. */
struct log_saved {
    const char *path;
    uint32_t segments;
    uint64_t records;
    uint64_t operations;
    bool has_tree;
    bool begins_with_tree; /* no checkpoint could be read */
};

void log_left_begin(struct log_left *left, bool is_json);
void log_left_fini(struct log_left *left);

/* `above`: the last stamp that was taken. */
void log_left_gap(struct log_left *left, const struct log_gap *gap, uint64_t above);

/* The next stamp that was taken; 0: there is none. Nothing happens where no gap has begun. */
void log_left_end_gap(struct log_left *left, uint64_t below);

void log_left_out(struct log_left *left, const struct log_record_header *header);

enum exit_code log_left_print(struct log_left *left, const struct log_files *files,
                              const struct log_saved *saved);

#endif
